//! When the ring is too small: is what was sent what was captured plus the holes that are reported?

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use sensor_common::account::Entry;
use sensor_common::counter::Counter;
use sensor_tests::programs::Program;
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::{Guard, PrivateTls, clients};
use sensor_user::capture::Direction;
use sensor_user::capture::coverage::State;
use sensor_user::capture::kernel::{Options, monotonic_ns};
use sensor_user::classify::BlindSpot;
use sensor_user::exchange::{Body, BodyState};
use sensor_user::pipeline::Observed;

use crate::watch::{Watch, able, bytes, describe, options, soon};

/// Smaller than one call of the load.
const RING_BYTES: u32 = 64 * 1024;
const CALLS: usize = 8;
const LENGTH: usize = 200_000;

#[test]
fn with_a_tiny_ring_what_was_sent_is_what_was_captured_and_the_holes() {
    let what = "tiny ring";
    if !able(what, &[Program::Python, Program::Openssl]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Tls).unwrap();
    let tiny = Options {
        ring_bytes: RING_BYTES,
        ..options(&tls, &[api.pid()])
    };
    let Some(mut watch) = Watch::start(what, &tiny) else {
        return;
    };
    let mut load = clients::python("load.py", &tls).unwrap();
    load.args([api.port().to_string(), CALLS.to_string(), LENGTH.to_string()]);
    load.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut load = Guard::start(&mut load).unwrap();
    let mut said = BufReader::new(load.child().stdout.take().unwrap()).lines();
    // Nobody looks at the ring while the load runs, so most of it finds no room.
    said.next().unwrap().unwrap();
    watch.settle();
    // One small call: its position shows the hole at the end of the load.
    load.child().stdin.take().unwrap().write_all(b"go\n").unwrap();
    let totals = said.next().unwrap().unwrap();
    assert!(load.wait(soon()).unwrap().success());
    watch.settle();

    let (sent, received) = totals.split_once(' ').unwrap();
    let (sent, received): (u64, u64) = (sent.parse().unwrap(), received.parse().unwrap());
    assert_eq!(watch.tally.end(Direction::Read), sent, "bytes the server read");
    assert_eq!(
        watch.tally.end(Direction::Write),
        received,
        "bytes the server wrote"
    );
    let account = watch.tally.of_process(api.pid());
    assert_eq!(account.repeated, 0);
    assert_eq!(account.captured + account.gaps + account.jumps, sent + received);
    assert_eq!(watch.counter(Counter::TlsBytes), sent + received);
    assert_eq!(watch.counter(Counter::DataBytes), account.captured);
    told_whose_it_was(&watch, api.pid());
    assert!(
        watch.counter(Counter::RingFullBytes) > 0,
        "the ring was never full"
    );
    let lost = watch.counter(Counter::RingFullBytes)
        + watch.counter(Counter::LimitBytes)
        + watch.counter(Counter::FaultBytes);
    assert_eq!(
        lost,
        account.gaps + account.jumps,
        "each missing byte has one cause"
    );

    let observed = watch.stop();
    let holed = observed.iter().filter(|one| says_so(one)).count();
    assert!(
        holed > 0,
        "no exchange says that it has a hole: {:#?}",
        observed.iter().map(describe).collect::<Vec<_>>()
    );
    for one in &observed {
        whole_is_whole(one);
    }
}

/// LESSONS 11: what the ring had no room for is counted, and whose it was is said.
fn told_whose_it_was(watch: &Watch, pid: u32) {
    let ledger = watch.account(pid);
    for (entry, counter) in [
        (Entry::RingFullBytes, Counter::RingFullBytes),
        (Entry::RingFullRecords, Counter::RingFullRecords),
    ] {
        assert_eq!(ledger.kernel(entry), watch.counter(counter));
    }
    let live = watch
        .observer()
        .report(Path::new("/proc"), watch.ledger(), monotonic_ns());
    let process = live.processes.iter().find(|process| process.pid == pid);
    let process = process.unwrap_or_else(|| panic!("{live:#?}"));
    assert_eq!(process.state, Some(State::Lost), "{process:#?}");
    assert_eq!(process.blind[0].what, "ring_full", "{process:#?}");
}

fn says_so(observed: &Observed) -> bool {
    let exchange = &observed.exchange;
    let holed = |body: &Body| matches!(body.state, BodyState::Holed(_) | BodyState::Cut);
    let request = holed(&exchange.request.body);
    let response = exchange
        .outcome
        .response()
        .is_some_and(|response| holed(&response.body));
    let blind = &observed.labels.blind;
    if request {
        assert!(
            blind.contains(&BlindSpot::RequestBodyCut),
            "{}",
            describe(observed)
        );
    }
    if response {
        assert!(
            blind.contains(&BlindSpot::ResponseBodyCut),
            "{}",
            describe(observed)
        );
    }
    request || response
}

/// A body that claims to be whole is: all bytes of the load's requests are the same letter.
fn whole_is_whole(observed: &Observed) {
    let body = &observed.exchange.request.body;
    if body.state == BodyState::Whole {
        assert!(
            body.total == LENGTH as u64 || body.total == 10,
            "{}",
            describe(observed)
        );
        assert_eq!(body.total, bytes(body).len() as u64, "{}", describe(observed));
        assert!(
            bytes(body).iter().all(|byte| *byte == b'y'),
            "{}",
            describe(observed)
        );
    }
}
