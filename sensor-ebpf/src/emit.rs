//! The only writer of the rings. Records are filled in ring memory itself: one copy, and no scratch area that a
//! program preempted in the middle (uprobe programs run preemptible since Linux 6.0) could share with another.
//! Every failure is counted.

use core::arch::asm;

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_ktime_get_ns, bpf_probe_read_user,
};
use aya_ebpf::maps::ring_buf::RingBufEntry;
use sensor_common::CHUNK_BYTES;
use sensor_common::counter::Counter;
use sensor_common::record::*;

use crate::account::{Fate, Outcome};
use crate::maps::{CONTROL, COUNTERS, DATA, WAKE_BYTES};
use crate::policy::Watched;
use crate::sock::{self, Found};
use crate::stream::{StreamKey, StreamState};

/// Adds to a counter.
#[inline(always)]
pub fn count(counter: Counter, amount: u64) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter as u32) {
        // Atomic, because a preempted program may be adding to the same slot. The target has no `AtomicU64::fetch_add`
        // (its oldest instruction set lacks the fetching form); this is BPF_XADD, which every kernel has.
        add(slot, amount);
    }
}

/// Adds to a number in a map.
#[inline(always)]
pub fn add(slot: *mut u64, amount: u64) {
    unsafe { asm!("lock *(u64 *)({slot} + 0) += {amount}", slot = in(reg) slot, amount = in(reg) amount) };
}

/// The clock of the records.
#[inline(always)]
pub fn now_ns() -> u64 {
    unsafe { bpf_ktime_get_ns() }
}

/// Who and what a record is about: filled once per call, copied into each of its records.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Subject {
    pub time_ns: u64,
    pub process_start: u64,
    pub pid_tgid: u64,
    pub cgroup: u64,
    pub stream: StreamRef,
    pub socket: u64,
    pub call_len: u32,
    pub flags: u16,
    pub reserved: u16,
}

impl Subject {
    #[inline(always)]
    pub fn new(watched: Watched, key: &StreamKey, state: &StreamState) -> Self {
        Self {
            time_ns: unsafe { bpf_ktime_get_ns() },
            process_start: key.process_start,
            pid_tgid: watched.pid_tgid,
            cgroup: unsafe { bpf_get_current_cgroup_id() },
            stream: key.named(state),
            socket: state.socket,
            call_len: 0,
            flags: 0,
            reserved: 0,
        }
    }
}

#[inline(always)]
unsafe fn head(out: *mut Header, subject: &Subject, kind: u8, detail: u16) {
    (*out).magic = MAGIC;
    (*out).version = VERSION;
    (*out).kind = kind;
    (*out).flags = subject.flags;
    (*out).detail = detail;
    (*out).time_ns = subject.time_ns;
    (*out).process_start_ns = subject.process_start;
    (*out).tgid = (subject.pid_tgid >> 32) as u32;
    (*out).tid = subject.pid_tgid as u32;
    (*out).cgroup = subject.cgroup;
}

// Field by field: a structure assignment becomes a call to the byte loop that stands in for memcpy, which costs time
// at run time and, inside the chunk loop, a million instructions of the verifier ("BPF program is too large").
#[inline(always)]
unsafe fn stream(out: *mut StreamRef, subject: &Subject) {
    (*out).id = subject.stream.id;
    (*out).generation = subject.stream.generation;
    (*out).source = subject.stream.source;
}

/// A wake-up costs more than the copy: the reader is woken when a good deal is waiting, and polls by timer else.
#[inline(always)]
fn wake() -> u64 {
    if DATA.query(BPF_RB_AVAIL_DATA as u64) >= WAKE_BYTES.load() {
        BPF_RB_FORCE_WAKEUP as u64
    } else {
        BPF_RB_NO_WAKEUP as u64
    }
}

#[repr(C)]
struct Slot<const BYTES: usize> {
    record: StreamRecord,
    payload: [u8; BYTES],
}

/// Counts what was copied; what could not be read becomes a gap in its place.
#[inline(always)]
unsafe fn settle(record: *mut StreamRecord, copied: bool, length: u32) -> Fate {
    if copied {
        count(Counter::DataRecords, 1);
        count(Counter::DataBytes, length as u64);
        return Fate::Submitted;
    }
    (*record).header.kind = KIND_GAP;
    (*record).header.detail = gap::FAULT;
    (*record).call_len = length;
    (*record).captured = 0;
    count(Counter::FaultBytes, length as u64);
    Fate::Fault
}

/// Fills a data record but for its payload.
#[inline(always)]
unsafe fn fill(record: *mut StreamRecord, subject: &Subject, position: u64, skip: u16, length: u32) {
    head(&raw mut (*record).header, subject, KIND_DATA, skip);
    stream(&raw mut (*record).stream, subject);
    (*record).position = position;
    (*record).socket = subject.socket;
    (*record).call_len = subject.call_len;
    (*record).captured = length;
}

