//! Who tells, and of whom: resources by OpenTelemetry's semantic conventions.
//!
//! Takes the configuration and connections. Gives resources, encoded. Bounded by the configuration.

use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource as Sdk;

use super::wire;
use crate::config;
use crate::exchange::Connection;
use crate::export::field::{self, Fields, Value};

/// The sensor's own attributes, and those that its host shares with whom it watches.
#[derive(Debug)]
pub(super) struct Resource {
    service: String,
    host: Option<String>,
    /// As configured: of the deployment.
    further: Vec<(String, String)>,
}

impl Resource {
    pub(super) fn of(otlp: &config::Otlp) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let further = otlp
            .resource
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        Self {
            service: otlp.service_name.clone(),
            host: host.map(|name| name.trim().to_owned()),
            further: further.collect(),
        }
    }

    /// What the configuration says goes before what was found out.
    fn sensor(&self) -> Vec<(&str, &str)> {
        let mut all = vec![
            ("service.name", self.service.as_str()),
            ("service.version", env!("CARGO_PKG_VERSION")),
        ];
        all.extend(self.shared());
        all
    }

    fn shared(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<_> = self
            .further
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        all.retain(|(name, _)| !matches!(*name, "service.name" | "service.version"));
        let mut add = |name, value| {
            if !all.iter().any(|(known, _)| *known == name) {
                all.push((name, value));
            }
        };
        add("os.type", "linux");
        if let Some(host) = &self.host {
            add("host.name", host);
        }
        all
    }

    /// Of metrics.
    pub(super) fn of_metrics(&self) -> Sdk {
        let attributes = self.sensor().into_iter();
        let attributes = attributes.map(|(name, value)| KeyValue::new(name.to_owned(), value.to_owned()));
        Sdk::builder_empty().with_attributes(attributes).build()
    }

    /// Of log records: `Resource`, attributes 1.
    pub(super) fn of_sensor(&self) -> Bytes {
        encoded(&self.sensor(), &Vec::new())
    }

    /// Of spans: the process that took part in the exchange. Its service is not known by name but for its executable's
    /// (semantic conventions, Service: `unknown_service:` and the name of the process).
    pub(super) fn of_watched(&self, connection: &Connection) -> Bytes {
        let comm = connection.comm.to_string();
        let service = format!("unknown_service:{comm}");
        let mut shared = vec![
            ("service.name", service.as_str()),
            ("process.executable.name", &comm),
        ];
        shared.extend(self.shared());
        let mut fields = vec![("process.pid", Value::Count(connection.process.pid.into()))];
        field::of_container(connection.container.as_deref(), &mut fields);
        encoded(&shared, &fields)
    }
}

fn encoded(texts: &[(&str, &str)], fields: &Fields<'_>) -> Bytes {
    let mut out = Vec::new();
    for (name, value) in texts {
        wire::attribute(&mut out, 1, name, &Value::Text((*value).into()));
    }
    for (name, value) in fields {
        wire::attribute(&mut out, 1, name, value);
    }
    out.into()
}
