//! Bounded copying: the bytes of one call, from a buffer or an `iovec` array, as data records and exact gaps.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_kernel, bpf_probe_read_user};
use sensor_common::record::{FLAG_EARLY, FLAG_WRITE, gap};
use sensor_common::{CHUNK_BYTES, CHUNKS_PER_CALL_BOUNDED, CHUNKS_PER_CALL_LOOP, IOVECS_PER_CALL_LOOP};

use crate::account::{self, Fate, Outcome};
use crate::emit::{self, Subject};
use crate::maps::{CALL_LIMIT, MESSAGE_LIMIT};
use crate::sock;
use crate::stream::StreamState;

/// How a program repeats: by a loop that the verifier walks, or by `bpf_loop`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Looping {
    Bounded,
    Helper,
}

/// Where the bytes of a call are.
#[derive(Clone, Copy)]
pub struct Memory {
    /// The buffer; 0 while the next `iovec` element is to be read.
    pub base: u64,
    /// Bytes left at `base`.
    pub left: u64,
    /// The next `iovec` element, with [`NARROW`] where the lengths are of type `int`.
    pub iov: u64,
    /// Elements left.
    pub iov_left: u64,
}

/// In [`Memory::iov`]: the upper half of each length is padding. No address of a process has this bit, and those of the
/// kernel have the one above it, too.
pub const NARROW: u64 = 1 << 62;

#[inline(always)]
fn is_narrow(iov: u64) -> bool {
    iov >> 62 == 1
}

/// The walk over one call. Lives on the stack of the caller and is handed to `bpf_loop`.
struct Walk {
    subject: Subject,
    cursor: Cursor,
}

/// The part of a walk that changes.
#[repr(C)]
struct Cursor {
    memory: Memory,
    position: u64,
    /// Bytes still to capture.
    budget: u64,
    outcome: Outcome,
}

/// Makes the verifier forget what it knows of the cursor: it would otherwise tell every round of a loop from every
/// other by the ranges of these numbers and never be done ("BPF program is too large"). A helper that writes to the
/// stack does that; it reads the same bytes.
#[inline(always)]
fn forget(cursor: &mut Cursor) {
    forget_value(cursor);
}

/// The same for a number, or a structure of numbers.
#[inline(always)]
pub fn forget_value<T>(value: &mut T) {
    let place = &raw mut *value;
    unsafe { bpf_probe_read_kernel(place.cast(), size_of::<T>() as u32, place.cast()) };
}

/// Emits the `moved` bytes of a call in `direction` (0 read, 1 write) and advances the stream's position first, so
/// that whatever is lost on the way is a hole that the next record shows.
#[inline(always)]
pub fn transfer(
    subject: &mut Subject,
    state: &mut StreamState,
    direction: usize,
    memory: Memory,
    moved: u64,
    starts_message: bool,
    looping: Looping,
) {
    let mut place = advance(subject, state, direction, moved, starts_message);
    forget_value(&mut place);
    let (position, budget) = place;
    if budget == moved && let Some(fate) = whole(subject, position, memory, moved) {
        let mut outcome = Outcome::default();
        outcome.add(fate, moved);
        account::captured(subject, moved, &outcome, 0, 0);
        return;
    }
    let outcome = Outcome::default();
    let mut walk = Walk { subject: *subject, cursor: Cursor { memory, position, budget, outcome } };
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
                CHUNKS_PER_CALL_LOOP + IOVECS_PER_CALL_LOOP,
                step_callback as *mut _,
                (&raw mut walk).cast(),
                0,
            );
        },
    }
    let end = position + moved;
    let Walk { subject, cursor: Cursor { memory, position, budget, outcome } } = &mut walk;
    let (mut absent, mut reason) = (0, 0);
    if *position < end {
        absent = end - *position;
        reason = if *budget > 0 && memory.iov_left > 0 { gap::IOVECS } else { gap::LIMIT };
        emit::missing(subject, *position, absent, reason, outcome);
    }
    account::captured(subject, moved, outcome, absent, reason);
}

/// Advances a stream by `moved` bytes. Gives the position of the first and how many may be captured.
#[inline(always)]
pub fn advance(
    subject: &mut Subject,
    state: &mut StreamState,
    direction: usize,
    moved: u64,
    starts_message: bool,
) -> (u64, u64) {
    let slot = direction & 1;
    let position = state.position[slot];
    state.position[slot] = position + moved;
    if state.direction != direction as u8 || starts_message {
        state.run[slot] = 0;
        state.direction = direction as u8;
    }
    let run = state.run[slot];
    state.run[slot] = run.saturating_add(moved);
    let allowed = MESSAGE_LIMIT.load().saturating_sub(run);
    let mut budget = if moved < allowed { moved } else { allowed };
    if budget > CALL_LIMIT.load() {
        budget = CALL_LIMIT.load();
    }
    subject.call_len = moved as u32;
    subject.flags = (subject.flags & FLAG_EARLY) | if slot == 1 { FLAG_WRITE } else { 0 };
    (position, budget)
}

