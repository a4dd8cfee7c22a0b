//! A parsing thread that outlives a fault in a parser.
//!
//! Takes batches of records. Gives what was observed. A panic loses the state of this shard's streams and is counted;
//! the records behind it go on with a fresh state. Bounded by the shard's own limits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use crate::capture::Record;
use crate::capture::kernel::monotonic_ns;
use crate::pipeline::{Observed, Settings, Shard};
use crate::telemetry::Metric;

/// How often held records are reconsidered when nothing arrives.
const TICK: Duration = Duration::from_millis(50);

/// A shard and what is needed to make it anew.
pub(super) struct Guarded {
    shard: Shard,
    settings: Settings,
}

impl Guarded {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            shard: Shard::new(settings),
            settings: settings.clone(),
        }
    }

    /// Works until the sender is gone, or the judge.
    pub(super) fn run(mut self, inbox: &Receiver<Vec<Record>>, judge: &SyncSender<Vec<Observed>>) {
        let mut observed = Vec::new();
        loop {
            match inbox.recv_timeout(TICK) {
                Ok(batch) => self.take(batch, &mut observed),
                Err(RecvTimeoutError::Timeout) => {
                    self.guarded(|shard| shard.tick(monotonic_ns(), &mut observed));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if !observed.is_empty() && judge.send(std::mem::take(&mut observed)).is_err() {
                return;
            }
        }
        self.guarded(|shard| shard.finish(&mut observed));
        // The judge gone first means that the sensor is being torn down: nobody is left to tell.
        judge.send(observed).ok();
    }

    /// Each record is taken once, whatever becomes of it.
    fn take(&mut self, batch: Vec<Record>, observed: &mut Vec<Observed>) {
        let mut records = batch.into_iter();
        while records.len() > 0 {
            self.guarded(|shard| {
                for record in records.by_ref() {
                    fault(&record);
                    shard.push(record, observed);
                }
            });
        }
    }

    fn guarded(&mut self, work: impl FnOnce(&mut Shard)) {
        if catch_unwind(AssertUnwindSafe(|| work(&mut self.shard))).is_err() {
            self.settings.counters.add(Metric::ShardPanics, 1);
            self.shard = Shard::new(&self.settings);
        }
    }
}

/// A fault on demand, so that tests see what becomes of one. Release builds have none.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "the fault that the guard is tested with")]
fn fault(record: &Record) {
    if let Record::Data(data) = record
        && data.bytes.starts_with(b"GET /api-sensor-fault/panic ")
    {
        panic!("a fault was asked for");
    }
}

#[cfg(not(debug_assertions))]
const fn fault(_record: &Record) {}
