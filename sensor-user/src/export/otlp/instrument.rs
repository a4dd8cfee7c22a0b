//! Exchanges, findings and accounts as instruments.

use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use sensor_common::counter;

use crate::detect::Finding;
use crate::export::series::{DURATION_BOUNDS, Labels, MESSAGES, MOST, Series};
use crate::export::{Summary, field, gauges, processes, wording};
use crate::telemetry::{Accounts, Metric};

/// A series: which histogram, and the attributes, made once.
#[derive(Debug)]
struct Measured {
    server: bool,
    attributes: Vec<KeyValue>,
}

impl Measured {
    fn of(labels: &Labels) -> Self {
        Self {
            server: labels.server,
            attributes: attributes(labels),
        }
    }
}

/// What is measured.
#[derive(Debug)]
pub(super) struct Instruments {
    series: Series<Measured>,
    server: Histogram<f64>,
    client: Histogram<f64>,
    unanswered: Counter<u64>,
    parts: Counter<u64>,
    data: Counter<u64>,
    findings: Counter<u64>,
}

impl Instruments {
    /// Makes every instrument; those of the accounts are read when a batch is due.
    pub(super) fn new(provider: &SdkMeterProvider, scope: InstrumentationScope, accounts: &Accounts) -> Self {
        let meter = provider.meter_with_scope(scope);
        observe(&meter, accounts);
        let duration = |name: &'static str, about: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(about);
            histogram.with_boundaries(DURATION_BOUNDS.to_vec()).build()
        };
        let counter = |name: &'static str, unit: &'static str, about: &'static str| {
            meter
                .u64_counter(name)
                .with_unit(unit)
                .with_description(about)
                .build()
        };
        Self {
            series: Series::new(MOST),
            server: duration(
                "http.server.request.duration",
                "Duration of HTTP server requests.",
            ),
            client: duration(
                "http.client.request.duration",
                "Duration of HTTP client requests.",
            ),
            unanswered: counter(
                "api_sensor.unanswered",
                "{request}",
                "Requests whose response was not seen.",
            ),
            parts: counter("api_sensor.messages", "{message}", MESSAGES),
            data: counter(
                "api_sensor.sensitive_data",
                "{value}",
                "Values of sensitive data seen.",
            ),
            findings: counter(
                "api_sensor.findings_by_rule",
                "{finding}",
                "Findings by rule and severity.",
            ),
        }
    }

    /// Counts a call.
    pub(super) fn call(&mut self, call: &Summary) {
        let Measured { server, attributes } = self.series.of(call, Measured::of);
        let histogram = if *server { &self.server } else { &self.client };
        match call.duration_ns {
            // No request: its duration would say nothing of the service.
            _ if call.part.is_some() => self.parts.add(1, attributes),
            Some(ns) => histogram.record(field::seconds(ns), attributes),
            None => self.unanswered.add(1, attributes),
        }
        for (half, kind, count) in &call.data {
            let half = KeyValue::new("api_sensor.half", wording::half_name(*half));
            self.data.add(
                u64::from(*count),
                &[half, KeyValue::new("api_sensor.data.kind", kind.name())],
            );
        }
    }

    /// Counts a finding.
    pub(super) fn finding(&self, finding: &Finding) {
        let rule = KeyValue::new("api_sensor.rule.id", finding.rule.id.0);
        self.findings.add(
            1,
            &[
                rule,
                KeyValue::new("api_sensor.severity", finding.severity.name()),
            ],
        );
    }
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    let route = if labels.server {
        "http.route"
    } else {
        "url.template"
    };
    let mut attributes = vec![
        KeyValue::new("http.request.method", labels.method.name()),
        KeyValue::new("server.address", labels.host.to_string()),
        KeyValue::new(route, labels.route.to_string()),
    ];
    if labels.status != 0 {
        attributes.push(KeyValue::new(
            "http.response.status_code",
            i64::from(labels.status),
        ));
    }
    if let Some(call) = labels.call {
        attributes.push(KeyValue::new("api_sensor.call.kind", call.name()));
    }
    if let Some(part) = labels.part {
        attributes.push(KeyValue::new("api_sensor.part", part.name()));
    }
    if labels.is_error() {
        attributes.push(KeyValue::new("error.type", labels.status.to_string()));
    }
    attributes
}

fn observe(meter: &Meter, accounts: &Accounts) {
    for metric in Metric::ALL {
        let counters = std::sync::Arc::clone(&accounts.sensor);
        let _registered = meter
            .u64_observable_counter(format!("api_sensor.{}", metric.name()))
            .with_description(metric.help().trim())
            .with_callback(move |observer| observer.observe(counters.value(*metric), &[]))
            .build();
    }
    observe_processes(meter, accounts);
    observe_gauges(meter, accounts);
    for kernel in counter::Counter::ALL {
        let counters = std::sync::Arc::clone(&accounts.kernel);
        let _registered = meter
            .u64_observable_counter(format!("api_sensor.kernel.{}", kernel.name()))
            .with_description(kernel.help().trim())
            .with_callback(move |observer| observer.observe(counters.value(*kernel), &[]))
            .build();
    }
}

fn observe_processes(meter: &Meter, accounts: &Accounts) {
    let shared = accounts.clone();
    let _registered = meter
        .u64_observable_gauge("api_sensor.process.bytes")
        .with_unit("By")
        .with_description("Bytes of a process by what became of them.")
        .with_callback(move |observer| {
            for process in processes::figures(&shared) {
                for (stage, value) in processes::STAGES.iter().zip(process.bytes) {
                    let attributes = [
                        KeyValue::new("process.pid", i64::from(process.pid)),
                        KeyValue::new("api_sensor.process.comm", process.comm.clone()),
                        KeyValue::new("api_sensor.stage", *stage),
                    ];
                    observer.observe(value, &attributes);
                }
            }
        })
        .build();
}

fn observe_gauges(meter: &Meter, accounts: &Accounts) {
    for gauge in gauges::GAUGES {
        let shared = accounts.clone();
        let _registered = meter
            .u64_observable_gauge(format!("api_sensor.{}", gauge.name))
            .with_unit(gauge.unit)
            .with_description(gauge.help)
            .with_callback(move |observer| {
                for (of, value) in (gauge.read)(&shared) {
                    match gauge.by {
                        Some(by) => observer.observe(value, &[KeyValue::new(by, of)]),
                        None => observer.observe(value, &[]),
                    }
                }
            })
            .build();
    }
}
