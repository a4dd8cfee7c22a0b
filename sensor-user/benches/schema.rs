//! What outlines and schemas cost beside parsing the same exchange, in instructions.
//!
//! `cargo bench -p sensor-user --bench schema` runs every case under callgrind, once with one round and once with more, so
//! that what a round costs is the difference, and prints a table. It fails when learning costs more than parsing.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a benchmark stops on a mistake and prints its result"
)]
#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are small")]

#[path = "common/documents.rs"]
#[expect(dead_code, reason = "shared with benchmarks that use more")]
mod documents;
#[path = "common/exchange.rs"]
mod exchange;

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;

use documents::{JSON, Nothing, document};
use exchange::{REQUEST, RESPONSE};
use sensor_user::callers::{self, Callers};
use sensor_user::classify::{self, Classifier};
use sensor_user::exchange::Method;
use sensor_user::inventory::Endpoint;
use sensor_user::inventory::schema::{Limits, Schemas, Seen};
use sensor_user::protocol::document::{Document, Documents, Format};
use sensor_user::protocol::http1::{Answering, Limits as HeadLimits, RequestParser, ResponseParser};
use sensor_user::protocol::{Step, StreamParser};

/// Rounds beside the one that warms.
const ROUNDS: usize = 20;
/// Exchanges of a round: so that what a process does once does not count.
const EXCHANGES: usize = 10;

/// Bytes of the answer's JSON body: one record, and a page of them.
const SIZES: [(&str, usize); 2] = [("1k", 1024 - 300), ("64k", 64 * 1024 - 300)];
const CASES: [&str; 4] = ["parse", "classify", "learn", "ask"];

fn main() {
    let mut arguments = std::env::args()
        .skip_while(|argument| argument != "--one")
        .skip(1);
    if let (Some(name), Some(rounds)) = (arguments.next(), arguments.next()) {
        let mut round = case(&name);
        for _ in 0..rounds.parse::<usize>().unwrap() {
            for _ in 0..EXCHANGES {
                black_box(round());
            }
        }
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED schema: no valgrind");
        return;
    }
    for (size, _) in SIZES {
        let [parse, classify, learn, ask] = CASES.map(|case| instructions(&format!("{case}/{size}")));
        println!("{size}: parse {parse}, classify {classify}, learn {learn}, ask {ask}");
        let share = (learn + ask) as f64 / parse as f64;
        assert!(share <= 1.0, "learning costs {share:.2} of parsing");
    }
}

/// Instructions of one exchange.
fn instructions(name: &str) -> u64 {
    let (one, more) = (callgrind(name, 1), callgrind(name, 1 + ROUNDS));
    more.saturating_sub(one) / (ROUNDS * EXCHANGES) as u64
}

fn callgrind(name: &str, rounds: usize) -> u64 {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--one", name, &rounds.to_string()])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{told}");
    let collected = told.lines().find_map(|line| line.split_once("Collected : "));
    collected.unwrap().1.trim().parse().unwrap()
}

/// A case by name: what is done to one exchange.
fn case(name: &str) -> Box<dyn FnMut() -> usize> {
    let (case, size) = name.split_once('/').unwrap();
    let (_, bytes) = SIZES.into_iter().find(|(name, _)| *name == size).unwrap();
    let text = document(&JSON, bytes);
    let exchange = exchange::exchange(&text);
    let mut classifier = Classifier::new(classify::Limits::default());
    let outline = classifier.classify(&exchange).outline;
    let endpoint = Arc::new(Endpoint::rest(
        Method::Get,
        "api.example.com",
        "/api/v1/shops/{id}/orders",
    ));
    let mut schemas = Schemas::new(Limits::default());
    let target = exchange.request.target().expose().to_vec();
    let caller = Callers::new(callers::Limits::default()).observe(&exchange);
    let seen = Seen::of(&exchange, &caller);
    schemas.observe(&endpoint, &outline, &seen);
    match case {
        "parse" => Box::new(move || heads() + walk(&text)),
        "classify" => Box::new(move || classifier.classify(black_box(&exchange)).outline.places().len()),
        "learn" => Box::new(move || {
            schemas.observe(&endpoint, black_box(&outline), &seen);
            schemas.observe_target(&endpoint, &target, &seen);
            0
        }),
        "ask" => Box::new(move || {
            let schema = schemas.get(&endpoint).unwrap();
            schema.unseen(black_box(&outline)).len() + schema.beyond(black_box(&outline)).len()
        }),
        _ => panic!("no case {name}"),
    }
}

fn heads() -> usize {
    const LIMITS: HeadLimits = HeadLimits { head_bytes: 65_536 };
    let mut responses = ResponseParser::new(LIMITS);
    responses.answering(Answering::Other);
    read(&mut RequestParser::new(LIMITS), REQUEST) + read(&mut responses, RESPONSE)
}

fn read<P: StreamParser>(parser: &mut P, head: &str) -> usize {
    match black_box(parser.step(black_box(head.as_bytes()))) {
        Step::Advance { consumed, .. } => consumed.get(),
        Step::NeedMore { .. } | Step::Reject(_) => panic!("not a head"),
    }
}

fn walk(text: &str) -> usize {
    let mut documents = Documents::new(16 * 1024);
    let document = Document {
        format: Format::Json,
        media: b"",
        bytes: black_box(text.as_bytes()),
        cut: false,
    };
    let mut seen = Nothing::default();
    let walked = documents.walk(document, &mut seen);
    seen.0 + walked.accepted
}
