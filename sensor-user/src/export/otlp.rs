//! OpenTelemetry: findings as log events, exchanges and the sensor's accounts as metrics, over OTLP.
//!
//! Takes events (as an [`Exporter`]). Gives batches to one receiver. Never waits for it: log records beyond the bound
//! and those the receiver did not take are counted as [`Metric::ExportDropped`].

mod batch;
mod client;
mod instrument;
mod spool;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity as Number};
use opentelemetry::{InstrumentationScope, KeyValue, StringValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, SdkLogger, SdkLoggerProvider,
};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use tokio::runtime::Handle;

use super::field::{self, Fields, Value};
use super::{ClockOffset, Event, Exporter};
use crate::config;
use crate::detect::{Finding, Severity};
use crate::incident::Incident;
use crate::incident::budget::Held;
use crate::telemetry::{Accounts, Counters, Metric};

/// Name of the event that carries a finding.
const FINDING_EVENT: &str = "api_sensor.finding";
/// Of the event that carries an incident.
const INCIDENT_EVENT: &str = "api_sensor.incident";
/// Of the event that says what was held back.
const HELD_EVENT: &str = "api_sensor.held";

/// Records per request: the specification's default for batches.
const BATCH: usize = 512;
/// Time a record waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// Time one request may take: the specification's default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the last batch of each signal when the sensor stops: both fit what `sink` grants an output.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Why OTLP cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OtlpError {
    /// The exporter refuses its settings.
    #[error("cannot set up the OTLP exporter")]
    Build(#[from] opentelemetry_otlp::ExporterBuildError),
    /// A header's source cannot be read. Never contains its value.
    #[error("cannot read OTLP header `{name}` from {source_name}")]
    Header {
        /// Header.
        name: String,
        /// Variable or file.
        source_name: String,
    },
}

/// The exporter.
#[derive(Debug)]
pub struct Otlp {
    logs: SdkLoggerProvider,
    logger: SdkLogger,
    metrics: SdkMeterProvider,
    instruments: instrument::Instruments,
    flow: Flow,
    clock: ClockOffset,
}

/// Records on their way: bounded before the SDK's own queue, which drops without telling.
#[derive(Clone, Debug)]
struct Flow {
    waiting: Arc<AtomicUsize>,
    most: usize,
    counters: Arc<Counters>,
}

impl Otlp {
    /// Sets up both signals for `endpoint`. `queue` bounds the records that wait; `runtime` carries the connections.
    pub fn start(
        endpoint: &str,
        otlp: &config::Otlp,
        queue: usize,
        accounts: &Accounts,
        clock: ClockOffset,
        runtime: &Handle,
    ) -> Result<Self, OtlpError> {
        let headers = client::headers(otlp)?;
        let (log_exporter, metric_exporter) = client::exporters(endpoint, otlp.protocol, &headers, runtime)?;
        let flow = Flow {
            waiting: Arc::default(),
            most: queue,
            counters: Arc::clone(&accounts.sensor),
        };
        // The SDK's queue holds what `Flow` admits and never fills.
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(queue.saturating_add(1))
            .with_max_export_batch_size(BATCH.min(queue))
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let counted = Counted {
            exporter: log_exporter,
            flow: flow.clone(),
        };
        let processor = BatchLogProcessor::builder(counted)
            .with_batch_config(config)
            .build();
        let resource = resource(otlp);
        let logs = SdkLoggerProvider::builder()
            .with_resource(resource.clone())
            .with_log_processor(processor)
            .build();
        let reader = PeriodicReader::builder(metric_exporter)
            .with_interval(otlp.interval.0)
            .build();
        let metrics = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(reader)
            .build();
        let scope = InstrumentationScope::builder("api-sensor")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let instruments = instrument::Instruments::new(&metrics, scope.clone(), accounts);
        let logger = logs.logger_with_scope(scope);
        Ok(Self {
            logs,
            logger,
            metrics,
            instruments,
            flow,
            clock,
        })
    }

    fn finding(&self, finding: &Finding) {
        let fields = field::of_finding(finding);
        self.record(FINDING_EVENT, finding.time_ns, finding.severity, &fields);
    }

    fn incident(&self, incident: &Incident) {
        let fields = super::incident::fields(incident, self.clock);
        self.record(INCIDENT_EVENT, incident.time_ns.1, incident.severity, &fields);
    }

