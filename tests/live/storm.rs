//! Does the observed program come to harm: by probes that come and go under load, by return probes in a sandbox, by
//! many probes at once?

use std::sync::Arc;
use std::time::{Duration, Instant};

use sensor_tests::clients::{self, Call};
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, PythonApi, Site, Transport};
use sensor_tests::wait::{self, Deadline};
use sensor_tests::{PrivateTls, payload};
use sensor_user::capture::kernel::{KernelSource, Options};
use sensor_user::telemetry::Counters;

use crate::watch::{Watch, able, assert_same, options};

const NEEDED: [Program; 3] = [Program::Nginx, Program::Python, Program::Openssl];

/// Connections, and requests of each at least.
const LOAD: [&str; 2] = ["4", "1000"];

#[test]
fn an_attach_and_detach_storm_under_load_leaves_every_response_intact() {
    storm(3);
}

#[test]
#[ignore = "a longer storm"]
fn a_long_attach_and_detach_storm_under_load_leaves_every_response_intact() {
    storm(15);
}

/// Starts and stops the sensor so often while the load lasts.
fn storm(rounds: u32) {
    let what = "storm";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let worker = nginx.workers().unwrap()[0];
    let directory = tempfile::tempdir().unwrap();
    let over = directory.path().join("over");
    // The client checks each answer and fails at the first that is not as it must be.
    let mut client = clients::python("many.py", &tls).unwrap();
    client
        .args(["https", &nginx.port(Transport::Tls).to_string()])
        .args(LOAD)
        .arg(&over);
    let held = Held::new(&client).unwrap();
    let watched = [nginx.pid(), worker, held.pid()];
    let Some(first) = Watch::start(what, &options(&tls, &watched)) else {
        return;
    };
    let mut running = held.release().unwrap();
    first.stop();
    // A round takes seconds, and on a busy machine many.
    let deadline = Deadline::after(Duration::from_mins(1) * rounds);
    for round in 0..rounds {
        assert!(!running.has_ended().unwrap(), "the load ended in round {round}");
        assert!(!deadline.is_over(), "{round} rounds took too long");
        let source = KernelSource::start(&options(&tls, &watched), Arc::new(Counters::default())).unwrap();
        source.stop();
    }
    std::fs::write(&over, "").unwrap();
    let output = running.finish(deadline).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the load was harmed: {errors}");
    assert_eq!(
        nginx.workers().unwrap(),
        [worker],
        "the server's worker was replaced"
    );
    assert_eq!(tls.probes_in(worker).unwrap(), 0, "probes are left");
}

/// Files probed at once, each with the dozen functions of OpenSSL at entry and return.
const FILES: usize = 16;
/// What the issue asks for.
const PROBES: usize = 200;
const STOP: Duration = Duration::from_secs(1);

#[test]
#[expect(clippy::disallowed_methods, reason = "the time to stop is what is tested")]
fn two_hundred_probes_are_gone_within_a_second() {
    let what = "two hundred probes";
    if !able(what, &[]) {
        return;
    }
    let libraries: Vec<PrivateTls> = (0..FILES).map(|_| PrivateTls::new().unwrap()).collect();
    let many = Options {
        libraries: libraries.iter().map(PrivateTls::libssl).collect(),
        pids: vec![std::process::id()],
        ..Options::default()
    };
    // The sensor's own time is the shortest of three: others on the machine only add to it.
    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        let Some(watch) = Watch::start(what, &many) else {
            return;
        };
        assert!(watch.probes() >= PROBES, "{} probes", watch.probes());
        let started = Instant::now();
        watch.stop();
        shortest = shortest.min(started.elapsed());
        if shortest < STOP {
            break;
        }
    }
    assert!(shortest < STOP * wait::patience(), "stopping took {shortest:?}");
}

/// Calls 335 (`uretprobe`) and 336 (`uprobe`) end the client, as a filter does that does not know them: kernels 6.11
/// to about 6.13 ask it.
/// LESSONS 18.
#[test]
fn a_program_under_seccomp_survives_its_probes() {
    let what = "sandboxed program";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    for return_probes in [true, false] {
        let chosen = Options {
            return_probes,
            ..options(&tls, &[])
        };
        let Some(mut watch) = Watch::start(what, &chosen) else {
            return;
        };
        let mut client = clients::python("sandboxed.py", &tls).unwrap();
        client.arg(api.port().to_string());
        let held = Held::new(&client).unwrap();
        watch.also(held.pid());
        let pid = held.pid();
        let output = watch.follow(held.release().unwrap());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {errors}", output.status);
        let seen = watch.exchanges(pid, "/echo?seed=7&length=1000");
        assert_eq!(seen.len(), 1, "return probes {return_probes}");
        watch.stop();
    }
}

#[test]
fn without_return_probes_bodies_are_the_same() {
    let what = "without return probes";
    if !able(what, &[Program::Curl, Program::Python, Program::Openssl]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let without = Options {
        return_probes: false,
        ..options(&tls, &[api.pid()])
    };
    let Some(mut watch) = Watch::start(what, &without) else {
        return;
    };
    for length in [1, 16_384, 100_000] {
        let sent = payload::body(3, length);
        let path = format!("/echo?seed=5&length={length}");
        let call = Call::new("POST", &Transport::Tls.url(api.port(), &path), &sent).unwrap();
        let output = watch.follow(Held::new(&call.curl(&tls).unwrap()).unwrap().release().unwrap());
        assert!(output.status.success());
        let seen = watch.exchanges(api.pid(), &path);
        assert_eq!(seen.len(), 1, "{path}");
        assert_same(&path, &seen[0].exchange.request.body, &sent);
        let response = seen[0].exchange.outcome.response().unwrap();
        assert_same(&path, &response.body, &payload::body(5, length));
    }
    watch.stop();
}
