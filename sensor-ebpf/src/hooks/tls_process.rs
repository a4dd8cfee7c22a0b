//! Processes whose sockets carry TLS that no probe saw: a library that arrived without a word, a stack that cannot be
//! probed, or probes that never fired. Said once per program.

use sensor_common::counter::Counter;
use sensor_common::record::KIND_UNHOOKED;

use crate::emit;
use crate::maps::TLS_PROCESSES;
use crate::policy::Watched;

/// A TLS call of the process was seen.
const SEEN: u32 = 1;
/// User space was told that none was.
const TOLD: u32 = 2;

/// A TLS call of the process was seen. Not for calls that move bytes: their stream's first call is enough.
#[inline(always)]
pub fn seen(tgid: u32) {
    let _ = TLS_PROCESSES.insert(tgid, SEEN, 0);
}

/// A socket of the process turned out to carry TLS.
#[inline(always)]
pub fn socket_is_tls(watched: Watched) {
    if TLS_PROCESSES.get_ptr(watched.tgid()).is_some() {
        return;
    }
    // BPF_NOEXIST: of two threads one tells.
    if TLS_PROCESSES.insert(watched.tgid(), TOLD, 1).is_ok() {
        emit::count(Counter::UnhookedProcesses, 1);
        emit::process(watched.pid_tgid, KIND_UNHOOKED);
    }
}

/// The program was replaced or ended.
#[inline(always)]
pub fn forget(tgid: u32) {
    let _ = TLS_PROCESSES.remove(tgid);
}