/// A length that is at most `most`, compared on the very register that is then passed on: the compiler knows the bound
/// already and would leave the comparison out, the verifier does not ("min value is outside of the allowed memory
/// range").
#[inline(always)]
fn bounded(length: u32, most: u32) -> u32 {
    let mut length = length as u64;
    unsafe { asm!("{0} = {0}", inout(reg) length) };
    if length > most as u64 {
        length = most as u64;
    }
    length as u32
}

/// Reserves a slot of a fixed size, as the ring requires, and fills it from user memory.
#[inline(always)]
fn chunk<const BYTES: usize>(subject: &Subject, position: u64, from: u64, length: u32) -> Fate {
    let Some(mut slot) = DATA.reserve::<Slot<BYTES>>(0) else {
        count(Counter::RingFullRecords, 1);
        count(Counter::RingFullBytes, length as u64);
        return Fate::RingFull;
    };
    let slot_ptr = slot.as_mut_ptr();
    let fate = unsafe {
        let record = &raw mut (*slot_ptr).record;
        fill(record, subject, position, 0, length);
        let bounded = bounded(length, BYTES as u32);
        let status = bpf_probe_read_user((&raw mut (*slot_ptr).payload).cast(), bounded, from as *const _);
        settle(record, status == 0, length)
    };
    slot.submit(wake());
    fate
}

/// Emits up to [`CHUNK_BYTES`] bytes of user memory, in the smallest slot that holds them.
#[inline(always)]
pub fn data(subject: &Subject, position: u64, from: u64, length: u32) -> Fate {
    if length <= 256 {
        chunk::<256>(subject, position, from, length)
    } else if length <= 1024 {
        chunk::<1024>(subject, position, from, length)
    } else if length <= 2048 {
        chunk::<2048>(subject, position, from, length)
    } else if length <= 4352 {
        // 4 KiB of body and a small head: what web servers write most.
        chunk::<4352>(subject, position, from, length)
    } else if length <= 8192 {
        chunk::<8192>(subject, position, from, length)
    } else {
        chunk::<CHUNK_BYTES>(subject, position, from, length)
    }
}

/// Bytes of a head that is put in front of a body in one record.
pub const HEAD_BYTES: usize = 1024;

#[repr(C)]
struct Joined<const BYTES: usize> {
    record: StreamRecord,
    head: [u8; HEAD_BYTES],
    body: [u8; BYTES],
}

/// Two pieces of user memory as one record. The head ends where the body begins, so the payload starts somewhere in
/// the head's room; `detail` says how many bytes before it are to be skipped.
#[inline(always)]
fn joined<const BYTES: usize>(subject: &Subject, position: u64, head_at: (u64, u32), body_at: (u64, u32)) -> Fate {
    let length = head_at.1 + body_at.1;
    let Some(mut slot) = DATA.reserve::<Joined<BYTES>>(0) else {
        count(Counter::RingFullRecords, 1);
        count(Counter::RingFullBytes, length as u64);
        return Fate::RingFull;
    };
    let slot_ptr = slot.as_mut_ptr();
    let fate = unsafe {
        let head_len = bounded(head_at.1, HEAD_BYTES as u32);
        let body_len = bounded(body_at.1, BYTES as u32);
        let skip = HEAD_BYTES as u32 - head_len;
        let record = &raw mut (*slot_ptr).record;
        fill(record, subject, position, skip as u16, length);
        let to = (&raw mut (*slot_ptr).head).cast::<u8>().add(skip as usize);
        let first = bpf_probe_read_user(to.cast(), head_len, head_at.0 as *const _);
        let second = bpf_probe_read_user((&raw mut (*slot_ptr).body).cast(), body_len, body_at.0 as *const _);
        settle(record, first == 0 && second == 0, length)
    };
    slot.submit(wake());
    fate
}

/// Emits a head of at most [`HEAD_BYTES`] and the body that follows it as one record. Nothing when the body is longer
/// than a chunk.
#[inline(always)]
pub fn head_and_body(subject: &Subject, position: u64, head: (u64, u32), body: (u64, u32)) -> Option<Fate> {
    Some(if body.1 <= 1024 {
        joined::<1024>(subject, position, head, body)
    } else if body.1 <= 4096 {
        joined::<4096>(subject, position, head, body)
    } else if body.1 as usize <= CHUNK_BYTES - HEAD_BYTES {
        joined::<{ CHUNK_BYTES - HEAD_BYTES }>(subject, position, head, body)
    } else {
        return None;
    })
}

/// Says that `missing` bytes at `position` were not captured.
#[inline(always)]
pub fn missing(subject: &Subject, position: u64, missing: u64, reason: u16, outcome: &mut Outcome) {
    let counter = match reason {
        gap::IOVECS => Counter::IovecBytes,
        gap::UNSEEN | gap::BYPASS => Counter::UnseenBytes,
        gap::FAULT => Counter::FaultBytes,
        _ => Counter::LimitBytes,
    };
    count(counter, missing);
    let Some(mut slot) = DATA.reserve::<StreamRecord>(0) else {
        count(Counter::RingFullRecords, 1);
        outcome.ring_full_records += 1;
        return;
    };
    let record = slot.as_mut_ptr();
    unsafe {
        head(&raw mut (*record).header, subject, KIND_GAP, reason);
        stream(&raw mut (*record).stream, subject);
        (*record).position = position;
        (*record).socket = subject.socket;
        // A call moves at most MAX_RW_COUNT, which is below 2^31.
        (*record).call_len = missing as u32;
        (*record).captured = 0;
    }
    slot.submit(wake());
}

