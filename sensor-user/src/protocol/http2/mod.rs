//! HTTP/2 (RFC 9113): one direction of a connection to messages of its streams.
//!
//! Takes bytes and holes. Gives heads, pieces of bodies, and what else streams need to know. Never buffers a body; goes
//! on after every hole and every fault, with what became unknown marked. Bounded by [`Limits`], [`MAX_CONTINUATIONS`]
//! and the table's [`hpack::MAX_TABLE`]; each limit hit is an [`Anomaly`].

pub mod frame;
pub mod front;
pub mod head;
pub mod hpack;
mod parser;

use super::{Anomaly, Resync, Span, Step, StreamParser};
pub use head::{Head, Opening};
pub use parser::{Parser, settings};

/// Bounds of the parser.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one header block on the wire, and of the fields that come of it.
    pub head_bytes: usize,
}

/// Fields of one head; as HTTP/1's.
pub const MAX_FIELDS: usize = super::http1::MAX_HEADERS;

/// CONTINUATION frames of one block. Encoders write as few as the largest frame allows; thousands of empty ones are an
/// attack (CVE-2024-27316 and its siblings).
pub const MAX_CONTINUATIONS: u32 = 64;

/// The client's preface (RFC 9113, 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What one direction says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// The client's connection begins.
    Preface,
    /// A header block.
    Head {
        /// The stream it was sent on.
        stream: u32,
        /// The stream that a `PUSH_PROMISE` reserves for the answer.
        promised: Option<u32>,
        /// What it says.
        head: Box<Head>,
        /// Nothing follows on the stream.
        last: bool,
    },
    /// A header block that was not seen whole, or cannot be read.
    HeadLost {
        /// The stream.
        stream: u32,
        /// It is one of `PUSH_PROMISE`.
        promise: bool,
        /// Nothing follows on the stream.
        last: bool,
        /// Why, when the peer is to blame.
        anomaly: Option<Anomaly>,
    },
    /// Bytes of a body.
    Body {
        /// The stream.
        stream: u32,
        /// Where they are; may be none.
        piece: Span,
        /// Nothing follows on the stream.
        last: bool,
    },
    /// Bytes of a body that were not seen.
    BodyLost {
        /// The stream.
        stream: u32,
        /// How many.
        missing: u64,
        /// Nothing follows on the stream.
        last: bool,
    },
    /// The stream ends here, whatever is missing.
    Reset {
        /// The stream.
        stream: u32,
    },
    /// The sender takes no streams above `last` any more.
    Goaway {
        /// The last one that it took or may take.
        last: u32,
    },
    /// The sender announced how it reads.
    Settings {
        /// How large the table of the other direction may become.
        table: Option<u32>,
        /// Largest payload in the other direction.
        frame: Option<u32>,
    },
    /// A frame that breaks section 6; skipped.
    Odd {
        /// The stream; 0 is the connection.
        stream: u32,
        /// How.
        anomaly: Anomaly,
    },
    /// What no stream needs to know.
    Other,
    /// The place was lost: of every stream, any message may be missing.
    PlaceLost,
}

#[cfg(test)]
mod tests;
