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

fn node_server(stage: &Stage) -> Server {
    let certificate = stage.certificate();
    let mut server = stage.node("http2_server.js");
    stage.serve(server.arg(&certificate.certificate).arg(&certificate.key))
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

#[test]
fn node_speaks_http2_to_node() {
    let what = "HTTP/2, Node.js";
    let Some(stage) = Stage::new(what, &[Program::Node], &[]) else {
        return;
    };
    let server = node_server(&stage);
    let Some(mut watch) = stage.watch(&[server.pid()]) else {
        return;
    };
    let whole = body(31, STREAMS * 1000);
    let mut client = stage.node("http2_client.js");
    client
        .arg(server.port.to_string())
        .arg(stage.file("body", &whole))
        .arg(STREAMS.to_string());
    let ran = stage.run(&mut watch, &client);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let what = format!("{what}, {end}");
        assert_turned(&what, &watch, pid, &whole);
        let seen = of(&watch, pid, |_| true);
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
    watch.stop();
}

#[test]
fn httpx_speaks_http2_to_node() {
    let what = "HTTP/2, httpx to Node.js";
    let Some(stage) = Stage::new(
        what,
        &[Program::Node, Program::Python],
        &["python/httpx", "python/h2"],
    ) else {
        return;
    };
    let server = node_server(&stage);
    let Some(mut watch) = stage.watch(&[server.pid()]) else {
        return;
    };
    let whole = body(32, STREAMS * 1000);
    let mut client = stage.python("httpx_client.py");
    client
        .arg(format!("https://127.0.0.1:{}/turn", server.port))
        .arg(stage.file("body", &whole))
        .arg(STREAMS.to_string());
    let ran = stage.run(&mut watch, &client);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        assert_turned(&format!("{what}, {end}"), &watch, pid, &whole);
    }
    watch.stop();
}
