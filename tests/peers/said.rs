//! What a client says of its calls, held against what the sensor says of them.
//!
//! A client prints one JSON object for each exchange, in order: `target`, `status`, `sent`, `received` and `calls`, each a
//! list of kind, name and outcome (`success`, `failure`, `unknown`, or `["failure", code]`), and `anomalies` where there are.

use sensor_user::exchange::call::{Call, CallOutcome};
use sensor_user::exchange::{Body, Content, Exchange};
use serde_json::{Value, json};

use crate::watch::Watch;

/// The lines of a client.
pub(crate) fn lines(output: &str) -> Vec<Value> {
    let lines: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    assert!(!lines.is_empty(), "the client said nothing");
    lines
}

/// Exchanges of a process that are wanted, in the order of their ends.
pub(crate) fn of(watch: &Watch, pid: u32, wanted: impl Fn(&Exchange) -> bool) -> Vec<&Exchange> {
    let all = watch.observed.iter().map(|one| &one.exchange);
    all.filter(|exchange| exchange.connection.process.pid == pid && wanted(exchange))
        .collect()
}

/// The same as its own place and for its own sake: exactly the exchanges that the client speaks of, in their order.
pub(crate) fn assert_said(what: &str, seen: &[&Exchange], said: &[Value]) {
    let targets = |exchange: &&Exchange| text(exchange.request.target().expose());
    let all: Vec<_> = seen.iter().map(targets).collect();
    assert_eq!(seen.len(), said.len(), "{what}: {all:#?}");
    for (number, (exchange, said)) in seen.iter().zip(said).enumerate() {
        assert_one(&format!("{what}, exchange {number}"), exchange, said);
    }
}

fn assert_one(what: &str, exchange: &Exchange, said: &Value) {
    assert_eq!(said["target"], targets(exchange), "{what}");
    let response = exchange
        .outcome
        .response()
        .unwrap_or_else(|| panic!("{what}: {exchange:?}"));
    assert_eq!(said["status"], response.status, "{what}");
    for (way, body) in [("sent", &exchange.request.body), ("received", &response.body)] {
        assert!(body.is_content_whole(), "{what}, {way}: {body:?}");
        // What was decoded is let go once its calls are found.
        if matches!(body.content, Content::Forgotten { .. }) {
            continue;
        }
        assert_eq!(text(&content(body)), said[way].as_str().unwrap(), "{what}, {way}");
    }
    let calls: Vec<Value> = exchange.calls.iter().map(call).collect();
    let said_calls = said["calls"].as_array().unwrap();
    let same =
        calls.len() == said_calls.len() && calls.iter().zip(said_calls).all(|(one, said)| is_same(one, said));
    assert!(same, "{what}: {calls:?}, and it was {said}");
    let anomalies: Vec<&str> = exchange.anomalies.iter().map(|anomaly| anomaly.name()).collect();
    let odd = said["anomalies"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    assert_eq!(anomalies, odd, "{what}: {said}");
}

/// A failure without a code is any failure.
fn is_same(call: &Value, said: &Value) -> bool {
    let outcome = match (&call[2], &said[2]) {
        (Value::Array(failure), Value::String(said)) => failure[0] == **said,
        (one, other) => one == other,
    };
    call[0] == said[0] && call[1] == said[1] && outcome
}

/// A call as a client would say it.
pub(crate) fn call(call: &Call) -> Value {
    let outcome = match call.outcome {
        CallOutcome::Success => json!("success"),
        CallOutcome::Failure(code) => json!(["failure", code]),
        CallOutcome::Unknown => json!("unknown"),
    };
    json!([call.kind.name(), text(call.name.expose()), outcome])
}

/// A body without its content coding.
pub(crate) fn content(body: &Body) -> Vec<u8> {
    body.content()
        .iter()
        .flat_map(|piece| piece.0.iter().copied())
        .collect()
}

fn targets(exchange: &Exchange) -> String {
    text(exchange.request.target().expose())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
