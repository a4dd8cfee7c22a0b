//! Arguments and result of the running system call.
//!
//! The arguments are taken from the task's saved registers, where they still are when the call returns: one hook per
//! call then does, at its exit, and nothing has to be remembered in between.

use aya_ebpf::EbpfContext;
#[cfg(not(bpf_target_arch = "aarch64"))]
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::bpf_get_current_task;
use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};
use aya_ebpf::programs::TracePointContext;

use crate::maps::{HAS_TASK_REGS, SYS_EXIT_RET, TASK_STACK};
use crate::sock;

/// Kernel stack of a task on x86_64 and on aarch64 with pages of 4 or 16 KiB; the saved registers are at its top.
const THREAD_SIZE: u64 = 16 << 10;

/// Offset of an argument in the saved registers. aarch64 overwrites x0 with the result and keeps the first argument
/// in `orig_x0`, which follows the 31 registers, sp, pc and pstate.
#[inline(always)]
const fn offset<const NUMBER: usize>() -> usize {
    #[cfg(not(bpf_target_arch = "aarch64"))]
    return match NUMBER {
        0 => core::mem::offset_of!(pt_regs, rdi),
        1 => core::mem::offset_of!(pt_regs, rsi),
        2 => core::mem::offset_of!(pt_regs, rdx),
        3 => core::mem::offset_of!(pt_regs, r10),
        4 => core::mem::offset_of!(pt_regs, r8),
        _ => core::mem::offset_of!(pt_regs, r9),
    };
    #[cfg(bpf_target_arch = "aarch64")]
    return if NUMBER == 0 { 34 * 8 } else { NUMBER * 8 };
}

/// Bytes of the saved registers, padding at the top of the stack included.
#[inline(always)]
const fn saved_bytes() -> u64 {
    #[cfg(not(bpf_target_arch = "aarch64"))]
    return size_of::<pt_regs>() as u64;
    // struct pt_regs of the kernel is larger than the one user space knows: orig_x0, syscallno, and four more words.
    #[cfg(bpf_target_arch = "aarch64")]
    return 42 * 8;
}

/// Argument of the running system call.
#[inline(always)]
pub fn argument<const NUMBER: usize>() -> Option<u64> {
    if HAS_TASK_REGS.load() != 0 {
        let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as *const u8;
        return Some(unsafe { regs.add(offset::<NUMBER>()).cast::<u64>().read_volatile() });
    }
    let stack: u64 = sock::read(unsafe { bpf_get_current_task() }, TASK_STACK.load())?;
    sock::read(stack + THREAD_SIZE - saved_bytes(), offset::<NUMBER>() as u32)
}

/// Number of the running system call; below 0 outside of one.
#[inline(always)]
pub fn number() -> Option<i32> {
    #[cfg(not(bpf_target_arch = "aarch64"))]
    let offset = core::mem::offset_of!(pt_regs, orig_rax);
    // `syscallno` follows `orig_x0`.
    #[cfg(bpf_target_arch = "aarch64")]
    let offset = 35 * 8;
    if HAS_TASK_REGS.load() != 0 {
        let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as *const u8;
        return Some(unsafe { regs.add(offset).cast::<i32>().read_volatile() });
    }
    let stack: u64 = sock::read(unsafe { bpf_get_current_task() }, TASK_STACK.load())?;
    sock::read(stack + THREAD_SIZE - saved_bytes(), offset as u32)
}

/// The thread's stack pointer in user space, where it costs a load; `None` on kernels where it would cost a walk.
#[inline(always)]
pub fn stack_pointer() -> Option<u64> {
    if HAS_TASK_REGS.load() == 0 {
        return None;
    }
    #[cfg(not(bpf_target_arch = "aarch64"))]
    return Some(saved::<{ core::mem::offset_of!(pt_regs, rsp) }>());
    #[cfg(bpf_target_arch = "aarch64")]
    return Some(saved::<{ 31 * 8 }>());
}

/// What a Go program has in the register of the running goroutine: its system calls leave it alone. `None` as for
/// [`stack_pointer`].
#[inline(always)]
pub fn goroutine() -> Option<u64> {
    if HAS_TASK_REGS.load() == 0 {
        return None;
    }
    #[cfg(not(bpf_target_arch = "aarch64"))]
    return Some(saved::<{ core::mem::offset_of!(pt_regs, r14) }>());
    #[cfg(bpf_target_arch = "aarch64")]
    return Some(saved::<{ 28 * 8 }>());
}

/// A saved register of the running task, on kernels that hand them out.
#[inline(always)]
fn saved<const OFFSET: usize>() -> u64 {
    let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as *const u8;
    unsafe { regs.add(OFFSET).cast::<u64>().read_volatile() }
}

/// Result of the system call that is returning. On every kernel seen it is at 16, and a direct load does.
#[inline(always)]
pub fn result(ctx: &TracePointContext) -> i64 {
    if SYS_EXIT_RET.load() == 16 {
        return unsafe { ctx.as_ptr().cast::<i64>().add(2).read_volatile() };
    }
    unsafe { ctx.read_at(SYS_EXIT_RET.load() as usize) }.unwrap_or(-1)
}
