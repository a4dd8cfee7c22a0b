//! Pods that the policy waits for.
//!
//! Takes starts of programs in pods, and what the directory comes to know. Gives those that can be judged now. Never
//! holds anybody longer than [`HOLD_NS`], nor at all while the API server is lost. Bounded by [`MAX_HELD`] and
//! [`MAX_PLACES`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sensor_common::policy::Place;

use super::{Container, ProcessEvent};
use crate::kubernetes::Directory;
use crate::telemetry::Metric;

/// How long a pod's programs wait, unwatched, for the directory to know it. kubelet and the sensor hear of a pod at the same
/// time, and a container takes most of a second to start; the rest is for an API server that is slow.
pub(super) const HOLD_NS: u64 = 5_000_000_000;
/// Starts that wait at most; one more is judged at once.
const MAX_HELD: usize = 1024;
/// Places remembered: as many as the kernel object does.
const MAX_PLACES: usize = 8192;
/// Between two looks at all processes, each of which reads some files of every one.
const SCAN_NS: u64 = 1_000_000_000;

/// What to do with the start of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Judge it now.
    Judge,
    /// It waits; [`Waiting::due`] gives it back.
    Wait,
}

/// What can be done now.
#[derive(Default, Debug)]
pub(super) struct Due {
    /// Starts that waited.
    pub(super) starts: Vec<ProcessEvent>,
    /// Places whose verdict may be another by now.
    pub(super) places: Vec<(Place, Arc<Container>)>,
    /// Pods whose running processes are to be judged anew.
    pub(super) pods: HashSet<Box<str>>,
}

/// Who waits, and who was judged by what was known then.
#[derive(Debug)]
pub(super) struct Waiting {
    directory: Arc<Directory>,
    starts: Vec<(ProcessEvent, Box<str>, u64)>,
    /// Pods that ran already, and since when they wait.
    running: HashMap<Box<str>, u64>,
    places: HashMap<Place, Arc<Container>>,
    /// Pods of which processes were seen.
    seen: HashSet<Box<str>>,
    to_scan: HashSet<Box<str>>,
    next_scan_ns: u64,
    version: u64,
}

impl Waiting {
    /// Nobody yet.
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        Self {
            directory,
            starts: Vec::new(),
            running: HashMap::new(),
            places: HashMap::new(),
            seen: HashSet::new(),
            to_scan: HashSet::new(),
            next_scan_ns: 0,
            version: 0,
        }
    }

    /// These pods run already. Those that are not known yet wait.
    pub(super) fn begin(&mut self, pods: HashSet<Box<str>>, now_ns: u64) {
        for uid in pods {
            if self.directory.choice(&uid).is_none() {
                self.running.insert(uid.clone(), now_ns);
            }
            self.see(&uid);
        }
    }

    /// A program starts in a container of a pod.
    pub(super) fn ask(&mut self, event: &ProcessEvent, uid: &str, now_ns: u64) -> Answer {
        self.see(uid);
        if self.directory.choice(uid).is_some() {
            return Answer::Judge;
        }
        if self.directory.contact().may_answer() && self.starts.len() < MAX_HELD {
            self.starts.push((*event, uid.into(), now_ns));
            self.directory.counters().add(Metric::PodsHeld, 1);
            return Answer::Wait;
        }
        self.directory.counters().add(Metric::PodsUnjudged, 1);
        Answer::Judge
    }

    /// A place was judged by what is known of its pod.
    pub(super) fn judged(&mut self, place: Place, container: &Arc<Container>) {
        if container.pod.is_none() {
            return;
        }
        if self.places.len() >= MAX_PLACES {
            self.places.clear();
        }
        self.places.insert(place, Arc::clone(container));
    }

    /// What can be done now. Whoever waited and is given back is judged by what is known, whatever that is.
    pub(super) fn due(&mut self, now_ns: u64) -> Due {
        let mut due = Due::default();
        let (directory, reachable) = (&self.directory, self.directory.contact().may_answer());
        let is_over = |uid: &str, since_ns: u64| {
            let known = directory.choice(uid).is_some();
            let over = known || !reachable || now_ns.saturating_sub(since_ns) >= HOLD_NS;
            directory
                .counters()
                .add(Metric::PodsUnjudged, u64::from(over && !known));
            over
        };
        self.starts.retain(|(event, uid, since_ns)| {
            let over = is_over(uid, *since_ns);
            if over {
                due.starts.push(*event);
            }
            !over
        });
        self.running.retain(|uid, since_ns| {
            let over = is_over(uid, *since_ns);
            if over {
                self.to_scan.insert(uid.clone());
            }
            !over
        });
        let version = self.directory.version();
        if version != std::mem::replace(&mut self.version, version) {
            let changed = self.directory.take_changed();
            self.change(&changed, &mut due);
        }
        if !self.to_scan.is_empty() && now_ns >= self.next_scan_ns {
            self.next_scan_ns = now_ns.saturating_add(SCAN_NS);
            due.pods = std::mem::take(&mut self.to_scan);
        }
        due
    }

    fn change(&mut self, changed: &HashSet<Box<str>>, due: &mut Due) {
        if changed.is_empty() {
            return;
        }
        let of = |container: &Container| container.pod.as_ref().is_some_and(|uid| changed.contains(uid));
        let places = self.places.iter().filter(|(_, container)| of(container));
        due.places
            .extend(places.map(|(place, container)| (*place, Arc::clone(container))));
        let seen = changed.iter().filter(|uid| self.seen.contains(*uid));
        self.to_scan.extend(seen.cloned());
    }

    fn see(&mut self, uid: &str) {
        if self.seen.len() >= MAX_PLACES {
            let directory = &self.directory;
            self.seen.retain(|uid| directory.by_uid(uid).is_some());
        }
        if self.seen.len() < MAX_PLACES && !self.seen.contains(uid) {
            self.seen.insert(uid.into());
        }
    }
}

#[cfg(test)]
mod tests;
