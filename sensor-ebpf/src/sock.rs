//! From a descriptor of the running task to its socket, by offsets that user space read from the kernel's BTF.

use core::arch::asm;
use core::mem::MaybeUninit;

use aya_ebpf::helpers::bpf_get_current_task;
use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_probe_read_kernel};
use sensor_common::record::Socket;

use crate::copy;
use crate::maps::*;

const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;
const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

const IPPROTO_TCP: u16 = 6;

/// A stream socket.
#[derive(Clone, Copy)]
pub struct Found {
    pub inode: u64,
    pub family: u16,
    sk: u64,
}

impl Found {
    /// Whether it has addresses.
    #[inline(always)]
    fn is_inet(self) -> bool {
        self.family == AF_INET || self.family == AF_INET6
    }

    /// Whether `setsockopt(SOL_TCP, TCP_ULP, "tls")` succeeded: the socket's upper layer protocol is named so.
    #[inline(always)]
    pub fn has_kernel_tls(self) -> bool {
        read::<u64>(self.sk, ICSK_ULP_OPS.load())
            .filter(|ops| *ops != 0)
            .and_then(|ops| read::<u32>(ops, ULP_NAME.load()))
            == Some(u32::from_le_bytes(*b"tls\0"))
    }
}

/// Reads a member of a kernel structure.
#[inline(always)]
pub fn read<T: Copy + Default>(base: u64, offset: u32) -> Option<T> {
    // Not set to zero first: the compiler makes a loop over bytes of that, which the verifier walks each time.
    let mut value = MaybeUninit::<T>::uninit();
    let status = unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            (base + offset as u64) as *const _,
        )
    };
    if status == 0 { Some(unsafe { value.assume_init() }) } else { None }
}

/// Reads a member of a structure that the verifier knows the type of: a plain load, which the kernel lets fail, in
/// place of a helper call of 20 ns. `base` comes from [`task`] or from such a load of a pointer to a structure.
#[inline(always)]
fn load<T: Copy>(base: *const u8, offset: u32) -> T {
    unsafe { base.add(offset as usize).cast::<T>().read_volatile() }
}

/// The running task, as a pointer whose type the verifier knows (Linux 5.11; user space asks for a helper of 5.15).
#[inline(always)]
fn task() -> *const u8 {
    unsafe { bpf_get_current_task_btf() as *const u8 }
}

/// Start of the running process in nanoseconds since boot.
#[inline(always)]
pub fn process_start() -> u64 {
    if HAS_TASK_REGS.load() != 0 {
        let leader: *const u8 = load(task(), TASK_GROUP_LEADER.load());
        return load(leader, TASK_START.load());
    }
    let task = unsafe { bpf_get_current_task() };
    read::<u64>(task, TASK_GROUP_LEADER.load())
        .and_then(|leader| read::<u64>(leader, TASK_START.load()))
        .unwrap_or(0)
}

/// Whether the running thread, which is ending, is the last of its process: the kernel has counted it off already.
#[inline(always)]
pub fn is_last_thread() -> bool {
    let task = unsafe { bpf_get_current_task() };
    read::<u64>(task, TASK_SIGNAL.load()).and_then(|signal| read::<u32>(signal, SIGNAL_LIVE.load())) == Some(0)
}

/// Length and address of the running task's table of descriptors.
#[inline(always)]
fn descriptors() -> Option<(u32, u64)> {
    if HAS_TASK_REGS.load() != 0 {
        let files: *const u8 = load(task(), TASK_FILES.load());
        let table: *const u8 = load(files, FILES_FDT.load());
        return Some((load(table, FDTABLE_MAX.load()), load(table, FDTABLE_FD.load())));
    }
    let task = unsafe { bpf_get_current_task() };
    let files: u64 = read(task, TASK_FILES.load())?;
    let table: u64 = read(files, FILES_FDT.load())?;
    Some((read(table, FDTABLE_MAX.load())?, read(table, FDTABLE_FD.load())?))
}

