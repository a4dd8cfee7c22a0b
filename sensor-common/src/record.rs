//! Records: what the kernel object writes into its two rings.
//!
//! `DATA` carries [`StreamRecord`]s of kind [`KIND_DATA`] (followed by `captured` bytes of payload) and
//! [`KIND_GAP`]. `CONTROL` carries the rest, so that a flood of payload cannot push out life-cycle records.
//! User space reads fields at the offsets these layouts define and checks every one; it never casts.

use core::mem::{offset_of, size_of};

/// First two bytes of each record.
pub const MAGIC: u16 = 0xA51E;
/// Version of these layouts; user space refuses any other.
pub const VERSION: u8 = 1;

/// Payload that an application read or wrote; after the header and `detail` further bytes, `captured` bytes follow.
pub const KIND_DATA: u8 = 1;
/// `call_len` bytes at `position` that were moved by the application and not captured; `detail` says why.
pub const KIND_GAP: u8 = 2;
/// A TLS stream was seen driving a socket; `detail` is the evidence.
pub const KIND_BIND: u8 = 3;
/// A socket was accepted or connected.
pub const KIND_OPEN: u8 = 4;
/// A stream ended; `detail` says how.
pub const KIND_CLOSE: u8 = 5;
/// A watched process replaced its program.
pub const KIND_EXEC: u8 = 6;
/// A watched process ended.
pub const KIND_EXIT: u8 = 7;
/// A watched process mapped a file as executable, so a library may have arrived.
pub const KIND_MAP: u8 = 8;
/// A socket call carried TLS records that no TLS stream is known to drive; the layout is [`IoRecord`].
pub const KIND_IO: u8 = 9;
/// Something was noticed of a watched process that the sensor cannot see through; `detail` is one of
/// [`notice`](crate::account::notice). Once per process and thing.
pub const KIND_NOTICE: u8 = 11;

/// A socket of a watched process turned out to carry TLS, and no TLS call of that process was ever seen.
pub const KIND_UNHOOKED: u8 = 12;
/// A process runs in a place that user space has to judge; it is left alone until then.
pub const KIND_UNDECIDED: u8 = 13;
/// A watched process closed many descriptors at once (`close_range`): user space looks at what is left.
pub const KIND_CLOSED_MANY: u8 = 14;
/// A watched process moved bytes on TCP sockets past every hook: for the first time, or in all by its end; `detail`
/// is one of [`unseen`].
pub const KIND_UNSEEN: u8 = 10;

/// The application wrote the bytes; otherwise it read them.
pub const FLAG_WRITE: u16 = 1;
/// A second socket was seen inside one TLS call: the binding cannot be trusted.
pub const FLAG_AMBIGUOUS: u16 = 1 << 1;
/// TLS early data: sent before the handshake ended, and perhaps a replay (RFC 8446, 8).
pub const FLAG_EARLY: u16 = 1 << 2;

/// Why bytes became a gap (`detail` of [`KIND_GAP`]).
pub mod gap {
    /// Beyond the policy's bytes per message direction, or the chunks one call may emit.
    pub const LIMIT: u16 = 1;
    /// The page was not resident (`bpf_probe_read_user` does not fault pages in).
    pub const FAULT: u16 = 2;
    /// More `iovec` elements than one call may walk, or an element that could not be read.
    pub const IOVECS: u16 = 3;
    /// Moved inside the kernel (`sendfile`, `splice`), or handed over in another way than a buffer.
    pub const UNSEEN: u16 = 4;
    /// Moved by a call that no system call hook sees (`io_uring`), on a kernel without a source that does.
    pub const BYPASS: u16 = 5;
}

/// What a binding rests on (`detail` of [`KIND_BIND`]).
pub mod evidence {
    /// `SSL_set_fd` or one of its siblings named the descriptor.
    pub const SET_FD: u16 = 1;
    /// A socket system call ran inside a TLS call of the same thread.
    pub const NESTED_SYSCALL: u16 = 2;
    /// The program gave its transport functions a number, and it is the descriptor of a socket.
    pub const TRANSPORT: u16 = 6;
    /// `SSL_set_bio` or a sibling gave the stream a BIO that `BIO_new_socket` had made of a descriptor.
    pub const SET_BIO: u16 = 3;
    /// Lengths of TLS records at the socket are those of the calls next to them. User space concludes it.
    pub const ADJACENT: u16 = 4;
    /// The connection object of Go's runtime names the descriptor.
    pub const RUNTIME_CONN: u16 = 5;
}

/// Past the hooks by what (`detail` of [`KIND_UNSEEN`]).
pub mod unseen {
    /// `io_uring`: inside `io_uring_enter`, or in one of its worker threads.
    pub const IO_URING: u16 = 1;
    /// Another call, such as `preadv2`, or work that `io_uring` left to the end of some other system call.
    pub const OTHER: u16 = 2;
}

/// How a stream ended (`detail` of [`KIND_CLOSE`]).
pub mod close {
    /// `close(2)` of the socket.
    pub const SOCKET: u16 = 1;
    /// `SSL_shutdown`: this side sends no more.
    pub const SHUTDOWN: u16 = 2;
    /// `SSL_free`: the pointer may be reused from here on.
    pub const FREE: u16 = 3;
}

/// What [`StreamRef::id`] is.
pub mod source {
    /// The address of the TLS library's connection object.
    pub const TLS: u32 = 1;
    /// The inode number of the socket.
    pub const SOCKET: u32 = 2;
}

/// Which end of the connection a process is, as far as the kernel saw it.
pub mod role {
    /// Neither `accept` nor `connect` was seen.
    pub const UNKNOWN: u16 = 0;
    /// The socket came from `accept`.
    pub const SERVER: u16 = 1;
    /// The socket was given to `connect`.
    pub const CLIENT: u16 = 2;
}

