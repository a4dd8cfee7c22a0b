//! Role groups: callers of one kind whose tokens say the same roles and scopes.
//!
//! Takes who calls at which host. Gives how many callers and exchanges each group has there, and how many items its
//! answers usually hold. Never tells groups apart by what their callers do. Bounded by [`MAX_CIRCLES`]; what is there
//! stays, unless it was away for thirty days, or came once and not again for a day.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::callers::spread::Spread;
use crate::callers::{PrincipalKind, Resolved};
use crate::detect::operation::HostKey;
use crate::exchange::CallerHash;

/// Groups of all hosts: a hundred services with forty groups each.
const MAX_CIRCLES: usize = 4096;
/// After so long a group that did not come makes room.
pub(crate) const AWAY_S: u32 = 30 * 86_400;
/// What was met no more often than this may be a name that somebody made up.
pub(crate) const RARE: u32 = 1;
/// And makes room after so long.
pub(crate) const RARE_AWAY_S: u32 = 86_400;
/// Room is made at most so often.
pub(crate) const PRUNE_S: u32 = 3600;
/// Callers are counted as different without a window: time stands still.
pub(crate) const LONG_S: u32 = 1 << 31;

/// A role group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct GroupKey(pub(crate) u64);

impl GroupKey {
    /// Callers without credentials.
    pub(crate) const ANONYMOUS: Self = Self(1);
    /// Programs whose keys say nothing: they have nothing in common.
    pub(crate) const SERVICES: Self = Self(2);
    /// Persons and sessions whose tokens say nothing.
    pub(crate) const PERSONS: Self = Self(3);

    /// The group of a caller; `None` when nobody knows who called.
    pub(crate) fn of(caller: &Resolved) -> Option<Self> {
        let base = match caller.kind {
            PrincipalKind::Unseen => return None,
            PrincipalKind::Anonymous => Self::ANONYMOUS,
            PrincipalKind::Service => Self::SERVICES,
            PrincipalKind::User | PrincipalKind::Unnamed => Self::PERSONS,
        };
        // The order of roles does not matter; they are keyed hashes, so sums of them are not aimed at.
        let sum = caller
            .attributes
            .iter()
            .fold(base.0, |sum, id| sum.wrapping_add(id.0.rotate_left(17) | 1));
        Some(Self(sum))
    }
}

/// Powers of two that are told apart: up to 16,383 items. A page of more is none.
const SIZES: usize = 16;

/// How many items answers hold: counts by powers of two.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Sizes([u16; SIZES]);

impl Sizes {
    /// No answers.
    pub(crate) const EMPTY: Self = Self([0; SIZES]);

    /// Adds an answer.
    pub(crate) fn add(&mut self, items: u32) {
        let bucket = (u32::BITS - items.leading_zeros()) as usize;
        if let Some(count) = self.0.get_mut(bucket.min(SIZES - 1)) {
            *count += 1;
            if *count == u16::MAX {
                self.0.iter_mut().for_each(|count| *count /= 2);
            }
        }
    }

    /// Answers.
    pub(crate) fn total(&self) -> u32 {
        self.0.iter().map(|count| u32::from(*count)).sum()
    }

    /// Items of all but one in a hundred answers, and of all but one, at most; no end where these are the longest that are
    /// told apart.
    pub(crate) fn usual(&self) -> u32 {
        let rare = (self.total() / 100).max(1);
        let mut above = 0;
        for (bucket, count) in self.0.iter().enumerate().rev() {
            above += u32::from(*count);
            if above > rare {
                let longest = bucket + 1 == SIZES;
                return if longest { u32::MAX } else { (1 << bucket) - 1 };
            }
        }
        0
    }
}

/// A group at a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Circle {
    /// Of host and group.
    key: u64,
    /// Its roles and scopes.
    attributes: Box<[u64]>,
    /// Exchanges that were answered with success.
    pub(crate) successes: u32,
    pub(crate) first_s: u32,
    pub(crate) last_s: u32,
    callers: Spread,
    pub(crate) sizes: Sizes,
}

impl Circle {
    /// Callers, about.
    pub(crate) fn callers(&self) -> u16 {
        self.callers.estimate(0, LONG_S)
    }

    /// Exchanges since a time, if they were spread evenly.
    pub(crate) fn since(&self, then_s: u32, now_s: u32) -> u64 {
        let all = u64::from(now_s.saturating_sub(self.first_s).max(1));
        let part = u64::from(now_s.saturating_sub(then_s).max(1)).min(all);
        u64::from(self.successes) * part / all
    }
}

/// Every group of every host.
#[derive(Default)]
pub(crate) struct Groups {
    /// Invariant: values are places in `all`, one for each.
    index: HashMap<u64, usize>,
    all: Vec<Circle>,
    pruned_s: u32,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} groups]", self.all.len())
    }
}

/// How long what was met so often may be away.
pub(crate) const fn away_s(times: u32) -> u32 {
    if times > RARE { AWAY_S } else { RARE_AWAY_S }
}

