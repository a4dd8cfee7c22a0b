//! Learnt endpoints and schemas as an `OpenAPI` 3.1 document.
//!
//! Takes endpoints with their schemas. Gives one JSON document, the same for the same input. Never holds an observed
//! value: names that may be shown, formats, and words of enumerations that several callers used. Bounded by its input.

mod naming;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::classify::outline::{Media, Root, Step};
use crate::classify::{Half, Part};
use crate::exchange::{AuthScheme, Method, credentials};
use crate::inventory::Endpoint;
use crate::inventory::schema::{Branch, Place, Schema, Tree};

use naming::{Names, Template, operation_id};
use shape::{Components, shape};

/// An endpoint and what is known of it.
#[derive(Clone, Debug)]
pub struct Described<'a> {
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// What was learnt of it.
    pub schema: &'a Schema,
    /// Kinds of credentials that it was called with.
    pub auth: &'a [AuthScheme],
    /// It was called without credentials, too.
    pub anonymous: bool,
    /// What it was called through.
    pub transports: Transports,
}

/// What an API was called through: whether inside TLS, and the server's port, 0 where it is not known.
pub type Transports = BTreeSet<(bool, u16)>;

/// Hosts, and what each was called through.
type Hosts = BTreeMap<String, Transports>;

/// What several endpoints that a document cannot tell apart have together: one path on several hosts, or with
/// placeholders of several formats.
struct Operation {
    template: Template,
    schema: Schema,
    hosts: Hosts,
    auth: BTreeSet<&'static str>,
    anonymous: bool,
}

/// The document. `title` names it.
pub fn document(title: &str, endpoints: &[Described<'_>]) -> Value {
    let operations = gather(endpoints);
    let mut components = Components::default();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut ids = Names::default();
    let mut hosts = Hosts::new();
    for (host, transports) in operations.values().flat_map(|operation| &operation.hosts) {
        hosts.entry(host.clone()).or_default().extend(transports);
    }
    for ((path, method), operation) in &operations {
        // All methods of a path have its placeholders by the same names.
        let template = names.entry(path).or_insert(&operation.template);
        let mut value = describe(template, operation, &mut components);
        let id = operation_id(method, template, &mut ids);
        value.insert("operationId".to_owned(), id.into());
        if operation.hosts != hosts {
            value.insert("servers".to_owned(), servers(&operation.hosts));
        }
        paths
            .entry(template.text())
            .or_default()
            .insert((*method).to_owned(), value.into());
    }
    let used: BTreeSet<&'static str> = operations
        .values()
        .flat_map(|operation| operation.auth.iter().copied())
        .collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": "observed" },
        "servers": servers(&hosts),
        "paths": paths,
    });
    components.resolve(&mut document);
    let mut parts = Map::new();
    let schemas = components.named();
    if !schemas.is_empty() {
        parts.insert("schemas".to_owned(), schemas.into());
    }
    if !used.is_empty() {
        let schemes: Map<String, Value> = used
            .into_iter()
            .map(|name| (name.to_owned(), security_scheme(name, &operations)))
            .collect();
        parts.insert("securitySchemes".to_owned(), schemes.into());
    }
    if let (Some(document), false) = (document.as_object_mut(), parts.is_empty()) {
        document.insert("components".to_owned(), parts.into());
    }
    document
}

/// Endpoints by path, placeholders without their names, and method.
fn gather(endpoints: &[Described<'_>]) -> BTreeMap<(String, &'static str), Operation> {
    let mut sorted: Vec<_> = endpoints.iter().collect();
    sorted.sort_by_key(|described| described.endpoint);
    let mut operations: BTreeMap<_, Operation> = BTreeMap::new();
    for described in sorted {
        let Some(method) = method(described.endpoint.method) else {
            continue;
        };
        let template = Template::of(&described.endpoint.template);
        let operation = operations
            .entry((template.bare(), method))
            .or_insert_with(|| Operation {
                template,
                schema: Schema::default(),
                hosts: Hosts::new(),
                auth: BTreeSet::new(),
                anonymous: false,
            });
        operation.schema.merge(described.schema);
        let known = operation.hosts.entry(described.endpoint.host.to_string());
        known.or_default().extend(&described.transports);
        operation
            .auth
            .extend(described.auth.iter().map(|scheme| scheme.name()));
        operation.anonymous |= described.anonymous;
    }
    operations
}

/// As `OpenAPI` names methods (3.1.0, Path Item Object); others cannot be described.
const fn method(method: Method) -> Option<&'static str> {
    Some(match method {
        Method::Get => "get",
        Method::Head => "head",
        Method::Post => "post",
        Method::Put => "put",
        Method::Patch => "patch",
        Method::Delete => "delete",
        Method::Options => "options",
        Method::Trace => "trace",
        Method::Connect | Method::Other => return None,
    })
}

