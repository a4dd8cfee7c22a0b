//! TLS stacks that Python wheels carry inside: BoringSSL, of which only the static symbol table tells, and s2n-tls.

use sensor_tests::PrivateTls;
use sensor_tests::clients::Call;
use sensor_tests::payload::body;
use sensor_tests::programs::{Program, skipped};
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::testbed;
use sensor_user::capture::{Evidence, Role};

use crate::bodies::{Expected, check, perform};
use crate::gnutls::{assert_once, assert_peer};
use crate::watch::{Watch, able, options_for};

/// A wheel's file, the script that uses it, and how it is known which socket it uses.
fn sees(what: &str, file: &str, script: &str, evidence: Evidence) {
    if !able(what, &[Program::Python, Program::Openssl]) {
        return;
    }
    let library = testbed::python().join(file);
    if !library.is_file() {
        return skipped(what, &"its wheel is not installed");
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let Some(mut watch) = Watch::start(what, &options_for(vec![library], &[])) else {
        return;
    };
    for length in [1, 16_385, 100_000] {
        let (sent, answered) = (body(21, length), body(4, length));
        let target = format!("/echo?seed=4&length={length}");
        let call = Call::new("POST", &Transport::Tls.url(api.port(), &target), &sent).unwrap();
        let pid = perform(&mut watch, &call.script(script, &tls).unwrap());
        assert!(
            call.received().unwrap() == answered,
            "{what}: the client received something else"
        );
        let expected = Expected {
            transport: Transport::Tls,
            target: &target,
            sent: &sent,
            answered: Some(&answered),
        };
        let what = format!("{what}, {length} bytes");
        check(&mut watch, &what, pid, &expected);
        assert_peer(&watch, pid, &target, Role::Client, api.port(), evidence);
        assert_once(&watch, &what, pid);
        watch.observed.clear();
    }
    watch.stop();
}

#[test]
fn boringssl_of_curl_cffi() {
    let file = "curl_cffi/_wrapper.abi3.so";
    sees(
        "BoringSSL of curl_cffi",
        file,
        "cffi_client.py",
        Evidence::NestedSyscall,
    );
}

#[test]
fn s2n_of_awscrt() {
    sees(
        "s2n-tls of awscrt",
        "_awscrt.abi3.so",
        "crt_client.py",
        Evidence::NestedSyscall,
    );
}
