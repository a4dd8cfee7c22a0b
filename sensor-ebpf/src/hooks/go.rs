//! Go's `crypto/tls`: the methods of its `Conn`, probed at instructions and never by return probes, because the
//! runtime copies a goroutine's stack to another place whenever it likes and would not find its way back through a
//! trampoline.
//!
//! Nothing is kept by thread: a goroutine that waits resumes on any. A call is known by its goroutine and by how far
//! its frame is from the top of the goroutine's stack, which a move of the stack does not change; so is a buffer that
//! lies on that stack. Only the outermost call of a goroutine counts: TLS inside TLS would show its ciphertext.
//!
//! Registers: Go's ABIInternal (`src/cmd/compile/abi-internal.md` of Go), amd64 since 1.17: arguments and results in
//! RAX, RBX, RCX, the goroutine in R14.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::programs::ProbeContext;
use sensor_common::call::{CallKind, Cookie, NO_MARK};
use sensor_common::counter::Counter;
use sensor_common::record::{close, evidence};

use super::{cookie, syscall, tls_call};
use crate::account;
use crate::copy::{self, Looping, Memory};
use crate::emit::{self, Subject};
use crate::maps::GO_CALLS;
use crate::policy::{self, Watched};
use crate::sock::{self, Found};
use crate::stream::{self, StreamKey, StreamState};

/// A goroutine: the address of the runtime's `g`, which outlives it and is used again.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct GoKey {
    goroutine: u64,
    tgid: u32,
    reserved: u32,
}

/// A call that has not returned.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct GoCall {
    /// The `*tls.Conn`. Never on a stack: its methods make it escape.
    conn: u64,
    /// Address of the buffer; its distance from the top of the stack when it lies there.
    buffer: u64,
    /// Bytes of it.
    length: u64,
    /// Distance of the return address from the top of the stack.
    depth: u64,
    /// The return address: still there while the call lasts.
    back: u64,
    /// 0 reads, 1 writes, [`CLOSES`].
    direction: u32,
    on_stack: u32,
}

/// [`GoCall::direction`] of `Close`.
const CLOSES: u32 = 2;

/// What a probe sees. Fields are loaded one by one, as in `tls_call`.
struct Frame {
    goroutine: u64,
    /// RAX: the receiver, or the number of bytes.
    first: u64,
    /// RBX: address of the buffer.
    second: u64,
    /// RCX: its length.
    third: u64,
    /// Where the return address is: at the sites probed nothing was pushed yet, or everything was popped.
    stack: u64,
    /// The goroutine's stack.
    low: u64,
    high: u64,
}

impl Frame {
    #[inline(always)]
    fn of(ctx: &ProbeContext) -> Option<Self> {
        let regs = ctx.as_ptr().cast::<pt_regs>();
        #[cfg(not(bpf_target_arch = "aarch64"))]
        let (goroutine, first, second, third, stack) = unsafe {
            (
                (&raw const (*regs).r14).read_volatile(),
                (&raw const (*regs).rax).read_volatile(),
                (&raw const (*regs).rbx).read_volatile(),
                (&raw const (*regs).rcx).read_volatile(),
                (&raw const (*regs).rsp).read_volatile(),
            )
        };
        // Not attached there yet: the sites of A64 code are not chosen.
        #[cfg(bpf_target_arch = "aarch64")]
        let (goroutine, first, second, third, stack) = unsafe {
            (
                (&raw const (*regs).regs[28]).read_volatile(),
                (&raw const (*regs).regs[0]).read_volatile(),
                (&raw const (*regs).regs[1]).read_volatile(),
                (&raw const (*regs).regs[2]).read_volatile(),
                (&raw const (*regs).sp).read_volatile(),
            )
        };
        // `struct g` begins with the bounds of its stack, "known to runtime/cgo" (src/runtime/runtime2.go).
        let [low, high] = copy::user::<[u64; 2]>(goroutine)?;
        (low < stack && stack < high).then_some(Self { goroutine, first, second, third, stack, low, high })
    }

