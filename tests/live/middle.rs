//! A sensor that starts in the middle of a connection, and one with more connections than it can remember.

use std::collections::HashMap;
use std::io::Write;
use std::process::Stdio;

use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, PythonApi, Site, Transport};
use sensor_tests::{Guard, PrivateTls, clients, payload};
use sensor_user::capture::kernel::Options;

use crate::bodies::perform;
use crate::watch::{Watch, able, assert_same, options, soon};

const NEEDED: [Program; 3] = [Program::Nginx, Program::Python, Program::Openssl];
const LENGTH: usize = 200_000;

#[test]
fn the_message_after_a_body_that_was_under_way_is_found() {
    let what = "start in the middle";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    for transport in Transport::ALL {
        let api = PythonApi::start(&tls, transport).unwrap();
        let mut client = clients::python("middle.py", &tls).unwrap();
        client.args([transport.scheme(), &api.port().to_string(), &LENGTH.to_string()]);
        client.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = Guard::start(&mut client).unwrap();
        let line = client.first_line().unwrap();
        assert_eq!(line, "half\n");
        let Some(mut watch) = Watch::start(what, &options(&tls, &[api.pid(), client.pid()])) else {
            return;
        };
        client.child().stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        let second = "/echo?seed=1&length=5000&second";
        for pid in [api.pid(), client.pid()] {
            watch.until(&format!("{what}, {transport:?}"), |watch| {
                !watch.exchanges(pid, second).is_empty()
            });
            let seen = watch.exchanges(pid, second);
            assert_eq!(seen.len(), 1, "{transport:?}");
            let exchange = &seen[0].exchange;
            assert_same(what, &exchange.request.body, &vec![b'y'; LENGTH]);
            assert_same(
                what,
                &exchange.outcome.response().unwrap().body,
                &payload::body(1, 5000),
            );
            assert_eq!(exchange.connection.tls, transport == Transport::Tls);
            let first = watch.exchanges(pid, "/echo?seed=1&length=50000&first");
            assert!(first.is_empty(), "its head was before the sensor");
        }
        assert!(client.wait(soon()).unwrap().success());
        watch.stop();
    }
}

/// LESSONS 14: connections that live long fell out of a table.
#[test]
fn busy_connections_stay_when_idle_ones_need_their_room() {
    const BUSY: usize = 20;
    const ROUNDS: usize = 40;
    let what = "crowd";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    // Fewer than the connections of the test.
    let crowded = Options {
        streams: 512,
        ..options(&tls, &[])
    };
    let Some(mut watch) = Watch::start(what, &crowded) else {
        return;
    };
    let mut client = clients::python("crowd.py", &tls).unwrap();
    let port = nginx.port(Transport::Plain).to_string();
    client.args([&port, &BUSY.to_string(), "800", &ROUNDS.to_string()]);
    let pid = perform(&mut watch, &client);
    let mut streams: HashMap<usize, Vec<_>> = HashMap::new();
    for busy in 0..BUSY {
        for round in 0..ROUNDS {
            let target = format!("/who/busy/{busy}/{round}");
            let seen = watch.exchanges(pid, &target);
            assert_eq!(seen.len(), 1, "{target}");
            assert!(seen[0].exchange.outcome.response().is_some(), "{target}");
            streams
                .entry(busy)
                .or_default()
                .push(seen[0].exchange.connection.stream);
        }
    }
    for (busy, mut streams) in streams {
        streams.dedup();
        assert_eq!(
            streams.len(),
            1,
            "connection {busy} was forgotten while it was in use"
        );
    }
    watch.stop();
}
