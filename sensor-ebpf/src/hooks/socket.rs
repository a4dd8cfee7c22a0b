//! System calls on sockets: plaintext protocols, and the sockets that TLS streams drive.
//!
//! Bytes are taken at the exit of the call, with the real count. A socket that carries TLS is never copied.

use sensor_common::counter::Counter;
use sensor_common::record::{KIND_OPEN, role};

use super::proxy;
use super::{adjacent, notice};
use super::sniff::{self, Front};
use super::syscall::argument;
use super::{go, tls_call};
use super::tls_process;
use crate::account;
use crate::copy::{self, Looping, Memory};
use crate::emit::{self, Subject};
use crate::policy::{self, Watched};
use crate::sock::{self, Found};
use crate::stream::{self, StreamKey, StreamState, VERDICT_API, VERDICT_PROXY, VERDICT_TLS, VERDICT_UNKNOWN};

/// Where a system call has its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Arguments 1 and 2 are a buffer and its length.
    Buffer,
    /// Arguments 1 and 2 are an `iovec` array and its length.
    Vector,
    /// Argument 1 is a `struct msghdr`.
    Message,
}

/// MSG_OOB, MSG_PEEK, MSG_TRUNC and MSG_ERRQUEUE: bytes that are not the next of the stream, or come again.
pub const NOT_THE_STREAM: u64 = 0x1 | 0x2 | 0x20 | 0x2000;

/// Calls of a socket whose beginning was not seen that may begin like a TLS record before it is believed: one in a
/// million calls does by chance.
const SUSPICIONS: u16 = 3;

/// What is left alone, as a number beside false and true: bytes of TLS, and bytes of nothing known.
const CIPHER: u64 = 2;
const UNKNOWN: u64 = 3;

/// Exit of a call that moved bytes (below 0: failed), read (0) or written (1). `FLAGS` is the argument that holds `MSG_` flags, 0 for
/// none.
#[inline(always)]
pub fn moved<const FLAGS: usize>(moved: i64, direction: usize, shape: Shape, looping: Looping) {
    let Some(watched) = policy::watched() else { return };
    let Some(fd) = argument::<0>() else { return };
    let fd = fd as i32;
    // A call that failed or was interrupted still tells which socket a TLS stream drives.
    if tls_call::nested_socket_call(watched, fd) || moved <= 0 {
        return;
    }
    let moved = moved as u64;
    let Some(found) = sock::find(fd) else {
        // Calls with flags are made on sockets only, so no file pays for the second look.
        if FLAGS != 0
            && direction == 1
            && let Some(memory) = memory_of(shape, moved)
        {
            notice::datagram(watched, fd, memory, moved);
        }
        return;
    };
    if FLAGS != 0 && argument::<FLAGS>().unwrap_or(0) & NOT_THE_STREAM != 0 {
        return;
    }
    // What cannot be found reads as nothing: no protocol is recognised in it, and in a known one it is a gap.
    let memory = memory_of(shape, moved).unwrap_or(Memory { base: 0, left: moved, iov: 0, iov_left: 0 });
    carry(watched, found, fd, direction, memory, moved, looping);
}

/// Bytes moved on a socket: told to user space when they are of a plaintext API.
#[inline(always)]
pub fn carry(
    watched: Watched,
    found: Found,
    fd: i32,
    direction: usize,
    memory: Memory,
    moved: u64,
    looping: Looping,
) {
    if let Some((mut subject, state, starts)) = recognise(watched, found, fd, direction, memory, moved) {
        // The verifier would walk the copying once for each way of having looked at the front.
        let mut lengths = (memory.left, moved);
        copy::forget_value(&mut lengths);
        let (left, moved) = lengths;
        copy::transfer(&mut subject, state, direction, Memory { left, ..memory }, moved, starts, looping);
    }
}

/// The stream of bytes moved on a socket, and whether a message begins with them; nothing when they are of no API.
/// `memory` is where they begin.
#[inline(always)]
pub fn recognise<'a>(
    watched: Watched,
    found: Found,
    fd: i32,
    direction: usize,
    memory: Memory,
    moved: u64,
) -> Option<(Subject, &'a mut StreamState, bool)> {
    let key = StreamKey::socket(watched.tgid(), found.inode);
    emit::count(Counter::SocketCalls, 1);
    let Some(state) = stream::state(&key) else {
        account::unplaced(&key, moved);
        return None;
    };
    if state.verdict == VERDICT_TLS && state.tls == 0 {
        go::nested_socket_call(watched, found, fd);
    }
    let mut judged = match judge(watched, state, direction, memory, moved) {
        Ok(starts) => starts as u64,
        Err(Counter::SocketTlsBytes) => CIPHER,
        Err(_) => UNKNOWN,
    };
    // The verifier would walk what follows once for each way of having come to it.
    copy::forget_value(&mut judged);
    let starts = match judged {
        CIPHER | UNKNOWN => {
            let why = if judged == CIPHER { Counter::SocketTlsBytes } else { Counter::SocketUnknownBytes };
            if state.verdict == VERDICT_TLS {
                notice::cipher(&key, state, found);
                if state.tls == 0 {
                    adjacent::note(watched, &key, state, found, fd, direction, memory, moved);
                }
            }
            account::left_alone(&key, why, moved);
            return None;
        }
        starts => starts != 0,
    };
    emit::count(Counter::SocketBytes, moved);
    let mut subject = Subject::new(watched, &key, state);
    subject.socket = found.inode;
    // Neither accepted nor connected under our eyes: inherited, passed, or older than the sensor.
    if state.opened == 0 {
        state.opened = 1;
        emit::socket(&subject, KIND_OPEN, 0, found, fd, role::UNKNOWN);
    }
    Some((subject, state, starts))
}

