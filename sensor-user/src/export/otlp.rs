//! OpenTelemetry: findings as log events, exchanges as spans and metrics, the sensor's accounts as metrics, over OTLP.
//!
//! Takes events (as an [`Exporter`]). Gives requests to receivers, from a thread of its own. Never waits for them: what
//! they do not take now waits in memory and, bounded, on disk. Every record ends as sent, or as lost for a reason that
//! is counted (`otlp_…` of docs/ACCOUNTS.md).

mod answer;
mod backoff;
mod batch;
mod client;
mod headers;
mod instrument;
mod metrics;
mod queue;
mod records;
mod resource;
mod sampler;
mod sender;
mod spool;
mod wire;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};

use super::field::{self, Fields};
use super::{ClockOffset, Event, Exporter, Summary};
use crate::config::{self, Signal};
use crate::detect::{Finding, Severity};
use crate::telemetry::contact::Contact;
use crate::telemetry::{self, Accounts, Counters, Metric};

use records::Told;
use sampler::{Choice, Sampler, SpanIds};

/// Name of the event that carries a finding.
const FINDING_EVENT: &str = "api_sensor.finding";
/// Of the event that carries an incident.
const INCIDENT_EVENT: &str = "api_sensor.incident";
/// Of the event that says what was held back.
const HELD_EVENT: &str = "api_sensor.held";
/// Below the state directory.
const SPOOL: &str = "spool";
/// Share of the spool that spans have: they must not take the room of findings.
const SPANS_SHARE: u64 = 4;
/// Time in which what waits may be sent when the sensor stops, and then to put the rest away: both fit what `sink`
/// grants an output.
const LAST_SENDS: Duration = Duration::from_secs(3);
const LAST: Duration = Duration::from_secs(4);

