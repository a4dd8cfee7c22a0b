//! Does the sensor capture and report as it does as root, where the systemd unit or the manifests of Kubernetes have
//! started it? Started in each way, it is shown the same calls.
//!
//! The files of `deploy/` are applied by a container runtime (`sensor_tests::launcher`); the unit also by systemd, where
//! that runs a machine of the tests' own (`cargo xtask vm`).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests panic with context, their parts included"
)]

#[path = "launched/refused.rs"]
mod refused;
#[path = "launched/runtimes.rs"]
mod runtimes;
#[path = "launched/same.rs"]
mod same;
#[path = "launched/way.rs"]
mod way;
