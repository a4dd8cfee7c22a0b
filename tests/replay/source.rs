//! Files to records and to events.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sensor_user::capture::Record;
use sensor_user::capture::pcapng::{self, Account, Writer};
use sensor_user::capture::source::{Progress, RecordSource};
use sensor_user::exchange::secret::HashKey;
use sensor_user::export::Event;
use sensor_user::pipeline::{Pipeline, Settings};
use sensor_user::telemetry::Counters;

/// A folder of this crate.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Every record of a recording.
pub(crate) fn records_of(path: &Path) -> (Vec<Record>, Account) {
    let mut reader = pcapng::open(path).unwrap_or_else(|error| panic!("{error}"));
    let mut records = Vec::new();
    while reader
        .next_batch(&mut records)
        .unwrap_or_else(|error| panic!("{error}"))
        != Progress::Ended
    {}
    (records, *reader.account())
}

/// The recording of some records.
pub(crate) fn file_of(records: &[Record]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), Path::new("memory"), 0).expect("memory takes everything");
    for record in records {
        writer.write(record).expect("memory takes everything");
    }
    writer.finish().expect("memory takes everything")
}

/// Everything the pipeline says about a recording.
pub(crate) fn events_of(path: &Path) -> Vec<Event> {
    let mut pipeline = Pipeline::new(&settings());
    let mut events = Vec::new();
    for record in records_of(path).0 {
        pipeline.push(record, &mut |event| events.push(event));
    }
    pipeline.finish(&mut |event| events.push(event));
    events
}

pub(crate) fn settings() -> Settings {
    Settings {
        // Any key will do; the golden files hold its hashes.
        schema: Arc::default(),
        ..Settings::new(HashKey::new([7; 32]), Arc::new(Counters::default()))
    }
}
