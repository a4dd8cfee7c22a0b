//! Which findings were told already.
//!
//! Takes keys. Gives how often each was seen before. Bounded: two generations of a table; when the younger is full
//! the older is forgotten, so that a flood of new keys costs repeats of old findings, never memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// Counts by key.
#[derive(Debug)]
pub(super) struct Repeats {
    hasher: RandomState,
    young: HashMap<u64, u64>,
    old: HashMap<u64, u64>,
    /// Keys per generation.
    limit: usize,
}

impl Repeats {
    /// Remembers at least `limit` keys, at most twice as many.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            young: HashMap::new(),
            old: HashMap::new(),
            limit: limit.max(1),
        }
    }

    /// Counts a key; gives how often it was counted before.
    pub(super) fn count(&mut self, key: impl Hash) -> u64 {
        let key = self.hasher.hash_one(key);
        if let Some(count) = self.young.get_mut(&key) {
            *count += 1;
            return *count - 1;
        }
        let before = self.old.remove(&key).unwrap_or(0);
        if self.young.len() >= self.limit {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, before + 1);
        before
    }
}

/// Whether the finding that was seen `before` times is told: the 1st, 10th, 100th and so on.
pub(super) fn is_told(before: u64) -> bool {
    let mut count = before.saturating_add(1);
    while count.is_multiple_of(10) {
        count /= 10;
    }
    count == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_are_told() {
        let told: Vec<_> = (0..2000).filter(|before| is_told(*before)).collect();
        assert_eq!(told, [0, 9, 99, 999]);
    }

    #[test]
    fn counts_outlive_one_change_of_generation() {
        let mut repeats = Repeats::new(4);
        assert_eq!((repeats.count("a"), repeats.count("a")), (0, 1));
        for key in 0..4 {
            repeats.count(key);
        }
        assert_eq!(repeats.count("a"), 2);
        for key in 10..1000 {
            repeats.count(key);
            assert!(repeats.young.len() + repeats.old.len() <= 8);
        }
        assert_eq!(repeats.count("a"), 0);
    }
}
