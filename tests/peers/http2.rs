//! HTTP/2 over TLS: Node.js as server and client, httpx, curl; many streams at once, hints, pushes, trailers, resets.

use sensor_tests::payload::body;
use sensor_tests::programs::Program;
use sensor_user::exchange::{Exchange, Outcome};

use crate::said::of;
use crate::stage::{Server, Stage};
use crate::watch::{Watch, assert_same, bytes};

/// Streams at once, each longer than the last by a thousand bytes: more than a window of flow control holds
/// (RFC 9113, 6.9.2).
const STREAMS: usize = 40;

#[test]
fn node_and_httpx_speak_http2() {
    let programs = [Program::Node, Program::Python];
    let Some(stage) = Stage::new("HTTP/2", &programs, &["python/httpx", "python/h2"]) else {
        return;
    };
    let Some(mut watch) = stage.watch() else {
        return;
    };
    let server = node_server(&stage, &mut watch);
    node(&stage, &mut watch, &server);
    watch.observed.clear();
    httpx(&stage, &mut watch, &server);
    watch.stop();
}

fn node_server(stage: &Stage, watch: &mut Watch) -> Server {
    let certificate = stage.certificate();
    let mut server = stage.node("http2_server.js");
    stage.serve(watch, server.arg(&certificate.certificate).arg(&certificate.key))
}

fn at<'e>(seen: &[&'e Exchange], target: &str) -> &'e Exchange {
    let mut found = seen
        .iter()
        .filter(|exchange| exchange.request.target().expose() == target.as_bytes());
    let first = found.next().unwrap_or_else(|| panic!("no {target}"));
    assert!(found.next().is_none(), "{target} is there twice");
    first
}

/// Each of the streams once, with what was sent, and turned in the answer, trailers behind it.
fn assert_turned(what: &str, watch: &Watch, pid: u32, whole: &[u8]) {
    let seen = of(watch, pid, |exchange| {
        exchange.request.target().expose().starts_with(b"/turn/")
    });
    assert_eq!(seen.len(), STREAMS, "{what}");
    for number in 0..STREAMS {
        let what = format!("{what}, stream {number}");
        let exchange = at(&seen, &format!("/turn/{number}"));
        assert!(
            exchange.connection.tls && exchange.request.version == 20,
            "{what}"
        );
        let mut expected = whole[..number * 1000].to_vec();
        assert_same(&what, &exchange.request.body, &expected);
        expected.reverse();
        let response = exchange.outcome.response().unwrap();
        assert_same(&what, &response.body, &expected);
        let trailer = response.trailers.header("x-checked").unwrap();
        assert_eq!(trailer.expose(), b"yes", "{what}");
        assert!(exchange.anomalies.is_empty(), "{what}: {:?}", exchange.anomalies);
    }
}

fn node(stage: &Stage, watch: &mut Watch, server: &Server) {
    let what = "Node.js";
    let whole = body(31, STREAMS * 1000);
    let mut client = stage.node("http2_client.js");
    client
        .arg(server.port.to_string())
        .arg(stage.file("body", &whole))
        .arg(STREAMS.to_string());
    let ran = stage.run(watch, &client);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let what = format!("{what}, {end}");
        assert_turned(&what, watch, pid, &whole);
        let seen = of(watch, pid, |_| true);
        assert_eq!(seen.len(), STREAMS + 4, "{what}");
        let mut turned = whole[..10].to_vec();
        turned.reverse();
        for target in ["/hint/1", "/push/1"] {
            let response = at(&seen, target).outcome.response().unwrap();
            assert_eq!(
                (response.status, bytes(&response.body)),
                (200, turned.clone()),
                "{what}"
            );
        }
        let pushed = at(&seen, "/pushed");
        let response = pushed.outcome.response().unwrap();
        assert_eq!(
            (response.status, bytes(&response.body)),
            (200, b"pushed".to_vec()),
            "{what}"
        );
        assert!(
            matches!(at(&seen, "/reset/1").outcome, Outcome::Unanswered),
            "{what}"
        );
    }
}

fn httpx(stage: &Stage, watch: &mut Watch, server: &Server) {
    let what = "httpx";
    let whole = body(32, STREAMS * 1000);
    let mut client = stage.python("httpx_client.py");
    client
        .arg(format!("https://127.0.0.1:{}/turn", server.port))
        .arg(stage.file("body", &whole))
        .arg(STREAMS.to_string());
    let ran = stage.run(watch, &client);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        assert_turned(&format!("{what}, {end}"), watch, pid, &whole);
    }
}
