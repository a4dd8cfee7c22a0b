//! [`Record`]s to ring bytes: the inverse of [`decode`](super::decode), for tests, benchmarks and tools.
//!
//! Takes a [`Record`]. Gives the bytes the kernel object would have written for it. Never used on live data.
//! Bounded by the record.

use std::mem::offset_of;
use std::net::IpAddr;

use sensor_common::record::{
    self, CloseRecord, Header, IO_RECORDS, IoRecord, ProcessBytes, ProcessRecord, Socket, SocketRecord,
    StreamRecord, StreamRef, UnseenRecord,
};

use super::decode::{FAMILY_INET, FAMILY_INET6, FAMILY_UNIX};
use super::{
    CloseReason, Data, Direction, Endpoint, Evidence, Gap, GapReason, Io, Origin, ProcessEvent, Record, Role,
    SocketAddress, Source, StreamKey, UnseenReason,
};

/// The record says something that the kernel object never does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the record has no form in the ring")]
pub struct Unrepresentable;

/// Appends the bytes of `record` to `out`.
pub fn encode(record: &Record, out: &mut Vec<u8>) -> Result<(), Unrepresentable> {
    match record {
        Record::Data(data) => {
            out.extend_from_slice(&data_record(data)?);
            out.extend_from_slice(&data.bytes);
        }
        Record::Gap(gap) => out.extend_from_slice(&gap_record(gap)?),
        Record::Io(io) => out.extend_from_slice(&io_record(io)),
        Record::Bind {
            origin,
            stream,
            socket,
            evidence,
            ambiguous,
        } => {
            let flags = if *ambiguous { record::FLAG_AMBIGUOUS } else { 0 };
            let words = (bind_detail(*evidence)?, flags);
            out.extend_from_slice(&socket_record(record::KIND_BIND, origin, stream, socket, words));
        }
        Record::Open {
            origin,
            stream,
            socket,
        } => {
            out.extend_from_slice(&socket_record(record::KIND_OPEN, origin, stream, socket, (0, 0)));
        }
        Record::Close {
            origin,
            stream,
            reason,
            ends,
        } => {
            out.extend_from_slice(&close_record(origin, stream, *reason, ends.unwrap_or_default()));
        }
        Record::Exec(event) => of_process(record::KIND_EXEC, event, 0, out),
        Record::Exit(event) => of_process(record::KIND_EXIT, event, 0, out),
        Record::Map(event) => of_process(record::KIND_MAP, event, 0, out),
        Record::Unhooked(event) => of_process(record::KIND_UNHOOKED, event, 0, out),
        Record::Undecided(event) => of_process(record::KIND_UNDECIDED, event, 0, out),
        Record::Notice(event, notice) => of_process(record::KIND_NOTICE, event, notice.bit(), out),
        // Not of the kernel's: nothing to write.
        Record::Place { .. } | Record::Sockets { .. } => {}
        Record::ClosedMany(event) => of_process(record::KIND_CLOSED_MANY, event, 0, out),
        Record::Unseen { event, reason, bytes } => {
            out.extend_from_slice(&unseen_record(event, *reason, *bytes));
        }
    }
    Ok(())
}

/// The record in front of the bytes.
fn data_record(data: &Data) -> Result<[u8; size_of::<StreamRecord>()], Unrepresentable> {
    let len = u32::try_from(data.bytes.len()).ok().ok_or(Unrepresentable)?;
    let mut raw = Raw::new(record::KIND_DATA, &data.origin);
    raw.detail(0, write_flag(data.direction) | early_flag(data.early));
    raw.stream(offset_of!(StreamRecord, stream), &data.stream);
    raw.moved(data.position, data.socket, len, len);
    Ok(raw.0)
}

fn gap_record(gap: &Gap) -> Result<[u8; size_of::<StreamRecord>()], Unrepresentable> {
    let len = u32::try_from(gap.missing).ok().ok_or(Unrepresentable)?;
    let mut raw = Raw::new(record::KIND_GAP, &gap.origin);
    raw.detail(gap_detail(gap.reason)?, write_flag(gap.direction));
    raw.stream(offset_of!(StreamRecord, stream), &gap.stream);
    raw.moved(gap.position, 0, len, 0);
    Ok(raw.0)
}

