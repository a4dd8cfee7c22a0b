//! The watch against a stand-in for an API server: lists, changes, and every way to be lost.

mod server;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::kubernetes::Choice;
use crate::kubernetes::directory::Limits;
use server::{Mode, Server};

/// As an API server sends it, with what nobody asks for.
fn pod(name: &str, uid: &str, address: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "generateName": "cart-5d4f8c7b9-", "namespace": "shop", "uid": uid,
            "creationTimestamp": "2026-11-20T10:11:12Z",
            "labels": {"app.kubernetes.io/name": "cart", "pod-template-hash": "5d4f8c7b9"},
            "annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-20T10:11:11Z"},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-5d4f8c7b9",
                "uid": "0aa5ba4c-9d10-4ba7-91ab-4dc9cdbd4c6b", "controller": true, "blockOwnerDeletion": true,
            }],
            "managedFields": [{
                "manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": "2026-11-20T10:11:15Z",
                "fieldsType": "FieldsV1", "subresource": "status",
                "fieldsV1": {"f:status": {"f:podIPs": {".": {}, "k:{\"ip\":\"10.1.0.7\"}": {".": {}, "f:ip": {}}}}},
            }],
        },
        "spec": {
            "nodeName": "node-1", "serviceAccountName": "cart", "restartPolicy": "Always",
            "containers": [{"name": "cart", "image": "cart:1", "env": [{"name": "PASSWORD", "value": "planted"}]}],
        },
        "status": {
            "phase": "Running", "hostIP": "192.0.2.1", "podIP": address, "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-20T10:11:15Z"}],
            "containerStatuses": [{"name": "cart", "ready": true, "restartCount": 0, "image": "cart:1",
                "imageID": "sha256:1", "containerID": "containerd://2", "state": {"running": {}}}],
        },
    })
}

fn namespace(name: &str, watch: Option<&str>) -> Value {
    let annotations = watch.map_or(json!({}), |watch| json!({"api-sensor/watch": watch}));
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": name, "uid": format!("uid-of-{name}"), "annotations": annotations},
    })
}

/// A directory that follows the server.
fn follow(server: &Server, watch: WatchedPods) -> Arc<Directory> {
    let directory = Arc::new(Directory::new(
        &[],
        watch,
        Limits::default(),
        Arc::default(),
        Arc::default(),
    ));
    directory.contact().line.set(Contact::Starting);
    let uri: hyper::Uri = format!("http://{}", server.address()).parse().unwrap();
    let access = Access {
        config: Box::new(move || Ok(Config::new(uri.clone()))),
        node: "node-1".to_owned(),
        watch_s: 60,
        silence: Duration::from_secs(2),
    };
    tokio::spawn(run(access, Arc::clone(&directory)));
    directory
}

/// Waits for what comes about by itself.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("30 s without: {what}");
}

fn knows(directory: &Directory, uid: &str) -> bool {
    directory.by_uid(uid).is_some()
}

fn is(directory: &Directory, contact: Contact) -> bool {
    directory.contact().line.contact() == contact
}

