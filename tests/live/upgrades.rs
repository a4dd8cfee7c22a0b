//! A library that is replaced on disk, and one that nobody uses any more.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sensor_tests::clients::{Call, python};
use sensor_tests::payload::body;
use sensor_tests::programs::Program;
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::{Guard, PrivateTls};
use sensor_user::capture::kernel::Options;
use tempfile::TempDir;

use crate::bodies::{Expected, check, perform, perform_once};
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
    let files = watch.effort().files;
    replace(&tls);
    // The first program with the new file is what tells of it.
    let place = TempDir::with_prefix("api-sensor-replaced-").unwrap();
    let go = place.path().join("go");
    let mut late = python("late.py", &tls).unwrap();
    late.args([api.port().to_string(), "0".to_owned()]).arg(&go);
    let late = perform_once(&mut watch, &late, &go, |watch| watch.effort().files > files);
    watch.until("the first with the new file", |watch| {
        !watch.exchanges(late, "/echo?late&seed=5&length=3000").is_empty()
    });
    watch.observed.clear();
    assert_eq!(watch.effort().files, files + 1);
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
    assert!(watch.effort().files >= 2, "the library by name, and the server's");
    call_is_seen_at_both_ends(&mut watch, what, &tls, &api);
}

/// Its parent maps the library, forks, and ends once `each` files of it are probed: the child was never started as a
/// program.
fn orphan(watch: &mut Watch, forked: &PrivateTls, probed: &Path, each: usize) -> u32 {
    let mut parent = Command::new(Program::Python.find().unwrap());
    parent.args([
        "-c",
        "import ssl,os,time,sys\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)\n\
         if os.fork(): os._exit(0)\nos.setsid(); print(os.getpid(), flush=True); time.sleep(60)",
    ]);
    parent.arg(probed);
    let started = sensor_tests::held::Held::new(forked.apply(&mut parent)).unwrap();
    watch.also(started.pid());
    let met = |watch: &Watch| watch.effort().files as u64 + watch.effort().released;
    let before = met(watch);
    let mut running = started.release().unwrap();
    watch.until("the parent's probes", |watch| met(watch) >= before + each as u64);
    fs::write(probed, "").unwrap();
    watch.until("the parent's end", |_| running.has_ended().unwrap());
    child_of_file(forked)
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
    let place = TempDir::with_prefix("api-sensor-release-").unwrap();
    let go = place.path().join("go");
    let mut late = python("late.py", &passing).unwrap();
    late.args([api.port().to_string(), "0".to_owned()]).arg(&go);
    let library = passing.directory().join("libssl.so.3");
    perform_once(&mut watch, &late, &go, |watch| watch.is_probed(&library));
    // A copy is one file or two: libcrypto is probed where that helps to find sockets.
    let each = watch.effort().files - 1;
    assert!(each > 0);
    let child = orphan(&mut watch, &forked, &place.path().join("probed"), each);
    watch.until("a release", |watch| watch.effort().released > 0);
    for _ in 0..100 {
        watch.look();
        std::thread::sleep(Duration::from_millis(30));
    }
    let effort = watch.effort();
    assert_eq!(
        (effort.released, effort.files),
        (each as u64, 1 + each),
        "{effort:?}"
    );
    // At most two searches in the time of grace: three seconds of grace have passed, and some.
    assert!(effort.scans <= 40, "{effort:?}");
    let mut end = Guard::start(
        Command::new("/bin/kill")
            .arg(child.to_string())
            .stdin(Stdio::null()),
    )
    .unwrap();
    end.wait(crate::watch::soon()).unwrap();
    watch.until("the release of the child's", |watch| {
        watch.effort().released == 2 * each as u64
    });
    assert_eq!(watch.effort().files, 1, "the one asked for by name stays");
    // A further program brings the file back.
    perform(&mut watch, &late);
    assert_eq!(watch.effort().files, 1 + each);
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
