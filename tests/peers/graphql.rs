//! GraphQL between Node.js and graphql-yoga over HTTP, and graphql-ws over a WebSocket.

use sensor_tests::programs::Program;
use sensor_user::exchange::Exchange;
use sensor_user::exchange::call::CallKind;
use serde_json::{Value, json};

use crate::said::{assert_said, call, content, lines, of};
use crate::stage::Stage;

fn is_live(exchange: &Exchange) -> bool {
    exchange.request.target().expose() == b"/live"
}

#[test]
fn graphql_over_http_and_websocket() {
    let what = "GraphQL";
    let packages = ["node/graphql-yoga", "node/graphql-ws", "node/ws"];
    let Some(stage) = Stage::new(what, &[Program::Node], &packages) else {
        return;
    };
    let server = stage.serve(&mut stage.node("graphql_server.js"));
    let Some(mut watch) = stage.watch(&[server.pid()]) else {
        return;
    };
    let mut client = stage.node("graphql_client.js");
    let ran = stage.run(&mut watch, client.arg(server.port.to_string()));
    let said = lines(&ran.output);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let what = format!("{what}, {end}");
        assert_said(&what, &of(&watch, pid, |exchange| !is_live(exchange)), &said);
        assert_messages(&what, &of(&watch, pid, is_live));
    }
    watch.stop();
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
