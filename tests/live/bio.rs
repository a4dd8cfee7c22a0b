//! A program that reads and writes TLS through a chain of BIOs, by functions that the library does not export.

use sensor_tests::PrivateTls;
use sensor_tests::clients::Call;
use sensor_tests::copies::Copies;
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::servers::Transport;
use sensor_tests::tools::Serving;
use sensor_user::capture::kernel::Options;
use sensor_user::capture::{Evidence, Role};

use crate::gnutls::assert_once;
use crate::watch::{Watch, able, assert_same, options_for};

#[test]
fn a_server_on_bio_f_ssl_is_seen() {
    for return_probes in [true, false] {
        let what = format!("openssl s_server -www, return probes {return_probes}");
        seen_once_and_sure_of_the_peer(&what, return_probes);
    }
}

fn seen_once_and_sure_of_the_peer(what: &str, return_probes: bool) {
    if !able(what, &[Program::Openssl, Program::Curl]) {
        return;
    }
    let (copies, tls) = (
        Copies::of(&["libssl.so.3", "libcrypto.so.3"]).unwrap(),
        PrivateTls::new().unwrap(),
    );
    let server = Serving::openssl(&copies, &["-www"]).unwrap();
    let options = Options {
        return_probes,
        ..options_for(vec![copies.path("libssl.so.3")], &[server.pid()])
    };
    let Some(mut watch) = Watch::start(what, &options) else {
        return;
    };
    for round in 0..3 {
        let target = format!("/?{round}");
        let call = Call::new("GET", &Transport::Tls.url(server.port(), &target), b"").unwrap();
        watch.follow(Held::new(&call.curl(&tls).unwrap()).unwrap().release().unwrap());
        watch.until(&target, |watch| {
            !watch.exchanges(server.pid(), &target).is_empty()
        });
        let seen = watch.exchanges(server.pid(), &target);
        assert_eq!(seen.len(), 1, "{what}");
        let received = call.received().unwrap();
        assert!(!received.is_empty(), "{what}: curl received nothing");
        let response = seen[0].exchange.outcome.response().unwrap();
        assert_same(what, &response.body, &received);
        // One stream with the connection object, which did the handshake.
        let connection = &seen[0].exchange.connection;
        assert_eq!(connection.role, Role::Server, "{what}");
        assert_eq!(connection.evidence, Some(Evidence::SetBio), "{what}");
        assert!(!connection.ambiguous, "{what}");
        assert_eq!(
            connection.local.map(|(_, port)| port),
            Some(server.port()),
            "{what}"
        );
        assert_once(&watch, what, server.pid());
    }
    watch.stop();
}
