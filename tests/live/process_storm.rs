//! What the attaching thread costs when processes come and go by the thousand.

use std::process::Command;

use sensor_tests::PrivateTls;
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_user::capture::kernel::Effort;
use tempfile::TempDir;

use crate::arrivals::copied;
use crate::watch::{Watch, able, options};

/// Processor time that one short process may cost, on a machine under load: looking once takes some 100 us.
const MOST_NS_EACH: u64 = 3_000_000;

/// A watched shell starts that many short programs; what that cost.
fn storm(watch: &mut Watch, program: &std::path::Path, processes: usize) -> Effort {
    let before = watch.effort();
    let mut shell = Command::new("/bin/sh");
    shell.args([
        "-c",
        "n=0; while [ $n -lt $1 ]; do \"$0\" & n=$((n+1)); [ $((n % 50)) = 0 ] && wait; done; wait",
    ]);
    shell.arg(program).arg(processes.to_string());
    let held = Held::new(&shell).unwrap();
    watch.also(held.pid());
    let output = watch.follow(held.release().unwrap());
    assert!(output.status.success());
    let after = watch.effort();
    Effort {
        looks: after.looks - before.looks,
        scans: after.scans - before.scans,
        cpu_ns: after.cpu_ns - before.cpu_ns,
        ..after
    }
}

#[test]
fn a_thousand_short_processes_cost_a_bounded_look_each() {
    let what = "a storm of processes";
    if !able(what, &[Program::Curl]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let directory = TempDir::with_prefix("api-sensor-storm-").unwrap();
    let program = directory.path().join("true");
    std::fs::copy("/bin/true", &program).unwrap();
    let curl = copied(Program::Curl, &directory, "curl");
    let Some(mut watch) = Watch::start(what, &options(&tls, &[])) else {
        return;
    };
    for (name, program, processes) in [
        ("true", &program, 250),
        ("true", &program, 1000),
        ("curl", &curl, 200),
    ] {
        let effort = storm(&mut watch, program, processes);
        let each = effort.cpu_ns / processes as u64;
        println!(
            "{processes} times {name}: {} looks, {} scans, {} us of processor time, {} us each",
            effort.looks,
            effort.scans,
            effort.cpu_ns / 1000,
            each / 1000
        );
        assert!(effort.looks <= 6 * processes as u64 + 100, "{effort:?}");
        assert!(each < MOST_NS_EACH, "{effort:?}");
        // The queue holds them all: going over all of /proc would be what makes it quadratic.
        assert_eq!(effort.scans, 0, "{effort:?}");
    }
}
