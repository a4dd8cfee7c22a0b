//! Does the sensor, as a whole, keep to itself what it sees, and keep its own manners: memory, exit codes, words?
//!
//! The real binary beside this test, watching programs started here on private copies of their TLS library.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic with context and print their figures, their parts included"
)]

#[path = "privacy/calls.rs"]
mod calls;
#[path = "privacy/containers.rs"]
mod containers;
#[path = "privacy/doctor.rs"]
mod doctor;
#[path = "privacy/exit_codes.rs"]
mod exit_codes;
#[path = "privacy/leaks.rs"]
mod leaks;
#[path = "privacy/memory.rs"]
mod memory;
#[path = "privacy/outputs.rs"]
mod outputs;
#[path = "privacy/own_traffic.rs"]
mod own_traffic;
#[path = "privacy/planted.rs"]
mod planted;
#[path = "privacy/sensor.rs"]
mod sensor;
#[path = "privacy/tap.rs"]
mod tap;
#[path = "privacy/types.rs"]
mod types;
