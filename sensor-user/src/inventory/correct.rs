//! What becomes of endpoints when templates are corrected, and how room is made.
//!
//! Takes the corrections of the tree. Gives [`Change`]s. Never loses a history that was confirmed. Bounded by
//! [`CHANGES_PER_ENDPOINT`] and the inventory's limit.

use std::sync::Arc;

use super::endpoint::{EndpointRef, Standing};
use super::template::{NO_SLOT, NodeId};
use super::{Inventory, Known, Place};

/// What changed among endpoints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A new one.
    New(EndpointRef),
    /// Its template was corrected: the same under another name and id.
    Renamed {
        /// What it was.
        from: EndpointRef,
        /// What it is.
        into: EndpointRef,
    },
    /// It turned out to be the same as another, which has both histories now.
    Merged {
        /// Which is no more.
        from: EndpointRef,
        /// Which has its history.
        into: EndpointRef,
    },
    /// It was tentative and gave room to others.
    Forgotten(EndpointRef),
}

/// Changes that wait to be taken, for each endpoint that there may be: one correction may join or rename all of them.
const CHANGES_PER_ENDPOINT: usize = 2;
/// Endpoints looked at to make room for one, and observations for which a new one is left alone.
const SWEEP: usize = 64;

impl Inventory {
    /// Forgets an endpoint that was hardly ever answered, and not of late.
    pub(super) fn make_room(&mut self) {
        for _ in 0..SWEEP.min(self.known.len()) {
            self.hand = (self.hand + 1) % self.known.len().max(1);
            let known = self.known.get(self.hand).and_then(Option::as_ref);
            let recent = |known: &Known| self.observations - known.used < SWEEP as u64;
            let Some(known) = known.filter(|known| known.standing() == Standing::Tentative && !recent(known))
            else {
                continue;
            };
            self.tree.forget(known.node, known.key);
            let slot = u32::try_from(self.hand).unwrap_or(NO_SLOT);
            self.forget(slot);
        }
    }

    fn forget(&mut self, slot: u32) {
        let place = self.known.get_mut(slot as usize);
        if let Some(known) = place.and_then(Option::take) {
            self.free.push(slot);
            self.taken.remove(&known.identity);
            self.tell(Change::Forgotten(known.endpoint));
        }
    }

    /// Follows the corrections of the tree: histories that became one, templates that read otherwise.
    pub(super) fn correct(&mut self) {
        for change in std::mem::take(&mut self.tree.moves) {
            if change.from == NO_SLOT || change.from == change.into {
                continue;
            }
            if change.into == NO_SLOT {
                self.forget(change.from);
                continue;
            }
            self.join(change.from, change.into);
        }
        let mut below = Vec::new();
        for node in std::mem::take(&mut self.tree.touched) {
            self.tree.below(node, &mut below);
        }
        for (node, slot) in below {
            self.rename(node, slot);
        }
    }

    fn join(&mut self, from: u32, into: u32) {
        let Some(gone) = self.known.get_mut(from as usize).and_then(Option::take) else {
            return;
        };
        self.free.push(from);
        self.taken.remove(&gone.identity);
        let Some(known) = self.known.get_mut(into as usize).and_then(Option::as_mut) else {
            return;
        };
        known.history.add(gone.history);
        known.answered += gone.answered;
        known.used = known.used.max(gone.used);
        known.seen_ns = (
            known.seen_ns.0.min(gone.seen_ns.0),
            known.seen_ns.1.max(gone.seen_ns.1),
        );
        let into = Arc::clone(&known.endpoint);
        self.tell(Change::Merged {
            from: gone.endpoint,
            into,
        });
    }

    fn rename(&mut self, node: NodeId, slot: u32) {
        let Some(known) = self.known.get(slot as usize).and_then(Option::as_ref) else {
            return;
        };
        let place = Place {
            host: known.host,
            node,
            key: known.key,
            refused: false,
        };
        let endpoint = Arc::new(self.name(place, known.endpoint.method));
        let Some(known) = self.known.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        known.node = node;
        if *known.endpoint == *endpoint {
            return;
        }
        let from = std::mem::replace(&mut known.endpoint, Arc::clone(&endpoint));
        self.taken.insert(known.identity);
        self.tell(Change::Renamed { from, into: endpoint });
    }

    pub(super) fn tell(&mut self, change: Change) {
        if self.changes.len()
            >= self
                .limits
                .endpoints
                .saturating_mul(CHANGES_PER_ENDPOINT)
                .max(SWEEP)
        {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }
}
