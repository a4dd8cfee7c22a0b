//! What is usual at a place: that it names the caller, or that the caller was handed its values before.
//!
//! Takes what came at a place, by group of callers. Gives whether a departure from it means something. Never keeps a
//! value. Bounded by two tables; a place that was met often is not pushed out by new ones.

use serde::{Deserialize, Serialize};

use super::people::bit;
use crate::detect::baseline::table::{Kept, Table};
use crate::exchange::value::ValueHash;

/// Sets of places that values are at: 131,072 of them, thirteen for each of 10,000 endpoints, 56 bytes a place.
const NAMING_SETS: usize = 16_384;
/// Sets of places that requests name objects at: 65,536, 76 bytes a place.
const USING_SETS: usize = 8192;
/// Groups of callers, by hash. Applications have dozens of roles.
const GROUPS: usize = 1024;
/// Counts at which they are halved: what is usual is what was so lately.
const FULL: u32 = 4096;
/// The same of a group.
const GROUP_FULL: u32 = 512;
/// Uses that were as usual before a departure means something: with none against, less than one in five departs (95%,
/// rule of three), and each of these had another caller or another time.
const LEAST: u32 = 15;
/// Different callers among them: bits of 64, of which two callers may share one.
const LEAST_CALLERS: u32 = 4;
/// One departure in so many is still a norm: 98 percent.
const TIGHT: u32 = 50;
/// One id in so many that was handed to others only: these are common where things are shared, so a norm has next to none.
const ALMOST_NONE: u32 = 200;
/// Departures that were told, one for each caller and day, that a norm outlives however young it is: an attacker with a
/// few accounts. When more callers than these depart, it is a norm no longer.
const LAPSES: u32 = 4;
/// Callers among whom one may depart again and again: of fewer, one is a part of how the group works.
const AMONG: u32 = 8;
/// One value in so many that nobody is known by, at a place that names callers.
const NAMING: u32 = 8;
/// Uses of what was handed to the caller, and none of what was handed to those whom it shares ids with, before such a one
/// departs: less than one in ten would (95%, rule of three).
const LEAST_ALONE: u32 = 2 * LEAST;
/// Uses of a group before it is known whether it works with what is others'.
const GROUP_LEAST: u32 = 20;
/// One use in so many is of an id that was handed to others only, in a group that works with its own.
const NARROW: u32 = 20;

/// How sure a norm is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Norm {
    /// There is none.
    None,
    /// It may be one, but too little was seen.
    Early,
    /// Departures mean something.
    Tight,
}

/// Values at a place, as far as they name somebody.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(super) struct Naming {
    /// The caller.
    pub(super) own: u32,
    /// Somebody else.
    pub(super) foreign: u32,
    /// Nobody who is known, though enough is known of the caller.
    pub(super) unknown: u32,
    /// Departures that were told.
    pub(super) lapses: u32,
    callers: u64,
    /// Those of them who departed and were not told.
    departed: u64,
    /// Names that were the callers', a bit each.
    names: u64,
}

/// Ids that requests had at a place.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(super) struct Using {
    /// Handed to the caller before, or its own as the answer says.
    pub(super) mine: u32,
    /// Handed to those whom the caller shares ids with.
    pub(super) related: u32,
    /// Handed to others only.
    pub(super) foreign: u32,
    /// Handed to nobody.
    pub(super) fresh: u32,
    /// Handed to others only or to nobody, and its tenant's as the answer says.
    pub(super) ours: u32,
    /// Handed to several who may share it or not.
    pub(super) open: u32,
    /// Handed to very many.
    pub(super) public: u32,
    /// Departures that were told.
    lapses: u32,
    /// The same, of ids of those whom the caller shares other ids with: they end no norm but their own.
    met_lapses: u32,
    /// Handed to the caller or to some of its team.
    pub(super) team: u32,
    /// Handed to others of the caller's group only.
    pub(super) apart: u32,
    /// Departures of this that were told.
    pub(super) apart_lapses: u32,
    callers: u64,
}

/// How a group works.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Group {
    uses: u32,
    foreign: u32,
}

/// Everything that is usual.
pub(super) struct Norms {
    naming: Table<Naming>,
    using: Table<Using>,
    groups: Vec<Group>,
}

impl std::fmt::Debug for Norms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[norms, {:?}, {:?}]", self.naming, self.using)
    }
}

/// What outlives a restart.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptNorms {
    naming: Kept<Naming>,
    using: Kept<Using>,
    groups: Vec<Group>,
}

impl Norm {
    /// The same, where too little is known of the caller.
    pub(super) const fn early(self) -> Self {
        match self {
            Self::Tight => Self::Early,
            other => other,
        }
    }
}

/// Of so many uses those that do not fit, as things are.
fn expected((usual, against): (u32, u32), uses: u32) -> u32 {
    let all = u64::from(usual.saturating_add(against).max(1));
    u32::try_from(u64::from(uses) * u64::from(against) / all).unwrap_or(u32::MAX)
}

