//! One direction of a TCP connection: sequence numbers to positions.
//!
//! Takes sequence numbers. Gives positions of 64 bits. Never panics on hostile numbers. Bounded: four fields.

/// One direction, named by its sender.
#[derive(Clone, Copy, Default)]
pub(super) struct Side {
    /// Sequence number of position 0.
    pub(super) base: Option<u32>,
    /// Highest position seen, from which later sequence numbers are told apart beyond 32 bits.
    pub(super) reach: u64,
    /// Position of the FIN: how many bytes there were in all.
    pub(super) end: Option<u64>,
    /// The peer has everything, FIN included.
    pub(super) fin_acknowledged: bool,
}

impl Side {
    /// Position of `seq`, and how many of the `len` bytes there lie before position 0; `None` when all of them do.
    /// The nearest position to the highest one seen is meant, so sequence numbers may wrap (RFC 9293, 3.4).
    /// Where a note says the position, it is that.
    pub(super) fn place(&mut self, seq: u32, len: u64, noted: Option<u64>) -> Option<(u64, usize)> {
        if let Some(position) = noted {
            self.base = Some(seq.wrapping_sub(low(position)));
            self.reached(position.saturating_add(len));
            return Some((position, 0));
        }
        let base = *self.base.get_or_insert(seq);
        let distance = i64::from(seq.wrapping_sub(base.wrapping_add(low(self.reach))).cast_signed());
        let (position, early) = match self.reach.checked_add_signed(distance) {
            Some(position) => (position, 0),
            None => (0, distance.unsigned_abs() - self.reach),
        };
        if early > 0 && early >= len {
            return None;
        }
        self.reached(position.saturating_add(len - early));
        Some((position, usize::try_from(early).unwrap_or(usize::MAX)))
    }

    /// There were bytes, or are some missing, up to here.
    pub(super) fn reached(&mut self, position: u64) {
        self.reach = self.reach.max(position);
    }

    /// The peer has everything before `ack`.
    pub(super) const fn acknowledge(&mut self, ack: u32) {
        if let (Some(base), Some(end)) = (self.base, self.end)
            // A FIN takes one sequence number (RFC 9293, 3.4).
            && ack.wrapping_sub(base.wrapping_add(low(end)).wrapping_add(1)).cast_signed() >= 0
        {
            self.fin_acknowledged = true;
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sequence numbers are positions modulo 2^32"
)]
const fn low(position: u64) -> u32 {
    position as u32
}
