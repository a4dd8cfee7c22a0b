//! One HTTP/2 connection: two parsers, and the exchanges that their streams make.
//!
//! Takes chunks and holes of both directions. Gives exchanges, each when its stream is done. Never copies a body.
//! Bounded by [`Limits`] and by what [`Streams`] keeps.

use std::sync::Arc;

use bytes::Bytes;

use super::caller::{self, Fields, Memo};
use super::grpc::Sender;
use super::half::{Half, Taken};
use super::reader::Context;
use super::streams::Streams;
use super::{Body, Caller, Exchange, Head, Limits, Outcome, Request, Response};
use crate::capture::{Direction, GapReason};
use crate::protocol::http2::hpack::DEFAULT_TABLE;
use crate::protocol::http2::{self, Message, Opening, Parser};
use crate::protocol::websocket::Travel;
use crate::protocol::{Anomaly, Resync, Span};

/// Whether the connection is seen from its beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Joined {
    /// From its beginning.
    No,
    /// In the middle, at the beginning of a frame that travels so.
    At(Direction),
}

#[derive(Debug)]
pub(super) struct Http2 {
    /// The way requests take.
    requests_travel: Direction,
    /// They do for certain: the client's preface was seen.
    certain: bool,
    requests: Half<Parser>,
    responses: Half<Parser>,
    streams: Streams,
    memo: Memo,
    /// The request bytes not consumed yet are, or began as, TLS early data.
    early: bool,
    anomalies: u64,
    /// Why bytes are missing, of the last hole.
    reason: GapReason,
}

/// A message and when it came.
struct Came {
    raw: Bytes,
    time_ns: (u64, u64),
    of: Side,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Requests,
    Responses,
}

impl Side {
    const fn travel(self) -> Travel {
        match self {
            Self::Requests => Travel::ToServer,
            Self::Responses => Travel::ToClient,
        }
    }
}

impl Http2 {
    /// A connection whose requests travel so.
    pub(super) fn new(requests_travel: Direction, joined: Joined, limits: &Limits) -> Self {
        let bounds = http2::Limits {
            head_bytes: limits.head_bytes,
        };
        let parser = |direction| match joined {
            Joined::No => Parser::new(bounds),
            Joined::At(place) if place == direction => Parser::joined(bounds),
            Joined::At(_) => Parser::searching(bounds),
        };
        Self {
            requests_travel,
            certain: false,
            requests: Half::new(parser(requests_travel)),
            responses: Half::new(parser(requests_travel.opposite())),
            streams: Streams::default(),
            memo: Memo::default(),
            early: false,
            anomalies: 0,
            reason: GapReason::Lost,
        }
    }

    /// HTTP/1 turned into this connection (RFC 7540, 3.2): `first`, the request that asked for it, is complete and
    /// answered on stream 1, and its settings are the client's first. `hole` says why the beginning of the answers is
    /// missing.
    pub(super) fn upgraded(&mut self, first: Exchange, settings: &[u8], hole: Option<GapReason>) {
        if let Message::Settings { table, frame } = http2::settings(settings) {
            self.settings(Side::Requests, table, frame);
        }
        // Nothing was open that could make room.
        self.streams.open(1, first, true, &mut Vec::new());
        if let Some(reason) = hole {
            self.streams.responses_lost(reason, &mut Vec::new());
        }
    }

    fn read(&mut self, direction: Direction, time_ns: u64, context: &mut Context<'_>) {
        loop {
            // A message may have shown that the sides are the other way round.
            let of = self.side(direction);
            let half = match of {
                Side::Requests => &mut self.requests,
                Side::Responses => &mut self.responses,
            };
            let Some(taken) = half.next() else { return };
            match taken {
                Taken::Message {
                    message,
                    raw,
                    since_ns,
                } => {
                    if !matches!(message, Message::Body { .. }) {
                        half.fates.heads += raw.len() as u64;
                    }
                    let came = Came {
                        raw,
                        time_ns: (since_ns, time_ns),
                        of,
                    };
                    self.message(message, &came, context);
                }
                Taken::Rejected(_) => {
                    self.anomalies += 1;
                    self.reason = GapReason::Lost;
                    self.hole(of, 0, context);
                }
            }
        }
    }

