//! A library that is replaced on disk, and one that nobody uses any more.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use sensor_tests::clients::{Call, python};
use sensor_tests::payload::body;
use sensor_tests::programs::Program;
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::{Guard, PrivateTls};
use sensor_user::capture::kernel::Options;

use crate::bodies::{Expected, check, perform};
use crate::watch::{Watch, able, options};

const NEEDED: [Program; 3] = [Program::Curl, Program::Openssl, Program::Python];

/// Puts a new file in the library's place, as a package manager does.
fn replace(tls: &PrivateTls) {
    let new = tls.directory().join("libssl.so.3.new");
    fs::copy(tls.libssl(), &new).unwrap();
    fs::rename(new, tls.libssl()).unwrap();
}

fn call_is_seen_at_both_ends(watch: &mut Watch, what: &str, tls: &PrivateTls, api: &PythonApi) {
    let (sent, answered) = (body(6, 3000), body(7, 4000));
    let url = Transport::Tls.url(api.port(), "/echo?seed=7&length=4000");
    let call = Call::new("POST", &url, &sent).unwrap();
    let client = perform(watch, &call.curl(tls).unwrap());
    for (end, pid) in [("client", client), ("server", api.pid())] {
        let expected = Expected {
            transport: Transport::Tls,
            target: "/echo?seed=7&length=4000",
            sent: &sent,
            answered: Some(&answered),
        };
        check(watch, &format!("{what}, {end}"), pid, &expected);
        watch.observed.clear();
        // Both ends of one call were complete before the first was looked for.
        if end == "client" {
            let again = perform(watch, &call.curl(tls).unwrap());
            assert_ne!(again, client);
        }
    }
}

/// LESSONS 10, S13: the running server keeps the old inode, the new client gets the new one, both are seen.
#[test]
fn a_library_replaced_on_disk_is_seen_in_its_old_and_its_new_file() {
    let what = "a replaced library";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let Some(mut watch) = Watch::start(what, &options(&tls, &[api.pid()])) else {
        return;
    };
    call_is_seen_at_both_ends(&mut watch, "before", &tls, &api);
    assert_eq!(watch.effort().files, 1);
    replace(&tls);
    // The first program with the new file is what tells of it.
    let late = perform(
        &mut watch,
        python("late.py", &tls)
            .unwrap()
            .args([api.port().to_string(), "0".to_owned()]),
    );
    watch.until("the first with the new file", |watch| {
        !watch.exchanges(late, "/echo?late&seed=5&length=3000").is_empty()
    });
    watch.observed.clear();
    assert_eq!(watch.effort().files, 2);
    call_is_seen_at_both_ends(&mut watch, "after", &tls, &api);
}

/// The sensor starts when the server's file has no name any more.
#[test]
fn a_library_that_was_deleted_before_the_sensor_started_is_probed() {
    let what = "a deleted library";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    replace(&tls);
    let Some(mut watch) = Watch::start(what, &options(&tls, &[api.pid()])) else {
        return;
    };
    assert_eq!(watch.effort().files, 2, "the library by name, and the server's");
    call_is_seen_at_both_ends(&mut watch, what, &tls, &api);
}

/// Upgrades must not eat the room for probed files: what no process maps any more is released, what a child still maps
/// or what was asked for by name is not.
#[test]
fn a_file_that_no_process_maps_any_more_is_released() {
    let what = "release";
    if !able(what, &NEEDED) {
        return;
    }
    let (named, passing, forked) = (
        PrivateTls::new().unwrap(),
        PrivateTls::new().unwrap(),
        PrivateTls::new().unwrap(),
    );
    let api = PythonApi::start(&named, Transport::Tls).unwrap();
    let short = Options {
        release_after: Duration::from_secs(1),
        ..options(&named, &[])
    };
    let Some(mut watch) = Watch::start(what, &short) else {
        return;
    };
    assert_eq!(watch.effort().files, 1);
    let arguments = [api.port().to_string(), "0".to_owned()];
    perform(&mut watch, python("late.py", &passing).unwrap().args(&arguments));
    // Its parent maps the library, forks, and ends: the child was never started as a program.
    let mut parent = Command::new(Program::Python.find().unwrap());
    parent.args([
        "-c",
        "import ssl,os,time,sys\ntime.sleep(0.3)\nif os.fork(): os._exit(0)\nos.setsid(); print(os.getpid(), flush=True); time.sleep(60)",
    ]);
    let started = sensor_tests::held::Held::new(forked.apply(&mut parent)).unwrap();
    watch.also(started.pid());
    let mut running = started.release().unwrap();
    watch.until("the parent's end", |_| running.has_ended().unwrap());
    let child = child_of_file(&forked);
    watch.until("a release", |watch| watch.effort().released > 0);
    for _ in 0..100 {
        watch.look();
        std::thread::sleep(Duration::from_millis(30));
    }
    let effort = watch.effort();
    assert_eq!((effort.released, effort.files), (1, 2), "{effort:?}");
    // At most two searches in the time of grace: three seconds of grace have passed, and some.
    assert!(effort.scans <= 40, "{effort:?}");
    let mut end = Guard::start(
        Command::new("/bin/kill")
            .arg(child.to_string())
            .stdin(Stdio::null()),
    )
    .unwrap();
    end.wait(crate::watch::soon()).unwrap();
    watch.until("the release of the child's", |watch| watch.effort().released == 2);
    assert_eq!(watch.effort().files, 1, "the one asked for by name stays");
    // A further program brings the file back.
    perform(&mut watch, python("late.py", &passing).unwrap().args(&arguments));
    assert_eq!(watch.effort().files, 2);
}

/// The process that maps the copy.
fn child_of_file(tls: &PrivateTls) -> u32 {
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut using: Vec<u32> = pids
        .filter(|pid| tls.is_mapped_by(*pid).unwrap_or(false))
        .collect();
    assert_eq!(using.len(), 1, "{using:?}");
    using.remove(0)
}
