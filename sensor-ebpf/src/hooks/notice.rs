//! Ways out of the sensor's sight: io_uring, QUIC, and TLS in the kernel. Each is said once per process.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use sensor_common::account::{Entry, notice};

use crate::account::{self, Account};
use crate::copy::{self, Memory};
use crate::emit;
use crate::policy::{self, Watched};
use crate::sock::{self, Found};
use crate::stream::{StreamKey, StreamState};

/// Says it unless it was said.
#[inline(always)]
fn tell(account: Account, what: u16) {
    let told = account.value(Entry::Notices);
    if told & what as u64 == 0 {
        account.set(Entry::Notices, told | what as u64);
        emit::notice(bpf_get_current_pid_tgid(), what);
    }
}

/// A process made an `io_uring`.
#[inline(always)]
pub fn io_uring() {
    let Some(watched) = policy::watched() else { return };
    if let Some(account) = account::of(sock::process_start(), watched.tgid()) {
        tell(account, notice::IO_URING);
    }
}

/// A datagram was sent. The first QUIC packet of a connection has a long header, which names its version (RFC 9000,
/// 17.2); later ones cannot be told from anything else, so from then on every datagram of the process is counted.
#[inline(always)]
pub fn datagram(watched: Watched, fd: i32, memory: Memory, moved: u64) {
    if !sock::is_datagram(fd) {
        return;
    }
    let Some(account) = account::of(sock::process_start(), watched.tgid()) else { return };
    if account.value(Entry::Notices) & notice::QUIC as u64 == 0 {
        if !has_long_header(memory, moved) {
            return;
        }
        tell(account, notice::QUIC);
    }
    account.add(Entry::DatagramCalls, 1);
    account.add(Entry::DatagramBytes, moved);
}

/// Header form and fixed bit set, a version that exists, and a connection id of at most 20 bytes: version 1 (RFC
/// 9000), version 2 (RFC 9369) or a draft (0xff0000xx).
#[inline(always)]
fn has_long_header(memory: Memory, moved: u64) -> bool {
    if moved < 8 {
        return false;
    }
    let base = if memory.iov_left > 0 {
        match copy::user::<[u64; 2]>(memory.iov) {
            Some([base, length]) if length >= 8 => base,
            _ => return false,
        }
    } else {
        memory.base
    };
    let Some(first) = copy::user::<u64>(base) else { return false };
    let version = ((first >> 8) as u32).swap_bytes();
    first & 0xc0 == 0xc0
        && (version == 1 || version == 0x6b33_43cf || version >> 8 == 0x00ff_0000)
        && (first >> 40) as u8 <= 20
}

/// A call on a socket that carries TLS, outside of any TLS call. Looks whether the kernel does the encryption, at the
/// first, second, fourth, ... of them: it is switched on behind the handshake, and a look at each would be felt.
#[inline(always)]
pub fn cipher(key: &StreamKey, state: &mut StreamState, found: Found) {
    // Nothing of such a stream is captured, so its run is free for counting.
    let calls = state.run[0].wrapping_add(1);
    state.run[0] = calls;
    if calls & calls.wrapping_sub(1) == 0
        && found.has_kernel_tls()
        && let Some(account) = account::of(key.process_start, key.tgid)
    {
        tell(account, notice::KTLS);
    }
}
