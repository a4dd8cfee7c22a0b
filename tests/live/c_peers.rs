//! Libraries that are one row of the table each, spoken by a small program at both ends: is every byte there once,
//! and the peer right?

use std::path::PathBuf;

use sensor_tests::copies::Copies;
use sensor_tests::held::Held;
use sensor_tests::payload::body;
use sensor_tests::peer::{self, Peer};
use sensor_tests::programs::Program;
use sensor_tests::servers::fixture;
use sensor_user::capture::kernel::Options;
use sensor_user::capture::{Evidence, GapReason, Role};
use sensor_user::exchange::BodyState;

use crate::watch::{Watch, able, assert_same, options_for};

/// Longer than a TLS record and than one read of the program.
const LENGTH: usize = 100_000;

/// What a library is tested with.
struct Library<'a> {
    what: &'a str,
    /// The compiler's arguments.
    compile: &'a [&'a str],
    copies: &'a Copies,
    /// What the sensor probes.
    probed: Vec<PathBuf>,
    evidence: Evidence,
    /// The server's body is moved out of sight.
    is_unseen: bool,
}

/// One request and its answer, of both ends, with the kernel's return probes and without.
fn both_ends_see_one_exchange(library: &Library<'_>) {
    for return_probes in [true, false] {
        both_ends_see(library, return_probes);
    }
}

fn both_ends_see(library: &Library<'_>, return_probes: bool) {
    let what = &format!("{}, return probes {return_probes}", library.what);
    let peer = Peer::compile(library.compile).unwrap();
    let (sent, answered) = (body(11, LENGTH), body(12, LENGTH));
    let request = message("POST /peer HTTP/1.1\r\nHost: peer", &sent);
    let answer = message("HTTP/1.1 200 OK", &answered);
    let server = peer.server(library.copies, request.len(), &answer).unwrap();
    let held = Held::new(&peer.client(library.copies, server.port(), &request).unwrap()).unwrap();
    let pids = [server.pid(), held.pid()];
    let Some(mut watch) = Watch::start(what, &options(library, &pids, return_probes)) else {
        return;
    };
    let output = watch.follow(held.release().unwrap());
    assert!(
        output.status.success(),
        "{what}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        peer.received().unwrap() == answer,
        "{what}: the client received something else"
    );
    for (pid, role) in pids.into_iter().zip([Role::Server, Role::Client]) {
        let what = format!("{what}, {role:?}");
        watch.until(&what, |watch| !watch.exchanges(pid, "/peer").is_empty());
        let seen = watch.exchanges(pid, "/peer");
        assert_eq!(seen.len(), 1, "{what}");
        let exchange = &seen[0].exchange;
        assert_same(&what, &exchange.request.body, &sent);
        let body = &exchange.outcome.response().unwrap().body;
        let unseen = if library.is_unseen && role == Role::Server {
            assert_eq!(body.state, BodyState::Holed(GapReason::Unseen), "{what}");
            assert_eq!(body.total, LENGTH as u64, "{what}");
            LENGTH as u64
        } else {
            assert_same(&what, body, &answered);
            0
        };
        let connection = &exchange.connection;
        assert!(connection.tls && !connection.ambiguous, "{what}: {connection:?}");
        assert_eq!(connection.role, role, "{what}");
        assert_eq!(connection.evidence, Some(library.evidence), "{what}");
        let port = |end: sensor_user::capture::Endpoint| end.unwrap().1;
        let of_server = match role {
            Role::Server => port(connection.local),
            _ => port(connection.remote),
        };
        assert_eq!(of_server, server.port(), "{what}");
        let account = watch.tally.of_process(pid);
        assert_eq!(
            (account.repeated, account.jumps, account.gaps),
            (0, 0, unseen),
            "{what}"
        );
        let moved = (request.len() + answer.len()) as u64;
        assert_eq!(account.captured, moved - unseen, "{what}");
    }
    watch.stop();
}

fn options(library: &Library<'_>, pids: &[u32], return_probes: bool) -> Options {
    Options {
        return_probes,
        ..options_for(library.probed.clone(), pids)
    }
}

fn message(start: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{start}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut message = head.into_bytes();
    message.extend_from_slice(body);
    message
}

const NEEDED: [Program; 2] = [Program::Cc, Program::Openssl];

/// A library of the machine, copied under the name that programs load it by.
fn of_machine(what: &str, file: &str, compile: &[&str], evidence: Evidence) {
    if !able(what, &NEEDED) {
        return;
    }
    let copies = Copies::of(&[file]).unwrap();
    both_ends_see_one_exchange(&Library {
        what,
        compile,
        probed: vec![copies.path(file)],
        copies: &copies,
        evidence,
        is_unseen: false,
    });
}

#[test]
fn wolfssl_is_seen_at_both_ends() {
    let compile = ["-DWITH_WOLFSSL", "-lwolfssl"];
    of_machine("wolfSSL", "libwolfssl.so.35", &compile, Evidence::SetFd);
}

#[test]
fn mbedtls_is_seen_at_both_ends() {
    let compile = ["-DWITH_MBEDTLS", "-lmbedtls", "-lmbedx509", "-lmbedcrypto"];
    of_machine("Mbed TLS", "libmbedtls.so.14", &compile, Evidence::NestedSyscall);
}

#[test]
fn corked_sends_of_gnutls_are_seen_once() {
    let compile = ["-DWITH_GNUTLS", "-lgnutls"];
    of_machine("GnuTLS, corked", "libgnutls.so.30", &compile, Evidence::SetFd);
}

/// LESSONS 2, 5 and the nesting of LibreSSL and AWS-LC: `SSL_read_ex` over `SSL_read`, in the library itself and from
/// one library into another.
#[test]
fn a_call_implemented_by_another_is_seen_once() {
    let what = "nested calls";
    if !able(what, &NEEDED) {
        return;
    }
    let copies = Copies::of(&["libssl.so.3", "libcrypto.so.3"]).unwrap();
    let nested = copies.path("libnested.so");
    peer::compile(&nested, &fixture("nested_ssl.c"), &["-shared", "-fPIC"]).unwrap();
    let nested_text = nested.to_str().unwrap();
    let compile = ["-Wl,--no-as-needed", nested_text, "-lssl", "-lcrypto"];
    for probed in [
        vec![nested.clone()],
        vec![nested.clone(), copies.path("libssl.so.3")],
    ] {
        both_ends_see_one_exchange(&Library {
            what: &format!("{what}, {} libraries probed", probed.len()),
            compile: &compile,
            copies: &copies,
            probed,
            evidence: Evidence::SetFd,
            is_unseen: false,
        });
    }
}

/// The kernel here does no TLS, so the library is one that only has the function; what the sensor sees is the same.
#[test]
fn what_ssl_sendfile_moves_is_an_exact_gap() {
    let what = "SSL_sendfile and SSL_write_ex2";
    if !able(what, &NEEDED) {
        return;
    }
    let copies = Copies::of(&["libssl.so.3", "libcrypto.so.3"]).unwrap();
    let nested = copies.path("libnested.so");
    peer::compile(&nested, &fixture("nested_ssl.c"), &["-shared", "-fPIC"]).unwrap();
    let compile = [
        "-DWITH_SENDFILE",
        "-Wl,--no-as-needed",
        nested.to_str().unwrap(),
        "-lssl",
        "-lcrypto",
    ];
    both_ends_see_one_exchange(&Library {
        what,
        compile: &compile,
        copies: &copies,
        probed: vec![nested.clone()],
        evidence: Evidence::SetFd,
        is_unseen: true,
    });
}
