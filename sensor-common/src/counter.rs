//! Kernel-side counters: one slot per cause, per CPU. Nothing the kernel object sees is lost without one of them.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Index into the `COUNTERS` map.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum Counter { $($(#[doc = $doc])+ $variant,)+ }

        impl Counter {
            /// Every counter, in index order.
            pub const ALL: &[Counter] = &[$(Counter::$variant,)+];

            /// Name in metrics and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)+ }
            }

            /// What it counts, as documented here.
            pub const fn help(self) -> &'static str {
                match self { $(Counter::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

counters! {
    /// TLS read and write calls that returned with bytes moved, of watched processes.
    TlsCalls = "tls_calls",
    /// Bytes those calls moved.
    TlsBytes = "tls_bytes",
    /// Socket calls that returned with bytes moved, of watched processes.
    SocketCalls = "socket_calls",
    /// Bytes of socket calls recognised as a plaintext API.
    SocketBytes = "socket_bytes",
    /// Bytes of socket calls left alone because they carry TLS.
    SocketTlsBytes = "socket_tls_bytes",
    /// Bytes of socket calls left alone because no API protocol was recognised.
    SocketUnknownBytes = "socket_unknown_bytes",
    /// Data records written to the ring.
    DataRecords = "data_records",
    /// Payload bytes written to the ring.
    DataBytes = "data_bytes",
    /// Data and gap records lost because the data ring was full.
    RingFullRecords = "ring_full_records",
    /// Payload bytes lost because the data ring was full.
    RingFullBytes = "ring_full_bytes",
    /// Control records lost because the control ring was full.
    ControlRingFull = "control_ring_full",
    /// Bytes beyond the policy limit, marked as a gap.
    LimitBytes = "limit_bytes",
    /// Bytes in pages that were not resident, marked as a gap.
    FaultBytes = "fault_bytes",
    /// Bytes in `iovec` elements beyond those walked, marked as a gap.
    IovecBytes = "iovec_bytes",
    /// Bytes moved out of sight by `sendfile`, `splice` or `io_uring` in a stream that is read, or handed over in another
    /// way than a buffer, marked as a gap.
    UnseenBytes = "unseen_bytes",
    /// Bytes that `io_uring` and other calls past the hooks moved on TCP sockets and that a hook inside the kernel saw.
    BypassSeenBytes = "bypass_seen_bytes",
    /// Bytes that `io_uring` and other calls past the hooks moved on TCP sockets and that nobody saw.
    BypassUnseenBytes = "bypass_unseen_bytes",
    /// Calls without a slot to remember their arguments in.
    NoCallSlot = "no_call_slot",
    /// Processes that should be watched and found no room in the policy map.
    NoPolicySlot = "no_policy_slot",
    /// Calls whose stream found no room in the stream map.
    NoStreamSlot = "no_stream_slot",
    /// Calls of processes without an account of their own; they are in the account of all others.
    NoAccountSlot = "no_account_slot",
    /// TLS calls inside another TLS call of the same thread; only the outermost is emitted.
    NestedCalls = "nested_calls",
    /// TLS calls that began while an earlier one of the thread had not returned and could not enclose it.
    MissedReturns = "missed_returns",
    /// TLS calls that returned with bytes and had begun before the sensor or lost their slot; their bytes are not seen.
    UnmatchedReturns = "unmatched_returns",
    /// Bytes that Go programs gave to a write that then failed; they were captured when it began.
    UnsentBytes = "unsent_bytes",
    /// TLS calls inside which a second socket appeared.
    AmbiguousSockets = "ambiguous_sockets",
    /// Objects imported into TLS (NSS) that found no room in the map of such; their connections are not seen.
    NoImportSlot = "no_import_slot",
    /// Processes whose socket carried TLS before any TLS call of theirs was seen.
    UnhookedProcesses = "unhooked_processes",
    /// Programs started that an exclusion keeps from being watched.
    ExcludedExecs = "excluded_execs",
    /// Programs started that wait for a verdict on their container.
    UndecidedExecs = "undecided_execs",
    /// BIOs made of a descriptor that found no room until a connection was given them.
    NoBioSlot = "no_bio_slot",
    /// Socket calls whose TLS record headers were told, because no TLS stream was known to drive the socket.
    AdjacentCalls = "adjacent_calls",
    /// Of these, those that were not told because the data ring was full.
    AdjacentLost = "adjacent_lost",
}
