//! Keeps the programs of uprobes off the private stack.
//!
//! Since Linux 6.13 (commit a76ab5731e32) a program of the type that kprobes and uprobes share gets one stack per
//! processor instead of the kernel's when it uses 64 bytes or more. That rests on a kprobe's program never being entered
//! twice on a processor. A uprobe's can be: it runs preemptible, and whoever preempts it may come to the same probe, and
//! then both write to one stack. Where the kernel preempts (CONFIG_PREEMPT, Debian 13's 7.3), one call in some hundred
//! was seen to go on with another process's values. A program with a tail call stays on the kernel's stack, whether it
//! is reached or not.

use aya_ebpf::EbpfContext;

use crate::maps::{NEVER, NOWHERE};

/// A tail call that is never made. Read from a global, so that the compiler keeps it and the verifier need not walk it.
#[inline(always)]
pub fn keep<C: EbpfContext>(ctx: &C) {
    if NEVER.load() != 0 {
        unsafe { NOWHERE.tail_call(ctx, 0) };
    }
}
