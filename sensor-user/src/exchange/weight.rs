//! What exchanges hold in memory.
//!
//! Takes what is collected of them. Gives bytes, so that whoever keeps many can bound them. Never counts what two of
//! them share but once for each.

use super::{Body, Content, Exchange, Head, Outcome, Request, Response};
use crate::protocol::Span;

impl Head {
    /// The text, and the places of its fields.
    pub(super) fn held_bytes(&self) -> usize {
        self.raw.len() + self.headers.capacity() * size_of::<(Span, Span)>()
    }
}

impl Body {
    pub(super) fn held_bytes(&self) -> usize {
        let pieces: usize = self.pieces.iter().map(|piece| piece.0.len()).sum();
        let decoded = match &self.content {
            Content::Decoded { piece, .. } => piece.0.len(),
            Content::Plain | Content::Forgotten { .. } | Content::Unread(_) => 0,
        };
        pieces + decoded + self.bytes_beside()
    }
}

impl Response {
    fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.head.held_bytes() + self.trailers.held_bytes() + self.body.held_bytes()
    }
}

impl Request {
    fn held_bytes(&self) -> usize {
        self.head.held_bytes() + self.trailers.held_bytes() + self.body.held_bytes()
    }
}

impl Exchange {
    /// Heads, bodies, and the exchange itself.
    pub(super) fn held_bytes(&self) -> usize {
        let response = match &self.outcome {
            Outcome::Answered(response) => response.held_bytes(),
            Outcome::Unanswered | Outcome::Lost => 0,
        };
        size_of::<Self>() + self.request.held_bytes() + response
    }
}
