//! Each parser beside the fastest that others wrote, on the same bytes, in instructions.
//!
//! `cargo bench -p sensor-user --bench floors` runs every case under callgrind, once with one round and once with
//! [`ROUNDS`], so that what a round costs is the difference, and prints a table. Instructions do not depend on what else
//! the machine does. It fails when one costs more than [`WORST`] of its floor.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a benchmark stops on a mistake and prints its result"
)]
#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are small")]

#[path = "common/documents.rs"]
mod documents;
#[path = "common/heads.rs"]
mod heads;
#[path = "common/http2.rs"]
mod http2;

use std::hint::black_box;
use std::process::Command;

use documents::{JSON, Nothing, document, ignored, tape};
use sensor_user::protocol::document::{Document, Documents, Format};
use sensor_user::protocol::http2::hpack::Block;
use sensor_user::protocol::walk::Ending;

/// Rounds beside the one that warms.
const ROUNDS: usize = 5;

/// What issue 4 allows at most; it aims at 1.5.
const WORST: f64 = 2.0;

/// A parser and its floors, by the names of cases.
const COMPARED: &[(&str, &[&str])] = &[
    ("requests", &["requests/httparse"]),
    ("responses", &["responses/httparse"]),
    ("json", &["json/serde_json", "json/simd-json"]),
    ("hpack", &["hpack/httlib-hpack"]),
    ("heads", &["heads/h2"]),
    // A stream is two heads, a body, and an exchange of it all: the floor reads the heads alone.
    ("streams", &[]),
];

fn main() {
    let mut arguments = std::env::args()
        .skip_while(|argument| argument != "--one")
        .skip(1);
    if let (Some(name), Some(rounds)) = (arguments.next(), arguments.next()) {
        let mut round = case(&name).unwrap_or_else(|| panic!("no case {name}"));
        for _ in 0..rounds.parse::<usize>().unwrap() {
            assert!(black_box(round()), "{name} did not read it");
        }
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED floors: no valgrind");
        return;
    }
    compare();
}

fn compare() {
    println!(
        "{:<12} {:>14} {:<22} {:>14} {:>6}",
        "parser", "instructions", "floor", "instructions", "ratio"
    );
    let mut worst = 0_f64;
    for (name, floors) in COMPARED {
        let ours = instructions(name);
        if floors.is_empty() {
            println!("{name:<12} {ours:>14}");
        }
        let mut ratio = 0_f64;
        for floor in *floors {
            let theirs = instructions(floor);
            let one = ours as f64 / theirs as f64;
            ratio = ratio.max(one);
            println!("{name:<12} {ours:>14} {floor:<22} {theirs:>14} {one:>6.2}");
        }
        worst = worst.max(ratio);
    }
    assert!(worst <= WORST, "{worst:.2} of the floor");
}

/// Instructions of one round.
fn instructions(name: &str) -> u64 {
    let (one, more) = (callgrind(name, 1), callgrind(name, 1 + ROUNDS));
    more.saturating_sub(one) / ROUNDS as u64
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

/// A case by name: what one round does. It gives whether all of it was read.
fn case(name: &str) -> Option<Box<dyn FnMut() -> bool>> {
    match name.split('/').next()? {
        "requests" | "responses" => http1_case(name),
        "json" => json_case(name),
        "hpack" | "heads" | "streams" => http2_case(name),
        _ => None,
    }
}

fn http1_case(name: &str) -> Option<Box<dyn FnMut() -> bool>> {
    let (text, read): (_, fn(&str) -> usize) = match name {
        "requests" => (heads::requests(), heads::our_requests),
        "requests/httparse" => (heads::requests(), heads::bare_requests),
        "responses" => (heads::responses(), heads::our_responses),
        "responses/httparse" => (heads::responses(), heads::bare_responses),
        _ => return None,
    };
    Some(Box::new(move || read(black_box(&text)) == heads::HEADS))
}

fn json_case(name: &str) -> Option<Box<dyn FnMut() -> bool>> {
    let text = document(&JSON, 64 * 1024);
    let mut documents = Documents::new(16 * 1024);
    let mut buffers = Default::default();
    Some(match name {
        "json" => Box::new(move || {
            let document = Document {
                format: Format::Json,
                media: b"",
                bytes: black_box(text.as_bytes()),
                cut: false,
            };
            documents.walk(document, &mut Nothing::default()).ending == Ending::Complete
        }),
        "json/serde_json" => Box::new(move || ignored(black_box(&text))),
        "json/simd-json" => Box::new(move || tape(black_box(&text), &mut buffers)),
        _ => return None,
    })
}

fn http2_case(name: &str) -> Option<Box<dyn FnMut() -> bool>> {
    let blocks = http2::blocks(http2::request);
    let wire = http2::wire(&blocks);
    let all = http2::STREAMS as usize;
    let mut block = Block::default();
    Some(match name {
        "hpack" => Box::new(move || http2::ours(black_box(&blocks), &mut block) == 10 * all),
        "hpack/httlib-hpack" => Box::new(move || http2::httlib(black_box(&blocks)) == 10 * all),
        "heads" => Box::new(move || http2::parse(black_box(&wire)) == all),
        "heads/h2" => Box::new(move || http2::floor(black_box(&wire)) == all),
        "streams" => {
            let calls = http2::connection();
            Box::new(move || http2::exchanges(&mut http2::conversations(), &calls) == all)
        }
        _ => return None,
    })
}
