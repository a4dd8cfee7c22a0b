//! Kernel or file to [`Record`]s.
//!
//! Takes ring bytes or a recording. Gives [`Record`]s whose every field was checked.
//! Never interprets payload. Bounded by the size of the rings and of a batch.

#[cfg(feature = "kernel")]
pub mod accounts;
pub mod adjacent;
#[cfg(feature = "sites")]
pub mod attach;
#[cfg(feature = "kernel")]
pub mod attacher;
#[cfg(feature = "kernel")]
pub mod beyond;
pub mod btf;
#[cfg(feature = "kernel")]
pub mod calls;
pub mod coverage;
pub mod decode;
#[cfg(feature = "kernel")]
mod descriptors;
pub mod discover;
pub mod encode;
#[cfg(feature = "kernel")]
mod imports;
#[cfg(feature = "kernel")]
pub mod kernel;
#[cfg(feature = "kernel-log")]
mod kernel_log;
#[cfg(feature = "kernel")]
pub mod load;
#[cfg(feature = "kernel")]
mod offsets;
pub mod pcapng;
#[cfg(any(feature = "kernel", test))]
mod pods;
#[cfg(feature = "kernel")]
pub mod policy;
#[cfg(feature = "kernel")]
pub mod privilege;
mod record;
#[cfg(feature = "kernel")]
mod ring;
#[cfg(feature = "kernel")]
mod scan;
#[cfg(feature = "kernel")]
pub mod skipped;
pub mod source;
#[cfg(feature = "kernel")]
pub mod tracefs;
pub mod tracepoint;

pub use discover::container::{Container, Runtime};
pub use record::*;
