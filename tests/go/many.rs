//! Does each exchange of many goroutines appear once, with the right peer, also while stacks and objects move?

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use sensor_common::counter::Counter;
use sensor_tests::golang::{GoApi, Release, Symbols};
use sensor_user::capture::Evidence;
use sensor_user::pipeline::Observed;

use crate::setup::{End, client, observe, options, program};
use crate::watch::{Watch, bytes, describe};

/// The collector runs after every ten percent of growth: stacks shrink and addresses are used again.
const PRESSURE: [(&str, &str); 1] = [("GOGC", "10")];

#[test]
fn sixty_four_goroutines_with_keep_alive() {
    many("64 goroutines", Release::Newest, 64, 20, &[]);
}

#[test]
fn connections_one_after_the_other_at_addresses_used_again() {
    let what = "fresh connections";
    let Some(binary) = program(what, Release::Debian, Symbols::Stripped) else {
        return;
    };
    let count = 300;
    let server = GoApi::start(&binary, &PRESSURE).unwrap();
    let arguments = ["fresh", &server.port().to_string(), &count.to_string()];
    let held = client(&binary, &arguments, &PRESSURE);
    let with = |pids: &[u32]| options(&binary, pids);
    let Some((watch, _)) = observe(what, End::Server, with, &server, held) else {
        return;
    };
    once_each(what, watch, server.port(), 1, count);
}

#[test]
#[ignore = "a minute of load"]
fn load_with_pressure_on_the_collector() {
    for release in [Release::Debian, Release::Middle, Release::Newest] {
        many(&format!("load {release:?}"), release, 64, 200, &PRESSURE);
    }
}

fn many(what: &str, release: Release, connections: u64, requests: u64, environment: &[(&str, &str)]) {
    let Some(binary) = program(what, release, Symbols::Stripped) else {
        return;
    };
    let mut server = GoApi::start(&binary, environment).unwrap();
    let port = server.port().to_string();
    let arguments = ["many", &port, &connections.to_string(), &requests.to_string()];
    let held = client(&binary, &arguments, environment);
    let with = |pids: &[u32]| options(&binary, pids);
    let Some((watch, _)) = observe(what, End::Server, with, &server, held) else {
        return;
    };
    assert!(!server.has_ended().unwrap(), "{what}: the server died");
    once_each(what, watch, server.port(), connections, requests);
}

fn once_each(what: &str, watch: Watch, port: u16, connections: u64, requests: u64) {
    assert_eq!(watch.counter(Counter::MissedReturns), 0, "{what}");
    assert_eq!(watch.counter(Counter::UnmatchedReturns), 0, "{what}");
    assert_eq!(watch.counter(Counter::AmbiguousSockets), 0, "{what}");
    let mut times = HashMap::new();
    for one in &watch.stop() {
        check(what, one, port);
        *times
            .entry(one.exchange.request.target().expose().to_vec())
            .or_insert(0) += 1;
    }
    for connection in 0..connections {
        for request in 0..requests {
            let path = format!("/who/{connection}/{request}");
            assert_eq!(times.remove(path.as_bytes()), Some(1), "{what}: {path}");
        }
    }
    assert!(
        times.is_empty(),
        "{what}: {} exchanges that nobody had",
        times.len()
    );
}

/// The server says in its answer who it is, who asked and for what; the sensor must say the same.
fn check(what: &str, observed: &Observed, port: u16) {
    let exchange = &observed.exchange;
    let connection = &exchange.connection;
    let what = format!("{what}: {}", describe(observed));
    let response = exchange
        .outcome
        .response()
        .unwrap_or_else(|| panic!("no answer: {what}"));
    let answer = String::from_utf8(bytes(&response.body)).unwrap();
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let (_, remote) = connection.remote.unwrap_or_else(|| panic!("no peer: {what}"));
    let target = String::from_utf8_lossy(exchange.request.target().expose()).into_owned();
    assert_eq!(
        answer.trim(),
        format!("{} {remote} {target}", connection.process.pid),
        "{what}"
    );
    assert_eq!(connection.local, Some((loopback, port)), "{what}");
    assert_eq!(connection.remote, Some((loopback, remote)), "{what}");
    assert_eq!(connection.evidence, Some(Evidence::RuntimeConn), "{what}");
    assert!(connection.tls && !connection.ambiguous, "{what}");
}
