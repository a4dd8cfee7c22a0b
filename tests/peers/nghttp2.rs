//! nghttp2's own server and client: continuations, padding, priorities, trailers, pushes, a hundred streams of h2load.

use std::process::Command;

use sensor_tests::payload::body;
use sensor_tests::programs::Program;
use sensor_tests::wait;
use sensor_user::exchange::Exchange;

use crate::said::of;
use crate::stage::{Server, Stage};
use crate::watch::{Watch, assert_same, bytes};

/// Requests of h2load.
const CALLS: usize = 400;

#[test]
fn nghttp2_speaks_to_itself() {
    let programs = [Program::Nghttp, Program::Nghttpd, Program::H2load];
    let Some(stage) = Stage::new("nghttp2", &programs, &[]) else {
        return;
    };
    let Some(mut watch) = stage.watch() else {
        return;
    };
    uploads_with_continuations_padding_and_trailers(&stage, &mut watch);
    pushes(&stage, &mut watch);
    a_hundred_streams_at_once(&stage, &mut watch);
    watch.stop();
}

fn nghttpd(stage: &Stage, watch: &mut Watch, arguments: &[&str]) -> Server {
    let port = wait::free_port().unwrap();
    let certificate = stage.certificate();
    let mut command = stage.program(Program::Nghttpd);
    command
        .args(["-a", "127.0.0.1"])
        .args(arguments)
        .arg("-d")
        .arg(stage.path());
    command
        .arg(port.to_string())
        .arg(&certificate.key)
        .arg(&certificate.certificate);
    stage.serve_on(watch, port, &mut command)
}

fn nghttp(stage: &Stage) -> Command {
    let mut command = stage.program(Program::Nghttp);
    command.args(["--no-verify-peer", "--null-out", "--timeout=20"]);
    command
}

/// Exchanges with that target; each must be sound.
fn sound<'e>(what: &str, seen: &[&'e Exchange], target: &str) -> Vec<&'e Exchange> {
    let wanted = |exchange: &&&Exchange| exchange.request.target().expose() == target.as_bytes();
    let found: Vec<_> = seen.iter().filter(wanted).copied().collect();
    for exchange in &found {
        assert!(
            exchange.connection.tls && exchange.request.version == 20,
            "{what}"
        );
        assert!(exchange.anomalies.is_empty(), "{what}: {:?}", exchange.anomalies);
    }
    found
}

fn uploads_with_continuations_padding_and_trailers(stage: &Stage, watch: &mut Watch) {
    let what = "HTTP/2, nghttp2";
    let server = nghttpd(
        stage,
        watch,
        &["--echo-upload", "--padding=50", "--trailer=x-checked: yes"],
    );
    let sent = body(41, 100_000);
    let mut client = nghttp(stage);
    // Five times the same on one connection.
    client.args([
        "--continuation",
        "--padding=100",
        "--multiply=5",
        "--trailer=x-sent: all",
    ]);
    client
        .args(["-H", ":method: POST", "-H", "x-mark: yes"])
        .arg("-d")
        .arg(stage.file("body", &sent));
    client.arg(format!("https://127.0.0.1:{}/upload", server.port));
    let ran = stage.run(watch, &client);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let what = format!("{what}, {end}");
        let seen = of(watch, pid, |_| true);
        assert_eq!(seen.len(), 5, "{what}");
        for exchange in sound(&what, &seen, "/upload") {
            assert_eq!(exchange.request.method(), b"POST", "{what}");
            let mark = exchange.request.head.header("x-mark").unwrap();
            assert_eq!(mark.expose(), b"yes", "{what}");
            assert_same(&format!("{what}, request"), &exchange.request.body, &sent);
            let response = exchange.outcome.response().unwrap();
            assert_same(&format!("{what}, response"), &response.body, &sent);
            let trailer = response.trailers.header("x-checked").unwrap();
            assert_eq!(trailer.expose(), b"yes", "{what}");
        }
    }
}

fn pushes(stage: &Stage, watch: &mut Watch) {
    let what = "HTTP/2, nghttpd pushes";
    stage.file("page", b"the page");
    let style = body(42, 30_000);
    stage.file("style", &style);
    let server = nghttpd(stage, watch, &["--push=/page=/style"]);
    let mut client = nghttp(stage);
    let ran = stage.run(
        watch,
        client.arg(format!("https://127.0.0.1:{}/page", server.port)),
    );
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let what = format!("{what}, {end}");
        let seen = of(watch, pid, |_| true);
        assert_eq!(seen.len(), 2, "{what}");
        for (target, content) in [("/page", &b"the page"[..]), ("/style", &style)] {
            let found = sound(&what, &seen, target);
            assert_eq!(found.len(), 1, "{what}, {target}");
            assert_eq!(found[0].request.method(), b"GET", "{what}, {target}");
            let response = found[0].outcome.response().unwrap();
            assert_same(&format!("{what}, {target}"), &response.body, content);
        }
    }
}

fn a_hundred_streams_at_once(stage: &Stage, watch: &mut Watch) {
    let what = "HTTP/2, h2load over TLS";
    stage.file("file", b"what is asked for");
    let server = nghttpd(stage, watch, &[]);
    let mut client = stage.program(Program::H2load);
    client.args(["-n", &CALLS.to_string(), "-c", "2", "-m", "100"]);
    let ran = stage.run(
        watch,
        client.arg(format!("https://127.0.0.1:{}/file", server.port)),
    );
    assert!(
        ran.output.contains(&format!("{CALLS} succeeded, 0 failed")),
        "{}",
        ran.output
    );
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let what = format!("{what}, {end}");
        let seen = of(watch, pid, |_| true);
        assert_eq!(seen.len(), CALLS, "{what}");
        for exchange in sound(&what, &seen, "/file") {
            let response = exchange.outcome.response().unwrap();
            assert_eq!(bytes(&response.body), b"what is asked for", "{what}");
        }
    }
}
