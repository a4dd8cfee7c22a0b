//! What reads a connection once its protocol is known.
//!
//! Takes chunks and holes of both directions in the order they were seen. Gives exchanges, through [`Context::out`].
//! Never keeps more bytes than it says in [`Reader::waiting_bytes`].

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::prefix::Holes;
use super::secret::HashKey;
use super::{Connection, Exchange, Limits};
use crate::capture::{Direction, GapReason};
use crate::telemetry::ledger::Tally as Books;

/// What a conversation needs of its surroundings.
pub(super) struct Context<'a> {
    pub(super) limits: &'a Limits,
    pub(super) key: &'a HashKey,
    pub(super) connection: &'a Arc<Connection>,
    pub(super) out: &'a mut Vec<Exchange>,
}

/// Bytes of one direction as they came.
pub(super) struct Chunk {
    pub(super) direction: Direction,
    pub(super) time_ns: u64,
    /// They are TLS early data.
    pub(super) early: bool,
    pub(super) bytes: Bytes,
}

/// The protocol of one connection.
pub(super) trait Reader: Debug + Send {
    /// Takes the next bytes of a direction. Returns whether they were of a protocol that is read.
    fn chunk(&mut self, chunk: Chunk, context: &mut Context<'_>) -> bool;

    /// The next `missing` bytes of a direction are missing.
    fn gap(&mut self, direction: Direction, missing: u64, reason: GapReason, context: &mut Context<'_>);

    /// No more bytes in a direction.
    fn end(&mut self, direction: Direction, time_ns: u64, context: &mut Context<'_>);

    /// The connection ended.
    fn finish(&mut self, time_ns: u64, context: &mut Context<'_>);

    /// What is under way is given up, and the connection with it, though it goes on.
    fn give_up(&mut self, time_ns: u64, reason: GapReason, context: &mut Context<'_>);

    /// Enters what became of the bytes since the last call; gives their number.
    fn take_fates(&mut self, books: &Books) -> u64;

    /// Bytes that wait for more.
    fn waiting_bytes(&self) -> usize;

    /// Memory of what is not complete: heads, bodies and messages under way, requests without their answer. Beyond what
    /// an idle connection costs. As good as the bytes of messages tell: what holds them may be twice as large.
    fn held_bytes(&self) -> usize;

    /// For the accounts, since the last call.
    fn take_tally(&mut self) -> ReaderTally;

    /// Another protocol that the connection turned into since the last chunk, and what of it was seen already. What it
    /// hands over is not in [`Self::take_fates`] nor waiting any more.
    fn take_turn(&mut self) -> Option<Turn> {
        None
    }
}

/// Counts of a reader.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct ReaderTally {
    /// Departures from the protocol.
    pub(super) anomalies: u64,
    /// Responses whose request was not seen.
    pub(super) unpaired: u64,
}

/// A connection goes on in another protocol (RFC 9110, 7.8).
#[derive(Debug)]
pub(super) struct Turn {
    /// What comes next.
    pub(super) next: Next,
    /// What is missing before the first bytes of it.
    pub(super) holes: Holes,
    /// Bytes of the new protocol that came already, in the order of their directions.
    pub(super) seen: SmallVec<[Chunk; 2]>,
}

/// What a connection goes on in.
#[derive(Debug)]
pub(super) enum Next {
    /// A protocol that is read.
    Read(Box<dyn Reader>),
    /// A tunnel: a connection begins in it, and its protocol is to be recognised.
    Recognise,
}

impl Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.bytes.len())
    }
}
