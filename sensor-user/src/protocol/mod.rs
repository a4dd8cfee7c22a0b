//! Bytes to messages, for every protocol the sensor reads.
//!
//! Takes the bytes of one direction, however split. Gives messages and anomalies.
//! Never performs I/O, reads a clock, logs, spawns or panics, and uses nothing else of this crate.
//! Bounded by the `Limits` handed in; each limit hit is an [`Anomaly`].

mod anomaly;
pub mod chars;
pub mod detect;
pub mod document;
pub mod envelope;
pub mod form;
pub mod graphql;
pub mod grpc;
pub mod http1;
pub mod http2;
pub mod inflate;
pub mod json;
pub mod multipart;
pub mod name;
pub mod protobuf;
pub mod proxy;
pub mod soap;
pub mod sse;
pub mod walk;
pub mod websocket;
pub mod xml;

use std::num::NonZeroUsize;

pub use anomaly::Anomaly;

/// Turns one direction of a connection's bytes into protocol messages.
///
/// Law (property-tested): how the bytes are split never changes the output, where adjacent pieces of a body count
/// as one. One exception: a parser that lost its place takes the start of an input for a likelier start of a message
/// than the middle of one.
///
/// The caller keeps what a step did not consume and presents it again, with more behind it.
pub trait StreamParser {
    /// What comes out. Spans inside it are relative to the bytes that the same step consumed.
    type Message;

    /// Looks at the front of `input` and says how to proceed. Never blocks, never panics.
    fn step(&mut self, input: &[u8]) -> Step<Self::Message>;

    /// `missing` bytes were lost in the kernel or by reassembly; find the next boundary or stop.
    fn on_gap(&mut self, missing: u64) -> Resync<Self::Message>;

    /// No more bytes will come. Gives the end of a message that only the end of the connection ends, or tells that
    /// the one under way is cut.
    fn on_end(&mut self) -> Option<Self::Message>;
}

/// How a parser wants to proceed.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Step<M> {
    /// Drop `consumed` bytes. `message` is `None` while something is skipped.
    Advance {
        /// Bytes to drop from the front of the input.
        consumed: NonZeroUsize,
        /// What they were.
        message: Option<M>,
    },
    /// Call again once `at_least` bytes are buffered; nothing was consumed.
    NeedMore {
        /// Bytes needed from the front of the input.
        at_least: NonZeroUsize,
    },
    /// The peer broke the protocol; the anomaly is itself evidence. What was buffered is of no use; after
    /// `on_gap(0)` the parser looks for the next message in bytes to come.
    Reject(Anomaly),
}

/// What a parser makes of a hole.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Resync<M> {
    /// The hole lies within a part of known length: parsing goes on exactly where it ends. A message is given
    /// when the hole ended one.
    Exact(Option<M>),
    /// The place in the protocol is lost: bytes are skipped until a message starts. A message that was under way
    /// is given as cut.
    Searching(Option<M>),
}

/// Bytes within the input that a step consumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// As a range of indices.
    pub const fn range(&self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start.saturating_add(self.len as usize)
    }

    /// The bytes in `raw`, or nothing when the span lies outside of it.
    pub fn of<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        raw.get(self.range()).unwrap_or_default()
    }
}
