//! What is hard: buffers on stacks that move, TLS inside TLS, connections of unknown types, what doctor says.

use std::path::Path;

use sensor_common::counter::Counter;
use sensor_tests::golang::{GoApi, Release, Symbols};
use sensor_tests::payload;
use sensor_user::capture::Evidence;
use sensor_user::capture::coverage::{Abilities, Verdict, report};
use sensor_user::capture::discover::Cache;
use sensor_user::capture::discover::process::Filter;
use sensor_user::pipeline::Observed;

use crate::setup::{End, client, observe, options, program};
use crate::watch::{assert_same, bytes, describe};

#[test]
fn a_buffer_on_a_stack_that_moves_is_read_where_it_is() {
    for release in [Release::Debian, Release::Newest] {
        let what = format!("stack {release:?}");
        let Some(binary) = program(&what, release, Symbols::Stripped) else {
            return;
        };
        let length = 60_000;
        let server = GoApi::start(&binary, &[]).unwrap();
        let arguments = ["stack", &server.port().to_string(), &length.to_string()];
        let held = client(&binary, &arguments, &[]);
        let with = |pids: &[u32]| options(&binary, pids);
        let Some((watch, _)) = observe(&what, End::Client, with, &server, held) else {
            return;
        };
        assert_eq!(watch.counter(Counter::FaultBytes), 0, "{what}");
        let observed = watch.stop();
        let [one] = observed.as_slice() else {
            panic!("{what}: {} exchanges", observed.len());
        };
        assert_same(&what, &one.exchange.request.body, &payload::body(1, length));
        assert_same(
            &what,
            &one.exchange.outcome.response().unwrap().body,
            &payload::body(2, length),
        );
    }
}

#[test]
fn tls_inside_tls_is_seen_once_and_an_unknown_type_of_connection_gets_no_guessed_peer() {
    let what = "proxied";
    let Some(binary) = program(what, Release::Newest, Symbols::Kept) else {
        return;
    };
    let server = GoApi::start(&binary, &[]).unwrap();
    let (port, doubled) = (server.port().to_string(), server.doubled_port().to_string());
    let (direct, nested) = (Some(Evidence::RuntimeConn), Some(Evidence::NestedSyscall));
    for (end, expected) in [
        // The server's connections are the runtime's own.
        (End::Server, [direct, direct, direct]),
        // The client's second connection is wrapped, the third twice, with TLS in between.
        (End::Client, [direct, nested, None]),
    ] {
        let held = client(&binary, &["proxied", &port, &doubled], &[]);
        let with = |pids: &[u32]| options(&binary, pids);
        let Some((watch, pid)) = observe(what, end, with, &server, held) else {
            return;
        };
        assert!(watch.counter(Counter::NestedCalls) > 0, "{what} {end:?}");
        assert_eq!(watch.counter(Counter::MissedReturns), 0, "{what} {end:?}");
        for (path, evidence) in ["/who/nested", "/who/wrapped", "/who/both"]
            .into_iter()
            .zip(expected)
        {
            let [one] = watch.exchanges(pid, path)[..] else {
                panic!(
                    "{what} {end:?}: {path}: {} exchanges",
                    watch.exchanges(pid, path).len()
                );
            };
            let connection = &one.exchange.connection;
            // Under load a second socket is rarely seen inside a call of such a connection: what is said to be ambiguous
            // is as good as unknown.
            let is_known = evidence.is_some() || !connection.ambiguous;
            assert_eq!(
                connection.evidence.filter(|_| is_known),
                evidence,
                "{what} {end:?} {path}: {connection:?}"
            );
            let (_, asking) = match (end, evidence) {
                (_, None) => continue,
                (End::Server, _) => connection.remote.unwrap(),
                (End::Client, _) => connection.local.unwrap(),
            };
            let answer = bytes(&one.exchange.outcome.response().unwrap().body);
            let said = format!("{} {asking} {path}", server.pid());
            assert_eq!(String::from_utf8_lossy(&answer).trim(), said, "{what} {end:?}");
        }
        assert_eq!(watch.stop().len(), 3, "{what} {end:?}");
    }
}

#[test]
fn doctor_says_that_a_go_server_is_covered_and_its_version() {
    let what = "doctor";
    let Some(binary) = program(what, Release::Newest, Symbols::Stripped) else {
        return;
    };
    let server = GoApi::start(&binary, &[]).unwrap();
    let filter = Filter {
        pids: vec![server.pid()],
        ..Filter::default()
    };
    let report = report(
        Path::new("/proc"),
        &filter,
        Abilities::read(),
        &mut Cache::default(),
    )
    .unwrap();
    let [process] = report.processes.as_slice() else {
        panic!("{:?}", report.processes);
    };
    assert_eq!(process.verdict, Verdict::Covered);
    let [stack] = process.stacks.as_slice() else {
        panic!("{:?}", process.stacks);
    };
    assert_eq!((stack.stack, stack.functions), ("go", 3));
    assert!(
        stack
            .version
            .as_deref()
            .is_some_and(|version| version.starts_with("go1.27"))
    );
}

#[test]
fn a_write_to_a_closed_connection_begins_no_stream() {
    for release in [Release::Debian, Release::Newest] {
        let what = format!("late {release:?}");
        let Some(binary) = program(&what, release, Symbols::Stripped) else {
            return;
        };
        let server = GoApi::start(&binary, &[]).unwrap();
        let held = client(&binary, &["late", &server.port().to_string(), "50"], &[]);
        let with = |pids: &[u32]| options(&binary, pids);
        let Some((watch, pid)) = observe(&what, End::Client, with, &server, held) else {
            return;
        };
        let observed = watch.stop();
        let of = |path: &str| {
            let path = path.to_owned();
            let matches = move |one: &&Observed| {
                let target = one.exchange.request.target().expose();
                one.exchange.connection.process.pid == pid && target.starts_with(path.as_bytes())
            };
            observed.iter().filter(matches).collect::<Vec<_>>()
        };
        assert_eq!(of("/who/first").len(), 1, "{what}");
        assert!(of("/who/late").is_empty(), "{what}");
        let races = of("/who/race/");
        assert!(!races.is_empty(), "{what}");
        for one in races {
            // A stream that begins after the end has no socket any more.
            assert!(
                one.exchange.connection.local.is_some(),
                "{what}: {}",
                describe(one)
            );
        }
    }
}
