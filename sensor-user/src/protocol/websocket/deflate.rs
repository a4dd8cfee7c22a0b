//! Compressed messages (`permessage-deflate`, RFC 7692), one direction.
//!
//! Takes payloads without masks. Gives what they were, in pieces. Between messages only the window is kept, at most
//! 32 KiB, and none without context takeover; the 10 KiB of the decoder live while a message does. Never gives more
//! than [`MAX_MESSAGE`] of one message, nor inflates beyond [`MAX_RATIO`].

#![expect(
    clippy::disallowed_types,
    reason = "the capped door of compressed messages, which share a window: protocol::inflate reads whole bodies"
)]

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::handshake::Window;
use crate::protocol::Anomaly;

/// Bytes of one message, inflated. Servers commonly refuse larger ones far earlier (Python `websockets` 1 MiB, Node
/// `ws` 100 MiB); what is kept of a body is far less.
pub const MAX_MESSAGE: u64 = 16 << 20;

/// Inflated for each byte compressed, beyond the first [`FREE`] bytes. Text and JSON reach 5 to 20, DEFLATE cannot
/// exceed 1,032.
pub const MAX_RATIO: u64 = 200;

/// Bytes below which the ratio says nothing.
const FREE: u64 = 64 << 10;

/// Bytes inflated at a time.
const PIECE: usize = 8 << 10;

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
    /// The last bytes given, and while inflating room behind them. Holds observed bytes.
    history: Vec<u8>,
    decoder: Option<Box<DecompressorOxide>>,
    input_bytes: u64,
    output_bytes: u64,
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
            decoder: None,
            input_bytes: 0,
            output_bytes: 0,
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
        let decoder = self
            .decoder
            .as_ref()
            .map_or(0, |_| size_of::<DecompressorOxide>());
        self.history.capacity() + decoder
    }

    /// Takes the next bytes of a message. After an error nothing more comes of it.
    pub fn feed(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        if self.broken {
            return Ok(());
        }
        self.input_bytes += input.len() as u64;
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
        self.decoder = None;
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
        self.decoder = None;
        self.broken = false;
        (self.input_bytes, self.output_bytes) = (0, 0);
        let window = 1 << self.window.bits;
        let keep = if self.window.takeover { window } else { 0 };
        self.torn &= self.window.takeover && self.history.len() < window;
        self.trim(keep);
        self.history.shrink_to(self.history.len());
    }

    fn trim(&mut self, keep: usize) {
        let excess = self.history.len().saturating_sub(keep);
        self.history.drain(..excess);
    }

    fn inflate(&mut self, mut input: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Anomaly> {
        let flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        loop {
            let decoder = self.decoder.get_or_insert_with(Box::default);
            let from = self.history.len();
            self.history.resize(from + PIECE, 0);
            let (status, consumed, written) = decompress(decoder, input, &mut self.history, from, flags);
            self.history.truncate(from + written);
            sink(self.history.get(from..).unwrap_or_default());
            self.output_bytes += written as u64;
            input = input.get(consumed..).unwrap_or_default();
            self.check()?;
            // Twice the window, so that moving it costs less than a copy of what was inflated.
            if self.history.len() > 2 << self.window.bits {
                self.trim(1 << self.window.bits);
            }
            match status {
                TINFLStatus::HasMoreOutput => {}
                // A last block may be followed by others (RFC 7692, 7.2.3.4).
                TINFLStatus::Done => {
                    self.decoder = None;
                    if input.is_empty() {
                        return Ok(());
                    }
                }
                TINFLStatus::NeedsMoreInput if input.is_empty() => return Ok(()),
                _ => return Err(Anomaly::WebSocketDeflate),
            }
        }
    }

    fn check(&self) -> Result<(), Anomaly> {
        let allowed = FREE + self.input_bytes.saturating_mul(MAX_RATIO);
        if self.output_bytes > allowed.min(MAX_MESSAGE) {
            return Err(Anomaly::WebSocketInflated);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
