//! Calls on a WebSocket: GraphQL by its two subprotocols, JSON-RPC, and what else names its messages.
//!
//! Takes messages of both directions in the order they ended. Gives the calls of each: an operation is remembered by its
//! id, so that its answers carry its name, each by itself or in a batch. Never keeps a payload. Bounded by [`OPEN`],
//! [`MAX_CALLS`] and [`MAX_NAME`](super::call::MAX_NAME).

use std::collections::VecDeque;

use super::Body;
use super::call::{Call, CallKind, CallName, CallOutcome, Calls, MAX_CALLS};
use crate::protocol::Anomaly;
use crate::protocol::websocket::Travel;
use envelope::{Envelope, Shape};

mod envelope;

/// Operations waiting for answers on one connection; the oldest is forgotten. Subscriptions of one page are few.
const OPEN: usize = 128;

/// What the messages of one connection say.
#[derive(Debug)]
pub(super) struct Dialogue {
    kind: Kind,
    subprotocol: CallName,
    open: VecDeque<Waiting>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// `graphql-transport-ws`, or the older `graphql-ws`.
    Graphql,
    Other,
}

/// An operation that was asked for.
#[derive(Debug)]
struct Waiting {
    travel: Travel,
    id: CallName,
    call: Call,
}

impl Dialogue {
    /// On a connection with that subprotocol (RFC 6455, 1.9); empty for none.
    pub(super) fn new(subprotocol: &[u8]) -> Self {
        let graphql = [&b"graphql-transport-ws"[..], b"graphql-ws"];
        Self {
            kind: if graphql.contains(&subprotocol) {
                Kind::Graphql
            } else {
                Kind::Other
            },
            subprotocol: CallName::new(subprotocol),
            open: VecDeque::new(),
        }
    }

    /// Names the message, which is the first of `calls`, and adds what is called in it. Gives what is odd about it.
    pub(super) fn message(
        &mut self,
        travel: Travel,
        text: bool,
        body: &Body,
        calls: &mut Calls,
    ) -> Option<Anomaly> {
        let mut name = self.subprotocol.clone();
        let (mut odd, mut is_rpc) = (None, false);
        let mut shape = Shape::Other;
        if text {
            shape = Envelope::each(body, |envelope| {
                is_rpc |= envelope.is_json_rpc;
                if calls.len() >= MAX_CALLS {
                    odd = Some(Anomaly::TooManyCalls);
                } else if self.kind == Kind::Graphql {
                    name = CallName::new(&envelope.kind);
                    calls.extend(self.graphql(travel, &envelope, body));
                } else if envelope.is_json_rpc {
                    calls.extend(self.json_rpc(travel, &envelope));
                }
            });
        }
        match shape {
            // Requests of GraphQL in a batch have no ids by which their answers could be known.
            Shape::Batch if !is_rpc => {
                calls.truncate(1);
                calls.extend(super::calls::message(front(body)).calls);
            }
            Shape::Batch | Shape::One | Shape::Other => {}
        }
        if let Some(first) = calls.first_mut() {
            first.name = if shape == Shape::Batch {
                self.subprotocol.clone()
            } else {
                name
            };
        }
        odd
    }

    /// The message types of both subprotocols: `subscribe`, `next` and `complete` of the newer, `start`, `data` and
    /// `stop` of the older; `error` and `complete` of both.
    fn graphql(&mut self, travel: Travel, envelope: &Envelope, body: &Body) -> Option<Call> {
        let id = CallName::new(&envelope.id);
        match envelope.kind.as_slice() {
            b"subscribe" | b"start" => {
                // The front of the document names it when the rest is not there.
                let found = super::calls::message(front(body)).calls;
                let call = found.into_iter().next().unwrap_or_else(|| envelope.operation());
                self.remember(travel, id, call.clone());
                Some(call)
            }
            b"next" | b"data" => {
                let mut call = self.asked(Travel::ToServer, &id)?.call.clone();
                // GraphQL, 7.1: `errors` beside `data` is a failure in part, and said to be one.
                call.outcome = if envelope.has_errors {
                    CallOutcome::Failure(0)
                } else {
                    CallOutcome::Success
                };
                Some(call)
            }
            b"error" => {
                let mut call = self.forget(Travel::ToServer, &id)?;
                call.outcome = CallOutcome::Failure(0);
                Some(call)
            }
            b"complete" | b"stop" => self.forget(Travel::ToServer, &id),
            _ => None,
        }
    }

    /// JSON-RPC 2.0: either side may call, and the other answers by id.
    fn json_rpc(&mut self, travel: Travel, envelope: &Envelope) -> Option<Call> {
        let id = CallName::new(&envelope.id);
        if !envelope.method.is_empty() {
            let call = Call::new(CallKind::JsonRpc, CallName::new(&envelope.method));
            // One without an id is a notification (4.1).
            if !envelope.id.is_empty() {
                self.remember(travel, id, call.clone());
            }
            return Some(call);
        }
        let outcome = match (envelope.error, envelope.has_result) {
            (Some(code), _) => CallOutcome::Failure(code),
            (None, true) => CallOutcome::Success,
            (None, false) => return None,
        };
        let asked = self.forget(opposite(travel), &id);
        let name = asked.map(|call| call.name).unwrap_or_default();
        let mut call = Call::new(CallKind::JsonRpc, name);
        call.outcome = outcome;
        Some(call)
    }

    fn remember(&mut self, travel: Travel, id: CallName, call: Call) {
        self.forget(travel, &id);
        if self.open.len() >= OPEN {
            self.open.pop_front();
        }
        self.open.push_back(Waiting { travel, id, call });
    }

    fn asked(&self, travel: Travel, id: &CallName) -> Option<&Waiting> {
        self.open.iter().find(|one| one.travel == travel && one.id == *id)
    }

    fn forget(&mut self, travel: Travel, id: &CallName) -> Option<Call> {
        let at = self
            .open
            .iter()
            .position(|one| one.travel == travel && one.id == *id)?;
        self.open.remove(at).map(|one| one.call)
    }
}

fn front(body: &Body) -> &[u8] {
    let piece = body.pieces.first();
    piece.map(|piece| piece.0.trim_ascii_start()).unwrap_or_default()
}

const fn opposite(travel: Travel) -> Travel {
    match travel {
        Travel::ToServer => Travel::ToClient,
        Travel::ToClient => Travel::ToServer,
    }
}
