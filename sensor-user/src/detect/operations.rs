//! What is learnt of each operation: which role groups use it, which properties its bodies have, how long its lists are.
//!
//! Takes every exchange that is judged, in order. Gives [`Rights`]: what those before it say about it. Learns nothing from
//! what was refused but the refusal, and nothing lasting from what it tells. Never reads the clock and never keeps a
//! value. Bounded by [`MAX_OPERATIONS`] and [`MAX_PROPERTIES`]: what was learnt first stays, what was met once and not
//! again for a day, or not for thirty days, makes room.

mod judge;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Blind;
use super::functions::Outsider;
use super::functions::groups::{Circle, Groups, PRUNE_S, away_s};
use super::functions::uses::Uses;
use super::operation::OperationKey;
use super::properties::part::Part;
use super::properties::{Assigned, Bulk, Excess};
use crate::inventory::Endpoint;

/// Operations: as many as the inventory has endpoints.
const MAX_OPERATIONS: usize = 10_000;
/// Properties of all bodies, eight bytes each: fifty of an operation.
const MAX_PROPERTIES: usize = 500_000;
/// Bodies of one operation: request and answer, with some formats and statuses.
const MAX_PARTS: usize = 6;

/// What earlier exchanges say about the rights of this one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rights {
    /// A function that the caller's group never used.
    pub function: Result<Option<Outsider>, Blind>,
    /// A property that no request had.
    pub assigned: Result<Option<Assigned>, Blind>,
    /// Sensitive data that no answer had.
    pub excess: Result<Option<Excess>, Blind>,
    /// A list that is far too long.
    pub bulk: Result<Option<Bulk>, Blind>,
}

impl Rights {
    /// Nothing stands out.
    pub(crate) const QUIET: Self = Self {
        function: Ok(None),
        assigned: Ok(None),
        excess: Ok(None),
        bulk: Ok(None),
    };

    /// Nobody can tell.
    const fn blind(reason: Blind) -> Self {
        Self {
            function: Err(reason),
            assigned: Err(reason),
            excess: Err(reason),
            bulk: Err(reason),
        }
    }
}

/// Tenants of those who came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Tenants {
    /// None was named.
    None,
    /// One.
    One(u64),
    /// Several.
    Many,
}

impl Tenants {
    /// Somebody of that tenant came.
    const fn with(self, tenant: u64) -> Self {
        match self {
            Self::None => Self::One(tenant),
            Self::One(known) if known == tenant => self,
            Self::One(_) | Self::Many => Self::Many,
        }
    }
}

/// One operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Operation {
    key: u64,
    first_s: u32,
    last_s: u32,
    /// Successes.
    count: u32,
    tenants: Tenants,
    uses: Uses,
    parts: Vec<Part>,
}

/// Every operation.
#[derive(Default)]
pub(crate) struct Operations {
    /// Invariant: values are places in `all`, one for each.
    index: HashMap<u64, usize>,
    all: Vec<Operation>,
    groups: Groups,
    /// Properties held.
    properties: usize,
    pruned_s: u32,
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} operations, {:?}]", self.all.len(), self.groups)
    }
}

/// What outlives a restart.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptOperations {
    all: Vec<Operation>,
    groups: Vec<Circle>,
}

impl Operations {
    fn find(&self, key: OperationKey) -> Option<usize> {
        self.index.get(&key.0).copied()
    }

    /// The place of an operation, which is made if there is room.
    fn place(&mut self, key: OperationKey, now_s: u32) -> Option<usize> {
        if let Some(place) = self.find(key) {
            return Some(place);
        }
        if self.all.len() >= MAX_OPERATIONS {
            self.prune(now_s);
        }
        if self.all.len() >= MAX_OPERATIONS {
            return None;
        }
        self.all.push(Operation {
            key: key.0,
            first_s: now_s,
            last_s: now_s,
            count: 0,
            tenants: Tenants::None,
            uses: Uses::default(),
            parts: Vec::new(),
        });
        let place = self.all.len() - 1;
        self.index.insert(key.0, place);
        Some(place)
    }

    /// An endpoint is called otherwise now. Of two that became one, the one with more successes is kept.
    pub(crate) fn rename(&mut self, from: &Endpoint, into: &Endpoint) {
        let (from, into) = (OperationKey::of(from.id), OperationKey::of(into.id));
        let Some(place) = self.index.remove(&from.0) else {
            return;
        };
        let Some(other) = self.find(into) else {
            if let Some(one) = self.all.get_mut(place) {
                one.key = into.0;
                self.index.insert(into.0, place);
            }
            return;
        };
        let count = |place: usize| self.all.get(place).map(|one| one.count);
        if count(place) > count(other) && place.max(other) < self.all.len() {
            self.all.swap(place, other);
            if let Some(kept) = self.all.get_mut(other) {
                kept.key = into.0;
            }
        }
        self.remove(place);
    }

