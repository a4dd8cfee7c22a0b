//! What names each caller, whom it shares objects with, and what it did lately that is not usual.
//!
//! Takes values that answers and tokens hold. Gives whose they are. Never keeps a value: fronts of keyed hashes.
//! Bounded by its two tables; whoever came often is not pushed out by who came once.

use serde::{Deserialize, Serialize};

use super::keys::tag;
use crate::detect::baseline::table::{Kept, Table};
use crate::exchange::value::ValueHash;

/// Sets of callers: 131,072 of them, as many as identity keeps, 248 bytes a place.
const PEOPLE_SETS: usize = 16_384;
/// Sets of values that name somebody: 262,144, two for each caller, 32 bytes a place.
const OWNER_SETS: usize = 32_768;
/// Values from tokens and logins: an id, a login name, an address, and another.
const SURE: usize = 4;
/// Values that answers have again and again. One that comes in every seventh answer is kept by as many counters (Misra
/// and Gries, 1982).
const OFTEN: usize = 6;
/// Times that a value has been in an answer before it names the caller.
const NAMES: u8 = 3;
/// Answers of a caller after which a value that is new is another's.
const MATURE: u8 = 8;
/// Answers of a caller after which what it asks for is no more from before it was known: a page and what is on it.
const ARRIVED: u8 = 4;
/// Earlier callers who turned out to be this one that are remembered: a session from before its login, and another.
const FORMER: usize = 2;
/// Callers who have a value as theirs from which it is a tenant's.
const SEVERAL: u8 = 3;
const DAY_S: u32 = 86_400;
/// What is odd is counted for so long: who is patient asks for a few objects in a day.
const LATELY_S: u32 = 4 * DAY_S;
/// Bits of 256 that are set when a caller shares ids with some fifty: a team or a tenant is smaller, and who shares with
/// more works with everybody's.
const TEAM: u32 = 48;

/// A caller.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(super) struct Person {
    sure: [u32; SURE],
    often: [u32; OFTEN],
    hits: [u8; OFTEN],
    /// What the answer was about that each was in last.
    about: [u16; OFTEN],
    /// Answers.
    seen: u8,
    /// The last day with a departure from a norm.
    lapsed: u32,
    /// Those who were handed the same ids, a bit of 256 each.
    peers: [u64; 4],
    /// Those of them who are handed the same unasked, so many ids that it is no chance.
    team: [u64; 4],
    /// Those of its group who were handed anything of that, three bits of 256 each.
    colleagues: [u64; 4],
    /// Kinds of places that named the caller, a bit each.
    named: u64,
    /// Kinds of ids that an answer may have handed out that was not seen to its end, a bit each, and when that was last.
    unseen: u64,
    unseen_s: u32,
    /// As whom it was known before.
    former: [u32; FORMER],
    /// Ids that it used within four days, or up to twice that, and since when.
    uses: u16,
    uses_s: u32,
    /// What is odd today.
    pub(super) today: Today,
}

/// What one caller did within four days that is not usual: bits for linear counting.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(super) struct Today {
    first_s: u32,
    objects: u64,
    unissued: u64,
    others: u64,
}

/// Whose a value is.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(super) struct Owner {
    first: u32,
    second: u32,
    callers: u8,
    is_tenant: bool,
}

/// Everybody.
#[derive(Debug)]
pub(super) struct People {
    people: Table<Person>,
    owners: Table<Owner>,
}

/// What outlives a restart.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptPeople {
    people: Kept<Person>,
    owners: Kept<Owner>,
}

/// Estimates by bits that are set: 64 ln(64 / clear) (Whang and others, 1990).
const ESTIMATES: [u16; 65] = [
    0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 18, 20, 21, 23, 24, 25, 27, 28, 30, 32, 33, 35,
    37, 39, 40, 42, 44, 46, 48, 51, 53, 55, 58, 60, 63, 65, 68, 71, 74, 78, 81, 85, 89, 93, 97, 102, 107,
    113, 119, 126, 133, 142, 151, 163, 177, 196, 222, 266, 266,
];

/// How many different ones those bits stand for, about.
pub(super) fn estimate(bits: u64) -> u32 {
    ESTIMATES
        .get(bits.count_ones() as usize)
        .copied()
        .unwrap_or(0)
        .into()
}

