//! The directory by hand, and against a plain model.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::Kubernetes;
use crate::kubernetes::Workload;
use crate::kubernetes::pod::MAX_TEXT;

fn directory(watch: WatchedPods, limits: Limits) -> Directory {
    let labels = Kubernetes::default().labels;
    Directory::new(&labels, watch, limits, Arc::default(), Arc::default())
}

fn served(object: serde_json::Value) -> Served {
    serde_json::from_value(object).unwrap()
}

/// A pod of a `Deployment`.
fn pod(uid: &str, address: &str, marked: Option<&str>) -> Served {
    let annotations = marked.map_or(json!({}), |marked| json!({"api-sensor/watch": marked}));
    served(json!({
        "metadata": {
            "name": format!("cart-5d4f8c7b9-{uid}"), "namespace": "shop", "uid": uid,
            "labels": {"app.kubernetes.io/name": "cart", "pod-template-hash": "5d4f8c7b9", "secret": "x"},
            "annotations": annotations,
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-5d4f8c7b9", "uid": "r", "controller": true},
            ],
        },
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    }))
}

#[test]
fn a_pod_is_found_by_uid_and_by_address() {
    let directory = directory(WatchedPods::All, Limits::default());
    directory.pod(Step::Apply(pod("u1", "10.1.0.7", None)));
    let found = directory.by_uid("u1").unwrap();
    assert_eq!((&*found.name, &*found.namespace), ("cart-5d4f8c7b9-u1", "shop"));
    assert_eq!(found.node.as_deref(), Some("node-1"));
    assert_eq!(found.workload, Some((Workload::Deployment, "cart".into())));
    let label = ("k8s.pod.label.app.kubernetes.io/name".into(), "cart".into());
    assert_eq!(found.labels, [label], "what was not asked for is not kept");
    for address in ["10.1.0.7", "::ffff:10.1.0.7"] {
        assert_eq!(
            directory.by_address(address.parse().unwrap()).as_ref(),
            Some(&found)
        );
    }
    directory.pod(Step::Delete(pod("u1", "10.1.0.7", None)));
    assert_eq!(directory.by_uid("u1"), None);
    assert_eq!(directory.by_address("10.1.0.7".parse().unwrap()), None);
}

#[test]
fn an_address_that_is_not_one_pods_names_nobody() {
    let directory = directory(WatchedPods::All, Limits::default());
    let by = |address: &str| directory.by_address(address.parse().unwrap());
    directory.pod(Step::Apply(pod("u1", "10.1.0.7", None)));
    directory.pod(Step::Apply(pod("u2", "10.1.0.7", None)));
    assert_eq!(by("10.1.0.7"), None, "two claim it");
    let mut ended = pod("u1", "10.1.0.7", None);
    ended = Served {
        status: serde_json::from_value(json!({"phase": "Succeeded", "podIP": "10.1.0.7"})).unwrap(),
        ..ended
    };
    directory.pod(Step::Apply(ended));
    assert_eq!(by("10.1.0.7"), directory.by_uid("u2"), "the first has ended");
    let mut host = pod("u3", "192.0.2.1", None);
    host.spec = serde_json::from_value(json!({"nodeName": "node-1", "hostNetwork": true})).unwrap();
    directory.pod(Step::Apply(host));
    directory.pod(Step::Apply(pod("u4", "127.0.0.1", None)));
    assert_eq!((by("192.0.2.1"), by("127.0.0.1")), (None, None));
}

