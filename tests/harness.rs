//! Does the harness tell the truth? What it says was sent is what a peer received, and what it starts ends.

use std::process::{Command, Stdio};
use std::time::Duration;

use sensor_tests::clients::{self, Call};
use sensor_tests::held::Held;
use sensor_tests::payload::{self, body};
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Nginx, OneShot, PythonApi, Site, Transport};
use sensor_tests::wait::{DEADLINE, Deadline};
use sensor_tests::{Guard, PrivateTls, guard};

/// Skips, aloud, when a program is missing.
fn have(what: &str, needed: &[Program]) -> bool {
    let absent = needed.iter().find_map(|program| program.find().err());
    if let Some(absent) = &absent {
        programs::skipped(what, absent);
    }
    absent.is_none()
}

fn soon() -> Deadline {
    Deadline::after(DEADLINE)
}

#[test]
fn bodies_of_a_length_differ_by_seed_and_only_by_seed() {
    assert_eq!(body(1, 100), body(1, 100));
    assert_ne!(body(1, 100), body(2, 100));
    assert_eq!(body(3, 16_385).len(), 16_385);
}

#[test]
fn nginx_serves_and_stores_over_both_transports() {
    if !have(
        "harness nginx",
        &[Program::Nginx, Program::Curl, Program::Openssl],
    ) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let file = body(1, 100_000);
    let site = Site {
        files: &[("file", &file)],
        ..Site::default()
    };
    let nginx = Nginx::start(&tls, &site).unwrap();
    for worker in nginx.workers().unwrap() {
        tls.assert_mapped(worker).unwrap();
        assert_eq!(tls.probes_in(worker).unwrap(), 0);
    }
    for transport in Transport::ALL {
        let port = nginx.port(transport);
        let get = Call::new("GET", &transport.url(port, "/file"), b"").unwrap();
        guard::run(&mut get.curl(&tls).unwrap(), soon()).unwrap();
        assert!(get.received().unwrap() == file, "{transport:?}");
        let sent = body(2, 1_048_576);
        let put = Call::new(
            "PUT",
            &transport.url(port, &format!("/put/{}", transport.scheme())),
            &sent,
        )
        .unwrap();
        guard::run(&mut put.curl(&tls).unwrap(), soon()).unwrap();
        assert!(nginx.stored(transport.scheme()).unwrap() == sent, "{transport:?}");
    }
}

#[test]
fn the_python_api_makes_the_bodies_of_the_harness() {
    if !have(
        "harness python",
        &[Program::Python, Program::Curl, Program::Openssl],
    ) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    for transport in Transport::ALL {
        let api = PythonApi::start(&tls, transport).unwrap();
        let url = transport.url(api.port(), "/echo?seed=7&length=16385");
        let call = Call::new("POST", &url, &body(8, 4095)).unwrap();
        guard::run(&mut call.curl(&tls).unwrap(), soon()).unwrap();
        assert!(call.received().unwrap() == body(7, 16_385), "{transport:?}");
    }
}

#[test]
fn s_server_gives_what_it_received() {
    if !have("harness s_server", &[Program::Curl, Program::Openssl]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    for length in payload::LENGTHS {
        let server = OneShot::start(&tls, body(1, length)).unwrap();
        tls.assert_mapped(server.pid()).unwrap();
        let call = Call::new("POST", &Transport::Tls.url(server.port(), "/x"), &body(2, length)).unwrap();
        guard::run(&mut call.curl(&tls).unwrap(), soon()).unwrap();
        assert!(call.received().unwrap() == body(1, length), "{length}");
        assert!(server.received().unwrap() == body(2, length), "{length}");
    }
}

#[test]
fn requests_keeps_alive_and_retries_are_met() {
    if !have(
        "harness clients",
        &[Program::Python, Program::Nginx, Program::Openssl],
    ) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    for transport in Transport::ALL {
        let mut many = clients::python("many.py", &tls).unwrap();
        many.args([transport.scheme(), &nginx.port(transport).to_string(), "4", "5"]);
        assert_eq!(guard::run(&mut many, soon()).unwrap().lines().count(), 4);
    }
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let call = Call::new("POST", "", &body(3, 1_048_576)).unwrap();
    let mut client = call.want_write(api.port(), "/slow", &tls).unwrap();
    let said = guard::run(&mut client, soon()).unwrap();
    let (retries, status) = said.trim().split_once(' ').unwrap();
    assert!(retries.parse::<u32>().unwrap() > 0, "no write was refused");
    assert_eq!(status, "200");
    if !programs::has_requests() {
        return programs::skipped("harness requests", &programs::REQUESTS_PACKAGE);
    }
    let url = Transport::Tls.url(api.port(), "/echo?seed=1&length=10");
    let call = Call::new("POST", &url, b"body").unwrap();
    guard::run(&mut call.requests(&tls).unwrap(), soon()).unwrap();
    assert_eq!(call.received().unwrap(), body(1, 10));
}

#[test]
fn a_held_program_runs_under_the_id_that_was_known_before() {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "echo $$"]);
    let held = Held::new(&command).unwrap();
    let pid = held.pid();
    let output = held.release().unwrap().finish(soon()).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), pid.to_string());
}

#[test]
fn a_guard_ends_the_process_and_its_children() {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "sleep 60 & wait"]).stdout(Stdio::null());
    let guard = Guard::start(&mut command).unwrap();
    let pid = guard.pid();
    let child =
        sensor_tests::wait::until("the child", soon(), || Ok(guard.children()?.first().copied())).unwrap();
    drop(guard);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    sensor_tests::wait::until("the child's end", Deadline::after(Duration::from_secs(5)), || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        Ok((stat.is_empty() || stat.contains(") Z ")).then_some(()))
    })
    .unwrap();
}

#[test]
fn sources_are_fetched_once_and_found_again() {
    let curl = match sensor_tests::sources::debian_source("curl") {
        Ok(curl) => curl,
        Err(error) => {
            println!("SKIPPED sources of curl: {error:#}");
            return;
        }
    };
    assert!(curl.join("tests/data").is_dir());
    assert_eq!(sensor_tests::sources::debian_source("curl").ok(), Some(curl));
}
