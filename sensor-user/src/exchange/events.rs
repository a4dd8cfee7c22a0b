//! A response of server-sent events: each event as an exchange of its own, as it comes.
//!
//! Takes the response's body in pieces, compressed or not. Gives an exchange for each event, its data the response's
//! body and its type the call's name. Never waits for the stream's end. Bounded by one event, by `Limits::body_bytes`,
//! and by what [`Flow`] holds.

use std::sync::Arc;

use smallvec::SmallVec;

use super::call::{CallKind, Calls};
use super::part::{self, Part, Whole};
use super::{Body, BodyPiece, BodyState, Connection, Exchange, Head, PartKind};
use crate::capture::GapReason;
use crate::protocol::Anomaly;
use crate::protocol::inflate::{self, Ended, Flow};
use crate::protocol::sse::{Event, Parser};

/// The events of one response.
#[derive(Debug)]
pub(super) struct Events {
    whole: Whole,
    connection: Arc<Connection>,
    parser: Parser,
    /// When the stream is compressed.
    flow: Option<Flow>,
    /// When the first byte of the event under way came, as far as chunks tell.
    since_ns: u64,
    /// What is wrong with the stream itself.
    fault: Option<Anomaly>,
}

impl Events {
    /// When the answer is a stream of events, in no coding or in one.
    pub(super) fn of(exchange: &Exchange, body_bytes: usize) -> Option<Self> {
        let response = exchange.outcome.response()?;
        if !is_event_stream(&response.head) {
            return None;
        }
        let codings = response.head.fields();
        let codings = codings.filter(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"));
        // One over the other is nobody's way to send events: such a body is read when it is there.
        let flow = match *inflate::codings(codings.map(|(_, value)| value.expose())).ok()? {
            [] => None,
            [coding] => Some(Flow::new(coding, body_bytes, inflate::Limits::default())),
            _ => return None,
        };
        Some(Self {
            whole: Whole::of(exchange)?,
            connection: Arc::clone(&exchange.connection),
            parser: Parser::new(body_bytes),
            flow,
            since_ns: response.time_ns.0,
            fault: None,
        })
    }

    /// The next bytes of the body. Gives the number of anomalies, as the others do.
    pub(super) fn piece(&mut self, piece: &[u8], time_ns: u64, out: &mut Vec<Exchange>) -> u64 {
        if self.parser.is_between() {
            self.since_ns = time_ns;
        }
        let flow = self.flow.take();
        let (anomalies, flow) = self.step(time_ns, None, out, |parser, sink| {
            let Some(mut flow) = flow else {
                parser.feed(piece, sink);
                return (None, None);
            };
            let ended = flow.feed(piece, &mut |content| parser.feed(content, sink));
            if ended.is_some() {
                parser.finish(sink);
            }
            (Some(flow), ended)
        });
        self.keep(flow);
        anomalies
    }

    /// Bytes of the body are missing.
    pub(super) fn gap(&mut self, reason: GapReason, time_ns: u64, out: &mut Vec<Exchange>) -> u64 {
        self.flow.iter_mut().for_each(Flow::stop);
        let hole = Some(reason);
        self.step(time_ns, hole, out, |parser, sink| parser.gap(sink)).0
    }

    /// The body ended.
    pub(super) fn finish(&mut self, time_ns: u64, out: &mut Vec<Exchange>) -> u64 {
        let flow = self.flow.take();
        let (anomalies, flow) = self.step(time_ns, None, out, |parser, sink| {
            let mut flow = flow;
            let ended = flow
                .as_mut()
                .and_then(|flow| flow.finish(&mut |content| parser.feed(content, sink)));
            parser.finish(sink);
            (flow, ended)
        });
        self.keep(flow);
        anomalies
    }

    /// What is wrong with the stream itself; counted by whoever notes it.
    pub(super) const fn take_fault(&mut self) -> Option<Anomaly> {
        self.fault.take()
    }

    /// Memory that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.parser.held_bytes() + self.flow.as_ref().map_or(0, Flow::held_bytes)
    }

    fn keep(&mut self, (flow, ended): (Option<Flow>, Option<Ended>)) {
        self.flow = flow;
        self.fault = ended.and_then(Ended::anomaly).or(self.fault);
    }

    /// Gives the number of anomalies, and what the step gave.
    fn step<T>(
        &mut self,
        time_ns: u64,
        hole: Option<GapReason>,
        out: &mut Vec<Exchange>,
        step: impl FnOnce(&mut Parser, &mut dyn FnMut(Event)) -> T,
    ) -> (u64, T) {
        let (whole, connection, since_ns) = (&self.whole, &self.connection, &mut self.since_ns);
        let mut anomalies = 0;
        let given = step(&mut self.parser, &mut |event| {
            let times = (std::mem::replace(since_ns, time_ns), time_ns);
            anomalies += u64::from(event.anomaly.is_some());
            out.push(whole.part(connection, part_of(event, hole, times)));
        });
        (anomalies, given)
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

/// `text/event-stream` (WHATWG HTML, 9.2.1).
fn is_event_stream(head: &Head) -> bool {
    let media = head
        .header("content-type")
        .map(|value| value.expose().trim_ascii());
    let media = media.and_then(|media| media.split(|byte| *byte == b';').next());
    media.is_some_and(|media| media.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

#[cfg(test)]
mod tests;
