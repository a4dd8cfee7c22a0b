use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::*;
use crate::capture::Evidence;
use crate::exchange::Outcome;
use crate::exchange::test_support::Builder;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

/// Both views of one call on a connection from `port`, the client's a little wider in time.
fn views(target: &str, port: u16, begin_ns: u64) -> (Exchange, Exchange) {
    let mut server = Builder::get(target).remote(LOOPBACK).build();
    let mut client = server.clone();
    move_to(&mut server, Role::Server, (443, port), begin_ns + 10);
    move_to(&mut client, Role::Client, (port, 443), begin_ns);
    (server, client)
}

fn move_to(exchange: &mut Exchange, role: Role, (local, remote): (u16, u16), begin_ns: u64) {
    let connection = Arc::make_mut(&mut exchange.connection);
    connection.role = role;
    connection.process.pid = u32::from(local);
    connection.local = connection.local.map(|(address, _)| (address, local));
    connection.remote = connection.remote.map(|(address, _)| (address, remote));
    exchange.request.time_ns = (begin_ns, begin_ns + 1);
    if let Outcome::Answered(response) = &mut exchange.outcome {
        response.time_ns = (begin_ns + 100, begin_ns + 200);
    }
}

#[derive(Default)]
struct Bench {
    ends: Ends<Box<Exchange>>,
    told: Vec<Exchange>,
}

impl Bench {
    fn push(&mut self, exchange: Exchange, now_ns: u64) {
        let told = &mut self.told;
        self.ends
            .push(Box::new(exchange), now_ns, &mut |exchange| told.push(*exchange));
    }

    fn tick(&mut self, now_ns: u64) {
        let told = &mut self.told;
        self.ends.tick(now_ns, &mut |exchange| told.push(*exchange));
    }

    fn roles(&self) -> Vec<Role> {
        self.told
            .iter()
            .map(|exchange| exchange.connection.role)
            .collect()
    }
}

#[test]
fn the_servers_view_is_told_whichever_comes_first() {
    for server_first in [true, false] {
        let (server, client) = views("/one", 50_000, 1000);
        let mut bench = Bench::default();
        let (one, other) = if server_first {
            (server, client)
        } else {
            (client, server)
        };
        bench.push(one, 2000);
        bench.push(other, 3000);
        bench.tick(u64::MAX);
        assert_eq!(bench.roles(), [Role::Server], "server first: {server_first}");
        assert_eq!(bench.ends.take_suppressed(), 1);
    }
}

#[test]
fn a_client_whose_server_is_not_seen_is_told_after_the_wait() {
    let (_, client) = views("/one", 50_000, 1000);
    let mut bench = Bench::default();
    bench.push(client, 1000);
    bench.tick(999 + WAIT_NS);
    assert_eq!(bench.roles(), []);
    bench.tick(1000 + WAIT_NS);
    assert_eq!(bench.roles(), [Role::Client]);
    assert_eq!(bench.ends.take_suppressed(), 0);
}

#[test]
fn egress_does_not_wait() {
    let mut client = Builder::get("/").remote(FAR).build();
    move_to(&mut client, Role::Client, (50_000, 443), 0);
    let mut bench = Bench::default();
    bench.push(client, 0);
    assert_eq!(bench.roles(), [Role::Client]);
}

#[test]
fn an_address_of_this_host_is_as_good_as_loopback() {
    let mut server = Builder::get("/").remote(FAR).build();
    let mut client = server.clone();
    move_to(&mut server, Role::Server, (443, 50_000), 10);
    move_to(&mut client, Role::Client, (50_000, 443), 0);
    let connection = Arc::make_mut(&mut client.connection);
    std::mem::swap(&mut connection.local, &mut connection.remote);
    connection.local = connection.local.map(|(address, _)| (address, 50_000));
    connection.remote = connection.remote.map(|(address, _)| (address, 443));
    let mut bench = Bench::default();
    // Another connection has shown that the peer's address is one of this host.
    let mut other = Builder::get("/other").remote(FAR).build();
    let connection = Arc::make_mut(&mut other.connection);
    connection.local = connection.remote;
    bench.push(other, 0);
    bench.push(server, 300);
    bench.push(client, 400);
    bench.tick(u64::MAX);
    assert_eq!(bench.roles(), [Role::Server, Role::Server]);
}

#[test]
fn equal_calls_one_after_another_are_matched_one_by_one() {
    let mut bench = Bench::default();
    for round in 0..100 {
        let (server, client) = views("/same", 50_000, round * 10_000_000);
        bench.push(server, round * 10_000_000 + 300);
        bench.push(client, round * 10_000_000 + 400);
    }
    bench.tick(u64::MAX);
    assert_eq!(bench.roles(), [Role::Server; 100]);
    assert_eq!(bench.ends.take_suppressed(), 100);
}

#[test]
fn a_call_that_the_server_was_not_seen_to_answer_is_not_taken_for_another() {
    let mut bench = Bench::default();
    let (server, client) = views("/same", 50_000, 0);
    let (_, alone) = views("/same", 50_000, 20_000_000);
    bench.push(server, 300);
    bench.push(client, 400);
    bench.push(alone, 20_000_400);
    bench.tick(u64::MAX);
    assert_eq!(bench.roles(), [Role::Server, Role::Client]);
}

#[test]
fn other_connections_transports_and_targets_are_others() {
    let mut bench = Bench::default();
    let (server, _) = views("/one", 50_000, 0);
    let (_, port) = views("/one", 50_001, 0);
    let (_, target) = views("/two", 50_000, 0);
    let (_, mut plain) = views("/one", 50_000, 0);
    Arc::make_mut(&mut plain.connection).tls = false;
    for view in [server, port, target, plain] {
        bench.push(view, 300);
    }
    bench.tick(u64::MAX);
    assert_eq!(bench.told.len(), 4);
}

#[test]
fn a_peer_that_is_not_known_for_sure_joins_nothing() {
    let mut bench = Bench::default();
    let (server, client) = views("/one", 50_000, 0);
    let (mut ambiguous, mut unknown) = (client.clone(), client);
    Arc::make_mut(&mut ambiguous.connection).ambiguous = true;
    Arc::make_mut(&mut unknown.connection).evidence = None::<Evidence>;
    for view in [server, ambiguous, unknown] {
        bench.push(view, 300);
    }
    assert_eq!(bench.told.len(), 3);
}

#[test]
fn more_than_fit_are_told_and_none_is_lost() {
    let mut bench = Bench::default();
    let count = HELD + 10;
    for number in 0..count {
        let (_, client) = views(&format!("/{number}"), 50_000, 0);
        bench.push(client, 0);
    }
    assert_eq!(bench.told.len(), 10);
    let told = &mut bench.told;
    bench.ends.finish(&mut |exchange| told.push(*exchange));
    assert_eq!(bench.told.len(), count);
}

impl View for Box<Exchange> {
    fn bytes_beside(&self) -> usize {
        0
    }
}
