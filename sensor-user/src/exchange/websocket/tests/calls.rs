//! Which answer belongs to which call within a connection.

use super::*;
use crate::exchange::call::{CallOutcome, MAX_CALLS};

fn calls(exchanges: &[Exchange]) -> Vec<(String, CallKind, String, CallOutcome)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let messages = exchanges.iter().filter(|exchange| is_message(exchange));
    messages
        .filter_map(|exchange| {
            let [message, call] = exchange.calls.as_slice() else {
                return None;
            };
            Some((
                text(message.name.expose()),
                call.kind,
                text(call.name.expose()),
                call.outcome,
            ))
        })
        .collect()
}

#[test]
fn graphql_operations_are_paired_by_id() {
    for (protocol, ask, answer) in [
        ("graphql-transport-ws", "subscribe", "next"),
        ("graphql-ws", "start", "data"),
    ] {
        let field = format!("Sec-WebSocket-Protocol: {protocol}\r\n");
        let mut steps = opened(&field, &field);
        let query = "# all\\nsubscription Prices($a: Int) { price }";
        for (id, payload) in [
            ("1", format!("{{\"query\":\"{query}\"}}")),
            (
                "2",
                "{\"operationName\":\"Pay\",\"query\":\"mutation Pay { pay }\"}".to_owned(),
            ),
        ] {
            let text = format!("{{\"id\":\"{id}\",\"type\":\"{ask}\",\"payload\":{payload}}}");
            steps.push(ToServer(client(text.as_bytes())));
        }
        for text in [
            format!("{{\"type\":\"{answer}\",\"id\":\"1\",\"payload\":{{\"data\":{{\"price\":1}}}}}}"),
            format!("{{\"type\":\"{answer}\",\"id\":\"1\",\"payload\":{{\"errors\":[{{}}],\"data\":null}}}}"),
            "{\"type\":\"error\",\"id\":\"2\",\"payload\":[{\"message\":\"no\"}]}".to_owned(),
            "{\"type\":\"complete\",\"id\":\"1\"}".to_owned(),
            "{\"type\":\"complete\",\"id\":\"1\"}".to_owned(),
        ] {
            steps.push(ToClient(server(text.as_bytes())));
        }
        let (prices, pay) = (CallKind::GraphqlSubscription, CallKind::GraphqlMutation);
        let expected = [
            (ask, prices, "Prices", CallOutcome::Unknown),
            (ask, pay, "Pay", CallOutcome::Unknown),
            (answer, prices, "Prices", CallOutcome::Success),
            (answer, prices, "Prices", CallOutcome::Failure(0)),
            ("error", pay, "Pay", CallOutcome::Failure(0)),
            ("complete", prices, "Prices", CallOutcome::Unknown),
        ];
        let expected =
            expected.map(|(name, kind, call, outcome)| (name.to_owned(), kind, call.to_owned(), outcome));
        assert_eq!(calls(&run(steps)), expected);
    }
}

#[test]
fn json_rpc_calls_are_paired_by_id_and_side() {
    let mut steps = opened("", "");
    steps.push(ToServer(client(
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":[]}",
    )));
    steps.push(ToClient(server(
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"roots\"}",
    )));
    steps.push(ToServer(client(
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"error\":1}}",
    )));
    steps.push(ToClient(server(
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32601,\"message\":\"x\"}}",
    )));
    steps.push(ToClient(server(b"{\"id\":1,\"method\":\"none\"}")));
    let rpc = |name: &str, outcome| (String::new(), CallKind::JsonRpc, name.to_owned(), outcome);
    assert_eq!(
        calls(&run(steps)),
        [
            rpc("eth_call", CallOutcome::Unknown),
            rpc("roots", CallOutcome::Unknown),
            rpc("roots", CallOutcome::Success),
            rpc("eth_call", CallOutcome::Failure(-32601)),
        ]
    );
}

#[test]
fn json_rpc_batches_are_paired_call_by_call() {
    let rpc = |id: &str, rest: &str| format!("{{\"jsonrpc\":\"2.0\",{id}{rest}}}");
    let ask = format!(
        "[{},{},{},7]",
        rpc("\"id\":1,", "\"method\":\"a\",\"params\":[{\"id\":2}]"),
        rpc("\"id\":\"1\",", "\"method\":\"b\""),
        rpc("", "\"method\":\"note\""),
    );
    // In any order (JSON-RPC 2.0, 6), and one of them by itself.
    let answers = format!(
        "[{},{}]",
        rpc("\"id\":\"1\",", "\"result\":[[{\"id\":1}]]"),
        rpc("\"id\":9,", "\"error\":{\"code\":-32600}"),
    );
    let late = rpc("\"id\":1,", "\"error\":{\"code\":-5}");
    let mut steps = opened("", "");
    steps.extend([
        ToServer(client(ask.as_bytes())),
        ToClient(server(answers.as_bytes())),
        ToClient(server(late.as_bytes())),
    ]);
    let exchanges = run(steps);
    let all = exchanges.iter().flat_map(|exchange| &exchange.calls);
    let found: Vec<(&str, CallOutcome)> = all
        .filter(|call| call.kind == CallKind::JsonRpc)
        .map(|call| (std::str::from_utf8(call.name.expose()).unwrap(), call.outcome))
        .collect();
    let expected = [
        ("a", CallOutcome::Unknown),
        ("b", CallOutcome::Unknown),
        ("note", CallOutcome::Unknown),
        ("b", CallOutcome::Success),
        ("", CallOutcome::Failure(-32600)),
        ("a", CallOutcome::Failure(-5)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_batch_beyond_the_limit_is_odd_and_keeps_its_front() {
    let one = |id: usize, rest: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{rest}}}");
    let batch = |rest: &str| {
        let all: Vec<String> = (0..2_000).map(|id| one(id, rest)).collect();
        format!("[{}]", all.join(","))
    };
    let mut steps = opened("", "");
    steps.extend([
        ToServer(client(batch("\"method\":\"m\"").as_bytes())),
        ToClient(server(batch("\"result\":0").as_bytes())),
    ]);
    let exchanges = run(steps);
    for exchange in exchanges.iter().filter(|exchange| is_message(exchange)) {
        assert_eq!(exchange.calls.len(), MAX_CALLS);
        assert!(
            exchange
                .calls
                .iter()
                .skip(1)
                .all(|call| call.name.expose() == b"m")
        );
        assert_eq!(exchange.anomalies.to_vec(), vec![Anomaly::TooManyCalls]);
    }
}
