//! `docs/semconv/api-sensor.yaml`: the sensor's own attributes, in the form of OpenTelemetry's semantic conventions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::table::{ATTRIBUTES, Attribute};
use super::{Kind, values};

/// Prefix of the sensor's own names; all others are OpenTelemetry's.
pub(super) const OWN: &str = "api_sensor.";
/// Names may still change before 1.0.
const STABILITY: &str = "development";

const FRONT: &str = "# Generated from sensor-user/src/export/registry/table.rs; a test keeps it current.
groups:
  - id: registry.api_sensor
    type: attribute_group
    display_name: api-sensor
    brief: Attributes of the log records, spans and metrics of api-sensor.
    attributes:
";

/// The file; examples are values of the events that outputs are tested with.
pub(super) fn registry(examples: &BTreeMap<&str, String>) -> String {
    let mut text = FRONT.to_owned();
    let own = ATTRIBUTES
        .iter()
        .filter(|attribute| attribute.id.starts_with(OWN));
    for attribute in own {
        write(attribute, examples.get(attribute.id), &mut text);
    }
    text
}

fn write(attribute: &Attribute, example: Option<&String>, text: &mut String) {
    let Attribute { id, kind, brief, .. } = attribute;
    let values = values(id);
    let _infallible = writeln!(text, "      - id: {id}");
    if values.is_empty() {
        let _infallible = writeln!(text, "        type: {}", name(*kind));
    } else {
        text.push_str("        type:\n          members:\n");
        for value in values {
            let _infallible = write!(
                text,
                "            - id: {value}\n              value: {value:?}\n              stability: {STABILITY}\n"
            );
        }
    }
    let _infallible = write!(
        text,
        "        stability: {STABILITY}\n        brief: {:?}\n",
        format!("{brief}.")
    );
    if let Some(example) = example {
        let _infallible = writeln!(text, "        examples: [{example}]");
    }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Time => "string",
        Kind::Count => "int",
        Kind::Seconds => "double",
        Kind::Flag => "boolean",
        Kind::Texts => "string[]",
    }
}
