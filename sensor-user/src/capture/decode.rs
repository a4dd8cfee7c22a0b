//! Ring bytes to [`Record`]s.
//!
//! Takes the bytes of one record as a ring or a recording holds them. Gives a [`Record`] or the reason why the bytes
//! are none; the caller counts it. Never casts: every field is read little-endian at the offset that
//! `sensor_common::record` defines. Bounded by the record itself.

use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use sensor_common::CHUNK_BYTES;
use sensor_common::record::{
    self, CloseRecord, Header, IO_RECORDS, IoRecord, ProcessBytes, ProcessRecord, Socket, SocketRecord,
    StreamRecord, StreamRef, UnseenRecord,
};

use super::{
    CloseReason, Comm, Data, Direction, Endpoint, Evidence, Gap, GapReason, Io, Notice, Origin, ProcessEvent,
    ProcessKey, Record, Role, SocketAddress, Source, StreamKey, UnseenReason,
};

/// Why bytes are not a record. Each is a mismatch of kernel object and agent, never a peer's fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the layout of its kind, or than the payload it announces.
    #[error("record is shorter than its layout")]
    Short,
    /// Does not begin with the magic number.
    #[error("record has a wrong magic number")]
    Magic,
    /// Written by another version of the kernel object.
    #[error("record has version {0}, expected {expected}", expected = record::VERSION)]
    Version(u8),
    /// No such kind.
    #[error("record has unknown kind {0}")]
    Kind(u8),
    /// No such reason for this kind.
    #[error("record has unknown detail {0}")]
    Detail(u16),
    /// No such stream source, role or address family.
    #[error("record has an unknown enumerator {0}")]
    Enumerator(u32),
    /// More payload than one record may carry, or positions beyond 64 bits.
    #[error("record announces an impossible length")]
    Length,
}

/// Front of a record before its kind is known.
const FRONT: usize = size_of::<Header>();

/// Reads one record. `payload` turns the payload's bytes into owned ones: the one copy on the way to the parsers.
/// Bytes beyond the record are ignored, because rings round up.
pub fn decode(bytes: &[u8], payload: impl FnOnce(&[u8]) -> Bytes) -> Result<Record, DecodeError> {
    let front: &[u8; FRONT] = bytes.first_chunk().ok_or(DecodeError::Short)?;
    if u16_at::<{ offset_of!(Header, magic) }>(front) != record::MAGIC {
        return Err(DecodeError::Magic);
    }
    let version = byte_at::<{ offset_of!(Header, version) }>(front);
    if version != record::VERSION {
        return Err(DecodeError::Version(version));
    }
    match byte_at::<{ offset_of!(Header, kind) }>(front) {
        record::KIND_DATA => data(bytes, payload),
        record::KIND_GAP => gap(bytes),
        record::KIND_BIND => bind(bytes),
        record::KIND_OPEN => open(bytes),
        record::KIND_CLOSE => close(bytes),
        record::KIND_EXEC => process(bytes).map(Record::Exec),
        record::KIND_EXIT => process(bytes).map(Record::Exit),
        record::KIND_IO => io(bytes),
        record::KIND_MAP => process(bytes).map(Record::Map),
        record::KIND_CLOSED_MANY => process(bytes).map(Record::ClosedMany),
        record::KIND_UNSEEN => unseen(bytes),
        record::KIND_UNHOOKED => process(bytes).map(Record::Unhooked),
        record::KIND_UNDECIDED => process(bytes).map(Record::Undecided),
        record::KIND_NOTICE => notice(bytes),
        kind => Err(DecodeError::Kind(kind)),
    }
}

const STREAM: usize = size_of::<StreamRecord>();
const IO: usize = size_of::<IoRecord>();
const SOCKET: usize = size_of::<SocketRecord>();
const CLOSE: usize = size_of::<CloseRecord>();
const PROCESS: usize = size_of::<ProcessRecord>();
const UNSEEN: usize = size_of::<UnseenRecord>();

