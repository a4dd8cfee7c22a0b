//! Is every message of a WebSocket seen byte by byte, compressed or not, and every event of a stream before it ends?

use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};

use sensor_tests::clients::{Call, python};
use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::{Guard, PrivateTls, testbed};
use sensor_user::exchange::call::CallKind;
use sensor_user::exchange::{BodyState, Exchange};

use crate::bodies::perform;
use crate::watch::{Watch, able, assert_same, bytes, options};

/// Around the widths of a frame's length, and up to what is kept of a body.
const LENGTHS: [usize; 9] = [1, 2, 125, 126, 127, 4000, 65_535, 65_536, 300];

/// The same text as `ws_client.js` makes.
fn text(index: usize, length: usize) -> Vec<u8> {
    let letter = |at: usize| b"abcdefghijklmnopqrstuvwxyz"[(at * 7 + index * 13 + (at * at) % 11) % 26];
    (0..length).map(letter).collect()
}

/// Starts a script from the fixtures that prints its port, with packages of the testbed.
fn listening(tls: &PrivateTls, script: &str, argument: &str) -> (Guard, u16, ChildStdin) {
    let mut command = python(script, tls).unwrap();
    command.arg(argument).env("PYTHONPATH", testbed::python());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut guard = Guard::start(&mut command).unwrap();
    let input = guard.child().stdin.take().unwrap();
    let line = guard.first_line().unwrap();
    (guard, line.trim().parse().unwrap(), input)
}

fn is_part(exchange: &Exchange, kind: CallKind) -> bool {
    exchange.calls.first().is_some_and(|call| call.kind == kind)
}

/// What one process saw: every message once, in order, exactly.
fn check(what: &str, watch: &Watch, pid: u32) {
    let seen = watch.exchanges(pid, "/live");
    let handshakes = seen
        .iter()
        .filter(|one| !is_part(&one.exchange, CallKind::WebSocket));
    assert_eq!(handshakes.count(), 1, "{what}");
    let messages: Vec<_> = seen
        .iter()
        .map(|one| &one.exchange)
        .filter(|exchange| is_part(exchange, CallKind::WebSocket))
        .collect();
    assert_eq!(messages.len(), 2 * LENGTHS.len(), "{what}");
    for (index, pair) in messages.chunks(2).enumerate() {
        let [asked, answered] = pair else {
            panic!("{what}: {index}")
        };
        let mut expected = text(index, LENGTHS[index]);
        assert_same(
            &format!("{what}, message {index}"),
            &asked.request.body,
            &expected,
        );
        expected.reverse();
        let answer = &answered.outcome.response().unwrap().body;
        assert_same(&format!("{what}, answer {index}"), answer, &expected);
        assert!(
            asked.anomalies.is_empty() && answered.anomalies.is_empty(),
            "{what}, {index}"
        );
    }
}

#[test]
fn node_and_python_speak_websocket_and_every_message_is_seen() {
    let what = "WebSocket";
    if !able(what, &[Program::Node, Program::Python]) {
        return;
    }
    let modules = testbed::node_modules();
    if !modules.join("ws").is_dir() || !testbed::python().join("websockets").is_dir() {
        return programs::skipped(what, &"no ws or websockets; cargo xtask test installs them");
    }
    let tls = PrivateTls::new().unwrap();
    for compression in ["none", "deflate", "no-takeover"] {
        for fragments in ["whole", "fragments"] {
            let what = format!("{what}, {compression}, {fragments}");
            let (server, port, _input) = listening(&tls, "ws_server.py", compression);
            let Some(mut watch) = Watch::start(&what, &options(&tls, &[server.pid()])) else {
                return;
            };
            let lengths: Vec<String> = LENGTHS.iter().map(ToString::to_string).collect();
            let mut client = Command::new(Program::Node.find().unwrap());
            client
                .arg(sensor_tests::servers::fixture("ws_client.js"))
                .args([&port.to_string(), &lengths.join(","), fragments])
                .env("NODE_PATH", &modules);
            let pid = perform(&mut watch, &client);
            check(&format!("{what}, client's end"), &watch, pid);
            check(&format!("{what}, server's end"), &watch, server.pid());
            let head = &watch.exchanges(pid, "/live")[0]
                .exchange
                .outcome
                .response()
                .unwrap()
                .head;
            let agreed = head.header("sec-websocket-extensions").is_some();
            assert_eq!(agreed, compression != "none", "{what}");
            watch.stop();
        }
    }
}

#[test]
fn events_are_seen_before_their_stream_ends() {
    const COUNT: usize = 200;
    let what = "events";
    if !able(what, &[Program::Curl, Program::Python]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let (server, port, mut input) = listening(&tls, "sse.py", &COUNT.to_string());
    let Some(mut watch) = Watch::start(what, &options(&tls, &[server.pid()])) else {
        return;
    };
    let call = Call::new("GET", &format!("http://127.0.0.1:{port}/events"), b"").unwrap();
    let held = Held::new(&call.curl(&tls).unwrap()).unwrap();
    let pid = held.pid();
    watch.also(pid);
    let running = held.release().unwrap();
    for process in [pid, server.pid()] {
        watch.until(what, |watch| watch.exchanges(process, "/events").len() == COUNT);
        for (number, one) in watch.exchanges(process, "/events").iter().enumerate() {
            let exchange = &one.exchange;
            assert!(
                is_part(exchange, CallKind::ServerSentEvent),
                "{what}: the stream has not ended"
            );
            assert_eq!(exchange.calls[0].name.expose(), b"tick");
            let body = &exchange.outcome.response().unwrap().body;
            assert_eq!(body.state, BodyState::Whole);
            assert_eq!(bytes(body), format!("{{\"n\":{number}}}\nline two").into_bytes());
        }
    }
    input.write_all(b"x").unwrap();
    assert!(watch.follow(running).status.success());
    for process in [pid, server.pid()] {
        let stream = watch.exchanges(process, "/events");
        let last = &stream.last().unwrap().exchange;
        assert!(stream.len() == COUNT + 1 && last.calls.is_empty(), "{what}");
        assert!(last.outcome.response().unwrap().body.pieces.is_empty());
    }
    watch.stop();
}
