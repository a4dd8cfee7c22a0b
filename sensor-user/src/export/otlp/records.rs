//! Events as records of OTLP.
//!
//! Takes events. Gives log records and spans, encoded, ready to stand in a batch. Holds nothing. Bounded by the event.

use super::sampler::SpanIds;
use super::wire::{self, any_value, attribute, bytes, fixed32, fixed64, number};
use crate::capture::Role;
use crate::detect::Severity;
use crate::export::field::{self, Fields, Value};
use crate::export::wording::clean;
use crate::export::{ClockOffset, Summary};

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
    /// The span of the exchange that shows it, or of whoever sent its request; and whether it is kept.
    pub(super) span: Option<(SpanIds, bool)>,
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
    if let Some((ids, kept)) = told.span {
        fixed32(&mut out, 8, kept.into());
        bytes(&mut out, 9, &ids.trace);
        bytes(&mut out, 10, &ids.span);
    }
    fixed64(&mut out, 11, told.time_ns);
    bytes(&mut out, 12, told.event.as_bytes());
    out
}

/// A `Span`: the exchange as the watched process took part in it (semantic conventions for HTTP spans).
pub(super) fn span(call: &Summary, ids: SpanIds, clock: ClockOffset) -> wire::Bytes {
    let time_ns = clock.unix_ns(call.time_ns);
    let mut out = Vec::with_capacity(1024);
    bytes(&mut out, 1, &ids.trace);
    bytes(&mut out, 2, &ids.span);
    if let Some(context) = call.trace {
        bytes(&mut out, 4, &context.parent);
    }
    let name = format!("{} {}", call.endpoint.method.name(), call.endpoint.template);
    bytes(&mut out, 5, clean(&name).as_bytes());
    let kind = match call.connection.role {
        Role::Server => SERVER,
        Role::Client => CLIENT,
        Role::Unknown => INTERNAL,
    };
    number(&mut out, 6, kind);
    fixed64(&mut out, 7, time_ns);
    fixed64(&mut out, 8, time_ns.saturating_add(call.duration_ns.unwrap_or(0)));
    // Its end says how long it took.
    let fields = field::of_exchange(call);
    for (name, value) in fields.iter().filter(|(name, _)| *name != "duration") {
        attribute(&mut out, 9, name, value);
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
