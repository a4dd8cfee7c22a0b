//! Findings, exchanges and the sensor's accounts to the outside.
//!
//! Takes [`Event`]s. Gives text, JSON lines, OTLP and Prometheus. Nothing else in this crate serialises, and only types
//! that hold no observed value arrive here. Bounded queues; what does not fit is counted.

pub mod docs;
pub mod field;
mod gauges;
mod incident;
pub mod json;
pub mod openapi;
pub mod otlp;
mod processes;
pub mod prometheus;
pub mod series;
pub mod sink;
pub mod text;
pub mod time;
pub mod wording;

use std::sync::Arc;

use crate::classify::{DataKind, Half, ShownCall};
use crate::detect::Finding;
use crate::exchange::trace::TraceContext;
use crate::exchange::{AuthScheme, CallerHash, Connection, PartKind};
use crate::incident::Incident;
use crate::incident::budget::Held;
use crate::inventory::EndpointRef;
use crate::kubernetes::Peers;
use crate::telemetry::Accounts;

pub use time::ClockOffset;

/// What is told to the outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// One API call.
    Exchange(Summary),
    /// One finding.
    Finding(Box<Finding>),
    /// What belongs together: it began, grew or is over.
    Incident(Box<Incident>),
    /// What was held back in an hour, because the budget was spent.
    Held(Held),
    /// What the sensor counted so far.
    Accounts(Box<Snapshot>),
}

/// Counters at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// When, in nanoseconds since 1970.
    pub time_ns: u64,
    /// Of user space: name and value.
    pub sensor: Vec<(&'static str, u64)>,
    /// Of the kernel object.
    pub kernel: Vec<(&'static str, u64)>,
}

impl Snapshot {
    /// Copies the counters.
    pub fn take(accounts: &Accounts, time_ns: u64) -> Self {
        Self {
            time_ns,
            sensor: accounts.of_sensor().collect(),
            kernel: accounts.of_kernel().collect(),
        }
    }
}

/// An exchange without any observed value.
#[derive(Clone, Debug)]
pub struct Summary {
    /// When the request began, in nanoseconds since 1970.
    pub time_ns: u64,
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// The connection.
    pub connection: Arc<Connection>,
    /// The pods at its ends, where an API server told of them.
    pub pods: Peers,
    /// Status code, 0 when no response was seen.
    pub status: u16,
    /// First byte of the request to last byte of the response, of a part its own first to its last, nanoseconds; `None`
    /// without a response.
    pub duration_ns: Option<u64>,
    /// Bytes of request and response body on the wire.
    pub body_bytes: (u64, u64),
    /// The caller, when known.
    pub caller: Option<(AuthScheme, CallerHash)>,
    /// Kinds of sensitive data and how many, by half.
    pub data: Vec<(Half, DataKind, u32)>,
    /// Calls of an API inside, fit to be shown.
    pub calls: Vec<ShownCall>,
    /// It is a part of a longer exchange, whose endpoint, status and caller it has.
    pub part: Option<PartKind>,
    /// The request came as TLS early data and may be a replay.
    pub early_data: bool,
    /// Holes, limits or a missing response.
    pub partial: bool,
    /// The trace that its request says it belongs to.
    pub trace: Option<TraceContext>,
}

/// Takes events on a thread of its own, behind a [`sink::Sink`]'s bounded queue.
pub trait Exporter: Send + 'static {
    /// Name in logs.
    fn name(&self) -> &'static str;

    /// Takes one event. An error ends this output: whatever it wrote to is gone.
    fn export(&mut self, event: &Arc<Event>) -> std::io::Result<()>;

    /// The queue is empty for now: what was buffered may go out.
    fn rest(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    /// No more events: what is buffered must go out.
    fn finish(&mut self) {}
}

#[cfg(test)]
mod registry;
#[cfg(test)]
mod sample;
