//! The stages joined for one thread: what the live sensor, replay, tests and benchmarks all run.
//!
//! A [`Shard`] holds the stateless heavy work of the connections that hash to it; the one [`Judge`] holds what needs
//! memory of the whole. `app` gives each its thread; [`Pipeline`] runs both on the caller's.

mod settings;
mod tell;
mod whole;

use std::sync::Arc;

use crate::callers::Callers;
use crate::capture::{Comm, ProcessKey, Record};
use crate::classify::{Classifier, Labels};
use crate::detect::{Engine, Finding, Observation};
use crate::exchange::credentials::Clients;
use crate::exchange::{Conversations, Ends, Exchange, Outcome, Patience, View};
use crate::export::{ClockOffset, Event};
use crate::flow::{FlowEvent, FlowTable, subject};
use crate::incident::alerts::Alerts;
use crate::inventory::Inventory;
use crate::inventory::schema::{self, Schemas};
use crate::kubernetes::Directory;
use crate::store::{Remembered, Store};
use crate::telemetry::strain::News;
use crate::telemetry::{Counters, Metric};
use crate::{detect, incident, inventory};

pub use settings::Settings;
pub use whole::Pipeline;

/// An exchange and what is in it: what a shard hands to the judge.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The exchange.
    pub exchange: Exchange,
    /// What is in it.
    pub labels: Labels,
}

impl AsRef<Exchange> for Observed {
    fn as_ref(&self) -> &Exchange {
        &self.exchange
    }
}

impl View for Observed {
    fn bytes_beside(&self) -> usize {
        self.labels.outline.held_bytes()
    }
}

/// Flow, protocol, exchange and classification of a share of the connections.
#[derive(Debug)]
pub struct Shard {
    flow: FlowTable,
    talk: Talk,
    classifier: Classifier,
    clients: Clients,
    counters: Arc<Counters>,
}

/// Exchange stage of a shard.
#[derive(Debug)]
struct Talk {
    conversations: Conversations,
    patience: Patience,
    /// Exchanges of the event under way.
    fresh: Vec<Exchange>,
    /// Exchanges to hand on.
    done: Vec<Exchange>,
}

impl Talk {
    fn push(&mut self, event: FlowEvent, now_ns: u64) {
        let bound = match &event {
            FlowEvent::Bound { stream, .. } if !self.patience.is_empty() => Some(*stream),
            _ => None,
        };
        self.conversations.push(event, &mut self.fresh);
        if let Some(connection) = bound.and_then(|stream| self.conversations.connection(&stream)) {
            self.patience.bound(connection, &mut self.done);
        }
        if !self.fresh.is_empty() {
            self.patience.hold(&mut self.fresh, now_ns);
            self.done.append(&mut self.fresh);
        }
    }
}

impl Shard {
    /// A shard without connections.
    pub fn new(settings: &Settings) -> Self {
        let counters = &settings.counters;
        Self {
            flow: FlowTable::new(settings.flow, Arc::clone(counters)),
            talk: Talk {
                conversations: Conversations::new(
                    settings.exchange,
                    settings.key.clone(),
                    Arc::clone(counters),
                ),
                patience: Patience::default(),
                fresh: Vec::new(),
                done: Vec::new(),
            },
            classifier: Classifier::with_schema(
                settings.classify,
                Arc::clone(&settings.schema),
                &settings.key,
            )
            .keyed(settings.key.clone()),
            clients: Clients::new(settings.key.clone(), &settings.trusted_proxies),
            counters: Arc::clone(counters),
        }
    }

    /// Takes one record; completed exchanges are appended to `out`.
    pub fn push(&mut self, record: Record, out: &mut Vec<Observed>) {
        let now_ns = record.origin().time_ns;
        let talk = &mut self.talk;
        self.flow.push(record, &mut |event| talk.push(event, now_ns));
        talk.patience.tick(now_ns, &mut talk.done);
        self.flush(out);
    }