/// Common front of every record.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u16,
    /// [`VERSION`].
    pub version: u8,
    /// One of the `KIND_` numbers.
    pub kind: u8,
    /// `FLAG_` bits.
    pub flags: u16,
    /// A reason whose meaning depends on the kind.
    pub detail: u16,
    /// `bpf_ktime_get_ns`: nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// Start of the process in nanoseconds since boot, 0 when the kernel's layout is unknown; guards against
    /// reuse of process ids.
    pub process_start_ns: u64,
    /// Process id in the initial namespace.
    pub tgid: u32,
    /// Thread id in the initial namespace.
    pub tid: u32,
    /// Id of the task's cgroup in the unified hierarchy.
    pub cgroup: u64,
}

/// Names a stream within its process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct StreamRef {
    /// Address of the TLS object, or inode number of the socket; see [`source`].
    pub id: u64,
    /// Told apart from an earlier stream of the same id.
    pub generation: u32,
    /// One of [`source`].
    pub source: u32,
}

/// Layout of [`KIND_DATA`] and [`KIND_GAP`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct StreamRecord {
    /// Common front.
    pub header: Header,
    /// The stream.
    pub stream: StreamRef,
    /// Bytes this direction had carried before this record, lost ones included.
    pub position: u64,
    /// Inode of the bound socket, 0 while none is known.
    pub socket: u64,
    /// Bytes the application moved in this call (data), or bytes missing (gap).
    pub call_len: u32,
    /// Bytes of payload that follow.
    pub captured: u32,
}

/// Layout of [`KIND_CLOSE`]. The final positions make bytes lost at the very end of a stream visible.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CloseRecord {
    /// Common front.
    pub header: Header,
    /// The stream.
    pub stream: StreamRef,
    /// Bytes read through the stream in all.
    pub read_bytes: u64,
    /// Bytes written through the stream in all.
    pub write_bytes: u64,
}

/// A socket as the kernel describes it. Addresses are in network order, IPv4 in the first four bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Socket {
    /// Inode number, as in `/proc/PID/fd` and `/proc/net/tcp`.
    pub inode: u64,
    /// Local address.
    pub local: [u8; 16],
    /// Remote address.
    pub remote: [u8; 16],
    /// Descriptor at the time, or -1.
    pub fd: i32,
    /// `AF_INET` (2), `AF_INET6` (10) or `AF_UNIX` (1).
    pub family: u16,
    /// One of [`role`].
    pub role: u16,
    /// Local port, host order.
    pub local_port: u16,
    /// Remote port, host order.
    pub remote_port: u16,
    /// Zero.
    pub reserved: u32,
}

/// Layout of [`KIND_BIND`] and [`KIND_OPEN`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SocketRecord {
    /// Common front.
    pub header: Header,
    /// The stream the socket belongs to.
    pub stream: StreamRef,
    /// The socket.
    pub socket: Socket,
}

/// Layout of [`KIND_EXEC`], [`KIND_EXIT`], [`KIND_MAP`], [`KIND_NOTICE`], [`KIND_UNHOOKED`], [`KIND_UNDECIDED`] and
/// [`KIND_CLOSED_MANY`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ProcessRecord {
    /// Common front.
    pub header: Header,
    /// `comm` of the task, padded with zero bytes.
    pub comm: [u8; 16],
}

/// Layout of [`KIND_UNSEEN`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UnseenRecord {
    /// Common front.
    pub header: Header,
    /// `comm` of the task, padded with zero bytes.
    pub comm: [u8; 16],
    /// The process's bytes so far.
    pub bytes: ProcessBytes,
}

/// Bytes of a process on TCP sockets: value of the map `PROCESS_BYTES`, whose key is the process id. Filled where the
/// kernel has `sock:sock_send_length` (Linux 6.3) and user space asked for it; ciphertext counts like plaintext.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ProcessBytes {
    /// Sent by any call.
    pub sent_all: u64,
    /// Received by any call but `splice`.
    pub received_all: u64,
    /// Of these, sent past every hook.
    pub sent_unseen: u64,
    /// Of these, received past every hook.
    pub received_unseen: u64,
}

/// Headers of TLS records that one [`IoRecord`] lists: a read of 64 KiB, which event loops do, holds four full ones.
pub const IO_RECORDS: usize = 8;

/// Layout of [`KIND_IO`]. What the ciphertext of one socket call tells without being copied: the headers (RFC 8446,
/// 5.1) of the records that begin in it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IoRecord {
    /// Common front.
    pub header: Header,
    /// The socket.
    pub stream: StreamRef,
    /// Bytes the call moved.
    pub moved: u32,
    /// Entries of `records` that are set.
    pub count: u32,
    /// Content type << 16 | length, in the order of the call.
    pub records: [u32; IO_RECORDS],
}

const _: () = {
    assert!(size_of::<IoRecord>() == 96);
    assert!(offset_of!(IoRecord, records) == 64);
    assert!(size_of::<ProcessBytes>() == 32);
    assert!(size_of::<UnseenRecord>() == 88);
    assert!(size_of::<Header>() == 40);
    assert!(size_of::<StreamRef>() == 16);
    assert!(size_of::<StreamRecord>() == 80);
    assert!(offset_of!(StreamRecord, position) == 56);
    assert!(offset_of!(StreamRecord, captured) == 76);
    assert!(size_of::<CloseRecord>() == 72);
    assert!(size_of::<Socket>() == 56);
    assert!(offset_of!(Socket, fd) == 40);
    assert!(size_of::<SocketRecord>() == 112);
    assert!(size_of::<ProcessRecord>() == 56);
};
