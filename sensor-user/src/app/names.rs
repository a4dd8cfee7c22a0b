//! What records do not say of their process: the name of one that ran before the sensor, and its container.
//!
//! Takes records; gives further ones to go before them. Reads `/proc` once per process and once per `exec`, in the ring
//! thread: some microseconds each. Bounded by [`MAX_NAMED`] and [`MAX_CGROUPS`].

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::capture::discover::{cgroup, container, process};
use crate::capture::{Container, Origin, ProcessEvent, ProcessKey, Record};

/// Processes whose names were looked up; beyond it the memory starts anew, at the price of another look each.
const MAX_NAMED: usize = 65_536;
/// Cgroups whose containers are remembered.
const MAX_CGROUPS: usize = 8192;

/// What is known of processes.
#[derive(Default)]
pub(super) struct Names {
    seen: HashSet<ProcessKey>,
    /// For processes that end before they are looked at: the container that others of their cgroup were in, `None`
    /// where several were (a cgroup of the unified hierarchy that nobody uses holds them all). A cgroup of which nobody
    /// was seen is asked for its own name.
    cgroups: HashMap<u64, Option<Arc<Container>>>,
}

impl Names {
    /// Records to go before this one: the name, if it is the first of its process, and the container.
    pub(super) fn of(&mut self, record: &Record) -> [Option<Record>; 2] {
        let origin = *record.origin();
        match record {
            Record::Exec(_) => {
                self.remember(origin.process);
                return [None, self.place(origin)];
            }
            Record::Exit(_) => {
                // One that lived so shortly that its end is all there is is placed by its cgroup.
                self.seen.remove(&origin.process);
                return [None, None];
            }
            Record::Place { .. } => return [None, None],
            _ => {}
        }
        if !self.remember(origin.process) {
            return [None, None];
        }
        [name(origin), self.place(origin)]
    }

    fn remember(&mut self, process: ProcessKey) -> bool {
        if self.seen.len() >= MAX_NAMED {
            self.seen.clear();
        }
        self.seen.insert(process)
    }

    /// Nothing where the process has ended and its cgroup does not tell: what was known of it stays.
    fn place(&mut self, origin: Origin) -> Option<Record> {
        let container = if let Ok(found) = container::read(Path::new("/proc"), origin.process.pid) {
            self.learn(origin.cgroup, found.as_ref());
            found
        } else {
            let known = self.cgroups.get(&origin.cgroup).cloned();
            Some(known.unwrap_or_else(|| named(origin.cgroup))?)
        };
        Some(Record::Place { origin, container })
    }

    fn learn(&mut self, cgroup: u64, found: Option<&Arc<Container>>) {
        if self.cgroups.len() >= MAX_CGROUPS {
            self.cgroups.clear();
        }
        let known = self
            .cgroups
            .entry(cgroup)
            .or_insert_with(|| found.map(Arc::clone));
        if known.as_ref() != found {
            *known = None;
        }
    }
}

/// The container that a cgroup of the unified hierarchy is of, by its name.
fn named(id: u64) -> Option<Arc<Container>> {
    container::of_path(&cgroup::path(id)?).map(Arc::new)
}

fn name(origin: Origin) -> Option<Record> {
    let found = process::read(Path::new("/proc"), origin.process.pid).ok()?;
    // Another process by now: no name is better than its name.
    let started = origin.process.start_ns / (1_000_000_000 / process::TICKS_PER_SECOND);
    if started.abs_diff(found.start_ticks) > 1 {
        return None;
    }
    Some(Record::Exec(ProcessEvent {
        origin,
        comm: found.comm,
    }))
}
