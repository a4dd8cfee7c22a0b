//! Is the plaintext of rustls seen, at both ends and in both directions, and credited to the right connection?

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

use sensor_common::counter::Counter;
use sensor_tests::PrivateTls;
use sensor_tests::held::Held;
use sensor_tests::payload::{LENGTHS, body};
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Calls, Layer, RustlsProgram, RustlsServer, Transport};
use sensor_user::capture::Evidence;
use sensor_user::capture::coverage::Verdict;
use sensor_user::capture::kernel::Options;
use sensor_user::pipeline::Observed;

use crate::bodies::{Expected, check};
use crate::opaque::{assert_opaque, coverage_of};
use crate::watch::{Watch, able, bytes, describe};

const VERSIONS: [&str; 3] = ["rustls-021", "rustls-022", "rustls-023"];

/// Connections at once, and requests on each.
const CONNECTIONS: usize = 32;
const REQUESTS: usize = 20;

fn options(program: PathBuf, pids: &[u32]) -> Options {
    Options {
        pids: pids.to_vec(),
        libraries: vec![program],
        ring_bytes: 32 * 1024 * 1024,
        message_limit: u64::MAX,
        ..Options::default()
    }
}

/// The right bytes and the right peer, at both ends and in both directions, for bodies of every length.
fn exact(what: &str, watch: &mut Watch, program: &RustlsProgram, server: &RustlsServer, layer: Layer) {
    for length in LENGTHS {
        let what = format!("{what}, {length} bytes");
        let sent = body(7, length);
        let calls = Calls {
            connections: 1,
            requests: 1,
            body: &sent,
        };
        let pid = run(watch, program, layer, server.port(), &calls);
        let answered = program.answer().unwrap();
        let reversed: Vec<u8> = sent.iter().rev().copied().collect();
        assert!(
            length == 0 || answered == reversed,
            "{what}: the client was answered something else"
        );
        let expected = Expected {
            transport: Transport::Tls,
            target: "/who/0/0",
            sent: &sent,
            answered: Some(&answered),
        };
        check(watch, &format!("{what}, client's end"), pid, &expected);
        check(watch, &format!("{what}, server's end"), server.pid(), &expected);
        for one in &watch.observed {
            assert_peer(&what, one, server.pid(), server.port());
        }
        watch.observed.clear();
    }
}

fn program(what: &str, name: &str) -> Option<RustlsProgram> {
    if !able(what, &[Program::Openssl]) {
        return None;
    }
    match RustlsProgram::new(name) {
        Ok(program) => Some(program),
        Err(reason) => {
            programs::skipped(what, &format_args!("{reason:#}"));
            None
        }
    }
}

/// Runs a client to its end under the sensor's eyes; gives its process id.
fn run(watch: &mut Watch, program: &RustlsProgram, layer: Layer, port: u16, calls: &Calls<'_>) -> u32 {
    let held = Held::new(&program.call(layer, port, calls).unwrap()).unwrap();
    let pid = held.pid();
    watch.also(pid);
    let output = watch.follow(held.release().unwrap());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed: {errors}");
    pid
}

#[test]
fn rustls_bodies_are_exact_at_both_ends() {
    for version in VERSIONS {
        for layer in Layer::ALL {
            let what = format!("{version}, {layer:?}");
            let Some(program) = program(&what, version) else {
                return;
            };
            let server = program.serve(layer).unwrap();
            let Some(mut watch) = Watch::start(&what, &options(program.path(), &[server.pid()])) else {
                return;
            };
            exact(&what, &mut watch, &program, &server, layer);
            watch.stop();
        }
    }
}

#[test]
fn native_tls_is_seen_through_the_shared_library() {
    let what = "native-tls";
    let Some(program) = program(what, what) else {
        return;
    };
    let tls = PrivateTls::new().unwrap();
    let program = program.on(&tls);
    for layer in Layer::ALL {
        let server = program.serve(layer).unwrap();
        tls.assert_mapped(server.pid()).unwrap();
        let Some(mut watch) = Watch::start(what, &options(tls.libssl(), &[server.pid()])) else {
            return;
        };
        exact(
            &format!("{what}, {layer:?}"),
            &mut watch,
            &program,
            &server,
            layer,
        );
        watch.stop();
    }
}

