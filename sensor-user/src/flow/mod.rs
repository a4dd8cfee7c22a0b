//! [`Record`](crate::capture::Record)s to the ordered bytes of one direction of one connection.
//!
//! Takes records in ring order. Gives [`FlowEvent`]s: for each direction, chunks and gaps whose positions follow
//! each other without overlap. Never looks at payload. Bounded by [`Limits`].

mod bind;
mod left_out;
mod stream;
mod table;

use std::sync::Arc;

use bytes::Bytes;

use crate::capture::{
    CloseReason, Container, Direction, Evidence, GapReason, ProcessEvent, ProcessKey, SocketAddress,
    StreamKey,
};

pub use left_out::subject;
pub use table::FlowTable;

/// One step of a stream. Chunks and gaps of a direction arrive in the order of their positions.
#[derive(Clone, Debug)]
pub enum FlowEvent {
    /// The next bytes.
    Chunk {
        /// The stream.
        stream: StreamKey,
        /// Direction.
        direction: Direction,
        /// When the call that carried them returned.
        time_ns: u64,
        /// They are TLS early data.
        early: bool,
        /// The bytes. Wrapped so that they never print.
        bytes: Payload,
    },
    /// The next bytes are missing.
    Gap {
        /// The stream.
        stream: StreamKey,
        /// Direction.
        direction: Direction,
        /// When this was noticed.
        time_ns: u64,
        /// How many.
        missing: u64,
        /// Why.
        reason: GapReason,
    },
    /// The stream's socket became known, or is known to be uncertain.
    Bound {
        /// The stream.
        stream: StreamKey,
        /// The socket.
        socket: SocketAddress,
        /// What this rests on.
        evidence: Evidence,
        /// Two sockets were seen; neither can be trusted.
        ambiguous: bool,
    },
    /// No more bytes in either direction (or, for [`CloseReason::Shutdown`], none written).
    Closed {
        /// The stream.
        stream: StreamKey,
        /// When.
        time_ns: u64,
        /// How.
        reason: CloseReason,
    },
    /// The stream idle longest was forgotten to make room: nothing more is heard of it under this name.
    Forgotten {
        /// The stream.
        stream: StreamKey,
        /// When.
        time_ns: u64,
    },
    /// The process replaced its program.
    ProcessStarted(ProcessEvent),
    /// Where the process runs.
    ProcessPlaced {
        /// The process.
        process: ProcessKey,
        /// Its container, if any.
        container: Option<Arc<Container>>,
    },
    /// The process ended: all of its streams are closed already.
    ProcessEnded(ProcessEvent),
}

/// Bytes of an application. Prints its length only.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload(pub Bytes);

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

/// Bounds of the flow table.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Streams remembered at most; the one idle longest makes room and is counted.
    pub streams: usize,
    /// Records of one stream held while an earlier one is awaited.
    pub held_records: usize,
    /// Bytes held by all streams together while earlier ones are awaited.
    pub held_bytes: usize,
    /// Nanoseconds a record is held before what is missing is declared lost, and an end before it is believed.
    pub held_ns: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 65_536,
            held_records: 16,
            held_bytes: 16 * 1024 * 1024,
            held_ns: 50_000_000,
        }
    }
}

#[cfg(test)]
mod tests;
