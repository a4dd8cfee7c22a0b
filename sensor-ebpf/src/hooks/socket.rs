//! System calls on sockets: plaintext protocols, and the sockets that TLS streams drive.
//!
//! Bytes are taken at the exit of the call, with the real count. A socket that carries TLS is never copied.

use aya_ebpf::EbpfContext;
use aya_ebpf::programs::TracePointContext;
use sensor_common::counter::Counter;
use sensor_common::record::{KIND_OPEN, close, role, source};

use super::sniff::{self, Front};
use super::tls_call;
use crate::copy::{self, Looping, Memory};
use crate::emit::{self, Subject};
use crate::maps::{SOCKET_CALLS, SYS_ENTER_ARGS, SYS_EXIT_RET};
use crate::policy::{self, Watched};
use crate::sock;
use crate::stream::{self, StreamKey, StreamState, VERDICT_API, VERDICT_TLS, VERDICT_UNKNOWN};

/// Shape of a system call.
#[derive(Clone, Copy)]
pub struct Flow {
    /// 0 read, 1 write.
    direction: u32,
    /// Where the bytes are: see the constants below.
    shape: u32,
}

const SHAPE_BUFFER: u32 = 0;
const SHAPE_VECTOR: u32 = 1;
const SHAPE_MESSAGE: u32 = 2;
const SHAPE_CONNECT: u32 = 3;

impl Flow {
    pub const READ_BUFFER: Self = Self { direction: 0, shape: SHAPE_BUFFER };
    pub const WRITE_BUFFER: Self = Self { direction: 1, shape: SHAPE_BUFFER };
    pub const READ_VECTOR: Self = Self { direction: 0, shape: SHAPE_VECTOR };
    pub const WRITE_VECTOR: Self = Self { direction: 1, shape: SHAPE_VECTOR };
    pub const READ_MESSAGE: Self = Self { direction: 0, shape: SHAPE_MESSAGE };
    pub const WRITE_MESSAGE: Self = Self { direction: 1, shape: SHAPE_MESSAGE };
}

/// MSG_OOB, MSG_PEEK, MSG_TRUNC and MSG_ERRQUEUE: bytes that are not the next of the stream, or come again.
const NOT_THE_STREAM: u64 = 0x1 | 0x2 | 0x20 | 0x2000;

/// A call that has not returned.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SocketCall {
    memory: u64,
    elements: u64,
    fd: i32,
    direction: u32,
    shape: u32,
    reserved: u32,
}

/// Argument of a system call. On every kernel seen the first is at 16; then a direct load does, else a helper call.
/// The load is volatile, at a constant offset: the verifier refuses a context pointer that was added to ("dereference
/// of modified ctx ptr"), which is what two of these loads merged into one compile to. Only arguments that the call
/// has may be read: the kernel refuses to attach a program that reads beyond the record.
#[inline(always)]
pub fn argument<const NUMBER: usize>(ctx: &TracePointContext) -> u64 {
    if SYS_ENTER_ARGS.load() == 16 {
        return unsafe { ctx.as_ptr().cast::<u64>().add(2 + NUMBER).read_volatile() };
    }
    unsafe { ctx.read_at(SYS_ENTER_ARGS.load() as usize + 8 * NUMBER) }.unwrap_or(0)
}

#[inline(always)]
pub fn result(ctx: &TracePointContext) -> i64 {
    if SYS_EXIT_RET.load() == 16 {
        return unsafe { ctx.as_ptr().cast::<i64>().add(2).read_volatile() };
    }
    unsafe { ctx.read_at(SYS_EXIT_RET.load() as usize) }.unwrap_or(-1)
}

/// Entry of a call that moves bytes. `FLAGS` is the argument that holds `MSG_` flags, 0 for none.
#[inline(always)]
pub fn enter<const FLAGS: usize>(ctx: &TracePointContext, flow: Flow) {
    let Some(watched) = policy::watched() else { return };
    let (fd, memory, elements) = (argument::<0>(ctx), argument::<1>(ctx), argument::<2>(ctx));
    if tls_call::nested_socket_call(watched, fd as i32) {
        return;
    }
    let flags = match FLAGS {
        2 => elements,
        3 => argument::<3>(ctx),
        _ => 0,
    };
    if flags & NOT_THE_STREAM == 0 {
        remember(watched, fd as i32, flow.direction, flow.shape, memory, elements);
    }
}

#[inline(always)]
fn remember(watched: Watched, fd: i32, direction: u32, shape: u32, memory: u64, elements: u64) {
    let call = SocketCall { memory, elements, fd, direction, shape, reserved: 0 };
    if SOCKET_CALLS.insert(watched.pid_tgid, call, 0).is_err() {
        emit::count(Counter::NoCallSlot, 1);
    }
}

