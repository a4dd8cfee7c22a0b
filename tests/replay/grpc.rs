//! Calls of every shape between a real server and client (grpcio), recorded on the way.

use std::process::Command;
use std::sync::Arc;

use sensor_tests::programs::Program;
use sensor_tests::testbed;
use sensor_user::capture::{Direction, Record};
use sensor_user::classify::DataKind;
use sensor_user::exchange;
use sensor_user::exchange::call::{CallKind, CallOutcome};
use sensor_user::pipeline::{Observed, Pipeline, Settings, Shard};
use sensor_user::telemetry::Counters;
use serde_json::Value;

use super::recordings::Talk;

/// What the script says of its calls, and the pieces that passed.
struct Recorded {
    calls: Vec<Value>,
    pieces: Vec<(Direction, Vec<u8>)>,
}

fn recorded() -> Option<Recorded> {
    if !testbed::python().join("google/type").is_dir() || !testbed::python().join("grpc").is_dir() {
        println!("SKIPPED grpcio: not in the testbed; cargo xtask test installs it");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/programs/grpc_calls.py");
    let output = Command::new(Program::Python.find().unwrap())
        .arg(script)
        .env("PYTHONPATH", testbed::python())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (mut calls, mut pieces) = (Vec::new(), Vec::new());
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let Some(digits) = line["hex"].as_str() else {
            calls.push(line);
            continue;
        };
        let bytes = (0..digits.len() / 2)
            .map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap())
            .collect();
        let direction = if line["to_server"].as_bool().unwrap() {
            Direction::Read
        } else {
            Direction::Write
        };
        pieces.push((direction, bytes));
    }
    Some(Recorded { calls, pieces })
}

fn observed(records: Vec<Record>) -> Vec<Observed> {
    let mut shard = Shard::new(&Settings {
        exchange: exchange::Limits {
            // The longest call has 100 KB each way.
            body_bytes: 256 * 1024,
            ..exchange::Limits::default()
        },
        ..settings()
    });
    let mut observed = Vec::new();
    for record in records {
        shard.push(record, &mut observed);
    }
    shard.finish(&mut observed);
    observed
}

fn settings() -> Settings {
    Settings::new(
        exchange::secret::HashKey::new([7; 32]),
        Arc::new(Counters::default()),
    )
}

/// Both sides may speak first (RFC 9113, 3.4): the pieces with the first one of that direction in front.
fn begun_by(recorded: &Recorded, first: Direction) -> Recorded {
    let mut pieces = recorded.pieces.clone();
    if let Some(at) = pieces.iter().position(|(direction, _)| *direction == first) {
        let piece = pieces.remove(at);
        pieces.insert(0, piece);
    }
    Recorded {
        calls: recorded.calls.clone(),
        pieces,
    }
}

/// As they passed, in pieces of that size at most.
fn records(recorded: &Recorded, most: usize) -> Vec<Record> {
    let mut talk = Talk::server(90);
    for (direction, bytes) in &recorded.pieces {
        for piece in bytes.chunks(most) {
            talk.carry(*direction, piece);
        }
    }
    talk.end()
}

#[test]
fn calls_of_grpcio_are_told_as_they_were() {
    let Some(recorded) = recorded() else { return };
    for (most, first) in [
        (usize::MAX, Direction::Read),
        (usize::MAX, Direction::Write),
        (100, Direction::Read),
        (7, Direction::Write),
    ] {
        let mut all = observed(records(&begun_by(&recorded, first), most));
        all.sort_by_key(|one| one.exchange.request.time_ns.0);
        assert_eq!(all.len(), recorded.calls.len(), "in pieces of {most}");
        for (one, wanted) in all.iter().zip(&recorded.calls) {
            let [call] = one.exchange.calls.as_slice() else {
                panic!("{:?}", one.exchange.calls);
            };
            assert_eq!(call.kind, CallKind::Grpc);
            let method = format!("shop.v1.Orders/{}", wanted["method"].as_str().unwrap());
            assert_eq!(call.name.expose(), method.as_bytes());
            let status = wanted["status"].as_i64().unwrap();
            let outcome = if status == 0 {
                CallOutcome::Success
            } else {
                CallOutcome::Failure(status)
            };
            assert_eq!(call.outcome, outcome, "{method}");
            let messages = call.grpc().unwrap();
            let counted = [messages.to_server.seen, messages.to_client.seen].map(u64::from);
            let wanted = ["to_server", "to_client"].map(|way| wanted[way].as_u64().unwrap());
            assert_eq!(counted, wanted, "{method} in pieces of {most}, {first:?} first");
            assert!(!messages.to_server.more && !messages.to_client.more, "{method}");
            assert!(one.exchange.anomalies.is_empty(), "{:?}", one.exchange.anomalies);
        }
    }
}

