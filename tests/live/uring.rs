//! `io_uring`: its bytes are seen where the kernel lets them be, and where not, they are counted to the byte.

use sensor_common::counter::Counter;
use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::{PrivateTls, clients, payload};
use sensor_user::capture::beyond::{Beyond, Source};
use sensor_user::capture::kernel::Options;
use sensor_user::capture::{Record, UnseenReason};

use crate::vectors::sent_body;
use crate::watch::{Watch, able, assert_same, describe, options};

const NEEDED: [Program; 2] = [Program::Python, Program::Openssl];
const LENGTH: usize = 30_000;

/// A sensor, and the server that `uring.py` calls.
struct Stage {
    tls: PrivateTls,
    api: PythonApi,
    watch: Watch,
}

/// What a run of `uring.py` gave.
struct Run {
    pid: u32,
    sent: u64,
    received: u64,
}

impl Stage {
    /// Skips, aloud, what this kernel does not have.
    fn new(what: &str, beyond: Beyond, wanted: &[Source]) -> Option<Self> {
        if !able(what, &NEEDED) {
            return None;
        }
        let tls = PrivateTls::new().unwrap();
        let api = PythonApi::start(&tls, Transport::Plain).unwrap();
        let options = Options {
            beyond,
            ..options(&tls, &[])
        };
        let watch = Watch::start(what, &options)?;
        let source = watch.source().beyond();
        if !wanted.contains(&source) {
            let refused = watch.source().beyond_refused().join("; ");
            programs::skipped(
                what,
                &format_args!("this kernel's source is {}: {refused}", source.name()),
            );
            return None;
        }
        Some(Self { tls, api, watch })
    }

    fn run(&mut self, what: &str, how: &str) -> Option<Run> {
        let mut client = clients::python("uring.py", &self.tls).unwrap();
        let target = format!("/echo?seed=9&length={LENGTH}");
        client.args([how, &self.api.port().to_string(), &target, &LENGTH.to_string()]);
        let held = Held::new(&client).unwrap();
        let pid = held.pid();
        self.watch.also(pid);
        let output = self.watch.follow(held.release().unwrap());
        let errors = String::from_utf8_lossy(&output.stderr);
        if errors.starts_with("no io_uring") {
            programs::skipped(what, &errors.trim());
            return None;
        }
        assert!(output.status.success(), "{what}: {errors}");
        let said = String::from_utf8_lossy(&output.stdout);
        let (sent, received) = said.trim().split_once(' ').unwrap();
        Some(Run {
            pid,
            sent: sent.parse().unwrap(),
            received: received.parse().unwrap(),
        })
    }

    fn calls_are_whole(&self, what: &str, run: &Run, numbers: impl Iterator<Item = usize>) {
        for number in numbers {
            let target = format!("/echo?seed=9&length={LENGTH}&call={number}");
            let seen = self.watch.exchanges(run.pid, &target);
            assert_eq!(seen.len(), 1, "{what}: {:#?}", self.watch.tally);
            let exchange = &seen[0].exchange;
            assert_same(what, &exchange.request.body, &sent_body(number, LENGTH));
            let response = exchange
                .outcome
                .response()
                .unwrap_or_else(|| panic!("{what}: {}", describe(seen[0])));
            assert_same(what, &response.body, &payload::body(9, LENGTH));
        }
    }
}

const INSIDE: [Source; 2] = [Source::Fentry, Source::Kprobe];

fn is_seen(beyond: Beyond, wanted: &[Source]) {
    let what = format!("io_uring, {beyond:?}");
    let Some(mut stage) = Stage::new(&what, beyond, wanted) else {
        return;
    };
    let mut moved = 0;
    for how in ["inline", "worker", "vector", "answers"] {
        let what = format!("{what}, {how}");
        let Some(run) = stage.run(&what, how) else { return };
        stage.calls_are_whole(&what, &run, 0..2);
        let account = stage.watch.tally.of_process(run.pid);
        assert_eq!(
            (account.gaps, account.jumps, account.repeated),
            (0, 0, 0),
            "{what}"
        );
        moved += run.sent + run.received;
        assert_eq!(stage.watch.counter(Counter::BypassSeenBytes), moved, "{what}");
    }
    stage.watch.stop();
}

#[test]
fn is_seen_by_the_best_source_of_the_kernel() {
    is_seen(Beyond::Auto, &INSIDE);
}

#[test]
fn is_seen_by_kprobes() {
    is_seen(Beyond::Kprobe, &[Source::Kprobe]);
}

#[test]
fn is_counted_to_the_byte_where_it_cannot_be_seen() {
    let what = "account of io_uring";
    let Some(mut stage) = Stage::new(what, Beyond::Lengths, &[Source::Lengths]) else {
        return;
    };
    let mut moved = 0;
    for how in ["inline", "worker", "vector"] {
        let what = format!("{what}, {how}");
        let Some(run) = stage.run(&what, how) else { return };
        let told: Vec<_> = stage
            .watch
            .unseen
            .iter()
            .filter_map(|record| match record {
                Record::Unseen { event, reason, bytes } if event.origin.process.pid == run.pid => {
                    Some((*reason, *bytes))
                }
                _ => None,
            })
            .collect();
        // At the first byte, with its reason, and at the end of the process.
        assert_eq!(told.len(), 2, "{what}: {told:?}");
        assert_eq!(told[0].0, UnseenReason::IoUring, "{what}");
        let (_, bytes) = told[1];
        let expected = (run.sent, run.received);
        assert_eq!((bytes.sent_unseen, bytes.received_unseen), expected, "{what}");
        assert_eq!((bytes.sent_all, bytes.received_all), expected, "{what}");
        moved += run.sent + run.received;
        assert_eq!(stage.watch.counter(Counter::BypassUnseenBytes), moved, "{what}");
    }
    stage.watch.stop();
}

#[test]
fn what_is_not_seen_of_a_known_connection_is_an_exact_gap() {
    let what = "gap of io_uring";
    let Some(mut stage) = Stage::new(what, Beyond::Lengths, &[Source::Lengths]) else {
        return;
    };
    let Some(run) = stage.run(what, "answers") else {
        return;
    };
    let account = stage.watch.tally.of_process(run.pid);
    assert_eq!((account.gaps, account.jumps), (run.received, 0), "{what}");
    stage.calls_are_whole(what, &run, 1..2);
    let observed = stage.watch.stop();
    let first = format!("/echo?seed=9&length={LENGTH}&call=0");
    let lost = observed
        .iter()
        .find(|one| one.exchange.request.target().expose() == first.as_bytes())
        .unwrap();
    assert!(lost.exchange.outcome.response().is_none(), "{}", describe(lost));
}
