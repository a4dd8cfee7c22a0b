//! For tests: what a connection gives, and exchanges built from text.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::call::{Call, CallKind, CallName, CallOutcome};
use super::secret::HashKey;
use super::{
    AuthScheme, Body, BodyPiece, BodyState, Caller, CallerHash, Connection, Conversations, Exchange, Head,
    Limits, Outcome, PartKind, Request, Response,
};
use crate::capture::{
    CloseReason, Comm, Direction, Evidence, GapReason, ProcessKey, Role, Source, StreamKey,
};
use crate::flow::{FlowEvent, Payload};
use crate::protocol::Span;
use crate::telemetry::Counters;
use crate::telemetry::ledger::{Equation, Post};

/// A connection over TLS.
pub(crate) const STREAM: StreamKey = StreamKey {
    process: ProcessKey { pid: 9, start_ns: 3 },
    source: Source::Tls,
    id: 1,
    generation: 0,
};

/// What happens on a connection of a server.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    ToServer(Vec<u8>),
    ToClient(Vec<u8>),
    Lost(Direction, u64),
}

impl Step {
    pub(crate) fn event(self, stream: StreamKey, time_ns: u64) -> FlowEvent {
        match self {
            Self::ToServer(bytes) => chunk(stream, Direction::Read, time_ns, &bytes),
            Self::ToClient(bytes) => chunk(stream, Direction::Write, time_ns, &bytes),
            Self::Lost(direction, missing) => gap(stream, direction, time_ns, missing),
        }
    }
}

/// Bytes of one direction.
pub(crate) fn chunk(stream: StreamKey, direction: Direction, time_ns: u64, bytes: &[u8]) -> FlowEvent {
    FlowEvent::Chunk {
        stream,
        direction,
        time_ns,
        early: false,
        bytes: Payload(Bytes::copy_from_slice(bytes)),
    }
}

/// Bytes of one direction that were lost.
pub(crate) fn gap(stream: StreamKey, direction: Direction, time_ns: u64, missing: u64) -> FlowEvent {
    FlowEvent::Gap {
        stream,
        direction,
        time_ns,
        missing,
        reason: GapReason::Lost,
    }
}

/// The end of a connection.
pub(crate) fn closed(stream: StreamKey, time_ns: u64) -> FlowEvent {
    FlowEvent::Closed {
        stream,
        time_ns,
        reason: CloseReason::Free,
    }
}

/// What comes of a connection's events, and that its accounts close at every step.
pub(crate) fn drive(stream: StreamKey, events: impl IntoIterator<Item = FlowEvent>) -> Vec<Exchange> {
    let counters: Arc<Counters> = Arc::default();
    let mut conversations =
        Conversations::new(Limits::default(), HashKey::new([0; 32]), Arc::clone(&counters));
    let mut out = Vec::new();
    let books = counters.ledger().tally(stream.process.into());
    for event in events {
        if let FlowEvent::Chunk { bytes, .. } = &event {
            // As the stage before would.
            books.add(Post::OrderedBytes, bytes.0.len() as u64);
            books.add(Post::ReceivedBytes, bytes.0.len() as u64);
        }
        conversations.push(event, &mut out);
        let imbalance = counters.ledger().unbalanced();
        assert!(
            imbalance.is_none_or(|one| one.equation != Equation::Parsing),
            "{imbalance:?}"
        );
    }
    assert_eq!(counters.ledger().accounts()[0].user(Post::WaitingBytes), 0);
    out
}

/// Builds an [`Exchange`].
pub(crate) struct Builder {
    method: &'static str,
    target: String,
    request_fields: Vec<(String, String)>,
    request_body: Body,
    status: Option<u16>,
    response_fields: Vec<(String, String)>,
    response_body: Body,
    request_trailers: Vec<(String, String)>,
    trailers: Vec<(String, String)>,
    caller: Caller,
    tls: bool,
    remote: IpAddr,
    calls: super::call::Calls,
    part: Option<PartKind>,
}

