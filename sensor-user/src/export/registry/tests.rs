use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::schema::{EVENTS, schema};
use super::semconv::{OWN, registry};
use super::table::ATTRIBUTES;
use crate::capture::Role;
use crate::exchange::call::Messages;
use crate::export::json::Line;
use crate::export::{ClockOffset, Event, sample};
use crate::kubernetes::{Pod, Workload};

/// Where names of attributes are written down.
const SOURCES: [&str; 7] = [
    include_str!("../field.rs"),
    include_str!("../gauges.rs"),
    include_str!("../incident.rs"),
    include_str!("../otlp.rs"),
    include_str!("../otlp/instrument.rs"),
    include_str!("../otlp/records.rs"),
    include_str!("../otlp/batch.rs"),
];
/// Names of metrics and events there, and beginnings of some.
const NO_ATTRIBUTES: [&str; 9] = [
    "api_sensor.{}",
    "api_sensor.finding",
    "api_sensor.findings_by_rule",
    "api_sensor.incident",
    "api_sensor.kernel.{}",
    "api_sensor.messages",
    "api_sensor.process.bytes",
    "api_sensor.sensitive_data",
    "api_sensor.unanswered",
];

/// Every event that outputs are tested with, and one with what these lack.
fn lines() -> Vec<Value> {
    let mut odd = sample::summary(Role::Server);
    let mut connection = sample::connection(Role::Server);
    connection.ambiguous = true;
    odd.connection = Arc::new(connection);
    let with_messages = sample::events().into_iter().find_map(|event| match event {
        Event::Exchange(call) => call.calls.into_iter().find(|call| call.messages.is_some()),
        _ => None,
    });
    let mut call = with_messages.unwrap();
    let Some(Messages { to_server, .. }) = &mut call.messages else {
        panic!("no messages")
    };
    to_server.more = true;
    odd.calls = vec![call];
    let events = sample::events().into_iter().chain(sample::hostile());
    events
        .chain([Event::Exchange(odd)])
        .chain(workloads())
        .map(|event| serde_json::to_value(Line::of(&event, ClockOffset::RECORDED)).unwrap())
        .collect()
}

/// An exchange and a finding for each kind of workload.
fn workloads() -> impl Iterator<Item = Event> {
    let [finding, ..] = sample::findings();
    let call = sample::summary(Role::Server);
    Workload::ALL.into_iter().flat_map(move |workload| {
        let (mut finding, mut call) = (finding.clone(), call.clone());
        let mut pod = Pod::clone(finding.pod.as_deref().unwrap());
        pod.workload = Some((workload, "one".into()));
        finding.pod = Some(Arc::new(pod));
        call.pods.own.clone_from(&finding.pod);
        [Event::Exchange(call), Event::Finding(Box::new(finding))]
    })
}

/// What a value breaks, by the keywords that the schema uses.
fn check(value: &Value, by: &Value, whole: &Value) -> Result<(), String> {
    for (keyword, wanted) in by.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" => true,
            "$ref" => {
                let target = wanted.as_str().unwrap().trim_start_matches('#');
                return check(value, whole.pointer(target).unwrap(), whole);
            }
            "oneOf" => {
                let all = wanted.as_array().unwrap();
                let tried: Vec<_> = all.iter().map(|one| check(value, one, whole)).collect();
                if tried.iter().filter(|one| one.is_ok()).count() != 1 {
                    return Err(format!("{tried:?}"));
                }
                true
            }
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64() >= wanted.as_f64(),
            "type" => match wanted.as_str().unwrap() {
                "string" => value.is_string(),
                "integer" => value.is_u64() || value.is_i64(),
                "number" => value.is_number(),
                "boolean" => value.is_boolean(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("type {other}"),
            },
            "items" => {
                let mut items = value.as_array().into_iter().flatten();
                items.try_for_each(|item| check(item, wanted, whole))?;
                true
            }
            "required" => {
                let names = wanted.as_array().unwrap();
                names
                    .iter()
                    .all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, property) in wanted.as_object().unwrap() {
                    if let Some(member) = value.get(name) {
                        check(member, property, whole).map_err(|broken| format!("{name}: {broken}"))?;
                    }
                }
                true
            }
            "patternProperties" => {
                patterned(value, wanted, whole)?;
                true
            }
            "additionalProperties" => others(value, by, wanted, whole)?,
            other => panic!("keyword {other}"),
        };
        if !holds {
            return Err(format!("{value} is not {keyword} {wanted}"));
        }
    }
    Ok(())
}

