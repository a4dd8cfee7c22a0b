//! Pods by uid and by address, and what is asked of them.
//!
//! Takes what a watch tells, in its order. Gives pods, and choices. Never empties itself because a watch broke: what was
//! known stays until a new list is complete. Bounded by [`Limits`]; what finds no room is counted.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::pod::{Pod, Served, cut};
use crate::config::WatchedPods;
use crate::telemetry::apiserver::ApiServer;
use crate::telemetry::{Counters, Metric};

/// Bounds of a directory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Pods. kubelet runs 110 by default, some hundreds as configured; ended ones stay until they are collected.
    pub pods: usize,
    /// Namespaces with an annotation.
    pub namespaces: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pods: 4096,
            namespaces: 4096,
        }
    }
}

/// What is said about watching a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// Its annotation, or its namespace's, asks for it.
    Chosen,
    /// Its annotation, or its namespace's, forbids it.
    LeftAlone,
    /// Nothing.
    Unmarked,
}

/// One step of a watch.
#[derive(Clone, Debug)]
pub enum Step<T> {
    /// A list begins.
    Begin,
    /// It is there, new or changed.
    Apply(T),
    /// It is gone.
    Delete(T),
    /// The list is complete: what it did not name is gone.
    Complete,
}

/// A namespace: its name and what its annotation says.
pub type Namespace = (Box<str>, Option<bool>);

/// The directory, shared by whoever fills it and whoever asks.
#[derive(Debug)]
pub struct Directory {
    table: RwLock<Table>,
    /// Grows with each change that may change a choice.
    version: AtomicU64,
    labels: Vec<Box<str>>,
    watch: WatchedPods,
    contact: Arc<ApiServer>,
    counters: Arc<Counters>,
}

#[derive(Default, Debug)]
struct Table {
    limits: Limits,
    pods: HashMap<Box<str>, Entry<Arc<Pod>>>,
    /// Uids of those that have an address: only one that nobody else claims is known by it.
    addresses: HashMap<IpAddr, Vec<Box<str>>>,
    namespaces: HashMap<Box<str>, Entry<bool>>,
    /// The namespaces were listed, or are not to be read.
    namespaces_known: bool,
    /// Lists that have begun, of pods and of namespaces.
    rounds: (u64, u64),
    /// Uids whose choice may be another than before.
    changed: HashSet<Box<str>>,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    /// The list that named it last, or during which it was told.
    round: u64,
}

impl Directory {
    /// Knows nobody yet.
    pub fn new(
        labels: &[String],
        watch: WatchedPods,
        limits: Limits,
        contact: Arc<ApiServer>,
        counters: Arc<Counters>,
    ) -> Self {
        let table = Table {
            limits,
            // Without choices nobody waits for them.
            namespaces_known: watch == WatchedPods::Regardless,
            ..Table::default()
        };
        Self {
            table: RwLock::new(table),
            version: AtomicU64::new(0),
            labels: labels.iter().map(|label| cut(label)).collect(),
            watch,
            contact,
            counters,
        }
    }

    /// Which pods are to be watched.
    pub const fn watched(&self) -> WatchedPods {
        self.watch
    }

    /// How things stand with the API server.
    pub fn contact(&self) -> &ApiServer {
        &self.contact
    }

    /// Where what happens is counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes a step of the watch on pods.
    pub fn pod(&self, step: Step<Served>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let table = &mut *table;
        match step {
            Step::Begin => table.rounds.0 += 1,
            Step::Apply(served) => {
                if let Some(uid) = served.uid()
                    && !table.apply(uid, served.pod(&self.labels))
                {
                    self.counters.add(Metric::PodsOverflow, 1);
                }
            }
            Step::Delete(served) => {
                if let (Some(uid), object) = (served.uid(), served.metadata.uid) {
                    let object = cut(object.as_deref().unwrap_or_default());
                    if table
                        .pods
                        .get(&uid)
                        .is_some_and(|entry| entry.value.object == object)
                    {
                        table.remove(&uid);
                    }
                }
            }
            Step::Complete => {
                table.complete();
                self.counters.add(Metric::PodsListed, 1);
            }
        }
        self.contact.pods(table.pods.len() as u64);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Takes a step of the watch on namespaces.
    pub fn namespace(&self, step: Step<Namespace>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        match step {
            Step::Begin => table.rounds.1 += 1,
            Step::Apply((name, Some(marked))) => {
                if !table.mark(name, marked) {
                    self.counters.add(Metric::PodsOverflow, 1);
                }
            }
            Step::Apply((name, None)) | Step::Delete((name, _)) => table.unmark(&name),
            Step::Complete => table.complete_namespaces(),
        }
        drop(table);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Namespaces cannot be read: their annotations count as absent.
    pub fn without_namespaces(&self) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if !table.namespaces_known {
            table.namespaces_known = true;
            table.change_all();
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// The pod of a uid.
    pub fn by_uid(&self, uid: &str) -> Option<Arc<Pod>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.pods.get(uid).map(|entry| Arc::clone(&entry.value))
    }

    /// The pod of an address; `None` too where several claim it.
    pub fn by_address(&self, address: IpAddr) -> Option<Arc<Pod>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let [uid] = table.addresses.get(&address.to_canonical())?.as_slice() else {
            return None;
        };
        table.pods.get(uid).map(|entry| Arc::clone(&entry.value))
    }

    /// What is said about watching a pod; `None` while it is not known.
    pub fn choice(&self, uid: &str) -> Option<Choice> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let pod = &table.pods.get(uid)?.value;
        let marked = match pod.marked {
            Some(marked) => Some(marked),
            None if !table.namespaces_known => return None,
            None => table.namespaces.get(&pod.namespace).map(|entry| entry.value),
        };
        Some(match marked {
            Some(true) => Choice::Chosen,
            Some(false) => Choice::LeftAlone,
            None => Choice::Unmarked,
        })
    }

