//! How many bytes a process moves on TCP sockets, and how many of them past the hooks (`sock:sock_send_length` and
//! `sock:sock_recv_length`, Linux 6.3): the account where the kernel has neither fentry nor kprobes.

use aya_ebpf::EbpfContext;
use aya_ebpf::programs::RawTracePointContext;
use sensor_common::counter::Counter;
use sensor_common::record::{ProcessBytes, gap};

use super::socket::NOT_THE_STREAM;
use super::{bypass, unseen};
use crate::maps::PROCESS_BYTES;
use crate::policy::{self, Watched};
use crate::{emit, sock};

/// A socket call inside the kernel ends: `(struct sock *sk, int ret, int flags)`.
#[inline(always)]
pub fn moved(ctx: &RawTracePointContext, direction: usize) {
    let Some(watched) = policy::watched() else { return };
    let arguments = ctx.as_ptr().cast::<u64>();
    let (sk, moved, flags) = unsafe {
        (arguments.read_volatile(), arguments.add(1).read_volatile() as i32, arguments.add(2).read_volatile())
    };
    if moved <= 0 || flags & NOT_THE_STREAM != 0 || !sock::is_tcp(sk) {
        return;
    }
    let Some(account) = account(watched) else { return };
    let moved = moved as u64;
    let reason = bypass::reason(sk, direction);
    let account = unsafe { &mut *account };
    let first = account.sent_unseen | account.received_unseen == 0;
    let (all, past) = if direction == 0 {
        (&raw mut account.received_all, &raw mut account.received_unseen)
    } else {
        (&raw mut account.sent_all, &raw mut account.sent_unseen)
    };
    emit::add(all, moved);
    let Some(reason) = reason else { return };
    emit::add(past, moved);
    emit::count(Counter::BypassUnseenBytes, moved);
    if first {
        emit::unseen(watched.pid_tgid, reason, account);
    }
    if let Some(found) = sock::of_sk(sk) {
        unseen::pass(watched, found, direction, moved, gap::BYPASS);
    }
}

#[inline(always)]
fn account(watched: Watched) -> Option<*mut ProcessBytes> {
    let tgid = watched.tgid();
    if let Some(account) = PROCESS_BYTES.get_ptr_mut(tgid) {
        return Some(account);
    }
    let nothing = ProcessBytes { sent_all: 0, received_all: 0, sent_unseen: 0, received_unseen: 0 };
    // BPF_NOEXIST: another thread may have been first.
    let _ = PROCESS_BYTES.insert(tgid, nothing, 1);
    PROCESS_BYTES.get_ptr_mut(tgid)
}

/// The running process ends: what went past the hooks is told in all.
#[inline(always)]
pub fn process_ended(pid_tgid: u64) {
    let tgid = (pid_tgid >> 32) as u32;
    let Some(account) = PROCESS_BYTES.get_ptr_mut(tgid) else { return };
    let account = unsafe { &*account };
    if account.sent_unseen | account.received_unseen != 0 {
        emit::unseen(pid_tgid, sensor_common::record::unseen::OTHER, account);
    }
    let _ = PROCESS_BYTES.remove(tgid);
}
