//! A shop that is weak on purpose (`tests/apps`), attacked over TLS: does the sensor find each weakness, and none on the
//! repaired twin under the same script?
//!
//! The shop is Python on uvicorn with `ssl` and a database, on a private copy of its TLS library, and named to the sensor
//! by process id. `cargo test --test live_authorization -- --ignored` writes recordings of both twins.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic with context and print their figures, their parts included"
)]

#[path = "authorization/findings.rs"]
mod findings;
#[expect(dead_code, reason = "shared with live_privacy, which uses all of it")]
#[path = "privacy/sensor.rs"]
mod sensor;
#[path = "authorization/shop.rs"]
mod shop;
#[path = "authorization/table.rs"]
mod table;