    /// An endpoint is no more.
    pub(crate) fn forget(&mut self, endpoint: &Endpoint) {
        if let Some(place) = self.index.remove(&OperationKey::of(endpoint.id).0) {
            self.remove(place);
        }
    }

    fn remove(&mut self, place: usize) {
        if place >= self.all.len() {
            return;
        }
        let gone = self.all.swap_remove(place);
        let held: usize = gone.parts.iter().map(Part::held).sum();
        self.properties = self.properties.saturating_sub(held);
        if let Some(moved) = self.all.get(place) {
            self.index.insert(moved.key, place);
        }
    }

    fn prune(&mut self, now_s: u32) {
        if now_s < self.pruned_s.saturating_add(PRUNE_S) {
            return;
        }
        self.pruned_s = now_s;
        self.all
            .retain(|one| now_s.saturating_sub(one.last_s) < away_s(one.count));
        self.reindex();
    }

    fn reindex(&mut self) {
        let places = self.all.iter().enumerate();
        self.index = places.map(|(place, one)| (one.key, place)).collect();
        self.properties = self.all.iter().flat_map(|one| &one.parts).map(Part::held).sum();
    }

    pub(crate) fn snapshot(&self) -> KeptOperations {
        KeptOperations {
            all: self.all.clone(),
            groups: self.groups.snapshot(),
        }
    }

    pub(crate) fn restore(kept: KeptOperations) -> Self {
        let mut all = kept.all;
        all.truncate(MAX_OPERATIONS);
        for one in &mut all {
            one.uses.bound();
            one.parts.truncate(MAX_PARTS);
            one.parts.iter_mut().for_each(Part::bound);
        }
        let mut operations = Self {
            all,
            groups: Groups::restore(kept.groups),
            ..Self::default()
        };
        operations.reindex();
        operations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::functions::groups::RARE_AWAY_S;
    use crate::exchange::Method;

    #[test]
    fn a_flood_of_operations_pushes_out_none_that_is_used() {
        let mut operations = Operations::default();
        let known = operations.place(OperationKey(7), 100).unwrap();
        operations.all[known].count = 5;
        for key in 1000..30_000 {
            operations.place(OperationKey(key), 200);
        }
        assert_eq!(operations.all.len(), MAX_OPERATIONS);
        assert_eq!(operations.find(OperationKey(7)), Some(known));
        // A day later, names that were met once make room.
        assert!(operations.place(OperationKey(99), 200 + RARE_AWAY_S).is_some());
        let known = operations.find(OperationKey(7)).unwrap();
        assert_eq!((operations.all.len(), operations.all[known].count), (2, 5));
    }

    #[test]
    fn what_is_known_goes_with_a_corrected_template() {
        let endpoint = |template: &str| Endpoint::rest(Method::Get, "h", template);
        let [alice, bob, name] = ["/users/alice", "/users/bob", "/users/{name}"].map(endpoint);
        let mut operations = Operations::default();
        for (one, count) in [(&alice, 5), (&bob, 9), (&endpoint("/orders"), 1)] {
            let place = operations.place(OperationKey::of(one.id), 100).unwrap();
            operations.all[place].count = count;
        }
        for from in [&alice, &bob] {
            operations.rename(from, &name);
        }
        let known = operations.find(OperationKey::of(name.id)).unwrap();
        assert_eq!((operations.all.len(), operations.all[known].count), (2, 9));
        let kept = operations.index.clone();
        operations.reindex();
        assert_eq!(operations.index, kept);
    }

    #[test]
    fn what_is_kept_is_as_it_was() {
        let mut operations = Operations::default();
        for key in 0..100 {
            operations.place(OperationKey(key), 5);
        }
        let text = serde_json::to_string(&operations.snapshot()).unwrap();
        let again = Operations::restore(serde_json::from_str(&text).unwrap());
        assert_eq!(serde_json::to_string(&again.snapshot()).unwrap(), text);
        assert_eq!(again.index, operations.index);
    }

    /// Its memory at the worst, beside what allocators add.
    #[test]
    fn memory_is_bounded() {
        let groups = size_of::<crate::detect::functions::uses::GroupUse>();
        let parts = size_of::<Part>();
        let one = size_of::<Operation>() + 2 * groups + 2 * parts;
        assert!(one <= 640, "{one}: {groups} for a group, {parts} for a body");
    }
}
