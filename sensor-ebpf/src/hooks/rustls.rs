//! Calls into rustls, as far as they differ from a C library's.
//!
//! Every function but two is given the connection's `CommonState`. Those two are given a buffer that lies inside it: a
//! buffer within [`STATE_BYTES`] of a state's address is that state's, and its distance, once seen, holds for every
//! connection of the program. So no layout of any version is written down.
//!
//! The state moves in memory with the future that owns it, so the stream is named by what moves with it: the address of
//! the key with which it encrypts, which user space found in the code that drops a state.

use sensor_common::call::{CallKind, Cookie, NO_ARG};
use sensor_common::record::close;

use super::tls_call::{self, Noted, Registers, TlsCall};
use crate::copy::{self, Memory};
use crate::maps::{RUSTLS_PLACES, RUSTLS_STATES};
use crate::policy::Watched;
use crate::stream::{self, StreamKey};

/// Every version's `CommonState` has more bytes (0.20 to 0.22: above 0x130, 0.23: above 0x320, as its drop code shows),
/// so no second state begins within this distance.
const STATE_BYTES: u64 = 256;

/// Nothing is mapped below (`vm.mmap_min_addr`).
const FIRST_PAGE: u64 = 4096;

/// Where the buffers are inside the state.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Places {
    received: Place,
    sendable: Place,
}

/// Distance of a buffer from the state. The state that a thread was last seen with may have been moved since, a little
/// way even, so one look proves nothing: a distance holds when it was seen [`CERTAIN`] times more often than another.
#[repr(C)]
#[derive(Clone, Copy)]
struct Place {
    distance: u32,
    votes: u32,
}

const CERTAIN: u32 = 2;
/// Votes kept at most, so that a program replaced by `exec` is learned anew soon.
const MOST_VOTES: u32 = 4;

/// A buffer of the state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Buffer {
    Received,
    Sendable,
}

/// Whether the kind of call is one of rustls's.
#[inline(always)]
pub fn owns(kind: u8) -> bool {
    matches!(kind, CallKind::RUSTLS..=CallKind::RUSTLS_LAST)
}

/// Whether the call gives plaintext to the application.
#[inline(always)]
pub fn reads(kind: u8) -> bool {
    kind == CallKind::RustlsRead as u8 || kind == CallKind::RustlsReceived as u8
}

/// Whether the call takes plaintext from the application.
#[inline(always)]
pub fn writes(kind: u8) -> bool {
    kind == CallKind::RustlsWrite as u8 || kind == CallKind::RustlsWriteChunks as u8
}

/// Entry of a function of rustls.
#[inline(always)]
pub fn enter(registers: &Registers, watched: Watched, cookie: Cookie) {
    let kind = cookie.kind();
    let argument = registers.argument(cookie.handle());
    if kind == CallKind::RustlsDrop as u8 {
        tls_call::end(watched, name(argument, cookie), close::FREE);
        return;
    }
    if let Some(noted) = note(registers, watched, cookie, kind, argument) {
        tls_call::stash(registers, watched, cookie, noted);
    }
}

#[inline(always)]
fn note(registers: &Registers, watched: Watched, cookie: Cookie, kind: u8, argument: u64) -> Option<Noted> {
    if kind == CallKind::RustlsFlush as u8 {
        // Mostly the end of the handshake, so that the socket is known before the first byte. A state that moves must
        // have carried something first, where nothing better names it.
        let state = owner(watched, argument, Buffer::Sendable)?;
        let handle = if cookie.out() == NO_ARG { state } else { key(state, cookie)? };
        if cookie.out() == NO_ARG {
            stream::known(&StreamKey::tls(watched.tgid(), handle))?;
        }
        return Some(Noted { handle, buffer: 0, out: 0 });
    }
    let buffer = registers.argument(cookie.buffer());
    if kind == CallKind::RustlsRead as u8 {
        // The reader is a structure whose only pointer, and so its first word, leads to the buffer.
        let received = copy::user::<u64>(argument)?;
        // Told by user space, as a rule: the state that the thread saw last is too often another connection's.
        let state = if cookie.fd() == NO_ARG {
            owner(watched, received, Buffer::Received)
        } else {
            Some(received.wrapping_sub(cookie.fd() as u64 * 8))
        };
        let handle = state.map_or(received, |state| name(state, cookie));
        return Some(Noted { handle, buffer, out: 0 });
    }
    let handle = name(argument, cookie);
    let _ = RUSTLS_STATES.insert(watched.pid_tgid, argument, 0);
    if kind == CallKind::RustlsWrite as u8 {
        return Some(Noted { handle, buffer, out: 0 });
    }
    if kind == CallKind::RustlsReceived as u8 {
        // `Payload`: a `Vec` (capacity, address, length) or a slice, whose mark stands in place of the capacity.
        let [address, length] = copy::user::<[u64; 2]>(buffer + 8)?;
        return Some(Noted { handle, buffer: address, out: length });
    }
    if kind == CallKind::RustlsWriteChunks as u8 {
        return chunks(handle, buffer);
    }
    None
}

