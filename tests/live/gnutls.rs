//! GnuTLS as wget, gnutls-cli and gnutls-serv use it: is every byte there once, and the peer right?

use std::process::Command;

use sensor_tests::PrivateTls;
use sensor_tests::copies::Copies;
use sensor_tests::held::Held;
use sensor_tests::payload::{LENGTHS, body};
use sensor_tests::programs::Program;
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::tools::{Fed, Serving};
use sensor_user::capture::kernel::Options;
use sensor_user::capture::{Evidence, Role};

use crate::bodies::{Expected, check, perform};
use crate::watch::{Watch, able, assert_same, options_for};

const LIBRARY: &str = "libgnutls.so.30";

const NEEDED: [Program; 5] = [
    Program::Wget,
    Program::GnutlsCli,
    Program::GnutlsServ,
    Program::Openssl,
    Program::Python,
];

fn wget(copies: &Copies, url: &str) -> Command {
    let mut wget = Command::new(Program::Wget.find().unwrap());
    wget.args([
        "--quiet",
        "--no-proxy",
        "--no-check-certificate",
        "--no-config",
        "--tries=1",
    ]);
    wget.arg("--header=Content-Type: text/plain");
    // Not to its standard output: nobody reads that before it ends.
    wget.arg("--output-document").arg(copies.path("received"));
    wget.arg(url);
    copies.apply(&mut wget);
    wget
}

/// The process's only exchange of that target went to this port, and the library was told its descriptor.
pub(crate) fn assert_peer(watch: &Watch, pid: u32, target: &str, role: Role, port: u16, evidence: Evidence) {
    let seen = watch.exchanges(pid, target);
    let connection = &seen[0].exchange.connection;
    assert!(!connection.ambiguous, "{target}: {connection:?}");
    assert_eq!(connection.role, role, "{target}");
    assert_eq!(connection.evidence, Some(evidence), "{target}");
    let server = if role == Role::Server {
        connection.local
    } else {
        connection.remote
    };
    assert_eq!(server.map(|(_, port)| port), Some(port), "{target}");
}

/// No byte came twice, none is missing, and there is one stream for each connection.
pub(crate) fn assert_once(watch: &Watch, what: &str, pid: u32) {
    let account = watch.tally.of_process(pid);
    assert_eq!(
        (account.repeated, account.jumps, account.gaps),
        (0, 0, 0),
        "{what}"
    );
}

/// A client's only exchange: its bodies, whom it was with, and each byte once.
pub(crate) fn judge(
    watch: &mut Watch,
    what: &str,
    pid: u32,
    (port, evidence): (u16, Evidence),
    expected: &Expected<'_>,
) {
    check(watch, what, pid, expected);
    assert_peer(watch, pid, expected.target, Role::Client, port, evidence);
    assert_once(watch, what, pid);
}

/// The bytes of a request, for clients that do not write one themselves.
pub(crate) fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn wget_sends_and_receives() {
    wget_is_seen("wget", true, &LENGTHS);
}

/// They end in jumps to a function that nothing names and that others call, too.
#[test]
fn without_return_probes_gnutls_is_read_where_the_functions_end_that_it_jumps_to() {
    wget_is_seen("wget without return probes", false, &[1, 16_384, 100_000]);
}

fn wget_is_seen(what: &str, return_probes: bool, lengths: &[usize]) {
    if !able(what, &NEEDED) {
        return;
    }
    let (copies, tls) = (Copies::of(&[LIBRARY]).unwrap(), PrivateTls::new().unwrap());
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let options = Options {
        return_probes,
        ..options_for(vec![copies.path(LIBRARY)], &[])
    };
    let Some(mut watch) = Watch::start(what, &options) else {
        return;
    };
    for &length in lengths {
        let (sent, answered) = (body(13, length), body(4, length));
        let target = format!("/echo?seed=4&length={length}");
        let file = copies.path("sent");
        std::fs::write(&file, &sent).unwrap();
        let mut command = wget(&copies, &Transport::Tls.url(api.port(), &target));
        command.arg(format!("--post-file={}", file.display()));
        let pid = perform(&mut watch, &command);
        let expected = Expected {
            transport: Transport::Tls,
            target: &target,
            sent: &sent,
            answered: Some(&answered),
        };
        let what = format!("{what}, {length} bytes");
        judge(
            &mut watch,
            &what,
            pid,
            (api.port(), Evidence::Transport),
            &expected,
        );
        watch.observed.clear();
    }
    watch.stop();
}

