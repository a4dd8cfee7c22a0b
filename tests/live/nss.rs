//! NSS as tstclnt and selfserv use it: is every byte of TLS there once, and nothing of the files that go through the
//! same functions?

use sensor_tests::PrivateTls;
use sensor_tests::clients::Call;
use sensor_tests::copies::Copies;
use sensor_tests::held::Held;
use sensor_tests::payload::{LENGTHS, body};
use sensor_tests::programs::Program;
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::tools::{Serving, Tstclnt};
use sensor_user::capture::{Evidence, Role, Source};

use crate::bodies::Expected;
use crate::gnutls::{assert_once, assert_peer, judge, post};
use crate::watch::{Watch, able, assert_same, options_for};

const LIBRARIES: [&str; 2] = ["libssl3.so", "libnspr4.so"];

const NEEDED: [Program; 7] = [
    Program::Tstclnt,
    Program::Selfserv,
    Program::Certutil,
    Program::Pk12util,
    Program::Curl,
    Program::Openssl,
    Program::Python,
];

/// TLS streams of a process that carried anything, and the bytes they carried.
fn carried(watch: &Watch, pid: u32) -> (usize, u64) {
    let of_pid =
        |key: &&(sensor_user::capture::StreamKey, _)| key.0.process.pid == pid && key.0.source == Source::Tls;
    let streams: std::collections::HashSet<_> = watch
        .tally
        .0
        .keys()
        .filter(of_pid)
        .map(|(stream, _)| *stream)
        .collect();
    (streams.len(), watch.tally.of_process(pid).captured)
}

#[test]
fn tstclnt_sends_and_receives_and_its_files_are_left_alone() {
    let what = "tstclnt";
    if !able(what, &NEEDED) {
        return;
    }
    let (copies, tls) = (Copies::of(&LIBRARIES).unwrap(), PrivateTls::new().unwrap());
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let libraries = LIBRARIES.map(|file| copies.path(file)).to_vec();
    let Some(mut watch) = Watch::start(what, &options_for(libraries, &[])) else {
        return;
    };
    for length in LENGTHS {
        let (sent, answered) = (body(15, length), body(4, length));
        let target = format!("/echo?seed=4&length={length}");
        let request = post(&target, &sent);
        let client = Tstclnt::new(&request).unwrap();
        let held = Held::new(&client.command(api.port(), &copies).unwrap()).unwrap();
        let pid = held.pid();
        watch.also(pid);
        watch.follow(held.release().unwrap());
        let received = client.received().unwrap();
        assert!(
            received.ends_with(&answered),
            "{what}: {length} bytes were not received"
        );
        let expected = Expected {
            transport: Transport::Tls,
            target: &target,
            sent: &sent,
            answered: Some(&answered),
        };
        let what = format!("{what}, {length} bytes");
        let peer = (api.port(), Evidence::NestedSyscall);
        judge(&mut watch, &what, pid, peer, &expected);
        let total = (request.len() + received.len()) as u64;
        assert_eq!(carried(&watch, pid), (1, total), "{what}");
        watch.observed.clear();
    }
    watch.stop();
}

#[test]
fn selfserv_answers_and_is_seen() {
    let what = "selfserv";
    if !able(what, &NEEDED) {
        return;
    }
    let (copies, tls) = (Copies::of(&LIBRARIES).unwrap(), PrivateTls::new().unwrap());
    let server = Serving::nss(&copies).unwrap();
    for library in LIBRARIES {
        copies.assert_mapped(server.pid(), library).unwrap();
    }
    let libraries = LIBRARIES.map(|file| copies.path(file)).to_vec();
    let Some(mut watch) = Watch::start(what, &options_for(libraries, &[server.pid()])) else {
        return;
    };
    for round in 0..5 {
        let target = format!("/echo?{round}");
        let call = Call::new("GET", &Transport::Tls.url(server.port(), &target), b"").unwrap();
        watch.follow(Held::new(&call.curl(&tls).unwrap()).unwrap().release().unwrap());
        // The server was waiting in `PR_Accept` before the sensor began, so the first connection is not known as TLS.
        if round == 0 {
            continue;
        }
        watch.until(&target, |watch| {
            !watch.exchanges(server.pid(), &target).is_empty()
        });
        let seen = watch.exchanges(server.pid(), &target);
        assert_eq!(seen.len(), 1, "{what}");
        let response = seen[0].exchange.outcome.response().unwrap();
        let received = call.received().unwrap();
        assert!(!received.is_empty(), "{what}: curl received nothing");
        assert_same(what, &response.body, &received);
        assert_peer(
            &watch,
            server.pid(),
            &target,
            Role::Server,
            server.port(),
            Evidence::NestedSyscall,
        );
        assert_once(&watch, what, server.pid());
    }
    watch.stop();
}
