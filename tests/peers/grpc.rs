//! gRPC in every shape: grpcio with itself and grpc-js with itself over TLS, and one with the other. grpcio's own TLS is
//! stripped, so it speaks without.

use std::process::Command;

use sensor_tests::programs::Program;
use sensor_user::exchange::call::{CallKind, CallOutcome, Count, Messages};
use sensor_user::exchange::{Body, BodyState, Exchange};
use serde_json::Value;

use crate::said::{lines, of};
use crate::stage::Stage;
use crate::watch::{Watch, bytes};

#[test]
fn grpc_of_every_shape() {
    let programs = [Program::Python, Program::Node];
    let Some(stage) = Stage::new("gRPC", &programs, &["grpc", "node/@grpc/grpc-js"]) else {
        return;
    };
    let Some(mut watch) = stage.watch() else {
        return;
    };
    let with_grpcio = |port: u16| {
        let mut client = stage.python("grpc_client.py");
        client.arg(port.to_string());
        client
    };
    let mut pair = Pair {
        stage: &stage,
        watch: &mut watch,
    };
    pair.both_ends("grpcio", stage.python("grpc_server.py"), with_grpcio, false);
    pair.both_ends(
        "grpcio to grpc-js",
        stage.node("grpc_server.js"),
        with_grpcio,
        false,
    );
    let certificate = stage.certificate();
    let mut server = stage.node("grpc_server.js");
    server.arg(&certificate.certificate).arg(&certificate.key);
    let with_grpc_js = |port: u16| {
        let mut client = stage.node("grpc_client.js");
        client.arg(port.to_string()).arg(&certificate.certificate);
        client
    };
    pair.both_ends("grpc-js over TLS", server, with_grpc_js, true);
    watch.stop();
}

/// What every pair of programs is run on.
struct Pair<'a> {
    stage: &'a Stage,
    watch: &'a mut Watch,
}

impl Pair<'_> {
    /// Runs the client against the server, and holds both ends against what the client says.
    fn both_ends(&mut self, what: &str, mut server: Command, client: impl Fn(u16) -> Command, tls: bool) {
        let Self { stage, watch } = self;
        let server = stage.serve(watch, &mut server);
        let ran = stage.run(watch, &client(server.port));
        let said = lines(&ran.output);
        for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
            let what = format!("{what}, {end}");
            let seen = of(watch, pid, |_| true);
            let targets: Vec<_> = seen.iter().map(|exchange| exchange.calls.first()).collect();
            assert_eq!(seen.len(), said.len(), "{what}: {targets:#?}");
            for (number, (exchange, said)) in seen.iter().zip(&said).enumerate() {
                let what = format!("{what}, call {number} {}", said["target"]);
                assert_eq!(exchange.connection.tls, tls, "{what}");
                assert_call(&what, exchange, said);
            }
        }
    }
}

fn assert_call(what: &str, exchange: &Exchange, said: &Value) {
    let target = said["target"].as_str().unwrap();
    assert_eq!(exchange.request.target().expose(), target.as_bytes(), "{what}");
    assert_eq!(exchange.request.version, 20, "{what}");
    let [call] = exchange.calls.as_slice() else {
        panic!("{what}: {:?}", exchange.calls)
    };
    assert_eq!(call.kind, CallKind::Grpc, "{what}");
    assert_eq!(
        call.name.expose(),
        target.trim_start_matches('/').as_bytes(),
        "{what}"
    );
    let status = said["status"].as_i64().unwrap();
    let outcome = if status == 0 {
        CallOutcome::Success
    } else {
        CallOutcome::Failure(status)
    };
    assert_eq!(call.outcome, outcome, "{what}");
    assert!(exchange.anomalies.is_empty(), "{what}: {:?}", exchange.anomalies);
    let response = exchange.outcome.response().unwrap();
    let received = messages(&said["received"]);
    let trailers_only = response.trailers.headers.is_empty();
    assert!(received.is_empty() || !trailers_only, "{what}: no trailers");
    let counted = call.grpc().unwrap();
    let count = |seen: usize| Count {
        seen: u32::try_from(seen).unwrap(),
        more: false,
    };
    // A call that is refused may be answered before its message was sent.
    let sent = messages(&said["sent"]);
    if trailers_only && counted.to_server.seen == 0 {
        assert_eq!(counted.to_client, count(0), "{what}");
        return;
    }
    let expected = Messages {
        to_server: count(sent.len()),
        to_client: count(received.len()),
    };
    assert_eq!(counted, expected, "{what}");
    if said["compressed"] == true {
        return;
    }
    assert_frames(&format!("{what}, request"), &exchange.request.body, &sent);
    assert_frames(&format!("{what}, response"), &response.body, &received);
}

fn messages(hex: &Value) -> Vec<Vec<u8>> {
    let pairs = |text: &str| -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let message = |said: &Value| {
        let mut message = pairs(said[0].as_str().unwrap());
        let run = usize::try_from(said[1].as_u64().unwrap()).unwrap();
        message.resize(message.len() + run, b'x');
        message
    };
    hex.as_array().unwrap().iter().map(message).collect()
}

/// A body is its messages, each behind a flag and a length (PROTOCOL-HTTP2.md, Length-Prefixed-Message).
fn assert_frames(what: &str, body: &Body, messages: &[Vec<u8>]) {
    let mut expected = Vec::new();
    for message in messages {
        expected.push(0);
        expected.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        expected.extend(message);
    }
    assert!(body.is_whole(), "{what}: {:?}", body.state);
    assert_ne!(body.state, BodyState::Limited, "{what}");
    assert!(
        bytes(body) == expected,
        "{what}: {} bytes, {} were sent",
        body.total,
        expected.len()
    );
}
