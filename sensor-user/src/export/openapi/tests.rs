use std::sync::Arc;

use super::*;
use crate::callers::{self, Callers};
use crate::classify::{self, Classifier};
use crate::exchange::test_support::Builder;
use crate::inventory::schema::{Limits, Schemas, Seen};
use crate::inventory::{self, Inventory};
use crate::telemetry::Counters;

/// What is learnt from exchanges, as a document.
fn learnt(exchanges: Vec<Builder>) -> Value {
    let mut classifier = Classifier::new(classify::Limits::default());
    let mut inventory = Inventory::new(inventory::Limits::default(), Arc::new(Counters::default()));
    let mut schemas = Schemas::new(Limits::default());
    for (number, builder) in exchanges.into_iter().enumerate() {
        let exchange = builder.build();
        let labels = classifier.classify(&exchange);
        let endpoint = inventory.observe(&exchange, &labels.calls).endpoint;
        inventory
            .take_changes()
            .for_each(|change| schemas.follow(&change));
        let caller = Callers::new(callers::Limits::default()).observe(&exchange);
        let seen = Seen {
            caller: Some((number as u64 % 5).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            ..Seen::of(&exchange, &caller)
        };
        schemas.observe(&endpoint, &labels.outline, &seen);
        schemas.observe_target(&endpoint, exchange.request.target().expose(), &seen);
    }
    let sorted = schemas.sorted();
    let all: Vec<_> = sorted
        .iter()
        .map(|(endpoint, schema)| Described {
            endpoint,
            schema,
            auth: &[AuthScheme::Jwt, AuthScheme::ApiKey],
            anonymous: endpoint.method == Method::Get,
            transports: [
                Some((true, 0)),
                (&*endpoint.host == "other.example.com").then_some((false, 0)),
            ]
            .into_iter()
            .flatten()
            .collect(),
        })
        .collect();
    document("test", &all)
}

fn shop() -> Vec<Builder> {
    let address = r#"{"street":"Main Street 1","zip":"12345","country":"DE"}"#;
    let mut all = Vec::new();
    for n in 0..60 {
        let status = ["open", "paid", "shipped"][n % 3];
        let order = format!(
            r#"{{"id":{n},"uuid":"550e8400-e29b-41d4-a716-4466554{n:05}","status":"{status}","total":{n}.5,
               "billing":{address},"shipping":{address},"paid_at":{},"lines":[{{"sku":"AB-17{n}","n":1}}],
               "rates":{{"{n}001":1.5,"{n}002":2.5}},"mail":"user{n}@example.com"}}"#,
            if n % 2 == 0 {
                "null"
            } else {
                "\"2024-05-01T10:00:00Z\""
            }
        );
        all.push(Builder::get(&format!("/shops/{n}/orders/{n}00?fields=all&tag=a&tag=b")).answer(&order));
        all.push(
            Builder::post("/orders")
                .field("X-Api-Key", "0123456789abcdef0123")
                .field("X-Tenant", "acme")
                .json(&order)
                .status(201)
                .answer(&order),
        );
    }
    all.push(
        Builder::get("/shops/1/orders/x%20y")
            .status(404)
            .answer(r#"{"error":{"code":1,"text":"No such order"}}"#),
    );
    all.push(
        Builder::get("/shops/1/orders/9")
            .field("Host", "other.example.com")
            .answer(r#"{"id":1}"#),
    );
    all
}

#[test]
fn a_shop_is_described() {
    let document = learnt(shop());
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["servers"],
        json!([
            { "url": "https://api.example.com" },
            { "url": "https://other.example.com" },
            { "url": "http://other.example.com" }
        ])
    );
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(paths, ["/orders", "/shops/{shopId}/orders/{orderId}"]);
    let post = &document["paths"]["/orders"]["post"];
    assert_eq!(post["operationId"], "postOrders");
    assert_eq!(post["servers"], json!([{ "url": "https://api.example.com" }]));
    assert_eq!(post["security"], json!([{ "api_key": [] }, { "jwt": [] }]));
    assert_eq!(post["requestBody"]["required"], true);
    let content = |value: &Value| value["content"]["application/json"]["schema"]["$ref"].clone();
    let input = content(&post["requestBody"]);
    assert_eq!(content(&post["responses"]["201"]), input);
    assert_eq!(input, "#/components/schemas/Order");
    let order = &document["components"]["schemas"]["Order"];
    assert_eq!(
        order["properties"]["status"]["enum"],
        json!(["open", "paid", "shipped"])
    );
    assert_eq!(
        order["properties"]["uuid"],
        json!({ "type": "string", "format": "uuid" })
    );
    assert_eq!(
        order["properties"]["paid_at"],
        json!({ "type": ["null", "string"], "format": "date-time" })
    );
    assert_eq!(order["properties"]["total"], json!({ "type": "number" }));
    assert_eq!(
        order["properties"]["rates"],
        json!({ "type": "object", "additionalProperties": { "type": "number" } })
    );
    assert_eq!(
        order["properties"]["billing"]["$ref"],
        "#/components/schemas/Billing"
    );
    assert_eq!(
        order["properties"]["shipping"]["$ref"],
        "#/components/schemas/Billing"
    );
    assert_eq!(
        document["components"]["securitySchemes"]["api_key"],
        json!({ "type": "apiKey", "in": "header", "name": "x-api-key" })
    );
}

