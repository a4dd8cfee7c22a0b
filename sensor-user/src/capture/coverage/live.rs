//! The coverage report of a running sensor.
//!
//! Takes the ledger's accounts, `/proc` and the attached files. Gives a [`Live`] report of each process that moved
//! bytes, worst first. Bounded by [`PROCESSES`]; a process's files are read when it is first seen and now and then.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use super::state::{blindness_of, judge};
use super::{Activity, Attachments, ProcessCoverage, State, Unread, Verdict, examine};
use crate::capture::discover::Cache;
use crate::capture::discover::process::{self, Process};
use crate::capture::{Comm, Notice};
use crate::telemetry::ledger::{Account, Key, Ledger};

/// Processes in a report at most: those that moved most bytes.
pub(super) const PROCESSES: usize = 256;

/// Reports for which what was read of a process's files is believed: libraries may arrive later.
const FRESH: u32 = 6;

/// What is seen of each process, and what is not.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Live {
    /// Processes that moved bytes, worst state first.
    pub processes: Vec<ProcessCoverage>,
    /// Processes that are not listed, for want of room.
    pub not_listed: usize,
    /// What was seen of those and of processes without an account of their own.
    pub others: Activity,
}

/// Makes reports, one after the other.
#[derive(Default)]
pub struct Observer {
    cache: Cache,
    known: HashMap<Key, (ProcessCoverage, u32)>,
    attachments: Attachments,
    /// Processes that had an `io_uring` when the sensor came.
    rings: Vec<Process>,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer")
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}

impl Observer {
    /// For a sensor with these attachments, and processes that had an `io_uring` when it came.
    pub fn new(attachments: Attachments, rings: Vec<Process>) -> Self {
        Self {
            attachments,
            rings,
            ..Self::default()
        }
    }

    /// Reports on every process with an account. `now_ns` is the monotonic clock.
    pub fn report(&mut self, proc: &Path, ledger: &Ledger, now_ns: u64) -> Live {
        let (others, mut accounts): (Vec<Account>, Vec<Account>) = ledger
            .accounts()
            .into_iter()
            .partition(|account| account.process == Key::OTHERS);
        accounts.sort_by_key(|account| std::cmp::Reverse((!account.ended, account.fired_bytes())));
        let rest = accounts.split_off(accounts.len().min(PROCESSES));
        let mut live = Live {
            not_listed: rest.len(),
            others: rest
                .iter()
                .chain(&others)
                .fold(Activity::default(), |sum, account| {
                    sum.and(&Activity::of(account, now_ns))
                }),
            ..Live::default()
        };
        self.known
            .retain(|key, _| accounts.iter().any(|account| account.process == *key));
        for account in &accounts {
            let mut coverage = self.look_at(proc, account);
            let (seen, noticed) = (Activity::of(account, now_ns), noticed(account, &coverage));
            let state = judge(&coverage, &seen, &noticed);
            coverage.blind = blindness_of(&coverage, state, &seen, &noticed);
            coverage.state = Some(state);
            coverage.activity = Some(seen);
            coverage.ended = account.ended;
            live.processes.push(coverage);
        }
        let unseen = self.ring_owners(proc, &live);
        live.processes.extend(unseen);
        live.processes
            .sort_by_key(|process| (process.state, process.ended, process.pid));
        live
    }

    /// Processes that had an `io_uring` before anybody could notice its making, and of which nothing was seen since.
    fn ring_owners(&mut self, proc: &Path, live: &Live) -> Vec<ProcessCoverage> {
        let lives = |found: &Process| {
            process::read(proc, found.pid).is_ok_and(|now| now.start_ticks == found.start_ticks)
        };
        self.rings.retain(lives);
        let listed = |found: &&Process| !live.processes.iter().any(|process| process.pid == found.pid);
        let mut owners = Vec::new();
        for found in self.rings.iter().filter(listed) {
            let Ok(descriptors) = process::descriptors(proc, found.pid) else {
                continue;
            };
            if descriptors.io_uring {
                let mut coverage = examine(
                    proc,
                    found,
                    &descriptors,
                    Some(&self.attachments),
                    &mut self.cache,
                );
                coverage.state = Some(State::IoUring);
                coverage.activity = Some(Activity::default());
                owners.push(coverage);
            }
        }
        owners
    }

    /// What the process's files say, as far as it could be looked at while it lived.
    fn look_at(&mut self, proc: &Path, account: &Account) -> ProcessCoverage {
        let key = account.process;
        if let Some((known, age)) = self.known.get_mut(&key)
            && (account.ended || *age < FRESH)
        {
            *age += 1;
            return known.clone();
        }
        let found = process::read(proc, key.pid)
            .ok()
            .filter(|found| key.start_ns == 0 || process::is_same(found, key.start_ns))
            .and_then(|found| {
                let descriptors = process::descriptors(proc, key.pid).ok()?;
                Some(examine(
                    proc,
                    &found,
                    &descriptors,
                    Some(&self.attachments),
                    &mut self.cache,
                ))
            });
        let known = self.known.get(&key).map(|(known, _)| known.clone());
        let coverage = found.or(known).unwrap_or_else(|| gone(account));
        self.known.insert(key, (coverage.clone(), 0));
        coverage
    }
}

impl Live {
    /// Processes that still run, by state.
    pub fn states(&self) -> Vec<(&'static str, u64)> {
        let count = |state: State| {
            let here = self.processes.iter().filter(|process| !process.ended);
            here.filter(|process| process.state == Some(state)).count() as u64
        };
        State::ALL.map(|state| (state.name(), count(state))).to_vec()
    }
}

fn noticed(account: &Account, coverage: &ProcessCoverage) -> Vec<Notice> {
    Notice::ALL
        .into_iter()
        .filter(|notice| {
            account.noticed(notice.bit()) || (*notice == Notice::IoUring && coverage.has_io_uring)
        })
        .collect()
}

/// A process that ended before anybody looked at its files.
fn gone(account: &Account) -> ProcessCoverage {
    ProcessCoverage {
        pid: account.process.pid,
        comm: Comm(account.comm).to_string(),
        exe: None,
        sockets: 0,
        verdict: Verdict::Unknown,
        state: None,
        blind: Vec::new(),
        activity: None,
        ended: true,
        has_io_uring: false,
        stacks: Vec::new(),
        unread: vec![Unread {
            what: "its files".to_owned(),
            reason: "it ended before they were looked at".to_owned(),
            remedy: "nothing: what it did is counted",
        }],
    }
}
