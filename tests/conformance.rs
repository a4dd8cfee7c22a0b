//! Third-party suites, run whole: what they mark valid is read as they say, what they mark invalid is refused or
//! reported as an anomaly. `cargo xtask conformance` shows the counts.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests panic with context")]
#![expect(
    clippy::print_stdout,
    reason = "the counts of the suites are what these tests are for"
)]

#[path = "conformance/curl.rs"]
mod curl;
#[path = "conformance/graphql.rs"]
mod graphql;
#[path = "conformance/grpc.rs"]
mod grpc;
#[path = "conformance/hpack.rs"]
mod hpack;
#[path = "conformance/http1.rs"]
mod http1;
#[path = "conformance/http2.rs"]
mod http2;
#[path = "conformance/json.rs"]
mod json;
#[path = "conformance/llhttp.rs"]
mod llhttp;
#[path = "conformance/protobuf.rs"]
mod protobuf;
#[path = "conformance/suite.rs"]
mod suite;
#[path = "conformance/zeek.rs"]
mod zeek;
