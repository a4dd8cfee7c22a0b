//! Room for one more name in a table whose names clients choose.
//!
//! Takes what each entry is worth. Gives the one that goes. A `Host` that a client made up is worth little, so thousands
//! of them push each other out; what is established stays until it was not seen for [`STALE_S`]. Never takes its place
//! for less. Bounded by the table.

/// Away for that long (thirty days), what is established makes room, as callers do.
pub(super) const STALE_S: u32 = 30 * 86_400;

/// What an entry is worth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Worth {
    /// It is more than a client alone can make up.
    pub(super) established: bool,
    /// How much is known of it.
    pub(super) known: u32,
    /// When it was last seen.
    pub(super) seen_s: u32,
}

/// The entry that makes room: of those that are not established the one of least worth, else one that is gone.
pub(super) fn least<K: Ord>(entries: impl Iterator<Item = (K, Worth)>, now_s: u32) -> Option<K> {
    let gone = |worth: &Worth| now_s.saturating_sub(worth.seen_s) > STALE_S;
    entries
        .filter(|(_, worth)| !worth.established || gone(worth))
        .min_by_key(|(_, worth)| (worth.established, worth.known, worth.seen_s))
        .map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_established_stays_until_it_is_gone() {
        let worth = |established, known, seen_s| Worth {
            established,
            known,
            seen_s,
        };
        let of = |all: &[Worth], now_s| least(all.iter().copied().enumerate(), now_s);
        let (old, new) = (worth(true, 9, 5), worth(true, 3, STALE_S + 9));
        assert_eq!(of(&[old, new], 10), None);
        assert_eq!(of(&[old, new], STALE_S + 10), Some(0));
        assert_eq!(
            of(&[old, worth(false, 2, 9), worth(false, 2, 8), new], 10),
            Some(2)
        );
        assert_eq!(of(&[], 10), None);
    }
}
