//! The contract between the kernel object and the user-space sensor.
//!
//! Takes and gives nothing: it is layouts, numbers and the meaning of each. Both sides build from these
//! definitions, so a change here rebuilds both. Never contains behaviour that only one side needs; every layout
//! is asserted at compile time, has no implicit padding and is little-endian (the object is built for `bpfel`).
#![no_std]

pub mod account;
pub mod call;
pub mod counter;
pub mod policy;
pub mod record;

/// Bytes of payload that one data record carries at most: 16 KiB, the largest TLS record (RFC 8446, 5.1), which
/// keeps the per-CPU scratch area under the kernel's 32 KiB limit for a per-CPU array value.
pub const CHUNK_BYTES: usize = 16 * 1024;

/// Chunks one call may emit where the kernel has `bpf_loop` (Linux 5.17): 64 chunks of 16 KiB are 1 MiB.
pub const CHUNKS_PER_CALL_LOOP: u32 = 64;

/// Chunks one call may emit in a loop the verifier has to unroll by itself: 8 chunks of 16 KiB are 128 KiB.
/// With 16 the verifier walks twenty times as many instructions, with 32 it gives up.
pub const CHUNKS_PER_CALL_BOUNDED: u32 = 8;

/// Elements of an `iovec` array looked at per system call where the kernel has `bpf_loop`: all that a call may have
/// (`UIO_MAXIOV` of `linux/uio.h`). Elsewhere elements and chunks share [`CHUNKS_PER_CALL_BOUNDED`].
pub const IOVECS_PER_CALL_LOOP: u32 = 1024;

/// Messages of `sendmmsg` and `recvmmsg` looked at per system call where the kernel has `bpf_loop`: all that a call
/// may have (the kernel cuts `vlen` to `UIO_MAXIOV`). Elsewhere messages, elements and chunks share
/// [`CHUNKS_PER_CALL_BOUNDED`].
pub const MESSAGES_PER_CALL_LOOP: u32 = 1024;
