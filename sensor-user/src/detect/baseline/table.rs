//! A table of fixed size, by keyed hash.
//!
//! Takes fronts of keyed hashes. Gives what is known of each. Never grows beyond its size: sets of [`WAYS`] places, in
//! which whatever weighs least, and of those the one not seen for longest, makes room; what was not seen for
//! [`STALE_S`] weighs nothing. What comes back weighs more, so that a flood of what comes once pushes out nothing that is
//! in use. Nobody outside can aim at a set.

use serde::{Deserialize, Serialize};

use super::room::STALE_S;

/// Places of a set.
const WAYS: usize = 8;
/// Sets that get their memory together, when the first of them is used: a small service does not pay for a large one.
const SEGMENT: usize = 8;

/// Coming back counts once in so many seconds: a flood that repeats itself within a minute is one.
const AGAIN_S: u32 = 60;
/// And half as much after each day without.
const DAY_S: u32 = 86_400;

/// What is known of one hash.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Place<R> {
    /// 0 for nobody.
    key: u64,
    seen_s: u32,
    /// Minutes in which it came back.
    again: u16,
    value: R,
}

impl<R> Place<R> {
    /// It is there now.
    const fn sees(&mut self, now_s: u32) {
        if now_s / AGAIN_S > self.seen_s / AGAIN_S {
            self.again = self.again.saturating_add(1);
        }
        if now_s > self.seen_s {
            self.seen_s = now_s;
        }
    }

    /// What it is worth beside what `weight` says.
    fn recurs(&self, now_s: u32) -> u32 {
        let days = now_s.saturating_sub(self.seen_s) / DAY_S;
        u32::from(self.again).checked_shr(days).unwrap_or(0)
    }
}

/// What outlives a restart: key, when it was last seen, in how many minutes it came back, and what is known.
pub(in crate::detect) type Kept<R> = Vec<(u64, u32, u16, R)>;

/// The table.
pub(in crate::detect) struct Table<R> {
    sets: usize,
    /// Invariant: each is empty, or has [`SEGMENT`] sets.
    segments: Box<[Box<[Place<R>]>]>,
}

/// Its size: what is in it are megabytes.
impl<R> std::fmt::Debug for Table<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} places]", self.sets * WAYS)
    }
}

impl<R: Copy + Default> Table<R> {
    /// An empty table of so many sets.
    pub(in crate::detect) fn new(sets: usize) -> Self {
        let sets = sets.max(1);
        Self {
            sets,
            segments: (0..sets.div_ceil(SEGMENT)).map(|_| Box::default()).collect(),
        }
    }

    /// What is known of a hash.
    pub(in crate::detect) fn find(&self, key: u64) -> Option<R> {
        self.get(key).copied()
    }

    /// The same without a copy.
    pub(in crate::detect) fn get(&self, key: u64) -> Option<&R> {
        let place = self.set(key).iter().find(|place| place.key == key && key != 0)?;
        Some(&place.value)
    }

    /// When it was entered last.
    pub(in crate::detect) fn seen_s(&self, key: u64) -> Option<u32> {
        let place = self.set(key).iter().find(|place| place.key == key && key != 0)?;
        Some(place.seen_s)
    }

    /// Whether something may have made room for something else where a hash has its place: then it may have been known.
    pub(in crate::detect) fn is_crowded(&self, key: u64) -> bool {
        let set = self.set(key);
        !set.is_empty() && set.iter().all(|place| place.key != 0)
    }

    /// What is known of a hash, which is given a place if it has none. `weight` says how much a place is worth.
    pub(in crate::detect) fn place(
        &mut self,
        key: u64,
        now_s: u32,
        weight: impl Fn(&R) -> u32,
    ) -> Option<&mut R> {
        self.enter(key, now_s, weight).map(|place| &mut place.value)
    }

    fn enter(&mut self, key: u64, now_s: u32, weight: impl Fn(&R) -> u32) -> Option<&mut Place<R>> {
        let set = self.set_mut(key)?;
        let way = if let Some(way) = set.iter().position(|place| place.key == key) {
            way
        } else {
            let worth = |(_, place): &(usize, &Place<R>)| {
                let stale = now_s.saturating_sub(place.seen_s) > STALE_S;
                let known = weight(&place.value).saturating_add(place.recurs(now_s));
                (place.key != 0, if stale { 0 } else { known }, place.seen_s)
            };
            let (way, _) = set.iter().enumerate().min_by_key(worth)?;
            *set.get_mut(way)? = Place {
                key,
                seen_s: now_s,
                ..Place::default()
            };
            way
        };
        let place = set.get_mut(way)?;
        place.sees(now_s);
        Some(place)
    }

