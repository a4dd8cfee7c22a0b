//! What capture tells the stages behind it: one [`Record`] per event, of streams and of processes.
//!
//! Takes nothing; types only. Payload prints its length.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use sensor_common::account::notice;
use sensor_common::record::{IO_RECORDS, ProcessBytes};

use super::discover::container::Container;
use crate::telemetry::ledger;

/// A process, safe against reuse of its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ProcessKey {
    /// Process id in the initial namespace.
    pub pid: u32,
    /// Start in nanoseconds since boot; 0 when unknown.
    pub start_ns: u64,
}

/// What a stream was seen through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// A TLS library's connection object.
    Tls,
    /// System calls on a socket.
    Socket,
}

/// A stream: one connection as one process sees it. Never named by a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StreamKey {
    /// The process.
    pub process: ProcessKey,
    /// What `id` is.
    pub source: Source,
    /// Address of the TLS object, or inode of the socket.
    pub id: u64,
    /// Told apart from an earlier stream of the same id.
    pub generation: u32,
}

/// Direction of bytes, seen from the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// The process read them.
    Read,
    /// The process wrote them.
    Write,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Read => Self::Write,
            Self::Write => Self::Read,
        }
    }
}

/// Why bytes are missing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GapReason {
    /// Beyond the policy's bytes per message direction or per call.
    Limit,
    /// The page was not resident when the kernel object read it.
    Fault,
    /// More `iovec` elements than one call may walk.
    Iovecs,
    /// Moved inside the kernel by `sendfile` or `splice`, or handed over in another way than a buffer.
    Unseen,
    /// Moved by a call that no hook of this kernel sees (`io_uring`).
    Bypass,
    /// No record: the ring was full, or the recording has a hole.
    Lost,
}

/// How it is known which socket a TLS stream uses (REQUIREMENTS S10).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Evidence {
    /// `SSL_set_fd` or a sibling.
    SetFd,
    /// `SSL_set_bio` or a sibling, with a BIO that was made of a descriptor.
    SetBio,
    /// A socket call inside a TLS call of the same thread.
    NestedSyscall,
    /// The connection object of Go's runtime names the descriptor.
    RuntimeConn,
    /// The program gave the library's transport functions a number that is a socket's descriptor. As good as
    /// [`Self::SetFd`] unless those functions are the program's own and take it for something else.
    Transport,
    /// Lengths of the TLS records at the socket are those of the calls next to them ([`adjacent`]).
    Adjacent,
    /// The stream is the socket.
    Direct,
    /// Read from a recording.
    Recorded,
}

impl Evidence {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SetFd | Self::Transport => "set_fd",
            Self::SetBio => "set_bio",
            Self::NestedSyscall => "nested_syscall",
            Self::RuntimeConn => "runtime_conn",
            Self::Adjacent => "inferred",
            Self::Direct => "socket",
            Self::Recorded => "recorded",
        }
    }
}

/// Which end of a connection the process is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Role {
    /// Not known yet.
    #[default]
    Unknown,
    /// It accepted the connection, or requests arrive at it.
    Server,
    /// It connected, or it sends the requests.
    Client,
}

/// Address and port. `None` for a UNIX socket.
pub type Endpoint = Option<(IpAddr, u16)>;

/// A socket at the moment it was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketAddress {
    /// Inode number.
    pub inode: u64,
    /// Local end.
    pub local: Endpoint,
    /// Remote end.
    pub remote: Endpoint,
    /// As the kernel saw it.
    pub role: Role,
}

/// How a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CloseReason {
    /// The socket was closed.
    Socket,
    /// This side sends no more TLS data.
    Shutdown,
    /// The TLS object was freed.
    Free,
}

/// Front of every record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Nanoseconds of the monotonic clock (live) or of the recording.
    pub time_ns: u64,
    /// The process.
    pub process: ProcessKey,
    /// Thread id.
    pub tid: u32,
    /// Id of the cgroup in the unified hierarchy, 0 when unknown.
    pub cgroup: u64,
}

