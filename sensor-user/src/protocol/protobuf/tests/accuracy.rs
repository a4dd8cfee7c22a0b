//! How often a guess is right, on samples of which the kind is known by construction.

use super::super::guess::{Guessed, guess};
use super::{Writer, push_varint};

/// A generator that gives the same numbers on every machine (Vigna's splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.roll().to_le_bytes()[0]).collect()
    }
}

const WORDS: &[&str] = &[
    "ok",
    "user",
    "Berlin",
    "error",
    "model-7",
    "EUR",
    "en",
    "de_DE",
    "alpha",
    "Zürich",
    "order",
    "x",
    "12",
    "7f",
    "2024-05-01",
    "München",
    "東京",
    "GET",
    "/v1/items",
    "true",
    "a",
    "hi",
    "(A)",
    "8080",
    "#1",
    "null",
    "{}",
    "*.rs",
];

fn text(dice: &mut Dice) -> Vec<u8> {
    let built = match dice.below(8) {
        0 => dice.pick(WORDS).to_owned(),
        1 => format!("{}@{}.example", dice.pick(WORDS), dice.pick(WORDS)),
        2 => format!(
            "{:08x}-{:04x}-4{:03x}-a000-{:012x}",
            dice.roll() >> 32,
            dice.below(1 << 16),
            dice.below(4096),
            dice.roll() >> 16
        ),
        3 => (0..=dice.below(12))
            .map(|_| dice.pick(WORDS))
            .collect::<Vec<_>>()
            .join(" "),
        4 => format!(
            "https://{}.example/{}?q={}",
            dice.pick(WORDS),
            dice.pick(WORDS),
            dice.below(1000)
        ),
        5 => dice.below(1_000_000).to_string(),
        6 => format!("{{\"{}\": {}}}", dice.pick(WORDS), dice.below(100)),
        _ => (0..2 + dice.below(5))
            .map(|_| dice.pick(WORDS))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    built.into_bytes()
}

fn bytes(dice: &mut Dice) -> Vec<u8> {
    let length = match dice.below(4) {
        0 => 16,
        1 => 32,
        2 => 20,
        _ => 4 + dice.below(60),
    };
    dice.bytes(length)
}

fn packed(dice: &mut Dice) -> Vec<u8> {
    let base = 1 << [5, 7, 12, 20, 31, 40][usize::try_from(dice.below(6)).unwrap()];
    let mut out = Vec::new();
    for _ in 0..4 + dice.below(12) {
        push_varint(base / 2 + dice.below(base / 2), &mut out);
    }
    out
}

/// A message of fields in order, as encoders write it; some numbers are left out as optional fields are.
fn message(dice: &mut Dice, depth: u32) -> Vec<u8> {
    let mut written = Writer::default();
    let mut number = 0;
    for _ in 0..=dice.below(6) {
        number += 1 + u32::try_from(dice.below(3)).unwrap();
        written = match dice.below(9) {
            0 | 1 => written.varint(number, dice.below(1 << 10)),
            2 => written.varint(number, dice.roll() >> dice.below(50)),
            3..=5 => written.bytes(number, &text(dice)),
            6 if depth < 3 => written.bytes(number, &message(dice, depth + 1)),
            7 => written.fixed(
                number,
                1,
                &(f64::from(u32::try_from(dice.below(10_000)).unwrap()) / 7.0).to_le_bytes(),
            ),
            _ => written.bytes(number, &bytes(dice)),
        };
    }
    written.0
}

/// Samples of one kind, and how often they are taken for it.
fn share(name: &str, kind: Guessed, make: fn(&mut Dice) -> Vec<u8>) -> f64 {
    const SAMPLES: u32 = 20_000;
    let mut dice = Dice(7);
    let mut taken = [0_u32; 4];
    for _ in 0..SAMPLES {
        taken[guess(&make(&mut dice), true).kind as usize] += 1;
    }
    let right = taken[kind as usize];
    println!("{name}: {right} of {SAMPLES} right; message, text, packed, bytes: {taken:?}");
    f64::from(right) / f64::from(SAMPLES)
}

#[test]
fn guesses_are_right_as_often_as_stated() {
    assert!(share("text", Guessed::Text, text) >= 0.99);
    assert!(share("messages", Guessed::Message, |dice| message(dice, 0)) >= 0.97);
    assert!(share("bytes", Guessed::Bytes, bytes) >= 0.97);
    assert!(share("packed", Guessed::Packed, packed) >= 0.60);
}

/// What a stated confidence is worth: of the guesses at least that sure, so many are right.
#[test]
fn confidence_means_what_it_says() {
    let mut dice = Dice(11);
    // Per band of ten percent: guesses, right ones.
    let mut bands = [(0_u32, 0_u32); 11];
    for round in 0..60_000_u32 {
        let (kind, sample) = match round % 6 {
            0..=2 => (Guessed::Text, text(&mut dice)),
            3 => (Guessed::Message, message(&mut dice, 1)),
            4 => (Guessed::Bytes, bytes(&mut dice)),
            _ => (Guessed::Packed, packed(&mut dice)),
        };
        let found = guess(&sample, true);
        let band = &mut bands[usize::from(found.confidence / 10)];
        band.0 += 1;
        band.1 += u32::from(found.kind == kind);
    }
    for (band, (count, right)) in bands.iter().enumerate().filter(|(_, (count, _))| *count > 300) {
        println!("stated {band}x %: {right} of {count} right");
        let stated = u32::try_from(band * 10).unwrap();
        assert!(
            right * 100 >= count * stated,
            "guesses stated {stated} % or more are less sure: {right} of {count}"
        );
    }
}
