//! A recording through the same stages, on one thread, as fast as it goes.

use std::path::Path;

use super::{Error, installation_key, outputs, settings, stored};
use crate::capture::pcapng;
use crate::capture::source::{Progress, RecordSource};
use crate::config::{Config, Listen};
use crate::export::{ClockOffset, Event, Snapshot};
use crate::pipeline::Pipeline;
use crate::telemetry::{Accounts, Metric};

/// Replays a pcapng or pcap file. What is learnt is kept in `store`, if one is named; else nothing is read or written.
pub fn replay(config: &Config, path: &Path, store: Option<&Path>) -> Result<(), Error> {
    let mut source = pcapng::open(path)?;
    let accounts = Accounts::default();
    let key = installation_key(config)?;
    // A replay is over in a moment; nobody could ask its metrics page.
    let mut config = config.clone();
    config.metrics.listen = Listen::Off;
    let mut outputs = outputs::start(&config, &accounts, ClockOffset::RECORDED, None)?;
    let store = stored::of_replay(&config, store, key.print(), &accounts.sensor)?;
    let settings = settings(&config, &accounts.sensor, key, ClockOffset::RECORDED)?;
    let mut pipeline = Pipeline::new(&settings).with_store(store);
    let mut records = Vec::new();
    let mut last_ns = 0;
    let ended = loop {
        let progress = source.next_batch(&mut records);
        accounts.sensor.add(Metric::Records, records.len() as u64);
        for record in records.drain(..) {
            last_ns = record.origin().time_ns.max(last_ns);
            pipeline.push(record, &mut |event| outputs.sink.send_waiting(event));
        }
        match progress {
            Ok(Progress::Ready | Progress::Idle) => {}
            Ok(Progress::Ended) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    pipeline.finish(&mut |event| outputs.sink.send_waiting(event));
    outputs
        .sink
        .send_waiting(Event::Accounts(Box::new(Snapshot::take(&accounts, last_ns))));
    outputs.sink.finish();
    Ok(ended?)
}