#[test]
fn services_are_named_by_annotation_label_workload_and_name() {
    let object = |annotations, labels, kind: &str| {
        let owner =
            json!([{"apiVersion": "apps/v1", "kind": kind, "name": "db", "uid": "o", "controller": true}]);
        let meta = json!({"name": "db-0", "namespace": "shop", "uid": "u", "annotations": annotations, "labels": labels,
            "ownerReferences": owner});
        served(json!({"metadata": meta})).pod(&[])
    };
    let named = json!({"resource.opentelemetry.io/service.name": "orders",
        "resource.opentelemetry.io/service.namespace": "retail"});
    let labels = json!({"app.kubernetes.io/name": "postgres", "app.kubernetes.io/instance": "orders-db"});
    let pod = object(named, labels.clone(), "StatefulSet");
    assert_eq!((&*pod.service, &*pod.service_namespace), ("orders", "retail"));
    let pod = object(json!({}), labels, "StatefulSet");
    assert_eq!((&*pod.service, &*pod.service_namespace), ("orders-db", "shop"));
    let name = json!({"app.kubernetes.io/name": "postgres"});
    assert_eq!(&*object(json!({}), name, "StatefulSet").service, "postgres");
    let pod = object(json!({}), json!({}), "StatefulSet");
    assert_eq!(pod.workload, Some((Workload::StatefulSet, "db".into())));
    assert_eq!(&*pod.service, "db");
    let pod = object(json!({}), json!({}), "Rollout");
    assert_eq!((pod.workload, &*pod.service), (None, "db-0"));
}

#[test]
fn workloads_are_what_controls_the_pod() {
    let of = |api: &str, kind: &str, name: &str, hash: &str, controller: bool| {
        let owner =
            json!([{"apiVersion": api, "kind": kind, "name": name, "uid": "o", "controller": controller}]);
        let meta =
            json!({"name": "p", "uid": "u", "labels": {"pod-template-hash": hash}, "ownerReferences": owner});
        served(json!({"metadata": meta})).pod(&[]).workload
    };
    let is = |workload, name: &str| Some((workload, name.into()));
    assert_eq!(
        of("apps/v1", "ReplicaSet", "web-7c9", "7c9", true),
        is(Workload::Deployment, "web")
    );
    assert_eq!(
        of("apps/v1", "ReplicaSet", "web", "7c9", true),
        is(Workload::ReplicaSet, "web")
    );
    assert_eq!(
        of("apps/v1", "ReplicaSet", "-7c9", "7c9", true),
        is(Workload::ReplicaSet, "-7c9")
    );
    assert_eq!(
        of("apps/v1", "DaemonSet", "log", "", true),
        is(Workload::DaemonSet, "log")
    );
    assert_eq!(
        of("batch/v1", "Job", "nightly-29", "", true),
        is(Workload::Job, "nightly-29")
    );
    assert_eq!(of("example.org/v1", "Job", "nightly-29", "", true), None);
    assert_eq!(
        of("batch/v1", "Job", "nightly-29", "", false),
        None,
        "an owner that does not control it"
    );
}

#[test]
fn a_static_pod_is_known_by_what_its_control_groups_carry() {
    let hash = "0123456789abcdef0123456789ABCDEF";
    let object = |kind: &str, uid: &str, name: &str| {
        served(
            json!({"metadata": {"name": name, "namespace": "kube-system", "uid": uid,
            "annotations": {"kubernetes.io/config.hash": hash, "kubernetes.io/config.mirror": hash},
            "ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": "n", "uid": "o", "controller": true}]}}),
        )
    };
    let directory = directory(WatchedPods::All, Limits::default());
    let known = |uid: &str| directory.by_uid(uid).map(|pod| pod.name.to_string());
    directory.pod(Step::Apply(object("Node", "m", "etcd")));
    assert_eq!(known("0123456789abcdef0123456789abcdef").as_deref(), Some("etcd"));
    assert_eq!(known("m"), None);
    directory.pod(Step::Apply(object("Node", "other", "evil")));
    directory.pod(Step::Delete(object("Node", "other", "evil")));
    assert_eq!(known("0123456789abcdef0123456789abcdef").as_deref(), Some("etcd"));
    directory.pod(Step::Apply(object("Pod", "x", "evil")));
    assert_eq!(known("x").as_deref(), Some("evil"), "no node owns it");
}