fn at(host: HostKey, group: GroupKey) -> u64 {
    host.0.rotate_left(23) ^ group.0
}

impl Groups {
    /// Counts an exchange. `None` when there is no room for its group.
    pub(crate) fn observe(
        &mut self,
        (host, group): (HostKey, GroupKey),
        caller: &Resolved,
        who: CallerHash,
        now_s: u32,
    ) -> Option<&mut Circle> {
        let key = at(host, group);
        let place = match self.index.get(&key) {
            Some(place) => *place,
            None => self.make(key, caller, now_s)?,
        };
        let circle = self.all.get_mut(place)?;
        circle.successes = circle.successes.saturating_add(1);
        circle.last_s = circle.last_s.max(now_s);
        circle.callers.add(who, 0, LONG_S);
        Some(circle)
    }

    /// Learns how many items an answer had.
    pub(crate) fn sized(&mut self, host: HostKey, group: GroupKey, items: u32) {
        let place = self.index.get(&at(host, group)).copied();
        if let Some(circle) = place.and_then(|place| self.all.get_mut(place)) {
            circle.sizes.add(items);
        }
    }

    /// A group at a host.
    pub(crate) fn find(&self, host: HostKey, group: GroupKey) -> Option<&Circle> {
        self.all.get(*self.index.get(&at(host, group))?)
    }

    /// Whether the first has every role and scope that the second has.
    pub(crate) fn covers(&self, host: HostKey, one: GroupKey, other: GroupKey) -> bool {
        let (Some(one), Some(other)) = (self.find(host, one), self.find(host, other)) else {
            return false;
        };
        let has = |id: &u64| one.attributes.contains(id);
        !other.attributes.is_empty() && other.attributes.iter().all(has)
    }

    fn make(&mut self, key: u64, caller: &Resolved, now_s: u32) -> Option<usize> {
        if self.all.len() >= MAX_CIRCLES {
            self.prune(now_s);
        }
        if self.all.len() >= MAX_CIRCLES {
            return None;
        }
        self.all.push(Circle {
            key,
            attributes: caller.attributes.iter().map(|id| id.0).collect(),
            successes: 0,
            first_s: now_s,
            last_s: now_s,
            callers: Spread::default(),
            sizes: Sizes::default(),
        });
        let place = self.all.len() - 1;
        self.index.insert(key, place);
        Some(place)
    }

    fn prune(&mut self, now_s: u32) {
        if now_s < self.pruned_s.saturating_add(PRUNE_S) {
            return;
        }
        self.pruned_s = now_s;
        self.all
            .retain(|circle| now_s.saturating_sub(circle.last_s) < away_s(circle.successes));
        self.reindex();
    }

    fn reindex(&mut self) {
        let places = self.all.iter().enumerate();
        self.index = places.map(|(place, circle)| (circle.key, place)).collect();
    }

    /// Everything, in the order in which it was met.
    pub(crate) fn snapshot(&self) -> Vec<Circle> {
        self.all.clone()
    }

    /// As it was.
    pub(crate) fn restore(mut kept: Vec<Circle>) -> Self {
        kept.truncate(MAX_CIRCLES);
        let mut groups = Self {
            all: kept,
            ..Self::default()
        };
        groups.reindex();
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_in_a_hundred_gets_is_not_usual() {
        let mut sizes = Sizes::default();
        (0..200).for_each(|_| sizes.add(10));
        sizes.add(900);
        assert_eq!((sizes.usual(), sizes.total()), (15, 201));
        (0..4).for_each(|_| sizes.add(900));
        assert_eq!(sizes.usual(), 1023);
        (0..100_000).for_each(|_| sizes.add(3));
        assert_eq!(sizes.usual(), 3);
        assert_eq!(Sizes::default().usual(), 0);
    }

    #[test]
    fn the_longest_lists_are_usual_where_all_are_long() {
        for (items, usual) in [(9_000, 16_383), (40_000, u32::MAX), (u32::MAX, u32::MAX)] {
            let mut sizes = Sizes::default();
            (0..50).for_each(|_| sizes.add(items));
            assert_eq!(sizes.usual(), usual);
        }
    }

    #[test]
    fn hosts_that_are_made_up_make_room_after_a_day() {
        let mut groups = Groups::default();
        let caller = Resolved::nobody(PrincipalKind::User);
        let group = GroupKey(7);
        let circles = u64::try_from(MAX_CIRCLES).unwrap();
        let mut come = |host: u64, now_s: u32| {
            groups
                .observe((HostKey(host), group), &caller, CallerHash([1; 16]), now_s)
                .is_some()
        };
        assert!(come(1, 100) && come(1, 101));
        (2..=circles).for_each(|host| assert!(come(host, 200)));
        assert!(!come(circles + 1, 300), "there is no room");
        assert!(come(circles + 2, 200 + RARE_AWAY_S));
        assert!(groups.find(HostKey(1), group).is_some());
        assert_eq!(groups.all.len(), 2);
    }
}
