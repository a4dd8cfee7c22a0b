//! What was learnt, as plain data: for a store, and back.
//!
//! Takes an inventory. Gives a [`State`] that serde writes, and an inventory from one. What comes back is checked: a
//! state that is no tree is refused. Bounded by the inventory's limits.

use std::sync::Arc;

use super::endpoint::{EndpointId, History};
use super::hosts::{Host, MAX_HOSTS, Probes};
use super::template::{NodeId, TreeState};
use super::{Inventory, Known, METHODS, Place};
use crate::exchange::Method;
use crate::exchange::call::CallKind;

/// Everything learnt of endpoints. Its texts are safe to show; values are hashes.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct State {
    /// Of this form.
    version: u32,
    tree: TreeState,
    hosts: Vec<(Box<str>, NodeId, Probes)>,
    /// Kind of call and name.
    operations: Vec<(Box<str>, Box<str>)>,
    known: Vec<Option<KnownState>>,
}

#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
struct KnownState {
    /// What it was called first.
    identity: [u8; 16],
    method: Box<str>,
    host: u32,
    node: NodeId,
    key: u32,
    history: History,
    answered: u64,
    seen_ns: (u64, u64),
}

/// Form of the state that this version writes and reads.
const VERSION: u32 = 2;

/// Why a state cannot be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another version wrote it.
    #[error("learnt state has form {0}; this version reads form {VERSION}")]
    Version(u32),
    /// It contradicts itself.
    #[error("learnt state is damaged: {0}")]
    Damaged(&'static str),
    /// It holds more than the limits admit.
    #[error("learnt state is larger than the limits admit")]
    TooLarge,
}

impl Inventory {
    /// What was learnt.
    pub fn snapshot(&self) -> State {
        let known = self.known.iter().map(|known| {
            known.as_ref().map(|known| KnownState {
                identity: known.identity.0,
                method: known.endpoint.method.name().into(),
                host: known.host,
                node: known.node,
                key: known.key,
                history: known.history,
                answered: known.answered,
                seen_ns: known.seen_ns,
            })
        });
        let operations = self.operations.all.iter();
        State {
            version: VERSION,
            tree: self.tree.snapshot(),
            hosts: self
                .hosts
                .all
                .iter()
                .map(|host| (host.name.clone(), host.root, host.probes))
                .collect(),
            operations: operations
                .map(|(kind, name)| (kind.name().into(), name.clone()))
                .collect(),
            known: known.collect(),
        }
    }

    /// Takes over what was learnt before, in place of what it knows; on an error it knows nothing.
    pub fn restore(&mut self, state: State) -> Result<(), StateError> {
        let begin =
            |known: &Self| Self::with_seed(known.limits, Arc::clone(&known.counters), known.tree.seed());
        let mut restored = begin(self);
        *self = begin(self);
        // Apart: whatever goes wrong leaves nothing half done.
        restored.take_over(state)?;
        restored.changes.clear();
        *self = restored;
        Ok(())
    }

    fn take_over(&mut self, state: State) -> Result<(), StateError> {
        if state.version != VERSION {
            return Err(StateError::Version(state.version));
        }
        let too_large = state.known.len() > self.limits.endpoints
            || state.hosts.len() > MAX_HOSTS
            || state.operations.len() > self.limits.operations.saturating_add(CallKind::ALL.len());
        if too_large {
            return Err(StateError::TooLarge);
        }
        let roots: Vec<NodeId> = state.hosts.iter().map(|(_, root, _)| *root).collect();
        self.tree.restore(state.tree, &roots)?;
        for (name, root, probes) in state.hosts {
            let number = self.hosts.add(&name, root).ok_or(StateError::TooLarge)?;
            if let Some(host) = self.hosts.get_mut(number) {
                *host = Host::new(name, root, probes);
            }
        }
        for (kind, name) in state.operations {
            let kind = CallKind::ALL.into_iter().find(|known| known.name() == &*kind);
            let kind = kind.ok_or(StateError::Damaged("unknown kind of call"))?;
            self.operations.add(kind, &name);
        }
        for (slot, known) in state.known.into_iter().enumerate() {
            let slot = u32::try_from(slot).map_err(|_too_many| StateError::TooLarge)?;
            self.take_over_one(slot, known)?;
        }
        Ok(())
    }

    fn take_over_one(&mut self, slot: u32, known: Option<KnownState>) -> Result<(), StateError> {
        let Some(known) = known else {
            self.known.push(None);
            self.free.push(slot);
            return Ok(());
        };
        if self.tree.slot(known.node, known.key) != Some(slot) {
            return Err(StateError::Damaged("an endpoint is not where it ends"));
        }
        let is_operation = known.key >= METHODS;
        if is_operation && self.operations.of(known.key).is_none() || self.hosts.get(known.host).is_none() {
            return Err(StateError::Damaged("an endpoint of nothing"));
        }
        let place = Place {
            host: known.host,
            node: known.node,
            key: known.key,
            refused: false,
        };
        let endpoint = self.name(place, Method::of(known.method.as_bytes()));
        let identity = EndpointId(known.identity);
        if identity != endpoint.id {
            self.taken.insert(identity);
        }
        self.known.push(Some(Known {
            endpoint: Arc::new(endpoint),
            identity,
            history: known.history,
            answered: known.answered,
            seen_ns: known.seen_ns,
            host: known.host,
            node: known.node,
            key: known.key,
            used: 0,
        }));
        Ok(())
    }
}
