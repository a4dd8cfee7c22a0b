//! Processes that run already when the sensor starts.
//!
//! Takes `/proc` after the life-cycle hooks are in place; writes the policy and asks for looks. Never lets in whom a
//! rule excludes: those are entered first. Bounded by [`MAX_SCANS`].

use std::collections::HashSet;
use std::path::Path;

use super::attacher::Attacher;
use super::discover::process::{self, Filter, Process};
use super::kernel::KernelError;
use super::load::Loaded;
use super::policy::Until;

/// Scans at start until nothing new is found, at most: each finds only what was forked during the one before.
const MAX_SCANS: usize = 5;

/// Pods of which processes run.
pub(super) fn pods() -> HashSet<Box<str>> {
    let all = process::scan(Path::new("/proc"), &Filter::default()).unwrap_or_default();
    all.into_iter()
        .filter_map(|found| found.container?.pod.clone())
        .collect()
}

/// Judges the processes of these pods anew, of which more is known than when they were judged.
pub(super) fn judge_anew(
    loaded: &mut Loaded,
    attacher: Option<&Attacher>,
    filter: &Filter,
    pods: &HashSet<Box<str>>,
) -> Result<(), KernelError> {
    let proc = Path::new("/proc");
    let is_of = |found: &Process| {
        let uid = found
            .container
            .as_deref()
            .and_then(|container| container.pod.as_ref());
        uid.is_some_and(|uid| pods.contains(uid))
    };
    let chosen = |filter: &Filter| -> HashSet<u32> {
        let found = process::scan(proc, filter).unwrap_or_default();
        found
            .iter()
            .filter(|found| is_of(found))
            .map(|found| found.pid)
            .collect()
    };
    let by_id = Filter {
        pids: filter.pids.clone(),
        exclude: filter.exclude.clone(),
        ..Filter::default()
    };
    let mut known = HashSet::new();
    for _ in 0..MAX_SCANS {
        let before = known.len();
        let (named, passing) = (
            if by_id.is_empty() {
                HashSet::new()
            } else {
                chosen(&by_id)
            },
            chosen(filter),
        );
        let all = process::scan(proc, &Filter::default()).unwrap_or_default();
        for found in all.into_iter().filter(|found| is_of(found)) {
            if !known.insert((found.pid, found.start_ticks, found.comm)) {
                continue;
            }
            if filter.excludes(proc, &found) {
                loaded.exclude_running(&found)?;
            } else if passing.contains(&found.pid) {
                let until = if named.contains(&found.pid) {
                    Until::Exit
                } else {
                    Until::Exec
                };
                loaded.watch_running(&found, until)?;
                if let Some(attacher) = attacher {
                    attacher.look_at(found.pid);
                }
            } else {
                loaded.forget(&found);
            }
        }
        if known.len() == before {
            break;
        }
    }
    Ok(())
}

/// Leaves the excluded ones of those that run already alone.
pub(super) fn exclude_what_runs(loaded: &mut Loaded, filter: &Filter) -> Result<(), KernelError> {
    let Some(exclude) = filter.exclude.as_deref() else {
        return Ok(());
    };
    let mut known = HashSet::new();
    for _ in 0..MAX_SCANS {
        let before = known.len();
        for found in process::scan(Path::new("/proc"), exclude).unwrap_or_default() {
            if known.insert((found.pid, found.start_ticks)) {
                loaded.exclude_running(&found)?;
            }
        }
        if known.len() == before {
            break;
        }
    }
    Ok(())
}

/// Scans until nothing new is found: a process found late may have forked before its entry was in place.
/// Gives those that have an `io_uring` already.
pub(super) fn watch_what_runs(
    loaded: &mut Loaded,
    attacher: &Attacher,
    chosen: &Filter,
    everyone: bool,
) -> Result<Vec<Process>, KernelError> {
    let proc = Path::new("/proc");
    let by_id = Filter {
        pids: chosen.pids.clone(),
        exclude: chosen.exclude.clone(),
        ..Filter::default()
    };
    let by_what = Filter {
        pids: Vec::new(),
        ..chosen.clone()
    };
    let (mut known, mut rings) = (HashSet::new(), Vec::new());
    let has_ring = |found: &Process| process::descriptors(proc, found.pid).is_ok_and(|found| found.io_uring);
    for _ in 0..MAX_SCANS {
        let before = known.len();
        for (filter, until) in [(&by_id, Until::Exit), (&by_what, Until::Exec)] {
            if filter.is_empty() {
                continue;
            }
            for found in process::scan(proc, filter).unwrap_or_default() {
                // With the name: one that became another program meanwhile is judged again.
                if known.insert((found.pid, found.start_ticks, found.comm)) {
                    loaded.watch_running(&found, until)?;
                    attacher.look_at(found.pid);
                    if has_ring(&found) {
                        rings.push(found);
                    }
                }
            }
        }
        if known.len() == before {
            break;
        }
    }
    if everyone {
        let everybody = Filter {
            exclude: chosen.exclude.clone(),
            ..Filter::default()
        };
        for found in process::scan(proc, &everybody).unwrap_or_default() {
            attacher.look_at(found.pid);
            if has_ring(&found) {
                rings.push(found);
            }
        }
    }
    Ok(rings)
}
