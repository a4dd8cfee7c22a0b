//! The document that is learnt from the recordings: what it says, that it holds no value, and that others' judges accept it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sensor_tests::programs::Program;
use sensor_tests::wait::Deadline;
use sensor_tests::{guard, testbed};
use sensor_user::exchange::AuthScheme;
use sensor_user::export::Event;
use sensor_user::export::openapi::{Described, document};
use sensor_user::inventory::EndpointRef;
use sensor_user::pipeline::Pipeline;
use serde_json::Value;

use super::recordings;
use super::source::{records_of, settings};

/// How long a judge may take; Node.js starts within seconds on a busy machine.
const DEADLINE: Duration = Duration::from_mins(2);

/// What the pipeline learns from all recordings, one after the other.
fn learnt() -> Value {
    let mut pipeline = Pipeline::new(&settings());
    let mut callers: Vec<(EndpointRef, Option<AuthScheme>)> = Vec::new();
    let mut take = |event| {
        if let Event::Exchange(summary) = event {
            let seen = (summary.endpoint, summary.caller.map(|(scheme, _)| scheme));
            if !callers.contains(&seen) {
                callers.push(seen);
            }
        }
    };
    for (name, bytes) in recordings::all() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let path = scratch.path().join(name);
        fs::write(&path, &bytes).expect("written");
        for record in records_of(&path).0 {
            pipeline.push(record, &mut take);
        }
    }
    pipeline.finish(&mut take);
    let schemas = pipeline.judge().schemas().sorted();
    let auth: Vec<Vec<AuthScheme>> = schemas
        .iter()
        .map(|(endpoint, _)| {
            let own = callers.iter().filter(|(known, _)| known == *endpoint);
            own.filter_map(|(_, scheme)| *scheme).collect()
        })
        .collect();
    let described: Vec<_> = schemas
        .iter()
        .zip(&auth)
        .map(|((endpoint, schema), auth)| Described {
            endpoint,
            schema,
            auth,
            anonymous: callers.contains(&(EndpointRef::clone(endpoint), None)),
        })
        .collect();
    document("recordings", &described)
}

#[test]
fn the_recordings_are_described() {
    let document = learnt();
    assert_eq!(document, learnt(), "the same recordings give another document");
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 5, "{paths:?}");
    let bodies = document.to_string().matches("\"properties\"").count();
    assert!(bodies > 3, "{bodies} objects are described: {document:#}");
}

#[test]
fn no_planted_value_is_in_the_document() {
    let text = learnt().to_string();
    for planted in recordings::PLANTED {
        assert!(!text.contains(planted), "{planted} in {text}");
    }
}

/// Writes the document and lets a judge read it.
fn judged(mut judge: Command) {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let path = scratch.path().join("openapi.json");
    let document = learnt();
    fs::write(&path, format!("{document:#}")).expect("written");
    judge.current_dir(scratch.path()).arg(&path);
    let output = guard::finish(&mut judge, Deadline::after(DEADLINE)).expect("a judge that ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}\n{document:#}",
        String::from_utf8_lossy(&said)
    );
}

fn skipped(what: &Path) -> bool {
    let absent = !what.exists();
    if absent {
        println!(
            "SKIPPED a judge of OpenAPI: {} is absent; cargo xtask test installs it",
            what.display()
        );
    }
    absent
}

#[test]
fn openapi_spec_validator_accepts_the_document() {
    let packages = testbed::openapi_python();
    if skipped(&packages) {
        return;
    }
    let mut judge = Command::new(Program::Python.find().expect("Debian's Python"));
    judge
        .args(["-m", "openapi_spec_validator", "--schema", "3.1"])
        .env("PYTHONPATH", packages);
    judged(judge);
}

#[test]
fn redocly_accepts_the_document() {
    let script = testbed::redocly();
    if skipped(&script) {
        return;
    }
    let node = Program::Node.find().expect("Node.js");
    let version = Command::new(&node).arg("--version").output().expect("a version");
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next();
    if major
        .and_then(|major| major.parse().ok())
        .is_some_and(|major: u32| major < 20)
    {
        println!("SKIPPED Redocly: its package asks for Node.js 20.19, this is {version}");
        return;
    }
    let mut judge = Command::new(node);
    judge
        .arg(script)
        .args(["lint", "--extends=spec", "--format=stylish"])
        .env("REDOCLY_TELEMETRY", "off")
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    judged(judge);
}
