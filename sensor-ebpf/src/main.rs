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

mod cgroup;
mod account;
mod copy;
mod emit;
mod hooks;
mod maps;
mod panic;
mod policy;
mod sock;
mod stream;

use aya_ebpf::macros::{fentry, kprobe, raw_tracepoint, tracepoint, uprobe, uretprobe};
use aya_ebpf::programs::{FEntryContext, FExitContext, ProbeContext, RawTracePointContext, RetProbeContext, TracePointContext};

#[cfg(feature = "log")]
use aya_ebpf::EbpfContext as _;

use core::ffi::c_void;

use copy::Looping;
use hooks::socket::Shape;
use hooks::syscall::result;
use hooks::{closing, go, kernel_socket, kernel_stack, lengths, lifecycle, many, notice, socket, tls_call, unseen};
use maps::RECEIVE_ARGS;

/// bpf_probe_read_user and the ring buffer helpers are GPL-only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

// kernel: uprobe at the chosen instruction of a TLS library's function, arguments still in their registers
#[uprobe]
pub fn tls_enter(ctx: ProbeContext) -> u32 {
    kernel_stack::keep(&ctx);
    tls_call::enter(&ctx);
    0
}

// kernel: uretprobe of the same function
#[uretprobe]
pub fn tls_return(ctx: RetProbeContext) -> u32 {
    kernel_stack::keep(&ctx);
    tls_call::leave(&ctx, Looping::Bounded);
    0
}

#[uretprobe]
pub fn tls_return_loop(ctx: RetProbeContext) -> u32 {
    kernel_stack::keep(&ctx);
    tls_call::leave(&ctx, Looping::Helper);
    0
}

// kernel: uprobe at an instruction every return of the function passes, the result in its register
#[uprobe]
pub fn tls_return_site(ctx: ProbeContext) -> u32 {
    kernel_stack::keep(&ctx);
    tls_call::leave(&ctx, Looping::Bounded);
    0
}

#[uprobe]
pub fn tls_return_site_loop(ctx: ProbeContext) -> u32 {
    kernel_stack::keep(&ctx);
    tls_call::leave(&ctx, Looping::Helper);
    0
}

// kernel: uprobe at the chosen instructions of the methods of Go's tls.Conn, entries and returns
#[uprobe]
pub fn go_call(ctx: ProbeContext) -> u32 {
    kernel_stack::keep(&ctx);
    go::call(&ctx, Looping::Bounded);
    0
}

#[uprobe]
pub fn go_call_loop(ctx: ProbeContext) -> u32 {
    kernel_stack::keep(&ctx);
    go::call(&ctx, Looping::Helper);
    0
}

// The hooks of system calls exist for two places: tracepoints, and (name with `return`) the return of the function that
// implements the call, for kernels that leave runs of programs at tracepoints out. Written out instead of by the
// attributes, which make a function around each body: its frame would exceed the verifier's 512 bytes of stack.
macro_rules! exits {
    ($($tracepoint:ident, $function:ident => $returned:ident $act:block)+) => {$(
        #[unsafe(no_mangle)]
        #[unsafe(link_section = "tracepoint")]
        pub extern "C" fn $tracepoint(ctx: *mut c_void) -> u32 {
            let $returned = result(&TracePointContext::new(ctx));
            $act
            0
        }

        #[unsafe(no_mangle)]
        #[unsafe(link_section = "kretprobe")]
        pub extern "C" fn $function(ctx: *mut c_void) -> u32 {
            let $returned = RetProbeContext::new(ctx).ret::<u64>() as i64;
            $act
            0
        }
    )+};
}

macro_rules! socket_exits {
    ($($tracepoint:ident, $tracepoint_loop:ident, $function:ident, $function_loop:ident
        => $direction:literal, $shape:expr, $flags:literal;)+) => {$(
        exits! {
            $tracepoint, $function => returned {
                socket::moved::<$flags>(returned, $direction, $shape, Looping::Bounded);
            }
            $tracepoint_loop, $function_loop => returned {
                socket::moved::<$flags>(returned, $direction, $shape, Looping::Helper);
            }
        }
    )+};
}