/// Where the bytes are. A `struct msghdr` names its vector at 16 and the count at 24 (UAPI of 64-bit Linux).
#[inline(always)]
fn memory_of(shape: Shape, moved: u64) -> Option<Memory> {
    let (memory, elements) = (argument::<1>()?, argument::<2>()?);
    Some(match shape {
        Shape::Buffer => Memory { base: memory, left: moved, iov: 0, iov_left: 0 },
        Shape::Vector => Memory { base: 0, left: 0, iov: memory, iov_left: elements },
        Shape::Message => {
            // What cannot be read is one element that cannot be read.
            let mut vector = copy::user::<[u64; 2]>(memory + 16).unwrap_or([0, 1]);
            copy::forget_value(&mut vector);
            let [iov, iov_left] = vector;
            Memory { base: 0, left: 0, iov, iov_left }
        }
    })
}

/// Whether the bytes are of a plaintext API, and if so whether a message begins with them. Learns the socket's verdict
/// on the way; bytes that are left alone are counted as the error says. An API's connection turns into TLS (CONNECT,
/// STARTTLS) only where a direction begins to speak, and only by a hello: three bytes in the middle of a body must not blind the sensor.
#[inline(always)]
fn judge(
    watched: Watched,
    state: &mut StreamState,
    direction: usize,
    memory: Memory,
    moved: u64,
) -> Result<bool, Counter> {
    if state.verdict == VERDICT_TLS {
        return Err(Counter::SocketTlsBytes);
    }
    let mut piece = first_piece(memory, moved);
    copy::forget_value(&mut piece);
    let (base, length) = piece;
    let (mut first, mut available) = first_bytes(base, length);
    let mut front = sniff::front(first, available);
    if front == Front::Proxy {
        let header = proxy::length(base, length);
        if header < length {
            (first, available) = first_bytes(base + header, length - header);
            front = sniff::front(first, available);
        }
    }
    match front {
        // In the middle of a body three bytes may look like TLS, and would blind the sensor for good.
        Front::Tls
            if state.verdict != VERDICT_API
                && state.opened == 0
                && state.suspicions < SUSPICIONS
                && !sniff::is_hello(first) =>
        {
            state.suspicions += 1;
            Err(Counter::SocketUnknownBytes)
        }
        Front::Tls
            if state.verdict != VERDICT_API
                || (state.direction != direction as u8 && sniff::is_hello(first)) =>
        {
            state.verdict = VERDICT_TLS;
            tls_process::socket_is_tls(watched);
            Err(Counter::SocketTlsBytes)
        }
        Front::Api => {
            state.verdict = VERDICT_API;
            Ok(true)
        }
        // The header alone: told, and what comes next is judged as if it came first.
        Front::Proxy if state.verdict != VERDICT_API => {
            state.verdict = VERDICT_PROXY;
            Ok(true)
        }
        Front::Unknown if state.verdict != VERDICT_API => {
            state.verdict = VERDICT_UNKNOWN;
            Err(Counter::SocketUnknownBytes)
        }
        Front::Unknown | Front::Tls | Front::Proxy => Ok(false),
    }
}

/// Address and length of the first piece of a call's memory.
#[inline(always)]
fn first_piece(memory: Memory, moved: u64) -> (u64, u64) {
    let (base, length) = if memory.left == 0 {
        match copy::element(memory.iov) {
            Some([base, length]) => (base, length),
            None => (0, 0),
        }
    } else {
        (memory.base, memory.left)
    };
    (base, if length < moved { length } else { moved })
}

/// The first eight of `length` bytes, and how many of them there are.
#[inline(always)]
fn first_bytes(base: u64, length: u64) -> (u64, u64) {
    let mut first = eight(base, length);
    // The verifier would walk what follows once for each of four lengths.
    copy::forget_value(&mut first);
    first
}

#[inline(always)]
fn eight(base: u64, length: u64) -> (u64, u64) {
    if length >= 8 {
        return (copy::user::<u64>(base).unwrap_or(0), 8);
    }
    if length >= 5 {
        let low = copy::user::<u32>(base).unwrap_or(0) as u64;
        let fifth = copy::user::<u8>(base + 4).unwrap_or(0) as u64;
        return (low | fifth << 32, 5);
    }
    if length == 4 {
        return (copy::user::<u32>(base).unwrap_or(0) as u64, 4);
    }
    (0, 0)
}

/// A socket came from `accept`.
#[inline(always)]
pub fn accepted(fd: i64) {
    let Some(watched) = policy::watched() else { return };
    if fd >= 0 {
        open(watched, fd as i32, role::SERVER);
    }
}

/// `connect` returned: done, or (EINPROGRESS) under way with the addresses already set.
#[inline(always)]
pub fn connected(status: i64) {
    const EINPROGRESS: i64 = 115;
    let Some(watched) = policy::watched() else { return };
    if (status == 0 || status == -EINPROGRESS)
        && let Some(fd) = argument::<0>()
    {
        open(watched, fd as i32, role::CLIENT);
    }
}

#[inline(always)]
fn open(watched: Watched, fd: i32, role: u16) {
    let Some(found) = sock::find(fd) else { return };
    let key = StreamKey::socket(watched.tgid(), found.inode);
    let Some(state) = stream::state(&key) else { return };
    state.role = role;
    state.opened = 1;
    let mut subject = Subject::new(watched, &key, state);
    subject.socket = found.inode;
    emit::socket(&subject, KIND_OPEN, 0, found, fd, role);
}
