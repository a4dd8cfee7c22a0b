//! HTTP over a UNIX socket, as between a reverse proxy and its application: is it seen at both ends?

use std::process::Stdio;

use sensor_tests::clients::{self, Call};
use sensor_tests::programs::Program;
use sensor_tests::{Guard, PrivateTls, payload};
use sensor_user::capture::{Evidence, Role};

use crate::bodies::perform;
use crate::watch::{Watch, able, assert_same, describe, options};

#[test]
fn http_over_a_unix_socket_is_seen_at_both_ends() {
    const LENGTH: usize = 70_000;
    let what = "UNIX socket";
    if !able(what, &[Program::Python, Program::Curl]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut server = clients::python("unix_api.py", &tls).unwrap();
    server.arg(&path).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Guard::start(&mut server).unwrap();
    server.first_line().unwrap();
    let Some(mut watch) = Watch::start(what, &options(&tls, &[server.pid()])) else {
        return;
    };
    let body = payload::body(12, LENGTH);
    let call = Call::new("POST", "http://localhost/local", &body).unwrap();
    let mut curl = call.curl(&tls).unwrap();
    curl.arg("--unix-socket").arg(&path);
    let pid = perform(&mut watch, &curl);
    for (process, role) in [(pid, Role::Client), (server.pid(), Role::Server)] {
        watch.until(what, |watch| !watch.exchanges(process, "/local").is_empty());
        let one = watch.exchanges(process, "/local")[0];
        assert_same(what, &one.exchange.request.body, &body);
        assert_same(what, &one.exchange.outcome.response().unwrap().body, &body);
        let connection = &one.exchange.connection;
        assert_eq!(
            (connection.local, connection.remote, connection.role),
            (None, None, role),
            "{}",
            describe(one)
        );
        assert_eq!(connection.evidence, Some(Evidence::Direct));
    }
    watch.stop();
}