/// A server for each host and what it was called through, TLS first; where that is not known, the host alone (RFC 3986,
/// 4.2). A port is said where it is not the scheme's own (RFC 9110, 4.2); one that is not known is left out where another
/// is.
fn servers(hosts: &Hosts) -> Value {
    let url = |host: &str, (tls, port): (bool, u16)| match (tls, port) {
        (true, 0 | 443) => format!("https://{host}"),
        (false, 0 | 80) => format!("http://{host}"),
        (true, port) => format!("https://{host}:{port}"),
        (false, port) => format!("http://{host}:{port}"),
    };
    let urls = |host: &str, seen: &Transports| -> BTreeSet<(bool, String)> {
        let known = |tls: bool| seen.range((tls, 1)..=(tls, u16::MAX)).next().is_some();
        let said = seen.iter().filter(|(tls, port)| *port > 0 || !known(*tls));
        match host {
            "-" | "" => BTreeSet::from([(false, "/".to_owned())]),
            host if seen.is_empty() => BTreeSet::from([(false, format!("//{host}"))]),
            host => said.map(|through| (!through.0, url(host, *through))).collect(),
        }
    };
    hosts
        .iter()
        .flat_map(|(host, seen)| urls(host, seen))
        .map(|(_, url)| json!({ "url": url }))
        .collect()
}

fn describe(template: &Template, operation: &Operation, components: &mut Components) -> Map<String, Value> {
    let tree = Tree::of(&operation.schema);
    let mut value = Map::new();
    let parameters = parameters(template, &tree, operation.schema.accepted(), components);
    if !parameters.is_empty() {
        value.insert("parameters".to_owned(), parameters.into());
    }
    let name = template.noun();
    // Answers first: what is sent as it is answered has the answer's name.
    let responses = responses(&operation.schema, &tree, &name, components);
    let content = content(&tree, Half::Request, 0, &format!("{name}Input"), components);
    if !content.is_empty() {
        let bodies = bodies(&tree, Half::Request, 0).map(|(_, body)| body.place().seen());
        let required = bodies.fold(0_u32, u32::saturating_add) >= operation.schema.accepted();
        let body = json!({ "required": required, "content": content });
        value.insert("requestBody".to_owned(), body);
    }
    value.insert("responses".to_owned(), responses.into());
    if !operation.auth.is_empty() {
        let mut security: Vec<Value> = operation.auth.iter().map(|name| json!({ *name: [] })).collect();
        if operation.anonymous {
            security.push(json!({}));
        }
        value.insert("security".to_owned(), security.into());
    }
    value
}

/// Fields that are said by other means (3.1.0, Parameter Object).
fn is_said_elsewhere(name: &str) -> bool {
    matches!(
        name,
        "accept" | "content-type" | "authorization" | "proxy-authorization"
    )
}

fn parameters(
    template: &Template,
    tree: &Tree<'_>,
    accepted: u32,
    components: &mut Components,
) -> Vec<Value> {
    let mut found = Vec::new();
    let part = |part| {
        tree.parts()
            .find(move |(root, _)| root.half == Half::Request && root.part == part)
    };
    let in_path = part(Part::Path).map(|(_, branch)| branch);
    for (position, name) in template.parameters().enumerate() {
        let learnt = in_path.and_then(|path| {
            path.members()
                .find(|one| one.place().name() == position.to_string())
        });
        let schema = learnt.map_or_else(
            || json!({ "type": "string" }),
            |one| shape(&[one], name, components),
        );
        found.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    for (kind, place) in [
        (Part::Query, "query"),
        (Part::Header, "header"),
        (Part::Cookie, "cookie"),
    ] {
        let members = part(kind).into_iter().flat_map(|(_, branch)| branch.members());
        for member in members.filter(|one| kind != Part::Header || !is_said_elsewhere(one.place().name())) {
            let name = member.place().name();
            let schema = shape(&[member], name, components);
            // A name that comes more than once in a request is a list (style `form`, exploded, by default).
            let many = member.place().facts().count > member.place().seen();
            let schema = if many && kind == Part::Query {
                json!({ "type": "array", "items": schema })
            } else {
                schema
            };
            let required = member.place().seen() >= accepted;
            found.push(json!({ "name": name, "in": place, "required": required, "schema": schema }));
        }
    }
    found
}

fn responses(
    schema: &Schema,
    tree: &Tree<'_>,
    name: &str,
    components: &mut Components,
) -> Map<String, Value> {
    let mut responses = Map::new();
    // Codes beyond 599 are none of HTTP (RFC 9110, 15).
    for (status, _) in schema
        .statuses()
        .iter()
        .filter(|(status, _)| (100..600).contains(status))
    {
        let noun = match status {
            400.. => "Error".to_owned(),
            _ => name.to_owned(),
        };
        let mut response = Map::new();
        response.insert("description".to_owned(), phrase(*status).into());
        let content = content(tree, Half::Response, *status, &noun, components);
        if !content.is_empty() {
            response.insert("content".to_owned(), content.into());
        }
        let headers = headers(tree, *status, components);
        if !headers.is_empty() {
            response.insert("headers".to_owned(), headers.into());
        }
        responses.insert(status.to_string(), response.into());
    }
    if responses.is_empty() {
        responses.insert(
            "default".to_owned(),
            json!({ "description": "No answer was seen." }),
        );
    }
    responses
}

fn headers(tree: &Tree<'_>, status: u16, components: &mut Components) -> Map<String, Value> {
    let own = |root: &Root| root.half == Half::Response && root.part == Part::Header && root.status == status;
    tree.parts()
        .filter(|(root, _)| own(root))
        .flat_map(|(_, branch)| branch.members())
        .filter(|member| !is_said_elsewhere(member.place().name()))
        .map(|member| {
            let name = member.place().name();
            (
                name.to_owned(),
                json!({ "schema": shape(&[member], name, components) }),
            )
        })
        .collect()
}

fn bodies<'a>(tree: &'a Tree<'a>, half: Half, status: u16) -> impl Iterator<Item = (Root, Branch<'a>)> {
    let own = move |root: &Root| root.half == half && root.part == Part::Body && root.status == status;
    tree.parts().filter(move |(root, _)| own(root))
}

