//! Clients that die, servers that do not wait, writes that are refused: is anything seen twice, or never done?

use sensor_tests::clients::{self, Call};
use sensor_tests::held::Held;
use sensor_tests::payload::body;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, PythonApi, Site, Transport};
use sensor_tests::{PrivateTls, guard};

use crate::watch::{Watch, able, assert_same, options, soon};

const NEEDED: [Program; 4] = [Program::Nginx, Program::Curl, Program::Openssl, Program::Python];

#[test]
fn a_client_that_dies_in_mid_request_leaves_a_cut_one_and_no_second() {
    let what = "dying client";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    for transport in Transport::ALL {
        let api = PythonApi::start(&tls, transport).unwrap();
        let Some(mut watch) = Watch::start(what, &options(&tls, &[api.pid()])) else {
            return;
        };
        let mut dying = clients::python("dying.py", &tls).unwrap();
        dying.args([transport.scheme(), &api.port().to_string(), "/echo?dying"]);
        let output = watch.follow(Held::new(&dying).unwrap().release().unwrap());
        assert!(
            output.status.code().is_none(),
            "the client did not die: {:?}",
            output.status
        );
        let url = transport.url(api.port(), "/echo?after&seed=1&length=100");
        let call = Call::new("POST", &url, &body(2, 100)).unwrap();
        watch.follow(Held::new(&call.curl(&tls).unwrap()).unwrap().release().unwrap());
        watch.until("the call after it", |watch| {
            !watch
                .exchanges(api.pid(), "/echo?after&seed=1&length=100")
                .is_empty()
        });
        let pid = api.pid();
        let observed = watch.stop();
        let of = |target: &str| -> Vec<_> {
            let wanted = target.as_bytes();
            observed
                .iter()
                .filter(|one| one.exchange.request.target().expose() == wanted)
                .collect()
        };
        let cut = of("/echo?dying");
        assert_eq!(cut.len(), 1, "{transport:?}");
        assert!(!cut[0].exchange.request.body.is_whole(), "{transport:?}");
        assert!(cut[0].exchange.outcome.response().is_none(), "{transport:?}");
        let after = of("/echo?after&seed=1&length=100");
        assert_eq!(after.len(), 1, "{transport:?}");
        assert_same(what, &after[0].exchange.request.body, &body(2, 100));
        assert!(
            observed
                .iter()
                .all(|one| one.exchange.connection.process.pid == pid)
        );
        assert_eq!(observed.len(), 2, "{transport:?}");
    }
}

#[test]
fn a_server_that_answers_before_the_body_ends_is_seen_once() {
    let what = "early answer";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    for transport in Transport::ALL {
        let api = PythonApi::start(&tls, transport).unwrap();
        let nginx = Nginx::start(&tls, &Site::default()).unwrap();
        let worker = nginx.workers().unwrap()[0];
        let Some(mut watch) = Watch::start(what, &options(&tls, &[api.pid(), worker])) else {
            return;
        };
        for (pid, port) in [(api.pid(), api.port()), (worker, nginx.port(transport))] {
            let call = Call::new("POST", &transport.url(port, "/early"), &body(1, 1_048_576)).unwrap();
            // A client that is still sending may find the connection reset; that is not the sensor's matter.
            watch.follow(Held::new(&call.curl(&tls).unwrap()).unwrap().release().unwrap());
            watch.until("the early answer", |watch| {
                !watch.exchanges(pid, "/early").is_empty()
            });
        }
        let observed = watch.stop();
        for pid in [api.pid(), worker] {
            let seen: Vec<_> = observed
                .iter()
                .filter(|one| one.exchange.connection.process.pid == pid)
                .collect();
            assert_eq!(seen.len(), 1, "{transport:?}");
            let response = seen[0].exchange.outcome.response().unwrap();
            assert_eq!(response.status, 200, "{transport:?}");
            assert!(seen[0].exchange.request.body.total <= 1_048_576, "{transport:?}");
        }
    }
}

#[test]
fn a_retry_after_want_write_is_counted_once() {
    let what = "WANT_WRITE";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let Some(mut watch) = Watch::start(what, &options(&tls, &[])) else {
        return;
    };
    let sent = body(9, 1_048_576);
    let call = Call::new("POST", "", &sent).unwrap();
    let held = Held::new(&call.want_write(api.port(), "/slow", &tls).unwrap()).unwrap();
    let pid = held.pid();
    watch.also(pid);
    let output = watch.follow(held.release().unwrap());
    let said = String::from_utf8(output.stdout).unwrap();
    let (retries, status) = said
        .trim()
        .split_once(' ')
        .unwrap_or_else(|| panic!("the client said {said:?}"));
    assert!(retries.parse::<u32>().unwrap() > 0, "no write was refused");
    assert_eq!(status, "200");
    watch.until("the exchange", |watch| !watch.exchanges(pid, "/slow").is_empty());
    let account = watch.tally.of_process(pid);
    assert_eq!((account.repeated, account.jumps), (0, 0));
    let observed = watch.stop();
    assert_eq!(observed.len(), 1);
    assert_same(what, &observed[0].exchange.request.body, &sent);
}

#[test]
fn a_process_that_is_not_named_is_left_alone() {
    let what = "default deny";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let Some(mut watch) = Watch::start(what, &options(&tls, &[])) else {
        return;
    };
    for transport in Transport::ALL {
        let call = Call::new("GET", &transport.url(nginx.port(transport), "/who/are"), b"").unwrap();
        guard::run(&mut call.curl(&tls).unwrap(), soon()).unwrap();
    }
    watch.settle();
    assert!(watch.tally.0.is_empty(), "{:?}", watch.tally);
    assert!(watch.stop().is_empty());
}