/// Inode number of the running task's mount namespace, 0 where the kernel's layout is unknown.
#[inline(always)]
pub fn current_mounts() -> u64 {
    if COMMON_INUM.load() == u32::MAX {
        return 0;
    }
    let task = unsafe { bpf_get_current_task() };
    read::<u64>(task, TASK_NSPROXY.load())
        .and_then(|nsproxy| read::<u64>(nsproxy, NSPROXY_MOUNTS.load()))
        .and_then(|mounts| read::<u32>(mounts + MOUNTS_COMMON.load() as u64, COMMON_INUM.load()))
        .unwrap_or(0) as u64
}

/// Inode and device of the running program's file.
#[inline(always)]
pub fn current_exe() -> Option<(u64, u64)> {
    let task = unsafe { bpf_get_current_task() };
    let mm: u64 = read(task, TASK_MM.load())?;
    let file: u64 = read(mm, MM_EXE_FILE.load())?;
    let inode: u64 = read(file, FILE_INODE.load())?;
    let number: u64 = read(inode, INODE_NUMBER.load())?;
    let sb: u64 = read(inode, INODE_SB.load())?;
    let device: u32 = read(sb, SB_DEV.load())?;
    Some((number, device as u64))
}

/// The file behind a descriptor.
#[inline(always)]
fn file(fd: i32) -> Option<u64> {
    let (max, array) = descriptors()?;
    if fd < 0 || fd as u32 >= max {
        return None;
    }
    read(array, (fd as u32).wrapping_mul(8))
}

/// Rounds of eight descriptors looked at for a duplicate: the 1024 that a process may usually have.
const DUPLICATE_ROUNDS: u32 = 128;

/// Whether another descriptor of the process leads to the same open file. References that other processes hold count
/// as none: the stream is this process's view of the socket. Where the table is longer than what is looked at, one is
/// assumed, because a stream ended late harms less than one ended in the middle.
#[inline(always)]
pub fn has_duplicate(fd: i32) -> bool {
    let Some(file) = file(fd) else { return false };
    if read::<u64>(file, FILE_COUNT.load()) == Some(FILE_COUNT_ONE.load()) {
        return false;
    }
    let Some((max, array)) = descriptors() else { return false };
    let (mut round, mut same) = (0, 0_u64);
    while round < DUPLICATE_ROUNDS {
        let first = round * 8;
        if first >= max {
            break;
        }
        // Tables hold a multiple of 64 descriptors (`alloc_fdtable`).
        let Some(others) = read::<[u64; 8]>(array, first * 8) else {
            same = 2;
            break;
        };
        for other in others {
            same += 1 - differs(other, file);
        }
        round += 1;
    }
    // The verifier would walk what follows once for each round ("BPF program is too large").
    let mut counted = (same, max);
    copy::forget_value(&mut counted);
    let (same, max) = counted;
    // One of them is the descriptor itself.
    same > 1 || max > DUPLICATE_ROUNDS * 8
}

/// 1 when they differ and 0 when not, without a branch: eight of them in a round are more than the verifier keeps track
/// of ("The sequence of 8193 jumps is too complex").
#[inline(always)]
fn differs(a: u64, b: u64) -> u64 {
    let difference = a ^ b;
    let sign: u64;
    // Not in Rust: the compiler sees that this asks whether they differ, and makes a branch of it.
    unsafe {
        asm!(
            "{sign} = {difference}",
            "{sign} = -{sign}",
            "{sign} |= {difference}",
            "{sign} >>= 63",
            sign = out(reg) sign,
            difference = in(reg) difference,
        );
    }
    sign
}

/// The `struct sock` behind a descriptor that is known to be a socket.
#[inline(always)]
pub fn sk_of(fd: i32) -> Option<u64> {
    let socket: u64 = read(file(fd)?, FILE_PRIVATE.load())?;
    read(socket, SOCKET_SK.load())
}

/// Whether a `struct sock` is one of TCP.
#[inline(always)]
pub fn is_tcp(sk: u64) -> bool {
    matches!(read::<u16>(sk, SK_FAMILY.load()), Some(AF_INET | AF_INET6))
        && read::<u16>(sk, SK_PROTOCOL.load()) == Some(IPPROTO_TCP)
}

