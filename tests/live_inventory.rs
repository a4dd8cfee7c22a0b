//! An API with a document (`tests/apps/clinic`), called by schemathesis over TLS: is every operation that was called in
//! the inventory, none invented, and the exported document a true and valid one?
//!
//! The clinic is Python on uvicorn with `ssl`, on a private copy of its TLS library, and named to the sensor by process
//! id. What was called is told by the clinic's own log of matched routes, never by the sensor.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic with context and print their figures, their parts included"
)]

#[path = "inventory/clinic.rs"]
mod clinic;
#[path = "inventory/learnt.rs"]
mod learnt;
#[expect(dead_code, reason = "shared with live_privacy, which uses all of it")]
#[path = "privacy/sensor.rs"]
mod sensor;
