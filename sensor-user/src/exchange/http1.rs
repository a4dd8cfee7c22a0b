//! One HTTP/1 connection: two parsers, and the exchanges that their messages make.
//!
//! Takes chunks and holes of both directions. Gives exchanges. Never copies a body or a head that came whole.
//! Bounded by [`Limits`].

use bytes::Bytes;

use super::caller::Memo;
use super::events::Events;
use super::grpc::Sender;
use super::half::{Half, Taken};
use super::reader::{Chunk, Context, Reader, ReaderTally, Turn};
use super::turns::{Hole, Turns};
use super::upgrade;
use super::{Body, Exchange, Head, Limits, Response};
use crate::capture::{Direction, GapReason};
use crate::protocol::http1::{self, Message, RequestParser, ResponseHead, ResponseParser, Rest};
use crate::protocol::{Anomaly, StreamParser};
use crate::telemetry::ledger::{Post, Tally as Books};
use early::Switch;
use h2c::Unsure;

mod early;
mod h2c;
mod requests;
mod rest;
#[cfg(test)]
mod tests;

/// A connection on which nothing moved for a second, and every request that was seen has its answer, has none out:
/// servers answer within a second, or begin to, and the client that pipelines behind a hole to one that is slower is
/// taken to be none.
const QUIET_NS: u64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Http1 {
    /// The way requests take.
    requests_travel: Direction,
    requests: Half<RequestParser>,
    responses: Half<ResponseParser>,
    turns: Turns,
    memo: Memo,
    /// When a byte of either direction was last seen.
    last_ns: u64,
    /// When the first byte after the last pause was seen, until a request began or an answer came.
    after_pause_ns: Option<u64>,
    /// A hole in the requests, and no byte of either direction since.
    fresh_hole: bool,
    /// The request bytes not consumed yet are, or began as, TLS early data.
    early: bool,
    /// What is for the accounts.
    anomalies: u64,
    /// The first hole since the message under way lost its place says why it is not whole.
    reason: GapReason,
    /// The answer under way, when it is a stream of events.
    events: Option<Box<Events>>,
    /// Bytes missing of what the client sent while it waited for the answer to an upgrade.
    missing_in_wait: u64,
    turn: Option<Turn>,
    /// The server switched to another protocol within the request under way.
    switch: Option<Switch>,
    /// It told the client to go on with the request under way.
    told_to_go_on: bool,
    /// A hole that may have held the answer to a request for HTTP/2.
    unsure: Option<Unsure>,
}

impl Http1 {
    /// A connection whose protocol was recognised in bytes that travelled `direction`.
    pub(super) fn new(requests_travel: Direction, direction: Direction, limits: &Limits) -> Self {
        let parser = http1::Limits {
            head_bytes: limits.head_bytes,
        };
        // The direction in which no message was recognised may be in the middle of one.
        let (requests, responses) = if direction == requests_travel {
            (RequestParser::new(parser), ResponseParser::searching(parser))
        } else {
            (RequestParser::searching(parser), ResponseParser::new(parser))
        };
        Self {
            requests_travel,
            requests: Half::new(requests),
            responses: Half::new(responses),
            turns: Turns::new(limits.pending),
            memo: Memo::default(),
            last_ns: 0,
            after_pause_ns: None,
            fresh_hole: false,
            early: false,
            anomalies: 0,
            reason: GapReason::Lost,
            events: None,
            missing_in_wait: 0,
            turn: None,
            switch: None,
            told_to_go_on: false,
            unsure: None,
        }
    }

    /// Whether nothing moved for so long that no answer is under way.
    fn is_quiet(&self, time_ns: u64) -> bool {
        let is_between = self.responses.parser.is_between() && self.responses.waiting_bytes() == 0;
        is_between && time_ns.saturating_sub(self.last_ns) >= QUIET_NS
    }

    /// The next chunk of requests is TLS early data, or is not.
    fn mark_early(&mut self, direction: Direction, early: bool) {
        if direction == self.requests_travel {
            self.early = early || (self.early && self.requests.waiting_bytes() > 0);
        }
    }

