//! A body while it is collected.
//!
//! Takes pieces, holes and ends in order. Gives the front of the body up to a limit or the first hole. Never joins or
//! copies. Bounded by the limit handed in.

use bytes::Bytes;

use super::{Body, BodyPiece, BodyState};
use crate::capture::GapReason;

impl Body {
    /// Takes the next bytes.
    pub(super) fn add(&mut self, mut piece: Bytes, limit: usize) {
        let before = self.total;
        self.total = self.total.saturating_add(piece.len() as u64);
        if !self.is_whole() {
            return;
        }
        // Nothing is missing so far, so all bytes before are kept.
        let room = (limit as u64).saturating_sub(before);
        self.state = BodyState::Whole;
        if piece.len() as u64 > room {
            self.state = BodyState::Limited;
            piece.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        }
        if !piece.is_empty() {
            self.pieces.push(BodyPiece(piece));
        }
    }

    /// The next `missing` bytes were not captured.
    pub(super) fn hole(&mut self, missing: u64, reason: GapReason) {
        self.total = self.total.saturating_add(missing);
        self.spoil(BodyState::Holed(reason));
    }

    /// What follows will never be seen.
    pub(super) fn cut(&mut self) {
        self.spoil(BodyState::Cut);
    }

    /// The first thing that went wrong is what `pieces` ends at.
    fn spoil(&mut self, state: BodyState) {
        if self.is_whole() {
            self.state = state;
        }
    }
}