fn content(
    tree: &Tree<'_>,
    half: Half,
    status: u16,
    name: &str,
    components: &mut Components,
) -> Map<String, Value> {
    bodies(tree, half, status)
        .map(|(root, branch)| {
            let schema = match root.media {
                // Not JSON: of its bytes nothing is said (3.1.0, Considerations for File Uploads).
                Media::Binary => json!({}),
                _ => shape(&[branch], name, components),
            };
            (media(root.media).to_owned(), json!({ "schema": schema }))
        })
        .collect()
}

const fn media(media: Media) -> &'static str {
    match media {
        Media::Json => "application/json",
        Media::JsonLines => "application/jsonl",
        Media::Form => "application/x-www-form-urlencoded",
        Media::Multipart => "multipart/form-data",
        Media::Xml => "application/xml",
        Media::EventStream => "text/event-stream",
        Media::MessagePack => "application/msgpack",
        Media::Cbor => "application/cbor",
        Media::Protobuf => "application/x-protobuf",
        Media::Text => "text/plain",
        Media::Binary | Media::None => "application/octet-stream",
    }
}

/// What a status code says (RFC 9110, 15); a description is required.
const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => match status / 100 {
            1 => "Interim answer",
            2 => "Success",
            3 => "Redirection",
            4 => "The client's fault",
            _ => "The server's fault",
        },
    }
}

/// A security scheme by [`AuthScheme::name`].
fn security_scheme(name: &str, operations: &BTreeMap<(String, &'static str), Operation>) -> Value {
    let observed = |part, fits: fn(&str) -> bool| {
        let names = operations
            .values()
            .flat_map(|operation| members(&operation.schema, part));
        names.into_iter().find(|name| fits(name))
    };
    match name {
        "jwt" => json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" }),
        "bearer" => json!({ "type": "http", "scheme": "bearer" }),
        "basic" => json!({ "type": "http", "scheme": "basic" }),
        "api_key" => {
            let field = observed(Part::Header, is_key_name).map(|name| ("header", name));
            let (place, name) = field
                .or_else(|| observed(Part::Query, is_key_name).map(|name| ("query", name)))
                .unwrap_or(("header", "x-api-key".to_owned()));
            json!({ "type": "apiKey", "in": place, "name": name })
        }
        "session" => {
            let name = observed(Part::Cookie, is_session_name).unwrap_or_else(|| "session".to_owned());
            json!({ "type": "apiKey", "in": "cookie", "name": name })
        }
        _ => json!({ "type": "apiKey", "in": "header", "name": "Authorization" }),
    }
}

/// Names of a request's parameters in one part.
fn members(schema: &Schema, part: Part) -> Vec<String> {
    let own = |root: Root| root.half == Half::Request && root.part == part;
    let places = schema.places();
    let inside =
        |parent: usize| matches!(places.get(parent).map(Place::step), Some(Step::Root(root)) if own(root));
    places
        .iter()
        .filter(|place| place.parent().is_some_and(inside) && !place.name().is_empty())
        .map(|place| place.name().to_owned())
        .collect()
}

fn is_key_name(name: &str) -> bool {
    credentials::is_key_name(name.as_bytes())
}

fn is_session_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("sess") || name.contains("sid") || name.ends_with("token")
}

#[cfg(test)]
mod tests;