#[test]
fn a_list_takes_away_what_it_does_not_name_when_it_is_complete() {
    let directory = directory(WatchedPods::All, Limits::default());
    let known = || ["u1", "u2", "u3"].map(|uid| directory.by_uid(uid).is_some());
    for uid in ["u1", "u2"] {
        directory.pod(Step::Apply(pod(uid, "10.1.0.7", None)));
    }
    directory.pod(Step::Begin);
    directory.pod(Step::Apply(pod("u3", "10.1.0.8", None)));
    assert_eq!(known(), [true, true, true], "it may break off");
    directory.pod(Step::Begin);
    directory.pod(Step::Apply(pod("u2", "10.1.0.7", None)));
    directory.pod(Step::Complete);
    assert_eq!(known(), [false, true, false]);
    assert!(
        directory.by_address("10.1.0.7".parse().unwrap()).is_some(),
        "one claim is left"
    );
}

#[test]
fn a_pods_annotation_goes_before_its_namespaces() {
    let directory = directory(WatchedPods::All, Limits::default());
    let choices = || ["yes", "no", "odd", "none", "unknown"].map(|uid| directory.choice(uid));
    for (uid, marked) in [
        ("yes", Some("true")),
        ("no", Some("false")),
        ("odd", Some("maybe")),
        ("none", None),
    ] {
        directory.pod(Step::Apply(pod(uid, "10.1.0.7", marked)));
    }
    let (chosen, left) = (Some(Choice::Chosen), Some(Choice::LeftAlone));
    assert_eq!(
        choices(),
        [chosen, left, None, None, None],
        "namespaces are not known yet"
    );
    directory.take_changed();
    directory.namespace(Step::Begin);
    directory.namespace(Step::Apply(("shop".into(), Some(false))));
    directory.namespace(Step::Complete);
    assert_eq!(choices(), [chosen, left, left, left, None]);
    assert_eq!(directory.take_changed().len(), 4);
    directory.namespace(Step::Apply(("shop".into(), Some(false))));
    assert_eq!(directory.take_changed().len(), 0, "nothing new");
    directory.namespace(Step::Delete(("shop".into(), None)));
    let unmarked = Some(Choice::Unmarked);
    assert_eq!(choices(), [chosen, left, unmarked, unmarked, None]);
    directory.pod(Step::Apply(pod("none", "10.1.0.7", Some("false"))));
    assert_eq!(directory.choice("none"), left);
    assert!(directory.take_changed().contains("none"));
}

#[test]
fn texts_are_cut_and_a_full_table_counts() {
    let limits = Limits {
        pods: 2,
        namespaces: 1,
    };
    let directory = directory(WatchedPods::All, limits);
    let long = "ä".repeat(1 << 16);
    directory.pod(Step::Apply(served(
        json!({"metadata": {"uid": "long", "name": long, "namespace": long,
        "annotations": {"resource.opentelemetry.io/service.name": long},
        "labels": {"app.kubernetes.io/name": long}}}),
    )));
    let kept = directory.by_uid("long").unwrap();
    for text in [&kept.name, &kept.namespace, &kept.service, &kept.labels[0].1] {
        assert!((1..=MAX_TEXT).contains(&text.len()), "{}", text.len());
    }
    directory.pod(Step::Apply(pod("u1", "10.1.0.7", None)));
    directory.pod(Step::Apply(pod("u2", "10.1.0.8", None)));
    assert_eq!(directory.counters.value(Metric::PodsOverflow), 1);
    assert_eq!(directory.by_uid("u2"), None);
    let mut ended = pod("u1", "10.1.0.7", None);
    ended.status = serde_json::from_value(json!({"phase": "Failed"})).unwrap();
    directory.pod(Step::Apply(ended));
    directory.pod(Step::Apply(pod("u2", "10.1.0.8", None)));
    assert!(directory.by_uid("u2").is_some(), "one that has ended makes room");
    for name in ["a", "b"] {
        directory.namespace(Step::Apply((name.into(), Some(true))));
    }
    assert_eq!(directory.counters.value(Metric::PodsOverflow), 2);
}

