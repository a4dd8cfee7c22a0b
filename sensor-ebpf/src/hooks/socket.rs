//! System calls on sockets: plaintext protocols, and the sockets that TLS streams drive.
//!
//! Bytes are taken at the exit of the call, with the real count. A socket that carries TLS is never copied.

use aya_ebpf::programs::TracePointContext;
use sensor_common::counter::Counter;
use sensor_common::record::{KIND_OPEN, close, gap, role, source};

use super::{adjacent, notice};
use super::sniff::{self, Front};
use super::syscall::{argument, result};
use super::{go, tls_call};
use super::tls_process;
use crate::account;
use crate::copy::{self, Looping, Memory};
use crate::emit::{self, Subject};
use crate::policy::{self, Watched};
use crate::sock;
use crate::stream::{self, StreamKey, StreamState, VERDICT_API, VERDICT_TLS, VERDICT_UNKNOWN};

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
const NOT_THE_STREAM: u64 = 0x1 | 0x2 | 0x20 | 0x2000;

/// Exit of a call that moves bytes, read (0) or written (1). `FLAGS` is the argument that holds `MSG_` flags, 0 for
/// none.
#[inline(always)]
pub fn moved<const FLAGS: usize>(ctx: &TracePointContext, direction: usize, shape: Shape, looping: Looping) {
    let Some(watched) = policy::watched() else { return };
    let moved = result(ctx);
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
    if !found.is_inet() {
        return;
    }
    if FLAGS != 0 && argument::<FLAGS>().unwrap_or(0) & NOT_THE_STREAM != 0 {
        return;
    }
    let key = StreamKey::socket(watched.tgid(), found.inode);
    emit::count(Counter::SocketCalls, 1);
    let Some(state) = stream::state(&key) else { return account::unplaced(&key, moved) };
    if state.verdict == VERDICT_TLS && state.tls == 0 {
        go::nested_socket_call(watched, found, fd);
    }
    let Some(memory) = memory_of(shape, moved) else {
        return account::left_alone(&key, Counter::FaultBytes, moved);
    };
    let starts = match judge(watched, state, direction, memory, moved) {
        Ok(starts) => starts,
        Err(why) => {
            if state.verdict == VERDICT_TLS {
                notice::cipher(&key, state, found);
                if state.tls == 0 {
                    adjacent::note(watched, &key, state, found, fd, direction, memory, moved);
                }
            }
            return account::left_alone(&key, why, moved);
        }
    };
    emit::count(Counter::SocketBytes, moved);
    let mut subject = Subject::new(watched, &key, state);
    subject.socket = found.inode;
    // Neither accepted nor connected under our eyes: inherited, passed, or older than the sensor.
    if state.opened == 0 {
        state.opened = 1;
        emit::socket(&subject, KIND_OPEN, 0, found, fd, role::UNKNOWN);
    }
    copy::transfer(&mut subject, state, direction, memory, moved, starts, looping);
}

/// `sendfile(2)` wrote bytes that no buffer of the process held: a gap of that length.
#[inline(always)]
pub fn sent_unseen(ctx: &TracePointContext) {
    let Some(watched) = policy::watched() else { return };
    let moved = result(ctx);
    let Some(found) = argument::<0>().and_then(|fd| sock::find(fd as i32)) else { return };
    if moved <= 0 {
        return;
    }
    let key = StreamKey::socket(watched.tgid(), found.inode);
    let Some(state) = stream::known(&key) else { return };
    if state.verdict == VERDICT_API {
        let mut subject = Subject::new(watched, &key, state);
        subject.socket = found.inode;
        copy::unseen(&mut subject, state, 1, moved as u64, gap::UNSEEN);
    }
}

