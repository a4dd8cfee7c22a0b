//! To whom which id was handed out.
//!
//! Takes ids of answers and requests. Gives whose they are. Never keeps a value: keyed hashes, and fronts of callers.
//! Bounded by two tables, of ids and of the places that hand them out. Ids that came once make room for others; where
//! something may have made room, nothing is said of ids that were never handed out.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::colleagues::Work;
use super::norms::Norms;
use super::outlets::{Kind, Outlet, bit};
use super::people::Person;
use crate::detect::Blind;
use crate::detect::baseline::table::{Kept, Table};

/// Sets of ids: 524,288 of them, 56 bytes a place.
const SETS: usize = 65_536;
/// Sets of places that hand out ids: 65,536 of them, 72 bytes a place.
const OUTLET_SETS: usize = 8192;
/// Callers of an id that are known one by one; the others are known by a bit.
const HOLDERS: usize = 3;
/// Bits of 64 that are set when about sixty callers were handed an id: it is everybody's.
const PUBLIC: u32 = 40;
/// Different callers who used an id that was handed to others before one more makes it a link that somebody shared.
const STRANGERS: usize = 2;
/// Ids of one answer by which a team is known.
pub(super) const UNASKED: usize = 32;
/// Ids of one place of an answer that another has, too: one may be so by chance.
const TEAM_SHARES: u8 = 2;
/// Sets of operations whose answers are followed: 8192, 24 bytes a place.
const OPERATION_SETS: usize = 1024;
/// The mark of an id that is everybody's: a place hands it to everybody, or strangers use it.
const SHARED: u8 = 1;
/// The mark of an id that several were handed at a place of which too little is known.
const OPEN: u8 = 2;
/// The mark of a holder that a server handed the id to; others only used it.
const HANDED: u16 = 0x8000;
/// The group of a holder.
const GROUP: u16 = 0x7fff;

/// An id.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Id {
    holders: [u32; HOLDERS],
    groups: [u16; HOLDERS],
    /// Different callers, about, up to 255.
    count: u8,
    /// [`SHARED`], [`OPEN`].
    marks: u8,
    strangers: [u32; STRANGERS],
    /// Whose it is as answers say.
    owner: u32,
    all: u64,
}

/// A caller, as ids know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) caller: u32,
    pub(super) group: u16,
}

/// What an id is to a caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// It was handed to the caller.
    Mine,
    /// To somebody of the caller's team.
    Related,
    /// To somebody the caller shares ids with, perhaps by chance; this is one of those who work with their own.
    Met(u32),
    /// To very many, or others use it as well.
    Public,
    /// To others, and the caller works with everybody's.
    Everybodys,
    /// To others only; this is one of them.
    Foreign(u32),
    /// To nobody whose it would be.
    Fresh,
    /// It cannot be said.
    Unclear(Unclear),
}

/// Why it cannot be said to whom an id was handed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unclear {
    /// It may have been known, and made room.
    Forgotten,
    /// Several were handed it at a place of which too little is known: whether they share it is not.
    Open,
    /// Too little is known of the caller.
    Early,
    /// It may have been in an answer that was not seen to its end.
    Unseen,
}

impl Unclear {
    /// The same, as rules tell it.
    pub(super) const fn blind(self) -> Blind {
        match self {
            Self::Forgotten => Blind::NoRoom,
            Self::Open | Self::Early => Blind::NotEnoughEvidence,
            Self::Unseen => Blind::BodyCut,
        }
    }
}

/// What answers of an operation hand out: kinds of ids, a bit each.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Operation {
    kinds: u64,
}

/// Every id.
#[derive(Debug)]
pub(super) struct Handed {
    ids: Table<Id>,
    outlets: Table<Outlet>,
    operations: Table<Operation>,
}

/// What outlives a restart.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptHanded {
    ids: Kept<Id>,
    outlets: Kept<Outlet>,
    operations: Kept<Operation>,
}

impl Default for Handed {
    fn default() -> Self {
        Self {
            ids: Table::new(SETS),
            outlets: Table::new(OUTLET_SETS),
            operations: Table::new(OPERATION_SETS),
        }
    }
}