/// The address of a person is in every message but the long one: `organization` has number 11 of `PostalAddress`.
/// The call that is refused tells it in `grpc-message`, percent-encoded.
#[test]
fn what_is_in_the_messages_is_found() {
    let Some(recorded) = recorded() else { return };
    let mut all = observed(records(&recorded, usize::MAX));
    all.sort_by_key(|one| one.exchange.request.time_ns.0);
    for (one, wanted) in all.iter().zip(&recorded.calls) {
        let found: Vec<_> = one
            .labels
            .found
            .iter()
            .filter(|label| label.kind == DataKind::Email)
            .map(|label| (&*label.place.name, u64::from(label.count)))
            .collect();
        let (to_server, to_client) = (
            wanted["to_server"].as_u64().unwrap(),
            wanted["to_client"].as_u64().unwrap(),
        );
        let expected = match wanted["method"].as_str().unwrap() {
            _ if one.exchange.request.body.total > 100_000 => vec![],
            "Refused" => vec![("11", 1), ("grpc-message", 1)],
            "Absent" => vec![("11", 1)],
            _ => vec![("11", to_server), ("11", to_client)],
        };
        assert_eq!(
            found, expected,
            "{wanted}, body of {} bytes, {:?}",
            one.exchange.request.body.total, one.labels
        );
        let long = one.exchange.request.body.total > 100_000;
        assert!(
            long || one.labels.blind.is_empty(),
            "{wanted}: {:?}",
            one.labels.blind
        );
    }
}

/// Whatever single piece is missing, nothing panics and no call is told wrong: each that is told was made.
#[test]
fn a_hole_never_makes_up_a_call() {
    let Some(recorded) = recorded() else { return };
    let methods: Vec<_> = recorded
        .calls
        .iter()
        .map(|call| call["method"].as_str().unwrap())
        .collect();
    for missing in 0..recorded.pieces.len() {
        let mut talk = Talk::server(91);
        for (at, (direction, bytes)) in recorded.pieces.iter().enumerate() {
            if at == missing {
                talk.lose(*direction, bytes.len() as u64, None);
            } else {
                talk.carry(*direction, bytes);
            }
        }
        let mut pipeline = Pipeline::new(&settings());
        let records = talk.end();
        for record in records.clone() {
            pipeline.push(record, &mut |_event| {});
        }
        for one in observed(records) {
            for call in &one.exchange.calls {
                let name = String::from_utf8_lossy(call.name.expose()).into_owned();
                let method = name.strip_prefix("shop.v1.Orders/").unwrap_or_default();
                assert!(
                    name.is_empty() || methods.contains(&method),
                    "without piece {missing}: {name}"
                );
                // Messages may be missing from the count, never be added to it.
                let counted = call.grpc().unwrap();
                let most = |way: &str| {
                    let same = recorded.calls.iter().filter(|made| made["method"] == method);
                    same.map(|made| made[way].as_u64().unwrap())
                        .max()
                        .unwrap_or(u64::MAX)
                };
                assert!(
                    u64::from(counted.to_server.seen) <= most("to_server"),
                    "without piece {missing}: {name}"
                );
                assert!(
                    u64::from(counted.to_client.seen) <= most("to_client"),
                    "without piece {missing}: {name}"
                );
            }
        }
    }
}
