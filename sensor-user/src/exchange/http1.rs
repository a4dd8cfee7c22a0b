//! One HTTP/1 connection: two parsers, and the exchanges that their messages make.
//!
//! Takes chunks and holes of both directions. Gives exchanges. Never copies a body or a head that came whole.
//! Bounded by [`Limits`].

use std::sync::Arc;

use bytes::Bytes;

use super::caller::{self, Memo};
use super::events::Events;
use super::grpc::Sender;
use super::half::{Half, Taken};
use super::reader::{Chunk, Context, Reader, ReaderTally, Turn};
use super::turns::Turns;
use super::upgrade;
use super::{Body, Caller, Exchange, Head, Limits, Outcome, Request, Response};
use crate::capture::{Direction, GapReason};
use crate::protocol::http1::{
    self, Answering, Message, RequestHead, RequestParser, ResponseHead, ResponseParser, Rest,
};
use crate::protocol::{Anomaly, Resync, StreamParser};
use crate::telemetry::ledger::{Post, Tally as Books};
use h2c::Unsure;

mod h2c;
mod rest;

/// A connection on which nothing moved for a second has no answer under way that a client still waits for while it
/// sends another request: pairing that was in doubt begins anew.
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
            early: false,
            anomalies: 0,
            reason: GapReason::Lost,
            events: None,
            missing_in_wait: 0,
            turn: None,
            unsure: None,
        }
    }

    /// The next chunk of requests is TLS early data, or is not.
    fn mark_early(&mut self, direction: Direction, early: bool) {
        if direction == self.requests_travel {
            self.early = early || (self.early && self.requests.waiting_bytes() > 0);
        }
    }

    fn read_requests(&mut self, time_ns: u64, context: &mut Context<'_>) {
        while let Some(taken) = self.requests.next() {
            match taken {
                Taken::Message {
                    message,
                    raw,
                    since_ns,
                } => self.request_message(message, raw, (since_ns, time_ns), context),
                Taken::Rejected(anomaly) => {
                    self.anomalies += 1;
                    note(self.turns.request_mut(), [anomaly]);
                    self.reason = GapReason::Lost;
                    self.request_gap(0, context);
                }
            }
        }
        self.look_for_preface(time_ns, context);
        if self.requests.parser.is_waiting() && self.requests.waiting_bytes() > context.limits.head_bytes {
            self.requests.parser.tunnel();
        }
    }

    fn request_message(
        &mut self,
        message: Message<RequestHead>,
        raw: Bytes,
        time_ns: (u64, u64),
        context: &mut Context<'_>,
    ) {
        match message {
            Message::Head(head) => {
                self.requests.fates.heads += raw.len() as u64;
                self.request_head(head, raw, time_ns, context);
            }
            Message::Body { piece, last } => {
                if let Some(exchange) = self.turns.request_mut() {
                    exchange.request.time_ns.1 = time_ns.1;
                    let body = &mut exchange.request.body;
                    body.add(self.requests.keep(&raw, piece), context.limits.body_bytes);
                }
                if last {
                    self.turns.close_request(context.out);
                }
            }
            Message::End { .. } => self.end_request(time_ns.1, context),
            Message::Odd { anomalies, last } => {
                self.anomalies += note(self.turns.request_mut(), anomalies);
                if last {
                    self.end_request(time_ns.1, context);
                }
            }
            Message::Trailers(trailers) => {
                self.anomalies += note(self.turns.request_mut(), trailers.anomalies);
                self.end_request(time_ns.1, context);
            }
            Message::Cut => self.cut_request(None, context),
        }
    }

    fn request_head(
        &mut self,
        head: RequestHead,
        raw: Bytes,
        time_ns: (u64, u64),
        context: &mut Context<'_>,
    ) {
        let answering = match head.method.of(&raw) {
            b"HEAD" => Answering::Head,
            b"CONNECT" => Answering::Connect,
            _ => Answering::Other,
        };
        self.anomalies += head.anomalies.len() as u64;
        let target = head.target;
        let rest = head.rest;
        let (method, version) = (head.method, head.version);
        let odd = head.anomalies;
        let head = Head {
            raw: self.requests.keep_all(raw),
            headers: head.headers,
        };
        let request = Request {
            body: Body::behind(&head, Sender::Client),
            head,
            method,
            target,
            version,
            time_ns,
            early_data: self.early,
        };
        let mut caller = caller::identify(
            &request.head,
            target.of(&request.head.raw),
            context.key,
            &mut self.memo,
        );
        // The credentials may stand in a field that was not kept.
        if caller == Caller::Anonymous && odd.contains(&Anomaly::TooManyHeaders) {
            caller = Caller::Unseen;
        }
        let exchange = Exchange {
            connection: Arc::clone(context.connection),
            request,
            outcome: Outcome::Unanswered,
            caller,
            calls: super::call::Calls::new(),
            anomalies: odd,
            part: None,
        };
        let quiet = time_ns.0.saturating_sub(self.last_ns) >= QUIET_NS && self.responses.parser.is_between();
        self.turns.request(exchange, answering, quiet, context.out);
        match rest {
            Rest::Body => {}
            Rest::Nothing | Rest::Tunnel => self.turns.close_request(context.out),
            Rest::Cut => {
                self.cut_request(None, context);
                self.turns.request_hole(true);
            }
        }
    }

    fn end_request(&mut self, time_ns: u64, context: &mut Context<'_>) {
        if let Some(exchange) = self.turns.request_mut() {
            exchange.request.time_ns.1 = time_ns;
        }
        self.turns.close_request(context.out);
    }

    /// The request under way gets no further: for a hole, or because the connection ended.
    fn cut_request(&mut self, hole: Option<GapReason>, context: &mut Context<'_>) {
        if let Some(exchange) = self.turns.request_mut() {
            cut(&mut exchange.request.body, hole);
        }
        self.turns.close_request(context.out);
    }

    fn request_gap(&mut self, missing: u64, context: &mut Context<'_>) {
        let reason = self.reason;
        if self.requests.parser.is_waiting() {
            self.stay(context);
            let spoilt = self.requests.waiting_bytes() as u64;
            self.missing_in_wait = self
                .missing_in_wait
                .saturating_add(missing)
                .saturating_add(spoilt);
        }
        let inside = self.turns.request_mut().is_some();
        let (message, lost_place) = match self.requests.gap(missing) {
            Resync::Exact(message) => (message, false),
            Resync::Searching(message) => (message, true),
        };
        match message {
            None if inside && !lost_place => {
                if let Some(exchange) = self.turns.request_mut() {
                    exchange.request.body.hole(missing, reason);
                }
            }
            Some(Message::End { lost }) => {
                if let Some(exchange) = self.turns.request_mut() {
                    exchange.request.body.hole(lost, reason);
                }
                self.turns.close_request(context.out);
            }
            Some(Message::Cut) => self.cut_request(Some(reason), context),
            Some(_) | None => {}
        }
        if lost_place {
            self.turns.request_hole(inside);
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
    }

    fn response_message(
        &mut self,
        message: Message<ResponseHead>,
        raw: Bytes,
        time_ns: (u64, u64),
        context: &mut Context<'_>,
    ) {
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
            return;
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
        self.turns.response(response, context.out);
        note(self.turns.current_mut(), odd);
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
                self.turns.response_hole(true, context.out);
            }
        }
        if let Some(next) = next {
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
        is_http
    }

    fn gap(&mut self, direction: Direction, missing: u64, reason: GapReason, context: &mut Context<'_>) {
        self.reason = reason;
        if direction == self.requests_travel {
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
