//! To whom which id was handed out.
//!
//! Takes ids of answers and requests. Gives whose they are. Never keeps a value: keyed hashes, and fronts of callers.
//! Bounded by two tables, of ids and of the places that hand them out. Ids that came once make room for others; where
//! something may have made room, nothing is said of ids that were never handed out.

use serde::{Deserialize, Serialize};

use super::norms::Norms;
use super::outlets::{Kind, Outlet, bit};
use super::people::Person;
use crate::detect::baseline::table::{Kept, Table};

/// Sets of ids: 524,288 of them, 56 bytes a place.
const SETS: usize = 65_536;
/// Sets of places that hand out ids: 65,536 of them, 72 bytes a place.
const OUTLET_SETS: usize = 8192;
/// Callers of an id that are known one by one; the others are known by a bit.
const HOLDERS: usize = 3;
/// Bits of 64 that are set when about sixty callers were handed an id: it is everybody's.
const PUBLIC: u32 = 40;
/// Different callers who used an id that was handed to others: a link that somebody shared.
const SHARED: u8 = 3;
/// The mark of an id that several were handed at a place of which too little is known.
const OPEN: u8 = 0x80;
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
    /// Strangers, and [`OPEN`].
    strangers: u8,
    stranger: u32,
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
    /// To somebody the caller shares ids with.
    Related,
    /// To very many, or others use it as well.
    Public,
    /// To others, and the caller works with everybody's.
    Everybodys,
    /// To others only; this is one of them.
    Foreign(u32),
    /// To nobody whose it would be.
    Fresh,
    /// It cannot be said: it may have been known.
    Forgotten,
}

/// Every id.
#[derive(Debug)]
pub(super) struct Handed {
    ids: Table<Id>,
    outlets: Table<Outlet>,
}

/// What outlives a restart.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptHanded {
    ids: Kept<Id>,
    outlets: Kept<Outlet>,
}

impl Default for Handed {
    fn default() -> Self {
        Self {
            ids: Table::new(SETS),
            outlets: Table::new(OUTLET_SETS),
        }
    }
}

impl Id {
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
        self.all.count_ones() >= PUBLIC || self.strangers & !OPEN >= SHARED
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
                Standing::Forgotten
            } else {
                Standing::Fresh
            };
        };
        if known.has(by.caller) {
            return Standing::Mine;
        }
        if known.is_public() {
            return Standing::Public;
        }
        if known.strangers & OPEN != 0 {
            return Standing::Forgotten;
        }
        if person.shares_with_all() && known.handed().next().is_some() {
            return Standing::Everybodys;
        }
        // Staff and jobs were handed everybody's: they relate nobody to those who do the same work as the caller.
        let same_work = known.handed().any(|holder| holder.group == by.group);
        let mut of = None;
        for holder in known.handed() {
            if person.is_peer(holder.caller) && (holder.group == by.group || !same_work) {
                return Standing::Related;
            }
            if norms.is_narrow(holder.group) {
                of = of.or(Some(holder.caller));
            }
        }
        of.map_or(Standing::Fresh, Standing::Foreign)
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
        let new = !known.has(to.caller);
        let shared = known.handed().any(|other| other.caller != to.caller);
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
                Kind::Everybodys => known.strangers = SHARED,
                Kind::Unknown if shared => known.strangers |= OPEN,
                Kind::Unknown => {}
                Kind::Parted => {
                    known.strangers &= !OPEN;
                    for other in known.handed().filter(|other| other.caller != to.caller) {
                        person.shares_with(other.caller);
                    }
                }
            }
        }
        known.note(to, true, norms);
    }

    /// A caller used an id that was nobody's.
    pub(super) fn adopt(&mut self, id: u64, by: Holder, norms: &Norms, now_s: u32) {
        if let Some(known) = self.ids.place(id, now_s, Id::weight) {
            known.note(by, false, norms);
        }
    }

    /// A caller used an id that is others'.
    pub(super) fn strange(&mut self, id: u64, by: u32, now_s: u32) {
        if let Some(known) = self.ids.place(id, now_s, Id::weight)
            && known.stranger != by
        {
            known.stranger = by;
            known.strangers =
                known.strangers & OPEN | (known.strangers & !OPEN).saturating_add(1).min(SHARED);
        }
    }

    pub(super) fn snapshot(&self) -> KeptHanded {
        KeptHanded {
            ids: self.ids.snapshot(),
            outlets: self.outlets.snapshot(),
        }
    }

    pub(super) fn restore(kept: KeptHanded) -> Self {
        let mut handed = Self::default();
        handed.ids.restore(kept.ids, Id::weight);
        handed.outlets.restore(kept.outlets, Outlet::weight);
        handed
    }
}