fn data(bytes: &[u8], payload: impl FnOnce(&[u8]) -> Bytes) -> Result<Record, DecodeError> {
    let (raw, rest) = bytes.split_first_chunk::<STREAM>().ok_or(DecodeError::Short)?;
    let captured = u32_at::<{ offset_of!(StreamRecord, captured) }>(raw) as usize;
    if captured > CHUNK_BYTES {
        return Err(DecodeError::Length);
    }
    let skip = usize::from(detail(raw));
    let body = rest
        .get(skip..)
        .and_then(|rest| rest.get(..captured))
        .ok_or(DecodeError::Short)?;
    let position = position(raw, captured as u64)?;
    let (origin, stream) = (origin(raw), stream(raw, offset_of!(StreamRecord, stream))?);
    Ok(Record::Data(Data {
        origin,
        stream,
        direction: direction(raw),
        position,
        socket: u64_at::<{ offset_of!(StreamRecord, socket) }>(raw),
        early: flags(raw) & record::FLAG_EARLY != 0,
        bytes: payload(body),
    }))
}

fn gap(bytes: &[u8]) -> Result<Record, DecodeError> {
    let raw: &[u8; STREAM] = bytes.first_chunk().ok_or(DecodeError::Short)?;
    let missing = u64::from(u32_at::<{ offset_of!(StreamRecord, call_len) }>(raw));
    Ok(Record::Gap(Gap {
        origin: origin(raw),
        stream: stream(raw, offset_of!(StreamRecord, stream))?,
        direction: direction(raw),
        position: position(raw, missing)?,
        missing,
        reason: match detail(raw) {
            record::gap::LIMIT => GapReason::Limit,
            record::gap::FAULT => GapReason::Fault,
            record::gap::IOVECS => GapReason::Iovecs,
            record::gap::UNSEEN => GapReason::Unseen,
            record::gap::BYPASS => GapReason::Bypass,
            other => return Err(DecodeError::Detail(other)),
        },
    }))
}

fn io(bytes: &[u8]) -> Result<Record, DecodeError> {
    let raw: &[u8; IO] = bytes.first_chunk().ok_or(DecodeError::Short)?;
    let count = u32_at::<{ offset_of!(IoRecord, count) }>(raw) as usize;
    if count > IO_RECORDS {
        return Err(DecodeError::Length);
    }
    let mut records = [(0, 0); IO_RECORDS];
    for (index, record) in records.iter_mut().enumerate().take(count) {
        let [low, high, kind, _] = array_at(raw, offset_of!(IoRecord, records) + index * 4);
        *record = (kind, u16::from_le_bytes([low, high]));
    }
    Ok(Record::Io(Io {
        origin: origin(raw),
        stream: stream(raw, offset_of!(IoRecord, stream))?,
        direction: direction(raw),
        records,
    }))
}

fn close(bytes: &[u8]) -> Result<Record, DecodeError> {
    let raw: &[u8; CLOSE] = bytes.first_chunk().ok_or(DecodeError::Short)?;
    Ok(Record::Close {
        origin: origin(raw),
        stream: stream(raw, offset_of!(CloseRecord, stream))?,
        reason: match detail(raw) {
            record::close::SOCKET => CloseReason::Socket,
            record::close::SHUTDOWN => CloseReason::Shutdown,
            record::close::FREE => CloseReason::Free,
            other => return Err(DecodeError::Detail(other)),
        },
        ends: Some((
            u64_at::<{ offset_of!(CloseRecord, read_bytes) }>(raw),
            u64_at::<{ offset_of!(CloseRecord, write_bytes) }>(raw),
        )),
    })
}