/// Reserves the record of a socket call that carried TLS, for [`io_done`] once its records are listed. In the data
/// ring: only there is its place among the calls of its thread kept.
#[inline(always)]
pub fn io(subject: &Subject, moved: u64) -> Option<RingBufEntry<IoRecord>> {
    count(Counter::AdjacentCalls, 1);
    let Some(mut slot) = DATA.reserve::<IoRecord>(0) else {
        count(Counter::AdjacentLost, 1);
        return None;
    };
    let record = slot.as_mut_ptr();
    unsafe {
        head(&raw mut (*record).header, subject, KIND_IO, 0);
        stream(&raw mut (*record).stream, subject);
        (*record).moved = moved as u32;
    }
    Some(slot)
}

/// Sends a record that [`io`] reserved.
#[inline(always)]
pub fn io_done(slot: RingBufEntry<IoRecord>) {
    slot.submit(wake());
}

/// Says which socket a stream uses: `KIND_BIND` or `KIND_OPEN`.
#[inline(always)]
pub fn socket(subject: &Subject, kind: u8, detail: u16, found: Found, fd: i32, role: u16) {
    let Some(mut slot) = CONTROL.reserve::<SocketRecord>(0) else {
        count(Counter::ControlRingFull, 1);
        return;
    };
    let record = slot.as_mut_ptr();
    unsafe {
        head(&raw mut (*record).header, subject, kind, detail);
        stream(&raw mut (*record).stream, subject);
        sock::describe(found, fd, role, &raw mut (*record).socket);
    }
    slot.submit(BPF_RB_NO_WAKEUP as u64);
}

/// Says that a stream ended.
#[inline(always)]
pub fn close(subject: &Subject, state: &StreamState, reason: u16) {
    let Some(mut slot) = CONTROL.reserve::<CloseRecord>(0) else {
        count(Counter::ControlRingFull, 1);
        return;
    };
    let record = slot.as_mut_ptr();
    unsafe {
        head(&raw mut (*record).header, subject, KIND_CLOSE, reason);
        stream(&raw mut (*record).stream, subject);
        (*record).read_bytes = state.position[0];
        (*record).write_bytes = state.position[1];
    }
    slot.submit(BPF_RB_NO_WAKEUP as u64);
}

/// The running process as the subject of a record.
#[inline(always)]
fn of_process(pid_tgid: u64) -> Subject {
    Subject {
        time_ns: unsafe { bpf_ktime_get_ns() },
        process_start: sock::process_start(),
        pid_tgid,
        cgroup: unsafe { bpf_get_current_cgroup_id() },
        stream: StreamRef { id: 0, generation: 0, source: 0 },
        socket: 0,
        call_len: 0,
        flags: 0,
        reserved: 0,
    }
}

/// Says that something happened to the running process. Wakes the reader: a library may have to be probed now.
#[inline(always)]
pub fn process(pid_tgid: u64, kind: u8) {
    about_process(pid_tgid, kind, 0);
}

/// Says that something was noticed of the running process, one of [`notice`](sensor_common::account::notice).
#[inline(always)]
pub fn notice(pid_tgid: u64, what: u16) {
    about_process(pid_tgid, KIND_NOTICE, what);
}

#[inline(always)]
fn about_process(pid_tgid: u64, kind: u8, detail: u16) {
    let Some(mut slot) = CONTROL.reserve::<ProcessRecord>(0) else {
        count(Counter::ControlRingFull, 1);
        return;
    };
    let record = slot.as_mut_ptr();
    unsafe {
        head(&raw mut (*record).header, &of_process(pid_tgid), kind, detail);
        (&raw mut (*record).comm).cast::<[u64; 2]>().write([0; 2]);
        bpf_get_current_comm((&raw mut (*record).comm).cast(), 16);
    }
    slot.submit(BPF_RB_FORCE_WAKEUP as u64);
}

/// Says how much of the running process's traffic went past every hook.
#[inline(always)]
pub fn unseen(pid_tgid: u64, reason: u16, bytes: &ProcessBytes) {
    let Some(mut slot) = CONTROL.reserve::<UnseenRecord>(0) else {
        count(Counter::ControlRingFull, 1);
        return;
    };
    let record = slot.as_mut_ptr();
    unsafe {
        head(&raw mut (*record).header, &of_process(pid_tgid), KIND_UNSEEN, reason);
        (&raw mut (*record).comm).cast::<[u64; 2]>().write([0; 2]);
        bpf_get_current_comm((&raw mut (*record).comm).cast(), 16);
        (*record).bytes.sent_all = bytes.sent_all;
        (*record).bytes.received_all = bytes.received_all;
        (*record).bytes.sent_unseen = bytes.sent_unseen;
        (*record).bytes.received_unseen = bytes.received_unseen;
    }
    slot.submit(BPF_RB_NO_WAKEUP as u64);
}
