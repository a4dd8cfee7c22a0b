//! Development only: what the kernel object logs, as log lines of the sensor.
//!
//! Takes the ring of aya-log. Gives lines at the level they were written with. Never in a release build: formatting
//! costs time in the kernel.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Level, Log, Metadata, Record};

/// Hands lines on to `tracing`.
pub(super) struct ToTracing;

impl Log for ToTracing {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        match record.level() {
            Level::Error | Level::Warn => tracing::warn!(target: "kernel", "{}", record.args()),
            Level::Info => tracing::info!(target: "kernel", "{}", record.args()),
            Level::Debug | Level::Trace => tracing::debug!(target: "kernel", "{}", record.args()),
        }
    }

    fn flush(&self) {}
}

/// The ring's reader, `None` when the object has no such ring.
pub(super) fn open(ebpf: &mut Ebpf) -> Option<EbpfLogger<ToTracing>> {
    EbpfLogger::init_with_logger(ebpf, ToTracing).ok()
}
