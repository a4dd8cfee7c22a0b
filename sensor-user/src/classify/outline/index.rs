//! Places and values of one exchange by their hash.
//!
//! Takes hashes and entries. Gives entries back. Never holds what they stand for: whoever asks compares. Bounded by
//! [`SLOTS`], of which at most an eighth is used.

/// Entries from here on are values, below places.
pub(super) const VALUE_ENTRY: u16 = 0x8000;
/// Slots: eight for each entry that there can be.
const SLOTS: usize = 8 * 1024;

/// Places and values by their hash: open addressing, emptied by counting on. Entries that are there never go.
pub(super) struct Index {
    /// Stamp in the upper half, entry in the lower.
    slots: Box<[u32]>,
    stamp: u16,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![0; SLOTS].into_boxed_slice(),
            stamp: 1,
        }
    }

    pub(super) fn clear(&mut self) {
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.slots.fill(0);
            self.stamp = 1;
        }
    }

    /// The entry, or the slot where it belongs.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl Fn(u16) -> bool) -> Result<u16, usize> {
        let mut at = usize::from(u16::from_be_bytes(
            *hash.to_be_bytes().first_chunk().unwrap_or(&[0; 2]),
        )) % SLOTS;
        // At most an eighth is in use, so an empty one is near.
        while let Some(slot) = self.slots.get(at) {
            if slot >> 16 != u32::from(self.stamp) {
                break;
            }
            let entry = (slot & 0xffff) as u16;
            if is(entry) {
                return Ok(entry);
            }
            at = (at + 1) % SLOTS;
        }
        Err(at)
    }

    #[inline]
    pub(super) fn fill(&mut self, slot: usize, entry: u16) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = u32::from(self.stamp) << 16 | u32::from(entry);
        }
    }
}
