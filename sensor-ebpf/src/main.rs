//! Runs in the kernel: copies bytes out and decides nothing else.
//!
//! One entry point per hook: an attribute and one call. Programs that copy payload exist twice, with a loop the
//! verifier unrolls by itself and (name ending in `_loop`) with `bpf_loop` (Linux 5.17); user space loads one of
//! them. Each begins with the policy gate, before anything is read from the process.
#![no_std]
#![no_main]
// Inline assembly for this target is not stable; one atomic addition needs it.
#![feature(asm_experimental_arch)]
// An eBPF program is helper calls on raw pointers from end to end: what each pointer may be is the verifier's to
// prove at load, so per-operation SAFETY comments would repeat one sentence.
#![allow(unsafe_op_in_unsafe_fn, reason = "the verifier checks every access at load")]

mod copy;
mod emit;
mod hooks;
mod maps;
mod panic;
mod policy;
mod sock;
mod stream;

use aya_ebpf::macros::{tracepoint, uprobe, uretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext, TracePointContext};

use copy::Looping;
use hooks::socket::Flow;
use hooks::{lifecycle, socket, tls_call};

/// bpf_probe_read_user and the ring buffer helpers are GPL-only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

// kernel: uprobe at the chosen instruction of a TLS library's function, arguments still in their registers
#[uprobe]
pub fn tls_enter(ctx: ProbeContext) -> u32 {
    tls_call::enter(&ctx);
    0
}

// kernel: uretprobe of the same function
#[uretprobe]
pub fn tls_return(ctx: RetProbeContext) -> u32 {
    tls_call::leave(&ctx, Looping::Bounded);
    0
}

#[uretprobe]
pub fn tls_return_loop(ctx: RetProbeContext) -> u32 {
    tls_call::leave(&ctx, Looping::Helper);
    0
}

// kernel: uprobe at an instruction every return of the function passes, the result in its register
#[uprobe]
pub fn tls_return_site(ctx: ProbeContext) -> u32 {
    tls_call::leave(&ctx, Looping::Bounded);
    0
}

#[uprobe]
pub fn tls_return_site_loop(ctx: ProbeContext) -> u32 {
    tls_call::leave(&ctx, Looping::Helper);
    0
}

macro_rules! socket_enter {
    ($($(#[$doc:meta])* $name:ident => $flow:expr, $flags:literal;)+) => {$(
        $(#[$doc])*
        #[tracepoint]
        pub fn $name(ctx: TracePointContext) -> u32 {
            socket::enter::<$flags>(&ctx, $flow);
            0
        }
    )+};
}

// kernel: tracepoint/syscalls/sys_enter_*; user space attaches one program to each system call of its shape
socket_enter! {
    read_enter => Flow::READ_BUFFER, 0;
    write_enter => Flow::WRITE_BUFFER, 0;
    readv_enter => Flow::READ_VECTOR, 0;
    writev_enter => Flow::WRITE_VECTOR, 0;
    recvfrom_enter => Flow::READ_BUFFER, 3;
    sendto_enter => Flow::WRITE_BUFFER, 3;
    recvmsg_enter => Flow::READ_MESSAGE, 2;
    sendmsg_enter => Flow::WRITE_MESSAGE, 2;
}

// kernel: tracepoint/syscalls/sys_exit_* of the eight above
#[tracepoint]
pub fn socket_exit(ctx: TracePointContext) -> u32 {
    socket::leave(&ctx, Looping::Bounded);
    0
}

#[tracepoint]
pub fn socket_exit_loop(ctx: TracePointContext) -> u32 {
    socket::leave(&ctx, Looping::Helper);
    0
}

// kernel: tracepoint/syscalls/sys_exit_accept, sys_exit_accept4
#[tracepoint]
pub fn accept_exit(ctx: TracePointContext) -> u32 {
    socket::accepted(&ctx);
    0
}

// kernel: tracepoint/syscalls/sys_enter_connect
#[tracepoint]
pub fn connect_enter(ctx: TracePointContext) -> u32 {
    socket::connecting(&ctx);
    0
}

// kernel: tracepoint/syscalls/sys_exit_connect
#[tracepoint]
pub fn connect_exit(ctx: TracePointContext) -> u32 {
    socket::connected(&ctx);
    0
}

// kernel: tracepoint/syscalls/sys_enter_close
#[tracepoint]
pub fn close_enter(ctx: TracePointContext) -> u32 {
    socket::closing(&ctx);
    0
}

// kernel: tracepoint/syscalls/sys_enter_mmap
#[tracepoint]
pub fn mmap_enter(ctx: TracePointContext) -> u32 {
    lifecycle::mapping(&ctx);
    0
}

// kernel: tracepoint/sched/sched_process_exec
#[tracepoint]
pub fn process_exec(_ctx: TracePointContext) -> u32 {
    lifecycle::exec();
    0
}

// kernel: tracepoint/sched/sched_process_fork
#[tracepoint]
pub fn process_fork(ctx: TracePointContext) -> u32 {
    lifecycle::fork(&ctx);
    0
}

// kernel: tracepoint/sched/sched_process_exit
#[tracepoint]
pub fn process_exit(_ctx: TracePointContext) -> u32 {
    lifecycle::exit();
    0
}