/// What names the connection: its key, or the state's own address.
#[inline(always)]
fn name(state: u64, cookie: Cookie) -> u64 {
    if cookie.out() == NO_ARG {
        return state;
    }
    key(state, cookie).unwrap_or(state)
}

/// The address of the connection's key; before there is one, a boxed value without size, whose address is its
/// alignment.
#[inline(always)]
fn key(state: u64, cookie: Cookie) -> Option<u64> {
    let address = copy::user::<u64>(state.wrapping_add(cookie.out() as u64 * 8))?;
    (address >= FIRST_PAGE).then_some(address)
}

/// `OutboundChunks`: zero and a slice, or a slice of slices with the range of bytes meant. Read at entry, because the
/// callee owns it and may change it.
#[inline(always)]
fn chunks(handle: u64, from: u64) -> Option<Noted> {
    let [first, second, third, _] = copy::user::<[u64; 4]>(from)?;
    if first == 0 {
        return Some(Noted { handle, buffer: second, out: 0 });
    }
    // The rest of a vector that was cut: its bytes are a gap, of which the position tells.
    let elements = if third == 0 { second } else { 0 };
    Some(Noted { handle, buffer: if third == 0 { first } else { 0 }, out: elements })
}

/// Where the bytes of a write are. Rust's slice of slices has the layout of an `iovec` array.
#[inline(always)]
pub fn memory(call: &TlsCall, moved: u64) -> Memory {
    if call.out > 0 {
        return Memory { base: 0, left: 0, iov: call.buffer, iov_left: call.out };
    }
    Memory { base: call.buffer, left: moved, iov: 0, iov_left: 0 }
}

/// The state that a buffer lies in.
#[inline(always)]
fn owner(watched: Watched, address: u64, buffer: Buffer) -> Option<u64> {
    let near = RUSTLS_STATES.get_ptr(watched.pid_tgid).map(|state| unsafe { *state });
    let near = near.filter(|state| address.wrapping_sub(*state) < STATE_BYTES);
    if let Some(state) = near {
        learn(watched, address.wrapping_sub(state) as u32, buffer);
    }
    if let Some(places) = RUSTLS_PLACES.get_ptr_mut(watched.tgid()) {
        let place = place(unsafe { &mut *places }, buffer);
        if place.votes >= CERTAIN {
            return Some(address.wrapping_sub(place.distance as u64));
        }
    }
    near
}

#[inline(always)]
fn place(places: &mut Places, buffer: Buffer) -> &mut Place {
    match buffer {
        Buffer::Received => &mut places.received,
        Buffer::Sendable => &mut places.sendable,
    }
}

#[inline(always)]
fn learn(watched: Watched, distance: u32, buffer: Buffer) {
    let tgid = watched.tgid();
    if RUSTLS_PLACES.get_ptr(tgid).is_none() {
        let nowhere = Place { distance: 0, votes: 0 };
        let _ = RUSTLS_PLACES.insert(tgid, Places { received: nowhere, sendable: nowhere }, 0);
    }
    let Some(places) = RUSTLS_PLACES.get_ptr_mut(tgid) else { return };
    let place = place(unsafe { &mut *places }, buffer);
    if place.votes == 0 {
        place.distance = distance;
        place.votes = 1;
    } else if place.distance != distance {
        place.votes -= 1;
    } else if place.votes < MOST_VOTES {
        place.votes += 1;
    }
}