impl Builder {
    /// `GET target` over TLS, from nobody, answered with 200 and no body.
    pub(crate) fn get(target: &str) -> Self {
        Self {
            method: "GET",
            target: target.to_owned(),
            request_fields: vec![("Host".to_owned(), "api.example.com".to_owned())],
            request_body: Body::default(),
            status: Some(200),
            response_fields: Vec::new(),
            response_body: Body::default(),
            request_trailers: Vec::new(),
            trailers: Vec::new(),
            caller: Caller::Anonymous,
            tls: true,
            remote: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)),
            calls: super::call::Calls::new(),
            part: None,
        }
    }

    /// As [`Builder::get`], with POST.
    pub(crate) fn post(target: &str) -> Self {
        Self {
            method: "POST",
            ..Self::get(target)
        }
    }

    /// Adds a field to the request; `Host` replaces.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.request_fields
            .retain(|(known, _)| known != "Host" || name != "Host");
        self.request_fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a field to the response.
    pub(crate) fn response_field(mut self, name: &str, value: &str) -> Self {
        self.response_fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives the request a body of a type.
    pub(crate) fn body(self, media: &str, text: &str) -> Self {
        let mut built = self.field("Content-Type", media);
        built.request_body = whole(&[text.as_bytes()]);
        built
    }

    /// Gives the request a body of a type, in pieces that need be no text.
    pub(crate) fn body_bytes(self, media: &str, pieces: &[&[u8]]) -> Self {
        let mut built = self.field("Content-Type", media);
        built.request_body = whole(pieces);
        built
    }

    /// Gives the request trailers.
    pub(crate) fn request_trailers(mut self, fields: &[(&str, &str)]) -> Self {
        self.request_trailers = owned(fields);
        self
    }

    /// Gives the response trailers.
    pub(crate) fn trailers(mut self, fields: &[(&str, &str)]) -> Self {
        self.trailers = owned(fields);
        self
    }

    /// Gives the request a JSON body.
    pub(crate) fn json(self, text: &str) -> Self {
        self.body("application/json", text)
    }

    /// Gives the response a JSON body.
    pub(crate) fn answer(self, text: &str) -> Self {
        self.answer_pieces("application/json", &[text.as_bytes()])
    }

    /// Gives the response a body of a type, in pieces.
    pub(crate) fn answer_pieces(self, media: &str, pieces: &[&[u8]]) -> Self {
        let mut built = self.response_field("Content-Type", media);
        built.response_body = whole(pieces);
        built
    }

    /// Marks the response's body as not whole.
    pub(crate) fn answer_state(mut self, state: BodyState) -> Self {
        self.response_body.state = state;
        self
    }

    /// Sets the status.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// No response was seen.
    pub(crate) fn unanswered(mut self) -> Self {
        self.status = None;
        self
    }

    /// Sets the caller.
    pub(crate) fn caller(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    /// A caller with a bearer token.
    pub(crate) fn known(self) -> Self {
        self.caller(Caller::Known {
            scheme: AuthScheme::Bearer,
            hash: CallerHash([7; 16]),
        })
    }

    /// Adds a call of an API.
    pub(crate) fn call(mut self, kind: CallKind, outcome: CallOutcome) -> Self {
        let mut call = Call::new(kind, CallName::default());
        call.outcome = outcome;
        self.calls.push(call);
        self
    }

    /// Makes it a part of a longer exchange.
    pub(crate) const fn part(mut self, part: PartKind) -> Self {
        self.part = Some(part);
        self
    }

    /// Without TLS.
    pub(crate) fn cleartext(mut self) -> Self {
        self.tls = false;
        self
    }

    /// Sets the peer's address.
    pub(crate) fn remote(mut self, remote: IpAddr) -> Self {
        self.remote = remote;
        self
    }

    /// Gives the response a body of bytes.
    pub(crate) fn answer_bytes(self, media: &str, bytes: &[u8]) -> Self {
        self.answer_pieces(media, &[bytes])
    }

    /// The exchange, content codings undone.
    pub(crate) fn build(self) -> Exchange {
        let mut exchange = self.sent();
        super::content::Decoder::default().decode(&mut exchange);
        exchange
    }

    fn sent(self) -> Exchange {
        let start = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let request = Request {
            head: head(&start, &self.request_fields),
            method: span(0, self.method.len()),
            target: span(self.method.len() + 1, self.target.len()),
            version: 11,
            trailers: trailers(&self.request_trailers),
            body: self.request_body,
            time_ns: (1_000, 1_100),
            early_data: false,
        };
        let outcome = self.status.map_or(Outcome::Unanswered, |status| {
            Outcome::Answered(Box::new(Response {
                head: head(&format!("HTTP/1.1 {status} X\r\n"), &self.response_fields),
                status,
                trailers: trailers(&self.trailers),
                body: self.response_body,
                time_ns: (1_200, 1_300),
            }))
        });
        Exchange {
            connection: connection(self.tls, self.remote),
            request,
            outcome,
            caller: self.caller,
            calls: self.calls,
            anomalies: SmallVec::new(),
            part: self.part,
        }
    }
}

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    fields.iter().map(own).collect()
}

fn trailers(fields: &[(String, String)]) -> Head {
    if fields.is_empty() {
        Head::default()
    } else {
        head("", fields)
    }
}

fn connection(tls: bool, remote: IpAddr) -> Arc<Connection> {
    let process = ProcessKey { pid: 42, start_ns: 1 };
    let local = if remote.is_loopback() {
        remote
    } else {
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))
    };
    let source = if tls { Source::Tls } else { Source::Socket };
    Arc::new(Connection {
        stream: StreamKey {
            process,
            source,
            id: 1,
            generation: 0,
        },
        process,
        comm: Comm::default(),
        container: None,
        role: Role::Server,
        local: Some((local, 443)),
        remote: Some((remote, 50_000)),
        evidence: Some(Evidence::Recorded),
        ambiguous: false,
        proxied_for: None,
        tls,
    })
}

fn whole(pieces: &[&[u8]]) -> Body {
    Body {
        pieces: pieces
            .iter()
            .map(|piece| BodyPiece(Bytes::copy_from_slice(piece)))
            .collect(),
        total: pieces.iter().map(|piece| piece.len() as u64).sum(),
        state: BodyState::Whole,
        ..Body::default()
    }
}

fn head(start: &str, fields: &[(String, String)]) -> Head {
    let mut raw = start.to_owned();
    let mut headers = Vec::new();
    for (name, value) in fields {
        let at = raw.len();
        write!(raw, "{name}: {value}\r\n").unwrap();
        headers.push((span(at, name.len()), span(at + name.len() + 2, value.len())));
    }
    raw.push_str("\r\n");
    Head {
        raw: Bytes::from(raw),
        headers,
    }
}

fn span(start: usize, len: usize) -> Span {
    Span {
        start: u32::try_from(start).unwrap(),
        len: u32::try_from(len).unwrap(),
    }
}
