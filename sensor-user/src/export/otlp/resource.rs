//! Who tells, and of whom: resources by OpenTelemetry's semantic conventions.
//!
//! Takes the configuration and connections. Gives resources, encoded. Bounded by the configuration.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource as Sdk;

use super::wire;
use crate::capture::{Comm, Container, ProcessKey};
use crate::config;
use crate::export::Summary;
use crate::export::field::{self, Fields, Value};
use crate::export::wording::clean;
use crate::kubernetes::Pod;

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

    /// Of spans: the process that took part in the exchange. Its service is the pod's (semantic conventions, Kubernetes:
    /// service attributes), else not known by name but for its executable's (`unknown_service:` and the name of the
    /// process).
    pub(super) fn of_watched(&self, call: &Summary) -> Bytes {
        let connection = &*call.connection;
        let pod = call.pods.own.as_deref();
        let comm = connection.comm.to_string();
        let unknown = format!("unknown_service:{comm}");
        let service = pod.map_or(unknown.as_str().into(), |pod| clean(&pod.service));
        let namespace = pod.map(|pod| clean(&pod.service_namespace));
        let mut fields = vec![("process.pid", Value::Count(connection.process.pid.into()))];
        field::of_container(connection.container.as_deref(), &mut fields);
        field::of_pod(pod, &mut fields);
        let mut texts = vec![
            ("service.name", &*service),
            ("process.executable.name", comm.as_str()),
        ];
        texts.extend(namespace.as_deref().map(|name| ("service.namespace", name)));
        let known = |name: &str| texts.iter().any(|(known, _)| *known == name);
        let told = |name: &str| fields.iter().any(|(known, _)| *known == name);
        let shared = self.shared().into_iter();
        let shared = shared.filter(|(name, _)| !known(name) && !told(name) && !is_sensors(name));
        let shared: Vec<_> = shared.collect();
        texts.extend(shared);
        encoded(&texts, &fields)
    }
}

/// Resources of processes, encoded, as long as they are the same.
#[derive(Default, Debug)]
pub(super) struct Watched(HashMap<ProcessKey, Encoded>);

/// One, and what it was made of.
#[derive(Debug)]
struct Encoded {
    comm: Comm,
    container: Option<Arc<Container>>,
    pod: Option<Arc<Pod>>,
    bytes: Bytes,
}

impl Watched {
    /// Processes known at a time: all are forgotten when one more comes, which costs making them again.
    const MOST: usize = 1024;

    /// As [`Resource::of_watched`].
    pub(super) fn of(&mut self, resource: &Resource, call: &Summary) -> Bytes {
        let (connection, pod) = (&*call.connection, &call.pods.own);
        if let Some(known) = self.0.get(&connection.process)
            && known.comm == connection.comm
            && known.container == connection.container
            && known.pod == *pod
        {
            return known.bytes.clone();
        }
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        let bytes = resource.of_watched(call);
        let encoded = Encoded {
            comm: connection.comm,
            container: connection.container.clone(),
            pod: pod.clone(),
            bytes: bytes.clone(),
        };
        self.0.insert(connection.process, encoded);
        bytes
    }
}

/// Whether a configured attribute is of the sensor's own pod, which the manifests name, and of nobody it watches.
fn is_sensors(name: &str) -> bool {
    let own = ["k8s.pod.", "k8s.container.", "k8s.daemonset.", "k8s.namespace."];
    own.iter().any(|prefix| name.starts_with(prefix))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use opentelemetry_proto::tonic::common::v1::any_value::Value as Told;
    use opentelemetry_proto::tonic::resource::v1::Resource as Decoded;
    use prost::Message as _;

    use super::*;
    use crate::capture::Role;
    use crate::export::sample;
    use crate::kubernetes::Peers;

    /// Texts of the resource of spans, each name once.
    fn texts(call: &Summary) -> BTreeMap<String, String> {
        let configured = [
            "k8s.cluster.name",
            "k8s.node.name",
            "k8s.namespace.name",
            "k8s.pod.name",
        ];
        let mut otlp = config::Otlp::default();
        otlp.resource
            .extend(configured.map(|name| (name.to_owned(), "configured".to_owned())));
        let decoded = Decoded::decode(Resource::of(&otlp).of_watched(call)).unwrap();
        let mut texts = BTreeMap::new();
        for attribute in decoded.attributes {
            let told = match attribute.value.unwrap().value.unwrap() {
                Told::StringValue(text) => text,
                other => format!("{other:?}"),
            };
            assert_eq!(texts.insert(attribute.key, told), None, "told twice");
        }
        texts
    }

    #[test]
    fn what_is_known_of_a_process_holds_while_it_is_the_same() {
        let resource = Resource::of(&config::Otlp::default());
        let mut watched = Watched::default();
        let mut call = sample::summary(Role::Server);
        let first = watched.of(&resource, &call);
        assert_eq!(first, resource.of_watched(&call));
        let pod = call.pods.own.take();
        assert_eq!(watched.of(&resource, &call), resource.of_watched(&call), "no pod");
        call.pods.own = pod;
        let mut connection = sample::connection(Role::Server);
        connection.comm = Comm(*b"another\0\0\0\0\0\0\0\0\0");
        call.connection = Arc::new(connection);
        let renamed = watched.of(&resource, &call);
        assert_eq!(renamed, resource.of_watched(&call));
        assert_ne!(renamed, first);
        assert_eq!(watched.0.len(), 1, "one process");
    }

    #[test]
    fn spans_are_of_the_pods_service() {
        let texts = texts(&sample::summary(Role::Server));
        for (name, expected) in [
            ("service.name", "shop"),
            ("service.namespace", "shop"),
            ("k8s.pod.name", "shop-7c9-x2v"),
            ("k8s.namespace.name", "shop"),
            ("k8s.node.name", "node-1"),
            ("k8s.deployment.name", "shop"),
            ("k8s.pod.label.tier", "web?[2J"),
            ("k8s.cluster.name", "configured"),
        ] {
            assert_eq!(texts.get(name).map(String::as_str), Some(expected), "{name}");
        }
    }

    #[test]
    fn without_a_known_pod_the_sensors_own_is_not_told_instead() {
        let mut call = sample::summary(Role::Server);
        call.pods = Peers::default();
        let texts = texts(&call);
        let told = |name: &str| texts.get(name).map(String::as_str);
        assert_eq!(told("service.name"), Some("unknown_service:curl"));
        assert_eq!(told("k8s.node.name"), Some("configured"), "the node is the same");
        for name in ["k8s.pod.name", "k8s.namespace.name", "service.namespace"] {
            assert_eq!(told(name), None, "{name}");
        }
    }
}
