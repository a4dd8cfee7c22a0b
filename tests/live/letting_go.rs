//! When does a connection end? With the process's last descriptor of it, however that went.

use std::process::Stdio;

use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, PythonApi, Site, Transport};
use sensor_tests::{Guard, PrivateTls, clients};
use sensor_user::exchange::Outcome;

use crate::watch::{Watch, able, describe, options};

const NEEDED: [Program; 3] = [Program::Nginx, Program::Python, Program::Openssl];

/// Starts the script under the sensor's eyes and waits until it has let go.
fn let_go(watch: &mut Watch, tls: &PrivateTls, how: &str, port: u16, path: &str) -> Guard {
    // A shell that waits for a line first, so that the sensor knows the process before it connects.
    let mut script = clients::python("letting_go.py", tls).unwrap();
    script.args([how, &port.to_string(), path]);
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "read -r _ && exec \"$0\" \"$@\""]);
    shell.arg(script.get_program()).args(script.get_args());
    shell.envs(script.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut guard = Guard::start(&mut shell).unwrap();
    watch.also(guard.pid());
    std::io::Write::write_all(guard.child().stdin.as_mut().unwrap(), b"go\n").unwrap();
    let line = guard.first_line().unwrap();
    assert_eq!(line, "done\n", "{how}");
    guard
}

#[test]
fn closing_a_duplicate_does_not_end_the_connection() {
    let what = "duplicate";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let Some(mut watch) = Watch::start(what, &options(&tls, &[])) else {
        return;
    };
    let guard = let_go(&mut watch, &tls, what, nginx.port(Transport::Plain), "/who/dup");
    let pid = guard.pid();
    let targets = ["/who/dup?0", "/who/dup?1"];
    for target in targets {
        watch.until(what, |watch| !watch.exchanges(pid, target).is_empty());
    }
    let seen = targets.map(|target| watch.exchanges(pid, target)[0]);
    for one in seen {
        assert!(one.exchange.outcome.response().is_some(), "{}", describe(one));
    }
    let [first, second] = seen.map(|one| one.exchange.connection.stream);
    assert_eq!(first, second, "one connection became two");
    drop(guard);
    watch.stop();
}

/// The process lives on without its socket: the call it left behind is over all the same.
fn ends_although_the_process_lives(how: &str) {
    if !able(how, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Plain).unwrap();
    let Some(mut watch) = Watch::start(how, &options(&tls, &[])) else {
        return;
    };
    let mut guard = let_go(&mut watch, &tls, how, api.port(), "/echo?gone");
    let pid = guard.pid();
    watch.until(how, |watch| !watch.exchanges(pid, "/echo?gone").is_empty());
    assert!(guard.ended().unwrap().is_none(), "{how}: the process ended");
    let seen = watch.exchanges(pid, "/echo?gone");
    assert!(
        matches!(seen[0].exchange.outcome, Outcome::Unanswered),
        "{}",
        describe(seen[0])
    );
    watch.stop();
}

#[test]
fn close_range_ends_the_connections_of_its_descriptors() {
    ends_although_the_process_lives("range");
}

#[test]
fn exec_ends_connections_that_are_closed_by_it() {
    ends_although_the_process_lives("exec");
}
