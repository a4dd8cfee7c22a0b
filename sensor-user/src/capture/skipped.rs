//! Runs of the kernel object's programs that the kernel left out: what they would have told is lost without a hole.
//!
//! Takes loaded programs. Gives a sum. The kernel leaves a tracepoint's or kprobe's program out while another one, or a
//! bpf(2) call on a map, is under way on the same processor (`trace_call_bpf`, `bpf_disable_instrumentation`); where it
//! preempts, that may be another task's. It counts them since Linux 5.12 (commit 9ed9e9ba2337); before, the sum is 0.

use std::mem::offset_of;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use aya::Ebpf;
use aya_obj::generated::bpf_prog_info;

use super::attach::multi::command;

/// `BPF_OBJ_GET_INFO_BY_FD` (`include/uapi/linux/bpf.h`).
const OBJ_GET_INFO_BY_FD: i64 = 15;

/// `struct` of that command in `union bpf_attr`.
#[repr(C)]
struct InfoRequest {
    fd: u32,
    length: u32,
    info: u64,
}

/// Reads the sum over all programs; for any thread.
#[derive(Clone, Debug, Default)]
pub struct SkippedReader(Arc<Vec<(String, OwnedFd)>>);

impl SkippedReader {
    /// Of the programs that are loaded now, by aya and past it.
    pub fn new(object: &Ebpf, others: &[(&'static str, OwnedFd)]) -> Self {
        let copy = |name: &str, fd: BorrowedFd<'_>| Some((name.to_owned(), fd.try_clone_to_owned().ok()?));
        let descriptors = object
            .programs()
            .filter_map(|(name, program)| copy(name, program.fd().ok()?.as_fd()))
            .chain(others.iter().filter_map(|(name, fd)| copy(name, fd.as_fd())));
        Self(Arc::new(descriptors.collect()))
    }

    /// Runs left out since the start.
    pub fn value(&self) -> u64 {
        self.by_program().map(|(_, runs)| runs).sum()
    }

    /// Programs of which runs were left out.
    pub fn by_program(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0
            .iter()
            .filter_map(|(name, fd)| Some((name.as_str(), skipped(fd)?)))
            .filter(|(_, runs)| *runs > 0)
    }
}

fn skipped(program: &OwnedFd) -> Option<u64> {
    // The structure, in words: all of it is integers.
    let mut info = [0_u64; size_of::<bpf_prog_info>() / size_of::<u64>()];
    let request = InfoRequest {
        fd: u32::try_from(program.as_raw_fd()).ok()?,
        length: u32::try_from(size_of_val(&info)).ok()?,
        info: (&raw mut info) as u64,
    };
    command(OBJ_GET_INFO_BY_FD, &request).ok()?;
    info.get(offset_of!(bpf_prog_info, recursion_misses) / size_of::<u64>())
        .copied()
}
