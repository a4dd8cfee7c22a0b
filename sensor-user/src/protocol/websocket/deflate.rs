//! Compressed messages (`permessage-deflate`, RFC 7692), one direction.
//!
//! Takes payloads without masks. Gives what they were, in pieces. Between messages only the window is kept, at most
//! 32 KiB, and none without context takeover; the decoder, which has another, lives while a message does. Never gives
//! more than [`MAX_MESSAGE`] of one message, nor inflates beyond [`MAX_RATIO`].

use super::handshake::Window;
use crate::protocol::Anomaly;
use crate::protocol::inflate::{Ended, Limits, STATE_BYTES, Stream};

/// Bytes of one message, inflated. Servers commonly refuse larger ones far earlier (Python `websockets` 1 MiB, Node
/// `ws` 100 MiB); what is kept of a body is far less.
pub const MAX_MESSAGE: usize = 16 << 20;

/// Inflated for each byte compressed, beyond the first [`FREE`] bytes. Text and JSON reach 5 to 20, DEFLATE cannot
/// exceed 1,032.
pub const MAX_RATIO: usize = 200;

/// Bytes below which the ratio says nothing.
const FREE: usize = 64 << 10;

/// Bounds of one message.
const LIMITS: Limits = Limits {
    output_bytes: MAX_MESSAGE,
    ratio: MAX_RATIO,
    free_bytes: FREE,
};

/// What the sender left off (RFC 7692, 7.2.1).
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// Why a message did not inflate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// It refers to bytes that were not seen: nobody's fault.
    Unseen,
    /// It is malformed or too large.
    Bad(Anomaly),
}

/// One direction.
pub struct Inflater {
    window: Window,
    /// The last bytes given. Holds observed bytes.
    history: Vec<u8>,
    stream: Option<Stream>,
    /// The rest of the message cannot be inflated.
    broken: bool,
    /// Bytes before `history` are not known though the window reaches there. A message that refers to them fails, and
    /// all that follows from what is known is right; once the window is full again nothing is missing.
    torn: bool,
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[inflater, {} bytes, torn: {}]", self.history.len(), self.torn)
    }
}

impl Inflater {
    /// At the first message.
    pub const fn new(window: Window) -> Self {
        Self {
            window,
            history: Vec::new(),
            stream: None,
            broken: false,
            torn: false,
        }
    }

    /// Whether messages refer to the ones before, so that all of each must be inflated.
    pub const fn takes_over(&self) -> bool {
        self.window.takeover
    }

    /// Memory of the window, and of the decoder while a message is under way.
    pub fn held_bytes(&self) -> usize {
        let decoder = self.stream.as_ref().map_or(0, |_| STATE_BYTES);
        self.history.capacity() + decoder
    }

    /// Takes the next bytes of a message. After an error nothing more comes of it.
    pub fn feed(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        if self.broken {
            return Ok(());
        }
        self.inflate(input, sink).map_err(|anomaly| self.fail(anomaly))
    }

    /// The message ends.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let result = if self.broken {
            Ok(())
        } else {
            self.inflate(TAIL, sink).map_err(|anomaly| self.fail(anomaly))
        };
        self.end_message();
        result
    }

    /// Bytes of the message, or whole messages, are missing or not wanted.
    pub fn spoil(&mut self) {
        self.broken = true;
        self.torn = true;
        self.stream = None;
        self.history = Vec::new();
    }

    /// Messages are missing here, or were not read.
    pub fn forget(&mut self) {
        self.spoil();
        self.end_message();
    }

    fn fail(&mut self, anomaly: Anomaly) -> Failure {
        let unseen = self.torn && anomaly == Anomaly::WebSocketDeflate;
        self.spoil();
        if unseen {
            Failure::Unseen
        } else {
            Failure::Bad(anomaly)
        }
    }

    fn end_message(&mut self) {
        self.stream = None;
        self.broken = false;
        let window = 1 << self.window.bits;
        let keep = if self.window.takeover { window } else { 0 };
        self.torn &= self.window.takeover && self.history.len() < window;
        trim(&mut self.history, keep);
        self.history.shrink_to(self.history.len());
    }

    fn inflate(&mut self, mut input: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Anomaly> {
        let window = 1 << self.window.bits;
        let history = &mut self.history;
        loop {
            let stream = self.stream.get_or_insert_with(|| Stream::behind(history));
            let (used, ended) = stream.feed(input, LIMITS, &mut |piece| {
                history.extend_from_slice(piece);
                // Twice the window, so that moving it costs less than a copy of what was inflated.
                if history.len() > 2 * window {
                    trim(history, window);
                }
                sink(piece);
            });
            input = input.get(used..).unwrap_or_default();
            match ended {
                Ended::Cut => return Ok(()),
                // A last block may be followed by others (RFC 7692, 7.2.3.4).
                Ended::Whole => {
                    stream.restart(history);
                    if input.is_empty() {
                        return Ok(());
                    }
                }
                Ended::Broken => return Err(Anomaly::WebSocketDeflate),
                Ended::TooLarge | Ended::Bomb => return Err(Anomaly::WebSocketInflated),
            }
        }
    }
}

/// Leaves the last `keep` bytes.
fn trim(history: &mut Vec<u8>, keep: usize) {
    let excess = history.len().saturating_sub(keep);
    history.drain(..excess);
}

#[cfg(test)]
mod tests;