fn bind(bytes: &[u8]) -> Result<Record, DecodeError> {
    let raw: &[u8; SOCKET] = bytes.first_chunk().ok_or(DecodeError::Short)?;
    Ok(Record::Bind {
        origin: origin(raw),
        stream: stream(raw, offset_of!(SocketRecord, stream))?,
        socket: socket(raw)?,
        evidence: match detail(raw) {
            record::evidence::SET_FD => Evidence::SetFd,
            record::evidence::NESTED_SYSCALL => Evidence::NestedSyscall,
            record::evidence::TRANSPORT => Evidence::Transport,
            record::evidence::SET_BIO => Evidence::SetBio,
            record::evidence::RUNTIME_CONN => Evidence::RuntimeConn,
            other => return Err(DecodeError::Detail(other)),
        },
        ambiguous: flags(raw) & record::FLAG_AMBIGUOUS != 0,
    })
}

fn open(bytes: &[u8]) -> Result<Record, DecodeError> {
    let raw: &[u8; SOCKET] = bytes.first_chunk().ok_or(DecodeError::Short)?;
    Ok(Record::Open {
        origin: origin(raw),
        stream: stream(raw, offset_of!(SocketRecord, stream))?,
        socket: socket(raw)?,
    })
}

fn process(bytes: &[u8]) -> Result<ProcessEvent, DecodeError> {
    let raw: &[u8; PROCESS] = bytes.first_chunk().ok_or(DecodeError::Short)?;
    Ok(ProcessEvent {
        origin: origin(raw),
        comm: Comm(array_at(raw, offset_of!(ProcessRecord, comm))),
    })
}

fn unseen(bytes: &[u8]) -> Result<Record, DecodeError> {
    const AT: usize = offset_of!(UnseenRecord, bytes);
    let raw: &[u8; UNSEEN] = bytes.first_chunk().ok_or(DecodeError::Short)?;
    Ok(Record::Unseen {
        event: ProcessEvent {
            origin: origin(raw),
            comm: Comm(array_at(raw, offset_of!(UnseenRecord, comm))),
        },
        reason: match detail(raw) {
            record::unseen::IO_URING => UnseenReason::IoUring,
            record::unseen::OTHER => UnseenReason::Other,
            other => return Err(DecodeError::Detail(other)),
        },
        bytes: ProcessBytes {
            sent_all: u64_at::<{ AT + offset_of!(ProcessBytes, sent_all) }>(raw),
            received_all: u64_at::<{ AT + offset_of!(ProcessBytes, received_all) }>(raw),
            sent_unseen: u64_at::<{ AT + offset_of!(ProcessBytes, sent_unseen) }>(raw),
            received_unseen: u64_at::<{ AT + offset_of!(ProcessBytes, received_unseen) }>(raw),
        },
    })
}

fn notice(bytes: &[u8]) -> Result<Record, DecodeError> {
    let event = process(bytes)?;
    let raw: &[u8; PROCESS] = bytes.first_chunk().ok_or(DecodeError::Short)?;
    let said = detail(raw);
    let known = Notice::ALL.into_iter().find(|notice| notice.bit() == said);
    known
        .map(|notice| Record::Notice(event, notice))
        .ok_or(DecodeError::Detail(said))
}

fn origin(raw: &[u8]) -> Origin {
    Origin {
        time_ns: u64_at::<{ offset_of!(Header, time_ns) }>(raw),
        process: ProcessKey {
            pid: u32_at::<{ offset_of!(Header, tgid) }>(raw),
            start_ns: u64_at::<{ offset_of!(Header, process_start_ns) }>(raw),
        },
        tid: u32_at::<{ offset_of!(Header, tid) }>(raw),
        cgroup: u64_at::<{ offset_of!(Header, cgroup) }>(raw),
    }
}

fn stream(raw: &[u8], at: usize) -> Result<StreamKey, DecodeError> {
    let source = u32::from_le_bytes(array_at(raw, at + offset_of!(StreamRef, source)));
    Ok(StreamKey {
        process: origin(raw).process,
        source: match source {
            record::source::TLS => Source::Tls,
            record::source::SOCKET => Source::Socket,
            other => return Err(DecodeError::Enumerator(other)),
        },
        id: u64::from_le_bytes(array_at(raw, at + offset_of!(StreamRef, id))),
        generation: u32::from_le_bytes(array_at(raw, at + offset_of!(StreamRef, generation))),
    })
}

