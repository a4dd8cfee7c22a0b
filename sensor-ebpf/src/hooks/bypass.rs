//! Calls on TCP sockets that come past the system call hooks.
//!
//! `io_uring` sends and receives inside `io_uring_enter`, in worker threads, and at the end of any system call of the
//! thread that it interrupts. What the hooks see is a known set of system calls, each on the socket of its descriptor
//! and in one direction; everything else came past them. Only work of `io_uring` on the very socket and in the very
//! direction of the system call that it follows is taken for that call.

use sensor_common::record::unseen;

use super::syscall::{argument, number};
use crate::sock;

/// `PF_IO_WORKER` of `linux/sched.h`: a thread that works for `io_uring`.
const PF_IO_WORKER: u32 = 0x10;

/// Numbers of system calls (`asm/unistd_64.h`; `asm-generic/unistd.h` on aarch64).
#[cfg(not(bpf_target_arch = "aarch64"))]
mod call {
    pub const READ: [i32; 4] = [0, 19, 45, 47];
    pub const WRITE: [i32; 4] = [1, 20, 44, 46];
    pub const RECVMMSG: i32 = 299;
    pub const SENDMMSG: i32 = 307;
    pub const SENDFILE: i32 = 40;
    pub const SPLICE: i32 = 275;
}
#[cfg(bpf_target_arch = "aarch64")]
mod call {
    pub const READ: [i32; 4] = [63, 65, 207, 212];
    pub const WRITE: [i32; 4] = [64, 66, 206, 211];
    pub const RECVMMSG: i32 = 243;
    pub const SENDMMSG: i32 = 269;
    pub const SENDFILE: i32 = 71;
    pub const SPLICE: i32 = 76;
}
const IO_URING_SETUP: i32 = 425;
const IO_URING_ENTER: i32 = 426;

/// Why no hook sees what the running thread does to `sk` (0 read, 1 written); `None` when one does.
#[inline(always)]
pub fn reason(sk: u64, direction: usize) -> Option<u16> {
    // A worker begins with a copy of the registers of the thread that made it.
    if sock::task_flags() & PF_IO_WORKER != 0 {
        return Some(unseen::IO_URING);
    }
    let number = number()?;
    // Below 0: not in a system call, so work that the thread was interrupted for.
    if number == IO_URING_ENTER || number == IO_URING_SETUP || number < 0 {
        return Some(unseen::IO_URING);
    }
    let descriptor = if direction == 0 { of_reading(number) } else { of_writing(number) };
    let hooked = descriptor.is_some_and(|fd| sock::sk_of(fd) == Some(sk));
    (!hooked).then_some(unseen::OTHER)
}

/// The descriptor that a hooked call reads from.
#[inline(always)]
fn of_reading(number: i32) -> Option<i32> {
    let [a, b, c, d] = call::READ;
    if number == a || number == b || number == c || number == d || number == call::RECVMMSG || number == call::SPLICE {
        return argument::<0>().map(|fd| fd as i32);
    }
    None
}

/// The descriptor that a hooked call writes to.
#[inline(always)]
fn of_writing(number: i32) -> Option<i32> {
    let [a, b, c, d] = call::WRITE;
    if number == a || number == b || number == c || number == d || number == call::SENDMMSG || number == call::SENDFILE
    {
        return argument::<0>().map(|fd| fd as i32);
    }
    if number == call::SPLICE {
        return argument::<2>().map(|fd| fd as i32);
    }
    None
}
