//! Do the other ways to attach and to copy, for kernels without the best ones, see the same?

use sensor_tests::PrivateTls;
use sensor_tests::clients::Call;
use sensor_tests::payload::body;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, PythonApi, Site, Transport};
use sensor_user::capture::GapReason;
use sensor_user::capture::attach::Backend;
use sensor_user::capture::calls::Calls;
use sensor_user::capture::kernel::Options;
use sensor_user::exchange::BodyState;

use crate::bodies::{Expected, check, perform};
use crate::watch::{Watch, able, options};

const NEEDED: [Program; 4] = [Program::Nginx, Program::Curl, Program::Openssl, Program::Python];

/// One call over TLS and one over plain, both ends watched.
fn sees_a_call(what: &str, length: usize, change: fn(Options) -> Options) {
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    for transport in Transport::ALL {
        let api = PythonApi::start(&tls, transport).unwrap();
        let Some(mut watch) = Watch::start(what, &change(options(&tls, &[api.pid()]))) else {
            return;
        };
        let (sent, answered) = (body(3, length), body(4, length));
        let target = format!("/echo?seed=4&length={length}");
        let call = Call::new("POST", &transport.url(api.port(), &target), &sent).unwrap();
        let pid = perform(&mut watch, &call.curl(&tls).unwrap());
        let expected = Expected {
            transport,
            target: &target,
            sent: &sent,
            answered: Some(&answered),
        };
        check(
            &mut watch,
            &format!("{what}, {transport:?}, client's end"),
            pid,
            &expected,
        );
        check(
            &mut watch,
            &format!("{what}, {transport:?}, server's end"),
            api.pid(),
            &expected,
        );
        watch.stop();
    }
}

#[test]
fn perf_events_see_what_multi_links_see() {
    sees_a_call("perf events", 16_385, |options| Options {
        backend: Backend::Perf,
        ..options
    });
}

#[test]
fn a_program_per_function_sees_what_cookies_tell() {
    sees_a_call("a program per function", 16_385, |options| Options {
        backend: Backend::Copies,
        ..options
    });
}

/// Kernels from Linux 7.2 on use them by themselves.
#[test]
fn hooks_at_the_functions_of_system_calls_see_what_those_at_tracepoints_see() {
    sees_a_call("functions of system calls", 100_000, |options| Options {
        calls: Calls::Functions,
        ..options
    });
}

#[test]
fn a_bounded_loop_sees_calls_of_up_to_128_kib() {
    sees_a_call("the bounded loop", 100_000, |options| Options {
        use_bpf_loop: false,
        ..options
    });
}

/// LESSONS 16: a limit dropped whole requests instead of marking the cut.
#[test]
fn what_exceeds_the_limit_is_an_exact_gap() {
    const LENGTH: usize = 1_048_576;
    const LIMIT: u64 = 65_536;
    let what = "the limit per message";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let content = body(7, LENGTH);
    let site = Site {
        files: &[("large", content.as_slice())],
        ..Site::default()
    };
    let nginx = Nginx::start(&tls, &site).unwrap();
    let limited = Options {
        message_limit: LIMIT,
        ..options(&tls, &[nginx.pid()])
    };
    let Some(mut watch) = Watch::start(what, &limited) else {
        return;
    };
    for transport in Transport::ALL {
        // Twice: the limit starts anew with each message, and the connection is still in step behind the gap.
        for round in 0..2 {
            let target = format!("/large?{transport:?}-{round}");
            let call = Call::new("GET", &transport.url(nginx.port(transport), &target), b"").unwrap();
            let pid = perform(&mut watch, &call.curl(&tls).unwrap());
            watch.until(&target, |watch| !watch.exchanges(pid, &target).is_empty());
            let seen = watch.exchanges(pid, &target);
            let response = seen[0].exchange.outcome.response().unwrap();
            assert_eq!(
                response.body.state,
                BodyState::Holed(GapReason::Limit),
                "{target}"
            );
            assert_eq!(response.body.total, LENGTH as u64, "{target}");
            let captured: usize = response.body.pieces.iter().map(|piece| piece.0.len()).sum();
            assert!(
                captured > 0 && captured as u64 <= LIMIT,
                "{target}: {captured} bytes of the body were captured"
            );
        }
    }
    watch.stop();
}

#[test]
fn what_sendfile_moves_is_an_exact_gap_and_the_next_answer_is_found() {
    const LENGTH: usize = 100_000;
    let what = "sendfile";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let content = body(8, LENGTH);
    let site = Site {
        files: &[("large", content.as_slice())],
        ..Site::default()
    };
    let nginx = Nginx::start(&tls, &site).unwrap();
    let worker = nginx.workers().unwrap()[0];
    let Some(mut watch) = Watch::start(what, &options(&tls, &[nginx.pid(), worker])) else {
        return;
    };
    // Two calls on one connection: the second is in step only if the first one's gap has the right length.
    let url = |target: &str| Transport::Plain.url(nginx.port(Transport::Plain), target);
    let call = Call::new("GET", &url("/sendfile/large?1"), b"").unwrap();
    let mut curl = call.curl(&tls).unwrap();
    curl.args(["--next", "--silent", "--fail", "--output", "/dev/null"])
        .arg(url("/sendfile/large?2"));
    perform(&mut watch, &curl);
    for target in ["/sendfile/large?1", "/sendfile/large?2"] {
        watch.until(target, |watch| !watch.exchanges(worker, target).is_empty());
        let seen = watch.exchanges(worker, target);
        let response = seen[0].exchange.outcome.response().unwrap();
        assert_eq!(response.status, 200, "{target}");
        assert_eq!(
            response.body.state,
            BodyState::Holed(GapReason::Unseen),
            "{target}"
        );
        assert_eq!(response.body.total, LENGTH as u64, "{target}");
    }
    watch.stop();
}
