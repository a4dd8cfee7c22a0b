//! `docs/events.schema.json`: what a line may be (JSON Schema, draft 2020-12).

use serde_json::{Map, Value, json};

use super::table::{ATTRIBUTES, Attribute, EXCHANGE, FINDING, HELD, INCIDENT};
use super::{Kind, values};

/// Kinds of events whose fields are in the table, and what they are.
pub(super) const EVENTS: [(&str, u8, &str); 4] = [
    ("exchange", EXCHANGE, "One API call"),
    ("finding", FINDING, "What a rule says of an exchange"),
    ("incident", INCIDENT, "Findings that belong together"),
    ("held", HELD, "What the budget of an hour held back"),
];

/// The schema.
pub(super) fn schema() -> Value {
    let mut definitions: Map<String, Value> = EVENTS
        .iter()
        .map(|(name, bit, about)| ((*name).to_owned(), event(name, *bit, about)))
        .collect();
    definitions.insert("accounts".to_owned(), accounts());
    let alternatives: Vec<Value> = EVENTS
        .iter()
        .map(|(name, ..)| *name)
        .chain(["accounts"])
        .map(|name| json!({"$ref": format!("#/$defs/{name}")}))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A JSON line of api-sensor",
        "description": "What this version writes. A later one may write more fields.",
        "oneOf": alternatives,
        "$defs": definitions,
    })
}

fn event(name: &str, bit: u8, about: &str) -> Value {
    let has = ATTRIBUTES.iter().filter(|attribute| attribute.events & bit != 0);
    let (mut properties, mut patterns) = (front(name), Map::new());
    for attribute in has {
        match attribute.prefix() {
            Some(prefix) => patterns.insert(format!("^{}", prefix.replace('.', "[.]")), property(attribute)),
            None => properties.insert(attribute.id.to_owned(), property(attribute)),
        };
    }
    let always = ATTRIBUTES.iter().filter(|attribute| attribute.always & bit != 0);
    let required: Vec<&str> = ["type", "time"]
        .into_iter()
        .chain(always.map(|attribute| attribute.id))
        .collect();
    let mut object = object(about, &properties, &required);
    if !patterns.is_empty() {
        object["patternProperties"] = patterns.into();
    }
    object
}

/// Counters only grow; names come and go with versions (docs/OPERATIONS.md).
fn accounts() -> Value {
    let mut properties = front("accounts");
    let counters = json!({"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}});
    for side in ["sensor", "kernel"] {
        properties.insert(side.to_owned(), counters.clone());
    }
    object(
        "What the sensor counted since it started",
        &properties,
        &["type", "time", "sensor", "kernel"],
    )
}

fn front(name: &str) -> Map<String, Value> {
    let mut properties = Map::new();
    properties.insert("type".to_owned(), json!({"const": name}));
    properties.insert(
        "time".to_owned(),
        json!({"type": "string", "format": "date-time"}),
    );
    properties
}

fn object(about: &str, properties: &Map<String, Value>, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "description": about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(attribute: &Attribute) -> Value {
    let mut property = match attribute.kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Time => json!({"type": "string", "format": "date-time"}),
        Kind::Count => json!({"type": "integer", "minimum": 0}),
        Kind::Seconds => json!({"type": "number", "minimum": 0}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
    };
    let values = values(attribute.id);
    if !values.is_empty() {
        property["enum"] = values.into();
    }
    property["description"] = attribute.brief.into();
    property
}