impl Naming {
    /// Whether another's name departs from a norm.
    pub(super) const fn norm(&self) -> Norm {
        let known = self.own.saturating_add(self.foreign);
        let common = self.foreign * TIGHT > known && !self.are_few();
        let broken = common || self.lapses > LAPSES + known / TIGHT;
        if broken || self.unknown * NAMING > self.own {
            Norm::None
        } else if self.own < LEAST || self.callers.count_ones() < LEAST_CALLERS {
            Norm::Early
        } else {
            Norm::Tight
        }
    }

    /// Whether so few departed that it is not how the group works, however often they did: one who came before anything
    /// could be told, and counted through all there is.
    const fn are_few(&self) -> bool {
        let departed = self.departed.count_ones();
        departed <= LAPSES && departed * AMONG <= self.callers.count_ones() && self.foreign <= self.own
    }

    /// Somebody else's name was there; `caller` is one bit.
    pub(super) const fn is_anothers(&mut self, caller: u64) {
        self.foreign += 1;
        self.departed |= caller;
    }

    /// Whether a name that is nobody's departs from a norm.
    pub(super) fn norm_of_unknown(&self) -> Norm {
        match self.norm() {
            Norm::Tight if self.unknown * TIGHT > self.own => Norm::None,
            norm => norm,
        }
    }

    /// The caller's name was there.
    pub(super) const fn is_named(&mut self, name: ValueHash) {
        self.own += 1;
        self.names |= bit(name.0);
    }

    /// Whether no other name of a caller was ever there.
    pub(super) const fn is_only(&self, name: ValueHash) -> bool {
        self.names == bit(name.0)
    }

    /// Uses, all together.
    pub(super) const fn all(&self) -> u32 {
        self.own + self.foreign + self.unknown
    }

    fn weight(&self) -> u32 {
        self.own
    }
}

impl Using {
    /// As it should be.
    pub(super) const fn usual(&self) -> u32 {
        self.mine + self.related
    }

    /// All uses.
    pub(super) const fn all(&self) -> u32 {
        self.usual() + self.foreign + self.fresh + self.ours + self.open + self.public
    }

    /// A departure was told; `met`: of what was handed to somebody the caller shares other ids with.
    pub(super) const fn lapses(&mut self, met: bool) {
        if met {
            self.met_lapses += 1;
        } else {
            self.lapses += 1;
        }
    }

    /// Uses that fit, and those that do not. What is the tenant's fits where nothing says whose it is; among what is the
    /// tenant's it is the caller's own that fits.
    const fn sides(&self, against: u32, ours: bool) -> (u32, u32) {
        if ours {
            (self.usual(), against + self.ours)
        } else {
            (self.usual() + self.ours, against)
        }
    }

    /// Of so many uses, how many are of others' ids among callers of the group; `ours`: of those of its tenant.
    pub(super) fn expected_foreign(&self, ours: bool, uses: u32) -> u32 {
        expected(self.sides(self.foreign, ours), uses)
    }

    /// The same of ids that are nobody's.
    pub(super) fn expected_fresh(&self, uses: u32) -> u32 {
        expected(self.sides(self.fresh, false), uses)
    }

    fn tight(&self, (usual, against): (u32, u32), one_in: u32) -> Norm {
        let broken = against * one_in > usual + against || self.lapses > LAPSES + usual / TIGHT;
        // What is open may turn out to be a departure, each time.
        let may_break = (against + self.open) * one_in > usual + against;
        if broken || self.public > usual {
            Norm::None
        } else if may_break || usual < LEAST || self.callers.count_ones() < LEAST_CALLERS {
            Norm::Early
        } else {
            Norm::Tight
        }
    }

    /// Whether an id that was handed to others only departs from a norm; `ours`: it is the tenant's.
    pub(super) fn norm_of_foreign(&self, ours: bool) -> Norm {
        let sides = self.sides(self.foreign, ours);
        // Where much is shared, who shares with whom is known too late.
        if self.related * TIGHT > sides.0 - self.related {
            return Norm::None;
        }
        self.tight(sides, ALMOST_NONE)
    }

    /// Whether an id departs from a norm that was handed to somebody the caller shares other ids with. Two who bought one
    /// thing share its id by chance, as a team shares all; a team shows by using what its members were handed.
    pub(super) fn norm_of_related(&self, ours: bool) -> Norm {
        let shared = self.related * ALMOST_NONE > self.mine;
        if shared || self.mine < LEAST_ALONE || self.met_lapses > LAPSES + self.mine / TIGHT {
            return Norm::None;
        }
        self.norm_of_foreign(ours)
    }

    /// Uses of what the caller or its team was handed, and all of what its group was.
    pub(super) const fn among_colleagues(&self) -> (u32, u32) {
        (self.team, self.team + self.apart)
    }