/// The bit of a hash.
pub(super) const fn bit(hash: u64) -> u64 {
    1 << (hash >> 20 & 63)
}

/// Bits of one of a team: three of 256, so that of ten nobody else is taken for one of them (one in 600), which a single
/// bit would do to one in 26.
const OF_TEAM: u32 = 3;

/// Whether a bit of 256 is set.
fn is_set(bits: &[u64; 4], number: u32) -> bool {
    let word = bits.get(number as usize >> 6 & 3).copied().unwrap_or(0);
    word >> (number & 63) & 1 == 1
}

fn set(bits: &mut [u64; 4], number: u32) {
    if let Some(word) = bits.get_mut(number as usize >> 6 & 3) {
        *word |= 1 << (number & 63);
    }
}

/// The bits of a caller: the lowest of a front is always set.
fn bits_of(caller: u32) -> impl Iterator<Item = u32> {
    (0..OF_TEAM).map(move |at| caller >> (1 + 8 * at))
}

impl Person {
    /// Whether a value names this caller, by what was learnt.
    pub(super) fn has(&self, value: ValueHash) -> bool {
        let value = tag(value.0);
        let often = self.often.iter().zip(&self.hits);
        self.sure.contains(&value)
            || often
                .into_iter()
                .any(|(known, hits)| *known == value && *hits >= NAMES)
    }

    /// Whether enough was seen of this caller to know what is not its own.
    pub(super) const fn is_mature(&self) -> bool {
        self.seen >= MATURE
    }

    /// A token or login says that this value names the caller.
    pub(super) fn is_named(&mut self, value: ValueHash) {
        self.is_surely_named(tag(value.0));
    }

    fn is_surely_named(&mut self, value: u32) {
        if !self.sure.contains(&value) {
            self.sure.rotate_right(1);
            if let Some(first) = self.sure.first_mut() {
                *first = value;
            }
        }
    }

    /// Whether it came just now: what it asks for may be from before it was known.
    pub(super) const fn has_arrived(&self) -> bool {
        self.seen >= ARRIVED
    }

    /// It used so many ids.
    pub(super) fn used(&mut self, ids: u16, now_s: u32) {
        let passed = now_s.saturating_sub(self.uses_s) / LATELY_S;
        if passed > 0 {
            self.uses = if passed == 1 { self.uses / 2 } else { 0 };
            self.uses_s = now_s;
        }
        self.uses = self.uses.saturating_add(ids);
    }

    /// Ids that it used lately.
    pub(super) fn uses(&self) -> u32 {
        self.uses.into()
    }

    /// It was answered.
    pub(super) const fn is_answered(&mut self) {
        self.seen = self.seen.saturating_add(1);
    }

    /// An answer about something had this value, alone at its place. Says whether it names the caller by now. Whoever
    /// asks for one thing again and again is not named by what that has, so each time has to be about something else; an
    /// answer to a request that names nothing (0) is about the caller.
    pub(super) fn meet(&mut self, value: ValueHash, about: u64) -> bool {
        let value = tag(value.0);
        let about = u16::try_from(about & 0xffff).unwrap_or_default();
        let at = self.often.iter().position(|known| *known == value);
        let at = at.or_else(|| self.hits.iter().position(|hits| *hits == 0));
        let Some(at) = at else {
            self.hits.iter_mut().for_each(|hits| *hits -= 1);
            return false;
        };
        let (Some(known), Some(hits), Some(last)) = (
            self.often.get_mut(at),
            self.hits.get_mut(at),
            self.about.get_mut(at),
        ) else {
            return false;
        };
        if *known != value {
            (*known, *hits) = (value, 0);
        }
        if *hits == 0 || about == 0 || about != *last {
            *hits = hits.saturating_add(1);
        }
        *last = about;
        *hits >= NAMES
    }

    /// A place of this kind named the caller.
    pub(super) const fn is_named_at(&mut self, kind: u64) {
        self.named |= bit(kind);
    }

    /// Whether places of this kind ever named the caller: else what it is called there is not known.
    pub(super) const fn has_name_at(&self, kind: u64) -> bool {
        self.named & bit(kind) != 0
    }

    /// Whether another caller was handed the same ids as this one.
    pub(super) fn is_peer(&self, other: u32) -> bool {
        is_set(&self.peers, other >> 1)
    }