    #[inline(always)]
    fn key(&self, watched: Watched) -> GoKey {
        GoKey { goroutine: self.goroutine, tgid: watched.tgid(), reserved: 0 }
    }

    #[inline(always)]
    fn depth(&self) -> u64 {
        self.high - self.stack
    }

    /// A number that survives a move of the stack, and whether it is a distance.
    #[inline(always)]
    fn lasting(&self, address: u64) -> (u64, u32) {
        if self.low <= address && address < self.high {
            (self.high - address, 1)
        } else {
            (address, 0)
        }
    }
}

/// Bytes to take from a process.
struct Portion {
    conn: u64,
    base: u64,
    moved: u64,
    direction: u32,
}

/// A stream that ends, and how.
struct Ended {
    conn: u64,
    reason: u16,
}

/// Any probed instruction of any of the methods.
#[inline(always)]
pub fn call(ctx: &ProbeContext, looping: Looping) {
    let Some(watched) = policy::watched() else { return };
    let cookie = cookie::of(ctx);
    let kind = cookie.kind();
    let Some(frame) = Frame::of(ctx) else { return };
    let mut ended = Ended { conn: 0, reason: close::FREE };
    let portion = if kind == CallKind::GoReturn as u8 {
        leave(&frame, watched, &mut ended)
    } else if kind == CallKind::GoClose as u8 {
        ended.conn = frame.first;
        None
    } else if kind == CallKind::GoClosed as u8 {
        closed(&frame, watched, &mut ended);
        None
    } else if kind == CallKind::GoWrite as u8 && is_closed(frame.first, cookie) {
        // It fails without a byte sent; its stream is not to begin anew.
        None
    } else {
        let direction = if kind == CallKind::GoClosing as u8 {
            CLOSES
        } else {
            u32::from(kind == CallKind::GoWrite as u8)
        };
        enter(&frame, watched, direction, &mut ended)
    };
    if ended.conn != 0 {
        tls_call::end(watched, ended.conn, ended.reason);
    }
    if let Some(portion) = portion {
        deliver(watched, &portion, cookie, looping);
    }
}

/// Whether `Close` was called on a connection: a bit in it says so from then on, and that writes fail is up to that
/// bit. User space found its place in the code of both.
#[inline(always)]
fn is_closed(conn: u64, cookie: Cookie) -> bool {
    let mark = cookie.mark();
    mark != NO_MARK && copy::user::<u32>(conn + mark as u64 * 4).is_some_and(|calls| calls & 1 != 0)
}

/// `Close` returned. Only now can no write be under way that was begun in time, and the collector gives the address to
/// another connection one day.
#[inline(always)]
fn closed(frame: &Frame, watched: Watched, ended: &mut Ended) {
    let key = frame.key(watched);
    let Some(slot) = GO_CALLS.get_ptr(key) else { return };
    let GoCall { conn, depth, direction, .. } = unsafe { *slot };
    if direction == CLOSES && depth == frame.depth() {
        let _ = GO_CALLS.remove(key);
        ended.conn = conn;
    }
}

