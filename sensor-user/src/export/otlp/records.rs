//! Events as records of OTLP.
//!
//! Takes events. Gives log records and spans, encoded, ready to stand in a batch. Holds nothing. Bounded by the event.

use super::wire::{self, any_value, attribute, bytes, fixed32, fixed64, number};
use crate::capture::Role;
use crate::detect::Severity;
use crate::exchange::trace::TraceContext;
use crate::export::Summary;
use crate::export::field::{self, Fields, Value};

/// `SeverityNumber` of the logs data model.
const fn severity_number(severity: Severity) -> u64 {
    match severity {
        Severity::Info => 9,
        Severity::Low => 11,
        Severity::Medium => 13,
        Severity::High => 17,
        Severity::Critical => 21,
    }
}

/// What a log record is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Name of the event.
    pub(super) event: &'static str,
    /// When it happened, in nanoseconds since 1970.
    pub(super) time_ns: u64,
    pub(super) severity: Severity,
    /// The trace of the request that shows it.
    pub(super) trace: Option<TraceContext>,
}

/// A `LogRecord`.
pub(super) fn log(told: &Told, fields: &Fields<'_>) -> wire::Bytes {
    let mut out = Vec::with_capacity(1024);
    fixed64(&mut out, 1, told.time_ns);
    number(&mut out, 2, severity_number(told.severity));
    bytes(&mut out, 3, told.severity.name().as_bytes());
    let in_words = |name: &str| matches!(name, "api_sensor.evidence" | "api_sensor.explanation");
    if let Some((_, sentence)) = fields.iter().find(|(name, _)| in_words(name)) {
        any_value(&mut out, 5, sentence);
    }
    for (name, value) in fields {
        attribute(&mut out, 6, name, value);
    }
    if let Some(trace) = told.trace {
        fixed32(&mut out, 8, trace.sampled.into());
        bytes(&mut out, 9, &trace.trace);
        bytes(&mut out, 10, &trace.parent);
    }
    fixed64(&mut out, 11, told.time_ns);
    bytes(&mut out, 12, told.event.as_bytes());
    out
}

/// Identifiers of a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanIds {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
}

/// A `Span`: the exchange as the watched process took part in it (semantic conventions for HTTP spans).
pub(super) fn span(call: &Summary, ids: SpanIds, time_ns: u64) -> wire::Bytes {
    let mut out = Vec::with_capacity(1024);
    bytes(&mut out, 1, &ids.trace);
    bytes(&mut out, 2, &ids.span);
    if let Some(context) = call.trace {
        bytes(&mut out, 4, &context.parent);
    }
    let name = format!("{} {}", call.endpoint.method.name(), call.endpoint.template);
    bytes(&mut out, 5, field::cleaned(&name).as_bytes());
    let kind = match call.connection.role {
        Role::Server => SERVER,
        Role::Client => CLIENT,
        Role::Unknown => INTERNAL,
    };
    number(&mut out, 6, kind);
    fixed64(&mut out, 7, time_ns);
    fixed64(&mut out, 8, time_ns.saturating_add(call.duration_ns.unwrap_or(0)));
    for (name, value) in field::of_exchange(call) {
        attribute(&mut out, 9, name, &value);
    }
    if let Some(error) = error_type(call) {
        attribute(&mut out, 9, "error.type", &Value::Text(error.into()));
        let mut status = Vec::new();
        number(&mut status, 3, ERROR);
        bytes(&mut out, 15, &status);
    }
    if call.trace.is_some() {
        // The parent is of another process (`SPAN_FLAGS_CONTEXT_IS_REMOTE`), and that is known.
        fixed32(&mut out, 16, SAMPLED | HAS_IS_REMOTE | IS_REMOTE);
    } else {
        fixed32(&mut out, 16, SAMPLED);
    }
    out
}

const INTERNAL: u64 = 1;
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;
/// Flags of a span: W3C's, and whether the parent is remote.
const SAMPLED: u32 = 1;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Status 5xx at a server; 4xx as well at a client; no answer at either (semantic conventions for HTTP spans, Status).
fn error_type(call: &Summary) -> Option<String> {
    let least = match call.connection.role {
        Role::Client => 400,
        Role::Server | Role::Unknown => 500,
    };
    match call.status {
        0 => Some("no_response".to_owned()),
        status if status >= least => Some(status.to_string()),
        _ => None,
    }
}
