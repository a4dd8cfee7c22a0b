//! The content of complete exchanges: content codings undone, once, for everybody behind.
//!
//! Takes a complete exchange. Fills in [`Body::content`] and notes anomalies. Never touches a body without a coding.
//! Bounded by the door's [`Limits`].

use bytes::Bytes;

use super::{Body, BodyPiece, Content, Exchange, Head, Outcome};
use crate::protocol::Anomaly;
use crate::protocol::inflate::{self, Limits, Unreadable};

/// Buffers that live from exchange to exchange. They hold observed bytes, so they do not print.
#[derive(Default)]
pub(super) struct Decoder {
    /// A body in several pieces as one.
    joined: Vec<u8>,
    decoded: Vec<u8>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[decoder]")
    }
}

impl Decoder {
    /// Undoes the codings of both bodies; gives the number of anomalies found.
    pub(super) fn decode(&mut self, exchange: &mut Exchange) -> u64 {
        let mut found = [None, None];
        let request = &mut exchange.request;
        let [first, second] = &mut found;
        *first = self.body(&request.head, &mut request.body);
        if let Outcome::Answered(response) = &mut exchange.outcome {
            *second = self.body(&response.head, &mut response.body);
        }
        let before = exchange.anomalies.len();
        exchange.anomalies.extend(found.into_iter().flatten());
        (exchange.anomalies.len() - before) as u64
    }

    fn body(&mut self, head: &Head, body: &mut Body) -> Option<Anomaly> {
        if body.pieces.is_empty() {
            return None;
        }
        let fields = head
            .fields()
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"));
        let codings = match inflate::codings(fields.map(|(_, value)| value.expose())) {
            Ok(codings) if codings.is_empty() => return None,
            Ok(codings) => codings,
            Err(unreadable) => {
                body.content = Content::Unread(unreadable);
                return Some(match unreadable {
                    Unreadable::Unknown => Anomaly::UnknownContentCoding,
                    Unreadable::TooMany => Anomaly::TooManyCodings,
                });
            }
        };
        let input = match body.pieces.as_slice() {
            [piece] => &*piece.0,
            pieces => {
                self.joined.clear();
                for piece in pieces {
                    self.joined.extend_from_slice(&piece.0);
                }
                &self.joined
            }
        };
        let ended = inflate::decode(&codings, input, Limits::default(), &mut self.decoded);
        body.content = Content::Decoded {
            piece: BodyPiece(Bytes::copy_from_slice(&self.decoded)),
            ended,
        };
        ended.anomaly()
    }
}

#[cfg(test)]
mod tests;