/// Entry. What is written is taken here: by the time a write returns, the answer may have been read by another
/// goroutine, and an answer in front of its question would be paired with the wrong one. Nothing is taken twice by
/// that, since Go never writes again after a write that failed.
///
/// May come twice for one call: when the stack has to grow, the function begins anew.
#[inline(always)]
fn enter(frame: &Frame, watched: Watched, direction: u32, ended: &mut Ended) -> Option<Portion> {
    let key = frame.key(watched);
    let depth = frame.depth();
    let (buffer, on_stack) = frame.lasting(frame.second);
    let back = copy::user::<u64>(frame.stack).unwrap_or(0);
    if let Some(outer) = GO_CALLS.get_ptr(key) {
        let outer = unsafe { &*outer };
        // A call that a panic ended left its slot behind, but not its return address.
        if depth > outer.depth && copy::user::<u64>(frame.high - outer.depth) == Some(outer.back) {
            emit::count(Counter::NestedCalls, 1);
            if direction == CLOSES {
                ended.conn = frame.first;
            }
            return None;
        }
        if depth != outer.depth {
            emit::count(Counter::MissedReturns, 1);
        } else if outer.conn == frame.first
            && outer.buffer == buffer
            && outer.length == frame.third
            && outer.direction == direction
            && outer.back == back
        {
            return None;
        }
    }
    let (conn, length) = (frame.first, frame.third);
    let call = GoCall { conn, buffer, length, depth, back, direction, on_stack };
    if GO_CALLS.insert(key, call, 0).is_err() {
        emit::count(Counter::NoCallSlot, 1);
        if direction == CLOSES {
            ended.conn = conn;
        }
    }
    let moved = positive(length);
    (direction == 1 && moved != 0).then_some(Portion { conn, base: frame.second, moved, direction })
}

/// Return, with the number of bytes where the receiver was.
#[inline(always)]
fn leave(frame: &Frame, watched: Watched, ended: &mut Ended) -> Option<Portion> {
    let key = frame.key(watched);
    let moved = positive(frame.first);
    let Some(slot) = GO_CALLS.get_ptr(key) else {
        // Begun before the sensor, or pushed out of the map.
        if moved > 0 {
            emit::count(Counter::UnmatchedReturns, 1);
            emit::count(Counter::TlsCalls, 1);
            emit::count(Counter::TlsBytes, moved);
            account::unplaced(&StreamKey::tls(watched.tgid(), 0), moved);
        }
        return None;
    };
    let GoCall { conn, buffer, length, depth, direction, on_stack, .. } = unsafe { *slot };
    if depth != frame.depth() {
        return None;
    }
    let _ = GO_CALLS.remove(key);
    if direction == 1 {
        if moved < length {
            unsent(watched, conn, length - moved);
            *ended = Ended { conn, reason: close::SHUTDOWN };
        }
        return None;
    }
    let base = if on_stack != 0 { frame.high.wrapping_sub(buffer) } else { buffer };
    (moved != 0 && direction == 0).then_some(Portion { conn, base, moved, direction })
}

/// A socket that carries TLS, of a stream that is not known, moved bytes. When that happened inside a call of the
/// running goroutine, the connection of that call drives it, whatever lies between the two.
#[inline(always)]
pub fn nested_socket_call(watched: Watched, found: Found, fd: i32) {
    let (Some(goroutine), Some(stack)) = (syscall::goroutine(), syscall::stack_pointer()) else { return };
    let Some(call) = GO_CALLS.get_ptr(GoKey { goroutine, tgid: watched.tgid(), reserved: 0 }) else { return };
    let (conn, depth, back) = unsafe { ((*call).conn, (*call).depth, (*call).back) };
    // `Close` of TLS inside TLS has let go of the inner connection, whose socket is not this one's.
    if unsafe { (*call).direction } == CLOSES {
        return;
    }
    let Some([low, high]) = copy::user::<[u64; 2]>(goroutine) else { return };
    let inside = low < stack && stack < high && high - stack > depth;
    if !inside || copy::user::<u64>(high - depth) != Some(back) {
        return;
    }
    let key = StreamKey::tls(watched.tgid(), conn);
    // Only of a stream whose object did not tell when it moved its first bytes. Of one that was closed while it waited
    // in a read, nothing is to be learned.
    let Some(state) = stream::known(&key) else { return };
    if state.socket == 0 {
        tls_call::bind(watched, &key, state, found, fd, evidence::NESTED_SYSCALL);
    } else if state.socket != found.inode {
        tls_call::ambiguous(watched, &key, state, found, fd);
    }
}

/// A count that a call can move (MAX_RW_COUNT, below 2^31); 0 for any other.
#[inline(always)]
fn positive(count: u64) -> u64 {
    if count <= i32::MAX as u64 { count } else { 0 }
}