#[test]
fn a_stripped_program_gives_nothing_and_the_report_says_why() {
    let what = "stripped rustls";
    let Some(whole) = program(what, "rustls-023") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let stripped = directory.path().join("stripped");
    let strip = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(whole.path())
        .status();
    assert!(strip.unwrap().success());
    let program = RustlsProgram::copy(&stripped).unwrap();
    let server = program.serve(Layer::Hyper).unwrap();
    let Some(mut watch) = Watch::start(
        what,
        &Options {
            libraries: Vec::new(),
            ..options(program.path(), &[server.pid()])
        },
    ) else {
        return;
    };
    let calls = Calls {
        connections: 1,
        requests: 1,
        body: b"hidden",
    };
    run(&mut watch, &program, Layer::Hyper, server.port(), &calls);
    assert!(
        watch.counter(Counter::SocketTlsBytes) > 0,
        "the server is not watched"
    );
    assert_eq!(watch.tally.of_process(server.pid()).end, 0, "{:?}", watch.tally);
    assert!(watch.stop().is_empty());
    let seen = coverage_of(server.pid());
    assert_opaque(&seen, "rustls", "stripped");
    let version = seen.stacks[0].version.as_deref();
    assert!(
        version.is_some_and(|version| version.starts_with("0.23.")),
        "{seen:#?}"
    );
    let server = whole.serve(Layer::Hyper).unwrap();
    assert_eq!(
        coverage_of(server.pid()).verdict,
        Verdict::Covered,
        "with its symbols"
    );
}

/// The socket is known, by the calls that rustls makes on it, and is the right one.
fn assert_peer(what: &str, one: &Observed, server: u32, port: u16) {
    let connection = &one.exchange.connection;
    let shown = describe(one);
    assert_eq!(
        connection.evidence,
        Some(Evidence::NestedSyscall),
        "{what}: {shown}"
    );
    assert!(!connection.ambiguous, "{what}: {shown}");
    let end = if connection.process.pid == server {
        connection.local
    } else {
        connection.remote
    };
    assert_eq!(end.map(|(_, port)| port), Some(port), "{what}: {shown}");
}

#[test]
fn no_byte_of_one_rustls_connection_is_in_anothers_stream() {
    for version in VERSIONS {
        let what = format!("{version}, {CONNECTIONS} connections");
        let Some(program) = program(&what, version) else {
            return;
        };
        let server = program.serve(Layer::Hyper).unwrap();
        let Some(mut watch) = Watch::start(&what, &options(program.path(), &[server.pid()])) else {
            return;
        };
        let calls = Calls {
            connections: CONNECTIONS,
            requests: REQUESTS,
            body: b"",
        };
        let client = run(&mut watch, &program, Layer::Hyper, server.port(), &calls);
        let mut ports = HashMap::new();
        let mut times = HashMap::new();
        for one in &watch.stop() {
            assert_peer(&what, one, server.pid(), server.port());
            let (who, target) = (one.exchange.connection.process.pid, target(one));
            assert!(who == client || who == server.pid(), "{}", describe(one));
            let said = answer(one);
            let port = ephemeral(one, server.pid());
            assert_eq!(
                said.trim(),
                format!("{} {port} {target}", server.pid()),
                "{what}: {}",
                describe(one)
            );
            // Every request of a connection came over the same socket.
            let connection = target.split('/').nth(2).unwrap().to_owned();
            assert_eq!(*ports.entry((who, connection)).or_insert(port), port, "{what}");
            *times.entry((who, target)).or_insert(0) += 1;
        }
        assert!(times.values().all(|times| *times == 1), "{what}: {times:?}");
        assert_eq!(
            times.len(),
            2 * CONNECTIONS * REQUESTS,
            "{what}: exchanges are missing"
        );
    }
}

fn target(one: &Observed) -> String {
    String::from_utf8_lossy(one.exchange.request.target().expose()).into_owned()
}

fn answer(one: &Observed) -> String {
    let response = one.exchange.outcome.response();
    let response = response.unwrap_or_else(|| panic!("no answer: {}", describe(one)));
    String::from_utf8(bytes(&response.body)).unwrap()
}

/// The port on the client's side.
fn ephemeral(one: &Observed, server: u32) -> u16 {
    let connection = &one.exchange.connection;
    let end = if connection.process.pid == server {
        connection.remote
    } else {
        connection.local
    };
    end.unwrap_or_else(|| panic!("no peer: {}", describe(one))).1
}
