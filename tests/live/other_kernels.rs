//! What `cargo xtask vm` asks of every kernel: does the sensor start there, by which ways, and is what it sees exact?
//!
//! All of it holds on the running kernel too; only watching everyone waits for a machine of the tests' own.

use sensor_common::counter::Counter;
use sensor_tests::PrivateTls;
use sensor_tests::clients::Call;
use sensor_tests::held::Held;
use sensor_tests::payload::body;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Nginx, Site, Transport};
use sensor_user::capture::Role;
use sensor_user::capture::kernel::Options;

use crate::bodies::{Expected, check, with_files};
use crate::watch::{Watch, able, describe, options};

const NEEDED: [Program; 3] = [Program::Nginx, Program::Curl, Program::Openssl];

/// Nothing, one byte, more than a TLS record, and more than the verifier's bounded loop takes at once.
const LENGTHS: [usize; 4] = [0, 1, 16_385, 200_000];

/// Counters that stay at nothing when all goes well.
const SURPRISES: [Counter; 9] = [
    Counter::RingFullRecords,
    Counter::RingFullBytes,
    Counter::ControlRingFull,
    Counter::IovecBytes,
    Counter::NoCallSlot,
    Counter::NoPolicySlot,
    Counter::NoStreamSlot,
    Counter::MissedReturns,
    Counter::AmbiguousSockets,
];

#[test]
fn the_sensor_starts_and_says_by_which_ways() {
    let what = "start";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let Some(watch) = Watch::start(what, &options(&tls, &[std::process::id()])) else {
        return;
    };
    let (backend, helpers) = watch.ways();
    let absent: Vec<_> = helpers
        .iter()
        .filter(|(_, here)| !here)
        .map(|(name, _)| *name)
        .collect();
    programs::seen(&format_args!("attached by {backend}; fall-backs for: {absent:?}"));
    // A program that cannot ask which function it is at must have been told when it was loaded.
    let (_, has_cookie) = helpers[0];
    assert!(
        has_cookie || backend == "perf, a program per function",
        "{backend}"
    );
    watch.stop();
}

#[test]
fn bodies_and_peers_are_exact_at_both_ends() {
    let what = "bodies and peers";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = with_files(&tls, &LENGTHS);
    let worker = nginx.workers().unwrap()[0];
    let Some(mut watch) = Watch::start(what, &options(&tls, &[nginx.pid(), worker])) else {
        return;
    };
    let whole = watch.ways().1[2].1;
    for transport in Transport::ALL {
        for length in LENGTHS {
            // Without bpf_loop a call is captured up to 128 KiB, and the rest is a gap: another test's question.
            if !whole && length > 131_072 {
                continue;
            }
            for (method, target, sent, answered) in [
                ("GET", format!("/f{length}"), Vec::new(), Some(body(1, length))),
                (
                    "PUT",
                    format!("/put/{transport:?}-{length}"),
                    body(2, length),
                    None,
                ),
            ] {
                let what = format!("{what}, {method}, {transport:?}, {length} bytes");
                let expected = Expected {
                    transport,
                    target: &target,
                    sent: &sent,
                    answered: answered.as_deref(),
                };
                one_call(&mut watch, &what, (&tls, &nginx, worker), method, &expected);
            }
        }
    }
    surprises(&watch);
    watch.stop();
}

/// One call by curl, compared at both ends.
fn one_call(
    watch: &mut Watch,
    what: &str,
    (tls, nginx, worker): (&PrivateTls, &Nginx, u32),
    method: &str,
    expected: &Expected<'_>,
) {
    let port = nginx.port(expected.transport);
    let url = expected.transport.url(port, expected.target);
    let call = Call::new(method, &url, expected.sent).unwrap();
    let mut curl = call.curl(tls).unwrap();
    curl.args(["--write-out", "%{local_port}"]);
    let held = Held::new(&curl).unwrap();
    let pid = held.pid();
    watch.also(pid);
    let output = watch.follow(held.release().unwrap());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {errors}");
    let client_port: u16 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    for (end, process) in [("client", pid), ("server", worker)] {
        check(watch, &format!("{what}, {end}'s end"), process, expected);
    }
    peers(watch, what, (worker, pid), expected.target, (port, client_port));
    watch.observed.clear();
}

/// Both ends have the connection's two ports, each from its own side.
fn peers(
    watch: &Watch,
    what: &str,
    (server, client): (u32, u32),
    target: &str,
    (server_port, client_port): (u16, u16),
) {
    for (pid, role, local, remote) in [
        (server, Role::Server, server_port, client_port),
        (client, Role::Client, client_port, server_port),
    ] {
        let seen = watch.exchanges(pid, target);
        let connection = &seen[0].exchange.connection;
        let ports = (
            connection.local.map(|(_, port)| port),
            connection.remote.map(|(_, port)| port),
        );
        assert_eq!(
            ports,
            (Some(local), Some(remote)),
            "{what}: {}",
            describe(seen[0])
        );
        assert_eq!(connection.role, role, "{what}: {}", describe(seen[0]));
        assert!(!connection.ambiguous, "{what}");
    }
}

fn surprises(watch: &Watch) {
    for counter in SURPRISES {
        assert_eq!(watch.counter(counter), 0, "{}", counter.name());
    }
}

#[test]
fn everyone_is_seen_with_the_libraries_of_the_system() {
    let what = "watching everyone";
    if !programs::is_guest() {
        return programs::skipped(what, &"only in a machine of its own: cargo xtask vm");
    }
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    // Started before the sensor, on the system's own library.
    let nginx = Nginx::start_with_system_libraries(&Site::default()).unwrap();
    let worker = nginx.workers().unwrap()[0];
    let everyone = Options {
        everyone: true,
        ring_bytes: 32 << 20,
        ..Options::default()
    };
    let Some(mut watch) = Watch::start(what, &everyone) else {
        return;
    };
    assert!(watch.probes() > 0, "no library is probed: {:?}", watch.failures());
    for transport in Transport::ALL {
        for private in [false, true] {
            let target = format!("/who/{transport:?}-{private}");
            let call = Call::new("GET", &transport.url(nginx.port(transport), &target), b"").unwrap();
            let mut curl = call.curl(&tls).unwrap();
            if !private {
                curl.env_remove("LD_LIBRARY_PATH");
            }
            let held = Held::new(&curl).unwrap();
            let pid = held.pid();
            let output = watch.follow(held.release().unwrap());
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            let mut ends = vec![("server", worker)];
            // A library that nobody used before is probed a moment after it was mapped: too late for its first call.
            if !private || transport == Transport::Plain {
                ends.push(("client", pid));
            }
            for (end, process) in ends {
                watch.until(&format!("{target} at the {end}"), |watch| {
                    watch.exchanges(process, &target).len() == 1
                });
            }
        }
    }
    let own = std::process::id();
    assert!(
        watch
            .observed
            .iter()
            .all(|one| one.exchange.connection.process.pid != own),
        "the sensor watched itself"
    );
    surprises(&watch);
    watch.stop();
}
