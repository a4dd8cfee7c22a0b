//! Is the observed program as it was, after the sensor stopped and after it was killed?

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sensor_tests::clients::Call;
use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Nginx, Site, Transport};
use sensor_tests::wait::{self, Deadline, STARTING};
use sensor_tests::{Guard, PrivateTls};

use crate::watch::{Watch, able, options, soon};

const NEEDED: [Program; 3] = [Program::Nginx, Program::Curl, Program::Openssl];

/// The promise of the sensor.
const STOP: Duration = Duration::from_secs(1);

fn start() -> (PrivateTls, Nginx, u32) {
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let worker = nginx.workers().unwrap()[0];
    tls.assert_mapped(worker).unwrap();
    assert_eq!(tls.probes_in(worker).unwrap(), 0);
    (tls, nginx, worker)
}

/// Probes made through tracefs, which outlive their maker; empty where it is not mounted.
fn tracefs_probes() -> String {
    std::fs::read_to_string("/sys/kernel/tracing/uprobe_events").unwrap_or_default()
}

/// LESSONS 22: taking probes out took longer than a pod's grace period.
#[test]
#[expect(clippy::disallowed_methods, reason = "the time to stop is what is tested")]
fn stopping_takes_less_than_a_second_and_leaves_no_probe() {
    let what = "stop";
    if !able(what, &NEEDED) {
        return;
    }
    let (tls, nginx, worker) = start();
    let before = tracefs_probes();
    // The sensor's own time is the shortest of three: others on the machine only add to it.
    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        let Some(mut watch) = Watch::start(what, &options(&tls, &[nginx.pid(), worker])) else {
            return;
        };
        let url = Transport::Tls.url(nginx.port(Transport::Tls), "/who/stops");
        let call = Call::new("GET", &url, b"").unwrap();
        watch.follow(Held::new(&call.curl(&tls).unwrap()).unwrap().release().unwrap());
        watch.until("the call", |watch| !watch.observed.is_empty());
        assert!(
            tls.probes_in(worker).unwrap() > 0,
            "no probe is in place, so nothing can be left"
        );
        let started = Instant::now();
        watch.stop();
        shortest = shortest.min(started.elapsed());
        assert_eq!(
            tls.probes_in(worker).unwrap(),
            0,
            "probes are left in the observed program"
        );
        if shortest < STOP {
            break;
        }
    }
    println!("stopping took {shortest:?}");
    assert!(shortest < STOP * wait::patience(), "stopping took {shortest:?}");
    assert_eq!(tracefs_probes(), before);
}

#[test]
fn killing_the_sensor_leaves_no_probe() {
    let what = "kill -9";
    if !able(what, &NEEDED) {
        return;
    }
    let Some(sensor) = sensor() else {
        return programs::skipped(what, &"api-sensor is not built");
    };
    let (tls, nginx, worker) = start();
    let before = tracefs_probes();
    let state = tempfile::tempdir().unwrap();
    let mut command = Command::new(sensor);
    command.args([
        "run",
        "--pid",
        &nginx.pid().to_string(),
        "--output",
        "none",
        "--metrics-listen",
        "off",
    ]);
    command
        .arg("--state-dir")
        .arg(state.path().join("state"))
        .arg("--library")
        .arg(tls.libssl());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut sensor = Guard::start(&mut command).unwrap();
    let errors = sensor.child().stderr.take().unwrap();
    let said = until_ready(errors);
    assert!(
        said.last().is_some_and(|line| line.starts_with(READY)),
        "the sensor did not start: {said:#?}"
    );
    assert!(
        tls.probes_in(worker).unwrap() > 0,
        "no probe is in place, so nothing can be left"
    );
    sensor.kill().unwrap();
    // The kernel closes a killed process's files while it is reaped; links end with the last of them.
    wait::until(
        "the kernel's cleaning",
        Deadline::after(Duration::from_secs(10)),
        || Ok((tls.probes_in(worker)? == 0).then_some(())),
    )
    .unwrap();
    assert_eq!(tracefs_probes(), before);
    let url = Transport::Tls.url(nginx.port(Transport::Tls), "/who/lives");
    let call = Call::new("GET", &url, b"").unwrap();
    sensor_tests::guard::run(&mut call.curl(&tls).unwrap(), soon()).unwrap();
}

/// The binary beside this test: `target/PROFILE/deps/live_kernel-...` and `target/PROFILE/api-sensor`.
fn sensor() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let profile = test.parent().and_then(Path::parent)?;
    Some(profile.join("api-sensor")).filter(|path| path.is_file())
}

/// What the sensor prints once it watches.
const READY: &str = "api-sensor: watching";

/// Lines of the sensor up to the one that says it is ready, or to its end, or to the deadline.
fn until_ready(errors: ChildStderr) -> Vec<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // Read to the end, so that the sensor never waits for a reader; sent while somebody listens.
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            sender.send(line).ok();
        }
    });
    let deadline = Deadline::after(STARTING);
    let mut said = Vec::new();
    while let Ok(line) = receiver.recv_timeout(deadline.left()) {
        let ready = line.starts_with(READY);
        said.push(line);
        if ready {
            break;
        }
    }
    said
}
