//! What each hook does once its entry point was reached.

pub mod adjacent;
pub mod bio;
pub mod bypass;
pub mod closing;
pub mod kernel_socket;
pub mod kernel_stack;
pub mod lengths;
pub mod cookie;
pub mod go;
pub mod imported;
pub mod lifecycle;
pub mod many;
mod proxy;
pub mod rustls;
pub mod socket;
pub mod notice;
pub mod sniff;
pub mod syscall;
pub mod tls_call;
pub mod unseen;
pub mod tls_process;