    fn message(&mut self, message: Message, came: &Came, context: &mut Context<'_>) {
        match message {
            Message::Head {
                stream,
                promised,
                head,
                last,
            } => {
                self.anomalies += head
                    .anomalies
                    .iter()
                    .filter(|anomaly| **anomaly != Anomaly::Http2UnknownFields)
                    .count() as u64;
                match (promised, head.opening) {
                    (Some(promised), _) => self.promise(promised, *head, came, context),
                    (None, Opening::Request { method, target }) => {
                        self.request((stream, last), (method, target), *head, came, context);
                    }
                    (None, Opening::Response(status)) => {
                        self.response((stream, last), status, *head, came, context);
                    }
                    (None, Opening::Trailers | Opening::Unknown | Opening::UnknownRequest) => {
                        self.trailers((stream, last), *head, came, context);
                    }
                }
            }
            Message::HeadLost {
                stream,
                promise,
                last,
                anomaly,
            } => {
                self.note(stream, anomaly);
                if !promise {
                    self.head_lost((stream, last), came.of, context);
                }
            }
            Message::Body { stream, piece, last } => self.body((stream, last), piece, came, context),
            Message::BodyLost {
                stream,
                missing,
                last,
            } => self.body_lost((stream, last), missing, came.of, context),
            Message::Reset { stream } => self.streams.reset(stream, context.out),
            Message::Goaway { last } => {
                if came.of == Side::Responses {
                    self.streams.refuse_above(last, context.out);
                }
            }
            Message::Settings { table, frame } => self.settings(came.of, table, frame),
            Message::Odd { stream, anomaly } => self.note(stream, Some(anomaly)),
            Message::PlaceLost => self.place_lost(came.of, context),
            Message::Preface => self.certain |= came.of == Side::Requests,
            Message::Other => {}
        }
    }

    fn note(&mut self, stream: u32, anomaly: Option<Anomaly>) {
        let Some(anomaly) = anomaly else { return };
        self.anomalies += 1;
        if let Some(open) = self.streams.get(stream) {
            open.note([anomaly]);
        }
    }

    /// What one side announces bounds what the other may send.
    fn settings(&mut self, of: Side, table: Option<u32>, frame: Option<u32>) {
        let other = match of {
            Side::Requests => &mut self.responses.parser,
            Side::Responses => &mut self.requests.parser,
        };
        other.allow_table(table.unwrap_or(DEFAULT_TABLE));
        if let Some(frame) = frame {
            other.allow_frame(frame);
        }
    }

    fn request(
        &mut self,
        (stream, last): (u32, bool),
        (method, target): (Span, Span),
        head: http2::Head,
        came: &Came,
        context: &mut Context<'_>,
    ) {
        if came.of == Side::Responses && self.certain {
            // RFC 9113, 8.1: a server asks for nothing.
            return self.note(stream, Some(Anomaly::Http2BadHead));
        }
        if came.of == Side::Responses && self.streams.is_empty() {
            // Joined by frames that looked like the other side's.
            self.turn_around();
        }
        let exchange = self.exchange((method, target), head, came, context);
        self.streams.open(stream, exchange, last, context.out);
        self.anomalies += self.streams.make_room(context.out);
    }

    fn exchange(
        &mut self,
        (method, target): (Span, Span),
        head: http2::Head,
        came: &Came,
        context: &mut Context<'_>,
    ) -> Exchange {
        let kept = if head.incomplete {
            Fields::Some
        } else {
            Fields::All
        };
        let anomalies = head.anomalies.clone();
        let head = written(head);
        let request = Request {
            body: Body::behind(&head, Sender::Client),
            head,
            method,
            target,
            version: 20,
            trailers: Head::default(),
            time_ns: came.time_ns,
            early_data: self.early && came.of == Side::Requests,
        };
        Exchange {
            connection: Arc::clone(context.connection),
            caller: caller::of(&request, kept, context.key, &mut self.memo),
            request,
            outcome: Outcome::Unanswered,
            calls: super::call::Calls::new(),
            anomalies,
            part: None,
        }
    }

    /// A request that the server makes up (RFC 9113, 8.4).
    fn promise(&mut self, promised: u32, head: http2::Head, came: &Came, context: &mut Context<'_>) {
        let Opening::Request { method, target } = head.opening else {
            return;
        };
        let mut exchange = self.exchange((method, target), head, came, context);
        // Nobody sent it.
        exchange.caller = Caller::Unseen;
        self.streams.open(promised, exchange, true, context.out);
        self.anomalies += self.streams.make_room(context.out);
    }