/// Why OTLP cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OtlpError {
    /// A header's source cannot be read. Never contains its value.
    #[error("cannot read OTLP header `{name}` from {source_name}")]
    Header {
        /// Header.
        name: String,
        /// Variable or file.
        source_name: String,
    },
    /// An address is none. Never contains it: somebody may have put credentials into it.
    #[error("the OTLP endpoint for {signal} is no address")]
    Address {
        /// Signal.
        signal: &'static str,
    },
    /// What TLS needs does not fit.
    #[error("cannot set up TLS to the OTLP receiver: {what}: {why}")]
    Tls {
        /// Setting, or what was read.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A file that the configuration names.
    #[error("cannot read {}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The spool's directory.
    #[error("cannot open the spool {}: {source}", path.display())]
    Spool {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The thread that sends.
    #[error("cannot start the thread that sends")]
    Thread(#[from] io::Error),
}

/// The exporter.
#[derive(Debug)]
pub struct Otlp {
    queue: Arc<queue::Queue>,
    /// Told when the thread that sends has ended.
    ended: Receiver<()>,
    metrics: SdkMeterProvider,
    instruments: instrument::Instruments,
    resource: resource::Resource,
    watched: resource::Watched,
    /// The resource of log records, encoded.
    own: Bytes,
    spans: bool,
    logs: bool,
    sampler: Sampler,
    /// The exchange before: a finding follows its own at once.
    last: Option<Last>,
    counters: Arc<Counters>,
    clock: ClockOffset,
}

#[derive(Debug)]
struct Last {
    event: Arc<Event>,
    ids: SpanIds,
    kept: bool,
}

impl Otlp {
    /// Starts to send. What waits goes to a spool below `state` if there is one. `environment` reads variables: the
    /// process's own.
    pub fn start(
        otlp: &config::Otlp,
        state: Option<&Path>,
        accounts: &Accounts,
        clock: ClockOffset,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, OtlpError> {
        let counters = Arc::clone(&accounts.sensor);
        let receiver = Arc::clone(&accounts.receiver);
        let client = client::Client::new(otlp, environment)?;
        for signal in Signal::ALL.into_iter().filter(|signal| client.sends(*signal)) {
            told_of(&receiver, signal).line.set(Contact::Starting);
        }
        let (logs, spans) = (client.sends(Signal::Logs), client.sends(Signal::Traces));
        let spools = match state.filter(|_| otlp.spool_bytes.0 > 0) {
            Some(state) => spools(state, otlp.spool_bytes.0, accounts)?,
            None => Vec::new(),
        };
        let queue_bytes = usize::try_from(otlp.queue_bytes.0).unwrap_or(usize::MAX);
        let queue = Arc::new(queue::Queue::new(
            queue_bytes,
            Arc::clone(&counters),
            Arc::clone(&receiver),
        ));
        let resource = resource::Resource::of(otlp);
        let metrics = provider(otlp, &resource, &queue, client.sends(Signal::Metrics));
        let scope = InstrumentationScope::builder("api-sensor")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let instruments = instrument::Instruments::new(&metrics, scope, accounts);
        let sender = sender::Sender {
            queue: Arc::clone(&queue),
            client,
            spools,
            counters: Arc::clone(&counters),
            receiver,
            state: sender::State::default(),
        };
        Ok(Self {
            queue,
            ended: start(sender)?,
            metrics,
            instruments,
            own: resource.of_sensor(),
            resource,
            watched: resource::Watched::default(),
            spans,
            logs,
            sampler: Sampler::new(otlp),
            last: None,
            counters,
            clock,
        })
    }

    fn exchange(&mut self, event: &Arc<Event>, call: &Summary) {
        self.instruments.call(call);
        let ids = self.sampler.ids(call.trace);
        let mut kept = false;
        if self.spans {
            match self.sampler.choose(call.trace, ids, call.time_ns) {
                Choice::Kept => kept = true,
                Choice::LeftOut => self.counters.add(Metric::SpansLeftOut, 1),
                Choice::HeldBack => self.counters.add(Metric::SpansHeldBack, 1),
            }
        }
        if kept {
            self.span(call, ids);
        }
        self.last = Some(Last {
            event: Arc::clone(event),
            ids,
            kept,
        });
    }

    fn span(&mut self, call: &Summary, ids: SpanIds) {
        let resource = self.watched.of(&self.resource, call);
        let span = records::span(call, ids, self.clock);
        self.queue.add(Signal::Traces, &resource, &span);
    }

    fn finding(&mut self, finding: &Finding) {
        self.instruments.finding(finding);
        let span = self.span_of(finding);
        let fields = field::of_finding(finding);
        self.log(FINDING_EVENT, finding.time_ns, finding.severity, span, &fields);
    }

    /// The span of the exchange that shows a finding: it is sent whatever the sampler said. Where no spans are sent, that
    /// of whoever sent the request.
    fn span_of(&mut self, finding: &Finding) -> Option<(SpanIds, bool)> {
        let last = self.last.as_mut()?;
        let Event::Exchange(call) = &*last.event else {
            return None;
        };
        if call.endpoint != finding.endpoint {
            return None;
        }
        if !self.spans {
            let context = call.trace?;
            let ids = SpanIds {
                trace: context.trace,
                span: context.parent,
            };
            return Some((ids, context.sampled));
        }
        let (ids, event) = (last.ids, Arc::clone(&last.event));
        if !std::mem::replace(&mut last.kept, true)
            && let Event::Exchange(call) = &*event
        {
            self.span(call, ids);
        }
        Some((ids, true))
    }

    fn log(
        &self,
        event: &'static str,
        time_ns: u64,
        severity: Severity,
        span: Option<(SpanIds, bool)>,
        fields: &Fields<'_>,
    ) {
        if !self.logs {
            return;
        }
        let told = Told {
            event,
            time_ns: self.clock.unix_ns(time_ns),
            severity,
            span,
        };
        self.queue
            .add(Signal::Logs, &self.own, &records::log(&told, fields));
    }
}

impl Exporter for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn export(&mut self, event: &Arc<Event>) -> io::Result<()> {
        match &**event {
            Event::Exchange(call) => self.exchange(event, call),
            Event::Finding(finding) => self.finding(finding),
            Event::Incident(incident) => {
                let fields = super::incident::fields(incident, self.clock);
                self.log(
                    INCIDENT_EVENT,
                    incident.time_ns.1,
                    incident.severity,
                    None,
                    &fields,
                );
            }
            Event::Held(held) => {
                let worst = held.by_severity().next();
                let severity = worst.map_or(Severity::Info, |(severity, _)| severity);
                self.log(HELD_EVENT, held.time_ns, severity, None, &field::of_held(held));
            }
            // The accounts are metrics: they are read when a batch is due.
            Event::Accounts(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self) {
        // The last metrics are in the queue when this returns.
        if let Err(error) = self.metrics.shutdown_with_timeout(Duration::from_secs(1)) {
            tracing::debug!(%error, "the last metrics were not collected");
        }
        self.queue.stop(now() + LAST_SENDS);
        if self.ended.recv_timeout(LAST).is_err() {
            tracing::warn!("gave up waiting for the thread that sends to the OTLP receiver");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the network and the disk are waited for by real time; no stage depends on it"
)]
fn now() -> Instant {
    Instant::now()
}

/// Where it is told how things stand with a signal.
const fn told_of(receiver: &telemetry::receiver::Receiver, signal: Signal) -> &telemetry::receiver::Signal {
    match signal {
        Signal::Logs => &receiver.logs,
        Signal::Traces => &receiver.traces,
        Signal::Metrics => &receiver.metrics,
    }
}

fn spools(state: &Path, most: u64, accounts: &Accounts) -> Result<Vec<(Signal, spool::Spool)>, OtlpError> {
    let spans = most / SPANS_SHARE;
    let mut spools = Vec::new();
    for (signal, most) in [(Signal::Logs, most - spans), (Signal::Traces, spans)] {
        let path = state.join(SPOOL).join(signal.name());
        let mut spool =
            spool::Spool::open(&path, most).map_err(|source| OtlpError::Spool { path, source })?;
        sender::tell_spool(signal, &mut spool, (&accounts.sensor, &accounts.receiver));
        accounts.sensor.add(Metric::OtlpRecovered, spool.records());
        if spool.records() > 0 {
            let (records, bytes) = (spool.records(), spool.bytes());
            tracing::info!(
                signal = signal.name(),
                records,
                bytes,
                "records of an earlier run wait in the spool"
            );
        }
        spools.push((signal, spool));
    }
    Ok(spools)
}

fn provider(
    otlp: &config::Otlp,
    resource: &resource::Resource,
    queue: &Arc<queue::Queue>,
    sends: bool,
) -> SdkMeterProvider {
    let provider = SdkMeterProvider::builder().with_resource(resource.of_metrics());
    if !sends {
        return provider.build();
    }
    let reader = PeriodicReader::builder(metrics::ToQueue(Arc::clone(queue)))
        .with_interval(otlp.interval.0)
        .build();
    provider.with_reader(reader).build()
}

/// Starts the thread that sends. It speaks to receivers on a runtime of its own: disk is waited for there, too.
fn start(sender: sender::Sender) -> Result<Receiver<()>, OtlpError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (end, ended) = sync_channel(1);
    thread::Builder::new().name("otlp".to_owned()).spawn(move || {
        runtime.block_on(sender.run());
        let _gave_up = end.send(()).is_err();
    })?;
    Ok(ended)
}

#[cfg(test)]
mod tests;
