//! Calls into a C TLS library, whichever it is: the attach cookie says which argument is what.
//!
//! Arguments are stashed at entry and the bytes are taken on return, with the real count: a retry after
//! `WANT_WRITE`, a short write and an error are then what they are. Only the outermost call of a thread counts:
//! LibreSSL and AWS-LC implement one call by another, and TLS inside TLS would show its ciphertext.

use aya_ebpf::bindings::pt_regs;
use aya_ebpf::EbpfContext;
use aya_ebpf::programs::ProbeContext;
use sensor_common::call::{CallKind, Cookie, CountRule, NO_ARG, PEEK_FLAG, Shape};
use sensor_common::counter::Counter;
use sensor_common::record::{FLAG_AMBIGUOUS, FLAG_EARLY, KIND_BIND, close, evidence, gap};

use super::cookie;
use super::rustls;
use super::sniff::{self, Front};
use super::tls_process;
use super::{adjacent, bio, imported, syscall};
use crate::account;
use crate::copy::{self, Looping, Memory, NARROW};
use crate::emit::{self, Subject};
use crate::maps::TLS_CALLS;
use crate::policy::{self, Watched};
use crate::sock::{self, Found};
use crate::stream::{self, StreamKey, StreamState, VERDICT_TLS};

/// A call that has not returned.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TlsCall {
    pub handle: u64,
    pub buffer: u64,
    /// Address of the count; for rustls, what its hooks note at entry.
    pub out: u64,
    /// Stack pointer at entry: a call nested in this one runs below it.
    stack: u64,
    cookie: u64,
    /// First socket seen inside the call.
    pub socket: u64,
    /// Calls of the same function nested in this one.
    nested: u32,
    reserved: u32,
}

/// A nested call is at most this far below; farther is another stack (coroutines). 8 MiB is the usual stack limit.
const STACK_BYTES: u64 = 8 << 20;

/// The registers a TLS call is read from. Every field is loaded by itself, with a constant offset and volatile: the
/// verifier refuses a context pointer that was added to ("dereference of modified ctx ptr"), which is what the
/// compiler makes of choosing one of several fields.
pub struct Registers {
    arguments: [u64; 6],
    pub stack: u64,
}

impl Registers {
    #[inline(always)]
    fn of<C: EbpfContext>(ctx: &C) -> Self {
        let regs = ctx.as_ptr().cast::<pt_regs>();
        unsafe {
            #[cfg(not(bpf_target_arch = "aarch64"))]
            return Self {
                arguments: [
                    (&raw const (*regs).rdi).read_volatile(),
                    (&raw const (*regs).rsi).read_volatile(),
                    (&raw const (*regs).rdx).read_volatile(),
                    (&raw const (*regs).rcx).read_volatile(),
                    (&raw const (*regs).r8).read_volatile(),
                    (&raw const (*regs).r9).read_volatile(),
                ],
                stack: (&raw const (*regs).rsp).read_volatile(),
            };
            #[cfg(bpf_target_arch = "aarch64")]
            return Self {
                arguments: [
                    (&raw const (*regs).regs[0]).read_volatile(),
                    (&raw const (*regs).regs[1]).read_volatile(),
                    (&raw const (*regs).regs[2]).read_volatile(),
                    (&raw const (*regs).regs[3]).read_volatile(),
                    (&raw const (*regs).regs[4]).read_volatile(),
                    (&raw const (*regs).regs[5]).read_volatile(),
                ],
                stack: (&raw const (*regs).sp).read_volatile(),
            };
        }
    }

    /// The stack pointer alone.
    #[inline(always)]
    fn stack_of<C: EbpfContext>(ctx: &C) -> u64 {
        let regs = ctx.as_ptr().cast::<pt_regs>();
        #[cfg(not(bpf_target_arch = "aarch64"))]
        return unsafe { (&raw const (*regs).rsp).read_volatile() };
        #[cfg(bpf_target_arch = "aarch64")]
        return unsafe { (&raw const (*regs).sp).read_volatile() };
    }

    /// Argument by a number known at run time only; 0 where the function has none.
    #[inline(always)]
    pub fn argument(&self, number: u8) -> u64 {
        let [first, second, third, fourth, fifth, sixth] = self.arguments;
        match number {
            0 => first,
            1 => second,
            2 => third,
            3 => fourth,
            4 => fifth,
            5 => sixth,
            _ => 0,
        }
    }
}