impl Id {
    /// Whether the caller has it, under whatever name.
    fn is_of(&self, caller: u32, person: &Person) -> bool {
        self.has(caller) || person.former().any(|former| self.has(former))
    }

    fn has(&self, caller: u32) -> bool {
        let known = self.holders.contains(&caller);
        known || usize::from(self.count) > HOLDERS && self.all & bit(caller) != 0
    }

    /// Those whom a server handed it to, one by one.
    fn handed(&self) -> impl Iterator<Item = Holder> {
        let pairs = self.holders.iter().zip(&self.groups);
        pairs
            .filter(|(_, group)| **group & HANDED != 0)
            .map(|(caller, group)| Holder {
                caller: *caller,
                group: *group & GROUP,
            })
    }

    fn weight(&self) -> u32 {
        self.count.min(2).into()
    }

    /// Very many were handed it, a place hands it to everybody, or strangers use it.
    const fn is_public(&self) -> bool {
        self.all.count_ones() >= PUBLIC || self.marks & SHARED != 0
    }

    fn note(&mut self, holder: Holder, handed: bool, norms: &Norms) {
        let mark = if handed { HANDED } else { 0 };
        if self.all & bit(holder.caller) == 0 || !self.holders.contains(&holder.caller) && self.count < 4 {
            self.count = self.count.saturating_add(1);
        }
        self.all |= bit(holder.caller);
        let at = self.holders.iter().position(|known| *known == holder.caller);
        let at = at.or_else(|| self.holders.iter().position(|known| *known == 0));
        // Who sees everybody's makes room for whose it may be.
        let at = at.or_else(|| {
            let wide = |group: &u16| !norms.is_narrow(*group & GROUP);
            let narrow = norms.is_narrow(holder.group);
            self.groups.iter().position(|group| narrow && wide(group))
        });
        let Some(at) = at else { return };
        if let (Some(known), Some(group)) = (self.holders.get_mut(at), self.groups.get_mut(at)) {
            let before = if *known == holder.caller {
                *group & HANDED
            } else {
                0
            };
            *known = holder.caller;
            *group = holder.group & GROUP | mark | before;
        }
    }
}

impl Handed {
    /// What an id is to a caller.
    pub(super) fn standing(&self, id: u64, by: Holder, person: &Person, norms: &Norms) -> Standing {
        let Some(known) = self.ids.get(id) else {
            return if self.ids.is_crowded(id) {
                Standing::Unclear(Unclear::Forgotten)
            } else {
                Standing::Fresh
            };
        };
        if known.is_of(by.caller, person) {
            return Standing::Mine;
        }
        if known.is_public() {
            return Standing::Public;
        }
        if known.marks & OPEN != 0 {
            return Standing::Unclear(Unclear::Open);
        }
        if person.shares_with_all() && known.handed().next().is_some() {
            return Standing::Everybodys;
        }
        // Staff and jobs were handed everybody's: they relate nobody to those who do the same work as the caller.
        let same_work = known.handed().any(|holder| holder.group == by.group);
        let (mut of, mut met) = (None, false);
        for holder in known.handed() {
            if holder.group == by.group || !same_work {
                if person.is_of_team(holder.caller) {
                    return Standing::Related;
                }
                met |= person.is_peer(holder.caller);
            }
            if norms.is_narrow(holder.group) {
                of = of.or(Some(holder.caller));
            }
        }
        match of {
            Some(other) if met => Standing::Met(other),
            Some(other) => Standing::Foreign(other),
            None if met => Standing::Related,
            None => Standing::Fresh,
        }
    }

    /// Who of the caller's group was handed an id.
    pub(super) fn work(&self, id: u64, by: Holder, person: &Person) -> Work {
        let told = |known: &&Id| !known.is_public() && known.marks & OPEN == 0;
        let Some(known) = self.ids.get(id).filter(told) else {
            return Work::Unknown;
        };
        if known.is_of(by.caller, person) {
            return Work::Team;
        }
        let mut colleagues = known.handed().filter(|holder| holder.group == by.group);
        match colleagues.next() {
            None => Work::Unknown,
            Some(first) if person.is_colleague(first.caller) => Work::Team,
            Some(_) if colleagues.any(|other| person.is_colleague(other.caller)) => Work::Team,
            Some(first) => Work::Apart(first.caller),
        }
    }

