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
use sensor_user::capture::kernel::Options;
use sensor_user::capture::{Evidence, Role};
use sensor_user::pipeline::Observed;

use crate::watch::{Watch, able, bytes, describe, options};

const CONNECTIONS: usize = 64;
const REQUESTS: usize = 20;
/// Bytes of a long answer: sixty TLS records.
const LENGTH: u64 = 1_000_000;
/// Event loops of one process, and connections of each.
const THREADS: usize = 4;
const OF_EACH: usize = 16;

#[test]
fn sixty_four_connections_through_one_event_loop_of_node_each_with_its_peer() {
    let what = "node, TLS through memory";
    if !able(what, &[Program::Node, Program::Openssl]) {
        return;
    }
    let (tls, node) = (PrivateTls::new().unwrap(), PrivateNode::new().unwrap());
    let server = NodeApi::start(&node, &tls, Transport::Tls).unwrap();
    let Some(watch) = Watch::start(what, &with_node(&tls, &node, server.pid())) else {
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

#[test]
fn ciphers_of_tls_1_2_through_memory_each_with_its_peer() {
    let what = "node, TLS 1.2 through memory";
    if !able(what, &[Program::Node, Program::Openssl]) {
        return;
    }
    let (tls, node) = (PrivateTls::new().unwrap(), PrivateNode::new().unwrap());
    let server = NodeApi::start(&node, &tls, Transport::Tls).unwrap();
    for suite in ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"] {
        let Some(mut watch) = Watch::start(what, &with_node(&tls, &node, server.pid())) else {
            return;
        };
        let suite = format!("--tls-cipher-list=ECDHE-ECDSA-{suite}");
        let mut client = node.command_with(&["--tls-max-v1.2", &suite], "node_many.js", &tls);
        client.args(["https", &server.port().to_string(), "8", "4"]);
        let held = Held::new(&client).unwrap();
        watch.also(held.pid());
        let output = watch.follow(held.release().unwrap());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let observed = watch.stop();
        assert_eq!(observed.len(), 2 * 8 * 4, "{suite}");
        for one in &observed {
            check(one, role_of(one, server.pid()), server.port());
        }
    }
}

#[test]
fn long_answers_through_memory_are_whole_and_have_their_peer() {
    let what = "node, long answers through memory";
    if !able(what, &[Program::Node, Program::Openssl]) {
        return;
    }
    let (tls, node) = (PrivateTls::new().unwrap(), PrivateNode::new().unwrap());
    let server = NodeApi::start(&node, &tls, Transport::Tls).unwrap();
    let Some(mut watch) = Watch::start(what, &with_node(&tls, &node, server.pid())) else {
        return;
    };
    let mut client = node.command("node_many.js", &tls);
    client.args(["https", &server.port().to_string(), "4", "2"]);
    let held = Held::new(client.arg(format!("/pad/{LENGTH}"))).unwrap();
    watch.also(held.pid());
    let output = watch.follow(held.release().unwrap());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let observed = watch.stop();
    assert_eq!(observed.len(), 2 * 4 * 2);
    for one in &observed {
        check(one, role_of(one, server.pid()), server.port());
        let body = &one.exchange.outcome.response().unwrap().body;
        assert!(body.is_whole() && body.total > LENGTH, "{body:?}");
    }
}

/// Threads that read, decrypt, encrypt and write at the same time, with calls of equal lengths.
#[test]
fn four_event_loops_on_four_threads_never_have_a_wrong_peer() {
    let what = "node, four threads";
    if !able(what, &[Program::Node, Program::Openssl]) {
        return;
    }
    let (tls, node) = (PrivateTls::new().unwrap(), PrivateNode::new().unwrap());
    let server = NodeApi::with_threads(&node, &tls, THREADS).unwrap();
    let Some(mut watch) = Watch::start(what, &with_node(&tls, &node, server.pid())) else {
        return;
    };
    let clients: Vec<_> = server
        .ports()
        .iter()
        .map(|port| {
            let mut client = node.command("node_many.js", &tls);
            client.args([
                "https",
                &port.to_string(),
                &OF_EACH.to_string(),
                &REQUESTS.to_string(),
            ]);
            Held::new(&client).unwrap().release().unwrap()
        })
        .collect();
    for client in clients {
        let output = watch.follow(client);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let observed = watch.stop();
    assert_eq!(observed.len(), THREADS * OF_EACH * REQUESTS);
    let mut unknown = 0;
    for one in &observed {
        let connection = &one.exchange.connection;
        match connection.local {
            Some((_, port)) => check(one, Role::Server, port),
            None => unknown += 1,
        }
    }
    let count = observed.len();
    programs::seen(&format_args!(
        "{count} exchanges on {THREADS} threads, {unknown} of unknown peers"
    ));
    // Unknown is not wrong, but most must be known.
    assert!(unknown * 10 <= observed.len(), "{unknown} of {}", observed.len());
}

fn with_node(tls: &PrivateTls, node: &PrivateNode, pid: u32) -> Options {
    let mut options = options(tls, &[pid]);
    options.libraries.push(node.executable());
    options
}

fn role_of(observed: &Observed, server: u32) -> Role {
    if observed.exchange.connection.process.pid == server {
        Role::Server
    } else {
        Role::Client
    }
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
    programs::seen(&format_args!("{told} socket calls told, {calls} TLS calls"));
    // Once a connection's socket is known, nothing more is told of it.
    assert!(told * 4 < calls, "{told} socket calls told, {calls} TLS calls");
    let observed = watch.stop();
    let mut seen = HashMap::new();
    for one in &observed {
        let role = role_of(one, server);
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
