//! How many objects that are not its own one caller asks one operation for.
//!
//! Takes ids that were not handed to who uses them, refused tries as well. Gives a sign when there are more than is usual
//! for the group and for the caller, within ten minutes or a day. What is usual is learnt of what the server gave: a
//! refusal says that it should not be. Never keeps a value. Bounded by two tables.

use serde::{Deserialize, Serialize};

use super::keys::mix;
use super::people::{bit, estimate};
use crate::detect::Blind;
use crate::detect::baseline::table::{Kept, Table};

/// Sets of callers and operations: 65,536, 96 bytes a place.
const CALLER_SETS: usize = 8192;
/// Sets of operations and groups: 16,384, 72 bytes a place.
const GROUP_SETS: usize = 2048;
/// The windows: a script's, and a patient one's.
const LENGTHS_S: [u32; 2] = [600, 86_400];
/// Objects below which nobody enumerates: a person with old bookmarks has a handful.
const LEAST: u32 = 8;
/// Of them, so many were answered with success: who only meets refusals gets nothing.
const LEAST_GIVEN: u32 = 3;
/// Windows of a group before it has a norm, and callers among them (bits of 64).
const WINDOWS: u16 = 15;
const CALLERS: u32 = 4;
/// One window in so many may have a third as many objects.
const RARE: u32 = 200;
/// Times what is usual for the group, and for the caller itself.
const BEYOND: u32 = 3;
/// Numbers of objects that are told apart.
const LEVELS: [u32; 9] = [0, 1, 2, 4, 8, 16, 32, 64, 128];
/// Windows of a group at which all counts are halved.
const FULL: u16 = 8192;

#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Window {
    number: u32,
    /// When it had its first object.
    first_s: u32,
    /// Most of the windows before; an eighth is forgotten with each.
    usual: u16,
    windows: u8,
    /// Levels of this window that the group has learnt.
    level: u8,
    /// Objects that were tried, and those that the server gave.
    objects: u64,
    given: u64,
    others: u64,
}

#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Caller {
    windows: [Window; LENGTHS_S.len()],
}

#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Group {
    /// Windows that had so many objects or more.
    reached: [[u16; LEVELS.len()]; LENGTHS_S.len()],
    callers: u64,
}

/// Who asks for how many.
#[derive(Debug)]
pub(super) struct Many {
    callers: Table<Caller>,
    groups: Table<Group>,
}

/// What outlives a restart.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptMany {
    callers: Kept<Caller>,
    groups: Kept<Group>,
}

/// Whose use it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) caller: u64,
    pub(super) operation: u64,
    pub(super) group: u64,
    pub(super) now_s: u32,
}

/// An id that is not the caller's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strange {
    pub(super) object: u64,
    /// Whose it is, if that is known.
    pub(super) other: Option<u32>,
}

/// Too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooMany {
    pub(super) objects: u32,
    pub(super) given: u32,
    pub(super) others: u32,
    /// Since the first of them.
    pub(super) minutes: u32,
    /// What windows of the group and of the caller have at most.
    pub(super) most: u32,
    /// Windows of the group that have no more, of so many.
    pub(super) usual: u32,
    pub(super) windows: u32,
}

/// What windows of a group have.
#[derive(Clone, Copy, Debug)]
struct Usual {
    /// All but one in [`RARE`] have less than twice as many.
    most: u32,
    within: u32,
    windows: u32,
}

impl Default for Many {
    fn default() -> Self {
        Self {
            callers: Table::new(CALLER_SETS),
            groups: Table::new(GROUP_SETS),
        }
    }
}

impl Window {
    /// Begins another window. What is usual doubles at most, so whoever wants to raise it has to be patient.
    fn roll(&mut self, number: u32) {
        if number <= self.number {
            return;
        }
        if self.number > 0 {
            let most = u16::try_from(estimate(self.given)).unwrap_or(u16::MAX);
            let learnt = if self.windows == 0 {
                most
            } else {
                most.min(self.usual.saturating_mul(2).max(4))
            };
            self.usual = learnt.max(self.usual - self.usual / 8);
            self.windows = self.windows.saturating_add(1);
        }
        *self = Self {
            number,
            usual: self.usual,
            windows: self.windows,
            ..Self::default()
        };
    }

    fn add(&mut self, strange: &[Strange], given: bool, now_s: u32) {
        for one in strange {
            if self.objects == 0 {
                self.first_s = now_s;
            }
            self.objects |= bit(one.object);
            self.others |= one.other.map_or(0, |other| 1 << (other >> 8 & 63));
            if given {
                self.given |= bit(one.object);
            }
        }
    }
}

