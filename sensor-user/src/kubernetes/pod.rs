//! A pod: what is kept of what the API server tells.
//!
//! Takes the object as it is served. Gives the few texts that outputs show. Never keeps a label or an annotation that
//! was not asked for. Bounded by [`MAX_TEXT`], [`MAX_LABELS`] and [`MAX_ADDRESSES`].

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use serde::Deserialize;

use crate::config::MAX_LABELS;

/// Bytes of a text: names are at most 253 (RFC 1123 subdomains), values of labels 63; annotations have no such bound.
pub const MAX_TEXT: usize = 253;
/// Addresses of one pod: one of each family today.
pub const MAX_ADDRESSES: usize = 4;

/// Says on a pod or a namespace whether it is watched: `"true"` or `"false"`.
pub const WATCH: &str = "api-sensor/watch";
/// OpenTelemetry's annotations for a service's name and namespace.
const SERVICE_NAME: &str = "resource.opentelemetry.io/service.name";
const SERVICE_NAMESPACE: &str = "resource.opentelemetry.io/service.namespace";
/// The uid in control groups of a static pod: the API server gives its mirror another one.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";
const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";
/// Digits of it: MD5.
const HASH_DIGITS: usize = 32;
/// What a `Deployment` appends to the name of a `ReplicaSet`.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// What made a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    /// A `Deployment`.
    Deployment,
    /// A `ReplicaSet` that no `Deployment` made, as far as its name tells.
    ReplicaSet,
    /// A `StatefulSet`.
    StatefulSet,
    /// A `DaemonSet`.
    DaemonSet,
    /// A `Job`. Whether a `CronJob` made it is not said of pods.
    Job,
}

impl Workload {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Deployment,
        Self::ReplicaSet,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
    ];

    /// Attribute of its name (OpenTelemetry, Kubernetes).
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Deployment => "k8s.deployment.name",
            Self::ReplicaSet => "k8s.replicaset.name",
            Self::StatefulSet => "k8s.statefulset.name",
            Self::DaemonSet => "k8s.daemonset.name",
            Self::Job => "k8s.job.name",
        }
    }
}

/// One pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pod {
    /// Name.
    pub name: Box<str>,
    /// Namespace.
    pub namespace: Box<str>,
    /// Node.
    pub node: Option<Box<str>>,
    /// What made it, with its name.
    pub workload: Option<(Workload, Box<str>)>,
    /// Chosen labels: the attribute's whole name (`k8s.pod.label.KEY`) and the value.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// `service.name`, by annotation, label, workload or name.
    pub service: Box<str>,
    /// `service.namespace`, by annotation or the pod's.
    pub service_namespace: Box<str>,
    /// What it says itself about being watched.
    pub(super) marked: Option<bool>,
    /// Its own addresses; none while it shares the node's, has none yet, or has ended.
    pub(super) addresses: Vec<IpAddr>,
    /// All of its containers have ended.
    pub(super) ended: bool,
    /// The object's uid, which differs from that in control groups for static pods.
    pub(super) object: Box<str>,
}

/// The pods at both ends of an exchange, as far as they are known.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Peers {
    /// The one that was watched.
    pub own: Option<Arc<Pod>>,
    /// The one at the other end, found by its address.
    pub peer: Option<Arc<Pod>>,
}

/// A pod as it is served, without what is not looked at.
#[derive(Clone, Default, Debug, Deserialize)]
pub struct Served {
    /// Names, labels, annotations and owners.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Where it runs.
    #[serde(default)]
    pub spec: Spec,
    /// Its addresses.
    #[serde(default)]
    pub status: Status,
}

/// `PodSpec`, in part.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    node_name: Option<String>,
    host_network: bool,
}

/// `PodStatus`, in part.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<Address>,
}

/// `PodIP`.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(default)]
struct Address {
    ip: String,
}

impl Resource for Served {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Served {
    /// The uid that control groups name it by; `None` for an object without one.
    pub fn uid(&self) -> Option<Box<str>> {
        let uid = self.metadata.uid.as_deref().filter(|uid| !uid.is_empty())?;
        Some(self.hash().unwrap_or_else(|| cut(uid)))
    }

