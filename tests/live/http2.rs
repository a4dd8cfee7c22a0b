//! HTTP/2 between programs that others wrote: is every exchange of a hundred streams at once there, and once?

use std::path::Path;
use std::process::{Command, Stdio};

use sensor_tests::programs::Program;
use sensor_tests::{Guard, PrivateTls, wait};

use crate::watch::{Watch, able, bytes, options, soon};

const CALLS: usize = 1000;

/// nginx that speaks HTTP/2 without TLS.
fn nginx(tls: &PrivateTls, directory: &Path) -> (Guard, u16) {
    let port = wait::free_port().unwrap();
    let place = directory.display();
    let text = format!(
        "daemon off; master_process off; pid {place}/pid; error_log {place}/error; events {{}}\nhttp {{ access_log off; \
         client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place}; uwsgi_temp_path {place}; \
         scgi_temp_path {place}; keepalive_requests 100000; server {{ listen 127.0.0.1:{port} http2; \
         location / {{ return 200 answered; }} }} }}\n"
    );
    let config = directory.join("nginx.conf");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(Program::Nginx.find().unwrap());
    command.arg("-c").arg(&config).arg("-p").arg(directory);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let guard = Guard::start(tls.apply(&mut command)).unwrap();
    wait::listening(port, soon()).unwrap();
    (guard, port)
}

#[test]
fn every_exchange_of_a_hundred_streams_at_once_is_there_once() {
    let what = "HTTP/2";
    if !able(what, &[Program::Nginx, Program::H2load]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (server, port) = nginx(&tls, directory.path());
    let Some(mut watch) = Watch::start(what, &options(&tls, &[server.pid()])) else {
        return;
    };
    let mut load = Command::new(Program::H2load.find().unwrap());
    load.args(["-n", &CALLS.to_string(), "-c", "1", "-m", "100"]);
    let load = load
        .arg(format!("http://127.0.0.1:{port}/streams"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&load.stdout).into_owned();
    assert!(said.contains("1000 succeeded, 0 failed"), "{said}");
    watch.until(what, |watch| {
        watch.exchanges(server.pid(), "/streams").len() >= CALLS
    });
    let seen = watch.exchanges(server.pid(), "/streams");
    assert_eq!(seen.len(), CALLS);
    for one in seen {
        let response = one.exchange.outcome.response().unwrap();
        assert_eq!((one.exchange.request.version, response.status), (20, 200));
        assert_eq!(bytes(&response.body), b"answered");
        assert!(one.exchange.anomalies.is_empty(), "{:?}", one.exchange.anomalies);
    }
}
