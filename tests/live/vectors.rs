//! Many buffers, many messages, and bytes that only the kernel holds: is each call's every byte there, or an exact gap?

use sensor_tests::programs::Program;
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::{PrivateTls, clients};
use sensor_user::capture::GapReason;
use sensor_user::capture::kernel::Options;
use sensor_user::exchange::BodyState;

use crate::bodies::perform;
use crate::watch::{Watch, able, assert_same, describe, options};

const NEEDED: [Program; 2] = [Program::Python, Program::Openssl];

/// The body that `calls.py` and `uring.py` send.
pub(crate) fn sent_body(number: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| b'a' + u8::try_from((at * 7 + number) % 26).unwrap())
        .collect()
}

/// Runs `calls.py` against the small API; gives the watch and the client's process id.
fn run(what: &str, how: &str, length: usize, change: fn(Options) -> Options) -> Option<(Watch, u32)> {
    if !able(what, &NEEDED) {
        return None;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Plain).unwrap();
    let mut watch = Watch::start(what, &change(options(&tls, &[])))?;
    let mut client = clients::python("calls.py", &tls).unwrap();
    let target = format!("/echo?seed=9&length={length}");
    client.args([how, &api.port().to_string(), &target, &length.to_string()]);
    let pid = perform(&mut watch, &client);
    Some((watch, pid))
}

fn both_calls_are_whole(how: &str, length: usize) {
    let what = format!("calls by {how}");
    let Some((mut watch, pid)) = run(&what, how, length, |options| options) else {
        return;
    };
    for number in 0..2 {
        let target = format!("/echo?seed=9&length={length}&call={number}");
        watch.until(&what, |watch| !watch.exchanges(pid, &target).is_empty());
        let seen = watch.exchanges(pid, &target);
        let exchange = &seen[0].exchange;
        assert_same(&what, &exchange.request.body, &sent_body(number, length));
        let response = exchange.outcome.response().unwrap();
        assert_same(&what, &response.body, &sensor_tests::payload::body(9, length));
    }
    let account = watch.tally.of_process(pid);
    assert_eq!(
        (account.gaps, account.jumps, account.repeated),
        (0, 0, 0),
        "{what}"
    );
    watch.stop();
}

#[test]
fn a_thousand_buffers_in_a_call_are_all_seen() {
    both_calls_are_whole("vectors", 15_000);
}

#[test]
fn every_message_of_sendmmsg_and_recvmmsg_is_seen() {
    both_calls_are_whole("many", 60_000);
}

/// Whatever part was captured, the rest is gaps of exactly its length: the second call is found where it begins.
fn both_calls_are_in_step(how: &str, length: usize, reason: GapReason, change: fn(Options) -> Options) {
    let what = format!("gaps of calls by {how}");
    let Some((mut watch, pid)) = run(&what, how, length, change) else {
        return;
    };
    for number in 0..2 {
        let target = format!("/echo?seed=9&length={length}&call={number}");
        watch.until(&what, |watch| !watch.exchanges(pid, &target).is_empty());
        let seen = watch.exchanges(pid, &target);
        let exchange = &seen[0].exchange;
        let response = exchange
            .outcome
            .response()
            .unwrap_or_else(|| panic!("{what}: {}", describe(seen[0])));
        for body in [&exchange.request.body, &response.body] {
            assert_eq!(
                body.state,
                BodyState::Holed(reason),
                "{what}: {}",
                describe(seen[0])
            );
            assert_eq!(body.total, length as u64, "{what}");
        }
    }
    let account = watch.tally.of_process(pid);
    assert!(account.gaps > 0, "{what}");
    assert_eq!((account.jumps, account.repeated), (0, 0), "{what}");
    watch.stop();
}

#[test]
fn buffers_beyond_what_a_bounded_loop_walks_are_an_exact_gap() {
    both_calls_are_in_step("vectors", 15_000, GapReason::Iovecs, |options| Options {
        use_bpf_loop: false,
        ..options
    });
}

#[test]
fn messages_beyond_what_a_bounded_loop_walks_are_an_exact_gap() {
    both_calls_are_in_step("many", 60_000, GapReason::Iovecs, |options| Options {
        use_bpf_loop: false,
        ..options
    });
}

#[test]
fn what_splice_moves_is_an_exact_gap_in_either_direction() {
    both_calls_are_in_step("splice", 30_000, GapReason::Unseen, |options| options);
}
