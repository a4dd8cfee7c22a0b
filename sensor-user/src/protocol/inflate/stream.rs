//! Deflate (RFC 1951), and its use from message to message (RFC 7692).

#![expect(clippy::disallowed_types, reason = "this is the door")]

use flate2::{Decompress, FlushDecompress, Status};

use super::meter::Meter;
use super::{Ended, Limits};

/// What a sender of permessage-deflate took off the end of every message (RFC 7692, 7.2.1).
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// Raw deflate whose window lives from message to message. Holds a window of 32 KiB and code tables.
pub struct Stream(Decompress);

/// Its window holds observed bytes.
impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[deflate stream]")
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl Stream {
    /// At the beginning, with an empty window.
    pub fn new() -> Self {
        Self(Decompress::new(false))
    }

    /// Forgets what came before: the sender keeps no context (RFC 7692, 7.1.1), or bytes were lost.
    pub fn reset(&mut self) {
        self.0.reset(false);
    }

    /// Appends the content of one message, whose tail (RFC 7692, 7.2.1) was left out, to `out`. Unless it ends
    /// [`Ended::Whole`], messages after it are unreadable until a reset.
    pub fn message(&mut self, input: &[u8], limits: Limits, out: &mut Vec<u8>) -> Ended {
        let mut meter = Meter::new(limits, out);
        let ended = self.run(input, &mut meter);
        meter.finish(ended)
    }

    fn run(&mut self, input: &[u8], meter: &mut Meter<'_>) -> Ended {
        let mut rest = input;
        // A final block ends the stream; what follows begins another (RFC 7692, 7.2.3.5).
        loop {
            let before = input.len().saturating_sub(rest.len());
            match inflate(&mut self.0, rest, before, meter) {
                (consumed, Ended::Whole) if consumed > 0 => {
                    self.0.reset(false);
                    rest = rest.get(consumed..).unwrap_or_default();
                    if rest.is_empty() || rest == [0] {
                        return Ended::Whole;
                    }
                }
                (_, Ended::Cut) => break,
                (_, ended) => return ended,
            }
        }
        // At a block's boundary the tail is an empty block, of which nothing is left over.
        match inflate(&mut self.0, TAIL, input.len(), meter) {
            (_, Ended::Cut) => Ended::Whole,
            (_, ended) => ended,
        }
    }
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
