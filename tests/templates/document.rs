//! Descriptions of APIs: their operations, and what is said of the parameters in their paths.

use serde_json::{Map, Value};

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Upper case.
    pub(crate) method: &'static str,
    /// Path with `{name}` for parameters, base path included, query and fragment left out.
    pub(crate) template: String,
    pub(crate) parameters: Vec<Parameter>,
}

/// What is said of a parameter.
#[derive(Clone, Default, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) choices: Vec<String>,
    pub(crate) example: Option<String>,
}

const METHODS: [(&str, &str); 8] = [
    ("get", "GET"),
    ("put", "PUT"),
    ("post", "POST"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
    ("head", "HEAD"),
    ("patch", "PATCH"),
    ("trace", "TRACE"),
];

/// Operations of an `OpenAPI` document, in its order.
pub(crate) fn operations(document: &Value) -> Vec<Operation> {
    let base = base_path(document);
    let paths = document["paths"].as_object().into_iter().flatten();
    let mut found = Vec::new();
    for (path, item) in paths {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        if !path.starts_with('/') {
            continue;
        }
        let template = format!("{base}{path}");
        for (key, method) in METHODS {
            let Some(operation) = item.get(key).filter(|operation| operation.is_object()) else {
                continue;
            };
            let lists = [&operation["parameters"], &item["parameters"]];
            let parameters = names(&template)
                .map(|name| described(document, &lists, name))
                .collect();
            found.push(Operation {
                method,
                template: template.clone(),
                parameters,
            });
        }
    }
    found
}

/// Names between braces.
pub(crate) fn names(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('{')
        .skip(1)
        .filter_map(|piece| piece.split_once('}').map(|(name, _)| name))
}

fn base_path(document: &Value) -> String {
    let url = document["servers"][0]["url"].as_str().unwrap_or_default();
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after.find('/').map_or("", |at| &after[at..]);
    let path = path.trim_end_matches('/');
    if path.contains('{') {
        String::new()
    } else {
        path.to_owned()
    }
}

fn described(document: &Value, lists: &[&Value], name: &str) -> Parameter {
    let entries = lists.iter().filter_map(|list| list.as_array()).flatten();
    let resolved = entries.map(|entry| resolve(document, entry));
    let mut resolved = resolved;
    let entry = resolved.find(|entry| entry["in"] == "path" && entry["name"] == name);
    let empty = Value::Object(Map::new());
    let entry = entry.unwrap_or(&empty);
    let schema = resolve(document, &entry["schema"]);
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let choices = schema["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(text)
        .collect();
    let of_examples = entry["examples"].as_object().and_then(|all| all.values().next());
    let example = [&entry["example"], &schema["example"]]
        .into_iter()
        .find_map(text)
        .or_else(|| text(&of_examples?["value"]));
    Parameter {
        name: name.to_owned(),
        kind: schema["type"].as_str().unwrap_or_default().to_owned(),
        format: schema["format"].as_str().unwrap_or_default().to_owned(),
        choices,
        example,
    }
}

/// Follows a reference within the document, once.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
    pointer
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(value)
}
