//! Does each of many parallel exchanges appear once, with its own process, addresses and peer?

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use sensor_tests::clients;
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, Site, Transport};
use sensor_tests::{PrivateTls, wait};
use sensor_user::capture::{Evidence, Role};
use sensor_user::pipeline::Observed;

use crate::watch::{Watch, able, bytes, describe, options};

const CONNECTIONS: usize = 64;

/// A hundred, and fewer on an emulated machine.
fn requests() -> usize {
    100 / wait::patience() as usize
}

#[test]
fn sixty_four_connections_with_a_hundred_requests_each() {
    let what = "many connections";
    if !able(what, &[Program::Nginx, Program::Python, Program::Openssl]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let site = Site {
        workers: 2,
        ..Site::default()
    };
    let nginx = Nginx::start(&tls, &site).unwrap();
    let mut pids = nginx.workers().unwrap();
    pids.push(nginx.pid());
    for transport in Transport::ALL {
        let Some(mut watch) = Watch::start(what, &options(&tls, &pids)) else {
            return;
        };
        let port = nginx.port(transport);
        let mut client = clients::python("many.py", &tls).unwrap();
        client.args([transport.scheme(), &port.to_string()]);
        client.args([CONNECTIONS.to_string(), requests().to_string()]);
        let output = watch.follow(Held::new(&client).unwrap().release().unwrap());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the client failed: {errors}");
        let observed = watch.stop();

        let mut times = HashMap::new();
        for one in &observed {
            check(one, port, transport);
            *times
                .entry(one.exchange.request.target().expose().to_vec())
                .or_insert(0) += 1;
        }
        for connection in 0..CONNECTIONS {
            for request in 0..requests() {
                let path = format!("/who/{connection}/{request}");
                assert_eq!(
                    times.remove(path.as_bytes()),
                    Some(1),
                    "{path} over {transport:?}"
                );
            }
        }
        assert!(times.is_empty(), "{} exchanges that nobody had", times.len());
    }
}

/// The server says in its answer who it is, who asked and for what; the sensor must say the same.
fn check(observed: &Observed, port: u16, transport: Transport) {
    let exchange = &observed.exchange;
    let connection = &exchange.connection;
    let what = describe(observed);
    let response = exchange
        .outcome
        .response()
        .unwrap_or_else(|| panic!("no answer: {what}"));
    let answer = String::from_utf8(bytes(&response.body)).unwrap();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (_, remote) = connection.remote.unwrap_or_else(|| panic!("no peer: {what}"));
    let target = String::from_utf8_lossy(exchange.request.target().expose()).into_owned();
    assert_eq!(
        answer.trim(),
        format!("{} {remote} {target}", connection.process.pid),
        "{what}"
    );
    assert_eq!(connection.local, Some((loopback, port)), "{what}");
    assert_eq!(connection.remote, Some((loopback, remote)), "{what}");
    assert_eq!(connection.role, Role::Server, "{what}");
    assert_eq!(connection.tls, transport == Transport::Tls, "{what}");
    assert!(!connection.ambiguous, "{what}");
    // The name of a process that ran before the sensor is not known to the kernel object.
    let comm = connection.comm.to_string();
    assert!(comm.is_empty() || comm == "nginx", "{what}");
    match transport {
        Transport::Tls => assert!(
            matches!(
                connection.evidence,
                Some(Evidence::SetFd | Evidence::NestedSyscall)
            ),
            "{what}"
        ),
        Transport::Plain => assert_eq!(connection.evidence, Some(Evidence::Direct), "{what}"),
    }
}
