//! The document that is learnt from the recordings: what it says, that it holds no value, and that others' judges accept it.

use std::collections::HashMap;
use std::fs;

use sensor_tests::judges::{self, Judge};
use sensor_tests::programs;
use sensor_user::exchange::AuthScheme;
use sensor_user::export::Event;
use sensor_user::export::openapi::{Described, Transports, document};
use sensor_user::inventory::EndpointRef;
use sensor_user::pipeline::Pipeline;
use serde_json::Value;

use super::recordings;
use super::source::{records_of, settings};

/// What the pipeline learns from all recordings, one after the other.
fn learnt() -> Value {
    let mut pipeline = Pipeline::new(&settings());
    let mut callers: Vec<(EndpointRef, Option<AuthScheme>)> = Vec::new();
    let mut transports: HashMap<EndpointRef, Transports> = HashMap::new();
    let mut take = |event| {
        if let Event::Exchange(summary) = event {
            let through = transports
                .entry(EndpointRef::clone(&summary.endpoint))
                .or_default();
            through.insert((summary.connection.tls, 0));
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
            transports: transports.get(*endpoint).cloned().unwrap_or_default(),
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

/// Lets a judge read the document; skips, aloud, when there is none.
fn judged(judge: Result<Judge, String>) {
    let judge = match judge {
        Ok(judge) => judge,
        Err(reason) => return programs::skipped("a judge of OpenAPI", &reason),
    };
    let document = format!("{:#}", learnt());
    judge
        .reads(&document)
        .unwrap_or_else(|error| panic!("{error:#}\n{document}"));
}

#[test]
fn openapi_spec_validator_accepts_the_document() {
    judged(judges::openapi_spec_validator());
}

#[test]
fn redocly_accepts_the_document() {
    judged(judges::redocly());
}
