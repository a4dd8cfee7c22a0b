//! Programs that start while the sensor does, libraries that arrive late, children that never exec, and TLS that no
//! probe sees: is each seen, or said not to be?

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sensor_common::counter::Counter;
use sensor_tests::clients::{Call, python};
use sensor_tests::held::Held;
use sensor_tests::payload::body;
use sensor_tests::programs::Program;
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::{Guard, PrivateTls};
use sensor_user::capture::kernel::Options;
use tempfile::TempDir;

use crate::bodies::{Expected, check, perform, perform_once};
use crate::watch::{Watch, able, bytes, describe, options};

const NEEDED: [Program; 3] = [Program::Curl, Program::Openssl, Program::Python];

/// A program under another name and inode, for the filters by executable.
pub(crate) fn copied(program: Program, directory: &TempDir, name: &str) -> PathBuf {
    let copy = directory.path().join(name);
    fs::copy(program.find().unwrap(), &copy).unwrap();
    copy
}

/// CAPTURE.md 5.1: subscribed before scanned. From the first call that is seen, no later one is missing, and those that
/// began after the start are all seen.
#[test]
fn programs_that_start_while_the_sensor_starts_are_seen_from_one_on() {
    /// Calls that begin after the start, at least.
    const AFTER: usize = 40;
    /// Calls at most, however long the start takes.
    const MOST: usize = 20_000;
    let what = "programs at start-up";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let directory = TempDir::with_prefix("api-sensor-arrivals-").unwrap();
    let curl = copied(Program::Curl, &directory, "curl-arrivals");
    let progress = directory.path().join("progress");
    let enough = directory.path().join("enough");
    let mut shell = Command::new("/bin/sh");
    shell.args([
        "-c",
        "n=0; while [ $n -lt $3 -a ! -e $4 ]; do echo $n > $2.next; mv $2.next $2; \
         \"$0\" -sk --http1.1 $1/arrival/$n -o /dev/null; n=$((n+1)); done",
    ]);
    shell.arg(&curl).arg(format!("https://127.0.0.1:{}", api.port()));
    shell.arg(&progress).arg(MOST.to_string()).arg(&enough);
    let mut loops = Guard::start(tls.apply(&mut shell).stdin(Stdio::null())).unwrap();
    let by_exe = Options {
        exes: vec![curl],
        ..options(&tls, &[])
    };
    let Some(mut watch) = Watch::start(what, &by_exe) else {
        return;
    };
    let begun_now = || -> usize {
        let text = fs::read_to_string(&progress).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    let begun = begun_now();
    watch.until("calls after the start", |_| begun_now() >= begun + AFTER);
    fs::write(&enough, "").unwrap();
    watch.until("the end of the calls", |_| loops.ended().unwrap().is_some());
    let calls = begun_now() + 1;
    watch.settle();
    let mut seen: Vec<usize> = watch
        .observed
        .iter()
        .filter_map(|one| {
            let target = one.exchange.request.target();
            std::str::from_utf8(target.expose())
                .ok()?
                .strip_prefix("/arrival/")?
                .parse()
                .ok()
        })
        .collect();
    seen.sort_unstable();
    let first = *seen.first().unwrap_or_else(|| panic!("nothing seen"));
    assert!(
        first <= begun + 1,
        "first seen is {first}, when {begun} had begun"
    );
    assert_eq!(seen, (first..calls).collect::<Vec<_>>());
}

/// A library that nobody probes before, mapped by `dlopen` long after the program started.
#[test]
fn a_library_loaded_late_is_probed_when_it_arrives() {
    let what = "late dlopen";
    if !able(what, &NEEDED) {
        return;
    }
    let (tls, other) = (PrivateTls::new().unwrap(), PrivateTls::new().unwrap());
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let Some(mut watch) = Watch::start(what, &options(&tls, &[api.pid()])) else {
        return;
    };
    let library = other.directory().join("libssl.so.3");
    let mut late = python("late.py", &other).unwrap();
    let place = TempDir::with_prefix("api-sensor-late-").unwrap();
    let go = place.path().join("go");
    late.args([api.port().to_string(), "1.0".to_owned()]).arg(&go);
    // Its libcrypto was there before, and may be a probed file too.
    let pid = perform_once(&mut watch, &late, &go, |watch| watch.is_probed(&library));
    check(
        &mut watch,
        what,
        pid,
        &Expected {
            transport: Transport::Tls,
            target: "/echo?late&seed=5&length=3000",
            sent: &body(4, 2000),
            answered: Some(&body(5, 3000)),
        },
    );
}

/// S12: a socket that carries TLS while no TLS call of its process was ever seen is said, once per program; programs
/// whose library is probed are not.
#[test]
fn tls_that_no_probe_sees_is_said_once_per_program() {
    let what = "unhooked TLS";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let Some(mut watch) = Watch::start(what, &options(&tls, &[api.pid()])) else {
        return;
    };
    let url = Transport::Tls.url(api.port(), "/echo?seed=1&length=10");
    let call = Call::new("POST", &url, b"x").unwrap();
    let hooked = perform(&mut watch, &call.curl(&tls).unwrap());
    let memory = perform(
        &mut watch,
        python("memory_bio.py", &tls).unwrap().arg(api.port().to_string()),
    );
    assert!(
        watch.unhooked.is_empty(),
        "{hooked} and {memory} use a probed library"
    );
    let mut raw = python("raw_hello.py", &tls).unwrap();
    raw.args([api.port().to_string(), "3".to_owned()]);
    let pid = perform(&mut watch, &raw);
    watch.settle();
    assert_eq!(watch.unhooked, [pid]);
    assert_eq!(watch.counter(Counter::UnhookedProcesses), 1);
}

/// Children that a server forks after it loaded its library and made its socket: each with its own process id.
#[test]
fn prefork_children_are_seen_by_their_own_ids() {
    const CHILDREN: usize = 4;
    let what = "prefork";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    for transport in Transport::ALL {
        let script = sensor_tests::servers::fixture("prefork.py");
        let api = PythonApi::start_script(&tls, transport, &script).unwrap();
        let Some(mut watch) = Watch::start(what, &options(&tls, &[api.pid()])) else {
            return;
        };
        let mut answered = std::collections::HashSet::new();
        for number in 0..100 {
            let target = format!("/who/{number}");
            let mut curl = Command::new(Program::Curl.find().unwrap());
            curl.args([
                "-sk",
                "--http1.1",
                "--max-time",
                "20",
                &transport.url(api.port(), &target),
            ]);
            tls.apply(&mut curl);
            let output = watch.follow(Held::new(&curl).unwrap().release().unwrap());
            let pid: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
            watch.until(&target, |watch| !watch.exchanges(pid, &target).is_empty());
            let seen = watch.exchanges(pid, &target);
            assert_eq!(seen.len(), 1, "{target}");
            let response = seen[0].exchange.outcome.response().unwrap();
            assert_eq!(
                bytes(&response.body),
                pid.to_string().as_bytes(),
                "{}",
                describe(seen[0])
            );
            assert_ne!(pid, api.pid());
            answered.insert(pid);
            if answered.len() == CHILDREN {
                break;
            }
        }
        assert!(answered.len() > 1, "one child answered everything");
        let all = watch.stop();
        assert!(
            all.iter()
                .all(|one| answered.contains(&one.exchange.connection.process.pid))
        );
    }
}