    /// Lets time pass: declares lost what was held too long. `now_ns` is on the clock of the records.
    pub fn tick(&mut self, now_ns: u64, out: &mut Vec<Observed>) {
        let talk = &mut self.talk;
        self.flow.tick(now_ns, &mut |event| talk.push(event, now_ns));
        talk.patience.tick(now_ns, &mut talk.done);
        self.flush(out);
    }

    /// Names a process that ran before the capture began.
    pub fn set_comm(&mut self, process: ProcessKey, comm: Comm) {
        self.talk.conversations.set_comm(process, comm);
    }

    /// Ends every connection: the capture is over.
    pub fn finish(&mut self, out: &mut Vec<Observed>) {
        let talk = &mut self.talk;
        self.flow.finish(&mut |event| talk.push(event, u64::MAX));
        talk.patience.finish(&mut talk.done);
        self.flush(out);
    }

    fn flush(&mut self, out: &mut Vec<Observed>) {
        for mut exchange in self.talk.done.drain(..) {
            let mut labels = self.classifier.classify(&exchange);
            exchange.handover = self.classifier.take_handover();
            exchange.client = self.clients.client(&exchange);
            // One that a parser of calls met in the same body is one.
            labels.anomalies.retain(|odd| !exchange.anomalies.contains(odd));
            if !labels.anomalies.is_empty() {
                self.counters
                    .add(Metric::Anomalies, labels.anomalies.len() as u64);
                exchange.anomalies.extend(labels.anomalies.drain(..));
            }
            exchange.request.body.forget_decoded();
            if let Outcome::Answered(response) = &mut exchange.outcome {
                response.body.forget_decoded();
            }
            out.push(Observed { exchange, labels });
        }
    }
}

/// Inventory and detection over all connections. Takes times of the records, and goes by the calendar.
#[derive(Debug)]
pub struct Judge {
    clock: ClockOffset,
    ends: Ends<Observed>,
    bench: Bench,
}

/// What judges exchanges whose other end is settled.
#[derive(Debug)]
struct Bench {
    callers: Callers,
    inventory: Inventory,
    schemas: Schemas,
    engine: Engine,
    findings: Vec<Finding>,
    forgotten: Forgotten,
    alerts: Alerts,
    /// What outlives the process; none in a replay that was not asked for one.
    store: Option<Store>,
    /// Latest time told, by the calendar.
    now_ns: u64,
    pods: Option<Arc<Directory>>,
    counters: Arc<Counters>,
}

/// What there was no room for, as far as it was counted.
#[derive(Default, Debug)]
struct Forgotten {
    callers: u64,
    schemas: u64,
}

impl Forgotten {
    fn count(&mut self, callers: &Callers, schemas: &Schemas, counters: &Counters) {
        let (callers, schemas) = (callers.forgotten(), schemas.left_out());
        counters.add(Metric::CallersForgotten, callers.saturating_sub(self.callers));
        counters.add(Metric::SchemasLeftOut, schemas.saturating_sub(self.schemas));
        *self = Self { callers, schemas };
    }
}

/// What outlives a restart, in the order in which it is taken back. Another stage is another line.
macro_rules! remembered {
    ($bench:expr) => {{
        let (baseline, objects) = $bench.engine.learnt_mut();
        [
            &mut $bench.inventory as &mut dyn Remembered,
            &mut $bench.callers,
            baseline,
            objects,
            &mut $bench.alerts,
        ]
    }};
}

impl Judge {
    /// A judge who has seen nothing.
    pub fn new(settings: &Settings) -> Self {
        Self {
            clock: settings.clock,
            ends: Ends::default(),
            bench: Bench {
                callers: Callers::new(settings.callers),
                inventory: Inventory::with_seed(
                    settings.inventory,
                    Arc::clone(&settings.counters),
                    settings.key.seed(b"inventory"),
                ),
                schemas: Schemas::new(schema::Limits::default()),
                engine: Engine::new(detect::Limits::default(), Arc::clone(&settings.counters)),
                findings: Vec::new(),
                forgotten: Forgotten::default(),
                alerts: Alerts::new(settings.alerts.clone(), Arc::clone(&settings.counters)),
                store: None,
                now_ns: 0,
                pods: settings.pods.clone(),
                counters: Arc::clone(&settings.counters),
            },
        }
    }