#[test]
fn parameters_are_described() {
    let document = learnt(shop());
    let get = &document["paths"]["/shops/{shopId}/orders/{orderId}"]["get"];
    let parameters: Vec<_> = get["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["in"].as_str().unwrap(),
                one["name"].as_str().unwrap(),
                one["required"] == true,
            )
        })
        .collect();
    assert_eq!(
        parameters,
        [
            ("path", "shopId", true),
            ("path", "orderId", true),
            ("query", "fields", false),
            ("query", "tag", false)
        ]
    );
    assert_eq!(get["parameters"][3]["schema"]["type"], "array");
    assert_eq!(get["responses"]["404"]["description"], "Not Found");
    assert_eq!(get["security"].as_array().unwrap().len(), 3);
}

#[test]
fn no_value_is_in_a_document() {
    let text = learnt(shop()).to_string();
    for value in [
        "Main Street",
        "12345",
        "user1",
        "AB-17",
        "0123456789abcdef0123",
        "550e8400",
        "No such",
        "2024-05",
    ] {
        assert!(!text.contains(value), "{value}");
    }
}

#[test]
fn the_order_of_exchanges_does_not_matter() {
    let mut backwards = shop();
    backwards.reverse();
    // Callers are numbered by position; sixty and two exchanges more keep the same five for each word.
    assert_eq!(learnt(shop())["paths"], learnt(backwards)["paths"]);
}

#[test]
fn nothing_learnt_is_a_document_too() {
    let empty = document("nothing", &[]);
    assert_eq!(empty["paths"], json!({}));
    assert!(empty.get("components").is_none());
}

#[test]
fn servers_are_as_they_were_called() {
    let url = |through: &[(bool, u16)]| {
        let through = through.iter().copied().collect();
        let hosts = Hosts::from([("api.example.com".to_owned(), through)]);
        let urls: Vec<_> = servers(&hosts)
            .as_array()
            .unwrap()
            .iter()
            .map(|server| server["url"].as_str().unwrap().to_owned())
            .collect();
        urls.join(" ")
    };
    assert_eq!(url(&[(true, 0)]), "https://api.example.com");
    assert_eq!(url(&[(false, 80)]), "http://api.example.com");
    assert_eq!(
        url(&[(false, 0), (true, 443)]),
        "https://api.example.com http://api.example.com"
    );
    assert_eq!(url(&[]), "//api.example.com");
    assert_eq!(url(&[(true, 8443)]), "https://api.example.com:8443");
    // A client does not say the port that its server has.
    assert_eq!(
        url(&[(true, 0), (true, 8443), (false, 0)]),
        "https://api.example.com:8443 http://api.example.com"
    );
}
