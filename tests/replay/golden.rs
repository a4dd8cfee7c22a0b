//! What the sensor says about the recordings in `fixtures/pcap`, line by line. `cargo xtask bless` (or
//! `API_SENSOR_BLESS=1`) writes fixtures and expectations anew; the difference is for a person to review.

use std::fs;
use std::path::Path;

use sensor_user::export::json::Line;
use sensor_user::export::{ClockOffset, Event};

use super::recordings;
use super::source::{events_of, folder};

/// Compares `actual` with a committed file, or writes the file when blessing.
fn compare(path: &Path, actual: &[u8]) {
    if std::env::var_os("API_SENSOR_BLESS").is_some_and(|value| value == "1") {
        fs::write(path, actual).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        return;
    }
    let expected = fs::read(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}; run `cargo xtask bless`", path.display()));
    assert!(
        expected == actual,
        "{} differs; review, then `cargo xtask bless`.\n--- committed\n{}\n--- now\n{}",
        path.display(),
        String::from_utf8_lossy(&expected),
        String::from_utf8_lossy(actual)
    );
}

#[test]
fn recordings_are_what_their_generator_writes() {
    for (name, bytes) in recordings::all() {
        compare(&folder("fixtures/pcap").join(name), &bytes);
    }
}

#[test]
fn replay_says_what_it_said_before() {
    let mut seen = 0;
    for (name, bytes) in recordings::all() {
        // The generator's bytes rather than the committed ones: blessing must not depend on the order of tests.
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let path = scratch.path().join(name);
        fs::write(&path, &bytes).expect("written");
        let dump: String = events_of(&path).iter().map(|event| line(event) + "\n").collect();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(name);
        compare(&folder("golden").join(format!("{stem}.jsonl")), dump.as_bytes());
        seen += 1;
    }
    assert!(seen > 0, "no recording was replayed");
}

#[test]
fn no_planted_value_is_said() {
    for (name, bytes) in recordings::all() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let path = scratch.path().join(name);
        fs::write(&path, &bytes).expect("written");
        for event in events_of(&path) {
            let said = format!("{} {event:?}", line(&event));
            for planted in recordings::PLANTED {
                assert!(!said.contains(planted), "{name}: {planted} in {said}");
            }
        }
    }
}

fn line(event: &Event) -> String {
    serde_json::to_string(&Line::of(event, ClockOffset::RECORDED)).expect("events have a JSON form")
}
