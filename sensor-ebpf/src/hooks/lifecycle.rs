//! Processes that come and go, and files they map as code.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::programs::TracePointContext;
use sensor_common::record::{KIND_EXEC, KIND_EXIT, KIND_MAP};

use super::socket::argument;
use crate::maps::{FORK_CHILD, SOCKET_CALLS, TLS_CALLS};
use crate::{emit, policy};

const PROT_EXEC: u64 = 4;

/// The program was replaced: name, executable and cgroup decide anew.
#[inline(always)]
pub fn exec() {
    let pid_tgid = bpf_get_current_pid_tgid();
    policy::on_exec((pid_tgid >> 32) as u32);
    if policy::watched().is_some() {
        emit::process(pid_tgid, KIND_EXEC);
    }
}

/// A thread or process was made, in the context of its maker.
#[inline(always)]
pub fn fork(ctx: &TracePointContext) {
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    if let Ok(child) = unsafe { ctx.read_at::<u32>(FORK_CHILD.load() as usize) } {
        policy::on_fork(parent, child);
    }
}

/// A thread ended; with the first thread, the process.
#[inline(always)]
pub fn exit() {
    let pid_tgid = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((pid_tgid >> 32) as u32, pid_tgid as u32);
    if policy::watched().is_some() {
        let _ = TLS_CALLS.remove(pid_tgid);
        let _ = SOCKET_CALLS.remove(pid_tgid);
        if tgid == tid {
            emit::process(pid_tgid, KIND_EXIT);
        }
    }
    policy::forget(tid);
}

/// A file is being mapped as code. The mapping is there a moment later; user space looks more than once.
#[inline(always)]
pub fn mapping(ctx: &TracePointContext) {
    if argument::<2>(ctx) & PROT_EXEC == 0 || (argument::<4>(ctx) as i32) < 0 {
        return;
    }
    if policy::watched().is_some() {
        emit::process(bpf_get_current_pid_tgid(), KIND_MAP);
    }
}
