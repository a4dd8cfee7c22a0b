//! Of APIs between programs that others wrote: is each call seen once at both ends, named, with its bodies exact?
//!
//! Programs come from Debian, `PyPI` and npm (`cargo xtask test` installs them). Every observed one runs on a private copy
//! of its TLS library, or is a private copy itself, and is named to the sensor by process id.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests panic with context, their parts included"
)]

#[path = "peers/codings.rs"]
mod codings;
#[path = "peers/graphql.rs"]
mod graphql;
#[path = "peers/grpc.rs"]
mod grpc;
#[path = "peers/http2.rs"]
mod http2;
#[path = "peers/http2_live.rs"]
mod http2_live;
#[path = "peers/nghttp2.rs"]
mod nghttp2;
#[path = "peers/proxies.rs"]
mod proxies;
#[path = "peers/rpc.rs"]
mod rpc;
#[path = "peers/said.rs"]
mod said;
#[path = "peers/stage.rs"]
mod stage;
#[expect(dead_code, reason = "shared with live_kernel, which uses all of it")]
#[path = "live/tally.rs"]
mod tally;
#[expect(dead_code, reason = "shared with live_kernel, which uses all of it")]
#[path = "live/watch.rs"]
mod watch;
