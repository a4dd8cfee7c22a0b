//! Reassembly of one stream: the order of each direction's bytes, and the order of the two directions.
//!
//! Takes pieces named by direction and position. Gives them without overlap, with a gap where bytes are missing.
//! Never looks at payload. Bounded by the number of held pieces, which the table keeps in check.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Buf;

use super::bind::Binding;
use super::{FlowEvent, Payload};
use crate::capture::{Data, Direction, Gap, GapReason, StreamKey};
use crate::telemetry::ledger::{Post, Tally as Books};

/// Bytes or known absence of bytes at a position.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) direction: Direction,
    pub(super) position: u64,
    pub(super) time_ns: u64,
    pub(super) content: Content,
}

impl Piece {
    pub(super) fn of_data(data: Data) -> Self {
        Self {
            direction: data.direction,
            position: data.position,
            time_ns: data.origin.time_ns,
            content: Content::Bytes(Payload(data.bytes), data.early),
        }
    }

    pub(super) fn of_gap(gap: &Gap) -> Self {
        Self {
            direction: gap.direction,
            position: gap.position,
            time_ns: gap.origin.time_ns,
            content: Content::Missing(gap.missing, gap.reason),
        }
    }
}

#[derive(Debug)]
pub(super) enum Content {
    /// Bytes, and whether they are TLS early data.
    Bytes(Payload, bool),
    Missing(u64, GapReason),
}

impl Piece {
    pub(super) fn len(&self) -> u64 {
        match &self.content {
            Content::Bytes(Payload(bytes), _) => bytes.len() as u64,
            Content::Missing(missing, _) => *missing,
        }
    }

    /// Bytes this piece keeps in memory.
    pub(super) fn weight(&self) -> usize {
        match &self.content {
            Content::Bytes(Payload(bytes), _) => bytes.len(),
            Content::Missing(..) => 0,
        }
    }

    fn drop_front(&mut self, count: u64) {
        self.position += count;
        match &mut self.content {
            Content::Bytes(Payload(bytes), _) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                bytes.advance(count.min(bytes.len()));
            }
            Content::Missing(missing, _) => *missing = missing.saturating_sub(count),
        }
    }
}

/// One stream's place in both directions.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) key: StreamKey,
    pub(super) binding: Option<Binding>,
    /// Next expected position of each direction: read, written.
    next: [u64; 2],
    /// Pieces that wait, of both directions in the order they came: while one direction waits for bytes, the other
    /// waits with it, so that an answer never overtakes the question it answers.
    held: VecDeque<Piece>,
    /// The account of its process.
    books: Arc<Books>,
    /// It ended: nothing will follow.
    pub(super) ended: bool,
}

/// What became of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    /// Bytes that had been delivered or declared missing before.
    pub(super) late: u64,
    /// Bytes declared missing.
    pub(super) missing: u64,
    /// Bytes of payload that entered (positive) or left the held pieces.
    pub(super) held: isize,
}

type Sink<'a> = &'a mut dyn FnMut(FlowEvent);

impl Stream {
    pub(super) fn new(key: StreamKey, books: Arc<Books>) -> Self {
        Self {
            books,
            ended: false,
            key,
            binding: None,
            next: [0; 2],
            held: VecDeque::new(),
        }
    }

    /// Takes the next piece in the order of the ring.
    pub(super) fn push(&mut self, piece: Piece, sink: Sink<'_>, tally: &mut Tally) {
        if let Content::Bytes(Payload(bytes), _) = &piece.content {
            self.books.add(Post::ReceivedRecords, 1);
            self.books.add(Post::ReceivedBytes, bytes.len() as u64);
        }
        if self.held.is_empty() && piece.position <= self.expected(&piece) {
            return self.deliver(piece, sink, tally);
        }
        tally.held += piece.weight().cast_signed();
        self.books.shift(Post::HeldBytes, 0, piece.weight());
        self.held.push_back(piece);
        self.drain(sink, tally);
    }

    /// Gives up what waits: it is not to be looked at. What it waits for may be on its way, and is not missing.
    pub(super) fn let_go(&mut self, tally: &mut Tally) {
        while let Some(piece) = self.held.pop_front() {
            tally.held -= piece.weight().cast_signed();
            self.books.shift(Post::HeldBytes, piece.weight(), 0);
            self.books.add(Post::LeftOutBytes, piece.weight() as u64);
            self.skip(&piece);
        }
    }

    /// Takes a piece that is not to be looked at.
    pub(super) fn pass_over(&mut self, piece: &Piece) {
        if matches!(piece.content, Content::Bytes(..)) {
            self.books.add(Post::ReceivedRecords, 1);
            self.books.add(Post::ReceivedBytes, piece.len());
            self.books.add(Post::LeftOutBytes, piece.len());
        }
        self.skip(piece);
    }