/// One thing the kernel saw. Payload never prints.
#[derive(Clone, PartialEq, Eq)]
pub enum Record {
    /// Bytes of one direction.
    Data(Data),
    /// Bytes of one direction that are known to be missing.
    Gap(Gap),
    /// A TLS stream drives this socket.
    Bind {
        /// Front.
        origin: Origin,
        /// The stream.
        stream: StreamKey,
        /// The socket.
        socket: SocketAddress,
        /// What this rests on.
        evidence: Evidence,
        /// A second socket appeared in one TLS call.
        ambiguous: bool,
    },
    /// A socket carried TLS of a stream that is not known. [`adjacent`] uses it up: no stage sees one.
    Io(Io),
    /// A socket was accepted or connected.
    Open {
        /// Front.
        origin: Origin,
        /// The socket's own stream.
        stream: StreamKey,
        /// The socket.
        socket: SocketAddress,
    },
    /// A stream ended.
    Close {
        /// Front.
        origin: Origin,
        /// The stream.
        stream: StreamKey,
        /// How.
        reason: CloseReason,
        /// Bytes read and written in all, when the source knows: what is beyond the last record was lost.
        ends: Option<(u64, u64)>,
    },
    /// The process replaced its program.
    Exec(ProcessEvent),
    /// The process ended.
    Exit(ProcessEvent),
    /// The process mapped a file as executable.
    Map(ProcessEvent),
    /// A socket of the process carries TLS, and no TLS call of that process was ever seen.
    Unhooked(ProcessEvent),
    /// The process waits for a verdict on its container; consumed by the source.
    Undecided(ProcessEvent),
    /// Where the process runs. Made in user space, at first sight of a process and at `exec`.
    Place {
        /// Front.
        origin: Origin,
        /// The container; `None` when it runs in none.
        container: Option<Arc<Container>>,
    },
    /// The process does something that the sensor cannot see through.
    Notice(ProcessEvent, Notice),
    /// The process closed many descriptors at once.
    ClosedMany(ProcessEvent),
    /// The sockets that a process had open at the time of the record: streams on others, begun before, are over.
    Sockets {
        /// Front.
        origin: Origin,
        /// Their inodes.
        open: Arc<[u64]>,
    },
    /// Bytes of the process went past every hook: told at the first, and in all at its end.
    Unseen {
        /// The process.
        event: ProcessEvent,
        /// By what.
        reason: UnseenReason,
        /// So far.
        bytes: ProcessBytes,
    },
}

/// What goes past the hooks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnseenReason {
    /// `io_uring`.
    IoUring,
    /// Another call.
    Other,
}

/// A way out of the sensor's sight.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Notice {
    /// Reads and writes through an `io_uring` are no system calls.
    IoUring,
    /// QUIC encrypts in the process, datagram by datagram.
    Quic,
    /// The kernel encrypts what is written to a socket.
    KernelTls,
}

impl Notice {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::IoUring, Self::Quic, Self::KernelTls];

    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Quic => "quic",
            Self::KernelTls => "ktls",
        }
    }

    /// Its bit in the kernel object's accounts.
    pub const fn bit(self) -> u16 {
        match self {
            Self::IoUring => notice::IO_URING,
            Self::Quic => notice::QUIC,
            Self::KernelTls => notice::KTLS,
        }
    }
}

impl From<ProcessKey> for ledger::Key {
    fn from(ProcessKey { pid, start_ns }: ProcessKey) -> Self {
        Self { pid, start_ns }
    }
}

/// Payload of one direction of a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Data {
    /// Front.
    pub origin: Origin,
    /// The stream.
    pub stream: StreamKey,
    /// Direction.
    pub direction: Direction,
    /// Bytes this direction had carried before, lost ones included.
    pub position: u64,
    /// Inode of the bound socket, 0 while none is known.
    pub socket: u64,
    /// TLS early data: sent before the handshake ended, and perhaps a replay.
    pub early: bool,
    /// The payload.
    pub bytes: Bytes,
}

/// What the ciphertext of one socket call tells by the headers that stand in the clear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Io {
    /// Front.
    pub origin: Origin,
    /// The socket.
    pub stream: StreamKey,
    /// Direction.
    pub direction: Direction,
    /// Content type and length of the TLS records that begin in the call; zero where there are fewer.
    pub records: [(u8, u16); IO_RECORDS],
}

/// Bytes that are known to be missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Front.
    pub origin: Origin,
    /// The stream.
    pub stream: StreamKey,
    /// Direction.
    pub direction: Direction,
    /// Bytes this direction had carried before.
    pub position: u64,
    /// How many are missing.
    pub missing: u64,
    /// Why.
    pub reason: GapReason,
}