    /// Grows whenever [`Self::take_changed`] may have something to give.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Uids whose choice may be another than when they were last taken.
    pub fn take_changed(&self) -> HashSet<Box<str>> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut table.changed)
    }
}

impl Table {
    /// Whether there was room.
    fn apply(&mut self, uid: Box<str>, pod: Pod) -> bool {
        let round = self.rounds.0;
        if let Some(known) = self.pods.get_mut(&uid) {
            // A second object that calls itself the same static pod changes nothing, unless the first is not listed any
            // more.
            if known.value.object != pod.object && known.round == round {
                return true;
            }
            if known.value.marked != pod.marked || known.value.namespace != pod.namespace {
                self.changed.insert(uid.clone());
            }
            self.forget_addresses(&uid);
        } else {
            if self.pods.len() >= self.limits.pods && !self.make_room() {
                return false;
            }
            self.changed.insert(uid.clone());
        }
        for address in &pod.addresses {
            self.addresses.entry(*address).or_default().push(uid.clone());
        }
        let value = Arc::new(pod);
        self.pods.insert(uid, Entry { value, round });
        true
    }

    /// Forgets one that has ended.
    fn make_room(&mut self) -> bool {
        let ended = self.pods.iter().find(|(_, entry)| entry.value.ended);
        let Some(uid) = ended.map(|(uid, _)| uid.clone()) else {
            return false;
        };
        self.remove(&uid);
        true
    }

    fn remove(&mut self, uid: &str) {
        self.forget_addresses(uid);
        self.pods.remove(uid);
        // Its processes have ended: nothing is left to choose.
        self.changed.remove(uid);
    }

    fn forget_addresses(&mut self, uid: &str) {
        let Some(entry) = self.pods.get(uid) else {
            return;
        };
        for address in &entry.value.addresses {
            if let Some(claims) = self.addresses.get_mut(address) {
                claims.retain(|claim| &**claim != uid);
                if claims.is_empty() {
                    self.addresses.remove(address);
                }
            }
        }
    }

    fn complete(&mut self) {
        let round = self.rounds.0;
        let gone = self.pods.iter().filter(|(_, entry)| entry.round != round);
        let gone: Vec<Box<str>> = gone.map(|(uid, _)| uid.clone()).collect();
        for uid in gone {
            self.remove(&uid);
        }
    }

    fn mark(&mut self, name: Box<str>, marked: bool) -> bool {
        let known = self.namespaces.get(&name).map(|entry| entry.value);
        if known.is_none() && self.namespaces.len() >= self.limits.namespaces {
            return false;
        }
        if known != Some(marked) {
            self.change_within(&name);
        }
        let entry = Entry {
            value: marked,
            round: self.rounds.1,
        };
        self.namespaces.insert(name, entry);
        true
    }

    fn unmark(&mut self, name: &str) {
        if self.namespaces.remove(name).is_some() {
            self.change_within(name);
        }
    }

    fn complete_namespaces(&mut self) {
        let round = self.rounds.1;
        let gone = self.namespaces.iter().filter(|(_, entry)| entry.round != round);
        let gone: Vec<Box<str>> = gone.map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.unmark(&name);
        }
        if !self.namespaces_known {
            self.namespaces_known = true;
            self.change_all();
        }
    }

    fn change_within(&mut self, namespace: &str) {
        let within = self.pods.iter();
        let within = within.filter(|(_, entry)| &*entry.value.namespace == namespace);
        self.changed.extend(within.map(|(uid, _)| uid.clone()));
    }

    fn change_all(&mut self) {
        self.changed.extend(self.pods.keys().cloned());
    }
}

#[cfg(test)]
mod tests;