    fn held(&self, held: &Held) {
        let worst = held.by_severity().next();
        let severity = worst.map_or(Severity::Info, |(severity, _)| severity);
        self.record(HELD_EVENT, held.time_ns, severity, &field::of_held(held));
    }

    fn record(&self, event: &'static str, time_ns: u64, severity: Severity, fields: &Fields<'_>) {
        if !self.flow.admit() {
            return;
        }
        let mut record = self.logger.create_log_record();
        record.set_event_name(event);
        record.set_timestamp(self.clock.system_time(time_ns));
        record.set_severity_number(number(severity));
        record.set_severity_text(severity.name());
        let in_words = |name: &str| matches!(name, "api_sensor.evidence" | "api_sensor.explanation");
        if let Some((_, sentence)) = fields.iter().find(|(name, _)| in_words(name)) {
            record.set_body(any(sentence));
        }
        for (name, value) in fields {
            record.add_attribute(*name, any(value));
        }
        self.logger.emit(record);
    }
}

impl Exporter for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn export(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Exchange(call) => self.instruments.call(call),
            Event::Finding(finding) => {
                self.instruments.finding(finding);
                self.finding(finding);
            }
            Event::Incident(incident) => self.incident(incident),
            Event::Held(held) => self.held(held),
            // The accounts are metrics: they are read when a batch is due.
            Event::Accounts(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self) {
        let logs = self.logs.shutdown_with_timeout(SHUTDOWN);
        let metrics = self.metrics.shutdown_with_timeout(SHUTDOWN);
        let left = self.flow.waiting.swap(0, Ordering::AcqRel);
        self.flow.counters.add(Metric::ExportDropped, left as u64);
        for error in [logs, metrics].into_iter().filter_map(Result::err) {
            tracing::warn!(%error, left, "otlp receiver did not take the last batch");
        }
    }
}

impl Flow {
    fn admit(&self) -> bool {
        let admitted = self.waiting.fetch_add(1, Ordering::AcqRel) < self.most;
        if !admitted {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            self.counters.add(Metric::ExportDropped, 1);
        }
        admitted
    }

    fn done(&self, records: usize, taken: bool) {
        let subtract = |waiting: usize| Some(waiting.saturating_sub(records));
        let before = self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, subtract);
        if !taken {
            // Those that `finish` gave up were counted there.
            let known = before.unwrap_or_else(|same| same).min(records);
            self.counters.add(Metric::ExportDropped, known as u64);
        }
    }
}

/// Counts what passes, and what the receiver did not take.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    flow: Flow,
}

impl<E: LogExporter> LogExporter for Counted<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        static FAILED: crate::telemetry::log::Repeat = crate::telemetry::log::Repeat::new();
        let records = batch.iter().count();
        let result = self.exporter.export(batch).await;
        self.flow.done(records, result.is_ok());
        if let Err(error) = &result
            && let Some(repeats) = FAILED.pass()
        {
            tracing::warn!(%error, records, repeats, "otlp receiver did not take findings");
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

fn resource(otlp: &config::Otlp) -> Resource {
    let further = otlp
        .resource
        .iter()
        .map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(further)
        .with_service_name(otlp.service_name.clone())
        .build()
}

const fn number(severity: Severity) -> Number {
    match severity {
        Severity::Info => Number::Info,
        Severity::Low => Number::Info3,
        Severity::Medium => Number::Warn,
        Severity::High => Number::Error,
        Severity::Critical => Number::Fatal,
    }
}

fn any(value: &Value<'_>) -> AnyValue {
    let text = |text: &str| AnyValue::String(StringValue::from(text.to_owned()));
    match value {
        Value::Text(content) => text(content),
        Value::Count(number) => AnyValue::Int(i64::try_from(*number).unwrap_or(i64::MAX)),
        Value::Seconds(number) => AnyValue::Double(*number),
        Value::Flag(flag) => AnyValue::Boolean(*flag),
        Value::Texts(texts) => {
            AnyValue::ListAny(Box::new(texts.iter().map(|content| text(content)).collect()))
        }
    }
}

/// Headers by name, their values read.
type Headers = HashMap<String, String>;

#[cfg(test)]
mod tests;