fn unseen_record(
    event: &ProcessEvent,
    reason: UnseenReason,
    bytes: ProcessBytes,
) -> [u8; size_of::<UnseenRecord>()] {
    const AT: usize = offset_of!(UnseenRecord, bytes);
    let mut raw = Raw::<{ size_of::<UnseenRecord>() }>::new(record::KIND_UNSEEN, &event.origin);
    let detail = match reason {
        UnseenReason::IoUring => record::unseen::IO_URING,
        UnseenReason::Other => record::unseen::OTHER,
    };
    raw.detail(detail, 0);
    raw.put(offset_of!(UnseenRecord, comm), event.comm.0);
    for (at, value) in [
        (offset_of!(ProcessBytes, sent_all), bytes.sent_all),
        (offset_of!(ProcessBytes, received_all), bytes.received_all),
        (offset_of!(ProcessBytes, sent_unseen), bytes.sent_unseen),
        (offset_of!(ProcessBytes, received_unseen), bytes.received_unseen),
    ] {
        raw.put(AT + at, value.to_le_bytes());
    }
    raw.0
}

fn of_process(kind: u8, event: &ProcessEvent, detail: u16, out: &mut Vec<u8>) {
    let mut raw = Raw(process_record(kind, event));
    raw.detail(detail, 0);
    out.extend_from_slice(&raw.0);
}

fn io_record(io: &Io) -> [u8; size_of::<IoRecord>()] {
    let mut raw = Raw::<{ size_of::<IoRecord>() }>::new(record::KIND_IO, &io.origin);
    raw.detail(0, write_flag(io.direction));
    raw.stream(offset_of!(IoRecord, stream), &io.stream);
    raw.io(&io.records);
    raw.0
}

/// Ends of zero say nothing: a stream never ends before what was seen of it.
fn close_record(
    origin: &Origin,
    stream: &StreamKey,
    reason: CloseReason,
    (read, written): (u64, u64),
) -> [u8; size_of::<CloseRecord>()] {
    let mut raw = Raw::<{ size_of::<CloseRecord>() }>::new(record::KIND_CLOSE, origin);
    raw.detail(close_detail(reason), 0);
    raw.stream(offset_of!(CloseRecord, stream), stream);
    raw.put(offset_of!(CloseRecord, read_bytes), read.to_le_bytes());
    raw.put(offset_of!(CloseRecord, write_bytes), written.to_le_bytes());
    raw.0
}

/// Bytes of one layout while they are filled in.
struct Raw<const N: usize>([u8; N]);

impl<const N: usize> Raw<N> {
    fn new(kind: u8, origin: &Origin) -> Self {
        let mut raw = Self([0; N]);
        raw.put(offset_of!(Header, magic), record::MAGIC.to_le_bytes());
        raw.put(offset_of!(Header, version), [record::VERSION]);
        raw.put(offset_of!(Header, kind), [kind]);
        raw.put(offset_of!(Header, time_ns), origin.time_ns.to_le_bytes());
        raw.put(
            offset_of!(Header, process_start_ns),
            origin.process.start_ns.to_le_bytes(),
        );
        raw.put(offset_of!(Header, tgid), origin.process.pid.to_le_bytes());
        raw.put(offset_of!(Header, tid), origin.tid.to_le_bytes());
        raw.put(offset_of!(Header, cgroup), origin.cgroup.to_le_bytes());
        raw
    }

    fn detail(&mut self, detail: u16, flags: u16) {
        self.put(offset_of!(Header, detail), detail.to_le_bytes());
        self.put(offset_of!(Header, flags), flags.to_le_bytes());
    }

    fn stream(&mut self, at: usize, stream: &StreamKey) {
        let source = match stream.source {
            Source::Tls => record::source::TLS,
            Source::Socket => record::source::SOCKET,
        };
        self.put(at + offset_of!(StreamRef, id), stream.id.to_le_bytes());
        self.put(
            at + offset_of!(StreamRef, generation),
            stream.generation.to_le_bytes(),
        );
        self.put(at + offset_of!(StreamRef, source), source.to_le_bytes());
    }

    fn moved(&mut self, position: u64, socket: u64, call_len: u32, captured: u32) {
        self.put(offset_of!(StreamRecord, position), position.to_le_bytes());
        self.put(offset_of!(StreamRecord, socket), socket.to_le_bytes());
        self.put(offset_of!(StreamRecord, call_len), call_len.to_le_bytes());
        self.put(offset_of!(StreamRecord, captured), captured.to_le_bytes());
    }