#[derive(Clone, Debug)]
enum Op {
    Apply(u8, u8, Option<bool>),
    Delete(u8),
    Begin,
    Complete,
    Mark(Option<bool>),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..12_u8, 0..6_u8, any::<Option<bool>>()).prop_map(|(uid, ip, mark)| Op::Apply(uid, ip, mark)),
        4 => (0..12_u8).prop_map(Op::Delete),
        1 => Just(Op::Begin),
        1 => Just(Op::Complete),
        1 => any::<Option<bool>>().prop_map(Op::Mark),
    ]
}

/// What a directory without bounds and indexes would say.
#[derive(Default)]
struct Model {
    pods: BTreeMap<u8, (u8, Option<bool>, u32)>,
    round: u32,
    mark: Option<bool>,
}

impl Model {
    fn take(&mut self, op: &Op) {
        match op {
            Op::Apply(uid, ip, mark) => {
                self.pods.insert(*uid, (*ip, *mark, self.round));
            }
            Op::Delete(uid) => {
                self.pods.remove(uid);
            }
            Op::Begin => self.round += 1,
            Op::Complete => self.pods.retain(|_, (_, _, round)| *round == self.round),
            Op::Mark(mark) => self.mark = *mark,
        }
    }
}

fn address(number: u8) -> String {
    format!("10.1.0.{}", number + 1)
}

fn step_of(directory: &Directory, op: &Op) {
    let text = |mark: Option<bool>| mark.map(|mark| mark.to_string());
    match op {
        Op::Apply(uid, ip, mark) => {
            let pod = pod(&uid.to_string(), &address(*ip), text(*mark).as_deref());
            directory.pod(Step::Apply(pod));
        }
        Op::Delete(uid) => directory.pod(Step::Delete(pod(&uid.to_string(), "", None))),
        Op::Begin => directory.pod(Step::Begin),
        Op::Complete => directory.pod(Step::Complete),
        Op::Mark(mark) => directory.namespace(Step::Apply(("shop".into(), *mark))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_sequence_ends_as_the_model_does(ops in prop::collection::vec(op(), 0..80)) {
        let directory = directory(WatchedPods::All, Limits::default());
        directory.without_namespaces();
        let mut model = Model::default();
        for op in &ops {
            step_of(&directory, op);
            model.take(op);
        }
        for uid in 0..12_u8 {
            let known = model.pods.get(&uid);
            let text = uid.to_string();
            prop_assert_eq!(directory.by_uid(&text).is_some(), known.is_some());
            let choice = known.map(|(_, mark, _)| match mark.or(model.mark) {
                Some(true) => Choice::Chosen,
                Some(false) => Choice::LeftAlone,
                None => Choice::Unmarked,
            });
            prop_assert_eq!(directory.choice(&text), choice);
        }
        for number in 0..6_u8 {
            let mut claims = model.pods.iter().filter(|(_, (ip, _, _))| *ip == number);
            let only = claims.next().filter(|_| claims.next().is_none());
            let found = directory.by_address(address(number).parse().unwrap());
            let name = only.map(|(uid, _)| format!("cart-5d4f8c7b9-{uid}"));
            prop_assert_eq!(found.map(|pod| pod.name.to_string()), name);
        }
    }

    #[test]
    fn it_never_holds_more_than_its_bounds(ops in prop::collection::vec(op(), 0..200)) {
        let limits = Limits { pods: 4, namespaces: 1 };
        let directory = directory(WatchedPods::All, limits);
        for op in &ops {
            step_of(&directory, op);
            let table = directory.table.read().unwrap();
            prop_assert!(table.pods.len() <= limits.pods);
            prop_assert!(table.changed.len() <= limits.pods);
            let claims: usize = table.addresses.values().map(Vec::len).sum();
            let addresses: usize = table.pods.values().map(|entry| entry.value.addresses.len()).sum();
            prop_assert_eq!(claims, addresses);
        }
    }
}
