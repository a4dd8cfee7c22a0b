//! Requests of an HTTP/1 connection, as they come.
//!
//! Takes what the parser makes of the client's bytes, and holes. Gives requests to [`Turns`](super::Turns). Never copies a
//! body. Bounded as the parser and the turns are.

use std::sync::Arc;

use bytes::Bytes;

use super::super::call::Calls;
use super::super::caller::{self, Fields};
use super::super::grpc::Sender;
use super::super::half::Taken;
use super::super::reader::Context;
use super::super::turns::{Arrival, Began, Hole, Traits};
use super::super::{Body, Exchange, Head, Outcome, Request};
use super::{Http1, cut, note};
use crate::capture::GapReason;
use crate::protocol::http1::{Answering, Message, RequestHead, Rest};
use crate::protocol::{Anomaly, Resync};

impl Http1 {
    pub(super) fn read_requests(&mut self, time_ns: u64, context: &mut Context<'_>) {
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
        self.switch(time_ns, context);
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
                if let Some(exchange) = self.turns.request_mut() {
                    exchange.request.trailers = Head {
                        raw: self.requests.keep_all(raw),
                        headers: trailers.headers,
                    };
                }
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
        self.told_to_go_on = false;
        let (answering, traits) = announced(head.method.of(&raw), head.rest);
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
            trailers: Head::default(),
            time_ns,
            early_data: self.early,
        };
        let kept = if odd.contains(&Anomaly::TooManyHeaders) {
            Fields::Some
        } else {
            Fields::All
        };
        let exchange = Exchange {
            connection: Arc::clone(context.connection),
            caller: caller::of(&request, kept, context.key, &mut self.memo),
            request,
            outcome: Outcome::Unanswered,
            calls: Calls::new(),
            anomalies: odd,
            part: None,
        };
        let arrival = Arrival {
            quiet: self.after_pause_ns.take() == Some(time_ns.0),
            shares_chunk: !self.requests.began_chunk,
            passed: self.requests.take_passed(),
            traits,
        };
        self.turns.request(exchange, answering, arrival, context.out);
        match rest {
            Rest::Body => {}
            Rest::Nothing | Rest::Tunnel => self.turns.close_request(context.out),
            Rest::Cut => {
                self.cut_request(None, context);
                self.turns.request_hole(true, Hole::UNKNOWN, context.out);
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
    pub(super) fn cut_request(&mut self, hole: Option<GapReason>, context: &mut Context<'_>) {
        if let Some(exchange) = self.turns.request_mut() {
            cut(&mut exchange.request.body, hole);
        }
        self.turns.close_request(context.out);
    }

    pub(super) fn request_gap(&mut self, missing: u64, context: &mut Context<'_>) {
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
        let spoilt = self.requests.waiting_bytes() as u64;
        let mut hole = Hole {
            bytes: (missing > 0).then_some(missing.saturating_add(spoilt)),
            began: match () {
                () if inside || self.requests.parser.is_searching() || self.last_ns == 0 => Began::Within,
                () if spoilt > 0 => Began::Head,
                () => Began::Between,
            },
        };
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
                hole = Hole {
                    bytes: hole.bytes.map(|bytes| bytes.saturating_sub(lost)),
                    began: Began::Between,
                };
                if let Some(exchange) = self.turns.request_mut() {
                    exchange.request.body.hole(lost, reason);
                }
                self.turns.close_request(context.out);
            }
            Some(Message::Cut) => self.cut_request(Some(reason), context),
            Some(_) | None => {}
        }
        if lost_place {
            self.give_up_switch(context);
            self.turns.request_hole(inside, hole, context.out);
        }
    }
}

/// What a request says of its answer.
fn announced(method: &[u8], rest: Rest) -> (Answering, Traits) {
    let answering = match method {
        b"HEAD" => Answering::Head,
        b"CONNECT" => Answering::Connect,
        _ => Answering::Other,
    };
    // RFC 9110, 9.3: what a body means to them is not defined.
    let is_bodiless = matches!(
        method,
        b"GET" | b"HEAD" | b"DELETE" | b"OPTIONS" | b"TRACE" | b"CONNECT"
    );
    let traits = Traits {
        head: answering == Answering::Head,
        may_continue: rest != Rest::Nothing || !is_bodiless,
    };
    (answering, traits)
}