// kernel: tracepoint/syscalls/sys_exit_{read,write,readv,writev,recvfrom,sendto,recvmsg,sendmsg}, or the return of
// `__x64_sys_read` and so on
socket_exits! {
    read_exit, read_exit_loop, read_return, read_return_loop => 0, Shape::Buffer, 0;
    write_exit, write_exit_loop, write_return, write_return_loop => 1, Shape::Buffer, 0;
    readv_exit, readv_exit_loop, readv_return, readv_return_loop => 0, Shape::Vector, 0;
    writev_exit, writev_exit_loop, writev_return, writev_return_loop => 1, Shape::Vector, 0;
    recvfrom_exit, recvfrom_exit_loop, recvfrom_return, recvfrom_return_loop => 0, Shape::Buffer, 3;
    sendto_exit, sendto_exit_loop, sendto_return, sendto_return_loop => 1, Shape::Buffer, 3;
    recvmsg_exit, recvmsg_exit_loop, recvmsg_return, recvmsg_return_loop => 0, Shape::Message, 2;
    sendmsg_exit, sendmsg_exit_loop, sendmsg_return, sendmsg_return_loop => 1, Shape::Message, 2;
}

// kernel: the same of recvmmsg and sendmmsg
exits! {
    recvmmsg_exit, recvmmsg_return => returned { many::moved(returned, 0, Looping::Bounded); }
    recvmmsg_exit_loop, recvmmsg_return_loop => returned { many::moved(returned, 0, Looping::Helper); }
    sendmmsg_exit, sendmmsg_return => returned { many::moved(returned, 1, Looping::Bounded); }
    sendmmsg_exit_loop, sendmmsg_return_loop => returned { many::moved(returned, 1, Looping::Helper); }
}

// kernel: the same of sendfile64, splice, accept and accept4, connect, close_range (Linux 5.9), mmap
exits! {
    sendfile_exit, sendfile_return => returned { unseen::sendfile(returned); }
    splice_exit, splice_return => returned { unseen::splice(returned); }
    accept_exit, accept_return => returned { socket::accepted(returned); }
    connect_exit, connect_return => returned { socket::connected(returned); }
    close_range_exit, close_range_return => _returned { closing::closed_many(); }
    mmap_exit, mmap_return => _returned { lifecycle::mapped(); }
}

// kernel: tracepoint/syscalls/sys_enter_close: at the exit the descriptor is gone
#[tracepoint]
pub fn close_enter(_ctx: TracePointContext) -> u32 {
    closing::closing();
    0
}

// kernel: kprobe of `__x64_sys_close`
#[kprobe]
pub fn close_begin(_ctx: ProbeContext) -> u32 {
    closing::closing();
    0
}

// kernel: sock_send_length(struct sock *sk, int ret, int flags)
#[raw_tracepoint]
pub fn send_length(ctx: RawTracePointContext) -> i32 {
    lengths::moved(&ctx, 1);
    0
}

// kernel: sock_recv_length(struct sock *sk, int ret, int flags)
#[raw_tracepoint]
pub fn receive_length(ctx: RawTracePointContext) -> i32 {
    lengths::moved(&ctx, 0);
    0
}

/// What the context of `tcp_recvmsg` holds at the first place where it takes six arguments, at the second where it takes
/// five. Forgotten in each branch, because the compiler would make one load of two offsets, and the verifier takes no
/// context pointer that was computed.
macro_rules! either {
    ($six:expr, $five:expr) => {
        if RECEIVE_ARGS.load() == 6 {
            let mut value = $six;
            copy::forget_value(&mut value);
            value
        } else {
            let mut value = $five;
            copy::forget_value(&mut value);
            value
        }
    };
}

// kernel: int tcp_sendmsg(struct sock *sk, struct msghdr *msg, size_t size)
#[fentry(function = "tcp_sendmsg")]
pub fn tcp_send_fentry(ctx: FEntryContext) -> i32 {
    kernel_socket::enter(ctx.arg(0), ctx.arg(1), 0, 1);
    0
}