    fn skip(&mut self, piece: &Piece) {
        let end = piece.position.saturating_add(piece.len());
        let next = self.expected(piece).max(end);
        self.move_on(piece.direction, next);
    }

    /// Pieces that wait for an earlier one.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// When the piece that waits longest came.
    pub(super) fn held_since(&self) -> Option<u64> {
        self.held.front().map(|piece| piece.time_ns)
    }

    /// Gives up waiting for what the first held piece waits for.
    pub(super) fn declare_lost(&mut self, sink: Sink<'_>, tally: &mut Tally) {
        let Some(front) = self.held.front() else { return };
        let (direction, time_ns) = (front.direction, front.time_ns);
        let expected = self.expected(front);
        let waiting = self.held.iter().filter(|piece| piece.direction == direction);
        let Some(resume) = waiting.map(|piece| piece.position).min() else {
            return;
        };
        if resume > expected {
            let missing = Piece {
                direction,
                position: expected,
                time_ns,
                content: Content::Missing(resume - expected, GapReason::Lost),
            };
            self.deliver(missing, sink, tally);
        }
        self.drain(sink, tally);
    }

    /// Delivers every held piece, declaring lost what is missing in between.
    pub(super) fn flush(&mut self, sink: Sink<'_>, tally: &mut Tally) {
        while !self.held.is_empty() {
            self.declare_lost(sink, tally);
        }
    }

    /// Delivers held pieces in the order they came, as far as nothing is missing before them.
    fn drain(&mut self, sink: Sink<'_>, tally: &mut Tally) {
        while let Some(front) = self.held.front() {
            let ready = if front.position <= self.expected(front) {
                Some(0)
            } else {
                let direction = front.direction;
                self.held
                    .iter()
                    .position(|piece| piece.direction == direction && piece.position <= self.expected(piece))
            };
            let Some(piece) = ready.and_then(|index| self.held.remove(index)) else {
                return;
            };
            tally.held -= piece.weight().cast_signed();
            self.books.shift(Post::HeldBytes, piece.weight(), 0);
            self.deliver(piece, sink, tally);
        }
    }

    /// Position at which `piece` would follow what its direction has delivered. Sources count from the first byte
    /// they saw, joined in the middle or not, so a direction that starts later has lost its beginning.
    fn expected(&self, piece: &Piece) -> u64 {
        let [read, write] = self.next;
        match piece.direction {
            Direction::Read => read,
            Direction::Write => write,
        }
    }

    fn move_on(&mut self, direction: Direction, to: u64) {
        let [read, write] = &mut self.next;
        match direction {
            Direction::Read => *read = to,
            Direction::Write => *write = to,
        }
    }

    /// Hands on what of `piece` is new. Its position is at or before the expected one.
    fn deliver(&mut self, mut piece: Piece, sink: Sink<'_>, tally: &mut Tally) {
        let expected = self.expected(&piece);
        debug_assert!(piece.position <= expected);
        let known = (expected - piece.position).min(piece.len());
        if known > 0 {
            // A gap that was declared already is no late byte.
            let late = known.min(piece.weight() as u64);
            tally.late += late;
            self.books.add(Post::LateBytes, late);
            piece.drop_front(known);
        }
        self.move_on(piece.direction, expected + piece.len());
        if piece.len() == 0 {
            return;
        }
        sink(self.event(piece, tally));
    }

    fn event(&self, piece: Piece, tally: &mut Tally) -> FlowEvent {
        let Piece {
            direction,
            time_ns,
            content,
            ..
        } = piece;
        match content {
            Content::Bytes(bytes, early) => {
                self.books.add(Post::OrderedBytes, bytes.0.len() as u64);
                FlowEvent::Chunk {
                    stream: self.key,
                    direction,
                    time_ns,
                    early,
                    bytes,
                }
            }
            Content::Missing(missing, reason) => {
                tally.missing += missing;
                self.books.add(post(reason), missing);
                FlowEvent::Gap {
                    stream: self.key,
                    direction,
                    time_ns,
                    missing,
                    reason,
                }
            }
        }
    }
}

const fn post(reason: GapReason) -> Post {
    match reason {
        GapReason::Limit => Post::MissingLimit,
        GapReason::Fault => Post::MissingFault,
        GapReason::Iovecs => Post::MissingIovecs,
        GapReason::Unseen | GapReason::Bypass => Post::MissingUnseen,
        GapReason::Lost => Post::MissingLost,
    }
}

impl Drop for Stream {
    /// Forgotten before its end, or lost in a fault: its bytes are accounted for all the same.
    fn drop(&mut self) {
        let held: usize = self.held.iter().map(Piece::weight).sum();
        self.books.shift(Post::HeldBytes, held, 0);
        self.books.add(Post::AbandonedBytes, held as u64);
        if !self.ended {
            let [read, write] = self.next;
            let known = read.saturating_add(write).saturating_add(held as u64);
            self.books.add(Post::ForgottenBytes, known);
        }
    }
}
