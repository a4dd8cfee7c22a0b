//! Whom to watch. Denies by default, and is asked before anything is read from a process.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_get_current_cgroup_id, bpf_get_current_comm};
use sensor_common::policy::{
    ALLOW, CGROUP_SLOTS, DENY, EVERYONE, EXCLUDED, ExeKey, KEEP_OVER_EXEC, PENDING, Place, RULE_EXCLUDE, RULE_INCLUDE,
    WANTED,
};

use crate::maps::{
    HAS_EVERYONE, HAS_EXCLUSIONS, HAS_PLACES, HAS_WANTED_PLACES, PLACES, POLICY, WATCH_CGROUP, WATCH_COMM, WATCH_EXE,
};
use crate::{cgroup, emit, sock};
use sensor_common::counter::Counter;

/// The running thread, of a process that is watched.
#[derive(Clone, Copy)]
pub struct Watched {
    /// As `bpf_get_current_pid_tgid` gives it.
    pub pid_tgid: u64,
}

impl Watched {
    /// Process id.
    #[inline(always)]
    pub fn tgid(self) -> u32 {
        (self.pid_tgid >> 32) as u32
    }
}

/// The gate: the running thread, if its process is watched.
#[inline(always)]
pub fn watched() -> Option<Watched> {
    let pid_tgid = bpf_get_current_pid_tgid();
    verdict((pid_tgid >> 32) as u32).then_some(Watched { pid_tgid })
}

/// A process's own entry decides; without one, the entry for everyone.
#[inline(always)]
fn verdict(tgid: u32) -> bool {
    let Some(entry) = POLICY.get_ptr(tgid) else {
        // With filters nobody else is watched, and a second look would be paid by every process of the host.
        return HAS_EVERYONE.load() != 0
            && POLICY.get_ptr(EVERYONE).is_some_and(|entry| unsafe { *entry } & ALLOW != 0);
    };
    let entry = unsafe { *entry };
    entry & ALLOW != 0 || (HAS_PLACES.load() != 0 && entry & PENDING != 0 && settle(tgid, entry))
}

/// Whether user space has judged the place of a process that waits for it, and what follows.
#[inline(always)]
fn settle(tgid: u32, entry: u32) -> bool {
    let Some(rule) = PLACES.get_ptr(place()).map(|rule| unsafe { *rule }) else { return false };
    let allow = rule & RULE_EXCLUDE == 0 && (rule & RULE_INCLUDE != 0 || entry & (WANTED | KEEP_OVER_EXEC) != 0);
    let verdict = if allow {
        ALLOW
    } else if rule & RULE_EXCLUDE != 0 {
        EXCLUDED
    } else {
        let _ = POLICY.remove(tgid);
        return false;
    };
    let _ = POLICY.insert(tgid, verdict | entry & KEEP_OVER_EXEC, 0);
    allow
}

#[inline(always)]
fn place() -> Place {
    Place { cgroup: unsafe { bpf_get_current_cgroup_id() }, mounts: sock::current_mounts() }
}

/// Decides anew after `exec`. Exclusions win over everything, also over an entry that is kept. Tells whether the
/// process waits for a verdict on its place.
#[inline(always)]
pub fn on_exec(tgid: u32) -> bool {
    let own = POLICY.get_ptr(tgid).map(|entry| unsafe { *entry });
    // The sensor itself.
    if own == Some(DENY) {
        return false;
    }
    let kept = own.unwrap_or(0) & KEEP_OVER_EXEC;
    // Without exclusions nothing could change what is kept.
    if kept != 0 && HAS_EXCLUSIONS.load() == 0 {
        return false;
    }
    let rules = rules();
    let wanted = kept != 0 || rules & RULE_INCLUDE != 0;
    let entry = if rules & RULE_EXCLUDE != 0 {
        emit::count(Counter::ExcludedExecs, 1);
        EXCLUDED | kept
    } else if undecided(wanted) {
        emit::count(Counter::UndecidedExecs, 1);
        let otherwise = wanted || HAS_EVERYONE.load() != 0;
        PENDING | kept | if otherwise { WANTED } else { 0 }
    } else if wanted {
        ALLOW | kept
    } else {
        if own.is_some() {
            let _ = POLICY.remove(tgid);
        }
        return false;
    };
    if POLICY.insert(tgid, entry, 0).is_err() {
        emit::count(Counter::NoPolicySlot, 1);
    }
    entry & PENDING != 0
}

/// Whether the place decides: rules speak of places, and without them the process would be watched or might be.
#[inline(always)]
fn undecided(wanted: bool) -> bool {
    HAS_PLACES.load() != 0 && (wanted || HAS_EVERYONE.load() != 0 || HAS_WANTED_PLACES.load() != 0)
}

/// A child is watched, or left alone, as its parent is.
#[inline(always)]
pub fn on_fork(parent: u32, child: u32) {
    if let Some(entry) = POLICY.get_ptr(parent) {
        let entry = unsafe { *entry };
        if entry & (ALLOW | EXCLUDED | PENDING) != 0 {
            if POLICY.insert(child, entry, 0).is_err() {
                emit::count(Counter::NoPolicySlot, 1);
            }
            return;
        }
    }
    // The id may have belonged to a process that was watched and whose end was missed.
    let _ = POLICY.remove(child);
}

#[inline(always)]
pub fn forget(id: u32) {
    let _ = POLICY.remove(id);
}

/// What the rules say about name, executable and cgroup of the running task.
#[inline(always)]
fn rules() -> u32 {
    let mut found = 0;
    let mut comm = [0u8; 16];
    if unsafe { bpf_get_current_comm(comm.as_mut_ptr().cast(), 16) } == 0
        && let Some(rule) = WATCH_COMM.get_ptr(comm)
    {
        found |= unsafe { *rule };
    }
    if let Some((inode, device)) = sock::current_exe()
        && let Some(rule) = WATCH_EXE.get_ptr(ExeKey { inode, device })
    {
        found |= unsafe { *rule };
    }
    let mut slot = 0;
    while slot < CGROUP_SLOTS {
        if let Some(filter) = WATCH_CGROUP.get(slot)
            && filter.id != 0
            && cgroup::ancestor(filter.level) == filter.id
        {
            found |= filter.rule;
        }
        slot += 1;
    }
    found
}