    /// Whether answers said that it is another's: then a field that names whoever asks says nothing of it.
    pub(super) fn is_anothers(&self, id: u64, by: u32, person: &Person) -> bool {
        let owner = self.ids.get(id).map_or(0, |known| known.owner);
        owner != 0 && owner != by && !person.was(owner)
    }

    /// An answer says that an id is the caller's; what was said first of whose it is stays.
    pub(super) fn owned(&mut self, id: u64, by: Holder, norms: &Norms, now_s: u32) {
        let Some(known) = self.ids.place(id, now_s, Id::weight) else {
            return;
        };
        known.note(by, false, norms);
        if known.owner == 0 {
            known.owner = by.caller;
        }
    }

    /// A server handed an id to a caller at a place (`at`), who from then on shares it with those who had it, unless
    /// the place hands the same to everybody.
    pub(super) fn hand(
        &mut self,
        id: u64,
        at: u64,
        to: Holder,
        person: &mut Person,
        norms: &Norms,
        now_s: u32,
    ) {
        let Some(known) = self.ids.place(id, now_s, Id::weight) else {
            return;
        };
        let is_other =
            |other: &Holder, person: &Person| other.caller != to.caller && !person.was(other.caller);
        let new = !known.is_of(to.caller, person);
        let shared = known.handed().any(|other| is_other(&other, person));
        if (new || shared) && !known.is_public() {
            let kind = self
                .outlets
                .place(at, now_s, Outlet::weight)
                .map_or(Kind::Unknown, |outlet| {
                    if new {
                        outlet.learn(to.caller, known.all, |one| known.has(one));
                    }
                    outlet.kind()
                });
            match kind {
                Kind::Everybodys => known.marks |= SHARED,
                Kind::Unknown if shared => known.marks |= OPEN,
                Kind::Unknown => {}
                Kind::Parted => {
                    known.marks &= !OPEN;
                    for other in known.handed() {
                        if is_other(&other, person) {
                            person.shares_with(other.caller);
                        }
                    }
                }
            }
        }
        known.note(to, true, norms);
    }

    /// An answer handed ids to a caller at places, unasked (`ids`: place and id). Who has half of those of a place that are
    /// not everybody's, two at least, is of the caller's team.
    pub(super) fn team(&self, ids: &[(u64, u64)], to: Holder, person: &mut Person) {
        let mut rest = ids;
        while let Some((at, _)) = rest.first() {
            let end = rest
                .iter()
                .position(|(other, _)| other != at)
                .unwrap_or(rest.len());
            let (here, after) = rest.split_at(end);
            rest = after;
            if end < usize::from(TEAM_SHARES) || self.outlets.get(*at).map(Outlet::kind) != Some(Kind::Parted)
            {
                continue;
            }
            let known = here.iter().filter_map(|(_, id)| self.ids.get(*id));
            let known: SmallVec<[&Id; UNASKED]> = known.filter(|id| !id.is_public()).collect();
            for holder in known.iter().flat_map(|id| id.handed()) {
                let other = holder.caller;
                if other == to.caller || person.was(other) {
                    continue;
                }
                if holder.group == to.group {
                    person.works_with(other);
                }
                if person.is_of_team(other) {
                    continue;
                }
                let same = known.iter().filter(|id| id.holders.contains(&other)).count();
                if same >= usize::from(TEAM_SHARES) && 2 * same >= known.len() {
                    person.is_in_team_with(other);
                }
            }
        }
    }

    /// A caller has an id from now on: it used one that was nobody's, or was handed it (`handed`) where that relates
    /// nobody.
    pub(super) fn adopt(&mut self, id: u64, by: Holder, handed: bool, norms: &Norms, now_s: u32) {
        if let Some(known) = self.ids.place(id, now_s, Id::weight) {
            known.note(by, handed, norms);
        }
    }