    fn io(&mut self, records: &[(u8, u16); IO_RECORDS]) {
        let listed = records.iter().take_while(|(kind, _)| *kind != 0);
        let mut count: u32 = 0;
        for (index, (kind, length)) in listed.enumerate() {
            let word = u32::from(*kind) << 16 | u32::from(*length);
            self.put(offset_of!(IoRecord, records) + index * 4, word.to_le_bytes());
            count += 1;
        }
        self.put(offset_of!(IoRecord, count), count.to_le_bytes());
    }

    fn put<const M: usize>(&mut self, at: usize, field: [u8; M]) {
        if let Some(place) = self.0.get_mut(at..at + M) {
            place.copy_from_slice(&field);
        }
    }
}

type Words = (u16, u16);

fn socket_record(
    kind: u8,
    origin: &Origin,
    stream: &StreamKey,
    socket: &SocketAddress,
    (detail, flags): Words,
) -> [u8; size_of::<SocketRecord>()] {
    const AT: usize = offset_of!(SocketRecord, socket);
    let mut raw = Raw::new(kind, origin);
    raw.detail(detail, flags);
    raw.stream(offset_of!(SocketRecord, stream), stream);
    let role = match socket.role {
        Role::Unknown => record::role::UNKNOWN,
        Role::Server => record::role::SERVER,
        Role::Client => record::role::CLIENT,
    };
    let (family, local, local_port) = endpoint(socket.local);
    let (_, remote, remote_port) = endpoint(socket.remote);
    raw.put(AT + offset_of!(Socket, inode), socket.inode.to_le_bytes());
    raw.put(AT + offset_of!(Socket, local), local);
    raw.put(AT + offset_of!(Socket, remote), remote);
    raw.put(AT + offset_of!(Socket, fd), (-1_i32).to_le_bytes());
    raw.put(AT + offset_of!(Socket, family), family.to_le_bytes());
    raw.put(AT + offset_of!(Socket, role), role.to_le_bytes());
    raw.put(AT + offset_of!(Socket, local_port), local_port.to_le_bytes());
    raw.put(AT + offset_of!(Socket, remote_port), remote_port.to_le_bytes());
    raw.0
}

fn process_record(kind: u8, event: &ProcessEvent) -> [u8; size_of::<ProcessRecord>()] {
    let mut raw = Raw::new(kind, &event.origin);
    raw.put(offset_of!(ProcessRecord, comm), event.comm.0);
    raw.0
}

fn endpoint(endpoint: Endpoint) -> (u16, [u8; 16], u16) {
    match endpoint {
        None => (FAMILY_UNIX, [0; 16], 0),
        Some((IpAddr::V4(address), port)) => {
            let [a, b, c, d] = address.octets();
            (
                FAMILY_INET,
                [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                port,
            )
        }
        Some((IpAddr::V6(address), port)) => (FAMILY_INET6, address.octets(), port),
    }
}

const fn write_flag(direction: Direction) -> u16 {
    match direction {
        Direction::Read => 0,
        Direction::Write => record::FLAG_WRITE,
    }
}

const fn early_flag(early: bool) -> u16 {
    if early { record::FLAG_EARLY } else { 0 }
}

const fn gap_detail(reason: GapReason) -> Result<u16, Unrepresentable> {
    match reason {
        GapReason::Limit => Ok(record::gap::LIMIT),
        GapReason::Fault => Ok(record::gap::FAULT),
        GapReason::Iovecs => Ok(record::gap::IOVECS),
        GapReason::Unseen => Ok(record::gap::UNSEEN),
        GapReason::Bypass => Ok(record::gap::BYPASS),
        GapReason::Lost => Err(Unrepresentable),
    }
}

const fn bind_detail(evidence: Evidence) -> Result<u16, Unrepresentable> {
    match evidence {
        Evidence::SetFd => Ok(record::evidence::SET_FD),
        Evidence::NestedSyscall => Ok(record::evidence::NESTED_SYSCALL),
        Evidence::RuntimeConn => Ok(record::evidence::RUNTIME_CONN),
        Evidence::Transport => Ok(record::evidence::TRANSPORT),
        Evidence::SetBio => Ok(record::evidence::SET_BIO),
        Evidence::Adjacent | Evidence::Direct | Evidence::Recorded => Err(Unrepresentable),
    }
}

const fn close_detail(reason: CloseReason) -> u16 {
    match reason {
        CloseReason::Socket => record::close::SOCKET,
        CloseReason::Shutdown => record::close::SHUTDOWN,
        CloseReason::Free => record::close::FREE,
    }
}