    /// Of a static pod, which its node owns. It has another form than every uid, so that nobody can pass for a pod of the
    /// API server's by it.
    fn hash(&self) -> Option<Box<str>> {
        let hash = annotation(&self.metadata, CONFIG_HASH)?;
        annotation(&self.metadata, CONFIG_MIRROR)?;
        let owned = controller(&self.metadata).is_some_and(|owner| owner.kind == "Node");
        let right = hash.len() == HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        (owned && right).then(|| hash.to_ascii_lowercase().into())
    }

    /// What is kept, with the labels of these names.
    pub fn pod(&self, labels: &[Box<str>]) -> Pod {
        let meta = &self.metadata;
        let name = text(meta.name.as_ref());
        let namespace = text(meta.namespace.as_ref());
        let workload = workload(meta);
        let named = |key| label(meta, key).filter(|value| !value.is_empty()).map(cut);
        let service = annotation(meta, SERVICE_NAME)
            .filter(|value| !value.is_empty())
            .map(cut)
            .or_else(|| named("app.kubernetes.io/instance"))
            .or_else(|| named("app.kubernetes.io/name"))
            .or_else(|| workload.as_ref().map(|(_, name)| name.clone()))
            .unwrap_or_else(|| name.clone());
        let service_namespace = annotation(meta, SERVICE_NAMESPACE)
            .filter(|value| !value.is_empty())
            .map_or_else(|| namespace.clone(), cut);
        let shown = labels.iter().filter_map(|key| {
            let value = cut(label(meta, key)?);
            Some((format!("k8s.pod.label.{key}").into(), value))
        });
        Pod {
            labels: shown.take(MAX_LABELS).collect(),
            node: self.spec.node_name.as_deref().map(cut),
            marked: marked(meta),
            addresses: self.addresses(),
            ended: self.has_ended(),
            object: text(meta.uid.as_ref()),
            name,
            namespace,
            workload,
            service,
            service_namespace,
        }
    }

    /// An address of a pod that has ended may be another's by now, and the node's is that of many.
    fn addresses(&self) -> Vec<IpAddr> {
        if self.spec.host_network || self.has_ended() {
            return Vec::new();
        }
        let one = self.status.pod_ip.as_deref();
        let all = self.status.pod_ips.iter().map(|address| address.ip.as_str());
        let mut found: Vec<IpAddr> = Vec::new();
        for text in one.into_iter().chain(all) {
            let Ok(address) = text.parse::<IpAddr>().map(|address| address.to_canonical()) else {
                continue;
            };
            // No pod's own, whatever its status says.
            let shared = address.is_loopback() || address.is_unspecified() || address.is_multicast();
            if !shared && found.len() < MAX_ADDRESSES && !found.contains(&address) {
                found.push(address);
            }
        }
        found
    }

    fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }
}

/// What an object says about being watched; any other value says nothing.
pub(super) fn marked(meta: &ObjectMeta) -> Option<bool> {
    match annotation(meta, WATCH)? {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn workload(meta: &ObjectMeta) -> Option<(Workload, Box<str>)> {
    let owner = controller(meta)?;
    let group = owner.api_version.split('/').next().unwrap_or_default();
    let workload = match (group, owner.kind.as_str()) {
        ("apps", "ReplicaSet") => {
            let made = label(meta, TEMPLATE_HASH)
                .filter(|hash| !hash.is_empty())
                .and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'))
                .filter(|name| !name.is_empty());
            match made {
                Some(name) => return Some((Workload::Deployment, cut(name))),
                None => Workload::ReplicaSet,
            }
        }
        ("apps", "StatefulSet") => Workload::StatefulSet,
        ("apps", "DaemonSet") => Workload::DaemonSet,
        ("batch", "Job") => Workload::Job,
        _ => return None,
    };
    Some((workload, cut(&owner.name)))
}

fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = meta.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

fn text(found: Option<&String>) -> Box<str> {
    cut(found.map_or("", String::as_str))
}

/// The beginning of a text, whole characters.
pub(super) fn cut(text: &str) -> Box<str> {
    let end = text.floor_char_boundary(MAX_TEXT);
    text.get(..end).unwrap_or_default().into()
}
