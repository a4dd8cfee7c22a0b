//! Does the sensor see what Go programs say over TLS, whatever their release and however they were linked?
//!
//! Every observed program is built here, from the fixture, into a directory of this project.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests panic with context, their parts included"
)]

#[path = "go/bytes.rs"]
mod bytes;
#[path = "go/exchanges.rs"]
mod exchanges;
#[path = "go/frames.rs"]
mod frames;
#[path = "go/hard.rs"]
mod hard;
#[path = "go/many.rs"]
mod many;
#[path = "go/setup.rs"]
mod setup;
#[path = "live/tally.rs"]
#[expect(dead_code, reason = "shared with live_kernel, which uses the rest")]
mod tally;
#[path = "live/watch.rs"]
#[expect(dead_code, reason = "shared with live_kernel, which uses the rest")]
mod watch;
