//! Thousands of short connections through a few descriptors: is any exchange credited to the peer of another?

use std::time::Duration;

use sensor_common::counter::Counter;
use sensor_tests::PrivateTls;
use sensor_tests::clients;
use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Nginx, PythonApi, Site, Transport, uvicorn};
use sensor_tests::wait::Deadline;
use sensor_user::capture::Role;
use sensor_user::pipeline::Observed;

use crate::watch::{Watch, able, bytes, describe, options};

/// Clients at a time: so many descriptors are used again and again.
const THREADS: usize = 8;
/// Connections of the short storm, and of the long one.
const SHORT: usize = 1_000;
const LONG: usize = 10_000;
/// How long a storm may last: a handshake takes both ends some 5 ms, ten times that on a loaded machine.
const LASTS: Duration = Duration::from_mins(2);
const LASTS_LONG: Duration = Duration::from_mins(15);

/// Also LESSONS 15: the server's `SSL` objects are freed and their addresses used again, so an end that is missed joins
/// two connections.
#[test]
fn descriptors_used_again_by_a_server_that_calls_its_sockets() {
    plain_server(SHORT, LASTS);
}

#[test]
#[ignore = "10,000 connections"]
fn descriptors_used_ten_thousand_times_by_a_server_that_calls_its_sockets() {
    plain_server(LONG, LASTS_LONG);
}

#[test]
fn descriptors_used_again_by_a_server_with_tls_through_memory() {
    memory_server(SHORT, LASTS);
}

#[test]
#[ignore = "10,000 connections"]
fn descriptors_used_ten_thousand_times_by_a_server_with_tls_through_memory() {
    memory_server(LONG, LASTS_LONG);
}

fn plain_server(count: usize, lasts: Duration) {
    let what = "descriptors used again";
    if !able(what, &[Program::Nginx, Program::Python, Program::Openssl]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let worker = nginx.workers().unwrap()[0];
    if let Some(watch) = Watch::start(what, &options(&tls, &[worker])) {
        storm(watch, &tls, (worker, nginx.port(Transport::Tls)), (count, lasts));
    }
}

fn memory_server(count: usize, lasts: Duration) {
    let what = "descriptors used again, TLS through memory";
    if !able(what, &[Program::Python, Program::Openssl]) {
        return;
    }
    let Some(script) = uvicorn() else {
        return programs::skipped(what, &"no uvicorn below target/testbed");
    };
    let tls = PrivateTls::new().unwrap();
    let server = PythonApi::start_script(&tls, Transport::Tls, &script).unwrap();
    if let Some(watch) = Watch::start(what, &options(&tls, &[server.pid()])) {
        storm(watch, &tls, (server.pid(), server.port()), (count, lasts));
    }
}

fn storm(mut watch: Watch, tls: &PrivateTls, (server, port): (u32, u16), (count, lasts): (usize, Duration)) {
    let mut client = clients::python("short.py", tls).unwrap();
    client.args(["https", &port.to_string()]);
    client.args([count.to_string(), THREADS.to_string()]);
    let held = Held::new(&client).unwrap();
    watch.also(held.pid());
    let running = held.release().unwrap();
    let output = watch.follow_until(running, Deadline::after(lasts));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed: {errors}");
    let told = watch.counter(Counter::AdjacentCalls);
    let observed = watch.stop();
    let seen = observed.iter().filter(|one| is_of(one, server)).count();
    assert_eq!((seen, observed.len() - seen), (count, count));
    let unknown = observed.iter().filter(|one| !peer_is_right(one, server)).count();
    programs::seen(&format_args!(
        "{count} connections, two views each: no wrong peer, {unknown} unknown, {told} socket calls told"
    ));
    // Unknown is not wrong, but it must stay rare.
    assert!(unknown * 100 <= count, "{unknown} of {count} peers are unknown");
}

fn is_of(observed: &Observed, process: u32) -> bool {
    observed.exchange.connection.process.pid == process
}

/// Fails when the peer is another's. The server says in its answer from which port it was asked.
fn peer_is_right(observed: &Observed, server: u32) -> bool {
    let what = describe(observed);
    let connection = &observed.exchange.connection;
    let response = observed
        .exchange
        .outcome
        .response()
        .unwrap_or_else(|| panic!("no answer: {what}"));
    let answer = String::from_utf8(bytes(&response.body)).unwrap();
    let asked_from: u16 = answer.split_whitespace().nth(1).unwrap().parse().unwrap();
    let (is_server, end) = if is_of(observed, server) {
        (true, connection.remote)
    } else {
        (false, connection.local)
    };
    assert_eq!(connection.role == Role::Server, is_server, "{what}");
    assert!(!connection.ambiguous, "{what}");
    assert!(connection.evidence.is_some() || end.is_none(), "{what}");
    end.inspect(|(_, port)| assert_eq!(*port, asked_from, "{what}"))
        .is_some()
}
