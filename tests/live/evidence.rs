//! What a binding rests on, what is not TLS, and both ends on one host.

use sensor_tests::PrivateTls;
use sensor_tests::clients::{self, Call};
use sensor_tests::guard;
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, PythonApi, Site, Transport};
use sensor_user::capture::{Evidence, Role};
use sensor_user::export::Event;
use sensor_user::pipeline::{Judge, Observed};

use crate::watch::{Watch, able, options, settings, soon};

const NEEDED: [Program; 4] = [Program::Nginx, Program::Curl, Program::Openssl, Program::Python];

/// LESSONS 3: programs that give a BIO instead of a descriptor were shown with descriptor 0.
#[test]
fn a_bio_made_of_a_descriptor_names_the_socket() {
    let what = "BIO_new_socket";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let mut options = options(&tls, &[]);
    options.libraries.push(tls.directory().join("libcrypto.so.3"));
    let Some(mut watch) = Watch::start(what, &options) else {
        return;
    };
    let port = nginx.port(Transport::Tls);
    let mut client = clients::python("set_bio.py", &tls).unwrap();
    client.args([&port.to_string(), "/who/bio"]);
    let held = Held::new(&client).unwrap();
    let pid = held.pid();
    watch.also(pid);
    let output = watch.follow(held.release().unwrap());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed: {errors}");
    let observed = watch.stop();
    assert_eq!(observed.len(), 1);
    let connection = &observed[0].exchange.connection;
    assert_eq!(connection.evidence, Some(Evidence::SetBio));
    assert_eq!(connection.remote, Some(([127, 0, 0, 1].into(), port)));
    assert!(!connection.ambiguous);
}

/// LESSONS 8: a reverse proxy's plaintext upstream leg was marked as TLS.
#[test]
fn the_plaintext_leg_behind_a_tls_proxy_is_not_tls() {
    let what = "reverse proxy";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Plain).unwrap();
    let site = Site {
        upstream: Some(api.port()),
        ..Site::default()
    };
    let nginx = Nginx::start(&tls, &site).unwrap();
    let worker = nginx.workers().unwrap()[0];
    let Some(mut watch) = Watch::start(what, &options(&tls, &[worker, api.pid()])) else {
        return;
    };
    let port = nginx.port(Transport::Tls);
    let url = Transport::Tls.url(port, "/via/echo?seed=1&length=100");
    for _ in 0..3 {
        let call = Call::new("POST", &url, b"through the proxy").unwrap();
        guard::run(&mut call.curl(&tls).unwrap(), soon()).unwrap();
    }
    watch.until("three calls on each leg", |watch| watch.observed.len() >= 9);
    let observed = watch.stop();
    assert_eq!(observed.len(), 9);
    for one in &observed {
        let connection = &one.exchange.connection;
        let is_front = connection.local == Some(([127, 0, 0, 1].into(), port));
        assert_eq!(connection.tls, is_front, "{connection:?}");
        let is_upstream = connection.process.pid == worker && !is_front;
        assert_eq!(connection.role == Role::Client, is_upstream, "{connection:?}");
    }
}

#[test]
fn both_ends_on_one_host_give_one_exchange_from_the_servers_view() {
    let what = "both ends";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let worker = nginx.workers().unwrap()[0];
    for transport in Transport::ALL {
        let Some(mut watch) = Watch::start(what, &options(&tls, &[worker])) else {
            return;
        };
        let both = calls(&mut watch, &tls, nginx.port(transport), transport);
        let told = judged(watch.stop());
        assert_eq!(told, vec![(Role::Server, worker); both.len()], "{transport:?}");
    }
}

#[test]
fn a_client_whose_server_is_not_watched_is_told_from_its_own_view() {
    let what = "egress";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let Some(mut watch) = Watch::start(what, &options(&tls, &[])) else {
        return;
    };
    let clients = calls(&mut watch, &tls, nginx.port(Transport::Tls), Transport::Tls);
    let told = judged(watch.stop());
    let expected: Vec<_> = clients.iter().map(|pid| (Role::Client, *pid)).collect();
    assert_eq!(told, expected);
}

/// Three watched clients; gives their process ids.
fn calls(watch: &mut Watch, tls: &PrivateTls, port: u16, transport: Transport) -> Vec<u32> {
    let mut pids = Vec::new();
    for number in 0..3 {
        let url = transport.url(port, &format!("/who/{number}"));
        let call = Call::new("GET", &url, b"").unwrap();
        let held = Held::new(&call.curl(tls).unwrap()).unwrap();
        watch.also(held.pid());
        pids.push(held.pid());
        watch.follow(held.release().unwrap());
    }
    pids
}

/// Role and process of what the judge tells, in order.
fn judged(observed: Vec<Observed>) -> Vec<(Role, u32)> {
    let mut judge = Judge::new(&settings());
    let mut told = Vec::new();
    let mut tell = |event: Event| {
        if let Event::Exchange(summary) = event {
            told.push((summary.connection.role, summary.connection.process.pid));
        }
    };
    for one in observed {
        let now_ns = one.exchange.request.time_ns.1;
        judge.take(one, now_ns, &mut tell);
    }
    judge.finish(&mut tell);
    told
}
