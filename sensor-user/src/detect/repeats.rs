//! Which findings were told already.
//!
//! Takes what is found and whose doing it is. Gives how often it was seen before, and whether it is told now. Bounded:
//! two generations of a table; when the younger is full the older is forgotten, so that a flood of new keys costs
//! repeats of old findings, never memory. Of people who do the same, [`EACH`] are told a day, and again after a pause.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// Callers who are told of each, of one finding at one endpoint in a day: whoever reads on knows by then that many do
/// it. Further ones are told as the hundredth, the thousandth and so on.
pub(super) const EACH: u32 = 10;
/// Without another caller for an hour it is over, as an incident is: who comes then is told of again.
const QUIET_S: u32 = 3600;
/// Seconds of a day.
const DAY_S: u32 = 86_400;

/// How often something was counted.
#[derive(Clone, Copy, Default, Debug)]
struct Entry {
    count: u64,
    /// Of what is found: callers of the day under way, which that is, and when the last of them came.
    callers: u32,
    day: u32,
    came_s: u32,
    /// Of a caller: one of those who are told.
    listed: bool,
}

/// What becomes of a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Repeat {
    /// How often the same was seen before.
    pub(super) before: u64,
    /// It is told.
    pub(super) is_told: bool,
    /// It is what somebody does.
    pub(super) is_somebodys: bool,
}

/// Counts by key.
#[derive(Debug)]
pub(super) struct Repeats {
    hasher: RandomState,
    young: HashMap<u64, Entry>,
    old: HashMap<u64, Entry>,
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

    /// How often something was found so far, whoever did it.
    pub(super) fn so_far(&self, what: impl Hash) -> u64 {
        let key = self.hasher.hash_one(what);
        let known = self.young.get(&key).or_else(|| self.old.get(&key));
        known.map_or(0, |entry| entry.count)
    }

    /// Counts without telling; says how often it was so before.
    pub(super) fn tally(&mut self, what: impl Hash) -> u64 {
        let entry = self.entry(self.hasher.hash_one(what));
        entry.count += 1;
        entry.count - 1
    }

    /// Counts what a service does to all.
    pub(super) fn of_service(&mut self, what: impl Hash) -> Repeat {
        let entry = self.entry(self.hasher.hash_one(what));
        let before = entry.count;
        entry.count += 1;
        Repeat {
            before,
            is_told: is_told(before),
            is_somebodys: false,
        }
    }

    /// Counts what somebody does.
    pub(super) fn of_somebody(&mut self, what: impl Hash, who: impl Hash, now_s: u32) -> Repeat {
        let what = self.hasher.hash_one(what);
        let own = self.hasher.hash_one((what, self.hasher.hash_one(who)));
        let is_new = self.entry(own).count == 0;
        let all = self.entry(what);
        all.count += 1;
        let mut rank = 0;
        if is_new {
            if now_s / DAY_S > all.day || now_s.saturating_sub(all.came_s) > QUIET_S {
                (all.day, all.callers) = (now_s / DAY_S, 0);
            }
            all.came_s = all.came_s.max(now_s);
            all.callers = all.callers.saturating_add(1);
            rank = all.callers;
        }
        let entry = self.entry(own);
        if is_new {
            entry.listed = rank <= EACH || is_told(u64::from(rank) - 1);
        }
        let before = entry.count;
        entry.count += 1;
        Repeat {
            before,
            is_told: entry.listed && is_told(before),
            is_somebodys: true,
        }
    }

    fn entry(&mut self, key: u64) -> &mut Entry {
        if !self.young.contains_key(&key) {
            let before = self.old.remove(&key).unwrap_or_default();
            if self.young.len() >= self.limit {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(key, before);
        }
        self.young.entry(key).or_default()
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
        let mut count = |key: &str| repeats.of_service(key).before;
        assert_eq!((count("a"), count("a")), (0, 1));
        for key in ["0", "1", "2", "3"] {
            count(key);
        }
        assert_eq!(count("a"), 2);
        for key in 10..1000 {
            repeats.of_service(key);
            assert!(repeats.young.len() + repeats.old.len() <= 8);
        }
        assert_eq!(repeats.of_service("a").before, 0);
    }

    #[test]
    fn each_of_a_few_is_told_and_a_flood_is_not() {
        let mut repeats = Repeats::new(100_000);
        let mut told = |who: u32, now_s| repeats.of_somebody("what", who, now_s).is_told;
        assert!(told(0, 0) && !told(0, 0) && told(1, 0));
        let flood: Vec<_> = (0..5000).filter(|who| told(*who, 100)).collect();
        // Those of rank 3 to 10, the 100th and the 1000th.
        assert_eq!(flood, [2, 3, 4, 5, 6, 7, 8, 9, 99, 999]);
        // Who was not listed is not told for asking again and again.
        assert_eq!((0..2000).filter(|_| told(3000, 200)).count(), 0);
        // What begins after a quiet hour has its own, and so has the next day.
        assert!(!told(8000, 100 + QUIET_S) && told(8001, 101 + 2 * QUIET_S));
        assert!(told(9000, DAY_S) && told(9001, DAY_S));
        assert_eq!(repeats.so_far("what"), 7007);
    }
}
