//! Labels of a container, where its runtime keeps them in plain JSON on disk.
//!
//! Takes a container's id; gives [`Labels`]. Never asks the runtime's socket, which would be the right to start
//! containers. Docker's own labels, and the annotations in the bundle of containerd, CRI-O and podman; containerd keeps
//! the labels of Kubernetes in a database of its own, so there only what kubelet annotates is found. Bounded by
//! [`MAX_BYTES`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::container::{Container, Runtime};

/// Text of one file read at most; bundles with a hundred mounts are below 100 KiB.
const MAX_BYTES: u64 = 1 << 20;
/// Labels remembered of one container at most.
const MAX_LABELS: usize = 512;

/// Key to value.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Whether one of these holds: `key=value`, or `key` for any value.
    pub fn satisfy(&self, wanted: &[String]) -> bool {
        wanted.iter().any(|wanted| match wanted.split_once('=') {
            Some((key, value)) => self.0.get(key).is_some_and(|found| found == value),
            None => self.0.contains_key(wanted),
        })
    }

    fn take(&mut self, found: Option<&Value>) {
        let Some(found) = found.and_then(Value::as_object) else {
            return;
        };
        for (key, value) in found {
            if let Some(value) = value.as_str()
                && self.0.len() < MAX_LABELS
            {
                self.0.insert(key.clone(), value.to_owned());
            }
        }
    }
}

/// The labels of a container, none where no runtime's file is found. `host` is the root of the host's files.
pub fn read(host: &Path, container: &Container) -> Labels {
    let mut labels = Labels::default();
    for (runtime, path) in places(&container.id) {
        if container.runtime.is_some_and(|known| known != runtime) {
            continue;
        }
        if let Some(text) = json(&host.join(path)) {
            if runtime == Runtime::Docker {
                labels.take(text.pointer("/Config/Labels"));
            } else {
                take_annotations(&mut labels, &text);
            }
        }
    }
    labels
}

fn take_annotations(labels: &mut Labels, bundle: &Value) {
    let annotations = bundle.get("annotations");
    labels.take(annotations);
    // CRI-O keeps the labels of the pod and the container as JSON within an annotation (pkg/annotations: Labels).
    let nested = annotations
        .and_then(|annotations| annotations.get("io.kubernetes.cri-o.Labels")?.as_str())
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    labels.take(nested.as_ref());
}

/// Files of the runtimes' default directories: Docker's `data-root`, containerd's `state`, and the run root of
/// containers/storage, which CRI-O and podman share.
fn places(id: &str) -> Vec<(Runtime, PathBuf)> {
    let bundle = |start: &str, end: &str| PathBuf::from(format!("{start}/{id}/{end}"));
    let containerd = "run/containerd/io.containerd.runtime.v2.task";
    let storage = "run/containers/storage/overlay-containers";
    vec![
        (
            Runtime::Docker,
            bundle("var/lib/docker/containers", "config.v2.json"),
        ),
        (
            Runtime::Containerd,
            bundle(&format!("{containerd}/k8s.io"), "config.json"),
        ),
        (
            Runtime::Containerd,
            bundle(&format!("{containerd}/default"), "config.json"),
        ),
        (Runtime::Crio, bundle(storage, "userdata/config.json")),
        (Runtime::Podman, bundle(storage, "userdata/config.json")),
    ]
}

fn json(path: &Path) -> Option<Value> {
    let mut text = Vec::new();
    File::open(path)
        .ok()?
        .take(MAX_BYTES)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

/// Entry for fuzzing: a runtime's file.
pub fn fuzz(bytes: &[u8]) {
    if let Ok(file) = serde_json::from_slice::<Value>(bytes) {
        let mut labels = Labels::default();
        take_annotations(&mut labels, &file);
        assert!(labels.0.len() <= MAX_LABELS, "too many kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5c2bf1f0a9d04e0c8f8c1d3f4f5c6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5";

    fn container(runtime: Option<Runtime>) -> Container {
        Container {
            id: ID.into(),
            pod: None,
            runtime,
        }
    }

    fn host(path: &str, text: &str) -> tempfile::TempDir {
        let host = tempfile::tempdir().unwrap();
        let file = host.path().join(path.replace("ID", ID));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        host
    }

    fn satisfied(host: &tempfile::TempDir, runtime: Option<Runtime>, wanted: &str) -> bool {
        read(host.path(), &container(runtime)).satisfy(&[wanted.to_owned()])
    }

    #[test]
    fn docker_has_labels_in_its_own_file() {
        let text = r#"{"ID":"x","Config":{"Labels":{"api-sensor":"off","tier":"db"}}}"#;
        let host = host("var/lib/docker/containers/ID/config.v2.json", text);
        for runtime in [Some(Runtime::Docker), None] {
            assert!(satisfied(&host, runtime, "api-sensor=off"));
            assert!(satisfied(&host, runtime, "tier"));
            assert!(!satisfied(&host, runtime, "api-sensor=on"));
            assert!(!satisfied(&host, runtime, "other"));
        }
        assert!(!satisfied(&host, Some(Runtime::Crio), "tier"));
    }

    #[test]
    fn containerd_has_annotations_in_the_bundle() {
        let text = r#"{"annotations":{"io.kubernetes.cri.sandbox-namespace":"shop"}}"#;
        let path = "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json";
        let host = host(path, text);
        let wanted = "io.kubernetes.cri.sandbox-namespace=shop";
        assert!(satisfied(&host, Some(Runtime::Containerd), wanted));
    }

    #[test]
    fn crio_has_labels_within_an_annotation() {
        let text = r#"{"annotations":{"io.kubernetes.cri-o.Labels":"{\"app\":\"shop\"}"}}"#;
        let host = host(
            "run/containers/storage/overlay-containers/ID/userdata/config.json",
            text,
        );
        assert!(satisfied(&host, Some(Runtime::Crio), "app=shop"));
    }

    #[test]
    fn broken_files_have_no_labels() {
        for text in [
            "",
            "{",
            "[]",
            r#"{"Config":{"Labels":["a"]}}"#,
            r#"{"Config":{"Labels":{"a":1}}}"#,
        ] {
            let host = host("var/lib/docker/containers/ID/config.v2.json", text);
            assert_eq!(read(host.path(), &container(None)), Labels::default(), "{text}");
        }
    }
}