impl Group {
    /// The most objects that one window in [`RARE`] has; the window that is judged, which was learnt up to its level, is
    /// none of them.
    fn usual(&self, length: usize, own: u8) -> Option<Usual> {
        let reached = self.reached.get(length)?;
        let all = u32::from(*reached.first()?);
        let enough = all >= u32::from(WINDOWS) && self.callers.count_ones() >= CALLERS;
        let others = |level: usize| {
            let count = reached.get(level).copied().unwrap_or_default();
            u32::from(count).saturating_sub(u32::from(level < usize::from(own)))
        };
        let last = (0..reached.len())
            .rev()
            .find(|level| others(*level) * RARE > all)?;
        let most = LEVELS.get(last).copied();
        enough.then_some(Usual {
            most: most.unwrap_or(0),
            within: all - others(last + 1),
            windows: all,
        })
    }

    fn weight(&self) -> u32 {
        self.reached.iter().flatten().map(|count| u32::from(*count)).sum()
    }

    /// Learns what a window has by now.
    fn learn_window(&mut self, length: usize, window: &mut Window) {
        let given = estimate(window.given);
        while let Some(next) = LEVELS.get(usize::from(window.level))
            && given >= *next
        {
            self.learn(length, window.level.into());
            window.level += 1;
        }
    }

    fn learn(&mut self, length: usize, level: usize) {
        let Some(reached) = self.reached.get_mut(length) else {
            return;
        };
        if let Some(count) = reached.get_mut(level) {
            *count += 1;
        }
        if reached.iter().any(|count| *count >= FULL) {
            for count in reached.iter_mut() {
                *count /= 2;
            }
        }
    }
}

impl Many {
    /// A caller used an operation; `strange` are ids that are not its own, which the server gave or refused.
    pub(super) fn observe(
        &mut self,
        by: Use,
        strange: &[Strange],
        given: bool,
    ) -> Result<Option<TooMany>, Blind> {
        let weight = |caller: &Caller| {
            caller
                .windows
                .iter()
                .map(|window| u32::from(window.windows))
                .sum()
        };
        let key = mix(by.caller, by.operation);
        let group_key = mix(by.operation, by.group);
        let (Some(caller), Some(group)) = (
            self.callers.place(key, by.now_s, weight),
            self.groups.place(group_key, by.now_s, Group::weight),
        ) else {
            return Ok(None);
        };
        if given {
            group.callers |= bit(by.caller);
        }
        let mut judged = Ok(None);
        for (length, (window, seconds)) in caller.windows.iter_mut().zip(LENGTHS_S).enumerate() {
            window.roll(by.now_s / seconds + 1);
            window.add(strange, given, by.now_s);
            let found = judge(window, group.usual(length, window.level), by.now_s);
            if given {
                group.learn_window(length, window);
            }
            if !strange.is_empty() && matches!(judged, Ok(None)) && !matches!(found, Ok(None)) {
                judged = found;
            }
        }
        judged
    }

    pub(super) fn snapshot(&self) -> KeptMany {
        KeptMany {
            callers: self.callers.snapshot(),
            groups: self.groups.snapshot(),
        }
    }

    pub(super) fn restore(kept: KeptMany) -> Self {
        let mut many = Self::default();
        many.callers.restore(kept.callers, |_| 0);
        many.groups.restore(kept.groups, |_| 0);
        many
    }
}

fn judge(window: &Window, usual: Option<Usual>, now_s: u32) -> Result<Option<TooMany>, Blind> {
    let (objects, given) = (estimate(window.objects), estimate(window.given));
    if objects < LEAST || given < LEAST_GIVEN {
        return Ok(None);
    }
    let own_is_known = window.windows >= 3;
    if own_is_known && objects < u32::from(window.usual) * BEYOND {
        return Ok(None);
    }
    let Some(usual) = usual else {
        return Err(Blind::NotEnoughEvidence);
    };
    // Where many objects are daily work, somebody new may begin with more.
    if !own_is_known && usual.most >= LEAST / 2 {
        return Err(Blind::NotEnoughEvidence);
    }
    let found = TooMany {
        objects,
        given,
        others: estimate(window.others),
        minutes: now_s.saturating_sub(window.first_s) / 60,
        most: (2 * usual.most).saturating_sub(1).max(window.usual.into()),
        usual: usual.within,
        windows: usual.windows,
    };
    Ok((objects >= usual.most.saturating_mul(BEYOND)).then_some(found))
}
