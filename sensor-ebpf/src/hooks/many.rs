//! `sendmmsg` and `recvmmsg`: several messages in one call, each with its own vector and its own length.

use aya_ebpf::helpers::generated::bpf_loop;
use aya_ebpf::programs::TracePointContext;
use sensor_common::record::gap;
use sensor_common::MESSAGES_PER_CALL_LOOP;

use super::socket::{self, NOT_THE_STREAM};
use super::syscall::{argument, result};
use super::{tls_call, unseen};
use crate::copy::{self, Looping, Memory};
use crate::policy::{self, Watched};
use crate::sock::{self, Found};

/// `struct mmsghdr`: a `struct msghdr` of 56 bytes, the bytes moved, padding (UAPI of 64-bit Linux).
const MESSAGE_BYTES: u64 = 64;
const LENGTH_AT: u64 = 56;
/// Messages beyond those looked at whose lengths are summed up.
const SUMMED: u32 = 1024;

/// What is the same for all messages of a call.
struct Many {
    watched: Watched,
    found: Found,
    fd: i32,
    direction: u32,
    /// The next message.
    message: u64,
    left: u32,
}

/// Exit of either call.
#[inline(always)]
pub fn moved(ctx: &TracePointContext, direction: u32, looping: Looping) {
    let Some(watched) = policy::watched() else { return };
    let count = result(ctx);
    let (Some(fd), Some(message)) = (argument::<0>(), argument::<1>()) else { return };
    let fd = fd as i32;
    if tls_call::nested_socket_call(watched, fd) || count <= 0 {
        return;
    }
    let Some(found) = sock::find(fd) else { return };
    if argument::<3>().unwrap_or(0) & NOT_THE_STREAM != 0 {
        return;
    }
    let mut many = Many { watched, found, fd, direction, message, left: count as u32 };
    match looping {
        // The verifier refuses a second round around the walk over a message's bytes ("BPF program is too large").
        Looping::Bounded => {
            if one(&mut many, looping) {
                rest(&many);
            }
        }
        Looping::Helper => unsafe {
            bpf_loop(MESSAGES_PER_CALL_LOOP, one_callback as *mut _, (&raw mut many).cast(), 0);
        },
    }
}

/// For `bpf_loop`: 0 goes on, 1 stops.
extern "C" fn one_callback(_index: u64, many: *mut Many) -> i64 {
    i64::from(!one(unsafe { &mut *many }, Looping::Helper))
}

/// The next message. False when there is none.
#[inline(always)]
fn one(many: &mut Many, looping: Looping) -> bool {
    if many.left == 0 {
        return false;
    }
    many.left -= 1;
    let message = many.message;
    many.message = message + MESSAGE_BYTES;
    let moved = copy::user::<u32>(message + LENGTH_AT).unwrap_or(0) as u64;
    if moved == 0 {
        return true;
    }
    let memory = match copy::user::<[u64; 2]>(message + 16) {
        Some([iov, iov_left]) => Memory { base: 0, left: 0, iov, iov_left },
        None => Memory { base: 0, left: moved, iov: 0, iov_left: 0 },
    };
    socket::carry(many.watched, many.found, many.fd, many.direction as usize, memory, moved, looping);
    true
}

/// The messages not looked at, as one gap.
#[inline(always)]
fn rest(many: &Many) {
    let (mut total, mut index) = (0, 0);
    while index < SUMMED {
        if index >= many.left {
            break;
        }
        let at = many.message + index as u64 * MESSAGE_BYTES + LENGTH_AT;
        total += copy::user::<u32>(at).unwrap_or(0) as u64;
        index += 1;
    }
    if total > 0 {
        unseen::pass(many.watched, many.found, many.direction as usize, total, gap::IOVECS);
    }
}
