//! Whom to watch. Denies by default, and is asked before anything is read from a process.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_get_current_comm;
use sensor_common::policy::{ALLOW, EVERYONE, ExeKey, KEEP_OVER_EXEC, MAX_CGROUP_FILTERS};

use crate::maps::{HAS_EVERYONE, POLICY, WATCH_CGROUP, WATCH_COMM, WATCH_EXE};
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
    let mut entry = POLICY.get_ptr(tgid);
    // With filters nobody else is watched, and a second look would be paid by every process of the host.
    if entry.is_none() && HAS_EVERYONE.load() != 0 {
        entry = POLICY.get_ptr(EVERYONE);
    }
    entry.is_some_and(|entry| unsafe { *entry } & ALLOW != 0)
}

/// Decides anew after `exec`, unless the entry is to be kept.
#[inline(always)]
pub fn on_exec(tgid: u32) {
    let own = POLICY.get_ptr(tgid).map(|entry| unsafe { *entry });
    if own.is_some_and(|entry| entry & ALLOW == 0 || entry & KEEP_OVER_EXEC != 0) {
        return;
    }
    if selected() {
        if POLICY.insert(tgid, ALLOW, 0).is_err() {
            emit::count(Counter::NoPolicySlot, 1);
        }
    } else if own.is_some() {
        let _ = POLICY.remove(tgid);
    }
}

/// A child is watched as its parent is.
#[inline(always)]
pub fn on_fork(parent: u32, child: u32) {
    if let Some(entry) = POLICY.get_ptr(parent) {
        let entry = unsafe { *entry };
        if entry & ALLOW != 0 {
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

/// Whether name, executable or cgroup of the running task is asked for.
#[inline(always)]
fn selected() -> bool {
    let mut comm = [0u8; 16];
    if unsafe { bpf_get_current_comm(comm.as_mut_ptr().cast(), 16) } == 0 && WATCH_COMM.get_ptr(comm).is_some() {
        return true;
    }
    if let Some((inode, device)) = sock::current_exe()
        && WATCH_EXE.get_ptr(ExeKey { inode, device }).is_some()
    {
        return true;
    }
    let mut slot = 0;
    while slot < MAX_CGROUP_FILTERS {
        if let Some(filter) = WATCH_CGROUP.get(slot)
            && filter.id != 0
            && cgroup::ancestor(filter.level) == filter.id
        {
            return true;
        }
        slot += 1;
    }
    false
}