/// The TCP socket of a `struct sock`.
#[inline(always)]
pub fn of_sk(sk: u64) -> Option<Found> {
    let family: u16 = read(sk, SK_FAMILY.load())?;
    let socket: u64 = read(sk, SK_SOCKET.load())?;
    let file: u64 = read(socket, SOCKET_FILE.load())?;
    let inode: u64 = read(file, FILE_INODE.load())?;
    Some(Found { inode: read(inode, INODE_NUMBER.load())?, family, sk })
}

/// Flags of the running task.
#[inline(always)]
pub fn task_flags() -> u32 {
    read(unsafe { bpf_get_current_task() }, TASK_FLAGS.load()).unwrap_or(0)
}

/// The socket behind a descriptor: inode number and `struct socket`.
#[inline(always)]
fn socket_of(fd: i32) -> Option<(u64, u64)> {
    let file = file(fd)?;
    let inode: u64 = read(file, FILE_INODE.load())?;
    let mode: u16 = read(inode, INODE_MODE.load())?;
    if mode & S_IFMT != S_IFSOCK {
        return None;
    }
    let number: u64 = read(inode, INODE_NUMBER.load())?;
    let socket: u64 = read(file, FILE_PRIVATE.load())?;
    Some((number, socket))
}

/// The stream socket behind a descriptor; nothing for files, pipes and datagram sockets.
#[inline(always)]
pub fn find(fd: i32) -> Option<Found> {
    let (number, socket) = socket_of(fd)?;
    let kind: u16 = read(socket, SOCKET_TYPE.load())?;
    if kind != SOCK_STREAM {
        return None;
    }
    let sk: u64 = read(socket, SOCKET_SK.load())?;
    let family: u16 = read(sk, SK_FAMILY.load())?;
    (family == AF_INET || family == AF_INET6 || family == AF_UNIX).then_some(Found { inode: number, family, sk })
}

/// Whether a descriptor is a datagram socket with a network peer.
#[inline(always)]
pub fn is_datagram(fd: i32) -> bool {
    let family = || {
        let (_, socket) = socket_of(fd)?;
        let kind: u16 = read(socket, SOCKET_TYPE.load())?;
        if kind != SOCK_DGRAM {
            return None;
        }
        read::<u16>(read::<u64>(socket, SOCKET_SK.load())?, SK_FAMILY.load())
    };
    matches!(family(), Some(AF_INET | AF_INET6))
}

/// Writes addresses and ports of a found socket into a record. Fields that cannot be read stay zero.
///
/// # Safety
/// `out` points to a whole, writable [`Socket`].
#[inline(always)]
pub unsafe fn describe(found: Found, fd: i32, role: u16, out: *mut Socket) {
    (*out).inode = found.inode;
    (*out).fd = fd;
    (*out).family = found.family;
    (*out).role = role;
    (*out).reserved = 0;
    (&raw mut (*out).local).cast::<[u64; 2]>().write([0; 2]);
    (&raw mut (*out).remote).cast::<[u64; 2]>().write([0; 2]);
    (*out).local_port = 0;
    (*out).remote_port = 0;
    if !found.is_inet() {
        return;
    }
    (*out).local_port = read::<u16>(found.sk, SK_NUM.load()).unwrap_or(0);
    (*out).remote_port = u16::from_be(read::<u16>(found.sk, SK_DPORT.load()).unwrap_or(0));
    let (local, remote, length) = if found.family == AF_INET {
        (SK_RCV_SADDR.load(), SK_DADDR.load(), 4)
    } else {
        (SK_V6_RCV_SADDR.load(), SK_V6_DADDR.load(), 16)
    };
    bpf_probe_read_kernel((&raw mut (*out).local).cast(), length, (found.sk + local as u64) as *const _);
    bpf_probe_read_kernel((&raw mut (*out).remote).cast(), length, (found.sk + remote as u64) as *const _);
}