#[inline(always)]
fn recall(watched: Watched) -> Option<SocketCall> {
    let call = SOCKET_CALLS.get_ptr(watched.pid_tgid).map(|call| unsafe { *call })?;
    let _ = SOCKET_CALLS.remove(watched.pid_tgid);
    Some(call)
}

/// Exit of a call that moves bytes.
#[inline(always)]
pub fn leave(ctx: &TracePointContext, looping: Looping) {
    let Some(watched) = policy::watched() else { return };
    let Some(call) = recall(watched) else { return };
    let moved = result(ctx);
    if moved <= 0 || call.shape == SHAPE_CONNECT {
        return;
    }
    let moved = moved as u64;
    let Some(found) = sock::find(call.fd) else { return };
    if !found.is_inet() {
        return;
    }
    let key = StreamKey::socket(watched.tgid(), found.inode);
    let Some(state) = stream::state(&key) else { return };
    emit::count(Counter::SocketCalls, 1);
    let Some(memory) = memory_of(&call, moved) else { return };
    if !judge(state, memory, moved) {
        return;
    }
    emit::count(Counter::SocketBytes, moved);
    let mut subject = Subject::new(watched, &key, state);
    subject.socket = found.inode;
    let starts = state.reserved != 0;
    copy::transfer(&mut subject, state, call.direction as usize, memory, moved, starts, looping);
}

/// Where the bytes are. A `struct msghdr` names its vector at 16 and the count at 24 (UAPI of 64-bit Linux).
#[inline(always)]
fn memory_of(call: &SocketCall, moved: u64) -> Option<Memory> {
    if call.shape == SHAPE_BUFFER {
        return Some(Memory { base: call.memory, left: moved, iov: 0, iov_left: 0 });
    }
    let (iov, count) = if call.shape == SHAPE_MESSAGE {
        let [iov, count] = copy::user::<[u64; 2]>(call.memory + 16)?;
        (iov, count)
    } else {
        (call.memory, call.elements)
    };
    Some(Memory { base: 0, left: 0, iov, iov_left: count })
}

/// Whether the bytes are of a plaintext API; learns the socket's verdict on the way. Leaves in `state.reserved`
/// whether a message begins here.
#[inline(always)]
fn judge(state: &mut StreamState, memory: Memory, moved: u64) -> bool {
    state.reserved = 0;
    if state.verdict == VERDICT_TLS {
        emit::count(Counter::SocketTlsBytes, moved);
        return false;
    }
    let (first, available) = first_bytes(memory, moved);
    match sniff::front(first, available) {
        Front::Tls => {
            state.verdict = VERDICT_TLS;
            emit::count(Counter::SocketTlsBytes, moved);
            return false;
        }
        Front::Api => {
            state.verdict = VERDICT_API;
            state.reserved = 1;
        }
        Front::Unknown => {}
    }
    if state.verdict == VERDICT_UNKNOWN {
        emit::count(Counter::SocketUnknownBytes, moved);
    }
    state.verdict == VERDICT_API
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

/// `connect` begins: the descriptor is known only here.
#[inline(always)]
pub fn connecting(ctx: &TracePointContext) {
    let Some(watched) = policy::watched() else { return };
    remember(watched, argument::<0>(ctx) as i32, 0, SHAPE_CONNECT, 0, 0);
}

/// `connect` returned: done, or (EINPROGRESS) under way with the addresses already set.
#[inline(always)]
pub fn connected(ctx: &TracePointContext) {
    const EINPROGRESS: i64 = 115;
    let Some(watched) = policy::watched() else { return };
    let Some(call) = recall(watched) else { return };
    let status = result(ctx);
    if call.shape == SHAPE_CONNECT && (status == 0 || status == -EINPROGRESS) {
        open(watched, call.fd, role::CLIENT);
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
    let mut subject = Subject::new(watched, &key, state);
    subject.socket = found.inode;
    emit::socket(&subject, KIND_OPEN, 0, found, fd, role);
}

/// A socket is being closed: its stream, and the TLS stream that drives it, end here.
#[inline(always)]
pub fn closing(ctx: &TracePointContext) {
    let Some(watched) = policy::watched() else { return };
    let Some(found) = sock::find(argument::<0>(ctx) as i32) else { return };
    let key = StreamKey::socket(watched.tgid(), found.inode);
    let Some(state) = stream::known(&key) else { return };
    let subject = Subject::new(watched, &key, state);
    emit::close(&subject, state, close::SOCKET);
    if state.tls != 0 {
        let tls_key = StreamKey { id: state.tls, source: source::TLS, ..key };
        if let Some(tls) = stream::known(&tls_key) {
            if tls.socket == found.inode {
                let subject = Subject::new(watched, &tls_key, tls);
                emit::close(&subject, tls, close::SOCKET);
                tls.socket = 0;
                tls.fd = -1;
            }
        }
    }
    stream::forget(&key);
}
