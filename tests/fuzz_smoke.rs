//! Every fuzz target on mutated seeds: the same inputs each time, so many of them.
//!
//! `API_SENSOR_FUZZ_ROUNDS` asks for more, `API_SENSOR_FUZZ_SEED` for others, `API_SENSOR_FUZZ_TARGET` for one target, and
//! `API_SENSOR_FUZZ_INPUT` for the one input that is in a file. What libFuzzer runs is in `fuzz/`.
#![expect(clippy::expect_used, clippy::panic, reason = "tests panic with context")]
#![expect(clippy::print_stdout, reason = "the input that broke a target is shown")]

use std::path::Path;

#[path = "fuzz/seeds.rs"]
mod seeds;
#[path = "fuzz/targets.rs"]
mod targets;

/// Inputs of each target: half a second each in a debug build.
const ROUNDS: u64 = 3000;

/// Targets that take longer over an input, and how many times fewer they get.
const SLOW: &[(&str, u64)] = &[
    ("pipeline", 4),
    ("caller", 8),
    ("message", 15),
    ("http2_connection", 30),
    ("http2_lawful", 30),
    ("config", 40),
];

/// An input's length; more finds nothing more in parsers whose limits are lowered to some thousand bytes.
const LONGEST: usize = 6000;

/// Numbers that follow from a seed (xorshift64*), for the same inputs everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % end.max(1)
    }
}

/// Bytes that parsers care about.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"0\r\n\r\n",
    b"0x",
    b"ffffffffffffffff",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\u00",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Upgrade: x\r\n",
    b"\xff",
    b"%00",
    b"\x80",
    b"-1",
];

fn mutate(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut input = seeds.get(numbers.below(seeds.len())).cloned().unwrap_or_default();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(input.len() + 1);
        let end = (at + numbers.below(40)).min(input.len());
        match numbers.below(8) {
            0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
            1 if at < input.len() => input[at] = u8::try_from(numbers.below(256)).unwrap_or(0),
            2 => drop(input.drain(at..end)),
            3 => {
                let again = input[at..end].to_vec();
                drop(input.splice(at..at, again));
            }
            4 => {
                let other = seeds
                    .get(numbers.below(seeds.len()))
                    .map_or(&[][..], Vec::as_slice);
                let from = numbers.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            5 => input.truncate(at),
            _ => {
                let word = WORDS[numbers.below(WORDS.len())];
                drop(input.splice(at..at, word.iter().copied()));
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// Shows the input under way when a target panics.
struct Shown<'a>(&'a str, &'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "target {} broke on {} bytes: \"{}\"",
                self.0,
                self.1.len(),
                self.1.escape_ascii()
            );
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok().and_then(|text| text.parse().ok());
    given.unwrap_or(default)
}

#[test]
fn every_target_survives_mutated_seeds() {
    let rounds = number("API_SENSOR_FUZZ_ROUNDS", ROUNDS);
    let wanted = std::env::var("API_SENSOR_FUZZ_TARGET").ok();
    let only =
        std::env::var_os("API_SENSOR_FUZZ_INPUT").map(|file| std::fs::read(file).expect("a readable file"));
    for (name, target) in targets::TARGETS {
        if wanted.as_deref().is_some_and(|wanted| wanted != *name) {
            continue;
        }
        if let Some(input) = &only {
            target(input);
            continue;
        }
        let seeds = seeds::of(name, Path::new(env!("CARGO_MANIFEST_DIR")));
        let mut numbers = Numbers(number("API_SENSOR_FUZZ_SEED", 0x5eed) | 1);
        for seed in &seeds {
            let _shown = Shown(name, seed);
            target(seed);
        }
        let slower = SLOW.iter().find(|(slow, _)| slow == name);
        let rounds = rounds.div_ceil(slower.map_or(1, |(_, times)| *times));
        for _ in 0..rounds {
            let input = mutate(&seeds, &mut numbers);
            let _shown = Shown(name, &input);
            target(&input);
        }
        println!("{name}: {} seeds, {rounds} mutated inputs", seeds.len());
    }
}
