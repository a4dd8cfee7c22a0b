//! The callers that are remembered, and by what each is recognised.
//!
//! Takes keyed hashes. Gives callers. A new caller is on probation, where the one that came least makes room for the
//! next; one that came again and was let in is established, and makes room only for another once it was away for
//! [`STALE_S`]. So a flood of new tokens, even accepted ones, never pushes out who was there. Bounded by [`Limits`] and
//! [`MAX_TOKENS`] and [`MAX_NAMES`] of each.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::attributes::AttributeId;
use super::spread::{Count, Spread};
use super::{CallerId, Limits, PrincipalKind};
use crate::exchange::CallerHash;
use crate::exchange::secret::KeyedHash;

/// Tokens, sessions and keys that one caller is recognised by; another takes the place of the one not seen for longest.
/// A person with five devices has as many access and refresh tokens.
pub(super) const MAX_TOKENS: usize = 16;
/// Login names, subjects and applications that are one caller; a further one is not joined.
pub(super) const MAX_NAMES: usize = 8;
/// Roles, groups and scopes of one caller.
pub(super) const MAX_ATTRIBUTES: usize = 32;

/// Successes that establish a caller.
const ESTABLISHED_BY: u32 = 3;
/// Seconds between the first and the last of them: who comes back is no passer-by.
const ESTABLISHED_AFTER_S: u32 = 30;
/// Away for that long (thirty days), an established caller makes room.
const STALE_S: u32 = 30 * 86_400;
/// Fewer callers on probation would let one exchange push out its own.
const LEAST_PROBATION: usize = 64;
/// Callers on probation that are compared to find the one that came least.
const COMPARED: usize = 8;

/// No place.
const NONE: u32 = u32::MAX;

/// Place of a caller; good until the next one is forgotten or merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot(u32);

/// What a hash is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(super) enum KeyKind {
    /// A token, session or key.
    Token,
    /// A login name.
    Login,
    /// Issuer and subject.
    Subject,
    /// An application.
    Client,
}

impl KeyKind {
    /// It says who somebody is, which a token alone does not.
    pub(super) const fn is_name(self) -> bool {
        !matches!(self, Self::Token)
    }
}

/// One thing that a caller is recognised by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Key {
    #[serde(with = "super::snapshot::hex")]
    pub(super) hash: CallerHash,
    pub(super) kind: KeyKind,
    /// The server handed it out.
    pub(super) issued: bool,
    /// It was handed out to somebody else as well.
    pub(super) ambiguous: bool,
    /// Of a subject: who gives out such ([`Claims::authority`](crate::exchange::credentials::Claims)).
    pub(super) authority: u32,
    pub(super) seen_s: u32,
}

/// A caller.
#[derive(Clone, Debug)]
pub(super) struct Principal {
    pub(super) id: CallerId,
    pub(super) kind: PrincipalKind,
    pub(super) keys: SmallVec<[Key; 2]>,
    pub(super) attributes: SmallVec<[AttributeId; 4]>,
    pub(super) tenant: Option<CallerHash>,
    pub(super) first_s: u32,
    pub(super) last_s: u32,
    pub(super) successes: u32,
    pub(super) refusals: Count,
    pub(super) addresses: Spread,
    pub(super) established: bool,
    /// Neighbours by when they were last seen.
    newer: u32,
    older: u32,
}

impl Principal {
    /// Somebody of whom only the name is known.
    pub(super) fn new(id: CallerId, kind: PrincipalKind, now_s: u32) -> Self {
        Self {
            id,
            kind,
            keys: SmallVec::new(),
            attributes: SmallVec::new(),
            tenant: None,
            first_s: now_s,
            last_s: now_s,
            successes: 0,
            refusals: Count::default(),
            addresses: Spread::default(),
            established: false,
            newer: NONE,
            older: NONE,
        }
    }