    fn response(
        &mut self,
        (stream, last): (u32, bool),
        status: u16,
        head: http2::Head,
        came: &Came,
        context: &mut Context<'_>,
    ) {
        if status < 200 && !last {
            return;
        }
        let Some(open) = self.streams.get(stream) else {
            self.streams.unpaired += 1;
            return;
        };
        open.note(head.anomalies.iter().copied());
        open.response_length = head.content_length.filter(|_| !open.has_no_body(status));
        let head = written(head);
        let response = Response {
            body: Body::behind(&head, Sender::Server),
            head,
            status,
            trailers: Head::default(),
            time_ns: came.time_ns,
        };
        self.streams.answer(stream, response, context.limits);
        if last {
            self.streams.close_response(stream, context.out);
        }
        self.anomalies += self.streams.make_room(context.out);
    }

    /// Fields behind a body, or a head of which too little is known.
    fn trailers(
        &mut self,
        (stream, last): (u32, bool),
        head: http2::Head,
        came: &Came,
        context: &mut Context<'_>,
    ) {
        if head.opening == Opening::UnknownRequest {
            return;
        }
        let Some(open) = self.streams.get(stream) else {
            return;
        };
        open.note(head.anomalies.iter().copied());
        let unknown = head.opening == Opening::Unknown;
        match came.of {
            Side::Requests => {
                open.exchange.request.time_ns.1 = came.time_ns.1;
                self.streams.trailers(stream, Travel::ToServer, written(head));
            }
            Side::Responses => match open.response_mut() {
                Some(response) => {
                    response.time_ns.1 = came.time_ns.1;
                    self.streams.trailers(stream, Travel::ToClient, written(head));
                }
                None if unknown => open.exchange.outcome = Outcome::Lost,
                None => {}
            },
        }
        if last {
            self.close((stream, came.of), context);
        }
        self.anomalies += self.streams.make_room(context.out);
    }

    fn head_lost(&mut self, (stream, last): (u32, bool), of: Side, context: &mut Context<'_>) {
        let Some(open) = self.streams.get(stream) else {
            return;
        };
        if of == Side::Responses {
            if open.response_mut().is_none() {
                open.exchange.outcome = Outcome::Lost;
            } else {
                open.note([Anomaly::Http2UnknownFields]);
            }
        }
        if last {
            self.close((stream, of), context);
        }
    }

    fn body(&mut self, (stream, last): (u32, bool), piece: Span, came: &Came, context: &mut Context<'_>) {
        let half = match came.of {
            Side::Requests => &self.requests,
            Side::Responses => &self.responses,
        };
        let piece = (came.of.travel(), half.keep(&came.raw, piece));
        let limit = context.limits.body_bytes;
        let (time_ns, out) = (came.time_ns.1, &mut *context.out);
        self.anomalies += self.streams.body(stream, piece, time_ns, limit, out);
        if last {
            self.close((stream, came.of), context);
        }
    }

    fn body_lost(&mut self, (stream, last): (u32, bool), missing: u64, of: Side, context: &mut Context<'_>) {
        let missing = (of.travel(), missing);
        self.streams.hole(stream, missing, self.reason, context.out);
        if last {
            self.close((stream, of), context);
        }
    }

    fn close(&mut self, (stream, of): (u32, Side), context: &mut Context<'_>) {
        self.anomalies += match of {
            Side::Requests => self.streams.close_request(stream, context.out),
            Side::Responses => self.streams.close_response(stream, context.out),
        };
    }

    fn place_lost(&mut self, of: Side, context: &mut Context<'_>) {
        match of {
            Side::Requests => self.streams.requests_lost(self.reason, context.out),
            Side::Responses => self.streams.responses_lost(self.reason, context.out),
        }
    }

    fn hole(&mut self, of: Side, missing: u64, context: &mut Context<'_>) {
        let half = match of {
            Side::Requests => &mut self.requests,
            Side::Responses => &mut self.responses,
        };
        let (Resync::Exact(message) | Resync::Searching(message)) = half.gap(missing);
        if let Some(message) = message {
            let came = Came {
                raw: Bytes::new(),
                time_ns: (0, 0),
                of,
            };
            self.message(message, &came, context);
        }
    }

    fn turn_around(&mut self) {
        self.requests_travel = self.requests_travel.opposite();
        std::mem::swap(&mut self.requests, &mut self.responses);
    }

    const fn side(&self, direction: Direction) -> Side {
        match (direction, self.requests_travel) {
            (Direction::Read, Direction::Read) | (Direction::Write, Direction::Write) => Side::Requests,
            _ => Side::Responses,
        }
    }
}

fn written(head: http2::Head) -> Head {
    Head {
        raw: Bytes::from(head.raw),
        headers: head.fields,
    }
}

mod reader;
#[cfg(test)]
mod tests;
