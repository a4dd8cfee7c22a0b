//! TLS early data of OpenSSL: is it there, once, and marked for what it is?

use std::process::Command;

use sensor_tests::copies::Copies;
use sensor_tests::guard;
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::tools::{Fed, Serving};

use crate::watch::{Watch, able, options_for, soon};

const LIBRARIES: [&str; 2] = ["libssl.so.3", "libcrypto.so.3"];

/// `s_client` of a port.
fn s_client(command: &mut Command, copies: &Copies, port: u16, options: &[&str]) {
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]);
    command.args(options);
    copies.apply(command);
}

#[test]
fn a_request_in_early_data_is_marked_and_the_one_after_it_is_not() {
    let what = "early data of OpenSSL";
    if !able(what, &[Program::Openssl]) {
        return;
    }
    let copies = Copies::of(&LIBRARIES).unwrap();
    let server = Serving::openssl(&copies, &["-early_data", "-quiet"]).unwrap();
    let mut client = Fed::new(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let (session, early) = (client.path("session"), client.path("early"));
    let (session, early_text) = (session.to_str().unwrap(), early.to_str().unwrap());
    std::fs::write(&early, "GET /early HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // The ticket comes after the handshake, and with it something to read: the client ends when its input does.
    let mut first = Command::new("/bin/sh");
    first
        .args(["-c", "(sleep 2) | \"$@\"", "sh"])
        .arg(Program::Openssl.find().unwrap());
    s_client(&mut first, &copies, server.port(), &["-sess_out", session]);
    guard::run(&mut first, soon()).unwrap();

    let mut command = client.command(Program::Openssl).unwrap();
    s_client(
        &mut command,
        &copies,
        server.port(),
        &["-quiet", "-sess_in", session, "-early_data", early_text],
    );
    let held = Held::new(&command).unwrap();
    let pids = [held.pid(), server.pid()];
    let Some(mut watch) = Watch::start(what, &options_for(vec![copies.path("libssl.so.3")], &pids)) else {
        return;
    };
    let mut running = held.release().unwrap();
    let both = "GET /early HTTP/1.1\r\nHost: x\r\n\r\nGET /late HTTP/1.1\r\nHost: x\r\n\r\n".len() as u64;
    watch.until("both requests at both ends", |watch| {
        pids.iter()
            .all(|pid| watch.tally.of_process(*pid).captured >= both)
    });
    watch.settle();
    for pid in pids {
        let account = watch.tally.of_process(pid);
        assert_eq!(
            (account.captured, account.repeated, account.jumps),
            (both, 0, 0),
            "{pid}"
        );
        assert_eq!(account.early, std::fs::metadata(&early).unwrap().len(), "{pid}");
    }
    client.end();
    running.kill().unwrap();
    let observed = watch.stop();
    for pid in pids {
        let seen: Vec<(&[u8], bool)> = observed
            .iter()
            .filter(|one| one.exchange.connection.process.pid == pid)
            .map(|one| {
                (
                    one.exchange.request.target().expose(),
                    one.exchange.request.early_data,
                )
            })
            .collect();
        assert_eq!(seen, [(&b"/early"[..], true), (&b"/late"[..], false)], "{pid}");
    }
}