    /// Keeps what is learnt in `store`, and begins with what it holds.
    #[must_use]
    pub fn with_store(mut self, store: Option<Store>) -> Self {
        let bench = &mut self.bench;
        bench.store = store;
        if let Some(store) = &mut bench.store {
            for stage in remembered!(bench) {
                store.recall(stage);
            }
            let known = bench.inventory.endpoints().map(|entry| entry.endpoint);
            store.recall_schemas(&mut bench.schemas, known);
        }
        self
    }

    /// Takes what a shard observed and judges it, unless the other end of the connection gave it already. A client's
    /// view waits for its server's. `now_ns` is on the clock of the records.
    pub fn take(&mut self, mut observed: Observed, now_ns: u64, sink: &mut dyn FnMut(Event)) {
        let Self { clock, ends, bench } = self;
        observed.exchange.retime(|time_ns| clock.unix_ns(time_ns));
        ends.push(observed, clock.unix_ns(now_ns), &mut |observed| {
            bench.judge(&observed, sink);
        });
        self.count_suppressed();
    }

    /// Lets time pass: judges what waited long enough for its other end, and tells what is over. `now_ns` is on the clock
    /// of the records.
    pub fn tick(&mut self, now_ns: u64, sink: &mut dyn FnMut(Event)) {
        let Self { clock, ends, bench } = self;
        let now_ns = clock.unix_ns(now_ns);
        ends.tick(now_ns, &mut |observed| bench.judge(&observed, sink));
        bench.alerts.tick(now_ns, &mut |told| sink(tell::event(told)));
        self.count_suppressed();
        self.bench.keep(now_ns);
    }

    /// Nothing more comes: judges what still waits, tells how it stands and keeps what was learnt.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        self.settle(sink);
        self.close(sink);
        self.keep_all();
    }

    /// Judges what still waits. After a fault in one exchange it goes on with the next when it is asked again.
    pub fn settle(&mut self, sink: &mut dyn FnMut(Event)) {
        let Self { ends, bench, .. } = self;
        ends.finish(&mut |observed| bench.judge(&observed, sink));
        self.count_suppressed();
    }

    /// Takes other decisions on what is told.
    pub fn decide(&mut self, alerts: incident::Settings) {
        self.bench.alerts.decide(alerts);
    }

    /// Exchanges that still wait.
    pub fn waiting(&self) -> usize {
        self.ends.waiting()
    }

    /// Tells how incidents stand.
    pub fn close(&mut self, sink: &mut dyn FnMut(Event)) {
        self.bench.alerts.finish(&mut |told| sink(tell::event(told)));
    }

    /// Hands everything that was learnt to the store and waits for it.
    pub fn keep_all(&mut self) {
        self.bench.keep_all();
    }

    /// After a fault in the middle of an exchange: its findings are not the next one's.
    pub fn recover(&mut self) {
        self.bench.findings.clear();
    }

    fn count_suppressed(&mut self) {
        let suppressed = self.ends.take_suppressed();
        self.bench.counters.add(Metric::ExchangesTwice, suppressed);
    }

    /// Names the endpoint, runs the rules and tells the outside: the exchange, whose times are the calendar's, first, then
    /// its findings.
    pub fn judge(&mut self, observed: &Observed, sink: &mut dyn FnMut(Event)) {
        self.bench.judge(observed, sink);
    }

    /// What outlives a restart.
    #[cfg(test)]
    pub(crate) fn remembered(&mut self) -> Vec<Vec<u8>> {
        let stages = remembered!(self.bench).into_iter();
        stages.map(|stage| stage.save().unwrap()).collect()
    }

    /// What was learnt of each endpoint's parameters and bodies.
    pub const fn schemas(&self) -> &Schemas {
        &self.bench.schemas
    }
}

