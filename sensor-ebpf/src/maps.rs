//! Every map and every global that user space sets. Only kinds that Linux 5.8 has.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf};
use sensor_common::account::{AccountKey, ENTRIES, MAX_ACCOUNTS};
use sensor_common::counter::Counter;
use sensor_common::policy::{CGROUP_SLOTS, CgroupFilter, ExeKey, Place};
use sensor_common::record::ProcessBytes;

use crate::hooks::adjacent::Settled;
use crate::hooks::bio::{BioKey, BioSocket};
use crate::hooks::kernel_socket::KernelCall;
use crate::hooks::go::{GoCall, GoKey};
use crate::hooks::rustls::Places;
use crate::hooks::tls_call::TlsCall;
use crate::stream::{StreamKey, StreamState};

/// Payload and gaps. Size set by user space.
#[map]
pub static DATA: RingBuf = RingBuf::with_byte_size(16 << 20, 0);
/// Everything else, so that a flood of payload cannot push it out.
#[map]
pub static CONTROL: RingBuf = RingBuf::with_byte_size(1 << 20, 0);
/// Process id to policy.
#[map]
pub static POLICY: HashMap<u32, u32> = HashMap::with_max_entries(32_768, 0);
/// Rules for task names at exec.
#[map]
pub static WATCH_COMM: HashMap<[u8; 16], u32> = HashMap::with_max_entries(256, 0);
/// Rules for executables at exec.
#[map]
pub static WATCH_EXE: HashMap<ExeKey, u32> = HashMap::with_max_entries(256, 0);
/// Rules for cgroups at exec.
#[map]
pub static WATCH_CGROUP: Array<CgroupFilter> = Array::with_max_entries(CGROUP_SLOTS, 0);
/// Places that user space has judged. One that is evicted is asked about again.
#[map]
pub static PLACES: LruHashMap<Place, u32> = LruHashMap::with_max_entries(8192, 0);
/// What is known of the TLS of a process; see `tls_process`.
#[map]
pub static TLS_PROCESSES: LruHashMap<u32, u32> = LruHashMap::with_max_entries(16_384, 0);
/// One slot per [`Counter`].
#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counter::ALL.len() as u32, 0);
/// The account of each process that moved bytes, and of all others under the key of zeros, which user space makes.
#[map]
pub static ACCOUNTS: HashMap<AccountKey, [u64; ENTRIES]> = HashMap::with_max_entries(MAX_ACCOUNTS, 0);
/// One account of zeros: a new one is copied from here, since it would take half of a program's stack.
#[map]
pub static BLANK_ACCOUNT: Array<[u64; ENTRIES]> = Array::with_max_entries(1, 0);
/// The outermost TLS call of each thread.
#[map]
pub static TLS_CALLS: HashMap<u64, TlsCall> = HashMap::with_max_entries(16_384, 0);
/// The outermost TLS call of each goroutine. A server has one that waits in a read for every open connection, so this
/// map is as large as that of streams, and goes as that one does when it is full. Size set by user space.
#[map]
pub static GO_CALLS: LruHashMap<GoKey, GoCall> = LruHashMap::with_max_entries(32_768, 0);
/// Where rustls keeps its buffers inside a connection's state, by process: the same for every connection.
#[map]
pub static RUSTLS_PLACES: LruHashMap<u32, Places> = LruHashMap::with_max_entries(4096, 0);
/// The connection state that each thread was last seen with.
#[map]
pub static RUSTLS_STATES: LruHashMap<u64, u64> = LruHashMap::with_max_entries(16_384, 0);
/// Positions and verdicts of streams.
#[map]
pub static STREAMS: LruHashMap<StreamKey, StreamState> = LruHashMap::with_max_entries(32_768, 0);
/// Calls inside the kernel's TCP that came past the system call hooks and have not returned, by thread. A thread is in
/// one at a time, and few threads use `io_uring`.
#[map]
pub static KERNEL_CALLS: HashMap<u64, KernelCall> = HashMap::with_max_entries(4096, 0);
/// Bytes of each process on TCP sockets, by process id; see [`ProcessBytes`].
#[map]
pub static PROCESS_BYTES: LruHashMap<u32, ProcessBytes> = LruHashMap::with_max_entries(8192, 0);

