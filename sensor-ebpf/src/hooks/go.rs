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
use aya_ebpf::helpers::generated::bpf_get_attach_cookie;
use aya_ebpf::programs::ProbeContext;
use sensor_common::call::{CallKind, Cookie};
use sensor_common::counter::Counter;
use sensor_common::record::{close, evidence};

use super::tls_call;
use crate::copy::{self, Looping, Memory};
use crate::emit::{self, Subject};
use crate::maps::GO_CALLS;
use crate::policy::{self, Watched};
use crate::sock::{self, Found};
use crate::stream::{self, StreamKey};

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
    /// Distance of the return address from the top of the stack.
    depth: u64,
    /// The return address: still there while the call lasts.
    back: u64,
    /// 0 reads, 1 writes.
    direction: u32,
    on_stack: u32,
}

/// What a probe sees. Fields are loaded one by one, as in `tls_call`.
struct Frame {
    goroutine: u64,
    /// RAX: the receiver, or the number of bytes.
    first: u64,
    /// RBX: address of the buffer.
    second: u64,
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
        let (goroutine, first, second, stack) = unsafe {
            (
                (&raw const (*regs).r14).read_volatile(),
                (&raw const (*regs).rax).read_volatile(),
                (&raw const (*regs).rbx).read_volatile(),
                (&raw const (*regs).rsp).read_volatile(),
            )
        };
        // Not attached there yet: the sites of A64 code are not chosen.
        #[cfg(bpf_target_arch = "aarch64")]
        let (goroutine, first, second, stack) = unsafe {
            (
                (&raw const (*regs).regs[28]).read_volatile(),
                (&raw const (*regs).regs[0]).read_volatile(),
                (&raw const (*regs).regs[1]).read_volatile(),
                (&raw const (*regs).sp).read_volatile(),
            )
        };
        // `struct g` begins with the bounds of its stack, "known to runtime/cgo" (src/runtime/runtime2.go).
        let [low, high] = copy::user::<[u64; 2]>(goroutine)?;
        (low < stack && stack < high).then_some(Self { goroutine, first, second, stack, low, high })
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

/// Any probed instruction of any of the methods.
#[inline(always)]
pub fn call(ctx: &ProbeContext, looping: Looping) {
    let Some(watched) = policy::watched() else { return };
    let kind = Cookie(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) }).kind();
    let Some(frame) = Frame::of(ctx) else { return };
    if kind == CallKind::GoReturn as u8 {
        leave(&frame, watched, looping);
    } else if kind == CallKind::GoClose as u8 {
        // The collector gives the address to another connection one day.
        tls_call::end(watched, frame.first, close::FREE);
    } else {
        enter(&frame, watched, u32::from(kind == CallKind::GoWrite as u8));
    }
}

/// Entry. May come twice for one call: when the stack has to grow, the function begins anew.
#[inline(always)]
fn enter(frame: &Frame, watched: Watched, direction: u32) {
    let key = frame.key(watched);
    let depth = frame.depth();
    if let Some(call) = GO_CALLS.get_ptr(&key) {
        let (outer, back) = unsafe { ((*call).depth, (*call).back) };
        // A call that a panic ended left its slot behind, but not its return address.
        if depth > outer && copy::user::<u64>(frame.high - outer) == Some(back) {
            emit::count(Counter::NestedCalls, 1);
            return;
        }
        if depth != outer {
            emit::count(Counter::MissedReturns, 1);
        }
    }
    let (buffer, on_stack) = frame.lasting(frame.second);
    let back = copy::user::<u64>(frame.stack).unwrap_or(0);
    let call = GoCall { conn: frame.first, buffer, depth, back, direction, on_stack };
    if GO_CALLS.insert(&key, &call, 0).is_err() {
        emit::count(Counter::NoCallSlot, 1);
    }
}

/// Return, with the number of bytes where the receiver was.
#[inline(always)]
fn leave(frame: &Frame, watched: Watched, looping: Looping) {
    let key = frame.key(watched);
    let moved = frame.first as i64;
    let moved = if moved > 0 && moved <= i32::MAX as i64 { moved as u64 } else { 0 };
    let Some(slot) = GO_CALLS.get_ptr(&key) else {
        // Begun before the sensor, or pushed out of the map.
        if moved > 0 {
            emit::count(Counter::UnmatchedReturns, 1);
        }
        return;
    };
    let call = unsafe { *slot };
    if call.depth != frame.depth() {
        return;
    }
    let _ = GO_CALLS.remove(&key);
    if moved == 0 {
        return;
    }
    let base = if call.on_stack != 0 { frame.high.wrapping_sub(call.buffer) } else { call.buffer };
    let key = StreamKey::tls(watched.tgid(), call.conn);
    let Some(state) = stream::state(&key) else { return };
    if state.socket == 0
        && let Some((found, fd)) = socket_of(call.conn)
    {
        tls_call::bind(watched, &key, state, found, fd, evidence::RUNTIME_CONN);
    }
    emit::count(Counter::TlsCalls, 1);
    emit::count(Counter::TlsBytes, moved);
    let memory = Memory { base, left: moved, iov: 0, iov_left: 0 };
    let mut subject = Subject::new(watched, &key, state);
    let starts = tls_call::starts_message(base, moved);
    copy::transfer(&mut subject, state, call.direction as usize, memory, moved, starts, looping);
}

/// Offsets of `net.netFD` on 64-bit systems, the same in Go 1.17 to 1.27 (`src/internal/poll/fd_unix.go`,
/// `src/net/fd_posix.go`): Sysfd; family and sotype; net (a string). A release that moves them fails the checks below,
/// and the peer is then unknown, not wrong.
const SYSFD: u64 = 16;
const FAMILY: u64 = 56;
const NETWORK: u64 = 80;
const SOCK_STREAM: u64 = 1;

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
    if kind != SOCK_STREAM || length < 3 || length > 4 {
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
