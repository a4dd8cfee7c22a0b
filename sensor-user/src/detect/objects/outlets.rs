//! Places of answers that hand out ids: each to one, to a team, or the same to everybody.
//!
//! Takes who was handed an id at a place, and who had it before. Gives what the place is. Never keeps a value: bits and
//! fronts of keyed hashes. Bounded by the table that holds [`Outlet`]s; counts begin anew at [`FULL`].

use serde::{Deserialize, Serialize};

/// Callers of a place that are followed: whom do they meet there?
const FOLLOWED: usize = 3;
/// Different callers before anything is said: three of a team of seven come first by chance, seven do not.
const LEAST_CALLERS: u32 = 8;
/// Ids that were new to a caller before anything is said: two for each of them.
const LEAST_IDS: u16 = 16;
/// Three in four of all callers have an id in common with somebody: a team that large is everybody.
const MEETS: (u32, u32) = (3, 4);
/// Ids that were new to a caller after which counts begin anew, so that those who are followed are of late. What the
/// place is stays until more is known.
const FULL: u16 = 4096;

/// What a place is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Too little was seen of it.
    #[default]
    Unknown,
    /// It hands each id to one or to a few: who is handed the same has something in common.
    Parted,
    /// It hands the same to everybody.
    Everybodys,
}

/// A place of an answer.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(super) struct Outlet {
    callers: u64,
    followed: [u32; FOLLOWED],
    met: [u64; FOLLOWED],
    /// Ids that nobody else had, and others.
    alone: u16,
    shared: u16,
    kind: Kind,
}

/// One bit for a caller.
pub(super) const fn bit(caller: u32) -> u64 {
    1 << (caller >> 16 & 63)
}

impl Outlet {
    /// What it is.
    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// What its place in a table is worth.
    pub(super) fn weight(&self) -> u32 {
        let known = u32::from(self.kind != Kind::Unknown) * u32::from(FULL);
        known + u32::from(self.alone) + u32::from(self.shared)
    }

    /// It hands an id to a caller who did not have it; `others` are those who did, a bit each, and `has` knows some of
    /// them by name.
    pub(super) fn learn(&mut self, to: u32, others: u64, has: impl Fn(u32) -> bool) {
        if self.alone.saturating_add(self.shared) >= FULL {
            *self = Self {
                kind: self.kind,
                ..Self::default()
            };
        }
        self.callers |= bit(to);
        let others = others & !bit(to);
        if others == 0 {
            self.alone += 1;
        } else {
            self.shared += 1;
        }
        if !self.followed.contains(&to)
            && let Some(free) = self.followed.iter_mut().find(|known| **known == 0)
        {
            *free = to;
        }
        for (known, met) in self.followed.iter().zip(&mut self.met) {
            if *known == to {
                *met |= others;
            } else if *known != 0 && has(*known) {
                *met |= bit(to);
            }
        }
        self.kind = self.judge();
    }

    fn judge(&self) -> Kind {
        let callers = self.callers.count_ones();
        if callers < LEAST_CALLERS || self.alone.saturating_add(self.shared) < LEAST_IDS {
            return self.kind;
        }
        let mut pairs = (0, 0);
        for (known, met) in self
            .followed
            .iter()
            .zip(&self.met)
            .filter(|(known, _)| **known != 0)
        {
            pairs.0 += (met & self.callers & !bit(*known)).count_ones();
            pairs.1 += callers - 1;
        }
        if self.shared >= self.alone && pairs.0 * MEETS.1 >= pairs.1 * MEETS.0 {
            Kind::Everybodys
        } else {
            Kind::Parted
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn caller(number: u32) -> u32 {
        number << 16 | 1
    }

    /// Hands ids to callers in turn; `ids` says which.
    fn place(callers: u32, rounds: u32, ids: impl Fn(u32, u32) -> Vec<u32>) -> Kind {
        let (mut outlet, mut held) = (Outlet::default(), BTreeMap::<u32, Vec<u32>>::new());
        for (round, number) in (0..rounds).flat_map(|round| (0..callers).map(move |number| (round, number))) {
            for id in ids(number, round) {
                let holders = held.entry(id).or_default();
                if !holders.contains(&number) {
                    let others = holders.iter().fold(0, |bits, other| bits | bit(caller(*other)));
                    let known: Vec<_> = holders.iter().map(|other| caller(*other)).collect();
                    outlet.learn(caller(number), others, |one| known.contains(&one));
                    holders.push(number);
                }
            }
        }
        outlet.kind()
    }

    #[test]
    fn places_are_told_apart_by_who_meets_whom() {
        let own = |number: u32, round: u32| vec![number * 1000 + round];
        let team = |number: u32, round: u32| vec![number % 3 * 1000 + round];
        let all = |_: u32, _: u32| (0..10).collect::<Vec<_>>();
        let mixed = |number: u32, round: u32| vec![1, number * 1000 + round, number * 1000 + 500 + round];
        assert_eq!(place(20, 5, own), Kind::Parted);
        assert_eq!(place(20, 5, team), Kind::Parted);
        assert_eq!(place(20, 5, mixed), Kind::Parted);
        assert_eq!(place(20, 5, all), Kind::Everybodys);
        // Sixty know each other by few things each.
        assert_eq!(
            place(60, 40, |number, round| vec![(number * 7 + round * round) % 10]),
            Kind::Everybodys
        );
        assert_eq!(place(7, 50, all), Kind::Unknown);
        // Counts begin anew, and what is known stays.
        assert_eq!(place(20, 4000, own), Kind::Parted);
    }
}