    /// Of so many uses, how many are of what was handed to others of the group only.
    pub(super) fn expected_apart(&self, uses: u32) -> u32 {
        expected((self.team, self.apart), uses)
    }

    /// Whether an id departs from a norm that was handed to others of the caller's group, and to nobody of its team.
    pub(super) fn norm_of_apart(&self) -> Norm {
        let common = self.apart * ALMOST_NONE > self.team + self.apart;
        if common || self.apart_lapses > LAPSES + self.team / TIGHT {
            Norm::None
        } else if self.team < LEAST_ALONE || self.callers.count_ones() < LEAST_CALLERS {
            Norm::Early
        } else {
            Norm::Tight
        }
    }

    /// Whether an id that was handed to nobody departs from a norm.
    pub(super) fn norm_of_fresh(&self) -> Norm {
        let sides = self.sides(self.fresh, false);
        match self.tight(sides, TIGHT) {
            Norm::Tight if sides.0 < 2 * LEAST => Norm::Early,
            norm => norm,
        }
    }

    /// Whether values there are ids: most were handed out before.
    pub(super) const fn are_ids(&self) -> bool {
        self.usual() + self.foreign + self.ours + self.public > self.fresh
    }

    fn weight(&self) -> u32 {
        self.usual()
    }
}

impl Default for Norms {
    fn default() -> Self {
        Self {
            naming: Table::new(NAMING_SETS),
            using: Table::new(USING_SETS),
            groups: vec![Group::default(); GROUPS],
        }
    }
}

impl Norms {
    /// What a place names.
    pub(super) fn naming(&self, key: u64) -> Naming {
        self.naming.find(key).unwrap_or_default()
    }

    /// How a place is used.
    pub(super) fn using(&self, key: u64) -> Using {
        self.using.find(key).unwrap_or_default()
    }

    /// Learns what a place named; `caller` is one bit.
    pub(super) fn learn_naming(&mut self, key: u64, caller: u64, now_s: u32, what: impl Fn(&mut Naming)) {
        let Some(naming) = self.naming.place(key, now_s, Naming::weight) else {
            return;
        };
        what(naming);
        naming.callers |= caller;
        if naming.all() >= FULL {
            naming.own /= 2;
            naming.foreign /= 2;
            naming.unknown /= 2;
            naming.lapses /= 2;
            if naming.foreign == 0 {
                naming.departed = 0;
            }
        }
    }

    /// Learns how a place was used; `caller` is one bit.
    pub(super) fn learn_using(&mut self, key: u64, caller: u64, now_s: u32, what: impl Fn(&mut Using)) {
        let Some(using) = self.using.place(key, now_s, Using::weight) else {
            return;
        };
        what(using);
        using.callers |= caller;
        if using.all() >= FULL {
            for count in [
                &mut using.mine,
                &mut using.related,
                &mut using.foreign,
                &mut using.fresh,
                &mut using.ours,
                &mut using.open,
                &mut using.public,
                &mut using.lapses,
                &mut using.met_lapses,
                &mut using.team,
                &mut using.apart,
                &mut using.apart_lapses,
            ] {
                *count /= 2;
            }
        }
    }

    /// Learns whether a group used what was handed to others.
    pub(super) fn learn_group(&mut self, group: u16, is_foreign: bool) {
        if let Some(group) = self.groups.get_mut(usize::from(group) % GROUPS) {
            group.uses += 1;
            group.foreign += u32::from(is_foreign);
            if group.uses >= GROUP_FULL {
                group.uses /= 2;
                group.foreign /= 2;
            }
        }
    }

    /// Whether a group works with what is its own: what it was handed is somebody's. Staff and jobs see everybody's.
    pub(super) fn is_narrow(&self, group: u16) -> bool {
        let group = self
            .groups
            .get(usize::from(group) % GROUPS)
            .copied()
            .unwrap_or_default();
        group.uses >= GROUP_LEAST && group.foreign * NARROW <= group.uses
    }

    /// Whether enough was seen of a group to know how it works.
    pub(super) fn is_known(&self, group: u16) -> bool {
        let group = self.groups.get(usize::from(group) % GROUPS);
        group.is_some_and(|group| group.uses >= GROUP_LEAST)
    }

    pub(super) fn snapshot(&self) -> KeptNorms {
        KeptNorms {
            naming: self.naming.snapshot(),
            using: self.using.snapshot(),
            groups: self.groups.clone(),
        }
    }

    pub(super) fn restore(mut kept: KeptNorms) -> Self {
        let mut norms = Self::default();
        norms.naming.restore(kept.naming, Naming::weight);
        norms.using.restore(kept.using, Using::weight);
        kept.groups.resize(GROUPS, Group::default());
        norms.groups = kept.groups;
        norms
    }
}
