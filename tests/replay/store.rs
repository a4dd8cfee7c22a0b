//! Nothing that was planted in a recording is in the bytes of the store, its log included, and a replay that was not
//! asked for a store leaves none.

use std::fs;

use sensor_user::export::ClockOffset;
use sensor_user::pipeline::Pipeline;
use sensor_user::store::{Bounds, FILE, Filter, Pace, Reader, Settings, Store, Whose};

use super::recordings;
use super::source::{records_of, settings};

#[test]
fn no_planted_value_is_in_the_store() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let path = scratch.path().join(FILE);
    let how = Settings {
        interval_ns: 1_000_000,
        bounds: Bounds {
            retention_ns: 0,
            max_bytes: 64 << 20,
        },
        pace: Pace::Replay,
        whose: Whose::Own,
        clock: ClockOffset::RECORDED,
        key: settings().key.print(),
    };
    let mut reader = None;
    for (name, bytes) in recordings::all() {
        let file = scratch.path().join("recording");
        fs::write(&file, &bytes).expect("written");
        let settings = settings();
        let store = Store::open(&path, how, &settings.counters).expect("a store");
        // Whoever reads keeps the log from being taken into the file when the writer ends.
        let mut own = Reader::open(&path).expect("opened");
        own.endpoints(&Filter::default()).expect("read");
        reader = Some(own);
        let mut pipeline = Pipeline::new(&settings).with_store(Some(store));
        for record in records_of(&file).0 {
            pipeline.push(record, &mut |_| {});
        }
        pipeline.finish(&mut |_| {});
        for ending in ["", "-wal", "-shm"] {
            let path = scratch.path().join(format!("{FILE}{ending}"));
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for planted in recordings::PLANTED {
                let found = bytes
                    .windows(planted.len())
                    .any(|window| window == planted.as_bytes());
                assert!(!found, "{planted} of {name} in {}", path.display());
            }
        }
    }
    let found = reader
        .expect("a recording")
        .endpoints(&Filter::default())
        .expect("read");
    // What was searched is what it is taken for.
    assert!(
        found
            .rows
            .iter()
            .any(|row| !row.data.is_empty() && !row.findings.is_empty())
    );
}