    /// Forgets a hash.
    pub(in crate::detect) fn forget(&mut self, key: u64) {
        let set = self.set_mut(key).unwrap_or_default();
        if let Some(place) = set.iter_mut().find(|place| place.key == key) {
            *place = Place::default();
        }
    }

    /// Everything, in order of place.
    pub(in crate::detect) fn snapshot(&self) -> Kept<R> {
        let used = self.segments.iter().flatten().filter(|place| place.key != 0);
        used.map(|place| (place.key, place.seen_s, place.again, place.value))
            .collect()
    }

    /// Takes back what was known; what finds no place is left out.
    pub(in crate::detect) fn restore(&mut self, kept: Kept<R>, weight: impl Fn(&R) -> u32) {
        for (key, seen_s, again, value) in kept {
            if let Some(place) = self.enter(key, seen_s, &weight) {
                (place.again, place.value) = (again, value);
            }
        }
    }

    /// Segment of a hash, and where its set begins there.
    fn at(&self, key: u64) -> (usize, usize) {
        let set = usize::try_from(key >> 32).unwrap_or_default() % self.sets;
        (set / SEGMENT, set % SEGMENT * WAYS)
    }

    fn set(&self, key: u64) -> &[Place<R>] {
        let (segment, start) = self.at(key);
        let segment = self.segments.get(segment);
        segment
            .and_then(|places| places.get(start..start + WAYS))
            .unwrap_or_default()
    }

    fn set_mut(&mut self, key: u64) -> Option<&mut [Place<R>]> {
        let (segment, start) = self.at(key);
        let places = self.segments.get_mut(segment)?;
        if places.is_empty() {
            *places = vec![Place::default(); SEGMENT * WAYS].into_boxed_slice();
        }
        places.get_mut(start..start + WAYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_weighs_most_stays() {
        let mut table = Table::<u32>::new(4);
        *table.place(1 << 32 | 7, 5, |value| *value).unwrap() = 9;
        for key in 1..1000_u64 {
            *table.place(key << 32 | 1, 6, |value| *value).unwrap() = 1;
        }
        assert_eq!(table.find(1 << 32 | 7), Some(9));
        let mut again = Table::new(4);
        again.restore(table.snapshot(), |value: &u32| *value);
        assert_eq!(again.snapshot().len(), 32);
        assert_eq!(again.find(1 << 32 | 7), Some(9));
        table.forget(1 << 32 | 7);
        assert_eq!(table.find(1 << 32 | 7), None);
    }

    #[test]
    fn what_comes_back_stays_in_a_flood_of_what_comes_once() {
        let mut table = Table::<u32>::new(1);
        let mut see = |key, now_s| *table.place(key, now_s, |value| *value).unwrap() = 1;
        // One came back in another minute, one within the same.
        for (key, now_s) in [(1, 10), (1, 70), (2, 61), (2, 70)] {
            see(key, now_s);
        }
        (100..1000).for_each(|key| see(key, 75));
        assert!(table.find(1).is_some() && table.find(2).is_none());
        let mut again = Table::<u32>::new(1);
        again.restore(table.snapshot(), |value| *value);
        (2000..3000).for_each(|key| *again.place(key, 80, |value| *value).unwrap() = 1);
        assert!(again.find(1).is_some(), "also after a restart");
        // After days without it is worth no more than others.
        let later = 80 + 2 * DAY_S;
        (2000..2100).for_each(|key| *again.place(key, later, |value| *value).unwrap() = 1);
        assert!(again.find(1).is_none());
    }

    #[test]
    fn what_was_away_for_long_makes_room() {
        let mut table = Table::<u32>::new(1);
        let ways = WAYS as u64;
        for key in 1..=ways {
            *table.place(key, 5, |value| *value).unwrap() = 100;
        }
        table.place(1, STALE_S, |value| *value).unwrap();
        // Two that come in turn would push each other out for ever.
        for key in [50, 51] {
            table.place(key, STALE_S + 6, |value| *value).unwrap();
        }
        assert!([50, 51, 1].iter().all(|key| table.find(*key).is_some()));
        assert_eq!(table.snapshot().len(), WAYS);
    }
}