#[tokio::test]
async fn it_lists_the_nodes_pods_and_follows_their_changes() {
    let server = Server::start().await;
    server.put("pods", "a", pod("cart-5d4f8c7b9-a", "a", "10.1.0.7"));
    let directory = follow(&server, WatchedPods::Regardless);
    until("the list", || knows(&directory, "a")).await;
    assert!(is(&directory, Contact::InTouch));
    assert_eq!(&*directory.by_uid("a").unwrap().service, "cart");
    server.put("pods", "b", pod("cart-5d4f8c7b9-b", "b", "10.1.0.8"));
    until("a new pod", || knows(&directory, "b")).await;
    server.put("pods", "b", pod("cart-5d4f8c7b9-b", "b", "10.1.0.9"));
    let moved = || directory.by_address([10, 1, 0, 9].into()).is_some();
    until("a changed pod", moved).await;
    assert_eq!(directory.by_address([10, 1, 0, 8].into()), None);
    server.take_away("pods", "a");
    until("a deleted pod", || !knows(&directory, "a")).await;
    let asked = server.asked();
    let of_node = |line: &&String| line.contains("fieldSelector=spec.nodeName%3Dnode-1");
    assert_eq!(asked.iter().filter(of_node).count(), asked.len(), "{asked:?}");
    assert!(
        !asked.iter().any(|line| line.contains("/namespaces")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_was() {
    let server = Server::start().await;
    server.put("pods", "a", pod("a", "a", "10.1.0.7"));
    let directory = follow(&server, WatchedPods::Regardless);
    until("the list", || knows(&directory, "a")).await;
    for uid in ["b", "c"] {
        server.cut();
        server.put("pods", uid, pod(uid, uid, "10.1.0.8"));
        until("a pod after a cut", || knows(&directory, uid)).await;
    }
    let lists = |line: &&String| !line.contains("watch=true");
    assert_eq!(
        server.asked().iter().filter(lists).count(),
        1,
        "{:?}",
        server.asked()
    );
}

#[tokio::test]
async fn a_place_that_is_too_old_begins_a_new_list() {
    let server = Server::start().await;
    server.put("pods", "a", pod("a", "a", "10.1.0.7"));
    let directory = follow(&server, WatchedPods::Regardless);
    until("the list", || knows(&directory, "a")).await;
    server.answer(Mode::Drop);
    server.cut();
    server.take_away("pods", "a");
    server.put("pods", "b", pod("b", "b", "10.1.0.8"));
    server.compact();
    server.answer(Mode::Serve);
    until("the new list", || {
        knows(&directory, "b") && !knows(&directory, "a")
    })
    .await;
    assert_eq!(directory.counters().value(Metric::PodsListed), 2);
}

#[tokio::test]
async fn a_lost_server_takes_nothing_away_and_is_found_again_in_silence() {
    for mode in [
        Mode::Fail(500),
        Mode::Fail(401),
        Mode::Fail(429),
        Mode::Drop,
        Mode::Garbage,
        Mode::Hang,
    ] {
        let server = Server::start().await;
        server.put("pods", "a", pod("a", "a", "10.1.0.7"));
        let directory = follow(&server, WatchedPods::Regardless);
        until("the list", || knows(&directory, "a")).await;
        server.answer(mode);
        server.cut();
        // What is no event is told after the answer that carries it.
        let failures = || directory.counters().value(Metric::KubernetesFailures);
        until(&format!("failures by {mode:?}"), || failures() >= 2).await;
        assert!(mode == Mode::Garbage || is(&directory, Contact::Lost), "{mode:?}");
        assert!(knows(&directory, "a"), "{mode:?}");
        server.answer(Mode::Serve);
        until(&format!("the server after {mode:?}"), || {
            is(&directory, Contact::InTouch)
        })
        .await;
        server.put("pods", "b", pod("b", "b", "10.1.0.8"));
        until(&format!("a pod after {mode:?}"), || knows(&directory, "b")).await;
        assert!(knows(&directory, "a"), "{mode:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_asked_again() {
    let server = Server::start().await;
    server.answer(Mode::Fail(503));
    let directory = follow(&server, WatchedPods::All);
    until("the loss", || is(&directory, Contact::Lost)).await;
    server.put("pods", "a", pod("a", "a", "10.1.0.7"));
    server.answer(Mode::Serve);
    until("the list", || directory.choice("a") == Some(Choice::Unmarked)).await;
}

#[tokio::test]
async fn namespaces_say_what_their_pods_do_not() {
    let server = Server::start().await;
    server.put("pods", "a", pod("a", "a", "10.1.0.7"));
    server.put("namespaces", "shop", namespace("shop", Some("false")));
    let directory = follow(&server, WatchedPods::All);
    let said = |choice| directory.choice("a") == Some(choice);
    until("the annotation", || said(Choice::LeftAlone)).await;
    server.put("namespaces", "shop", namespace("shop", Some("true")));
    until("another one", || said(Choice::Chosen)).await;
    server.put("namespaces", "shop", namespace("shop", None));
    until("none", || said(Choice::Unmarked)).await;
    let of_namespaces = server
        .asked()
        .into_iter()
        .find(|line| line.contains("/namespaces"));
    assert!(
        of_namespaces.unwrap().contains("as=PartialObjectMetadata"),
        "no more than metadata is asked for"
    );
}

#[tokio::test]
async fn without_the_right_to_read_namespaces_pods_speak_for_themselves() {
    let server = Server::start().await;
    server.forbid("namespaces");
    server.put("pods", "a", pod("a", "a", "10.1.0.7"));
    let directory = follow(&server, WatchedPods::All);
    until("a choice", || directory.choice("a") == Some(Choice::Unmarked)).await;
    assert!(is(&directory, Contact::InTouch), "pods are told");
}