/// Entry of any function of the table.
#[inline(always)]
pub fn enter(ctx: &ProbeContext) {
    let Some(watched) = policy::watched() else { return };
    let cookie = cookie::of(ctx);
    let registers = Registers::of(ctx);
    let handle = registers.argument(cookie.handle());
    let kind = cookie.kind();
    if cookie.imported()
        && !imported::contains(watched, handle)
        && !(kind == CallKind::Import as u8 && imported::is_layered(handle))
    {
        return pass_by(&registers, watched, cookie);
    }
    if kind == CallKind::SetFd as u8 || kind == CallKind::SetTransport as u8 {
        named(watched, handle, registers.argument(cookie.fd()), kind);
    } else if kind == CallKind::SetBio as u8 {
        bio::given(watched, handle, registers.argument(cookie.fd()));
    } else if kind == CallKind::NewSocketBio as u8 {
        bio::begin(watched, registers.argument(cookie.fd()) as i32);
    } else if kind == CallKind::Shutdown as u8 {
        end(watched, handle, close::SHUTDOWN);
    } else if kind == CallKind::Free as u8 {
        if cookie.imported() {
            imported::remove(watched, handle);
        }
        end(watched, handle, close::FREE);
    } else if rustls::owns(kind) {
        rustls::enter(&registers, watched, cookie);
    } else {
        // Its hello leaves before it moves bytes.
        if kind == CallKind::Handshake as u8 {
            tls_process::seen(watched.tgid());
        }
        let (buffer, out) = (registers.argument(cookie.buffer()), registers.argument(cookie.out()));
        stash(&registers, watched, cookie, Noted { handle, buffer, out });
    }
}

/// What is remembered of a call besides its place.
pub struct Noted {
    pub handle: u64,
    pub buffer: u64,
    pub out: u64,
}

/// The program named the descriptor. What it hands to transport functions of its own may be a pointer instead: none
/// is that small, because the first megabytes of the address space are not given out (`vm.mmap_min_addr`, and the
/// executable at 4 MiB or far above).
#[inline(always)]
fn named(watched: Watched, handle: u64, value: u64, kind: u8) {
    /// Descriptors are below `fs.nr_open`, 2^20 unless raised.
    const LARGEST: u64 = 1 << 20;
    let (fd, why) = if kind == CallKind::SetFd as u8 {
        (value as i32, evidence::SET_FD)
    } else if value < LARGEST {
        (value as i32, evidence::TRANSPORT)
    } else {
        return;
    };
    let key = StreamKey::tls(watched.tgid(), handle);
    if let (Some(found), Some(state)) = (sock::find(fd), stream::state(&key)) {
        bind(watched, &key, state, found, fd, why);
    }
}

/// A call of a covered function that is none of TLS: its return must not pass for that of the call it is nested in,
/// nor for that of one whose return was missed.
#[inline(always)]
fn pass_by(registers: &Registers, watched: Watched, cookie: Cookie) {
    let Some(call) = TLS_CALLS.get_ptr_mut(watched.pid_tgid) else { return };
    let call = unsafe { &mut *call };
    if Cookie(call.cookie).function() != cookie.function() {
        return;
    }
    if is_below(call, registers.stack) {
        call.nested += 1;
    } else {
        emit::count(Counter::MissedReturns, 1);
        let _ = TLS_CALLS.remove(watched.pid_tgid);
    }
}

/// Whether what runs at this stack pointer is nested in the call.
#[inline(always)]
fn is_below(call: &TlsCall, stack: u64) -> bool {
    let below = call.stack.wrapping_sub(stack);
    below != 0 && below < STACK_BYTES
}

#[inline(always)]
pub fn stash(registers: &Registers, watched: Watched, cookie: Cookie, noted: Noted) {
    let stack = registers.stack;
    let handle = noted.handle;
    if let Some(call) = TLS_CALLS.get_ptr_mut(watched.pid_tgid) {
        let call = unsafe { &mut *call };
        if is_below(call, stack) {
            emit::count(Counter::NestedCalls, 1);
            if Cookie(call.cookie).function() == cookie.function() {
                call.nested += 1;
            }
            return;
        }
        // SSL_connect ends in a jump to SSL_do_handshake: one call, two entries, one return.
        if call.handle != handle || Cookie(call.cookie).function() == cookie.function() {
            emit::count(Counter::MissedReturns, 1);
        }
    }
    let call = TlsCall {
        handle,
        buffer: noted.buffer,
        out: noted.out,
        stack,
        cookie: cookie.0,
        socket: 0,
        nested: 0,
        reserved: 0,
    };
    if TLS_CALLS.insert(watched.pid_tgid, call, 0).is_err() {
        emit::count(Counter::NoCallSlot, 1);
    }
}

