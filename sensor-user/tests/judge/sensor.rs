//! A shard and the judge, fed with the text of calls.

use std::sync::Arc;

use sensor_user::capture::Record;
use sensor_user::exchange::secret::HashKey;
use sensor_user::export::Event;
use sensor_user::inventory::EndpointRef;
use sensor_user::inventory::schema::Schemas;
use sensor_user::pipeline::{Judge, Observed, Settings, Shard};
use sensor_user::telemetry::Counters;

use super::counted::held;
use super::estate::{Call, Wire};

/// Connections, by which callers have addresses.
const CONNECTIONS: usize = 256;

/// Both halves of the pipeline on one thread, and what it told.
pub(crate) struct Sensor {
    wire: Wire,
    shard: Shard,
    judge: Judge,
    /// Bytes that the judge took, and gave back.
    held: [usize; 2],
    records: Vec<Record>,
    observed: Vec<Observed>,
    /// Rules that the last call was told by, and where it went.
    told: Vec<&'static str>,
    endpoint: Option<EndpointRef>,
    pub(crate) counters: Arc<Counters>,
}

impl Sensor {
    pub(crate) fn new() -> Self {
        let counters = Arc::new(Counters::default());
        let settings = Settings::new(HashKey::new([7; 32]), Arc::clone(&counters));
        let before = held();
        let judge = Judge::new(&settings);
        let mut records = Vec::new();
        let mut sensor = Self {
            held: [held(), before],
            wire: Wire::new(CONNECTIONS, &mut records),
            shard: Shard::new(&settings),
            judge,
            records: Vec::new(),
            observed: Vec::new(),
            told: Vec::with_capacity(64),
            endpoint: None,
            counters,
        };
        for record in records {
            sensor.shard.push(record, &mut sensor.observed);
        }
        sensor
    }

    /// Bytes that the judge holds.
    pub(crate) const fn held(&self) -> usize {
        self.held[0] - self.held[1]
    }

    pub(crate) fn call(&mut self, call: &Call) {
        self.send(call.caller, &call.messages());
    }

    /// One call by a caller.
    pub(crate) fn send(&mut self, caller: usize, messages: &[String; 2]) {
        let (mut records, connection) = (std::mem::take(&mut self.records), caller % CONNECTIONS);
        self.wire.call(connection, messages, &mut records);
        for record in records.drain(..) {
            self.shard.push(record, &mut self.observed);
        }
        self.records = records;
        self.told.clear();
        self.endpoint = None;
        let mut observed = std::mem::take(&mut self.observed);
        for one in &observed {
            self.counted(|sensor| {
                let (told, endpoint) = (&mut sensor.told, &mut sensor.endpoint);
                sensor.judge.judge(one, &mut |event| match event {
                    Event::Finding(finding) => told.push(finding.rule.id.0),
                    Event::Exchange(summary) => *endpoint = Some(summary.endpoint),
                    _ => {}
                });
            });
        }
        observed.clear();
        self.observed = observed;
    }

    /// Seconds go by.
    pub(crate) fn pause(&mut self, seconds: u64) {
        self.wire.time_ns += seconds * 1_000_000_000;
        let now_ns = self.wire.time_ns;
        self.counted(|sensor| sensor.judge.tick(now_ns, &mut |_| {}));
    }

    fn counted(&mut self, work: impl FnOnce(&mut Self)) {
        let before = held();
        work(self);
        self.held[0] += held();
        self.held[1] += before;
    }

    /// Rules that the last call was told by.
    pub(crate) fn told(&self) -> &[&'static str] {
        &self.told
    }

    /// The endpoint of the last call, as it is shown.
    pub(crate) fn endpoint(&self) -> Option<&EndpointRef> {
        self.endpoint.as_ref()
    }

    pub(crate) fn schemas(&self) -> &Schemas {
        self.judge.schemas()
    }

    /// Endpoints with a schema.
    pub(crate) fn endpoints(&self) -> usize {
        self.judge.schemas().sorted().len()
    }
}
