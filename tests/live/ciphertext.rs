//! Is ciphertext left alone? A relay that passes TLS on is watched: nothing of it may be read as an API.

use std::process::Stdio;

use sensor_common::counter::Counter;
use sensor_tests::clients::{self, Call};
use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, Site, Transport};
use sensor_tests::{Guard, PrivateTls};

use crate::watch::{Watch, able, options};

fn relay(tls: &PrivateTls, port: u16) -> (Guard, u16) {
    let mut command = clients::python("relay.py", tls).unwrap();
    command
        .arg(port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut guard = Guard::start(&mut command).unwrap();
    let line = guard.first_line().unwrap();
    (guard, line.trim().parse().unwrap())
}

#[test]
fn a_relay_of_tls_gives_nothing_and_the_same_relay_of_plain_gives_the_call() {
    let what = "ciphertext";
    if !able(
        what,
        &[Program::Nginx, Program::Curl, Program::Openssl, Program::Python],
    ) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    for transport in Transport::ALL {
        let (relay, port) = relay(&tls, nginx.port(transport));
        let Some(mut watch) = Watch::start(what, &options(&tls, &[relay.pid()])) else {
            return;
        };
        for call in 0..5 {
            let call = Call::new("GET", &transport.url(port, &format!("/who/{call}")), b"").unwrap();
            let held = sensor_tests::held::Held::new(&call.curl(&tls).unwrap()).unwrap();
            assert!(watch.follow(held.release().unwrap()).status.success());
        }
        let encrypted = watch.counter(Counter::SocketTlsBytes);
        let records = watch.tally.of_process(relay.pid()).end;
        let observed = watch.stop();
        match transport {
            Transport::Tls => {
                assert!(encrypted > 0, "the relay's TLS was not recognised");
                assert_eq!(records, 0, "ciphertext reached user space");
                assert!(observed.is_empty());
            }
            // One exchange per leg: the relay is server of one and client of the other.
            Transport::Plain => assert_eq!(observed.len(), 10, "the relay is not watched"),
        }
    }
}

#[test]
fn a_tls_client_is_seen_through_its_library_and_not_through_its_socket() {
    let what = "ciphertext of a watched client";
    if !able(what, &[Program::Nginx, Program::Curl, Program::Openssl]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let worker = nginx.workers().unwrap()[0];
    let Some(mut watch) = Watch::start(what, &options(&tls, &[worker])) else {
        return;
    };
    let url = Transport::Tls.url(nginx.port(Transport::Tls), "/who/am");
    let call = Call::new("GET", &url, b"").unwrap();
    let held = sensor_tests::held::Held::new(&call.curl(&tls).unwrap()).unwrap();
    watch.follow(held.release().unwrap());
    watch.until("the call", |watch| !watch.observed.is_empty());
    let through_socket = watch
        .tally
        .0
        .keys()
        .filter(|(stream, _)| stream.source == sensor_user::capture::Source::Socket);
    assert_eq!(through_socket.count(), 0, "{:?}", watch.tally);
    let observed = watch.stop();
    assert_eq!(observed.len(), 1);
    assert!(observed[0].exchange.connection.tls);
}
