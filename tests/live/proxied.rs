//! Behind a proxy that sends the PROXY protocol: is the call found behind the header, and the client that it names?

use std::process::{Command, Stdio};

use sensor_tests::clients::Call;
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::servers::Transport;
use sensor_tests::wait;
use sensor_tests::{Guard, PrivateTls};

use crate::turned::listening_script;
use crate::watch::{Watch, able, bytes, describe, options, soon};

/// `HAProxy` that passes on what arrives at a port of its own.
fn haproxy(tls: &PrivateTls, directory: &std::path::Path, to: u16, option: &str) -> (Guard, u16) {
    let port = wait::free_port().unwrap();
    let config = directory.join("haproxy.cfg");
    let text = format!(
        "global\n maxconn 100\n nbthread 1\ndefaults\n mode http\n timeout connect 10s\n timeout client 20s\n timeout server \
         20s\nfrontend front\n bind 127.0.0.1:{port}\n default_backend back\nbackend back\n server one 127.0.0.1:{to} \
         {option}\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(Program::Haproxy.find().unwrap());
    command.args(["-db", "-f"]).arg(&config);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let guard = Guard::start(tls.apply(&mut command)).unwrap();
    wait::listening(port, soon()).unwrap();
    (guard, port)
}

#[test]
fn the_call_behind_a_proxy_header_is_read_and_its_client_is_named() {
    let what = "PROXY protocol";
    if !able(what, &[Program::Haproxy, Program::Python, Program::Curl]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    for (how, option) in [
        ("exact", "send-proxy"),
        ("together", "send-proxy"),
        ("exact", "send-proxy-v2"),
        ("together", "send-proxy-v2"),
    ] {
        let what = format!("{what}, {how}, {option}");
        let (server, to) = listening_script(&tls, "proxied.py", &[how]);
        let directory = tempfile::tempdir().unwrap();
        let (proxy, port) = haproxy(&tls, directory.path(), to, option);
        let Some(mut watch) = Watch::start(&what, &options(&tls, &[server.pid(), proxy.pid()])) else {
            return;
        };
        let call = Call::new("GET", &Transport::Plain.url(port, "/behind"), b"").unwrap();
        watch.follow(Held::new(&call.curl(&tls).unwrap()).unwrap().release().unwrap());
        watch.until(&what, |watch| {
            watch.exchanges(server.pid(), "/behind").len() == 1
                && watch.exchanges(proxy.pid(), "/behind").len() == 2
        });
        let one = watch.exchanges(server.pid(), "/behind")[0];
        let response = one.exchange.outcome.response().unwrap();
        let (client, number) = one
            .exchange
            .connection
            .proxied_for
            .unwrap_or_else(|| panic!("{}", describe(one)));
        assert_eq!(
            String::from_utf8(bytes(&response.body)).unwrap(),
            format!("{client} {number}"),
            "{what}"
        );
        // At the proxy: towards its client nobody else is spoken for, towards the server the header is.
        let legs = watch.exchanges(proxy.pid(), "/behind");
        let named = legs
            .iter()
            .filter(|leg| leg.exchange.connection.proxied_for == Some((client, number)));
        assert_eq!(named.count(), 1, "{what}");
        watch.stop();
    }
}
