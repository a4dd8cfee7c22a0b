//! Where the running task stands in the unified cgroup hierarchy.

use aya_ebpf::helpers::bpf_get_current_task;
use aya_ebpf::helpers::generated::bpf_get_current_ancestor_cgroup_id;

use crate::maps::{CGROUP_ANCESTOR_IDS, CGROUP_LEVEL, CSS_SET_DFL_CGRP, HAS_ANCESTOR_CGROUP, TASK_CGROUPS};
use crate::sock::read;

/// Id of the running task's cgroup at a depth of the hierarchy; 0 where it is not that deep. Tracing programs have the
/// helper since Linux 5.17 (kernel commit 95b861a7935b); before that the kernel kept the ids in a table in each cgroup.
#[inline(always)]
pub fn ancestor(level: u32) -> u64 {
    if HAS_ANCESTOR_CGROUP.load() != 0 {
        return unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) };
    }
    from_table(level).unwrap_or(0)
}

#[inline(always)]
fn from_table(level: u32) -> Option<u64> {
    let task = unsafe { bpf_get_current_task() };
    let set: u64 = read(task, TASK_CGROUPS.load())?;
    let cgroup: u64 = read(set, CSS_SET_DFL_CGRP.load())?;
    let deepest: u32 = read(cgroup, CGROUP_LEVEL.load())?;
    if level > deepest {
        return None;
    }
    read(cgroup + level as u64 * 8, CGROUP_ANCESTOR_IDS.load())
}
