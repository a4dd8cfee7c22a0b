//! Deflate (RFC 1951) as the bytes come, and behind what was sent before (RFC 7692).

#![expect(clippy::disallowed_types, reason = "this is the door")]

use flate2::{Decompress, FlushDecompress, Status};

use super::meter::Meter;
use super::{Ended, Limits};

/// The furthest that deflate refers back (RFC 1951, 2).
const WINDOW: usize = 32 * 1024;

/// Bytes that come out at a time.
const PIECE: usize = 4 * 1024;

/// Raw deflate, piece by piece. Holds a window of 32 KiB and code tables.
pub struct Stream {
    decoder: Decompress,
    input_bytes: usize,
    output_bytes: usize,
}

/// Its window holds observed bytes.
impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[deflate stream]")
    }
}

impl Stream {
    /// Behind `history`, which the sender refers to. What refers to more than that is [`Ended::Broken`]: nothing is made
    /// up in its place.
    pub fn behind(history: &[u8]) -> Self {
        Self {
            decoder: decoder(history),
            input_bytes: 0,
            output_bytes: 0,
        }
    }

    /// Takes the next bytes; what comes out goes to `sink` in pieces. Gives how many were used and why no more came:
    /// [`Ended::Cut`] where more is wanted, [`Ended::Whole`] behind a final block, after which only [`Self::restart`] goes
    /// on, and with any other nothing does.
    pub fn feed(&mut self, input: &[u8], limits: Limits, sink: &mut dyn FnMut(&[u8])) -> (usize, Ended) {
        self.input_bytes = self.input_bytes.saturating_add(input.len());
        let mut rest = input;
        loop {
            let (consumed, produced) = (self.decoder.total_in(), self.decoder.total_out());
            let mut piece = [0; PIECE];
            let status = self.decoder.decompress(rest, &mut piece, FlushDecompress::None);
            let part =
                |before: u64, now: u64| usize::try_from(now.saturating_sub(before)).unwrap_or(usize::MAX);
            let used = part(consumed, self.decoder.total_in());
            let made = part(produced, self.decoder.total_out());
            sink(piece.get(..made).unwrap_or_default());
            rest = rest.get(used..).unwrap_or_default();
            let used = input.len().saturating_sub(rest.len());
            self.output_bytes = self.output_bytes.saturating_add(made);
            let ended = match status {
                Err(_) => Ended::Broken,
                Ok(Status::StreamEnd) => Ended::Whole,
                // It wants room or input, and has room.
                Ok(Status::Ok | Status::BufError) if made < PIECE => Ended::Cut,
                Ok(Status::Ok | Status::BufError) => match self.check(limits) {
                    Ok(()) => continue,
                    Err(ended) => ended,
                },
            };
            return (used, self.check(limits).err().unwrap_or(ended));
        }
    }

    /// Goes on behind a final block (RFC 7692, 7.2.3.4), of whatever was sent before.
    pub fn restart(&mut self, history: &[u8]) {
        self.decoder = decoder(history);
    }

    fn check(&self, limits: Limits) -> Result<(), Ended> {
        let allowed = self.input_bytes.saturating_mul(limits.ratio);
        if self.output_bytes > limits.free_bytes && self.output_bytes > allowed {
            return Err(Ended::Bomb);
        }
        if self.output_bytes > limits.output_bytes {
            return Err(Ended::TooLarge);
        }
        Ok(())
    }
}

fn decoder(history: &[u8]) -> Decompress {
    let mut decoder = Decompress::new(false);
    let near = history.len().saturating_sub(WINDOW);
    if let Some(window) = history.get(near..).filter(|window| !window.is_empty()) {
        // Bare deflate takes one at any time. If it did not, what refers to it would be refused, not made up.
        let _checksum = decoder.set_dictionary(window);
    }
    decoder
}

/// Runs a deflate stream over `input`; gives the bytes it used. `Cut` is where it wants more. `before` bytes of the
/// same body were used already.
pub(super) fn inflate(
    stream: &mut Decompress,
    input: &[u8],
    before: usize,
    meter: &mut Meter<'_>,
) -> (usize, Ended) {
    let start = stream.total_in();
    let used_of =
        |stream: &Decompress| usize::try_from(stream.total_in().saturating_sub(start)).unwrap_or(usize::MAX);
    loop {
        let (was_used, produced) = (used_of(stream), meter.produced());
        if let Err(ended) = meter.check(before.saturating_add(was_used)) {
            return (was_used, ended);
        }
        meter.reserve();
        let rest = input.get(was_used..).unwrap_or_default();
        let status = stream.decompress_vec(rest, meter.out, FlushDecompress::None);
        let used = used_of(stream);
        let stuck = used == was_used && produced == meter.produced();
        let ended = match status {
            Ok(Status::StreamEnd) => Ended::Whole,
            Err(_) => Ended::Broken,
            // It wants room, or input; with room given, only input is left to want.
            Ok(Status::Ok | Status::BufError) if stuck => Ended::Cut,
            Ok(_) => continue,
        };
        let checked = meter.check(before.saturating_add(used));
        return (used, checked.err().unwrap_or(ended));
    }
}
