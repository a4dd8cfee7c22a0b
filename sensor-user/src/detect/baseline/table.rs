//! A table of fixed size, by keyed hash.
//!
//! Takes fronts of keyed hashes. Gives what is known of each. Never grows: sets of [`WAYS`] places, in which whatever
//! weighs least, and of those the one not seen for longest, makes room. Nobody outside can aim at a set.

use serde::{Deserialize, Serialize};

/// Places of a set.
const WAYS: usize = 8;

/// What is known of one hash.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Place<R> {
    /// 0 for nobody.
    key: u64,
    seen_s: u32,
    value: R,
}

/// What outlives a restart.
pub(super) type Kept<R> = Vec<(u64, u32, R)>;

/// The table.
pub(super) struct Table<R> {
    /// Invariant: a multiple of [`WAYS`].
    places: Vec<Place<R>>,
}

/// Its size: what is in it are megabytes.
impl<R> std::fmt::Debug for Table<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} places]", self.places.len())
    }
}

impl<R: Copy + Default> Table<R> {
    /// An empty table of so many sets.
    pub(super) fn new(sets: usize) -> Self {
        Self {
            places: vec![Place::default(); sets.max(1) * WAYS],
        }
    }

    /// What is known of a hash.
    pub(super) fn find(&self, key: u64) -> Option<R> {
        let start = self.start(key);
        let set = self.places.get(start..start + WAYS)?;
        let place = set.iter().find(|place| place.key == key && key != 0)?;
        Some(place.value)
    }

    /// What is known of a hash, which is given a place if it has none. `weight` says how much a place is worth.
    pub(super) fn place(&mut self, key: u64, now_s: u32, weight: impl Fn(&R) -> u32) -> Option<&mut R> {
        let start = self.start(key);
        let set = self.places.get_mut(start..start + WAYS)?;
        let way = if let Some(way) = set.iter().position(|place| place.key == key) {
            way
        } else {
            let worth =
                |(_, place): &(usize, &Place<R>)| (place.key != 0, weight(&place.value), place.seen_s);
            let (way, _) = set.iter().enumerate().min_by_key(worth)?;
            *set.get_mut(way)? = Place {
                key,
                ..Place::default()
            };
            way
        };
        let place = set.get_mut(way)?;
        place.seen_s = place.seen_s.max(now_s);
        Some(&mut place.value)
    }

    /// Forgets a hash.
    pub(super) fn forget(&mut self, key: u64) {
        let start = self.start(key);
        let set = self.places.get_mut(start..start + WAYS).unwrap_or_default();
        if let Some(place) = set.iter_mut().find(|place| place.key == key) {
            *place = Place::default();
        }
    }

    /// Everything, in order of place.
    pub(super) fn snapshot(&self) -> Kept<R> {
        let used = self.places.iter().filter(|place| place.key != 0);
        used.map(|place| (place.key, place.seen_s, place.value)).collect()
    }

    /// Takes back what was known; what finds no place is left out.
    pub(super) fn restore(&mut self, kept: Kept<R>, weight: impl Fn(&R) -> u32) {
        for (key, seen_s, value) in kept {
            if let Some(place) = self.place(key, seen_s, &weight) {
                *place = value;
            }
        }
    }

    fn start(&self, key: u64) -> usize {
        let sets = (self.places.len() / WAYS).max(1);
        usize::try_from(key >> 32).unwrap_or_default() % sets * WAYS
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
}
