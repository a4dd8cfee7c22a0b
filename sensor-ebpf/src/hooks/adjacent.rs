//! TLS through memory: the library never calls the socket, the program carries the ciphertext between them.
//!
//! What the kernel object can tell is which TLS records went through which socket, by the headers that stand in the
//! clear. User space compares their lengths with the plaintext calls of the same process and concludes. Told only for
//! processes in which a TLS call ran without a socket call inside, and only until the socket's stream is known.

use sensor_common::record::{FLAG_WRITE, IO_RECORDS, IoRecord, KIND_OPEN};

use crate::copy::{self, Memory};
use crate::emit::{self, Subject};
use crate::maps::{SETTLED, UNBOUND};
use crate::policy::Watched;
use crate::sock::Found;
use crate::stream::{self, StreamKey, StreamState};

/// The stream that user space found for a socket.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Settled {
    /// Address of the TLS object.
    pub handle: u64,
    /// Its generation.
    pub generation: u32,
    pub reserved: u32,
}

/// Calls of one socket that are told at most: what has not led to a conclusion by then will not.
const TOLD_AT_MOST: u32 = 256;

/// `StreamState::left` when it is not known where the next record begins.
const LOST: u32 = u32::MAX;

/// Longest record: 2^14 bytes and what encryption adds, which TLS 1.2 lets be 2048 (RFC 5246, 6.2.3).
const LONGEST_RECORD: u32 = (1 << 14) + 2048;

/// Bytes of a record's header.
const HEADER: u64 = 5;

/// A TLS call of this process had no socket.
#[inline(always)]
pub fn mark(watched: Watched) {
    if UNBOUND.get_ptr(watched.tgid()).is_none() {
        let _ = UNBOUND.insert(watched.tgid(), 1, 0);
    }
}

/// A TLS call that moved nothing ran without a socket call inside: a handshake through memory, unless the stream's
/// socket is known.
#[inline(always)]
pub fn without_socket(watched: Watched, handle: u64) {
    if stream::known(&StreamKey::tls(watched.tgid(), handle)).is_none_or(|state| state.socket == 0) {
        mark(watched);
    }
}

/// A process ended.
#[inline(always)]
pub fn forget(tgid: u32) {
    let _ = UNBOUND.remove(tgid);
}

/// A TLS object is freed: its socket may carry another one.
#[inline(always)]
pub fn release(key: &StreamKey, state: &StreamState) {
    let socket = StreamKey { id: state.socket, source: sensor_common::record::source::SOCKET, ..*key };
    if state.socket != 0
        && let Some(socket) = stream::known(&socket)
        && socket.tls == key.id
    {
        socket.tls = 0;
    }
}

/// A socket call carried TLS of a stream that is not known.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "what its one caller has at hand; inlined")]
pub fn note(
    watched: Watched,
    key: &StreamKey,
    state: &mut StreamState,
    found: Found,
    fd: i32,
    direction: usize,
    memory: Memory,
    moved: u64,
) {
    if state.told >= TOLD_AT_MOST || UNBOUND.get_ptr(watched.tgid()).is_none() || settle(key, state, fd) {
        return;
    }
    let mut subject = Subject::new(watched, key, state);
    subject.socket = found.inode;
    // Once more where it was told before: whoever concludes from the records need not remember every socket.
    if state.told == 0 {
        state.opened = 1;
        emit::socket(&subject, KIND_OPEN, 0, found, fd, state.role);
    }
    subject.flags = if direction == 1 { FLAG_WRITE } else { 0 };
    let slot = direction & 1;
    let left = state.left[slot];
    if left != LOST && left as u64 >= moved {
        state.left[slot] = left - moved as u32;
        return;
    }
    let first = if left == LOST { 0 } else { left as u64 };
    let Some((base, length)) = buffer(memory, moved) else {
        state.left[slot] = LOST;
        return;
    };
    state.told += 1;
    let Some(mut record) = emit::io(&subject, moved) else { return };
    state.left[slot] = unsafe { list(record.as_mut_ptr(), base, length, first, moved) };
    emit::io_done(record);
}

/// Where the call's bytes begin, and how many lie there together: of a vector, the first element.
#[inline(always)]
fn buffer(memory: Memory, moved: u64) -> Option<(u64, u64)> {
    if memory.iov_left == 0 {
        // Of several messages, the first.
        return Some((memory.base, if memory.left < moved { memory.left } else { moved }));
    }
    let [base, length] = copy::element(memory.iov)?;
    Some((base, if length < moved { length } else { moved }))
}

/// Lists the records that begin in the call. Gives how much of the last one is still to come.
#[inline(always)]
unsafe fn list(record: *mut IoRecord, base: u64, length: u64, first: u64, moved: u64) -> u32 {
    let mut offset = first;
    let mut count = 0;
    let mut lost = false;
    while count < IO_RECORDS {
        if lost || offset + HEADER > length {
            break;
        }
        match copy::user::<[u8; HEADER as usize]>(base + offset) {
            Some([kind @ 20..=23, 3, _, high, low]) if length_of(high, low) <= LONGEST_RECORD => {
                let bytes = length_of(high, low);
                (&raw mut (*record).records).cast::<u32>().add(count).write((kind as u32) << 16 | bytes);
                offset += HEADER + bytes as u64;
                count += 1;
            }
            _ => lost = true,
        }
    }
    (*record).count = count as u32;
    let mut rest = count;
    while rest < IO_RECORDS {
        (&raw mut (*record).records).cast::<u32>().add(rest).write(0);
        rest += 1;
    }
    if lost || offset < moved { LOST } else { (offset - moved) as u32 }
}

#[inline(always)]
fn length_of(high: u8, low: u8) -> u32 {
    (high as u32) << 8 | low as u32
}

/// Whether user space has found the stream by now: then the socket is known as if a call had shown it.
#[inline(always)]
fn settle(key: &StreamKey, state: &mut StreamState, fd: i32) -> bool {
    let Some(settled) = SETTLED.get_ptr(key) else { return false };
    let settled = unsafe { *settled };
    let _ = SETTLED.remove(key);
    let tls_key = StreamKey { id: settled.handle, source: sensor_common::record::source::TLS, ..*key };
    let Some(tls) = stream::known(&tls_key) else { return false };
    if tls.generation != settled.generation || (tls.socket != 0 && tls.socket != key.id) {
        return false;
    }
    tls.socket = key.id;
    tls.fd = fd;
    tls.role = state.role;
    state.tls = settled.handle;
    true
}
