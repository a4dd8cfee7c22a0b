//! Incidents in words and fields: what JSON, OTLP and the live view share.
//!
//! Takes an incident. Gives text that a person understands, and fields. Never an observed value: an incident holds
//! counts, keyed hashes, endpoints and the evidence of a finding. Bounded by the incident.

use std::fmt::Write as _;

use super::ClockOffset;
use super::field::{Fields, Value};
use super::wording::{Wording, clean, span};
use crate::incident::{Incident, MAX_ENDPOINTS, Stage, Subject};
use crate::inventory::Endpoint;

/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;

/// Whom it is about, in words.
pub(super) fn subject(incident: &Incident) -> String {
    match &incident.subject {
        Subject::Caller(hash) => format!("caller {}", short(&hash.to_string())),
        Subject::Client(hash) => format!("a client without credentials ({})", short(&hash.to_string())),
        Subject::Endpoint(endpoint) => place(endpoint),
        Subject::Host(host) => clean(host).into_owned(),
    }
}

/// First 8 hexadecimal digits, as in the live view.
fn short(hash: &str) -> String {
    hash.chars().take(8).collect()
}

fn place(endpoint: &Endpoint) -> String {
    format!(
        "{} {}{}",
        endpoint.method.name(),
        clean(&endpoint.host),
        clean(&endpoint.template)
    )
}

fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The whole of it as a sentence.
pub(super) fn explanation(incident: &Incident) -> String {
    let Incident {
        time_ns: (first, last),
        findings,
        writes,
        ..
    } = incident;
    let mut text = subject(incident);
    if let Some(worst) = &incident.worst {
        let _infallible = write!(text, ": {}", Wording::of(worst).evidence);
    }
    let rules = plural(incident.rules.len() as u64, "rule", "rules");
    let more = if incident.endpoints.len() >= MAX_ENDPOINTS {
        " or more"
    } else {
        ""
    };
    let endpoints = plural(incident.endpoints.len() as u64, "endpoint", "endpoints");
    let findings = plural(*findings, "finding", "findings");
    let _infallible = write!(text, "; {findings} of {rules} at {endpoints}{more}");
    if *writes > 0 {
        let _infallible = write!(text, ", {writes} of them about changes");
    }
    let seconds = last.saturating_sub(*first) / SECOND_NS;
    if seconds > 0 {
        let _infallible = write!(text, ", in {}", span(seconds));
    }
    match incident.stage {
        Stage::Closed => text.push_str("; quiet since"),
        Stage::Standing => text.push_str("; nothing more was observed"),
        Stage::Opened | Stage::Grown => {}
    }
    text
}

/// Fields of an incident.
pub(super) fn fields(incident: &Incident, clock: ClockOffset) -> Fields<'_> {
    let text = |text: String| Value::Text(text.into());
    let mut fields = vec![
        ("api_sensor.incident.number", Value::Count(incident.number)),
        (
            "api_sensor.incident.stage",
            Value::Text(incident.stage.name().into()),
        ),
        (
            "api_sensor.severity",
            Value::Text(incident.severity.name().into()),
        ),
        (
            "api_sensor.confidence",
            Value::Count(incident.confidence.0.into()),
        ),
    ];
    match &incident.subject {
        Subject::Caller(hash) => fields.push(("api_sensor.caller.hash", text(hash.to_string()))),
        Subject::Client(hash) => fields.push(("api_sensor.client.hash", text(hash.to_string()))),
        Subject::Endpoint(endpoint) => fields.extend([
            ("http.request.method", Value::Text(endpoint.method.name().into())),
            ("server.address", Value::Text(clean(&endpoint.host))),
            ("url.template", Value::Text(clean(&endpoint.template))),
        ]),
        Subject::Host(host) => fields.push(("server.address", Value::Text(clean(host)))),
    }
    let (first, last) = incident.time_ns;
    let rules = incident.rules.iter();
    let rules = rules.map(|tally| format!("{} {}:{}", tally.rule.id.0, tally.severity.name(), tally.count));
    let rows = incident.timeline.iter();
    let rows = rows.map(|row| {
        let time = clock.rfc3339(row.time_ns.0);
        format!("{time} {} {} x{}", row.rule.id.0, place(&row.endpoint), row.count)
    });
    fields.extend([
        ("api_sensor.incident.first", text(clock.rfc3339(first))),
        ("api_sensor.incident.last", text(clock.rfc3339(last))),
        ("api_sensor.incident.findings", Value::Count(incident.findings)),
        ("api_sensor.incident.writes", Value::Count(incident.writes)),
        ("api_sensor.incident.rules", Value::Texts(rules.collect())),
        (
            "api_sensor.incident.endpoints",
            Value::Texts(
                incident
                    .endpoints
                    .iter()
                    .map(|endpoint| place(endpoint))
                    .collect(),
            ),
        ),
        ("api_sensor.incident.timeline", Value::Texts(rows.collect())),
        ("api_sensor.incident.between", Value::Count(incident.between)),
        ("api_sensor.explanation", text(explanation(incident))),
    ]);
    super::field::identify("incident", last, &mut fields);
    fields
}
