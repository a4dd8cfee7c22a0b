//! Who waits for the directory, how long, and who is judged again.

use serde_json::json;

use super::*;
use crate::capture::{Comm, Origin, ProcessKey};
use crate::config::WatchedPods;
use crate::kubernetes::directory::{Limits, Step};
use crate::kubernetes::pod::Served;
use crate::telemetry::contact::Contact;

const UID: &str = "1f0c9f6e-2a8b-4c5d-9e7f-0123456789ab";

fn waiting() -> Waiting {
    let directory = Directory::new(
        &[],
        WatchedPods::All,
        Limits::default(),
        Arc::default(),
        Arc::default(),
    );
    directory.without_namespaces();
    directory.contact().line.set(Contact::InTouch);
    Waiting::new(Arc::new(directory))
}

fn told(marked: &str) -> Step<Served> {
    let meta =
        json!({"name": "p", "namespace": "n", "uid": UID, "annotations": {"api-sensor/watch": marked}});
    Step::Apply(serde_json::from_value(json!({"metadata": meta})).unwrap())
}

fn start(pid: u32) -> ProcessEvent {
    let process = ProcessKey { pid, start_ns: 1 };
    ProcessEvent {
        origin: Origin {
            time_ns: 1,
            process,
            tid: pid,
            cgroup: 3,
        },
        comm: Comm::default(),
    }
}

fn pids(due: &Due) -> Vec<u32> {
    due.starts.iter().map(|event| event.origin.process.pid).collect()
}

fn unjudged(waiting: &Waiting) -> u64 {
    waiting.directory.counters().value(Metric::PodsUnjudged)
}

#[test]
fn a_start_waits_until_its_pod_is_known() {
    let mut waiting = waiting();
    assert_eq!(waiting.ask(&start(7), UID, 0), Answer::Wait);
    assert_eq!(pids(&waiting.due(HOLD_NS - 1)), [] as [u32; 0]);
    waiting.directory.pod(told("false"));
    assert_eq!(pids(&waiting.due(HOLD_NS - 1)), [7]);
    assert_eq!(waiting.ask(&start(8), UID, 0), Answer::Judge);
    assert_eq!(unjudged(&waiting), 0);
}

#[test]
fn nobody_waits_longer_than_the_bound() {
    let mut waiting = waiting();
    assert_eq!(waiting.ask(&start(7), UID, 10), Answer::Wait);
    assert_eq!(pids(&waiting.due(10 + HOLD_NS)), [7]);
    assert_eq!(unjudged(&waiting), 1);
    assert_eq!(pids(&waiting.due(u64::MAX)), [] as [u32; 0], "once");
}

#[test]
fn nobody_waits_for_an_api_server_that_is_lost() {
    let mut waiting = waiting();
    assert_eq!(waiting.ask(&start(7), UID, 0), Answer::Wait);
    waiting.directory.contact().line.set(Contact::Lost);
    assert_eq!(pids(&waiting.due(1)), [7]);
    assert_eq!(waiting.ask(&start(8), UID, 1), Answer::Judge);
    assert_eq!(unjudged(&waiting), 2);
}

#[test]
fn what_ran_already_waits_and_is_looked_at_when_it_is_known() {
    let mut waiting = waiting();
    waiting.begin(HashSet::from([UID.into(), "other".into()]), 0);
    assert!(waiting.due(1).pods.is_empty());
    waiting.directory.pod(told("false"));
    assert_eq!(waiting.due(2).pods, HashSet::from([UID.into()]));
    assert_eq!(waiting.due(2 + HOLD_NS).pods, HashSet::from(["other".into()]));
    assert_eq!(unjudged(&waiting), 1);
}

#[test]
fn a_changed_annotation_judges_places_and_processes_again_and_not_too_often() {
    let mut waiting = waiting();
    let place = Place { cgroup: 3, mounts: 4 };
    let container = Arc::new(Container {
        id: "c".into(),
        pod: Some(UID.into()),
        runtime: None,
    });
    waiting.directory.pod(told("true"));
    assert_eq!(waiting.ask(&start(7), UID, 0), Answer::Judge);
    waiting.judged(place, &container);
    waiting.due(0);
    waiting.directory.pod(told("true"));
    let due = waiting.due(SCAN_NS);
    assert!(due.places.is_empty() && due.pods.is_empty(), "the same");
    waiting.directory.pod(told("false"));
    let due = waiting.due(SCAN_NS);
    assert_eq!(due.places, [(place, Arc::clone(&container))]);
    assert_eq!(due.pods, HashSet::from([UID.into()]));
    waiting.directory.pod(told("true"));
    let due = waiting.due(SCAN_NS + 1);
    assert_eq!(
        (due.places.len(), due.pods.len()),
        (1, 0),
        "places are cheap, a scan is not"
    );
    assert_eq!(waiting.due(2 * SCAN_NS).pods.len(), 1);
}

#[test]
fn a_crowd_does_not_wait_without_bound() {
    let mut waiting = waiting();
    for pid in 0..2_000 {
        waiting.ask(&start(pid), UID, 0);
    }
    assert_eq!(waiting.starts.len(), MAX_HELD);
    assert_eq!(unjudged(&waiting), 2_000 - MAX_HELD as u64);
    for number in 0..20_000_u32 {
        waiting.ask(&start(1), &number.to_string(), 0);
    }
    assert!(waiting.seen.len() <= MAX_PLACES);
}