    fn read_responses(&mut self, time_ns: u64, context: &mut Context<'_>) {
        loop {
            if self.responses.parser.is_between() {
                self.responses.parser.answering(self.turns.next());
            }
            let Some(taken) = self.responses.next() else { break };
            match taken {
                Taken::Message {
                    message,
                    raw,
                    since_ns,
                } => self.response_message(message, raw, (since_ns, time_ns), context),
                Taken::Rejected(anomaly) => {
                    self.anomalies += 1;
                    note(self.turns.answered_mut(), [anomaly]);
                    self.reason = GapReason::Lost;
                    self.response_gap(0, context);
                }
            }
        }
        self.bound_switch(context);
    }

    fn response_message(
        &mut self,
        message: Message<ResponseHead>,
        raw: Bytes,
        time_ns: (u64, u64),
        context: &mut Context<'_>,
    ) {
        if !matches!(message, Message::Head(_) | Message::Cut) {
            self.turns.body_came(true);
        }
        match message {
            Message::Head(head) => {
                self.responses.fates.heads += raw.len() as u64;
                self.response_head(head, raw, time_ns, context);
            }
            Message::Body { piece, last } => {
                self.response_piece(self.responses.keep(&raw, piece), time_ns.1, context);
                if last {
                    self.end_events(time_ns.1, context);
                    self.turns.close_response(context.out);
                }
            }
            Message::End { .. } => self.end_response(time_ns.1, context),
            Message::Odd { anomalies, last } => {
                self.anomalies += note(self.turns.current_mut(), anomalies);
                if last {
                    self.end_response(time_ns.1, context);
                }
            }
            Message::Trailers(trailers) => {
                self.anomalies += note(self.turns.current_mut(), trailers.anomalies);
                if let Some(response) = self.turns.response_mut() {
                    let headers = trailers.headers;
                    response.trailers = Head {
                        raw: self.responses.keep_all(raw),
                        headers,
                    };
                }
                self.end_response(time_ns.1, context);
            }
            Message::Cut => self.cut_response(None, context),
        }
    }

    fn response_head(
        &mut self,
        head: ResponseHead,
        raw: Bytes,
        time_ns: (u64, u64),
        context: &mut Context<'_>,
    ) {
        if head.is_interim() {
            self.told_to_go_on |= head.status == 100;
            return self.turns.interim(head.status, self.responses.take_passed());
        }
        self.anomalies += head.anomalies.len() as u64;
        let (rest, status, odd) = (head.rest, head.status, head.anomalies);
        let head = Head {
            raw: self.responses.keep_all(raw),
            headers: head.headers,
        };
        let response = Response {
            body: Body::behind(&head, Sender::Server),
            head,
            status,
            trailers: Head::default(),
            time_ns,
        };
        let is_http2 = response.status == 101 && upgrade::names_http2(&response.head);
        self.before_answer(is_http2, rest, time_ns.1, context);
        self.turns
            .response(response, self.responses.take_passed(), context.out);
        if rest == Rest::Body {
            self.turns.promise_body();
        }
        note(self.turns.current_mut(), odd);
        if self.is_early(rest) {
            return self.switch_later(is_http2);
        }
        self.look_for_refusal();
        let next = if is_http2 {
            self.http2(context)
        } else {
            self.begin_rest(rest, context)
        };
        match rest {
            Rest::Body => {}
            Rest::Nothing | Rest::Tunnel => self.turns.close_response(context.out),
            Rest::Cut => {
                self.cut_response(None, context);
                self.turns.response_hole(true, Hole::UNKNOWN, context.out);
            }
        }
        if let Some(next) = next {
            self.turns.turned(context.out);
            return self.turn_into(next);
        }
        if rest == Rest::Tunnel || !self.turns.is_waiting() {
            self.requests.parser.resolve(rest == Rest::Tunnel);
            self.requests.retry();
            self.read_requests(time_ns.1, context);
        }
    }

    fn end_response(&mut self, time_ns: u64, context: &mut Context<'_>) {
        self.end_events(time_ns, context);
        if let Some(response) = self.turns.response_mut() {
            response.time_ns.1 = time_ns;
        }
        self.turns.close_response(context.out);
    }
}