/// Return of a function that moves bytes or opens a window.
#[inline(always)]
pub fn leave<C: EbpfContext>(ctx: &C, looping: Looping) {
    let Some(watched) = policy::watched() else { return };
    let cookie = cookie::of(ctx);
    if cookie.kind() == CallKind::NewSocketBio as u8 {
        return bio::made(watched, unsafe { results(ctx.as_ptr().cast::<pt_regs>()) }[0] as u64);
    }
    let Some(slot) = TLS_CALLS.get_ptr_mut(watched.pid_tgid) else { return };
    let call = unsafe { &mut *slot };
    if Cookie(call.cookie).function() != cookie.function() {
        return;
    }
    if cookie.framed() {
        // The return address of the call itself, or of another one that passes here.
        if Registers::stack_of(ctx).wrapping_sub(call.stack) != cookie.below() as u64 {
            return;
        }
    } else if call.nested > 0 {
        call.nested -= 1;
        return;
    }
    let call = *call;
    let _ = TLS_CALLS.remove(watched.pid_tgid);
    let returned = unsafe { results(ctx.as_ptr().cast::<pt_regs>()) };
    if cookie.kind() == CallKind::Import as u8 {
        return imported::add(watched, returned[0] as u64);
    }
    let Some(moved) = moved(cookie, &call, returned) else {
        // A handshake through memory: no socket call ran inside.
        if call.socket == 0 {
            adjacent::without_socket(watched, call.handle);
        }
        return;
    };
    let Some((direction, early)) = direction(cookie) else { return };
    let mut key = StreamKey::tls(watched.tgid(), call.handle);
    if cookie.is_bio() {
        bio::follow(&mut key);
    }
    emit::count(Counter::TlsCalls, 1);
    emit::count(Counter::TlsBytes, moved);
    let Some(state) = stream::state(&key) else { return account::unplaced(&key, moved) };
    if state.socket == 0 {
        adjacent::mark(watched);
    }
    let mut subject = Subject::new(watched, &key, state);
    subject.flags = early;
    if cookie.buffer() == NO_ARG {
        return copy::unseen(&mut subject, state, direction, moved, gap::UNSEEN);
    }
    let (memory, first) = memory_of(cookie, &call, moved);
    let starts = starts_message(first, moved);
    copy::transfer(&mut subject, state, direction, memory, moved, starts, looping);
}

/// Read (0) or write (1), and the flag of early data; nothing for calls that only open a window.
#[inline(always)]
fn direction(cookie: Cookie) -> Option<(usize, u16)> {
    let kind = cookie.kind();
    if kind == CallKind::Read as u8 || rustls::reads(kind) {
        Some((0, 0))
    } else if kind == CallKind::Write as u8 || rustls::writes(kind) {
        Some((1, 0))
    } else if kind == CallKind::EarlyRead as u8 {
        Some((0, FLAG_EARLY))
    } else if kind == CallKind::EarlyWrite as u8 {
        Some((1, FLAG_EARLY))
    } else {
        None
    }
}

/// Where the bytes of a call are, and where the first of them is.
#[inline(always)]
fn memory_of(cookie: Cookie, call: &TlsCall, moved: u64) -> (Memory, u64) {
    if cookie.kind() == CallKind::RustlsWriteChunks as u8 {
        let memory = rustls::memory(call, moved);
        return (memory, first_buffer(memory));
    }
    if cookie.shape() == Shape::Bytes as u8 {
        return (Memory { base: call.buffer, left: moved, iov: 0, iov_left: 0 }, call.buffer);
    }
    let narrow = if cookie.shape() == Shape::NarrowVector as u8 { NARROW } else { 0 };
    let memory = Memory { base: 0, left: 0, iov: call.buffer | narrow, iov_left: call.out };
    (memory, copy::user::<u64>(call.buffer).unwrap_or(0))
}

/// Where the bytes begin.
#[inline(always)]
fn first_buffer(memory: Memory) -> u64 {
    if memory.iov_left > 0 { copy::user::<u64>(memory.iov).unwrap_or(0) } else { memory.base }
}

/// The two registers of a result, each loaded by itself.
#[inline(always)]
unsafe fn results(regs: *const pt_regs) -> [i64; 2] {
    #[cfg(not(bpf_target_arch = "aarch64"))]
    return [(&raw const (*regs).rax).read_volatile() as i64, (&raw const (*regs).rdx).read_volatile() as i64];
    #[cfg(bpf_target_arch = "aarch64")]
    return [(&raw const (*regs).regs[0]).read_volatile() as i64, (&raw const (*regs).regs[1]).read_volatile() as i64];
}

