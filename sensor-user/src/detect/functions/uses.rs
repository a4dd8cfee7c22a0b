//! Who uses one operation: role groups with counts.
//!
//! Takes successes and refusals of callers and their groups. Gives whether somebody belongs to those who use it, and
//! counts of strangers. Bounded by [`MAX_USERS`] groups of an operation; those who use it stay, unless they were away for
//! thirty days. Refusals make no entry: whoever is refused may have made up the group.

use serde::{Deserialize, Serialize};

use super::groups::{AWAY_S, GroupKey, LONG_S, Sizes};
use crate::callers::spread::Spread;
use crate::exchange::CallerHash;

/// Groups of one operation: applications have few roles, and a function that many use is for everybody.
const MAX_USERS: usize = 8;
/// Callers of a group from which the group as a whole uses an operation.
pub(crate) const MEMBERS: u16 = 6;
/// A release is used by many within days; strangers who come further apart did not come because of it.
const TOGETHER_S: u32 = 2 * 86_400;

/// Strangers at something new, of which several at once are a release.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Strangers {
    /// A bit each, by the end of their hash.
    bits: u64,
    pub(crate) since_s: u32,
}

impl Strangers {
    /// Adds one. Gives how many there are now.
    pub(crate) fn add(&mut self, who: CallerHash, now_s: u32) -> u16 {
        if self.bits == 0 {
            self.since_s = now_s;
        }
        let [.., last] = who.0;
        self.bits |= 1 << (last & 63);
        self.count()
    }

    /// The same, of those who come within two days: others before are forgotten.
    pub(crate) fn add_together(&mut self, who: CallerHash, now_s: u32) -> u16 {
        if now_s.saturating_sub(self.since_s) > TOGETHER_S {
            *self = Self::default();
        }
        self.add(who, now_s)
    }

    /// How many, at least.
    pub(crate) fn count(self) -> u16 {
        u16::try_from(self.bits.count_ones()).unwrap_or(u16::MAX)
    }

    /// Whether whoever came now is told: the first is, and others when no more than one came in each so many seconds.
    /// What a release opens is used by many within that time.
    pub(crate) fn is_told(self, now_s: u32, each_s: u32) -> bool {
        let others = u32::from(self.count()).saturating_sub(1);
        now_s.saturating_sub(self.since_s) >= others.saturating_mul(each_s)
    }
}

/// What a group does at an operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GroupUse {
    pub(crate) group: GroupKey,
    /// Successes of those who belong there.
    pub(crate) uses: u32,
    pub(crate) refusals: u32,
    /// When it was let in the last time.
    seen_s: u32,
    callers: Spread,
    /// Those who do not.
    pub(crate) strangers: Strangers,
    /// It was opened to the whole group.
    pub(crate) open: bool,
    /// Items of its answers.
    pub(crate) sizes: Sizes,
    /// Callers who got far more.
    pub(crate) greedy: Strangers,
}

impl GroupUse {
    const fn new(group: GroupKey, now_s: u32) -> Self {
        Self {
            group,
            uses: 0,
            refusals: 0,
            seen_s: now_s,
            callers: Spread::EMPTY,
            strangers: Strangers { bits: 0, since_s: 0 },
            open: false,
            sizes: Sizes::EMPTY,
            greedy: Strangers { bits: 0, since_s: 0 },
        }
    }

    /// Callers who belong there, about.
    pub(crate) fn callers(&self) -> u16 {
        self.callers.estimate(0, LONG_S)
    }

    /// Whether somebody of the group is no surprise.
    pub(crate) fn belongs(&self, who: CallerHash) -> bool {
        let mut with = self.callers;
        with.add(who, 0, LONG_S);
        self.open || with == self.callers || self.callers() >= MEMBERS
    }

    /// Somebody used it who may.
    pub(crate) fn learn(&mut self, who: CallerHash) {
        self.uses = self.uses.saturating_add(1);
        self.callers.add(who, 0, LONG_S);
    }
}

/// Groups that use an operation.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Uses(pub(crate) Vec<GroupUse>);

impl Uses {
    /// A group that was let in; `None` when there are too many.
    pub(crate) fn of(&mut self, group: GroupKey, now_s: u32) -> Option<&mut GroupUse> {
        let known = self.0.iter().position(|one| one.group == group);
        let place = match known {
            Some(place) => place,
            None if self.0.len() >= MAX_USERS => {
                let place = self.least(now_s)?;
                *self.0.get_mut(place)? = GroupUse::new(group, now_s);
                place
            }
            None => {
                self.0.push(GroupUse::new(group, now_s));
                self.0.len() - 1
            }
        };
        let one = self.0.get_mut(place)?;
        one.seen_s = one.seen_s.max(now_s);
        Some(one)
    }

