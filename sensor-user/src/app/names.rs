//! What records do not say of their process: the name of one that ran before the sensor, and its container.
//!
//! Takes records; gives further ones to go before them. Reads `/proc` once per process and once per `exec`, in the ring
//! thread: some microseconds each. Bounded by [`MAX_NAMED`] and [`MAX_CGROUPS`].

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::capture::discover::{container, process};
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
    /// where several were (a cgroup of the unified hierarchy that nobody uses holds them all).
    cgroups: HashMap<u64, Option<Arc<Container>>>,
}

impl Names {
    /// Records to go before this one: the name, if it is the first of its process, and the container.
    pub(super) fn of(&mut self, record: &Record) -> [Option<Record>; 2] {
        let origin = *record.origin();
        match record {
            Record::Exec(_) => {
                self.remember(origin.process);
                return [None, Some(self.place(origin))];
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
        [name(origin), Some(self.place(origin))]
    }

    fn remember(&mut self, process: ProcessKey) -> bool {
        if self.seen.len() >= MAX_NAMED {
            self.seen.clear();
        }
        self.seen.insert(process)
    }

    fn place(&mut self, origin: Origin) -> Record {
        let read = container::read(Path::new("/proc"), origin.process.pid);
        let found = match read {
            Ok(found) => {
                self.learn(origin.cgroup, found.as_ref());
                found
            }
            Err(_) => self.cgroups.get(&origin.cgroup).cloned().flatten(),
        };
        Record::Place {
            origin,
            container: found,
        }
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