/// A write failed and, as all of Go's do, for good: says how much was written in all.
#[inline(always)]
fn unsent(watched: Watched, conn: u64, bytes: u64) {
    emit::count(Counter::UnsentBytes, bytes);
    let key = StreamKey::tls(watched.tgid(), conn);
    if let Some(state) = stream::known(&key) {
        state.position[1] = state.position[1].saturating_sub(bytes);
    }
}

#[inline(always)]
fn deliver(watched: Watched, portion: &Portion, cookie: Cookie, looping: Looping) {
    let Portion { conn, base, moved, direction } = *portion;
    let key = StreamKey::tls(watched.tgid(), conn);
    emit::count(Counter::TlsCalls, 1);
    emit::count(Counter::TlsBytes, moved);
    // What was decrypted before it was closed may be read after that.
    if direction == 0 && is_closed(conn, cookie) && stream::known(&key).is_none() {
        return account::unplaced(&key, moved);
    }
    let Some(state) = bound(watched, &key) else { return account::unplaced(&key, moved) };
    let memory = Memory { base, left: moved, iov: 0, iov_left: 0 };
    let mut subject = Subject::new(watched, &key, state);
    let starts = tls_call::starts_message(base, moved);
    copy::transfer(&mut subject, state, direction as usize, memory, moved, starts, looping);
}

/// Offsets of `net.netFD` on 64-bit systems, the same in Go 1.17 to 1.27 (`src/internal/poll/fd_unix.go`,
/// `src/net/fd_posix.go`): Sysfd; family and sotype; net (a string). A release that moves them fails the checks below,
/// and the peer is then unknown, not wrong.
const SYSFD: u64 = 16;
const FAMILY: u64 = 56;
const NETWORK: u64 = 80;
const SOCK_STREAM: u64 = 1;

/// A connection's stream, joined to its socket if it can be.
#[inline(always)]
fn bound<'a>(watched: Watched, key: &StreamKey) -> Option<&'a mut StreamState> {
    let state = stream::state(key)?;
    if state.socket == 0
        && let Some((found, fd)) = driven(watched, key.id)
    {
        tls_call::bind(watched, key, state, found, fd, evidence::RUNTIME_CONN);
    }
    Some(state)
}

/// The socket that a connection drives: by itself, or through another TLS connection that is known to drive one.
#[inline(always)]
fn driven(watched: Watched, conn: u64) -> Option<(Found, i32)> {
    if let Some(own) = socket_of(conn) {
        return Some(own);
    }
    let inner = copy::user::<u64>(conn + 8)?;
    let inner = stream::known(&StreamKey::tls(watched.tgid(), inner))?;
    let found = sock::find(inner.fd)?;
    (inner.socket != 0 && found.inode == inner.socket).then_some((found, inner.fd))
}

/// The socket of a connection that is directly on one of package `net`: `tls.Conn` begins with the interface value
/// that it was given, whose data is a `*net.TCPConn`, which is a pointer to a `netFD`. Whether that is so is told by
/// the content, since stripped programs do not say where the types are: the network's name, the socket's type, its
/// family, and a socket of that family behind the descriptor. A connection of any other type fails.
#[inline(always)]
fn socket_of(conn: u64) -> Option<(Found, i32)> {
    let data = copy::user::<u64>(conn + 8)?;
    let descriptor = copy::user::<u64>(data)?;
    let [family, kind] = copy::user::<[u64; 2]>(descriptor + FAMILY)?;
    let [network, length] = copy::user::<[u64; 2]>(descriptor + NETWORK)?;
    if kind != SOCK_STREAM || !(3..=4).contains(&length) {
        return None;
    }
    let name = copy::user::<[u8; 3]>(network)?;
    if name != *b"tcp" && name != *b"uni" {
        return None;
    }
    let fd = copy::user::<i64>(descriptor + SYSFD)?;
    if fd < 0 || fd > i32::MAX as i64 {
        return None;
    }
    let found = sock::find(fd as i32)?;
    (found.family as u64 == family).then_some((found, fd as i32))
}
