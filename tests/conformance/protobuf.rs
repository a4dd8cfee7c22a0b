//! What a protobuf field holds, guessed without a schema, on fields of which the schema is known: every descriptor in
//! Google's published packages, and messages of each of their types filled by chance.

use std::process::Command;

use sensor_tests::programs::Program;
use sensor_tests::testbed;
use sensor_user::protocol::protobuf::{Guessed, guess};

use crate::suite::Suite;

/// Kind, how the samples call it, and the share of guesses, in percent, that must be right. Packed numbers of any size
/// cannot be told from bytes at random, so it is enough that they are not taken for a message or text.
const KINDS: [(Guessed, &str, usize); 4] = [
    (Guessed::Message, "message", 97),
    (Guessed::Text, "text", 98),
    (Guessed::Packed, "packed", 90),
    (Guessed::Bytes, "bytes", 95),
];

#[test]
fn protobuf_guesses() {
    let mut suite = Suite::open("protobuf");
    if !testbed::python().join("google/protobuf").is_dir() {
        return suite.absent("no protobuf from PyPI; cargo xtask test installs it");
    }
    let python = match Program::Python.find() {
        Ok(python) => python,
        Err(error) => return suite.absent(&format!("{error:#}")),
    };
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/programs/protobuf_samples.py"
    );
    let output = Command::new(python)
        .arg(script)
        .env("PYTHONPATH", testbed::python())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let samples = String::from_utf8(output.stdout).unwrap();
    let mut taken = [[0_usize; 4]; 4];
    for line in samples.lines() {
        let (kind, digits) = line.split_once(' ').unwrap();
        let at = KINDS.iter().position(|(_, name, _)| *name == kind).unwrap();
        let content: Vec<u8> = (0..digits.len() / 2)
            .map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap())
            .collect();
        let found = guess(&content, true).kind;
        let column = KINDS.iter().position(|(kind, ..)| *kind == found).unwrap();
        taken[at][column] += 1;
    }
    for ((_, name, least), (at, row)) in KINDS.iter().zip(taken.iter().enumerate()) {
        let (right, all) = (row[at], row.iter().sum::<usize>());
        println!("{name}: {right} of {all} right; taken for message, text, packed, bytes: {row:?}");
        let harmless = if *name == "packed" {
            row.get(3).copied().unwrap_or_default()
        } else {
            0
        };
        let outcome = if all > 0 && (right + harmless) * 100 >= all * least {
            Ok(())
        } else {
            Err(format!("{right} of {all} right, {least} % wanted"))
        };
        suite.case(name, outcome);
    }
    suite.finish();
}
