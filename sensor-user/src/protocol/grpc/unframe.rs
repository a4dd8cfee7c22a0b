//! A body to its frames, whichever way they travel.

use smallvec::SmallVec;

use super::{Carrier, Decoder, Event, Frame, Framer};

/// Bytes of base64 undone at a time, on the stack: a call in a body that lasts for days holds no buffer.
const STRETCH: usize = 1024;

/// Divides one body into frames. Holds none of it but the header of a frame.
#[derive(Clone, Debug)]
pub struct Unframer {
    carrier: Carrier,
    decoder: Decoder,
    framer: Framer,
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
        }
    }

    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8], tell: &mut impl FnMut(Event<'_>)) -> Result<(), Fault> {
        if self.carrier != Carrier::WebText {
            return self.framer.feed(piece, tell).map_err(|_bad| Fault::Frame);
        }
        for stretch in piece.chunks(STRETCH) {
            let mut decoded = SmallVec::<[u8; STRETCH]>::new();
            let good = self.decoder.feed(stretch, &mut decoded);
            self.framer.feed(&decoded, tell).map_err(|_bad| Fault::Frame)?;
            good.map_err(|_bad| Fault::Base64)?;
        }
        Ok(())
    }

    /// Steps over `missing` bytes that were not seen, when they are content of the frame under way. `None` when frames
    /// may begin in them; of base64 nobody knows, as each part may be padded.
    pub fn skip(&mut self, missing: u64) -> Option<Frame> {
        match self.carrier {
            Carrier::Grpc | Carrier::Web => self.framer.skip(missing),
            Carrier::WebText => None,
        }
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
