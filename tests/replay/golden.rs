//! What the sensor says about the recordings in `fixtures/pcap`, line by line. `cargo xtask bless` (or
//! `API_SENSOR_BLESS=1`) writes fixtures and expectations anew; the difference is for a person to review.

use std::fs;
use std::path::Path;

use sensor_user::detect::{Evidence, Finding};
use sensor_user::export::{Event, Summary};
use serde_json::{Value, json};

use super::recordings;
use super::source::{events_of, folder};

/// Compares `actual` with a committed file, or writes the file when blessing.
fn compare(path: &Path, actual: &[u8]) {
    if std::env::var_os("API_SENSOR_BLESS").is_some_and(|value| value == "1") {
        fs::write(path, actual).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        return;
    }
    let expected = fs::read(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}; run `cargo xtask bless`", path.display()));
    assert!(
        expected == actual,
        "{} differs; review, then `cargo xtask bless`.\n--- committed\n{}\n--- now\n{}",
        path.display(),
        String::from_utf8_lossy(&expected),
        String::from_utf8_lossy(actual)
    );
}

#[test]
fn recordings_are_what_their_generator_writes() {
    for (name, bytes) in recordings::all() {
        compare(&folder("fixtures/pcap").join(name), &bytes);
    }
}

#[test]
fn replay_says_what_it_said_before() {
    let mut seen = 0;
    for (name, bytes) in recordings::all() {
        // The generator's bytes rather than the committed ones: blessing must not depend on the order of tests.
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let path = scratch.path().join(name);
        fs::write(&path, &bytes).expect("written");
        let dump: String = events_of(&path)
            .iter()
            .map(|event| line(event).to_string() + "\n")
            .collect();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(name);
        compare(&folder("golden").join(format!("{stem}.jsonl")), dump.as_bytes());
        seen += 1;
    }
    assert!(seen > 0, "no recording was replayed");
}

#[test]
fn no_planted_value_is_said() {
    for (name, bytes) in recordings::all() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let path = scratch.path().join(name);
        fs::write(&path, &bytes).expect("written");
        for event in events_of(&path) {
            let said = format!("{} {event:?}", line(&event));
            for planted in recordings::PLANTED {
                assert!(!said.contains(planted), "{name}: {planted} in {said}");
            }
        }
    }
}

fn line(event: &Event) -> Value {
    match event {
        Event::Exchange(summary) => json!({ "exchange": exchange(summary) }),
        Event::Finding(finding) => json!({ "finding": verdict(finding) }),
    }
}

fn exchange(summary: &Summary) -> Value {
    let connection = &summary.connection;
    let end = |end: &Option<(std::net::IpAddr, u16)>| end.map(|(address, port)| format!("{address}:{port}"));
    let data: Vec<Value> = summary
        .data
        .iter()
        .map(|(half, kind, count)| json!([format!("{half:?}"), kind.name(), count]))
        .collect();
    json!({
        "time_ns": summary.time_ns,
        "duration_ns": summary.duration_ns,
        "endpoint": endpoint(&summary.endpoint),
        "status": summary.status,
        "body_bytes": [summary.body_bytes.0, summary.body_bytes.1],
        "caller": summary.caller.map(|(scheme, hash)| format!("{} {hash}", scheme.name())),
        "data": data,
        "partial": summary.partial,
        "pid": connection.process.pid,
        "comm": connection.comm.to_string(),
        "role": format!("{:?}", connection.role),
        "local": end(&connection.local),
        "remote": end(&connection.remote),
        "evidence": connection.evidence.map(sensor_user::capture::Evidence::name),
        "tls": connection.tls,
    })
}

fn verdict(finding: &Finding) -> Value {
    let evidence = match &finding.evidence {
        Evidence::Data(label) => json!({
            "kind": label.kind.name(),
            "half": format!("{:?}", label.place.half),
            "part": format!("{:?}", label.place.part),
            "name": label.place.name,
            "count": label.count,
            "sample": label.sample.0,
        }),
        other => json!(format!("{other:?}")),
    };
    json!({
        "time_ns": finding.time_ns,
        "rule": finding.rule.id.0,
        "severity": finding.severity.name(),
        "confidence": finding.confidence.0,
        "endpoint": endpoint(&finding.endpoint),
        "caller": finding.caller.map(|hash| hash.to_string()),
        "pid": finding.process.pid,
        "status": finding.status,
        "partial": finding.partial,
        "evidence": evidence,
    })
}

fn endpoint(endpoint: &sensor_user::inventory::Endpoint) -> String {
    format!(
        "{} {} {}",
        endpoint.method.name(),
        endpoint.host,
        endpoint.template
    )
}
