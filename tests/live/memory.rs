//! TLS through memory, where no socket call runs inside a TLS call: is every peer right?

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use sensor_common::counter::Counter;
use sensor_tests::PrivateTls;
use sensor_tests::clients;
use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{NodeApi, PrivateNode, PythonApi, Transport, uvicorn};
use sensor_user::capture::{Evidence, Role};
use sensor_user::pipeline::Observed;

use crate::watch::{Watch, able, bytes, describe, options};

const CONNECTIONS: usize = 64;
const REQUESTS: usize = 20;

#[test]
fn sixty_four_connections_through_one_event_loop_of_node_each_with_its_peer() {
    let what = "node, TLS through memory";
    if !able(what, &[Program::Node, Program::Openssl]) {
        return;
    }
    let (tls, node) = (PrivateTls::new().unwrap(), PrivateNode::new().unwrap());
    let server = NodeApi::start(&node, &tls, Transport::Tls).unwrap();
    let mut options = options(&tls, &[server.pid()]);
    options.libraries.push(node.executable());
    let Some(watch) = Watch::start(what, &options) else {
        return;
    };
    let client = node.command("node_many.js", &tls);
    both_ends(watch, client, (server.pid(), server.port()));
}

#[test]
fn sixty_four_connections_through_one_event_loop_of_asyncio_each_with_its_peer() {
    let what = "uvicorn, TLS through memory";
    if !able(what, &[Program::Python, Program::Openssl]) {
        return;
    }
    let Some(script) = uvicorn() else {
        return programs::skipped(what, &"no uvicorn below target/testbed");
    };
    let tls = PrivateTls::new().unwrap();
    let server = PythonApi::start_script(&tls, Transport::Tls, &script).unwrap();
    let Some(watch) = Watch::start(what, &options(&tls, &[server.pid()])) else {
        return;
    };
    let client = clients::python("asyncio_many.py", &tls).unwrap();
    both_ends(watch, client, (server.pid(), server.port()));
}

/// Runs a client that checks what it is answered, and checks what the sensor says of both ends.
fn both_ends(mut watch: Watch, mut client: Command, (server, port): (u32, u16)) {
    client.args(["https", &port.to_string()]);
    client.args([CONNECTIONS.to_string(), REQUESTS.to_string()]);
    let held = Held::new(&client).unwrap();
    let pid = held.pid();
    watch.also(pid);
    let output = watch.follow(held.release().unwrap());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed: {errors}");
    let (told, calls) = (
        watch.counter(Counter::AdjacentCalls),
        watch.counter(Counter::TlsCalls),
    );
    println!("{told} socket calls told, {calls} TLS calls");
    // Once a connection's socket is known, nothing more is told of it.
    assert!(told * 4 < calls, "{told} socket calls told, {calls} TLS calls");
    let observed = watch.stop();
    let mut seen = HashMap::new();
    for one in &observed {
        let connection = &one.exchange.connection;
        let role = if connection.process.pid == server {
            Role::Server
        } else {
            Role::Client
        };
        check(one, role, port);
        *seen.entry(role).or_insert(0) += 1;
    }
    for role in [Role::Server, Role::Client] {
        assert_eq!(seen.get(&role), Some(&(CONNECTIONS * REQUESTS)), "{role:?}");
    }
}

/// The server says in its answer who it is and from which port it was asked; the sensor must say the same.
fn check(observed: &Observed, role: Role, port: u16) {
    let exchange = &observed.exchange;
    let connection = &exchange.connection;
    let what = describe(observed);
    let response = exchange
        .outcome
        .response()
        .unwrap_or_else(|| panic!("no answer: {what}"));
    let answer = String::from_utf8(bytes(&response.body)).unwrap();
    let asked_from: u16 = answer
        .split_whitespace()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or_else(|| panic!("{answer:?}: {what}"));
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (server_end, client_end) = (Some((loopback, port)), Some((loopback, asked_from)));
    let (local, remote) = match role {
        Role::Client => (client_end, server_end),
        Role::Server | Role::Unknown => (server_end, client_end),
    };
    assert_eq!((connection.local, connection.remote), (local, remote), "{what}");
    assert_eq!(connection.role, role, "{what}");
    assert!(connection.tls && !connection.ambiguous, "{what}");
    assert_eq!(connection.evidence, Some(Evidence::Adjacent), "{what}");
}
