//! What each hook does once its entry point was reached.

pub mod imported;
pub mod lifecycle;
pub mod socket;
pub mod sniff;
pub mod syscall;
pub mod tls_call;
