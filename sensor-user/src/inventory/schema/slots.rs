//! Indices by keyed hash, at four bytes an entry: open addressing over what the entries themselves hold.
//!
//! Takes and gives indices. Never holds a key: whoever asks compares. Bounded by its owner.

/// No entry.
const EMPTY: u16 = u16::MAX;
/// Slots of the smallest table.
const LEAST: usize = 16;

/// Where entries are. Hashes are keyed, so nobody outside can make them meet.
#[derive(Clone, Default, Debug)]
pub(super) struct Slots {
    /// A power of two, or none; at least half are empty.
    slots: Vec<u16>,
}

impl Slots {
    /// The entry of that hash for which `is` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl Fn(u16) -> bool) -> Option<u16> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = low(hash) & mask;
        loop {
            match self.slots.get(at).copied() {
                Some(EMPTY) | None => return None,
                Some(entry) if is(entry) => return Some(entry),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    /// Adds the entry that comes behind `hashes`, which are those of all before it.
    pub(super) fn push(&mut self, hash: u64, hashes: impl ExactSizeIterator<Item = u64>) {
        let entry = hashes.len();
        if (entry + 1) * 2 > self.slots.len() {
            let size = ((entry + 1) * 2).next_power_of_two().max(LEAST);
            self.slots = vec![EMPTY; size];
            for (entry, hash) in hashes.enumerate() {
                self.fill(hash, entry);
            }
        }
        self.fill(hash, entry);
    }

    fn fill(&mut self, hash: u64, entry: usize) {
        let Some(mask) = self.slots.len().checked_sub(1) else {
            return;
        };
        let mut at = low(hash) & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if *slot == EMPTY {
                *slot = u16::try_from(entry).unwrap_or(EMPTY);
                return;
            }
            at = (at + 1) & mask;
        }
    }

    pub(super) const fn held_bytes(&self) -> usize {
        self.slots.capacity() * 2
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
const fn low(hash: u64) -> usize {
    hash as usize
}
