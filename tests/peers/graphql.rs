//! GraphQL between Node.js and graphql-yoga over HTTP, graphql-ws over a WebSocket, and the audits
//! that graphql-http has for servers.

use sensor_tests::programs::Program;
use sensor_user::exchange::Exchange;
use sensor_user::exchange::call::CallKind;
use serde_json::{Value, json};

use crate::said::{assert_said, call, content, lines, of};
use crate::stage::{Server, Stage};
use crate::watch::Watch;

/// As many as graphql-http 1.23 has, each with one request.
const AUDITS: usize = 61;

fn is_live(exchange: &Exchange) -> bool {
    exchange.request.target().expose() == b"/live"
}

#[test]
fn graphql_over_http_and_websocket_and_every_audit() {
    let packages = ["graphql-yoga", "graphql-ws", "graphql-http", "ws"].map(|name| format!("node/{name}"));
    let packages = packages.each_ref().map(String::as_str);
    let Some(stage) = Stage::new("GraphQL", &[Program::Node], &packages) else {
        return;
    };
    let Some(mut watch) = stage.watch() else {
        return;
    };
    let server = stage.serve(&mut watch, &mut stage.node("graphql_server.js"));
    every_shape(&stage, &mut watch, &server);
    watch.observed.clear();
    every_audit(&stage, &mut watch, &server);
    watch.stop();
}

fn every_shape(stage: &Stage, watch: &mut Watch, server: &Server) {
    let mut client = stage.node("graphql_client.js");
    let ran = stage.run(watch, client.arg(server.port.to_string()));
    let said = lines(&ran.output);
    for (what, pid) in [("client", ran.pid), ("server", server.pid())] {
        assert_said(what, &of(watch, pid, |exchange| !is_live(exchange)), &said);
        assert_messages(what, &of(watch, pid, is_live));
    }
}

/// What is said of each request of the audits that graphql-http has for servers.
fn every_audit(stage: &Stage, watch: &mut Watch, server: &Server) {
    let mut client = stage.node("audits.js");
    let url = format!("http://127.0.0.1:{}/graphql", server.port);
    let ran = stage.run(watch, client.arg(url));
    let results: Value = serde_json::from_str(&ran.errors).unwrap();
    let results = results.as_object().unwrap();
    assert_eq!(results.len(), AUDITS);
    // The peer does what the specification wants, so its requests are what a server meets.
    assert!(results.values().all(|result| result == "ok"), "{results:?}");
    let said = lines(&ran.output);
    assert_eq!(said.len(), AUDITS);
    for (what, pid) in [("audits, client", ran.pid), ("audits, server", server.pid())] {
        assert_said(what, &of(watch, pid, |_| true), &said);
    }
}

/// The handshake, then the messages of graphql-transport-ws, each way in their order.
fn assert_messages(what: &str, seen: &[&Exchange]) {
    let part = |exchange: &&&Exchange| exchange.calls.first().is_some();
    assert_eq!(seen.iter().filter(|one| !part(one)).count(), 1, "{what}");
    let messages = seen.iter().filter(part);
    let read = |exchange: &&&Exchange| -> (String, Vec<Value>) {
        let asked = content(&exchange.request.body);
        let answered = exchange
            .outcome
            .response()
            .map(|response| content(&response.body));
        let text = if asked.is_empty() {
            answered.unwrap_or_default()
        } else {
            asked
        };
        let message: Value = serde_json::from_slice(&text).unwrap_or_default();
        let kind = message["type"].as_str().unwrap_or_default().to_owned();
        (kind, exchange.calls.iter().map(call).collect())
    };
    let all: Vec<_> = messages.map(|message| read(&message)).collect();
    let of_kind = |kind: &str| -> Vec<Vec<Value>> {
        let found = all.iter().filter(|(one, _)| one == kind);
        found.map(|(_, calls)| calls.clone()).collect()
    };
    let (ticks, once) = (
        CallKind::GraphqlSubscription.name(),
        CallKind::GraphqlQuery.name(),
    );
    let message = |kind: &str, call: Value| vec![json!(["websocket", kind, "unknown"]), call];
    let asked = [
        message("subscribe", json!([ticks, "Ticks", "unknown"])),
        message("subscribe", json!([once, "Once", "unknown"])),
    ];
    assert_eq!(of_kind("subscribe"), asked, "{what}: {all:#?}");
    let mut answered = vec![message("next", json!([ticks, "Ticks", "success"])); 3];
    answered.push(message("next", json!([once, "Once", "success"])));
    assert_eq!(of_kind("next"), answered, "{what}: {all:#?}");
    assert_eq!(of_kind("complete").len(), 2, "{what}: {all:#?}");
    assert_eq!(of_kind("connection_init").len(), 1, "{what}: {all:#?}");
}