/// A step in a process's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessEvent {
    /// Front.
    pub origin: Origin,
    /// The task's name.
    pub comm: Comm,
}

/// The kernel's 16-byte task name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Comm(pub [u8; 16]);

impl fmt::Display for Comm {
    /// Control characters and invalid UTF-8 become `?`: a process may name itself anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take_while(|byte| **byte != 0) {
            let shown = if byte.is_ascii_graphic() {
                *byte as char
            } else {
                '?'
            };
            write!(f, "{shown}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl ProcessKey {
    /// A number to spread processes by.
    pub const fn spread(&self) -> u64 {
        (self.start_ns ^ ((self.pid as u64) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
    }
}

impl StreamKey {
    /// A number to spread streams over threads by. Addresses and inodes are multiples of small powers of two, so
    /// the product's upper half is taken (2^64 divided by the golden ratio).
    pub const fn spread(&self) -> u64 {
        let mixed = self.id ^ ((self.process.pid as u64) << 32) ^ self.generation as u64;
        mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
    }
}

impl Record {
    /// The stream it belongs to; none for what happens to a process.
    pub const fn stream(&self) -> Option<&StreamKey> {
        match self {
            Self::Data(Data { stream, .. })
            | Self::Gap(Gap { stream, .. })
            | Self::Io(Io { stream, .. })
            | Self::Bind { stream, .. }
            | Self::Open { stream, .. }
            | Self::Close { stream, .. } => Some(stream),
            Self::Exec(_)
            | Self::Exit(_)
            | Self::Map(_)
            | Self::ClosedMany(_)
            | Self::Sockets { .. }
            | Self::Unseen { .. }
            | Self::Notice(..)
            | Self::Unhooked(_)
            | Self::Undecided(_)
            | Self::Place { .. } => None,
        }
    }

    /// Front of the record.
    pub const fn origin(&self) -> &Origin {
        match self {
            Self::Data(Data { origin, .. })
            | Self::Gap(Gap { origin, .. })
            | Self::Io(Io { origin, .. })
            | Self::Bind { origin, .. }
            | Self::Open { origin, .. }
            | Self::Close { origin, .. }
            | Self::Exec(ProcessEvent { origin, .. })
            | Self::Exit(ProcessEvent { origin, .. })
            | Self::Map(ProcessEvent { origin, .. })
            | Self::ClosedMany(ProcessEvent { origin, .. })
            | Self::Sockets { origin, .. }
            | Self::Unseen {
                event: ProcessEvent { origin, .. },
                ..
            }
            | Self::Unhooked(ProcessEvent { origin, .. })
            | Self::Undecided(ProcessEvent { origin, .. })
            | Self::Notice(ProcessEvent { origin, .. }, _)
            | Self::Place { origin, .. } => origin,
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data")
            .field("stream", &self.stream)
            .field("direction", &self.direction)
            .field("position", &self.position)
            .field("bytes", &format_args!("[{} bytes]", self.bytes.len()))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => data.fmt(f),
            Self::Gap(gap) => gap.fmt(f),
            Self::Io(io) => io.fmt(f),
            Self::Bind {
                stream,
                socket,
                evidence,
                ..
            } => {
                write!(f, "Bind({stream:?} {socket:?} {evidence:?})")
            }
            Self::Open { stream, socket, .. } => write!(f, "Open({stream:?} {socket:?})"),
            Self::Close { stream, reason, .. } => write!(f, "Close({stream:?} {reason:?})"),
            Self::Exec(event) => write!(f, "Exec({event:?})"),
            Self::Exit(event) => write!(f, "Exit({event:?})"),
            Self::Map(event) => write!(f, "Map({event:?})"),
            Self::ClosedMany(event) => write!(f, "ClosedMany({event:?})"),
            Self::Sockets { origin, open } => write!(f, "Sockets({origin:?} {open:?})"),
            Self::Unseen { event, reason, bytes } => write!(f, "Unseen({event:?} {reason:?} {bytes:?})"),
            Self::Unhooked(event) => write!(f, "Unhooked({event:?})"),
            Self::Undecided(event) => write!(f, "Undecided({event:?})"),
            Self::Place { origin, container } => write!(f, "Place({:?} {container:?})", origin.process),
            Self::Notice(event, notice) => write!(f, "Notice({event:?} {})", notice.name()),
        }
    }
}