/// Where the bytes are. A `struct msghdr` names its vector at 16 and the count at 24 (UAPI of 64-bit Linux).
#[inline(always)]
fn memory_of(shape: Shape, moved: u64) -> Option<Memory> {
    let (memory, elements) = (argument::<1>()?, argument::<2>()?);
    Some(match shape {
        Shape::Buffer => Memory { base: memory, left: moved, iov: 0, iov_left: 0 },
        Shape::Vector => Memory { base: 0, left: 0, iov: memory, iov_left: elements },
        Shape::Message => {
            let [iov, iov_left] = copy::user::<[u64; 2]>(memory + 16)?;
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
    let (first, available) = first_bytes(memory, moved);
    match sniff::front(first, available) {
        Front::Tls
            if state.verdict == VERDICT_UNKNOWN
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
        Front::Unknown if state.verdict == VERDICT_UNKNOWN => Err(Counter::SocketUnknownBytes),
        Front::Unknown | Front::Tls => Ok(false),
    }
}

/// The first eight bytes of a call, and how many of them there are.
#[inline(always)]
fn first_bytes(memory: Memory, moved: u64) -> (u64, u64) {
    let (base, length) = if memory.iov_left > 0 {
        match copy::user::<[u64; 2]>(memory.iov) {
            Some([base, length]) => (base, length),
            None => (0, 0),
        }
    } else {
        (memory.base, moved)
    };
    let available = if length < moved { length } else { moved };
    if available >= 8 {
        return (copy::user::<u64>(base).unwrap_or(0), 8);
    }
    if available >= 5 {
        let low = copy::user::<u32>(base).unwrap_or(0) as u64;
        let fifth = copy::user::<u8>(base + 4).unwrap_or(0) as u64;
        return (low | fifth << 32, 5);
    }
    if available == 4 {
        return (copy::user::<u32>(base).unwrap_or(0) as u64, 4);
    }
    (0, 0)
}

/// A socket came from `accept`.
#[inline(always)]
pub fn accepted(ctx: &TracePointContext) {
    let Some(watched) = policy::watched() else { return };
    let fd = result(ctx);
    if fd >= 0 {
        open(watched, fd as i32, role::SERVER);
    }
}

/// `connect` returned: done, or (EINPROGRESS) under way with the addresses already set.
#[inline(always)]
pub fn connected(ctx: &TracePointContext) {
    const EINPROGRESS: i64 = 115;
    let Some(watched) = policy::watched() else { return };
    let status = result(ctx);
    if (status == 0 || status == -EINPROGRESS)
        && let Some(fd) = argument::<0>()
    {
        open(watched, fd as i32, role::CLIENT);
    }
}

#[inline(always)]
fn open(watched: Watched, fd: i32, role: u16) {
    let Some(found) = sock::find(fd) else { return };
    if !found.is_inet() {
        return;
    }
    let key = StreamKey::socket(watched.tgid(), found.inode);
    let Some(state) = stream::state(&key) else { return };
    state.role = role;
    state.opened = 1;
    let mut subject = Subject::new(watched, &key, state);
    subject.socket = found.inode;
    emit::socket(&subject, KIND_OPEN, 0, found, fd, role);
}

/// A socket is being closed: its stream, and the TLS stream that drives it, end here.
#[inline(always)]
pub fn closing() {
    let Some(watched) = policy::watched() else { return };
    let Some(found) = argument::<0>().and_then(|fd| sock::find(fd as i32)) else { return };
    let key = StreamKey::socket(watched.tgid(), found.inode);
    let Some(state) = stream::known(&key) else { return };
    let subject = Subject::new(watched, &key, state);
    emit::close(&subject, state, close::SOCKET);
    if state.tls != 0 {
        let tls_key = StreamKey { id: state.tls, source: source::TLS, ..key };
        if let Some(tls) = stream::known(&tls_key)
            && tls.socket == found.inode
        {
            let subject = Subject::new(watched, &tls_key, tls);
            emit::close(&subject, tls, close::SOCKET);
            stream::renew(tls);
        }
    }
    stream::forget(&key);
}