/// Objects that an import call returned, by process: NSS serves TLS and files by the same functions.
#[map]
pub static IMPORTED: HashMap<StreamKey, u32> = HashMap::with_max_entries(16_384, 0);
/// BIOs made of a descriptor and not yet given to a connection.
#[map]
pub static BIOS: LruHashMap<BioKey, BioSocket> = LruHashMap::with_max_entries(4096, 0);
/// Descriptor that a thread is making a BIO of.
#[map]
pub static NEW_BIOS: LruHashMap<u64, i32> = LruHashMap::with_max_entries(1024, 0);
/// Processes with a TLS stream that no socket is known of.
#[map]
pub static UNBOUND: LruHashMap<u32, u32> = LruHashMap::with_max_entries(4096, 0);
/// Sockets whose TLS stream user space found out, until the kernel object takes note.
#[map]
pub static SETTLED: LruHashMap<StreamKey, Settled> = LruHashMap::with_max_entries(8192, 0);

/// Programs to go on in: none. See `hooks::kernel_stack`.
#[map]
pub static NOWHERE: ProgramArray = ProgramArray::with_max_entries(1, 0);

macro_rules! globals {
    ($($(#[$doc:meta])+ $name:ident: $type:ty = $value:expr;)+) => {$(
        $(#[$doc])+
        #[unsafe(no_mangle)]
        pub static $name: Global<$type> = Global::new($value);
    )+};
}

// Offsets come from the running kernel's BTF and tracefs; u32::MAX would be refused by user space at load, so the
// defaults never run.
globals! {
    /// Result in a `sys_exit_*` record.
    SYS_EXIT_RET: u32 = 16;
    /// Whether the kernel has `bpf_task_pt_regs` (Linux 5.15).
    HAS_TASK_REGS: u32 = 0;
    /// Whether probes are told which function they are at by the kernel (Linux 5.15).
    HAS_COOKIE: u32 = 0;
    /// Which function this copy of a program is for, where the kernel does not say.
    FIXED_COOKIE: u64 = 0;
    /// Whether raw tracepoints may ask for an ancestor's cgroup id (Linux 5.17).
    HAS_ANCESTOR_CGROUP: u32 = 0;
    /// task_struct.cgroups
    TASK_CGROUPS: u32 = 0;
    /// css_set.dfl_cgrp
    CSS_SET_DFL_CGRP: u32 = 0;
    /// cgroup.level
    CGROUP_LEVEL: u32 = 0;
    /// cgroup.ancestor_ids, until Linux 6.0
    CGROUP_ANCESTOR_IDS: u32 = 0;
    /// task_struct.stack
    TASK_STACK: u32 = 0;
    /// task_struct.pid
    TASK_PID: u32 = 0;
    /// task_struct.tgid
    TASK_TGID: u32 = 0;
    /// task_struct.signal
    TASK_SIGNAL: u32 = 0;
    /// signal_struct.live
    SIGNAL_LIVE: u32 = 0;
    /// task_struct.files
    TASK_FILES: u32 = 0;
    /// task_struct.group_leader
    TASK_GROUP_LEADER: u32 = 0;
    /// task_struct.start_boottime
    TASK_START: u32 = 0;
    /// task_struct.mm
    TASK_MM: u32 = 0;
    /// mm_struct.exe_file
    MM_EXE_FILE: u32 = 0;
    /// files_struct.fdt
    FILES_FDT: u32 = 0;
    /// fdtable.fd
    FDTABLE_FD: u32 = 0;
    /// fdtable.max_fds
    FDTABLE_MAX: u32 = 0;
    /// file.f_inode
    FILE_INODE: u32 = 0;
    /// file.private_data
    FILE_PRIVATE: u32 = 0;
    /// inode.i_mode
    INODE_MODE: u32 = 0;
    /// inode.i_ino
    INODE_NUMBER: u32 = 0;
    /// inode.i_sb
    INODE_SB: u32 = 0;
    /// super_block.s_dev
    SB_DEV: u32 = 0;
    /// task_struct.flags
    TASK_FLAGS: u32 = 0;
    /// file.f_ref (Linux 6.13) or file.f_count
    FILE_COUNT: u32 = 0;
    /// What it holds while there is one reference: `f_ref` counts from 0, `f_count` from 1.
    FILE_COUNT_ONE: u64 = 1;
    /// sock.sk_socket
    SK_SOCKET: u32 = 0;
    /// sock.sk_protocol
    SK_PROTOCOL: u32 = 0;
    /// socket.file
    SOCKET_FILE: u32 = 0;
    /// msghdr.msg_iter
    MSG_ITER: u32 = 0;
    /// iov_iter.iter_type (Linux 5.14), or iov_iter.type, which holds the direction in its lowest bit
    ITER_TYPE: u32 = 0;
    /// Bits of it that are the type.
    ITER_TYPE_MASK: u32 = 0;
    /// iov_iter.iov_offset
    ITER_OFFSET: u32 = 0;
    /// iov_iter.__iov (Linux 6.4) or iov_iter.iov
    ITER_IOV: u32 = 0;
    /// iov_iter.nr_segs
    ITER_SEGMENTS: u32 = 0;
    /// iov_iter.ubuf (Linux 6.0)
    ITER_BUFFER: u32 = 0;
    /// Enumerator ITER_IOVEC.
    ITER_IS_IOVEC: u32 = 0;
    /// Enumerator ITER_UBUF (Linux 6.0); `u32::MAX` where there is none.
    ITER_IS_BUFFER: u32 = 0xffff_ffff;
    /// Arguments of tcp_recvmsg: 5, or (before Linux 5.19, with `nonblock`) 6.
    RECEIVE_ARGS: u32 = 5;
    /// socket.type
    SOCKET_TYPE: u32 = 0;
    /// socket.sk
    SOCKET_SK: u32 = 0;
    /// sock_common.skc_family
    SK_FAMILY: u32 = 0;
    /// sock_common.skc_dport
    SK_DPORT: u32 = 0;
    /// sock_common.skc_num
    SK_NUM: u32 = 0;
    /// sock_common.skc_daddr
    SK_DADDR: u32 = 0;
    /// sock_common.skc_rcv_saddr
    SK_RCV_SADDR: u32 = 0;
    /// sock_common.skc_v6_daddr
    SK_V6_DADDR: u32 = 0;
    /// sock_common.skc_v6_rcv_saddr
    SK_V6_RCV_SADDR: u32 = 0;
    /// inet_connection_sock.icsk_ulp_ops
    ICSK_ULP_OPS: u32 = 0;
    /// tcp_ulp_ops.name
    ULP_NAME: u32 = 0;
    /// Payload bytes per message direction; `u64::MAX` lifts the limit.
    MESSAGE_LIMIT: u64 = 65_536;
    /// Whether user space writes an entry for everyone.
    HAS_EVERYONE: u32 = 0;
    /// Whether a rule excludes anything.
    HAS_EXCLUSIONS: u32 = 0;
    /// Whether a rule speaks of containers.
    HAS_PLACES: u32 = 0;
    /// Whether a rule asks for containers: then every place matters, not only those of processes asked for otherwise.
    HAS_WANTED_PLACES: u32 = 0;
    /// task_struct.nsproxy
    TASK_NSPROXY: u32 = 0;
    /// nsproxy.mnt_ns
    NSPROXY_MOUNTS: u32 = 0;
    /// mnt_namespace.ns
    MOUNTS_COMMON: u32 = 0;
    /// ns_common.inum
    COMMON_INUM: u32 = 0;
    /// Nothing sets it.
    NEVER: u32 = 0;
    /// Payload bytes per call.
    CALL_LIMIT: u64 = 1 << 20;
    /// Bytes waiting in the data ring from which the reader is woken.
    WAKE_BYTES: u64 = 262_144;
}