    /// A caller used an id that is others'.
    pub(super) fn strange(&mut self, id: u64, by: u32, person: &Person, now_s: u32) {
        let Some(known) = self.ids.place(id, now_s, Id::weight) else {
            return;
        };
        let is_same = |one: &&mut u32| **one == by || person.was(**one);
        if let Some(same) = known.strangers.iter_mut().find(is_same) {
            *same = by;
        } else if let Some(free) = known.strangers.iter_mut().find(|one| **one == 0) {
            *free = by;
        } else {
            known.marks |= SHARED;
        }
    }

    /// Answers of an operation hand out ids of these kinds.
    pub(super) fn hands(&mut self, operation: u64, kinds: u64, now_s: u32) {
        let weight = |operation: &Operation| operation.kinds.count_ones();
        if let Some(known) = self.operations.place(operation, now_s, weight) {
            known.kinds |= kinds;
        }
    }

    /// Kinds of ids that an answer of an operation may have handed out; all, where nothing is known of it.
    pub(super) fn may_hand(&self, operation: u64) -> u64 {
        self.operations
            .get(operation)
            .map_or(u64::MAX, |known| known.kinds)
    }

    pub(super) fn snapshot(&self) -> KeptHanded {
        KeptHanded {
            ids: self.ids.snapshot(),
            outlets: self.outlets.snapshot(),
            operations: self.operations.snapshot(),
        }
    }

    pub(super) fn restore(kept: KeptHanded) -> Self {
        let mut handed = Self::default();
        handed.ids.restore(kept.ids, Id::weight);
        handed.outlets.restore(kept.outlets, Outlet::weight);
        handed
            .operations
            .restore(kept.operations, |known| known.kinds.count_ones());
        handed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(caller: u32) -> Holder {
        Holder { caller, group: 1 }
    }

    #[test]
    fn what_made_room_is_not_known_to_be_nobodys() {
        let (mut handed, norms, person) = (Handed::default(), Norms::default(), Person::default());
        let standing = |handed: &Handed, id| handed.standing(id, holder(7), &person, &norms);
        let in_one_set = |number: u64| 5 << 32 | number;
        assert_eq!(standing(&handed, in_one_set(99)), Standing::Fresh);
        for number in 1..=20 {
            handed.adopt(in_one_set(number), holder(3), true, &norms, 10);
        }
        let found = standing(&handed, in_one_set(99));
        assert_eq!(found, Standing::Unclear(Unclear::Forgotten));
        assert_eq!(Unclear::Forgotten.blind(), Blind::NoRoom);
    }

    /// Four of five ids of each answer are its team's, and one is what a member of another team is handed as well.
    #[test]
    fn a_team_shares_half_of_what_it_is_handed() {
        const AT: u64 = 9;
        let (mut handed, norms) = (Handed::default(), Norms::default());
        let tag = |number: u32| number.wrapping_mul(0x9e37_79b1) | 1;
        let ids_of = |number: u32| {
            let team = (0..4).map(move |id| u64::from(number % 3) * 100 + id);
            let by_chance = 1000 + u64::from(number / 2);
            team.chain([by_chance]).map(|id| (AT, id << 32 | 7))
        };
        let mut people = vec![Person::default(); 30];
        for number in (0..30).chain(0..30) {
            let (person, to) = (&mut people[number as usize], holder(tag(number)));
            let ids: Vec<_> = ids_of(number).collect();
            for (at, id) in &ids {
                handed.hand(*id, *at, to, person, &norms, 10);
            }
            handed.team(&ids, to, person);
        }
        let met_by_chance = (0..30_u32).filter(|number| {
            let neighbour = number ^ 1;
            people[*number as usize].is_peer(tag(neighbour))
        });
        assert_eq!(met_by_chance.count(), 30);
        for number in 0..30_u32 {
            let person = &people[number as usize];
            let of_team: Vec<_> = (0..30)
                .filter(|other| *other != number && person.is_of_team(tag(*other)))
                .collect();
            assert!(
                of_team.iter().all(|other| other % 3 == number % 3),
                "{number}: {of_team:?}"
            );
            assert!(!of_team.is_empty(), "{number}");
        }
    }
}
