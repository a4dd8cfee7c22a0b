//! `tcp_sendmsg` and `tcp_recvmsg`, by fentry and fexit or by kprobes: what the system call hooks do not see.
//!
//! Only calls that came past those hooks are looked at, so nothing is seen twice. The iterator over the caller's memory
//! is read at entry, because the call advances it.

use sensor_common::counter::Counter;

use super::socket::{self, NOT_THE_STREAM};
use super::{bypass, unseen};
use crate::copy::{self, Looping, Memory};
use crate::maps::{
    ITER_BUFFER, ITER_IOV, ITER_IS_BUFFER, ITER_IS_IOVEC, ITER_OFFSET, ITER_SEGMENTS, ITER_TYPE, ITER_TYPE_MASK,
    KERNEL_CALLS, MSG_ITER,
};
use crate::policy;
use crate::{emit, sock};
use sensor_common::record::gap;

/// A call that has not returned.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KernelCall {
    sk: u64,
    /// The buffer, or the `iovec` array in kernel memory; 0 when the bytes are in neither (registered buffers, pages).
    memory: u64,
    /// Elements of the array; 0 for a buffer.
    segments: u64,
    /// Bytes of the first element that were used up before.
    offset: u64,
    direction: u64,
}

/// Entry of either function, in `direction` (0 read, 1 written).
#[inline(always)]
pub fn enter(sk: u64, msg: u64, flags: u64, direction: u64) {
    let Some(watched) = policy::watched() else { return };
    if bypass::reason(sk, direction as usize).is_none() || flags & NOT_THE_STREAM != 0 {
        return;
    }
    let (memory, segments, offset) = iterator(msg + MSG_ITER.load() as u64).unwrap_or((0, 0, 0));
    let call = KernelCall { sk, memory, segments, offset, direction };
    if KERNEL_CALLS.insert(watched.pid_tgid, call, 0).is_err() {
        emit::count(Counter::NoCallSlot, 1);
    }
}

/// Memory, number of elements and offset of a `struct iov_iter`.
#[inline(always)]
fn iterator(iter: u64) -> Option<(u64, u64, u64)> {
    // One byte where it is `iter_type` and four where it is `type`: the numbers fit the first (little-endian) byte.
    let kind = sock::read::<u8>(iter, ITER_TYPE.load())? as u32 & ITER_TYPE_MASK.load();
    let offset: u64 = sock::read(iter, ITER_OFFSET.load())?;
    if kind == ITER_IS_BUFFER.load() {
        let buffer: u64 = sock::read(iter, ITER_BUFFER.load())?;
        return Some((buffer + offset, 0, 0));
    }
    if kind != ITER_IS_IOVEC.load() {
        return None;
    }
    Some((sock::read(iter, ITER_IOV.load())?, sock::read(iter, ITER_SEGMENTS.load())?, offset))
}

/// Return of either function.
#[inline(always)]
pub fn leave(returned: i32, looping: Looping) {
    let Some(watched) = policy::watched() else { return };
    let Some(call) = KERNEL_CALLS.get_ptr(watched.pid_tgid) else { return };
    let call = unsafe { *call };
    let _ = KERNEL_CALLS.remove(watched.pid_tgid);
    if returned <= 0 {
        return;
    }
    let (moved, direction) = (returned as u64, (call.direction & 1) as usize);
    let Some(found) = sock::of_sk(call.sk) else { return };
    if call.memory == 0 {
        emit::count(Counter::BypassUnseenBytes, moved);
        return unseen::pass(watched, found, direction, moved, gap::BYPASS);
    }
    let memory = if call.segments == 0 {
        Memory { base: call.memory, left: moved, iov: 0, iov_left: 0 }
    } else if call.offset == 0 {
        Memory { base: 0, left: 0, iov: call.memory, iov_left: call.segments }
    } else {
        let Some([base, length]) = copy::element(call.memory) else { return };
        Memory {
            base: base + call.offset,
            left: length.saturating_sub(call.offset),
            iov: call.memory + 16,
            iov_left: call.segments - 1,
        }
    };
    emit::count(Counter::BypassSeenBytes, moved);
    socket::carry(watched, found, -1, direction, memory, moved, looping);
}
