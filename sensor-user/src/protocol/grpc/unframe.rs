//! A body to its frames, whichever way they travel.

use super::{Carrier, Decoder, Event, Framer};

/// Divides one body into frames. Holds at most one piece, undone from base64.
#[derive(Debug)]
pub struct Unframer {
    carrier: Carrier,
    decoder: Decoder,
    framer: Framer,
    decoded: Decoded,
}

/// Holds observed bytes, so it prints nothing.
#[derive(Default)]
struct Decoded(Vec<u8>);

impl std::fmt::Debug for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[decoded]")
    }
}

/// Why the rest of a body has no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Undefined flags, or an end within a frame.
    Frame,
    /// No base64.
    Base64,
}

impl Unframer {
    /// For a body that travels so.
    pub fn new(carrier: Carrier) -> Self {
        Self {
            carrier,
            decoder: Decoder::default(),
            framer: Framer::default(),
            decoded: Decoded::default(),
        }
    }

    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8], tell: &mut impl FnMut(Event<'_>)) -> Result<(), Fault> {
        if self.carrier != Carrier::WebText {
            return self.framer.feed(piece, tell).map_err(|_bad| Fault::Frame);
        }
        self.decoded.0.clear();
        let good = self.decoder.feed(piece, &mut self.decoded.0);
        self.framer
            .feed(&self.decoded.0, tell)
            .map_err(|_bad| Fault::Frame)?;
        good.map_err(|_bad| Fault::Base64)
    }

    /// Whether the body may end here.
    pub fn finish(&self) -> Result<(), Fault> {
        if self.decoder.finish().is_err() {
            return Err(Fault::Base64);
        }
        if self.framer.is_between() {
            Ok(())
        } else {
            Err(Fault::Frame)
        }
    }
}