/// The record's position, provided that what it carries ends within 64 bits.
fn position(raw: &[u8], len: u64) -> Result<u64, DecodeError> {
    let position = u64_at::<{ offset_of!(StreamRecord, position) }>(raw);
    position
        .checked_add(len)
        .map(|_| position)
        .ok_or(DecodeError::Length)
}

/// `AF_UNIX`, `AF_INET` and `AF_INET6` of `linux/socket.h`; 0 is `AF_UNSPEC`: nothing is known.
const FAMILY_UNSPECIFIED: u16 = 0;
pub(super) const FAMILY_UNIX: u16 = 1;
pub(super) const FAMILY_INET: u16 = 2;
pub(super) const FAMILY_INET6: u16 = 10;

fn socket(raw: &[u8; SOCKET]) -> Result<SocketAddress, DecodeError> {
    const AT: usize = offset_of!(SocketRecord, socket);
    let family = u16_at::<{ AT + offset_of!(Socket, family) }>(raw);
    let local_port = u16_at::<{ AT + offset_of!(Socket, local_port) }>(raw);
    let remote_port = u16_at::<{ AT + offset_of!(Socket, remote_port) }>(raw);
    Ok(SocketAddress {
        inode: u64_at::<{ AT + offset_of!(Socket, inode) }>(raw),
        local: endpoint(family, array_at(raw, AT + offset_of!(Socket, local)), local_port)?,
        remote: endpoint(
            family,
            array_at(raw, AT + offset_of!(Socket, remote)),
            remote_port,
        )?,
        role: match u16_at::<{ AT + offset_of!(Socket, role) }>(raw) {
            record::role::UNKNOWN => Role::Unknown,
            record::role::SERVER => Role::Server,
            record::role::CLIENT => Role::Client,
            other => return Err(DecodeError::Enumerator(other.into())),
        },
    })
}

fn endpoint(family: u16, address: [u8; 16], port: u16) -> Result<Endpoint, DecodeError> {
    match family {
        FAMILY_UNSPECIFIED | FAMILY_UNIX => Ok(None),
        FAMILY_INET => {
            let [a, b, c, d, ..] = address;
            Ok(Some((IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)))
        }
        // A dual-stack socket's peer is shown as what it is (RFC 4291, 2.5.5.2).
        FAMILY_INET6 => Ok(Some((Ipv6Addr::from(address).to_canonical(), port))),
        other => Err(DecodeError::Enumerator(other.into())),
    }
}

fn direction(raw: &[u8]) -> Direction {
    if flags(raw) & record::FLAG_WRITE != 0 {
        Direction::Write
    } else {
        Direction::Read
    }
}

fn flags(raw: &[u8]) -> u16 {
    u16_at::<{ offset_of!(Header, flags) }>(raw)
}

fn detail(raw: &[u8]) -> u16 {
    u16_at::<{ offset_of!(Header, detail) }>(raw)
}

fn byte_at<const AT: usize>(raw: &[u8]) -> u8 {
    u8::from_le_bytes(array_at(raw, AT))
}

fn u16_at<const AT: usize>(raw: &[u8]) -> u16 {
    u16::from_le_bytes(array_at(raw, AT))
}

fn u32_at<const AT: usize>(raw: &[u8]) -> u32 {
    u32::from_le_bytes(array_at(raw, AT))
}

fn u64_at<const AT: usize>(raw: &[u8]) -> u64 {
    u64::from_le_bytes(array_at(raw, AT))
}

/// The bytes of a field. Callers hold a slice of a whole layout, so the field is always there; were it not, zeros
/// are the safe answer.
#[inline]
fn array_at<const N: usize>(raw: &[u8], at: usize) -> [u8; N] {
    raw.get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

#[cfg(test)]
mod tests;
