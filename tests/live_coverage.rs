//! Of which programs does the sensor see every byte, with the right peer, and by what evidence? The matrix of
//! docs/COVERAGE.md: one row per runtime and role, measured here.
//!
//! `cargo xtask coverage` runs this and writes the table. Each row runs one program on a private copy of its TLS
//! library, or a private copy of the program itself.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests panic with context, their parts included"
)]

#[path = "coverage/clients.rs"]
mod clients;
#[path = "coverage/matrix.rs"]
mod matrix;
#[path = "coverage/opaque.rs"]
mod opaque;
#[path = "coverage/others.rs"]
mod others;
#[path = "coverage/servers.rs"]
mod servers;
#[expect(dead_code, reason = "shared with live_kernel, which uses all of it")]
#[path = "live/tally.rs"]
mod tally;
#[expect(dead_code, reason = "shared with live_kernel, which uses all of it")]
#[path = "live/watch.rs"]
mod watch;
#[path = "coverage/workerd.rs"]
mod workerd;