/// Advances a stream by bytes that moved out of sight in `direction`, and says so.
#[inline(always)]
pub fn unseen(subject: &mut Subject, state: &mut StreamState, direction: usize, moved: u64, reason: u16) {
    let slot = direction & 1;
    let position = state.position[slot];
    state.position[slot] = position + moved;
    state.run[slot] = state.run[slot].saturating_add(moved);
    state.direction = slot as u8;
    subject.flags = (subject.flags & FLAG_EARLY) | if slot == 1 { FLAG_WRITE } else { 0 };
    let mut outcome = Outcome::default();
    emit::missing(subject, position, moved, reason, &mut outcome);
    account::captured(subject, moved, &outcome, moved, reason);
}

/// Emits a call that fits one record, which most do: a buffer of at most a chunk, or a small head and a body in two
/// `iovec` elements, which is how web servers answer. Nothing when it does not fit.
#[inline(always)]
fn whole(subject: &Subject, position: u64, memory: Memory, moved: u64) -> Option<Fate> {
    if memory.iov_left == 0 {
        if moved > CHUNK_BYTES as u64 {
            return None;
        }
        return Some(emit::data(subject, position, memory.base, moved as u32));
    }
    if memory.iov_left < 2 || is_narrow(memory.iov) {
        return None;
    }
    let [head, head_len, body, body_len] = user::<[u64; 4]>(memory.iov)?;
    if head_len == 0 || head_len > emit::HEAD_BYTES as u64 || head_len >= moved || moved - head_len > body_len {
        return None;
    }
    emit::head_and_body(subject, position, (head, head_len as u32), (body, (moved - head_len) as u32))
}

/// For `bpf_loop`: 0 goes on, 1 stops.
extern "C" fn step_callback(_index: u64, walk: *mut Walk) -> i64 {
    i64::from(!step(unsafe { &mut *walk }))
}

/// Emits one chunk, of the next `iovec` element if that is its turn. False when nothing is left to do.
#[inline(always)]
fn step(walk: &mut Walk) -> bool {
    let cursor = &mut walk.cursor;
    forget(cursor);
    if cursor.budget == 0 {
        return false;
    }
    if cursor.memory.left == 0 && !next_element(&mut cursor.memory) {
        return false;
    }
    if cursor.memory.left == 0 {
        return true;
    }
    let mut length = cursor.memory.left;
    if length > cursor.budget {
        length = cursor.budget;
    }
    if length > CHUNK_BYTES as u64 {
        length = CHUNK_BYTES as u64;
    }
    let fate = emit::data(&walk.subject, cursor.position, cursor.memory.base, length as u32);
    cursor.outcome.add(fate, length);
    cursor.position += length;
    cursor.budget -= length;
    cursor.memory.base += length;
    cursor.memory.left -= length;
    true
}

#[inline(always)]
fn next_element(memory: &mut Memory) -> bool {
    if memory.iov_left == 0 {
        return false;
    }
    let narrow = is_narrow(memory.iov);
    let address = if narrow { memory.iov & !NARROW } else { memory.iov };
    let Some([base, length]) = element(address) else { return false };
    let length = if narrow { length & u32::MAX as u64 } else { length };
    memory.iov += 16;
    memory.iov_left -= 1;
    memory.base = base;
    memory.left = length;
    true
}

/// Base and length of an `iovec` element. The kernel keeps a copy of a call's array, which is what a hook inside it
/// finds; its half of the addresses is the upper one.
#[inline(always)]
pub fn element(address: u64) -> Option<[u64; 2]> {
    if (address as i64) < 0 { sock::read(address, 0) } else { user(address) }
}

/// Reads a value from user memory.
#[inline(always)]
pub fn user<T: Copy + Default>(address: u64) -> Option<T> {
    // Not set to zero first: the compiler makes a loop over bytes of that, which the verifier walks each time.
    let mut value = MaybeUninit::<T>::uninit();
    let status =
        unsafe { bpf_probe_read_user(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const _) };
    if status == 0 { Some(unsafe { value.assume_init() }) } else { None }
}