// kernel: int tcp_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len), and before
// Linux 5.19 with `int nonblock` before the flags
#[fentry(function = "tcp_recvmsg")]
pub fn tcp_receive_fentry(ctx: FEntryContext) -> i32 {
    let flags = either!(ctx.arg::<u64>(4), ctx.arg::<u64>(3));
    kernel_socket::enter(ctx.arg(0), ctx.arg(1), flags, 0);
    0
}

macro_rules! tcp_exits {
    ($($send:ident, $receive:ident, $probe:ident => $looping:expr;)+) => {$(
        #[unsafe(no_mangle)]
        #[unsafe(link_section = "fexit/tcp_sendmsg")]
        pub extern "C" fn $send(ctx: *mut c_void) -> i32 {
            let ctx = FExitContext::new(ctx);
            kernel_socket::leave(ctx.arg::<u64>(3) as i32, $looping);
            0
        }

        #[unsafe(no_mangle)]
        #[unsafe(link_section = "fexit/tcp_recvmsg")]
        pub extern "C" fn $receive(ctx: *mut c_void) -> i32 {
            let ctx = FExitContext::new(ctx);
            let returned = either!(ctx.arg::<u64>(6), ctx.arg::<u64>(5));
            kernel_socket::leave(returned as i32, $looping);
            0
        }

        // kernel: kretprobe of either. Written out, because the attribute makes a function of its own around the body,
        // whose frame is what exceeds the verifier's 512 bytes before Linux 6.13.
        #[unsafe(no_mangle)]
        #[unsafe(link_section = "kretprobe")]
        pub extern "C" fn $probe(ctx: *mut c_void) -> u32 {
            kernel_socket::leave(RetProbeContext::new(ctx).ret::<u64>() as i32, $looping);
            0
        }
    )+};
}

tcp_exits! {
    tcp_send_fexit, tcp_receive_fexit, tcp_kretprobe => Looping::Bounded;
    tcp_send_fexit_loop, tcp_receive_fexit_loop, tcp_kretprobe_loop => Looping::Helper;
}

#[kprobe]
pub fn tcp_send_kprobe(ctx: ProbeContext) -> u32 {
    if let (Some(sk), Some(msg)) = (ctx.arg(0), ctx.arg(1)) {
        kernel_socket::enter(sk, msg, 0, 1);
    }
    0
}

#[kprobe]
pub fn tcp_receive_kprobe(ctx: ProbeContext) -> u32 {
    let flags = either!(ctx.arg::<u64>(4).unwrap_or(0), ctx.arg::<u64>(3).unwrap_or(0));
    if let (Some(sk), Some(msg)) = (ctx.arg(0), ctx.arg(1)) {
        kernel_socket::enter(sk, msg, flags, 0);
    }
    0
}

// kernel: sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
#[raw_tracepoint]
pub fn process_exec(ctx: RawTracePointContext) -> i32 {
    let watched = lifecycle::exec();
    #[cfg(feature = "log")]
    if watched {
        aya_log_ebpf::debug!(&ctx, "watched process {} replaced its program", ctx.tgid());
    }
    let _ = (ctx, watched);
    0
}

// kernel: sched_process_fork(struct task_struct *parent, struct task_struct *child)
#[raw_tracepoint]
pub fn process_fork(ctx: RawTracePointContext) -> i32 {
    lifecycle::fork(&ctx);
    0
}

// kernel: sched_process_exit(struct task_struct *p, ...)
#[raw_tracepoint]
pub fn process_exit(_ctx: RawTracePointContext) -> i32 {
    lifecycle::exit();
    0
}

// kernel: io_uring_create(int fd, void *ctx, u32 sq_entries, u32 cq_entries, u32 flags)
#[raw_tracepoint]
pub fn io_uring_create(_ctx: RawTracePointContext) -> i32 {
    notice::io_uring();
    0
}
