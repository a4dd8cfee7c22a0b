//! A response of server-sent events: each event as an exchange of its own, as it comes.
//!
//! Takes the response's body in pieces. Gives an exchange for each event, its data the response's body and its type the
//! call's name. Never waits for the stream's end. Bounded by one event and `Limits::body_bytes`.

use smallvec::SmallVec;

use super::call::{CallKind, Calls};
use super::part::{self, Part, Whole};
use super::reader::Context;
use super::{Body, BodyPiece, BodyState, Exchange, Head, PartKind};
use crate::capture::GapReason;
use crate::protocol::sse::{Event, Parser};

/// The events of one response.
#[derive(Debug)]
pub(super) struct Events {
    whole: Whole,
    parser: Parser,
    /// When the first byte of the event under way came, as far as chunks tell.
    since_ns: u64,
}

impl Events {
    /// When the answer is a stream of events that is not compressed.
    pub(super) fn of(exchange: &Exchange, body_bytes: usize) -> Option<Self> {
        let response = exchange.outcome.response()?;
        if !is_event_stream(&response.head) {
            return None;
        }
        Some(Self {
            whole: Whole::of(exchange)?,
            parser: Parser::new(body_bytes),
            since_ns: response.time_ns.0,
        })
    }

    /// The next bytes of the body.
    pub(super) fn piece(&mut self, piece: &[u8], time_ns: u64, context: &mut Context<'_>) -> u64 {
        if self.parser.is_between() {
            self.since_ns = time_ns;
        }
        self.step(time_ns, None, context, |parser, sink| parser.feed(piece, sink))
    }

    /// Bytes of the body are missing.
    pub(super) fn gap(&mut self, reason: GapReason, time_ns: u64, context: &mut Context<'_>) -> u64 {
        self.step(time_ns, Some(reason), context, |parser, sink| parser.gap(sink))
    }

    /// The body ended.
    pub(super) fn finish(&mut self, time_ns: u64, context: &mut Context<'_>) -> u64 {
        self.step(time_ns, None, context, |parser, sink| parser.finish(sink))
    }

    /// Gives the number of anomalies.
    fn step(
        &mut self,
        time_ns: u64,
        hole: Option<GapReason>,
        context: &mut Context<'_>,
        step: impl FnOnce(&mut Parser, &mut dyn FnMut(Event)),
    ) -> u64 {
        let (whole, since_ns) = (&self.whole, &mut self.since_ns);
        let mut anomalies = 0;
        step(&mut self.parser, &mut |event| {
            let times = (std::mem::replace(since_ns, time_ns), time_ns);
            anomalies += u64::from(event.anomaly.is_some());
            let exchange = whole.part(context.connection, part_of(event, hole, times));
            context.out.push(exchange);
        });
        anomalies
    }
}

fn part_of(event: Event, hole: Option<GapReason>, time_ns: (u64, u64)) -> Part {
    let state = match (event.cut, hole) {
        (true, Some(reason)) => BodyState::Holed(reason),
        (true, None) => BodyState::Cut,
        (false, _) if event.total > event.data.len() as u64 => BodyState::Limited,
        (false, _) if event.total == 0 => BodyState::Empty,
        (false, _) => BodyState::Whole,
    };
    // 9.2.6: an event without a type is a `message`.
    let name: &[u8] = if event.kind.is_empty() {
        b"message"
    } else {
        &event.kind
    };
    let mut calls = Calls::new();
    calls.push(part::call(CallKind::ServerSentEvent, name));
    let mut pieces = SmallVec::new();
    if !event.data.is_empty() {
        pieces.push(BodyPiece(event.data));
    }
    Part {
        kind: PartKind::Event,
        body: Body {
            pieces,
            total: event.total,
            state,
            ..Body::default()
        },
        time_ns,
        calls,
        anomalies: event.anomaly.into_iter().collect(),
    }
}

/// `text/event-stream` (WHATWG HTML, 9.2.1), not compressed.
fn is_event_stream(head: &Head) -> bool {
    let value = |name| head.header(name).map(|value| value.expose().trim_ascii());
    let media = value("content-type").and_then(|media| media.split(|byte| *byte == b';').next());
    let plain = value("content-encoding").is_none_or(|coding| coding.eq_ignore_ascii_case(b"identity"));
    plain && media.is_some_and(|media| media.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}