fn patterned(value: &Value, patterns: &Value, whole: &Value) -> Result<(), String> {
    for (pattern, property) in patterns.as_object().unwrap() {
        let members = value.as_object().unwrap().iter();
        for (name, member) in members.filter(|(name, _)| is_like(name, pattern)) {
            check(member, property, whole).map_err(|broken| format!("{name}: {broken}"))?;
        }
    }
    Ok(())
}

/// Whether a name begins as a pattern says: the only pattern there is.
fn is_like(name: &str, pattern: &str) -> bool {
    name.starts_with(&pattern.trim_start_matches('^').replace("[.]", "."))
}

fn others(value: &Value, by: &Value, wanted: &Value, whole: &Value) -> Result<bool, String> {
    for (name, member) in value.as_object().into_iter().flatten() {
        let mut patterns = by["patternProperties"].as_object().into_iter().flatten();
        let known =
            by["properties"].get(name).is_some() || patterns.any(|(pattern, _)| is_like(name, pattern));
        if known {
            continue;
        }
        if *wanted == Value::Bool(false) {
            return Err(format!("there is no {name}"));
        }
        check(member, wanted, whole)?;
    }
    Ok(true)
}

fn is_current(path: &str, written: &str) {
    let path = format!("{}/../docs/{path}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("SENSOR_BLESS").is_some() {
        std::fs::write(&path, written).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == recorded,
        "{path} is not current: SENSOR_BLESS=1 cargo test -p sensor-user --lib export::registry"
    );
}

#[test]
fn the_schema_is_current() {
    let text = serde_json::to_string_pretty(&schema()).unwrap();
    is_current("events.schema.json", &(text + "\n"));
}

#[test]
fn the_conventions_are_current() {
    let lines = lines();
    let mut examples = BTreeMap::new();
    for attribute in ATTRIBUTES {
        let mut found = lines.iter().filter_map(|line| line.get(attribute.id));
        // A list's example would be a list of lists.
        let example = found.find(|value| !value.is_array() && !value.is_boolean());
        if let Some(example) = example {
            examples.insert(attribute.id, example.to_string());
        }
    }
    is_current("semconv/api-sensor.yaml", &registry(&examples));
}

#[test]
fn every_event_is_valid() {
    let schema = schema();
    for line in lines() {
        let result = check(&line, &schema, &schema);
        assert!(result.is_ok(), "{line}\n{result:?}");
    }
}

#[test]
fn what_is_wrong_is_refused() {
    let schema = schema();
    let right = lines()
        .into_iter()
        .find(|line| line["type"] == "finding")
        .unwrap();
    for (name, value) in [
        ("api_sensor.severity", Value::from("dreadful")),
        ("api_sensor.confidence", Value::from("95")),
        ("api_sensor.confidence", Value::from(-1)),
        ("api_sensor.partial", Value::from(1)),
        ("api_sensor.incident.number", Value::from(1)),
        ("type", Value::from("exchange")),
        ("made.up", Value::from(1)),
    ] {
        let mut wrong = right.clone();
        wrong[name] = value;
        assert!(check(&wrong, &schema, &schema).is_err(), "{wrong}");
    }
    let mut wrong = right.clone();
    wrong.as_object_mut().unwrap().remove("api_sensor.rule.id");
    assert!(check(&wrong, &schema, &schema).is_err());
}

/// The table says no more than what is written, and no less.
#[test]
fn the_table_is_what_is_written() {
    let lines = lines();
    for (name, bit, _) in EVENTS {
        let of_kind: Vec<&Value> = lines.iter().filter(|line| line["type"] == name).collect();
        for attribute in ATTRIBUTES.iter().filter(|attribute| attribute.events & bit != 0) {
            assert!(
                of_kind
                    .iter()
                    .any(|line| line.as_object().unwrap().keys().any(|key| attribute.names(key))),
                "no {name} has {}",
                attribute.id
            );
        }
    }
    let known: BTreeSet<&str> = ATTRIBUTES.iter().map(|attribute| attribute.id).collect();
    assert_eq!(known.len(), ATTRIBUTES.len(), "a name is there twice");
    for attribute in ATTRIBUTES {
        let Some(rest) = attribute.id.strip_prefix(OWN) else {
            continue;
        };
        let literal = format!("\"{OWN}{rest}\"");
        assert!(SOURCES.iter().any(|text| text.contains(&literal)), "{literal}");
        assert_eq!(attribute.always & !attribute.events, 0, "{literal}");
    }
    for text in SOURCES {
        for piece in text.split("\"api_sensor.").skip(1) {
            let name = format!("{OWN}{}", piece.split('"').next().unwrap());
            assert!(
                known.contains(name.as_str()) || NO_ATTRIBUTES.contains(&name.as_str()),
                "{name} is not in the table"
            );
        }
    }
}