impl Bench {
    /// Hands to the store what was learnt since the last flush, when one is due.
    fn keep(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        if let Some(store) = &mut self.store
            && store.is_due(now_ns)
        {
            store.flush(now_ns, |offer| {
                for stage in remembered!(self) {
                    offer.stage(stage);
                }
                offer.schemas(&self.schemas);
            });
        }
    }

    /// Hands everything to the store and waits for it.
    fn keep_all(&mut self) {
        if let Some(store) = &mut self.store {
            store.finish(self.now_ns, |offer| {
                for stage in remembered!(self) {
                    offer.stage(stage);
                }
                offer.schemas(&self.schemas);
            });
        }
    }

    fn judge(&mut self, observed: &Observed, sink: &mut dyn FnMut(Event)) {
        let caller = self.callers.observe(&observed.exchange);
        let inventory::Seen {
            endpoint,
            identity,
            history,
            confidence,
            ..
        } = self.inventory.observe(&observed.exchange, &observed.labels.calls);
        self.follow();
        let seen = Observation {
            exchange: &observed.exchange,
            labels: &observed.labels,
            endpoint: &endpoint,
            known: identity,
            caller: &caller,
        };
        let alerts = &self.alerts;
        self.engine.judge(
            &seen,
            &history,
            &|mark| alerts.is_suppressed(mark),
            &mut self.findings,
        );
        if identity.is_some() {
            self.learn(&seen);
        }
        if let Some(store) = &mut self.store {
            // What is no endpoint is kept for what was found there only.
            if identity.is_some() || !self.findings.is_empty() {
                store.exchange(&seen, confidence);
                self.findings.iter().for_each(|finding| store.finding(finding));
            } else {
                store.probe(&seen);
            }
        }
        let pods = tell::pods(&observed.exchange.connection, self.pods.as_deref());
        for finding in &mut self.findings {
            finding.pod.clone_from(&pods.own);
        }
        let summary = tell::summary(&seen, pods);
        self.counters.add(Metric::Exchanges, 1);
        self.counters
            .add(Metric::ExchangesPartial, u64::from(summary.partial));
        let now_ns = summary.time_ns;
        let status = summary.status;
        sink(Event::Exchange(summary));
        let mut has_told = false;
        self.alerts
            .take(now_ns, self.engine.marks(), &mut self.findings, &mut |told| {
                has_told = true;
                sink(tell::event(told));
            });
        // Who looks for what is not there finds no endpoints.
        let is_first = identity.is_some() && history.exchanges == 0;
        self.counters.strain().judged(
            subject(&observed.exchange.connection.stream),
            news(is_first || has_told, status),
        );
    }
}

/// What an exchange brings: an endpoint or a finding that was not known, an error or a refusal, or nothing.
const fn news(is_new: bool, status: u16) -> News {
    match status {
        _ if is_new => News::OfProcess,
        401 | 403 | 500.. => News::OfConnection,
        _ => News::None,
    }
}

impl Bench {
    /// What was learnt of an endpoint goes with it when its template is corrected.
    fn follow(&mut self) {
        for change in self.inventory.take_changes() {
            self.schemas.follow(&change);
            self.engine.follow(&change);
            self.alerts.follow(&change);
            if let Some(store) = &mut self.store {
                store.follow(&change);
            }
        }
    }

    /// Schemas, after the rules: what is new is judged before it is known.
    fn learn(&mut self, seen: &Observation<'_>) {
        let exchange = seen.exchange;
        let facts = schema::Seen::of(exchange, seen.caller);
        self.schemas.observe(seen.endpoint, &seen.labels.outline, &facts);
        self.schemas
            .observe_target(seen.endpoint, exchange.request.target().expose(), &facts);
        self.forgotten.count(&self.callers, &self.schemas, &self.counters);
    }
}

#[cfg(test)]
mod tests;
