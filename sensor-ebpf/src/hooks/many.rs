//! `sendmmsg` and `recvmmsg`: several messages in one call, each with its own vector and its own length. On a stream
//! they are one run of bytes, walked as one.

use aya_ebpf::helpers::generated::bpf_loop;
use sensor_common::record::gap;
use sensor_common::{
    CHUNK_BYTES, CHUNKS_PER_CALL_BOUNDED, CHUNKS_PER_CALL_LOOP, IOVECS_PER_CALL_LOOP, MESSAGES_PER_CALL_LOOP,
};

use super::socket::{self, NOT_THE_STREAM};
use super::syscall::argument;
use super::tls_call;
use crate::account::{self, Outcome};
use crate::copy::{self, Looping, Memory};
use crate::emit::{self, Subject};
use crate::{policy, sock};

/// `struct mmsghdr`: a `struct msghdr` of 56 bytes, the bytes moved, padding (UAPI of 64-bit Linux).
const MESSAGE_BYTES: u64 = 64;
const LENGTH_AT: u64 = 56;

/// The walk over a call. Its subject stays, the rest changes.
struct Walk {
    subject: Subject,
    place: Place,
}

#[repr(C)]
struct Place {
    /// What is left of an element.
    base: u64,
    left: u64,
    /// The next element of the message, and how many of its bytes and elements are left.
    iov: u64,
    iov_left: u64,
    message_left: u64,
    /// The next message, and how many are left.
    message: u64,
    messages: u64,
    position: u64,
    /// Bytes still to capture.
    budget: u64,
    outcome: Outcome,
}

/// Exit of either call, which moved `count` messages (below 0: failed).
#[inline(always)]
pub fn moved(count: i64, direction: usize, looping: Looping) {
    let Some(watched) = policy::watched() else { return };
    let (Some(fd), Some(message)) = (argument::<0>(), argument::<1>()) else { return };
    let fd = fd as i32;
    if tls_call::nested_socket_call(watched, fd) || count <= 0 {
        return;
    }
    let Some(found) = sock::find(fd) else { return };
    if argument::<3>().unwrap_or(0) & NOT_THE_STREAM != 0 {
        return;
    }
    let (mut total, count) = sum(message, count as u64);
    if total == 0 {
        return;
    }
    let front = front(message);
    let Some((mut subject, state, starts)) = socket::recognise(watched, found, fd, direction, front, total) else {
        return;
    };
    // The verifier would walk the copying once for each way of having looked at the front.
    copy::forget_value(&mut total);
    let (position, budget) = copy::advance(&mut subject, state, direction, total, starts);
    let place = Place {
        base: 0,
        left: 0,
        iov: 0,
        iov_left: 0,
        message_left: 0,
        message,
        messages: count,
        position,
        budget,
        outcome: Outcome::default(),
    };
    let mut walk = Walk { subject, place };
    match looping {
        Looping::Bounded => {
            let mut index = 0;
            while index < CHUNKS_PER_CALL_BOUNDED {
                if !step(&mut walk) {
                    break;
                }
                index += 1;
            }
        }
        Looping::Helper => unsafe {
            bpf_loop(
                CHUNKS_PER_CALL_LOOP + IOVECS_PER_CALL_LOOP + MESSAGES_PER_CALL_LOOP,
                step_callback as *mut _,
                (&raw mut walk).cast(),
                0,
            );
        },
    }
    let (end, Walk { subject, place }) = (position + total, &mut walk);
    let (mut absent, mut reason) = (0, 0);
    if place.position < end {
        absent = end - place.position;
        reason = if place.budget > 0 { gap::IOVECS } else { gap::LIMIT };
        emit::missing(subject, place.position, absent, reason, &mut place.outcome);
    }
    account::captured(subject, total, &place.outcome, absent, reason);
}

/// Bytes of all messages, and how many there are.
#[inline(always)]
fn sum(messages: u64, count: u64) -> (u64, u64) {
    let (mut total, mut index) = (0, 0);
    while index < MESSAGES_PER_CALL_LOOP as u64 {
        if index >= count {
            break;
        }
        total += copy::user::<u32>(messages + index * MESSAGE_BYTES + LENGTH_AT).unwrap_or(0) as u64;
        index += 1;
    }
    // The verifier would walk what follows once for each number of messages.
    let mut seen = (total, count);
    copy::forget_value(&mut seen);
    seen
}

/// Where the bytes of the first message begin.
#[inline(always)]
fn front(message: u64) -> Memory {
    let length = copy::user::<u32>(message + LENGTH_AT).unwrap_or(0) as u64;
    let first = copy::user::<u64>(message + 16).and_then(copy::user::<[u64; 2]>);
    let [base, left] = first.unwrap_or([0; 2]);
    Memory { base, left: if left < length { left } else { length }, iov: 0, iov_left: 0 }
}

/// For `bpf_loop`: 0 goes on, 1 stops.
extern "C" fn step_callback(_index: u64, walk: *mut Walk) -> i64 {
    i64::from(!step(unsafe { &mut *walk }))
}

/// Emits one chunk, or moves to the next message or element. False when nothing is left to do.
#[inline(always)]
fn step(walk: &mut Walk) -> bool {
    let place = &mut walk.place;
    copy::forget_value(place);
    if place.budget == 0 {
        return false;
    }
    if place.left == 0 {
        return if place.message_left == 0 { next_message(place) } else { next_element(place) };
    }
    let mut length = place.left;
    if length > place.budget {
        length = place.budget;
    }
    if length > CHUNK_BYTES as u64 {
        length = CHUNK_BYTES as u64;
    }
    let fate = emit::data(&walk.subject, place.position, place.base, length as u32);
    place.outcome.add(fate, length);
    place.position += length;
    place.budget -= length;
    place.base += length;
    place.left -= length;
    true
}

#[inline(always)]
fn next_message(place: &mut Place) -> bool {
    if place.messages == 0 {
        return false;
    }
    let Some([iov, iov_left]) = copy::user::<[u64; 2]>(place.message + 16) else { return false };
    place.iov = iov;
    place.iov_left = iov_left;
    place.message_left = copy::user::<u32>(place.message + LENGTH_AT).unwrap_or(0) as u64;
    place.message += MESSAGE_BYTES;
    place.messages -= 1;
    true
}

#[inline(always)]
fn next_element(place: &mut Place) -> bool {
    if place.iov_left == 0 {
        return false;
    }
    let Some([base, length]) = copy::user::<[u64; 2]>(place.iov) else { return false };
    place.iov += 16;
    place.iov_left -= 1;
    place.base = base;
    place.left = if length < place.message_left { length } else { place.message_left };
    place.message_left -= place.left;
    true
}