impl Reader for Http1 {
    fn chunk(&mut self, chunk: Chunk, context: &mut Context<'_>) -> bool {
        let Chunk {
            direction,
            time_ns,
            early,
            bytes,
        } = chunk;
        self.mark_early(direction, early);
        // A hole is noticed with the bytes behind it: a request may be missing that was sent first behind the pause.
        if self.is_quiet(time_ns) && !self.fresh_hole {
            self.after_pause_ns = Some(time_ns);
        } else if direction != self.requests_travel {
            self.after_pause_ns = None;
        }
        let is_http = if direction == self.requests_travel {
            self.requests.push(bytes, time_ns);
            self.read_requests(time_ns, context);
            self.turn.is_some() || !self.requests.parser.is_tunnel()
        } else {
            self.responses.push(bytes, time_ns);
            self.look_for_settings(context);
            self.read_responses(time_ns, context);
            self.turn.is_some() || !self.responses.parser.is_tunnel()
        };
        self.last_ns = time_ns;
        self.fresh_hole = false;
        is_http
    }

    fn gap(&mut self, direction: Direction, missing: u64, reason: GapReason, context: &mut Context<'_>) {
        self.reason = reason;
        if direction == self.requests_travel {
            self.fresh_hole = true;
            self.request_gap(missing, context);
        } else {
            self.response_gap(missing, context);
        }
    }

    fn end(&mut self, direction: Direction, time_ns: u64, context: &mut Context<'_>) {
        if direction == self.requests_travel {
            if self.requests.parser.on_end() == Some(Message::Cut) {
                self.cut_request(None, context);
            }
            return;
        }
        match self.responses.parser.on_end() {
            Some(Message::End { .. }) => self.end_response(time_ns, context),
            Some(Message::Cut) => self.cut_response(None, context),
            Some(_) | None => {}
        }
    }

    fn finish(&mut self, time_ns: u64, context: &mut Context<'_>) {
        self.end(Direction::Read, time_ns, context);
        self.end(Direction::Write, time_ns, context);
        self.stay(context);
        self.turns.finish(context.out);
    }

    fn give_up(&mut self, _time_ns: u64, reason: GapReason, context: &mut Context<'_>) {
        self.reason = reason;
        self.stay(context);
        self.cut_request(Some(reason), context);
        self.cut_response(Some(reason), context);
        self.turns.request_hole(false, Hole::UNKNOWN, context.out);
        self.turns.response_hole(false, Hole::UNKNOWN, context.out);
        self.turns.finish(context.out);
    }

    fn take_fates(&mut self, books: &Books) -> u64 {
        let halves = [
            (
                std::mem::take(&mut self.requests.fates),
                self.requests.parser.is_tunnel(),
            ),
            (
                std::mem::take(&mut self.responses.fates),
                self.responses.parser.is_tunnel(),
            ),
        ];
        let entered = halves.map(|(fates, tunnel)| {
            let skipped = if tunnel {
                Post::TunnelBytes
            } else {
                Post::SkippedBytes
            };
            fates.enter(books, skipped)
        });
        entered.iter().sum()
    }

    fn waiting_bytes(&self) -> usize {
        self.requests.waiting_bytes() + self.responses.waiting_bytes()
    }

    fn held_bytes(&self) -> usize {
        let events = self.events.as_ref().map_or(0, |events| events.held_bytes());
        self.waiting_bytes() + self.turns.held_bytes() + events
    }

    fn take_tally(&mut self) -> ReaderTally {
        ReaderTally {
            anomalies: std::mem::take(&mut self.anomalies),
            unpaired: std::mem::take(&mut self.turns.unpaired),
        }
    }

    fn take_turn(&mut self) -> Option<Turn> {
        self.turn.take()
    }
}

/// Anomalies that the exchange does not have yet; gives the number of new ones, or of all without an exchange.
fn note(exchange: Option<&mut Exchange>, anomalies: impl IntoIterator<Item = Anomaly>) -> u64 {
    let anomalies = anomalies.into_iter();
    let Some(exchange) = exchange else {
        return anomalies.count() as u64;
    };
    let known = exchange.anomalies.len();
    for anomaly in anomalies {
        if !exchange.anomalies.contains(&anomaly) {
            exchange.anomalies.push(anomaly);
        }
    }
    (exchange.anomalies.len() - known) as u64
}

fn cut(body: &mut Body, hole: Option<GapReason>) {
    match hole {
        Some(reason) => body.hole(0, reason),
        None => body.cut(),
    }
}
