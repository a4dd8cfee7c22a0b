//! Who failed how often, by keyed hash, in a table of fixed size.
//!
//! Takes hashes, outcomes and times. Gives counts within windows. Never grows: [`SETS`] sets of [`WAYS`] places; a new
//! hash takes the place in its set whose troubles are least and longest ago, so that a flood of new ones pushes out
//! others of its kind, not the one that is being watched. The place is chosen by the keyed hash, which nobody outside
//! can aim.

use super::spread::{Count, Spread};
use crate::exchange::CallerHash;

/// Sets of places.
const SETS: usize = 2048;
/// Places of a set.
const WAYS: usize = 8;

/// The short window: brute force is over in minutes.
pub(super) const SHORT_S: u32 = 600;
/// The day: whoever is patient tries a few in an hour.
pub(super) const DAY_S: u32 = 86_400;
/// The week: whoever is very patient tries a few in a day.
pub(super) const WEEK_S: u32 = 7 * DAY_S;

/// What is known of one hash.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Record {
    seen_s: u32,
    failures: Count,
    failures_day: Count,
    successes_day: Count,
    failures_week: Count,
    successes_week: Count,
    /// Of the failures.
    put_off: Count,
    put_off_day: Count,
    put_off_week: Count,
    others: Spread,
    others_week: Spread,
}

/// What came of a try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Try {
    Failed,
    /// A failure that says nothing of the password: nobody looked at it.
    PutOff,
    Succeeded,
}

/// Counts of one hash, ready to be told.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    pub(super) failures: u32,
    pub(super) failures_day: u32,
    pub(super) successes_day: u32,
    pub(super) failures_week: u32,
    pub(super) successes_week: u32,
    pub(super) put_off: u32,
    pub(super) put_off_day: u32,
    pub(super) put_off_week: u32,
    pub(super) others: u16,
    pub(super) others_week: u16,
}

/// A table of them.
pub(super) struct Windows(Box<[Set]>);

/// Its size: what is in it are megabytes.
impl std::fmt::Debug for Windows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} sets]", self.0.len())
    }
}

/// Keys stand together: whoever is nobody's trouble is looked up in one cache line.
#[derive(Clone, Copy, Default, Debug)]
struct Set {
    keys: [u64; WAYS],
    records: [Record; WAYS],
}

impl Default for Windows {
    fn default() -> Self {
        Self(vec![Set::default(); SETS].into_boxed_slice())
    }
}

impl Windows {
    /// Notes a try; `other` is counted as different from others: the name tried from an address, the address that a name
    /// was tried from. Only failures take a place: whoever just succeeds is nobody's trouble.
    pub(super) fn note(&mut self, hash: CallerHash, what: Try, other: Option<CallerHash>, now_s: u32) {
        let Some(record) = self.place(hash, what != Try::Succeeded, now_s) else {
            return;
        };
        record.seen_s = record.seen_s.max(now_s);
        match what {
            Try::Failed | Try::PutOff => {
                record.failures.add(now_s, SHORT_S);
                record.failures_day.add(now_s, DAY_S);
                record.failures_week.add(now_s, WEEK_S);
                if let Some(other) = other {
                    record.others.add(other, now_s, SHORT_S);
                    record.others_week.add(other, now_s, WEEK_S);
                }
                if what == Try::PutOff {
                    record.put_off.add(now_s, SHORT_S);
                    record.put_off_day.add(now_s, DAY_S);
                    record.put_off_week.add(now_s, WEEK_S);
                }
            }
            Try::Succeeded => {
                record.successes_day.add(now_s, DAY_S);
                record.successes_week.add(now_s, WEEK_S);
            }
        }
    }

    /// What is known of a hash.
    pub(super) fn counts(&self, hash: CallerHash, now_s: u32) -> Counts {
        let key = hash.front();
        let record = self.0.get(set_of(key)).and_then(|set| {
            let way = set.keys.iter().position(|known| *known == key)?;
            set.records.get(way)
        });
        let Some(record) = record else {
            return Counts::default();
        };
        Counts {
            failures: record.failures.sum(now_s, SHORT_S),
            failures_day: record.failures_day.sum(now_s, DAY_S),
            successes_day: record.successes_day.sum(now_s, DAY_S),
            failures_week: record.failures_week.sum(now_s, WEEK_S),
            successes_week: record.successes_week.sum(now_s, WEEK_S),
            put_off: record.put_off.sum(now_s, SHORT_S),
            put_off_day: record.put_off_day.sum(now_s, DAY_S),
            put_off_week: record.put_off_week.sum(now_s, WEEK_S),
            others: record.others.estimate(now_s, SHORT_S),
            others_week: record.others_week.estimate(now_s, WEEK_S),
        }
    }

    fn place(&mut self, hash: CallerHash, make: bool, now_s: u32) -> Option<&mut Record> {
        let key = hash.front();
        let set = self.0.get_mut(set_of(key))?;
        let known = set.keys.iter().position(|known| *known == key);
        if let Some(way) = known {
            return set.records.get_mut(way);
        }
        let trouble = |record: &Record| (record.failures_week.sum(now_s, WEEK_S), record.seen_s);
        let ways = set.records.iter().enumerate();
        let (way, _) = ways.min_by_key(|(_, record)| trouble(record)).filter(|_| make)?;
        *set.keys.get_mut(way)? = key;
        let record = set.records.get_mut(way)?;
        *record = Record::default();
        Some(record)
    }
}

fn set_of(key: u64) -> usize {
    usize::try_from(key >> 32).unwrap_or_default() % SETS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> CallerHash {
        let front = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&front);
        CallerHash(bytes)
    }

    #[test]
    fn a_flood_does_not_push_out_who_is_watched() {
        let mut windows = Windows::default();
        for _ in 0..20 {
            windows.note(hash(1), Try::Failed, None, 100);
        }
        for number in 2..1_000_000 {
            windows.note(hash(number), Try::Failed, None, 101);
        }
        assert_eq!(windows.counts(hash(1), 102).failures, 20);
    }

    #[test]
    fn successes_alone_take_no_place() {
        let mut windows = Windows::default();
        windows.note(hash(1), Try::Succeeded, None, 1);
        assert_eq!(windows.counts(hash(1), 1), Counts::default());
        windows.note(hash(1), Try::Failed, Some(hash(2)), 1);
        windows.note(hash(1), Try::Succeeded, None, 1);
        let counts = windows.counts(hash(1), 1);
        assert_eq!((counts.failures, counts.successes_day, counts.others), (1, 1, 1));
        windows.note(hash(1), Try::PutOff, Some(hash(2)), 1);
        let counts = windows.counts(hash(1), 1);
        assert_eq!((counts.failures, counts.put_off, counts.others), (2, 1, 1));
    }
}
