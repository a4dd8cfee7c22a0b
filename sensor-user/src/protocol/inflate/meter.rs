//! What may still come out.

use super::{Ended, Limits};

/// Bytes that a decompressor gets room for at a time. Few bodies are longer, and a bomb is seen this soon.
const STEP: usize = 32 * 1024;

/// The output and its bounds.
pub(super) struct Meter<'a> {
    limits: Limits,
    pub(super) out: &'a mut Vec<u8>,
    /// Where this message begins in `out`.
    start: usize,
}

impl<'a> Meter<'a> {
    pub(super) fn new(limits: Limits, out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { limits, out, start }
    }

    /// Bytes that came out.
    pub(super) fn produced(&self) -> usize {
        self.out.len().saturating_sub(self.start)
    }

    /// Room for the next step: one byte more than may come out, so that going beyond is seen.
    pub(super) fn step(&self) -> usize {
        let left = self.limits.output_bytes.saturating_sub(self.produced());
        STEP.min(left.saturating_add(1))
    }

    /// Makes room in the output; gives how much there is.
    pub(super) fn reserve(&mut self) {
        self.out.reserve(self.step());
    }

    /// Whether what came out of `consumed` bytes goes beyond a bound.
    pub(super) fn check(&self, consumed: usize) -> Result<(), Ended> {
        let produced = self.produced();
        if produced > self.limits.free_bytes && produced > consumed.saturating_mul(self.limits.ratio) {
            return Err(Ended::Bomb);
        }
        if produced > self.limits.output_bytes {
            return Err(Ended::TooLarge);
        }
        Ok(())
    }

    /// Holds the output to its bound, whatever the decompressor wrote.
    pub(super) fn finish(self, ended: Ended) -> Ended {
        let most = self.start.saturating_add(self.limits.output_bytes);
        let over = self.out.len() > most;
        self.out.truncate(most);
        if over && matches!(ended, Ended::Whole | Ended::Cut) {
            Ended::TooLarge
        } else {
            ended
        }
    }
}
