//! What happens to the observed program and to the accounts when the sensor itself is in trouble: stopped, faulty, or
//! raced by programs that live for an instant.
//!
//! The real binary beside this test, watching programs started here on private copies of their TLS library.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic with context and print their figures, their parts included"
)]

#[path = "faults/hour.rs"]
mod hour;
#[path = "faults/panic.rs"]
mod panic;
#[path = "faults/reload.rs"]
mod reload;
#[expect(dead_code, reason = "shared with live_privacy, which uses all of it")]
#[path = "privacy/sensor.rs"]
mod sensor;
#[path = "faults/short_lived.rs"]
mod short_lived;
#[path = "faults/stopped.rs"]
mod stopped;
#[path = "faults/strain.rs"]
mod strain;
