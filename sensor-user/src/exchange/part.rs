//! Parts of an exchange that are seen before it ends: messages of a WebSocket, events of a stream.
//!
//! Takes the exchange that began it. Gives each part as an exchange of its own, at the same endpoint and of the same
//! caller. Never repeats the head's fields, which were judged with the exchange itself; only `Host` is kept. Bounded by
//! that head.

use std::sync::Arc;

use smallvec::SmallVec;

use super::call::{Call, CallKind, CallName, Calls};
use super::{Body, Caller, Connection, Exchange, Head, Outcome, PartKind, Request, Response};
use crate::protocol::Anomaly;

/// What all parts share.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    request: Request,
    response: Response,
    caller: Caller,
}

/// What one part has of its own.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) kind: PartKind,
    pub(super) body: Body,
    /// First byte, last byte.
    pub(super) time_ns: (u64, u64),
    pub(super) calls: Calls,
    pub(super) anomalies: SmallVec<[Anomaly; 2]>,
}

impl Whole {
    /// Of an exchange whose answer has begun.
    pub(super) fn of(exchange: &Exchange) -> Option<Self> {
        let request = &exchange.request;
        let response = exchange.outcome.response()?;
        let host = |(name, _): &&(_, _)| {
            let name: &crate::protocol::Span = name;
            name.of(&request.head.raw).eq_ignore_ascii_case(b"host")
        };
        Some(Self {
            request: Request {
                head: Head {
                    raw: request.head.raw.clone(),
                    headers: request.head.headers.iter().filter(host).copied().collect(),
                },
                trailers: Head::default(),
                body: Body::default(),
                early_data: false,
                ..*request
            },
            response: Response {
                head: Head::default(),
                trailers: Head::default(),
                body: Body::default(),
                ..*response
            },
            caller: exchange.caller,
        })
    }

    /// One part.
    pub(super) fn part(&self, connection: &Arc<Connection>, part: Part) -> Exchange {
        let (mut request, mut response) = (self.request.clone(), self.response.clone());
        (request.time_ns, response.time_ns) = (part.time_ns, part.time_ns);
        match part.kind {
            PartKind::MessageToServer => request.body = part.body,
            PartKind::MessageToClient | PartKind::Event => response.body = part.body,
        }
        Exchange {
            connection: Arc::clone(connection),
            request,
            outcome: Outcome::Answered(Box::new(response)),
            caller: self.caller,
            calls: part.calls,
            anomalies: part.anomalies,
            part: Some(part.kind),
        }
    }
}

/// A part's own call.
pub(super) fn call(kind: CallKind, name: &[u8]) -> Call {
    Call::new(kind, CallName::new(name))
}
