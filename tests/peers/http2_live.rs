//! Streams of HTTP/2 that go on, by Node.js over TLS: server-sent events, and a WebSocket on a stream (RFC 8441), both at
//! once on one connection.

use sensor_tests::programs::Program;
use sensor_user::exchange::call::CallKind;
use sensor_user::exchange::{BodyState, Exchange};

use crate::said::of;
use crate::stage::Stage;
use crate::watch::{Watch, assert_same, bytes};

/// Events of the stream.
const EVENTS: usize = 200;

/// Around the widths of a WebSocket frame's length, up to what is kept of a body, and beyond what a frame of HTTP/2 holds.
const LENGTHS: [usize; 9] = [1, 2, 125, 126, 127, 4000, 65_535, 65_536, 300];

/// The same text as the client makes.
fn text(index: usize, length: usize) -> Vec<u8> {
    let letter = |at: usize| b"abcdefghijklmnopqrstuvwxyz"[(at * 7 + index * 13 + (at * at) % 11) % 26];
    (0..length).map(letter).collect()
}

#[test]
fn events_and_a_websocket_share_a_connection_of_http2() {
    let what = "streams of HTTP/2 that go on";
    let Some(stage) = Stage::new(what, &[Program::Node], &["node/ws"]) else {
        return;
    };
    let Some(mut watch) = stage.watch() else {
        return;
    };
    let certificate = stage.certificate();
    let mut server = stage.node("http2_live_server.js");
    let server = stage.serve(
        &mut watch,
        server.arg(&certificate.certificate).arg(&certificate.key),
    );
    let lengths: Vec<String> = LENGTHS.iter().map(ToString::to_string).collect();
    let mut client = stage.node("http2_live_client.js");
    client.args([server.port.to_string(), EVENTS.to_string(), lengths.join(",")]);
    let ran = stage.run(&mut watch, &client);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        events(&format!("{what}, {end}"), &watch, pid);
        messages(&format!("{what}, {end}"), &watch, pid);
    }
    watch.stop();
}

/// What a process saw of a target: the parts of a kind, and what is no part.
fn seen<'w>(
    watch: &'w Watch,
    pid: u32,
    target: &str,
    kind: CallKind,
) -> (Vec<&'w Exchange>, Vec<&'w Exchange>) {
    let all = of(watch, pid, |exchange| {
        exchange.request.target().expose() == target.as_bytes()
    });
    for exchange in &all {
        assert!(
            exchange.connection.tls && exchange.request.version == 20,
            "{target}"
        );
        assert!(
            exchange.anomalies.is_empty(),
            "{target}: {:?}",
            exchange.anomalies
        );
    }
    all.into_iter()
        .partition(|exchange| exchange.calls.first().is_some_and(|call| call.kind == kind))
}

/// Every event once, in order, and then the stream itself, which holds none of them.
fn events(what: &str, watch: &Watch, pid: u32) {
    let target = format!("/events/{EVENTS}");
    let (events, whole) = seen(watch, pid, &target, CallKind::ServerSentEvent);
    assert_eq!(events.len(), EVENTS, "{what}");
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.calls[0].name.expose(), b"tick", "{what}");
        let body = &event.outcome.response().unwrap().body;
        assert_eq!(body.state, BodyState::Whole, "{what}");
        assert_eq!(
            bytes(body),
            format!("{{\"n\":{number}}}\nline two").into_bytes(),
            "{what}"
        );
    }
    let [stream] = &whole[..] else {
        panic!("{what}: {} streams", whole.len());
    };
    let body = &stream.outcome.response().unwrap().body;
    assert_eq!(body.state, BodyState::InParts, "{what}");
    assert!(body.pieces.is_empty(), "{what}");
}

/// Every message once, in order, each with its answer behind it, and the handshake.
fn messages(what: &str, watch: &Watch, pid: u32) {
    let (messages, handshake) = seen(watch, pid, "/live", CallKind::WebSocket);
    assert_eq!(messages.len(), 2 * LENGTHS.len(), "{what}");
    for (index, pair) in messages.chunks(2).enumerate() {
        let [asked, answered] = pair else {
            panic!("{what}: message {index}");
        };
        let what = format!("{what}, message {index}");
        let mut expected = text(index, LENGTHS[index]);
        assert_same(&what, &asked.request.body, &expected);
        expected.reverse();
        assert_same(&what, &answered.outcome.response().unwrap().body, &expected);
    }
    let [handshake] = &handshake[..] else {
        panic!("{what}: {} handshakes", handshake.len());
    };
    assert_eq!(handshake.request.method(), b"CONNECT", "{what}");
    let protocol = handshake.request.head.header(":protocol").unwrap();
    assert_eq!(protocol.expose(), b"websocket", "{what}");
}
