//! Idle memory: what the sensor holds beyond its rings.

use std::fs;
use std::time::Duration;

use sensor_tests::PrivateTls;
use sensor_tests::programs::Program;
use sensor_tests::wait::Deadline;

use crate::sensor::{Sensor, root_command, script};

/// The promise: under 64 MiB beyond the ring, in kibibytes as /proc counts.
const LIMIT_KIB: u64 = 64 * 1024;
/// How long an idle sensor is looked at: several refreshes of its accounts.
const IDLE: Duration = Duration::from_secs(3);

#[test]
fn an_idle_sensor_takes_less_than_64_mib_beyond_its_rings() {
    let what = "idle memory";
    let Some(mut command) = root_command(what, &[Program::Python]) else {
        return;
    };
    let tls = PrivateTls::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (server, _) = script("planted.py", &[directory.path()], &tls);
    command.args(["run", "--output", "json", "--metrics-listen", "off", "--pid"]);
    command
        .arg(server.pid().to_string())
        .arg("--library")
        .arg(tls.libssl());
    let Some(mut sensor) = Sensor::start(what, command, "") else {
        return;
    };
    let (mut most, mut rings) = (0, 0);
    let deadline = Deadline::after(IDLE);
    while !deadline.is_over() {
        let (resident, ring) = (resident_kib(sensor.pid()), rings_kib(sensor.pid()));
        most = most.max(resident - ring);
        rings = rings.max(ring);
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("idle: {most} KiB beyond {rings} KiB of rings");
    assert!(most > 1024, "an implausible {most} KiB: was it running?");
    assert!(
        most < LIMIT_KIB,
        "{most} KiB beyond the rings, limit {LIMIT_KIB} KiB"
    );
    assert_eq!(sensor.stop().code(), Some(0));
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| kib(line, "VmRSS:")).unwrap()
}

/// Resident memory of mappings of BPF maps, which are the rings (proc(5), smaps).
fn rings_kib(pid: u32) -> u64 {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let mut of_ring = false;
    let mut sum = 0;
    for line in smaps.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        // The front of a mapping is `start-end`, every other line begins with `Name:`.
        if !first.ends_with(':') {
            of_ring = line.contains("bpf-map");
        } else if of_ring {
            sum += kib(line, "Rss:").unwrap_or(0);
        }
    }
    sum
}

fn kib(line: &str, name: &str) -> Option<u64> {
    line.strip_prefix(name)?.split_whitespace().next()?.parse().ok()
}
