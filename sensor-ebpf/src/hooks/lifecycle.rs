//! Processes that come and go, and files they map as code.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::programs::RawTracePointContext;
use sensor_common::record::{KIND_EXEC, KIND_EXIT, KIND_MAP, KIND_UNDECIDED};

use super::adjacent;
use super::lengths;
use super::syscall::argument;
use super::tls_process;
use crate::maps::{TASK_PID, TASK_TGID, TLS_CALLS};
use crate::{emit, policy, sock};

const PROT_EXEC: u64 = 4;

/// The program was replaced: name, executable and cgroup decide anew. Tells whether the process is watched.
#[inline(always)]
pub fn exec() -> bool {
    let pid_tgid = bpf_get_current_pid_tgid();
    let tgid = (pid_tgid >> 32) as u32;
    tls_process::forget(tgid);
    if policy::on_exec(tgid) && policy::watched().is_none() {
        emit::process(pid_tgid, KIND_UNDECIDED);
        return false;
    }
    let watched = policy::watched().is_some();
    if watched {
        emit::process(pid_tgid, KIND_EXEC);
    }
    watched
}

/// A thread or process was made, in the context of its maker: `sched_process_fork(parent, child)`. Only the first
/// thread of a process counts.
#[inline(always)]
pub fn fork(ctx: &RawTracePointContext) {
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    let child = unsafe { ctx.as_ptr().cast::<u64>().add(1).read_volatile() };
    let Some(tgid) = sock::read::<u32>(child, TASK_TGID.load()) else { return };
    if sock::read::<u32>(child, TASK_PID.load()) == Some(tgid) {
        policy::on_fork(parent, tgid);
    }
}

/// A thread ended; with the last thread, the process. The first thread says nothing about the process: it may leave
/// others behind, and an `exec` from another thread ends it.
#[inline(always)]
pub fn exit() {
    let pid_tgid = bpf_get_current_pid_tgid();
    let _ = TLS_CALLS.remove(pid_tgid);
    if !sock::is_last_thread() {
        return;
    }
    if policy::watched().is_some() {
        emit::process(pid_tgid, KIND_EXIT);
    }
    lengths::process_ended(pid_tgid);
    policy::forget((pid_tgid >> 32) as u32);
    tls_process::forget((pid_tgid >> 32) as u32);
    adjacent::forget((pid_tgid >> 32) as u32);
}

/// A file was mapped as code.
#[inline(always)]
pub fn mapped() {
    if policy::watched().is_none() {
        return;
    }
    let (Some(protection), Some(fd)) = (argument::<2>(), argument::<4>()) else { return };
    if protection & PROT_EXEC != 0 && fd as i32 >= 0 {
        emit::process(bpf_get_current_pid_tgid(), KIND_MAP);
    }
}
