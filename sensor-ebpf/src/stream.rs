//! Streams: what the kernel object remembers of each between calls.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use sensor_common::record::{StreamRef, role, source};

use crate::emit;
use crate::hooks::tls_process;
use crate::maps::STREAMS;
use crate::sock;
use sensor_common::counter::Counter;

/// Key of a stream. All padding is explicit: the kernel hashes every byte.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct StreamKey {
    pub process_start: u64,
    pub id: u64,
    pub tgid: u32,
    pub source: u32,
}

/// Nothing recognised yet; the front of each call is looked at.
pub const VERDICT_UNKNOWN: u8 = 0;
/// A plaintext API protocol: captured.
pub const VERDICT_API: u8 = 1;
/// TLS records: never copied.
pub const VERDICT_TLS: u8 = 2;
/// A PROXY protocol header came: what follows is judged as if it came first.
pub const VERDICT_PROXY: u8 = 3;

/// State of a stream.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct StreamState {
    /// Bytes so far: read, written.
    pub position: [u64; 2],
    /// Bytes since the direction last changed or a message began: read, written.
    pub run: [u64; 2],
    /// TLS stream: inode of its socket. 0 while unknown.
    pub socket: u64,
    /// Socket: handle of the TLS stream that drives it. BIO: handle of the connection that it lies on. 0 while none.
    pub tls: u64,
    pub generation: u32,
    /// Descriptor by which the socket was last found.
    pub fd: i32,
    pub verdict: u8,
    /// Direction of the last call: 0 read, 1 write.
    pub direction: u8,
    pub role: u16,
    /// Whether user space was told of the socket.
    pub opened: u16,
    /// Calls that began like a TLS record, of a socket whose beginning was not seen.
    pub suspicions: u16,
    /// Socket with TLS: bytes of the record under way that are still to come: read, written.
    pub left: [u32; 2],
    /// Socket with TLS: calls that were told as [`KIND_IO`](sensor_common::record::KIND_IO).
    pub told: u32,
    /// BIO: generation of the connection that it lies on.
    pub below: u32,
}

impl StreamKey {
    #[inline(always)]
    pub fn tls(tgid: u32, handle: u64) -> Self {
        Self { process_start: sock::process_start(), id: handle, tgid, source: source::TLS }
    }

    #[inline(always)]
    pub fn socket(tgid: u32, inode: u64) -> Self {
        Self { process_start: sock::process_start(), id: inode, tgid, source: source::SOCKET }
    }

    #[inline(always)]
    pub fn named(&self, state: &StreamState) -> StreamRef {
        StreamRef { id: self.id, generation: state.generation, source: self.source }
    }
}

/// The stream's state, made on first sight. Generations are the clock in units of 2^14 ns (16 us), so an evicted or
/// reused id does not repeat one within 19 hours.
#[inline(always)]
pub fn state<'a>(key: &StreamKey) -> Option<&'a mut StreamState> {
    if let Some(state) = STREAMS.get_ptr_mut(key) {
        return Some(unsafe { &mut *state });
    }
    if key.source == source::TLS {
        tls_process::seen(key.tgid);
    }
    let fresh = StreamState {
        position: [0; 2],
        run: [0; 2],
        socket: 0,
        tls: 0,
        generation: (unsafe { bpf_ktime_get_ns() } >> 14) as u32,
        fd: -1,
        verdict: VERDICT_UNKNOWN,
        direction: 2,
        role: role::UNKNOWN,
        opened: 0,
        suspicions: 0,
        left: [0; 2],
        told: 0,
        below: 0,
    };
    // BPF_NOEXIST: another thread may have been first.
    let _ = STREAMS.insert(key, fresh, 1);
    let state = STREAMS.get_ptr_mut(key);
    if state.is_none() {
        emit::count(Counter::NoStreamSlot, 1);
    }
    state.map(|state| unsafe { &mut *state })
}

/// The stream's state, if it was seen before.
#[inline(always)]
pub fn known<'a>(key: &StreamKey) -> Option<&'a mut StreamState> {
    STREAMS.get_ptr_mut(key).map(|state| unsafe { &mut *state })
}

/// The object lives on without its socket: what it carries next is another stream, counted from its beginning.
#[inline(always)]
pub fn renew(state: &mut StreamState) {
    state.position = [0; 2];
    state.run = [0; 2];
    state.generation = state.generation.wrapping_add(1);
    state.socket = 0;
    state.fd = -1;
    state.role = role::UNKNOWN;
}

#[inline(always)]
pub fn forget(key: &StreamKey) {
    let _ = STREAMS.remove(key);
}
