//! The bytes of each direction of each stream, in the order of their positions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sensor_tests::held::Held;
use sensor_tests::programs;
use sensor_tests::wait::Deadline;
use sensor_user::capture::kernel::{KernelSource, Options};
use sensor_user::capture::{Direction, Record, StreamKey};
use sensor_user::telemetry::Counters;

use crate::watch::soon;

/// How long nothing may come before it is believed that nothing more comes.
const QUIET: Duration = Duration::from_millis(300);

/// Streams by name and direction.
pub(crate) type Streams = HashMap<(StreamKey, Direction), Vec<u8>>;

/// Lets a client run while processes are watched, and gives what their TLS streams carried; nothing, said aloud,
/// where BPF is not allowed.
pub(crate) fn streams(what: &str, options: &Options, client: Held) -> Option<Streams> {
    let mut source = match KernelSource::start(options, Arc::new(Counters::default())) {
        Ok(source) => source,
        Err(error) if error.is_privilege() => {
            programs::skipped(what, &format_args!("no right to use BPF: {error}"));
            return None;
        }
        Err(error) => panic!("{what}: the sensor does not start: {error:?}"),
    };
    let mut running = client.release().unwrap();
    let mut records = Vec::new();
    let deadline = soon();
    while !running.has_ended().unwrap() {
        assert!(!deadline.is_over(), "{what}: the client does not end");
        source.poll(Duration::from_millis(5), &mut records);
    }
    let output = running.finish(soon()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: the client failed: {errors}");
    let mut quiet = Deadline::after(QUIET);
    while !quiet.is_over() {
        if source.poll(Duration::from_millis(5), &mut records) > 0 {
            quiet = Deadline::after(QUIET);
        }
    }
    source.stop();
    Some(joined(what, records))
}

fn joined(what: &str, records: Vec<Record>) -> Streams {
    let mut pieces: HashMap<_, Vec<_>> = HashMap::new();
    for record in records {
        match record {
            Record::Data(data) => {
                let key = (data.stream, data.direction);
                pieces.entry(key).or_default().push((data.position, data.bytes));
            }
            Record::Gap(gap) => panic!("{what}: {gap:?}"),
            _ => {}
        }
    }
    let in_order = |mut pieces: Vec<(u64, ::bytes::Bytes)>| {
        pieces.sort_unstable_by_key(|(position, _)| *position);
        let mut whole = Vec::new();
        for (position, bytes) in pieces {
            assert_eq!(position, whole.len() as u64, "{what}: bytes are missing");
            whole.extend_from_slice(&bytes);
        }
        whole
    };
    pieces
        .into_iter()
        .map(|(key, pieces)| (key, in_order(pieces)))
        .collect()
}