/// Bytes that the call moved: none on error, and never more than a call can move (MAX_RW_COUNT, below 2^31).
#[inline(always)]
fn moved(cookie: Cookie, call: &TlsCall, [returned, second]: [i64; 2]) -> Option<u64> {
    let rule = cookie.count();
    // What returns `int` leaves the upper half of the register undefined.
    let narrow = returned as i32 as i64;
    let count = if rule == CountRule::Return as u8
        || (rule == CountRule::ReturnUnlessPeek as u8 && call.out & PEEK_FLAG == 0)
    {
        narrow
    } else if rule == CountRule::ReturnWide as u8 {
        returned
    } else if rule == CountRule::Out as u8 || (rule == CountRule::OutWhenOne as u8 && narrow == 1) {
        copy::user::<i64>(call.out)?
    } else if rule == CountRule::SecondWhenOk as u8 && returned == 0 {
        second
    } else if (rule == CountRule::LengthUnlessNegative as u8 && narrow >= 0) || rule == CountRule::AtEntry as u8 {
        call.out as i64
    } else {
        return None;
    };
    (count > 0 && count <= i32::MAX as i64).then_some(count as u64)
}

/// Whether a call begins an HTTP/1 message: then the limit per message direction starts anew.
#[inline(always)]
pub fn starts_message(buffer: u64, moved: u64) -> bool {
    moved >= 8
        && copy::user::<u64>(buffer).is_some_and(|first| sniff::front(first, 8) == Front::Api)
}

#[inline(always)]
pub fn end(watched: Watched, handle: u64, reason: u16) {
    let key = StreamKey::tls(watched.tgid(), handle);
    let Some(state) = stream::known(&key) else { return };
    let subject = Subject::new(watched, &key, state);
    emit::close(&subject, state, reason);
    if reason == close::FREE {
        adjacent::release(&key, state);
        stream::forget(&key);
    }
}

/// A socket call ran inside a TLS call of this thread. True when there was such a call: the bytes are ciphertext.
#[inline(always)]
pub fn nested_socket_call(watched: Watched, fd: i32) -> bool {
    let Some(call) = TLS_CALLS.get_ptr_mut(watched.pid_tgid) else { return false };
    let call = unsafe { &mut *call };
    // The object is not there yet, so nothing is nested in its call.
    if Cookie(call.cookie).kind() == CallKind::Import as u8 {
        return false;
    }
    // A call whose return was missed must not silence its thread: what runs above it is not nested in it.
    if let Some(stack) = syscall::stack_pointer()
        && call.stack.wrapping_sub(stack) >= STACK_BYTES
    {
        emit::count(Counter::MissedReturns, 1);
        let _ = TLS_CALLS.remove(watched.pid_tgid);
        return false;
    }
    let key = StreamKey::tls(watched.tgid(), call.handle);
    let Some(state) = stream::state(&key) else { return true };
    // Known by descriptor: `close` of a bound socket resets it, so the number has not been reused.
    if state.socket != 0 && state.fd == fd {
        call.socket = state.socket;
        return true;
    }
    if let Some(found) = sock::find(fd) {
        if Cookie(call.cookie).is_bio() && bio::lies_on(&key, state, found.inode) {
            call.socket = found.inode;
            return true;
        }
        let second = call.socket != 0 && call.socket != found.inode;
        if second || (state.socket != 0 && state.socket != found.inode && still_bound(state)) {
            ambiguous(watched, &key, state, found, fd);
        } else {
            call.socket = found.inode;
            bind(watched, &key, state, found, fd, evidence::NESTED_SYSCALL);
        }
    }
    true
}

/// Whether the descriptor by which the socket was found still leads to it.
#[inline(always)]
fn still_bound(state: &StreamState) -> bool {
    sock::find(state.fd).is_some_and(|found| found.inode == state.socket)
}

/// A second socket inside one call: said, and the first binding stays.
#[inline(always)]
pub fn ambiguous(watched: Watched, key: &StreamKey, state: &mut StreamState, found: Found, fd: i32) {
    emit::count(Counter::AmbiguousSockets, 1);
    let mut subject = Subject::new(watched, key, state);
    subject.flags = FLAG_AMBIGUOUS;
    emit::socket(&subject, KIND_BIND, evidence::NESTED_SYSCALL, found, fd, state.role);
}

/// Joins a TLS stream and its socket, once.
#[inline(always)]
pub fn bind(watched: Watched, key: &StreamKey, state: &mut StreamState, found: Found, fd: i32, why: u16) {
    if state.socket == found.inode {
        state.fd = fd;
        return;
    }
    if state.socket != 0 {
        // The object was given another socket: what it carried so far ends here.
        let subject = Subject::new(watched, key, state);
        emit::close(&subject, state, close::SOCKET);
        stream::renew(state);
    }
    state.fd = fd;
    state.socket = found.inode;
    let socket_key = StreamKey { id: found.inode, source: sensor_common::record::source::SOCKET, ..*key };
    if let Some(socket) = stream::state(&socket_key) {
        socket.tls = key.id;
        socket.verdict = VERDICT_TLS;
        state.role = socket.role;
    }
    let subject = Subject::new(watched, key, state);
    emit::socket(&subject, KIND_BIND, why, found, fd, state.role);
}
