//! Plaintext that turns into TLS: is the plain part read, the inner call seen, and the ciphertext left alone?

use std::process::Stdio;

use sensor_common::counter::Counter;
use sensor_tests::clients::{self, Call};
use sensor_tests::programs::Program;
use sensor_tests::servers::{Certificate, Nginx, Site, Transport};
use sensor_tests::{Guard, PrivateTls, payload};
use sensor_user::capture::Source;

use crate::bodies::perform;
use crate::watch::{Watch, able, assert_same, describe, options};

const NEEDED: [Program; 4] = [Program::Nginx, Program::Curl, Program::Openssl, Program::Python];
const LENGTH: usize = 100_000;

/// A script among the fixtures that prints its port on one line.
pub(crate) fn listening_script(tls: &PrivateTls, script: &str, arguments: &[&str]) -> (Guard, u16) {
    let mut command = clients::python(script, tls).unwrap();
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut guard = Guard::start(&mut command).unwrap();
    let line = guard.first_line().unwrap();
    let port = line.trim().parse().unwrap();
    (guard, port)
}

/// Bytes that came through a process's sockets themselves.
fn through_sockets(watch: &Watch, pid: u32) -> u64 {
    let of = watch.tally.0.iter();
    of.filter(|((stream, _), _)| stream.process.pid == pid && stream.source == Source::Socket)
        .map(|(_, account)| account.end)
        .sum()
}

#[test]
fn a_connect_tunnel_is_read_up_to_its_tls_and_the_call_inside_is_seen() {
    let what = "CONNECT";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let content = payload::body(11, LENGTH);
    let site = Site {
        files: &[("large", content.as_slice())],
        ..Site::default()
    };
    let nginx = Nginx::start(&tls, &site).unwrap();
    let (proxy, port) = listening_script(&tls, "connect_proxy.py", &[]);
    let Some(mut watch) = Watch::start(what, &options(&tls, &[proxy.pid()])) else {
        return;
    };
    let url = Transport::Tls.url(nginx.port(Transport::Tls), "/large");
    let call = Call::new("GET", &url, b"").unwrap();
    let mut curl = call.curl(&tls).unwrap();
    curl.args(["--noproxy", "", "--proxy", &format!("http://127.0.0.1:{port}")]);
    let pid = perform(&mut watch, &curl);
    let authority = format!("127.0.0.1:{}", nginx.port(Transport::Tls));
    watch.until(what, |watch| !watch.exchanges(pid, "/large").is_empty());
    for process in [pid, proxy.pid()] {
        let connect = watch.exchanges(process, &authority);
        assert_eq!(connect.len(), 1, "{what}: {:#?}", watch.tally);
        assert!(!connect[0].exchange.connection.tls);
        assert_eq!(connect[0].exchange.outcome.response().unwrap().status, 200);
        assert!(
            through_sockets(&watch, process) < 2_000,
            "{what}: ciphertext: {:#?}",
            watch.tally
        );
    }
    let inner = watch.exchanges(pid, "/large")[0];
    assert!(inner.exchange.connection.tls);
    assert_same(what, &inner.exchange.outcome.response().unwrap().body, &content);
    assert!(watch.counter(Counter::SocketTlsBytes) > LENGTH as u64, "{what}");
    assert_eq!(watch.exchanges(proxy.pid(), "/large").len(), 0);
    watch.stop();
}

#[test]
fn a_connection_upgraded_to_tls_is_read_before_and_inside() {
    let what = "upgrade to TLS";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let certificate = Certificate::create(directory.path()).unwrap();
    let files = [&certificate.certificate, &certificate.key].map(|path| path.to_str().unwrap());
    let (server, port) = listening_script(&tls, "upgrade.py", &["server", files[0], files[1]]);
    let Some(mut watch) = Watch::start(what, &options(&tls, &[server.pid()])) else {
        return;
    };
    let mut client = clients::python("upgrade.py", &tls).unwrap();
    client.args(["client", &port.to_string(), &LENGTH.to_string()]);
    let pid = perform(&mut watch, &client);
    for process in [pid, server.pid()] {
        watch.until(what, |watch| !watch.exchanges(process, "/inside").is_empty());
        let inner = watch.exchanges(process, "/inside")[0];
        assert!(inner.exchange.connection.tls, "{}", describe(inner));
        assert_same(what, &inner.exchange.request.body, &vec![b'z'; LENGTH]);
        let outer = watch.exchanges(process, "*");
        assert_eq!(outer.len(), 1, "{what}: {:#?}", watch.tally);
        assert!(!outer[0].exchange.connection.tls);
        assert_eq!(outer[0].exchange.outcome.response().unwrap().status, 101);
        assert!(
            through_sockets(&watch, process) < 1_000,
            "{what}: ciphertext: {:#?}",
            watch.tally
        );
    }
    watch.stop();
}
