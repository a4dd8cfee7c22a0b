//! A body while it is collected.
//!
//! Takes pieces, holes and ends in order. Gives the front of the body up to a limit or the first hole; frames of gRPC
//! are followed to its end. Never copies a piece unless it is small and not the first. Bounded by the limit handed in
//! (what pieces cost beside their bytes is less than that again), and by what [`Frames`] keeps.

use bytes::Bytes;

use super::grpc::{Frames, Sender};
use super::{Body, BodyPiece, BodyState, Head};
use crate::capture::GapReason;

/// A piece costs about a hundred bytes beside its own: shorter ones are joined with the one before.
const SMALL_PIECE: usize = 1024;
/// What small pieces are joined to at most, so that a long body is not copied again and again.
const JOINED: usize = 4096;

impl Body {
    /// Of a message with that head, before its first byte.
    pub(super) fn behind(head: &Head, sender: Sender) -> Self {
        Self {
            frames: Frames::of(head, sender).map(Box::new),
            ..Self::default()
        }
    }

    /// Takes the next bytes.
    pub(super) fn add(&mut self, mut piece: Bytes, limit: usize) {
        if let Some(frames) = &mut self.frames {
            frames.feed(&piece);
        }
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
            self.keep(piece);
        }
    }

    fn keep(&mut self, piece: Bytes) {
        if piece.len() < SMALL_PIECE
            && self.pieces.last().is_some_and(|last| last.0.len() < JOINED)
            && let Some(BodyPiece(last)) = self.pieces.pop()
        {
            // Nobody else has it unless it is a part of a record; then it stays as it is.
            match last.try_into_mut() {
                Ok(mut joined) => {
                    joined.extend_from_slice(&piece);
                    return self.pieces.push(BodyPiece(joined.freeze()));
                }
                Err(last) => self.pieces.push(BodyPiece(last)),
            }
        }
        self.pieces.push(BodyPiece(piece));
    }

    /// The next bytes were told as parts.
    pub(super) fn told(&mut self, len: usize) {
        self.total = self.total.saturating_add(len as u64);
        self.spoil(BodyState::InParts);
    }

    /// The next `missing` bytes were not captured; 0 when nobody knows how many.
    pub(super) fn hole(&mut self, missing: u64, reason: GapReason) {
        if let Some(frames) = &mut self.frames {
            frames.hole(missing);
        }
        self.total = self.total.saturating_add(missing);
        self.spoil(BodyState::Holed(reason));
    }

    /// What follows will never be seen.
    pub(super) fn cut(&mut self) {
        if let Some(frames) = &mut self.frames {
            frames.cut();
        }
        self.spoil(BodyState::Cut);
    }

    /// Bytes kept beside the pieces.
    pub(super) fn bytes_beside(&self) -> usize {
        self.frames.as_ref().map_or(0, |frames| frames.bytes())
    }

    /// The first thing that went wrong is what `pieces` ends at.
    fn spoil(&mut self, state: BodyState) {
        if self.is_whole() {
            self.state = state;
        }
    }
}