    /// Whether this caller and another are handed the same ids, and not by chance.
    pub(super) fn is_of_team(&self, other: u32) -> bool {
        bits_of(other).all(|bit| is_set(&self.team, bit))
    }

    /// Whether so much was seen of the caller that those are known who share with it what they are handed.
    pub(super) fn knows_colleagues(&self) -> bool {
        self.seen == u8::MAX && self.colleagues.iter().any(|word| *word != 0)
    }

    /// Another of the caller's group was handed unasked what this one was.
    pub(super) fn works_with(&mut self, other: u32) {
        bits_of(other).for_each(|bit| set(&mut self.colleagues, bit));
    }

    /// Whether another of the caller's group was ever handed unasked what this one was.
    pub(super) fn is_colleague(&self, other: u32) -> bool {
        bits_of(other).all(|bit| is_set(&self.colleagues, bit))
    }

    /// Whether this caller shares ids with so many that it means nothing.
    pub(super) fn shares_with_all(&self) -> bool {
        self.peers.iter().map(|word| word.count_ones()).sum::<u32>() > TEAM
    }

    /// An answer that may have handed out ids of these kinds was not seen to its end.
    pub(super) const fn misses(&mut self, kinds: u64, now_s: u32) {
        if self.is_over(now_s) {
            self.unseen = 0;
        }
        self.unseen |= kinds;
        self.unseen_s = now_s;
    }

    /// Whether an id of this kind may have been handed out unseen.
    pub(super) const fn may_miss(&self, kind: u64, now_s: u32) -> bool {
        self.unseen & bit(kind) != 0 && !self.is_over(now_s)
    }

    const fn is_over(&self, now_s: u32) -> bool {
        now_s.saturating_sub(self.unseen_s) >= LATELY_S
    }

    /// As whom it was known before.
    pub(super) fn former(&self) -> impl Iterator<Item = u32> {
        self.former.into_iter().filter(|former| *former != 0)
    }

    /// Whether this is the same, known as another before.
    pub(super) fn was(&self, other: u32) -> bool {
        other != 0 && self.former.contains(&other)
    }

    /// Another turned out to be this one.
    fn takes(&mut self, other: u32, of: &Self) {
        for former in of.former().chain([other]).filter(|former| *former != 0) {
            if !self.was(former) {
                self.former.rotate_right(1);
                if let Some(first) = self.former.first_mut() {
                    *first = former;
                }
            }
        }
        for value in of.sure.into_iter().filter(|value| *value != 0) {
            self.is_surely_named(value);
        }
        // Whichever is known better says what came often.
        if of.seen > self.seen {
            (self.often, self.hits, self.about) = (of.often, of.hits, of.about);
        }
        self.seen = self.seen.saturating_add(of.seen);
        self.lapsed = self.lapsed.max(of.lapsed);
        for (peers, others) in self.peers.iter_mut().zip(of.peers) {
            *peers |= others;
        }
        for (team, others) in self.team.iter_mut().zip(of.team) {
            *team |= others;
        }
        for (colleagues, others) in self.colleagues.iter_mut().zip(of.colleagues) {
            *colleagues |= others;
        }
        self.named |= of.named;
        self.uses = self.uses.saturating_add(of.uses);
        self.uses_s = self.uses_s.max(of.uses_s);
        self.unseen |= of.unseen;
        self.unseen_s = self.unseen_s.max(of.unseen_s);
        self.today.takes(&of.today);
    }

    /// Whether a token or login says that this value names the caller.
    pub(super) fn is_surely(&self, value: ValueHash) -> bool {
        self.sure.contains(&tag(value.0))
    }

    /// Another caller was handed the same id.
    pub(super) fn shares_with(&mut self, other: u32) {
        set(&mut self.peers, other >> 1);
    }

    /// Another caller is handed the same ids, and not by chance.
    pub(super) fn is_in_team_with(&mut self, other: u32) {
        bits_of(other).for_each(|bit| set(&mut self.team, bit));
    }

    /// Whether this departure from a norm teaches: one in a day does, else one caller alone would make it usual.
    pub(super) const fn lapses(&mut self, now_s: u32) -> bool {
        let day = now_s / DAY_S + 1;
        let first = day != self.lapsed;
        self.lapsed = day;
        first
    }
}

