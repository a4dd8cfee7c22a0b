//! The stages joined for one thread: what the live sensor, replay, tests and benchmarks all run.
//!
//! A [`Shard`] holds the stateless heavy work of the connections that hash to it; the one [`Judge`] holds what needs
//! memory of the whole. `app` gives each its thread; [`Pipeline`] runs both on the caller's.

use std::sync::Arc;

use crate::capture::{Comm, ProcessKey, Record};
use crate::classify::{Classifier, Labels};
use crate::detect::{Engine, Finding, Observation};
use crate::exchange::secret::HashKey;
use crate::exchange::{Caller, Conversations, Exchange};
use crate::export::{Event, Summary};
use crate::flow::FlowTable;
use crate::inventory::Inventory;
use crate::telemetry::{Counters, Metric};
use crate::{classify, detect, exchange, flow, inventory};

/// Bounds and key of the whole pipeline.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of the flow table.
    pub flow: flow::Limits,
    /// Of pairing.
    pub exchange: exchange::Limits,
    /// Of classification.
    pub classify: classify::Limits,
    /// Of the inventory.
    pub inventory: inventory::Limits,
    /// Key of caller hashes.
    pub key: HashKey,
    /// Where losses are counted.
    pub counters: Arc<Counters>,
}

/// An exchange and what is in it: what a shard hands to the judge.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The exchange.
    pub exchange: Exchange,
    /// What is in it.
    pub labels: Labels,
}

/// Flow, protocol, exchange and classification of a share of the connections.
#[derive(Debug)]
pub struct Shard {
    flow: FlowTable,
    conversations: Conversations,
    classifier: Classifier,
    exchanges: Vec<Exchange>,
}

impl Shard {
    /// A shard without connections.
    pub fn new(settings: &Settings) -> Self {
        let counters = &settings.counters;
        Self {
            flow: FlowTable::new(settings.flow, Arc::clone(counters)),
            conversations: Conversations::new(settings.exchange, settings.key.clone(), Arc::clone(counters)),
            classifier: Classifier::new(settings.classify),
            exchanges: Vec::new(),
        }
    }

    /// Takes one record; completed exchanges are appended to `out`.
    pub fn push(&mut self, record: Record, out: &mut Vec<Observed>) {
        let (conversations, exchanges) = (&mut self.conversations, &mut self.exchanges);
        self.flow
            .push(record, &mut |event| conversations.push(event, exchanges));
        self.flush(out);
    }

    /// Lets time pass: declares lost what was held too long. `now_ns` is on the clock of the records.
    pub fn tick(&mut self, now_ns: u64, out: &mut Vec<Observed>) {
        let (conversations, exchanges) = (&mut self.conversations, &mut self.exchanges);
        self.flow
            .tick(now_ns, &mut |event| conversations.push(event, exchanges));
        self.flush(out);
    }

    /// Names a process that ran before the capture began.
    pub fn set_comm(&mut self, process: ProcessKey, comm: Comm) {
        self.conversations.set_comm(process, comm);
    }

    /// Ends every connection: the capture is over.
    pub fn finish(&mut self, out: &mut Vec<Observed>) {
        let (conversations, exchanges) = (&mut self.conversations, &mut self.exchanges);
        self.flow
            .finish(&mut |event| conversations.push(event, exchanges));
        self.flush(out);
    }

    fn flush(&mut self, out: &mut Vec<Observed>) {
        for exchange in self.exchanges.drain(..) {
            let labels = self.classifier.classify(&exchange);
            out.push(Observed { exchange, labels });
        }
    }
}

/// Inventory and detection over all connections.
#[derive(Debug)]
pub struct Judge {
    inventory: Inventory,
    engine: Engine,
    findings: Vec<Finding>,
    counters: Arc<Counters>,
}

impl Judge {
    /// A judge who has seen nothing.
    pub fn new(settings: &Settings) -> Self {
        Self {
            inventory: Inventory::new(settings.inventory, Arc::clone(&settings.counters)),
            engine: Engine::new(detect::Limits::default(), Arc::clone(&settings.counters)),
            findings: Vec::new(),
            counters: Arc::clone(&settings.counters),
        }
    }

    /// Names the endpoint, runs the rules and tells the outside: the exchange first, then its findings.
    pub fn judge(&mut self, observed: &Observed, sink: &mut dyn FnMut(Event)) {
        let (endpoint, history) = self.inventory.observe(&observed.exchange);
        let seen = Observation {
            exchange: &observed.exchange,
            labels: &observed.labels,
            endpoint: &endpoint,
        };
        self.engine.judge(&seen, &history, &mut self.findings);
        let summary = summarise(&seen);
        self.counters.add(Metric::Exchanges, 1);
        self.counters
            .add(Metric::ExchangesPartial, u64::from(summary.partial));
        self.counters.add(Metric::Findings, self.findings.len() as u64);
        sink(Event::Exchange(summary));
        for finding in self.findings.drain(..) {
            sink(Event::Finding(Box::new(finding)));
        }
    }
}

/// Both halves on one thread.
#[derive(Debug)]
pub struct Pipeline {
    shard: Shard,
    judge: Judge,
    observed: Vec<Observed>,
}

impl Pipeline {
    /// An empty pipeline.
    pub fn new(settings: &Settings) -> Self {
        Self {
            shard: Shard::new(settings),
            judge: Judge::new(settings),
            observed: Vec::new(),
        }
    }

    /// Takes one record.
    pub fn push(&mut self, record: Record, sink: &mut dyn FnMut(Event)) {
        self.shard.push(record, &mut self.observed);
        self.settle(sink);
    }

    /// Ends every connection.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        self.shard.finish(&mut self.observed);
        self.settle(sink);
    }

    fn settle(&mut self, sink: &mut dyn FnMut(Event)) {
        for observed in self.observed.drain(..) {
            self.judge.judge(&observed, sink);
        }
    }
}

fn summarise(seen: &Observation<'_>) -> Summary {
    let exchange = seen.exchange;
    let response = exchange.outcome.response();
    let whole = exchange.request.body.is_whole() && response.is_some_and(|response| response.body.is_whole());
    Summary {
        time_ns: exchange.request.time_ns.0,
        endpoint: Arc::clone(seen.endpoint),
        connection: Arc::clone(&exchange.connection),
        status: response.map_or(0, |response| response.status),
        duration_ns: response.map(|response| response.time_ns.1.saturating_sub(exchange.request.time_ns.0)),
        body_bytes: (
            exchange.request.body.total,
            response.map_or(0, |response| response.body.total),
        ),
        caller: match exchange.caller {
            Caller::Known { scheme, hash } => Some((scheme, hash)),
            Caller::Anonymous | Caller::Unseen => None,
        },
        data: seen
            .labels
            .found
            .iter()
            .map(|label| (label.place.half, label.kind, label.count))
            .collect(),
        early_data: exchange.request.early_data,
        partial: !whole,
    }
}
