//! The account of one process: what its hooked calls moved and what became of each byte, in one map value.
//!
//! Two equations hold for every account, in the kernel object, at any moment between two calls:
//! calls fired are calls captured, marked as a gap or filtered, and so are bytes. User space checks both.

/// Key of an account. All padding is explicit: the kernel hashes every byte.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct AccountKey {
    /// Start of the process in nanoseconds since boot.
    pub start_ns: u64,
    /// Process id in the initial namespace.
    pub tgid: u32,
    /// Zero.
    pub reserved: u32,
}

/// The account of every process for which there was no room. No process has id 0 in user space.
pub const OTHERS: AccountKey = AccountKey {
    start_ns: 0,
    tgid: 0,
    reserved: 0,
};

/// Accounts the kernel object keeps at most; user space takes those of ended processes out every second. A host runs
/// at most 32,768 processes by default (`kernel.pid_max`), of which few talk.
pub const MAX_ACCOUNTS: u32 = 4096;

macro_rules! entries {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $unit:ident;)+) => {
        /// Index into an account.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub enum Entry { $($(#[doc = $doc])+ $variant,)+ }

        impl Entry {
            /// Every entry, in index order.
            pub const ALL: &[Entry] = &[$(Entry::$variant,)+];

            /// Name in metrics and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Entry::$variant => $name,)+ }
            }

            /// What it counts, as documented here.
            pub const fn help(self) -> &'static str {
                match self { $(Entry::$variant => concat!($($doc),+),)+ }
            }

            /// What one of it is.
            pub const fn unit(self) -> Unit {
                match self { $(Entry::$variant => Unit::$unit,)+ }
            }
        }
    };
}

/// What an [`Entry`] counts in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Calls of functions or of the system.
    Calls,
    /// Bytes of payload.
    Bytes,
    /// Records of the ring.
    Records,
    /// Nanoseconds of the monotonic clock.
    Time,
    /// Bits of [`notice`].
    Bits,
}

entries! {
    /// Calls of TLS libraries that moved bytes.
    TlsCalls = "tls_calls", Calls;
    /// Bytes those calls moved.
    TlsBytes = "tls_bytes", Bytes;
    /// Calls that moved bytes on stream sockets with a network peer, outside of any TLS call.
    SocketCalls = "socket_calls", Calls;
    /// Bytes those calls moved.
    SocketBytes = "socket_bytes", Bytes;
    /// Calls of which every byte was submitted to the ring.
    WholeCalls = "whole_calls", Calls;
    /// Calls of which bytes are missing, for the reasons that the bytes name.
    PartCalls = "part_calls", Calls;
    /// Calls left alone because the socket carries TLS.
    CipherCalls = "cipher_calls", Calls;
    /// Calls left alone because no API protocol was recognised.
    UnknownCalls = "unknown_calls", Calls;
    /// Bytes submitted to the ring.
    SubmittedBytes = "submitted_bytes", Bytes;
    /// Bytes lost because the data ring was full.
    RingFullBytes = "ring_full_bytes", Bytes;
    /// Bytes in pages that were not resident.
    FaultBytes = "fault_bytes", Bytes;
    /// Bytes beyond the policy's limit.
    LimitBytes = "limit_bytes", Bytes;
    /// Bytes in `iovec` elements beyond those walked.
    IovecBytes = "iovec_bytes", Bytes;
    /// Bytes moved inside the kernel, which no buffer of the process held.
    UnseenBytes = "unseen_bytes", Bytes;
    /// Bytes of streams for which the stream map had no room.
    NoStreamBytes = "no_stream_bytes", Bytes;
    /// Bytes left alone because the socket carries TLS.
    CipherBytes = "cipher_bytes", Bytes;
    /// Bytes left alone because no API protocol was recognised.
    UnknownBytes = "unknown_bytes", Bytes;
    /// Data and gap records lost because the data ring was full.
    RingFullRecords = "ring_full_records", Records;
    /// Datagrams sent since the process was seen to speak QUIC.
    DatagramCalls = "datagram_calls", Calls;
    /// Bytes in those datagrams.
    DatagramBytes = "datagram_bytes", Bytes;
    /// When a TLS call last moved bytes.
    LastTlsNs = "last_tls_ns", Time;
    /// When a socket call last moved bytes.
    LastSocketNs = "last_socket_ns", Time;
    /// What was noticed of the process.
    Notices = "notices", Bits;
}

/// Entries of an account.
pub const ENTRIES: usize = Entry::ALL.len();

/// What was noticed of a process: `detail` of [`KIND_NOTICE`](crate::record::KIND_NOTICE), and bits of
/// [`Entry::Notices`].
pub mod notice {
    /// It made an `io_uring`.
    pub const IO_URING: u16 = 1;
    /// It sent a QUIC packet with a long header.
    pub const QUIC: u16 = 1 << 1;
    /// The kernel encrypts one of its sockets.
    pub const KTLS: u16 = 1 << 2;
}

const _: () = {
    assert!(size_of::<AccountKey>() == 16);
};