impl Today {
    fn roll(&mut self, now_s: u32) {
        if self.first_s == 0 || now_s.saturating_sub(self.first_s) >= LATELY_S {
            *self = Self {
                first_s: now_s,
                ..Self::default()
            };
        }
    }

    /// What the same caller did under another name.
    fn takes(&mut self, other: &Self) {
        if other.first_s == 0 {
            return;
        }
        self.first_s = if self.first_s == 0 {
            other.first_s
        } else {
            self.first_s.min(other.first_s)
        };
        self.objects |= other.objects;
        self.unissued |= other.unissued;
        self.others |= other.others;
    }

    /// An object that is somebody else's.
    pub(super) fn foreign(&mut self, object: u64, other: u32, now_s: u32) {
        self.roll(now_s);
        self.objects |= bit(object);
        self.others |= 1 << (other >> 8 & 63);
    }

    /// An object that is nobody's.
    pub(super) fn unissued(&mut self, object: u64, now_s: u32) {
        self.roll(now_s);
        self.unissued |= bit(object);
    }

    /// Foreign objects, unissued ones, and others.
    pub(super) fn counts(&self) -> (u32, u32, u32) {
        (
            estimate(self.objects),
            estimate(self.unissued),
            estimate(self.others),
        )
    }

    /// Minutes since the first.
    pub(super) const fn minutes(&self, now_s: u32) -> u32 {
        now_s.saturating_sub(self.first_s) / 60
    }
}

impl Owner {
    /// Another than this caller, whom it belongs to.
    pub(super) fn other_than(&self, caller: u32, person: &Person) -> Option<u32> {
        let is_own = |one: u32| one == caller || person.was(one);
        (self.first != 0 && !is_own(self.first) && !is_own(self.second)).then_some(self.first)
    }

    /// Whether it names a tenant: a token says so, or several callers have it.
    pub(super) const fn is_tenant(&self) -> bool {
        self.is_tenant || self.callers >= SEVERAL
    }

    /// Whether a token says that it names a tenant.
    pub(super) const fn is_claimed_tenant(&self) -> bool {
        self.is_tenant
    }
}

impl Default for People {
    fn default() -> Self {
        Self {
            people: Table::new(PEOPLE_SETS),
            owners: Table::new(OWNER_SETS),
        }
    }
}

impl People {
    /// What is known of a caller.
    pub(super) fn person(&self, caller: u64) -> Person {
        self.people.find(caller).unwrap_or_default()
    }

    /// A caller turned out to be another one.
    pub(super) fn merge(&mut self, gone: u64, into: u64, now_s: u32) {
        let (before, mut person) = (self.person(gone), self.person(into));
        person.takes(tag(gone), &before);
        self.people.forget(gone);
        self.keep(into, &person, now_s);
    }

    /// Keeps what was learnt of a caller.
    pub(super) fn keep(&mut self, caller: u64, person: &Person, now_s: u32) {
        if let Some(place) = self.people.place(caller, now_s, |person| person.seen.into()) {
            *place = *person;
        }
    }

    /// Whose a value is.
    pub(super) fn owner(&self, value: ValueHash) -> Option<&Owner> {
        self.owners.get(value.0)
    }

    /// A value names this caller, or its tenant.
    pub(super) fn own(
        &mut self,
        value: ValueHash,
        caller: u32,
        person: &Person,
        is_tenant: bool,
        now_s: u32,
    ) {
        let weight = |owner: &Owner| owner.callers.into();
        let Some(owner) = self.owners.place(value.0, now_s, weight) else {
            return;
        };
        owner.is_tenant |= is_tenant;
        for one in [&mut owner.first, &mut owner.second] {
            if person.was(*one) {
                *one = caller;
            }
        }
        if owner.first == 0 {
            owner.first = caller;
        } else if owner.first == caller || owner.second == caller {
            return;
        } else {
            owner.second = caller;
        }
        owner.callers = owner.callers.saturating_add(1);
    }

    pub(super) fn snapshot(&self) -> KeptPeople {
        KeptPeople {
            people: self.people.snapshot(),
            owners: self.owners.snapshot(),
        }
    }

    pub(super) fn restore(kept: KeptPeople) -> Self {
        let mut people = Self::default();
        people.people.restore(kept.people, |person| person.seen.into());
        people.owners.restore(kept.owners, |owner| owner.callers.into());
        people
    }
}