    /// The group that makes room: the one that came least lately, of those that do not belong there, else of those that
    /// were away for long.
    fn least(&self, now_s: u32) -> Option<usize> {
        let goes = |one: &GroupUse| one.uses == 0 || now_s.saturating_sub(one.seen_s) > AWAY_S;
        let all = self.0.iter().enumerate().filter(|(_, one)| goes(one));
        all.min_by_key(|(_, one)| (one.uses > 0, one.seen_s))
            .map(|(place, _)| place)
    }

    /// Somebody of a group was refused.
    pub(crate) fn refused(&mut self, group: GroupKey) {
        if let Some(one) = self.0.iter_mut().find(|one| one.group == group) {
            one.refusals = one.refusals.saturating_add(1);
        }
    }

    /// A group that is known there.
    pub(crate) fn find(&self, group: GroupKey) -> Option<&GroupUse> {
        self.0.iter().find(|one| one.group == group)
    }

    /// Groups other than that whose members use it. Programs whose keys say nothing do what programs do: that says
    /// nothing of whose function it is.
    pub(crate) fn others(&self, group: GroupKey) -> impl Iterator<Item = &GroupUse> {
        self.0
            .iter()
            .filter(move |one| one.group != group && one.group != GroupKey::SERVICES && one.uses > 0)
    }

    /// Keeps the bound of what was read back.
    pub(crate) fn bound(&mut self) {
        self.0.truncate(MAX_USERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(number: u8) -> CallerHash {
        CallerHash([number; 16])
    }

    #[test]
    fn one_stranger_is_told_and_a_crowd_is_not() {
        let mut strangers = Strangers::default();
        strangers.add(who(1), 100);
        assert!(strangers.is_told(100, 3600) && strangers.is_told(5000, 3600));
        strangers.add(who(2), 200);
        assert!(!strangers.is_told(200, 3600) && strangers.is_told(3700, 3600));
        for number in 3..8 {
            strangers.add(who(number), 300);
        }
        assert!(!strangers.is_told(3700, 3600));
        assert_eq!(strangers.count(), 7);
    }

    #[test]
    fn few_are_known_by_who_they_are_and_many_as_a_group() {
        let mut uses = Uses::default();
        let group = uses.of(GroupKey(9), 1).unwrap();
        group.learn(who(1));
        assert!(group.belongs(who(1)) && !group.belongs(who(2)));
        for number in 2..9 {
            group.learn(who(number));
        }
        assert!(group.belongs(who(60)));
        for number in 0..100 {
            uses.of(GroupKey(number), 2);
        }
        assert_eq!(uses.0.len(), MAX_USERS);
        assert!(uses.find(GroupKey(9)).is_some(), "it belongs there");
    }

    #[test]
    fn groups_that_do_not_belong_there_make_room_and_those_away() {
        let mut uses = Uses::default();
        for number in 0..100 {
            uses.refused(GroupKey(number));
        }
        assert_eq!(uses.0.len(), 0, "whoever is refused may have made it up");
        let users = MAX_USERS as u64;
        for number in 0..users {
            uses.of(GroupKey(number), 100).unwrap().learn(who(1));
        }
        assert!(uses.of(GroupKey(50), 200).is_none(), "no room");
        uses.of(GroupKey(0), 200 + AWAY_S);
        assert!(uses.of(GroupKey(50), 200 + AWAY_S).is_some());
        assert!(uses.find(GroupKey(1)).is_none() && uses.find(GroupKey(0)).is_some());
        assert!(
            uses.of(GroupKey(51), 200 + AWAY_S).is_some(),
            "instead of one that did nothing"
        );
        assert!(uses.find(GroupKey(50)).is_none() && uses.find(GroupKey(2)).is_some());
    }

    #[test]
    fn strangers_of_weeks_are_no_release() {
        let mut strangers = Strangers::default();
        for number in 0..20_u8 {
            let now_s = 100 + u32::from(number) * TOGETHER_S;
            assert!(strangers.add_together(who(number), now_s) <= 2);
        }
        let now_s = 100 + 20 * TOGETHER_S;
        let counts = (0..6).map(|number| strangers.add_together(who(30 + number), now_s));
        assert_eq!(counts.last(), Some(6));
    }
}
