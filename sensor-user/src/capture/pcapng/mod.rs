//! Recordings: pcapng files that Wireshark opens as TCP streams and that replay reads back.
//!
//! Takes [`Record`](super::Record)s or a capture file. Gives a capture file or records. Never loads a file whole and
//! never interprets payload. Bounded by a table of connections and the size of a block.
//!
//! What the sensor captured has no packets, so [`Writer`] makes them up: IP without a link layer (`LINKTYPE_RAW`), one
//! TCP connection per stream, sequence numbers that follow the positions, so that a hole is a missing segment. What a
//! packet cannot say stands in its comment (`note.rs`). [`open`] reads such files, and pcapng or pcap of others.

mod account;
mod block;
mod field;
mod frame;
mod note;
mod read;
mod side;
mod tcp;
#[cfg(test)]
mod tests;
mod wire;
mod write;

pub use account::{Account, Skip};
pub use read::{Reader, open};
pub use write::{Writer, create};