    /// The key of that hash.
    pub(super) fn key(&self, hash: CallerHash) -> Option<&Key> {
        self.keys.iter().find(|key| key.hash == hash)
    }

    /// Whether it is more than a token: somebody with a name.
    pub(super) fn is_named(&self) -> bool {
        self.keys.iter().any(|key| key.kind.is_name())
    }

    /// Whether a subject of that authority would be a second one.
    pub(super) fn contradicts(&self, subject: CallerHash, authority: u32) -> bool {
        let other =
            |key: &Key| key.kind == KeyKind::Subject && key.authority == authority && key.hash != subject;
        self.keys.iter().any(other)
    }

    /// Whether a subject of the two is of one authority and not the same.
    fn contradicts_all(&self, other: &Self) -> bool {
        let subjects = other.keys.iter().filter(|key| key.kind == KeyKind::Subject);
        subjects
            .into_iter()
            .any(|key| self.contradicts(key.hash, key.authority))
    }
}

/// A list through the callers, by when they were last seen.
#[derive(Clone, Copy, Debug)]
struct Order {
    newest: u32,
    oldest: u32,
    len: usize,
}

const EMPTY: Order = Order {
    newest: NONE,
    oldest: NONE,
    len: 0,
};

/// Callers and what they are recognised by.
#[derive(Debug)]
pub(super) struct Principals {
    limits: Limits,
    slots: Vec<Option<Principal>>,
    free: Vec<u32>,
    index: FxHashMap<CallerHash, u32>,
    probation: Order,
    established: Order,
    /// Callers on probation that made room.
    pub(super) forgotten: u64,
}

