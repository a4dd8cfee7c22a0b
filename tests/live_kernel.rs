//! Does the sensor, on this kernel and with real programs, see exactly what was said?
//!
//! Every observed program runs on a private copy of its TLS library and is named to the sensor by process id.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests panic with context, their parts included"
)]

#[path = "live/arrivals.rs"]
mod arrivals;
#[path = "live/bio.rs"]
mod bio;
#[path = "live/bodies.rs"]
mod bodies;
#[path = "live/c_peers.rs"]
mod c_peers;
#[path = "live/ciphertext.rs"]
mod ciphertext;
#[path = "live/coverage.rs"]
mod coverage;
#[path = "live/early.rs"]
mod early;
#[path = "live/ends.rs"]
mod ends;
#[path = "live/letting_go.rs"]
mod letting_go;

#[path = "live/evidence.rs"]
mod evidence;
#[path = "live/excluded.rs"]
mod excluded;
#[path = "live/gnutls.rs"]
mod gnutls;
#[path = "live/h2c.rs"]
mod h2c;
#[path = "live/http2.rs"]
mod http2;
#[path = "live/left_behind.rs"]
mod left_behind;
#[path = "live/loss.rs"]
mod loss;
#[path = "live/many.rs"]
mod many;
#[path = "live/memory.rs"]
mod memory;
#[path = "live/middle.rs"]
mod middle;
#[path = "live/namespaces.rs"]
mod namespaces;
#[path = "live/nss.rs"]
mod nss;
#[path = "live/opaque.rs"]
mod opaque;
#[path = "live/other_kernels.rs"]
mod other_kernels;
#[path = "live/process_storm.rs"]
mod process_storm;
#[path = "live/proxied.rs"]
mod proxied;
#[path = "live/reuse.rs"]
mod reuse;
#[path = "live/rustls.rs"]
mod rustls;
#[path = "live/storm.rs"]
mod storm;
#[path = "live/tally.rs"]
mod tally;
#[path = "live/turned.rs"]
mod turned;
#[path = "live/unix.rs"]
mod unix;
#[path = "live/upgrades.rs"]
mod upgrades;
#[path = "live/uring.rs"]
mod uring;
#[path = "live/vectors.rs"]
mod vectors;
#[path = "live/watch.rs"]
mod watch;
#[path = "live/ways.rs"]
mod ways;
#[path = "live/websocket.rs"]
mod websocket;
#[path = "live/wheels.rs"]
mod wheels;
