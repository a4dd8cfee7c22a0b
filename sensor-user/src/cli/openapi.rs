//! Endpoints of the store as an `OpenAPI` 3.1 document: paths, methods, statuses, path parameters and credentials.
//!
//! Takes rows. Gives one document, the same for the same rows. Holds no observed value, as the store does. Bounded by
//! the rows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::store::Row;

/// One operation: what several hosts have together.
#[derive(Default)]
struct Operation {
    statuses: BTreeSet<u16>,
    schemes: BTreeSet<String>,
}

/// The document.
pub(super) fn document(rows: &[Row]) -> Value {
    let mut paths: BTreeMap<String, BTreeMap<String, Operation>> = BTreeMap::new();
    let (mut hosts, mut used) = (BTreeSet::new(), BTreeSet::new());
    for row in rows.iter().filter(|row| is_method(&row.method)) {
        let path = paths.entry(row.template.clone()).or_default();
        let operation = path.entry(row.method.to_ascii_lowercase()).or_default();
        operation
            .statuses
            .extend(row.statuses.iter().map(|(status, _)| *status));
        operation
            .schemes
            .extend(row.auth.iter().map(|(scheme, _)| scheme.clone()));
        used.extend(row.auth.iter().map(|(scheme, _)| scheme.clone()));
        if row.host != "-" {
            hosts.insert(row.host.clone());
        }
    }
    let mut items = Map::new();
    for (template, operations) in &paths {
        let (path, parameters) = named(template);
        let described = operations
            .iter()
            .map(|(method, operation)| (method.clone(), describe(operation, &parameters)));
        // Two templates may differ in nothing that a path of OpenAPI shows.
        let item = items.entry(path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.extend(described);
        }
    }
    let servers: Vec<Value> = hosts
        .iter()
        .map(|host| json!({ "url": format!("//{host}") }))
        .collect();
    let schemes: Map<String, Value> = used
        .iter()
        .filter_map(|scheme| Some((scheme.clone(), security(scheme)?)))
        .collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Observed APIs", "version": "observed" },
        "paths": items,
    });
    if let Some(document) = document.as_object_mut() {
        if !servers.is_empty() {
            document.insert("servers".to_owned(), servers.into());
        }
        if !schemes.is_empty() {
            document.insert("components".to_owned(), json!({ "securitySchemes": schemes }));
        }
    }
    document
}

/// Methods that a path item has a field for (`OpenAPI` 3.1.0, 4.8.9.1).
fn is_method(method: &str) -> bool {
    matches!(
        method,
        "GET" | "PUT" | "POST" | "DELETE" | "OPTIONS" | "HEAD" | "PATCH" | "TRACE"
    )
}

/// The path with a name of its own for each parameter, and the names: a name may be there once (3.1.0, 4.8.8.2).
fn named(template: &str) -> (String, Vec<String>) {
    let mut names: Vec<String> = Vec::new();
    let steps: Vec<String> = template
        .split('/')
        .map(|step| {
            let Some(name) = step.strip_prefix('{').and_then(|step| step.strip_suffix('}')) else {
                return step.to_owned();
            };
            let before = names
                .iter()
                .filter(|known| known.trim_end_matches(|c: char| c.is_ascii_digit()) == name);
            let name = match before.count() {
                0 => name.to_owned(),
                many => format!("{name}{}", many + 1),
            };
            let step = format!("{{{name}}}");
            names.push(name);
            step
        })
        .collect();
    (steps.join("/"), names)
}

fn describe(operation: &Operation, parameters: &[String]) -> Value {
    let mut responses: Map<String, Value> = operation
        .statuses
        .iter()
        .filter(|status| (100..600).contains(*status))
        .map(|status| (status.to_string(), json!({ "description": "observed" })))
        .collect();
    if responses.is_empty() {
        // One is required (3.1.0, 4.8.16).
        responses.insert(
            "default".to_owned(),
            json!({ "description": "no response was seen" }),
        );
    }
    let mut described = json!({ "responses": responses });
    let Some(fields) = described.as_object_mut() else {
        return described;
    };
    if !parameters.is_empty() {
        let parameters: Vec<Value> = parameters.iter().map(|name| parameter(name)).collect();
        fields.insert("parameters".to_owned(), parameters.into());
    }
    let mut security_of: Vec<Value> = operation
        .schemes
        .iter()
        .filter(|scheme| security(scheme).is_some())
        .map(|scheme| json!({ scheme.as_str(): [] }))
        .collect();
    if !security_of.is_empty() {
        if operation.schemes.contains("none") {
            security_of.push(json!({}));
        }
        fields.insert("security".to_owned(), security_of.into());
    }
    described
}

fn parameter(name: &str) -> Value {
    let schema = match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "uuid" => json!({ "type": "string", "format": "uuid" }),
        "date" => json!({ "type": "string", "format": "date" }),
        "email" => json!({ "type": "string", "format": "email" }),
        _ => json!({ "type": "string" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// As the document names it; `None` where there are no credentials, or nobody knows where they are.
fn security(scheme: &str) -> Option<Value> {
    Some(match scheme {
        "jwt" => json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" }),
        "bearer" => json!({ "type": "http", "scheme": "bearer" }),
        "basic" => json!({ "type": "http", "scheme": "basic" }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(method: &str, template: &str) -> Row {
        Row {
            method: method.to_owned(),
            host: "api.example.com".to_owned(),
            template: template.to_owned(),
            statuses: vec![(0, 1), (200, 2)],
            auth: vec![
                ("jwt".to_owned(), 2),
                ("none".to_owned(), 1),
                ("api_key".to_owned(), 1),
            ],
            ..Row::default()
        }
    }

    #[test]
    fn endpoints_become_operations() {
        let rows = [
            row("GET", "/users/{id}/items/{id}"),
            row("POST", "/users/{id}/items/{id}"),
            row("CONNECT", "/{param}"),
            row("GET", "/files/{uuid}"),
        ];
        let document = document(&rows);
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(
            paths.keys().collect::<Vec<_>>(),
            ["/files/{uuid}", "/users/{id}/items/{id2}"]
        );
        let get = &paths["/users/{id}/items/{id2}"]["get"];
        assert_eq!(get["parameters"][1]["name"], "id2");
        assert_eq!(get["responses"], json!({ "200": { "description": "observed" } }));
        assert_eq!(get["security"], json!([{ "jwt": [] }, {}]));
        assert_eq!(
            document["components"]["securitySchemes"]["jwt"]["bearerFormat"],
            "JWT"
        );
        let file = &paths["/files/{uuid}"]["get"]["parameters"][0];
        assert_eq!(file["schema"]["format"], "uuid");
        assert_eq!(document["servers"][0]["url"], "//api.example.com");
    }

    #[test]
    fn a_call_without_an_answer_has_a_response_nevertheless() {
        let silent = Row {
            statuses: vec![(0, 1)],
            ..row("GET", "/a")
        };
        let document = document(&[silent]);
        assert!(document["paths"]["/a"]["get"]["responses"]["default"].is_object());
    }
}