#[test]
fn gnutls_cli_sends_and_receives() {
    let what = "gnutls-cli";
    if !able(what, &NEEDED) {
        return;
    }
    let (copies, tls) = (Copies::of(&[LIBRARY]).unwrap(), PrivateTls::new().unwrap());
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let Some(mut watch) = Watch::start(what, &options_for(vec![copies.path(LIBRARY)], &[])) else {
        return;
    };
    for length in [1, 16_385, 1_048_576] {
        let (sent, answered) = (body(14, length), body(4, length));
        let target = format!("/echo?seed=4&length={length}");
        let client = Fed::new(&post(&target, &sent)).unwrap();
        let held = Held::new(&client.gnutls_cli(api.port(), &copies).unwrap()).unwrap();
        let pid = held.pid();
        watch.also(pid);
        // It reports a failure, because Python ends the connection without saying so in TLS.
        watch.follow(held.release().unwrap());
        let received = client.received().unwrap();
        assert!(
            received.ends_with(&answered),
            "{what}: {length} bytes were not received"
        );
        let expected = Expected {
            transport: Transport::Tls,
            target: &target,
            sent: &sent,
            answered: Some(&answered),
        };
        let what = format!("{what}, {length} bytes");
        judge(&mut watch, &what, pid, (api.port(), Evidence::SetFd), &expected);
        watch.observed.clear();
    }
    watch.stop();
}

#[test]
fn gnutls_serv_and_its_client_see_the_same() {
    let what = "gnutls-serv";
    if !able(what, &NEEDED) {
        return;
    }
    let copies = Copies::of(&[LIBRARY]).unwrap();
    let server = Serving::gnutls(&copies, &[]).unwrap();
    copies.assert_mapped(server.pid(), LIBRARY).unwrap();
    let Some(mut watch) = Watch::start(what, &options_for(vec![copies.path(LIBRARY)], &[server.pid()]))
    else {
        return;
    };
    for round in 0..3 {
        let target = format!("/page?{round}");
        let held = Held::new(&wget(&copies, &Transport::Tls.url(server.port(), &target))).unwrap();
        let pid = held.pid();
        watch.also(pid);
        let output = watch.follow(held.release().unwrap());
        let page = std::fs::read(copies.path("received")).unwrap();
        assert!(output.status.success() && !page.is_empty(), "{what}: no page");
        for (pid, role, evidence) in [
            (pid, Role::Client, Evidence::Transport),
            (server.pid(), Role::Server, Evidence::SetFd),
        ] {
            watch.until(&target, |watch| !watch.exchanges(pid, &target).is_empty());
            assert_peer(&watch, pid, &target, role, server.port(), evidence);
            let seen = watch.exchanges(pid, &target);
            assert_eq!(seen.len(), 1, "{what}, {role:?}");
            let response = seen[0].exchange.outcome.response().unwrap();
            assert_same(&format!("{what}, {role:?}"), &response.body, &page);
            assert_once(&watch, what, pid);
        }
    }
    watch.stop();
}

/// gnutls-cli resumes its own session and sends a file as early data; gnutls-serv reads it as such.
#[test]
fn early_data_of_gnutls_is_marked() {
    let what = "early data of GnuTLS";
    if !able(what, &NEEDED) {
        return;
    }
    let copies = Copies::of(&[LIBRARY]).unwrap();
    let server = Serving::gnutls(&copies, &["--earlydata"]).unwrap();
    let mut client = Fed::new(b"").unwrap();
    let early = client.path("early");
    std::fs::write(&early, "GET /early HTTP/1.0\r\n\r\n").unwrap();
    let mut command = client.gnutls_cli(server.port(), &copies).unwrap();
    command
        .arg("--resume")
        .arg(format!("--earlydata={}", early.display()));
    let held = Held::new(&command).unwrap();
    let pids = [held.pid(), server.pid()];
    let Some(mut watch) = Watch::start(what, &options_for(vec![copies.path(LIBRARY)], &pids)) else {
        return;
    };
    let running = held.release().unwrap();
    watch.until("early bytes of both ends", |watch| {
        pids.iter().all(|pid| watch.tally.of_process(*pid).early > 0)
    });
    client.end();
    watch.follow(running);
    let observed = watch.stop();
    for pid in pids {
        let early: Vec<bool> = observed
            .iter()
            .filter(|one| one.exchange.connection.process.pid == pid)
            .map(|one| one.exchange.request.early_data)
            .collect();
        assert_eq!(early, [true], "{what}, {pid}");
    }
}