impl Principals {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: Vec::new(),
            free: Vec::new(),
            index: FxHashMap::default(),
            probation: EMPTY,
            established: EMPTY,
            forgotten: 0,
        }
    }

    pub(super) const fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Principal> {
        self.slots.get(slot.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Principal> {
        self.slots.get_mut(slot.0 as usize)?.as_mut()
    }

    /// Whom a hash belongs to. One under the key before is from now on one under the key in force.
    pub(super) fn find(&mut self, hash: KeyedHash) -> Option<Slot> {
        if let Some(slot) = self.index.get(&hash.now) {
            return Some(Slot(*slot));
        }
        let before = hash.before?;
        let slot = self.index.remove(&before)?;
        self.index.insert(hash.now, slot);
        let principal = self.get_mut(Slot(slot))?;
        let key = principal.keys.iter_mut().find(|key| key.hash == before);
        if let Some(key) = key {
            key.hash = hash.now;
        }
        Some(Slot(slot))
    }

    /// A new caller, on probation; it has no keys yet.
    pub(super) fn create(&mut self, id: CallerId, kind: PrincipalKind, now_s: u32) -> Slot {
        while self.probation.len >= self.limits.probation.max(LEAST_PROBATION) {
            self.forget_one();
        }
        self.insert(Principal::new(id, kind, now_s))
    }

    /// Puts a caller in its place; its keys are found from now on.
    pub(super) fn insert(&mut self, principal: Principal) -> Slot {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
        });
        for key in &principal.keys {
            self.index.insert(key.hash, number);
        }
        let established = principal.established;
        if let Some(place) = self.slots.get_mut(number as usize) {
            *place = Some(principal);
        }
        self.link(number, established);
        Slot(number)
    }

    /// Notes that a caller is there: while one exchange is looked at, its callers do not make room for each other.
    pub(super) fn renew(&mut self, slot: Slot) {
        if let Some(established) = self.get(slot).map(|principal| principal.established) {
            self.unlink(slot.0, established);
            self.link(slot.0, established);
        }
    }

    /// Notes that a caller was there and let in.
    pub(super) fn succeeded(&mut self, slot: Slot, now_s: u32) {
        let Some(principal) = self.get_mut(slot) else {
            return;
        };
        principal.successes = principal.successes.saturating_add(1);
        principal.last_s = principal.last_s.max(now_s);
        let deserves = principal.successes >= ESTABLISHED_BY
            && principal.last_s.saturating_sub(principal.first_s) >= ESTABLISHED_AFTER_S;
        let established = principal.established;
        let promoted = !established && deserves && self.has_room(now_s);
        self.unlink(slot.0, established);
        if promoted && let Some(principal) = self.get_mut(slot) {
            principal.established = true;
        }
        self.link(slot.0, established || promoted);
    }

    /// Room among the established: perhaps that of one who is gone.
    fn has_room(&mut self, now_s: u32) -> bool {
        if self.established.len < self.limits.established {
            return true;
        }
        let oldest = Slot(self.established.oldest);
        let stale = |principal: &Principal| now_s.saturating_sub(principal.last_s) > STALE_S;
        let gone = self.get(oldest).is_some_and(stale);
        if gone {
            self.remove(oldest);
        }
        gone
    }

    /// Adds something to recognise a caller by. `false` when it belongs to another, or there is no room for a name.
    pub(super) fn tie(&mut self, slot: Slot, key: Key) -> bool {
        if let Some(owner) = self.index.get(&key.hash) {
            return *owner == slot.0;
        }
        let Some(principal) = self.get_mut(slot) else {
            return false;
        };
        let of_kind = |known: &&Key| known.kind.is_name() == key.kind.is_name();
        let many = principal.keys.iter().filter(of_kind).count();
        let most = if key.kind.is_name() { MAX_NAMES } else { MAX_TOKENS };
        let mut replaced = None;
        if many >= most {
            if key.kind.is_name() {
                return false;
            }
            let tokens = principal.keys.iter().enumerate();
            let tokens = tokens.filter(|(_, known)| !known.kind.is_name());
            let oldest = tokens.min_by_key(|(_, known)| known.seen_s).map(|(at, _)| at);
            replaced = oldest.map(|at| principal.keys.swap_remove(at).hash);
        }
        principal.keys.push(key);
        if let Some(replaced) = replaced {
            self.index.remove(&replaced);
        }
        self.index.insert(key.hash, slot.0);
        true
    }

    /// Notes when a key was last seen.
    pub(super) fn touch(&mut self, slot: Slot, hash: CallerHash, now_s: u32) {
        let key = self
            .get_mut(slot)
            .and_then(|principal| principal.keys.iter_mut().find(|key| key.hash == hash));
        if let Some(key) = key {
            key.seen_s = key.seen_s.max(now_s);
        }
    }

    /// Notes who gives out a subject.
    pub(super) fn vouch(&mut self, slot: Slot, hash: CallerHash, authority: u32) {
        let key = self
            .get_mut(slot)
            .and_then(|principal| principal.keys.iter_mut().find(|key| key.hash == hash));
        if let Some(key) = key {
            key.authority = authority;
        }
    }

    /// Marks a key as handed out to more than one.
    pub(super) fn mark_ambiguous(&mut self, slot: Slot, hash: CallerHash) {
        let key = self
            .get_mut(slot)
            .and_then(|principal| principal.keys.iter_mut().find(|key| key.hash == hash));
        if let Some(key) = key {
            key.ambiguous = true;
        }
    }

    /// Makes one caller of two that turned out to be the same; gives the name that is no more. `None` when they contradict
    /// each other.
    pub(super) fn merge(&mut self, into: Slot, from: Slot) -> Option<CallerId> {
        let (one, other) = (self.get(into)?, self.get(from)?);
        let names = |principal: &Principal| principal.keys.iter().filter(|key| key.kind.is_name()).count();
        if into == from || one.contradicts_all(other) || names(one) + names(other) > MAX_NAMES {
            return None;
        }
        let other = self.remove(from)?;
        for key in &other.keys {
            self.tie(into, *key);
        }
        let one = self.get_mut(into)?;
        one.first_s = one.first_s.min(other.first_s);
        one.last_s = one.last_s.max(other.last_s);
        one.successes = one.successes.saturating_add(other.successes);
        one.tenant = one.tenant.or(other.tenant);
        if one.attributes.is_empty() {
            one.attributes = other.attributes;
        }
        let was = one.established;
        if other.established && !was {
            // The place among the established is the one that was just left.
            self.unlink(into.0, false);
            if let Some(one) = self.get_mut(into) {
                one.established = true;
            }
            self.link(into.0, true);
        }
        Some(other.id)
    }

    /// Callers, established and on probation.
    pub(super) const fn len(&self) -> (usize, usize) {
        (self.established.len, self.probation.len)
    }

    /// Everybody, oldest first, those on probation before the established.
    pub(super) fn all(&self) -> impl Iterator<Item = &Principal> {
        let from = |order: Order| {
            std::iter::successors(self.get(Slot(order.oldest)), |principal| {
                self.get(Slot(principal.newer))
            })
        };
        from(self.probation).chain(from(self.established))
    }

    /// Of those on probation who were away longest, the one that came least goes.
    fn forget_one(&mut self) {
        let mut at = self.probation.oldest;
        let mut least = (u32::MAX, at);
        for _ in 0..COMPARED {
            let Some(principal) = self.get(Slot(at)) else {
                break;
            };
            if principal.successes < least.0 {
                least = (principal.successes, at);
            }
            at = principal.newer;
        }
        if self.remove(Slot(least.1)).is_none() {
            // Cannot be: the list has as many as it says.
            self.probation = EMPTY;
        }
        self.forgotten += 1;
    }

    fn remove(&mut self, slot: Slot) -> Option<Principal> {
        let established = self.get(slot)?.established;
        self.unlink(slot.0, established);
        let principal = self.slots.get_mut(slot.0 as usize)?.take()?;
        for key in &principal.keys {
            self.index.remove(&key.hash);
        }
        self.free.push(slot.0);
        Some(principal)
    }

    const fn order(&mut self, established: bool) -> &mut Order {
        if established {
            &mut self.established
        } else {
            &mut self.probation
        }
    }

    /// Puts a caller at the front of its list.
    fn link(&mut self, number: u32, established: bool) {
        let order = self.order(established);
        let next = order.newest;
        order.newest = number;
        order.len += 1;
        if next == NONE {
            order.oldest = number;
        }
        if let Some(principal) = self.get_mut(Slot(next)) {
            principal.newer = number;
        }
        if let Some(principal) = self.get_mut(Slot(number)) {
            (principal.newer, principal.older) = (NONE, next);
        }
    }

    fn unlink(&mut self, number: u32, established: bool) {
        let Some(principal) = self.get(Slot(number)) else {
            return;
        };
        let (newer, older) = (principal.newer, principal.older);
        if let Some(principal) = self.get_mut(Slot(newer)) {
            principal.older = older;
        }
        if let Some(principal) = self.get_mut(Slot(older)) {
            principal.newer = newer;
        }
        let order = self.order(established);
        order.len = order.len.saturating_sub(1);
        if order.newest == number {
            order.newest = older;
        }
        if order.oldest == number {
            order.oldest = newer;
        }
    }
}

#[cfg(test)]
impl Principals {
    /// Panics when lists, places and index disagree.
    pub(super) fn check(&self) {
        let seen = self.all().count();
        assert_eq!(seen, self.probation.len + self.established.len);
        assert_eq!(seen + self.free.len(), self.slots.len());
        let keys: usize = self.all().map(|principal| principal.keys.len()).sum();
        assert_eq!(keys, self.index.len());
        for (number, principal) in self.slots.iter().enumerate() {
            for key in principal.iter().flat_map(|principal| &principal.keys) {
                assert_eq!(self.index.get(&key.hash).copied(), u32::try_from(number).ok());
            }
        }
    }
}
