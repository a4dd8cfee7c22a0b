use std::sync::Arc;

use super::alerts::{Alerts, Told};
use super::suppress::Suppression;
use super::*;
use crate::capture::ProcessKey;
use crate::detect::Evidence;
use crate::detect::registry::RULES;
use crate::exchange::Method;
use crate::inventory::Endpoint;
use crate::telemetry::{Counters, Metric};

const MINUTE_NS: u64 = 60_000_000_000;

fn endpoint(template: &str) -> EndpointRef {
    Arc::new(Endpoint::rest(Method::Get, "api.example.com", template))
}

fn mark(rule: usize, severity: Severity, who: u16, minute: u64) -> Mark {
    let [high, low] = who.to_be_bytes();
    let mut hash = [0; 16];
    (hash[0], hash[1]) = (high, low);
    Mark {
        rule: RULES[rule].meta(),
        severity,
        confidence: Confidence(80),
        endpoint: endpoint("/orders/{id}"),
        about: About::Somebody,
        caller: Some(CallerHash(hash)),
        client: None,
        time_ns: minute * MINUTE_NS,
        writes: false,
        is_told: false,
    }
}

fn observe(incidents: &mut Incidents, marks: impl IntoIterator<Item = Mark>) -> Vec<Incident> {
    let mut told = Vec::new();
    for mark in marks {
        incidents.observe(&mark, None, &mut |incident| say(&mut told, incident));
    }
    told
}

/// Tells all.
fn say(told: &mut Vec<Incident>, incident: &Incident) -> bool {
    told.push(incident.clone());
    true
}

fn tick(incidents: &mut Incidents, now_ns: u64) -> Vec<Incident> {
    let mut told = Vec::new();
    incidents.tick(now_ns, &mut |incident| say(&mut told, incident));
    told
}

fn stages(told: &[Incident]) -> Vec<(&'static str, u64, Severity)> {
    told.iter()
        .map(|one| (one.stage.name(), one.findings, one.severity))
        .collect()
}

#[test]
fn an_incident_opens_grows_by_powers_and_closes_when_quiet() {
    let mut incidents = Incidents::new(Limits::default());
    let told = observe(
        &mut incidents,
        (0..120).map(|minute| mark(1, Severity::High, 7, minute / 4)),
    );
    let high = Severity::High;
    assert_eq!(
        stages(&told),
        [("opened", 1, high), ("grown", 10, high), ("grown", 100, high)]
    );
    assert!(tick(&mut incidents, 40 * MINUTE_NS).is_empty());
    let closed = tick(&mut incidents, 29 * MINUTE_NS + QUIET_NS);
    assert_eq!(stages(&closed), [("closed", 120, high)]);
    let again = observe(&mut incidents, [mark(1, high, 7, 200)]);
    assert_eq!((again[0].number, again[0].findings), (2, 1));
}

#[test]
fn several_rules_of_one_caller_are_worse_than_each() {
    let mut incidents = Incidents::new(Limits::default());
    let told = observe(
        &mut incidents,
        (0..3).map(|rule| mark(rule, Severity::Medium, 7, 1)),
    );
    assert_eq!(
        stages(&told),
        [("opened", 1, Severity::Medium), ("grown", 3, Severity::High)]
    );
    let write = || Mark {
        writes: true,
        ..mark(1, Severity::High, 8, 2)
    };
    let told = observe(&mut incidents, (0..10).map(|_| write()));
    assert_eq!(
        told.last().map(|one| (one.severity, one.writes)),
        Some((Severity::Critical, 10))
    );
}

#[test]
fn callers_addresses_and_endpoints_are_apart() {
    let mut incidents = Incidents::new(Limits::default());
    let high = || mark(1, Severity::High, 7, 1);
    let client = Some(CallerHash([9; 16]));
    let told = observe(
        &mut incidents,
        [
            high(),
            Mark {
                caller: None,
                client,
                ..high()
            },
            Mark {
                about: About::Endpoint,
                ..high()
            },
            Mark {
                caller: None,
                ..high()
            },
            Mark {
                about: About::Host,
                ..high()
            },
            Mark {
                about: About::Host,
                endpoint: endpoint("/another"),
                ..high()
            },
            // Facts about a service open nothing.
            Mark {
                about: About::Endpoint,
                severity: Severity::Low,
                endpoint: endpoint("/x"),
                ..high()
            },
        ],
    );
    let subjects: Vec<_> = told.iter().map(|one| &one.subject).collect();
    assert!(matches!(
        subjects[..],
        [
            Subject::Caller(_),
            Subject::Client(_),
            Subject::Endpoint(_),
            Subject::Host(_)
        ]
    ));
    // What a service does to all comes back: it is not closed overnight.
    assert_eq!(tick(&mut incidents, 24 * QUIET_NS).len(), 2);
}

#[test]
fn a_flood_of_callers_pushes_out_nothing_worse() {
    let mut incidents = Incidents::new(Limits { open: 64 });
    observe(&mut incidents, [mark(1, Severity::Critical, 1, 0)]);
    for who in 2..5000 {
        observe(&mut incidents, [mark(1, Severity::Medium, who, 1)]);
        assert!(incidents.open.len() <= 64);
    }
    assert!(incidents.take_crowded() > 4000);
    let told = observe(&mut incidents, (0..9).map(|_| mark(1, Severity::Critical, 1, 2)));
    assert_eq!(stages(&told), [("grown", 10, Severity::Critical)]);
}

#[test]
fn a_timeline_keeps_its_beginning_and_its_end() {
    let mut incidents = Incidents::new(Limits::default());
    let marks = (0..100).map(|minute| Mark {
        endpoint: endpoint(&format!("/step{minute}")),
        ..mark(1, Severity::High, 7, minute / 2)
    });
    let told = observe(&mut incidents, marks);
    let last = told.last().unwrap();
    assert_eq!(
        (last.timeline.len(), last.endpoints.len()),
        (MAX_MOMENTS, MAX_ENDPOINTS)
    );
    let rows: u64 = last.timeline.iter().map(|row| row.count).sum();
    assert_eq!(rows + last.between, last.findings);
    assert_eq!(&*last.timeline[0].endpoint.template, "/step0");
    assert_eq!(&*last.timeline[MAX_MOMENTS - 1].endpoint.template, "/step99");
}

#[test]
fn a_restart_changes_nothing() {
    let before = || (0..30).map(|at| mark(at % 3, Severity::High, u16::try_from(at % 4).unwrap(), at as u64));
    let after = || {
        (0..200).map(|at| {
            mark(
                at % 3,
                Severity::High,
                u16::try_from(at % 5).unwrap(),
                30 + at as u64,
            )
        })
    };
    let (mut whole, mut first) = (
        Incidents::new(Limits::default()),
        Incidents::new(Limits::default()),
    );
    observe(&mut whole, before());
    observe(&mut first, before());
    let text = serde_json::to_string(&first.snapshot()).unwrap();
    let mut again = Incidents::restore(Limits::default(), serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(serde_json::to_string(&again.snapshot()).unwrap(), text);
    assert_eq!(
        format!("{:?}", observe(&mut whole, after())),
        format!("{:?}", observe(&mut again, after()))
    );
    assert!(matches!(
        Incidents::restore(
            Limits::default(),
            serde_json::from_str(&text.replace("\"version\":3", "\"version\":9")).unwrap()
        ),
        Err(SnapshotError::Version(9))
    ));
}

fn finding(mark: &Mark) -> Finding {
    Finding {
        rule: mark.rule,
        severity: mark.severity,
        confidence: mark.confidence,
        endpoint: EndpointRef::clone(&mark.endpoint),
        caller: mark.caller,
        process: ProcessKey { pid: 1, start_ns: 1 },
        container: None,
        pod: None,
        time_ns: mark.time_ns,
        evidence: Evidence::Credentials("basic"),
        partial: false,
        part: None,
        status: 200,
        repeats: 0,
    }
}

/// What is told, and the counters, when each verdict of a list has a finding.
fn told(settings: Settings, marks: impl IntoIterator<Item = Mark>) -> (Vec<Told>, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let mut alerts = Alerts::new(settings, Arc::clone(&counters));
    let mut told = Vec::new();
    for mark in marks {
        let mark = Mark {
            is_told: true,
            ..mark
        };
        // As the engine does.
        if alerts.is_suppressed(&mark) {
            counters.suppressed(mark.rule.id.0);
            continue;
        }
        let mut findings = vec![finding(&mark)];
        alerts.take(mark.time_ns, &[mark], &mut findings, &mut |one| told.push(one));
        assert!(findings.is_empty());
    }
    alerts.finish(&mut |one| told.push(one));
    (told, counters)
}

fn suppression(rule: &str, until_minute: u64) -> Suppression {
    Suppression {
        rule: rule.to_owned(),
        endpoint: None,
        caller: None,
        until_ns: until_minute * MINUTE_NS,
    }
}

#[test]
fn what_is_suppressed_is_counted_and_not_told_until_it_expires() {
    let rule = RULES[1].meta().id.0;
    let all = |suppressions| Settings {
        suppressions,
        ..Settings::default()
    };
    let marks = || (0..10).map(|minute| mark(1, Severity::High, 7, minute));
    let (said, counters) = told(all(vec![suppression(rule, 100)]), marks());
    assert!(said.is_empty());
    assert_eq!(counters.suppressed_by_rule(), [(rule, 10)]);
    assert_eq!(counters.value(Metric::FindingsSuppressed), 10);
    let (said, counters) = told(all(vec![suppression(rule, 8)]), marks());
    let findings = said.iter().filter(|one| matches!(one, Told::Finding(_)));
    assert_eq!((findings.count(), counters.value(Metric::Incidents)), (2, 1));
    for other in [
        suppression(RULES[2].meta().id.0, 100),
        Suppression {
            endpoint: Some("other.example/*".to_owned()),
            ..suppression(rule, 100)
        },
        Suppression {
            caller: Some("ffffffff".to_owned()),
            ..suppression(rule, 100)
        },
    ] {
        assert_eq!(told(all(vec![other]), marks()).1.value(Metric::Findings), 10);
    }
    let named = Suppression {
        endpoint: Some("api.example.com/orders/*".to_owned()),
        caller: Some("00070000".to_owned()),
        ..suppression(rule, 100)
    };
    assert_eq!(told(all(vec![named]), marks()).1.value(Metric::Findings), 0);
}

#[test]
fn the_budget_keeps_the_worst_and_says_what_it_held_back() {
    let settings = Settings {
        budget: budget::Limits {
            each_hour: 20,
            critical_each_hour: 10,
        },
        ..Settings::default()
    };
    let low = (0..100).map(|who| mark(1, Severity::Low, who, 1));
    let worst = (100..104).map(|who| mark(1, Severity::Critical, who, 2));
    let next_hour = [mark(1, Severity::Low, 1, 61)];
    let (said, counters) = told(settings, low.chain(worst).chain(next_hour));
    let of = |wanted: Severity| {
        let same = |one: &&Told| matches!(one, Told::Finding(finding) if finding.severity == wanted);
        said.iter().filter(same).count()
    };
    assert_eq!((of(Severity::Low), of(Severity::Critical)), (11, 4));
    let incidents = said.iter().filter(|one| matches!(one, Told::Incident(_)));
    assert_eq!(incidents.count(), 4);
    let held: Vec<_> = said
        .iter()
        .filter_map(|one| match one {
            Told::Held(held) => Some((held.counts, held.told)),
            _ => None,
        })
        .collect();
    assert_eq!(held, [([0, 90, 0, 0, 0], 18)]);
    assert_eq!(counters.value(Metric::AlertsHeld), 90);
}

#[test]
fn an_incident_of_an_endpoint_goes_on_under_its_new_name() {
    let of_service = |template: &str, minute| Mark {
        about: About::Endpoint,
        endpoint: endpoint(template),
        ..mark(1, Severity::High, 7, minute)
    };
    let mut incidents = Incidents::new(Limits::default());
    assert_eq!(observe(&mut incidents, [of_service("/users/alice", 0)]).len(), 1);
    incidents.rename(&endpoint("/users/alice"), &endpoint("/users/{name}"));
    assert_eq!(observe(&mut incidents, [of_service("/users/{name}", 1)]).len(), 0);
    let kept = incidents.snapshot();
    let mut again = Incidents::restore(Limits::default(), kept).unwrap();
    assert_eq!(observe(&mut again, [of_service("/users/{name}", 2)]).len(), 0);
}

/// Of each incident that is told its stage and severity.
fn told_incidents(said: &[Told]) -> Vec<(Stage, Severity)> {
    let incidents = said.iter().filter_map(|one| match one {
        Told::Incident(incident) => Some((incident.stage, incident.severity)),
        _ => None,
    });
    incidents.collect()
}

fn of_budget(each_hour: u32) -> (Alerts, Arc<Counters>) {
    let settings = Settings {
        budget: budget::Limits {
            each_hour,
            critical_each_hour: 1000,
        },
        ..Settings::default()
    };
    let counters = Arc::new(Counters::default());
    (Alerts::new(settings, Arc::clone(&counters)), counters)
}

fn take(alerts: &mut Alerts, marks: impl IntoIterator<Item = Mark>) -> Vec<Told> {
    let mut told = Vec::new();
    for mark in marks {
        alerts.take(mark.time_ns, &[mark], &mut Vec::new(), &mut |one| told.push(one));
    }
    told
}

#[test]
fn the_end_of_an_incident_costs_nothing() {
    // Medium ones may use 255.
    let (mut alerts, counters) = of_budget(340);
    let medium = |who, minute| mark(1, Severity::Medium, who, minute);
    assert_eq!(take(&mut alerts, (0..250).map(|who| medium(who, 1))).len(), 250);
    // All are quiet at once, and nobody asks anything.
    let mut closed = Vec::new();
    alerts.tick(62 * MINUTE_NS, &mut |one| closed.push(one));
    assert_eq!(told_incidents(&closed), [(Stage::Closed, Severity::Medium); 250]);
    let new = take(&mut alerts, (500..520).map(|who| medium(who, 63)));
    assert_eq!(told_incidents(&new), [(Stage::Opened, Severity::Medium); 20]);
    assert_eq!(counters.value(Metric::AlertsHeld), 0);
}

#[test]
fn what_was_held_back_is_told_in_the_next_hour_the_worst_first() {
    let (mut alerts, counters) = of_budget(20);
    let medium = (0..20).map(|who| mark(1, Severity::Medium, who, 1));
    let high = (100..107).map(|who| mark(1, Severity::High, who, 2));
    let opened = |severity, count| vec![(Stage::Opened, severity); count];
    assert_eq!(
        told_incidents(&take(&mut alerts, medium.chain(high))),
        [opened(Severity::Medium, 15), opened(Severity::High, 5)].concat()
    );
    // What is held is not told of as it grows, unless there is room for what it became.
    let grown = (0..9).map(|_| mark(1, Severity::Medium, 18, 3));
    assert!(take(&mut alerts, grown).is_empty());
    // A restart forgets none of them.
    let kept = serde_json::to_string(&alerts.snapshot()).unwrap();
    alerts.resume(serde_json::from_str(&kept).unwrap()).unwrap();
    let mut said = Vec::new();
    alerts.tick(60 * MINUTE_NS, &mut |one| said.push(one));
    assert!(matches!(said.first(), Some(Told::Held(held)) if held.counts == [0, 0, 6, 2, 0]));
    assert_eq!(
        told_incidents(&said),
        [opened(Severity::High, 2), opened(Severity::Medium, 5)].concat()
    );
    said.clear();
    alerts.tick(70 * MINUTE_NS, &mut |one| said.push(one));
    assert_eq!(said.len(), 27);
    assert_eq!(counters.value(Metric::Incidents), 27);
}

#[test]
fn whoever_was_not_told_of_an_incident_is_not_told_of_its_end() {
    let (mut alerts, counters) = of_budget(20);
    take(&mut alerts, (0..100).map(|who| mark(1, Severity::Medium, who, 1)));
    let mut said = Vec::new();
    alerts.finish(&mut |one| said.push(one));
    alerts.tick(119 * MINUTE_NS, &mut |one| said.push(one));
    assert_eq!(told_incidents(&said), [(Stage::Closed, Severity::Medium); 15]);
    assert_eq!(counters.value(Metric::AlertsHeld), 85);
}

#[test]
fn a_suppression_of_an_address_leaves_the_callers_behind_it() {
    let address = CallerHash([0xad; 16]);
    let muted = Suppression {
        caller: Some(address.to_string()),
        ..suppression(RULES[1].meta().id.0, 100)
    };
    let behind = Mark {
        client: Some(address),
        ..mark(1, Severity::High, 7, 1)
    };
    let nobody = Mark {
        caller: None,
        ..behind.clone()
    };
    assert!(muted.covers(&nobody) && !muted.covers(&behind));
}

#[test]
fn numbers_that_a_killed_sensor_may_have_given_are_not_given_again() {
    let (mut alerts, _) = of_budget(200);
    let open = |alerts: &mut Alerts, who| take(alerts, [mark(1, Severity::High, who, 1)]);
    open(&mut alerts, 1);
    let kept = alerts.snapshot();
    let number = |told: &[Told]| match told {
        [Told::Incident(incident)] => incident.number,
        _ => 0,
    };
    let lost: Vec<_> = (2..60).map(|who| number(&open(&mut alerts, who))).collect();
    alerts.resume(kept).unwrap();
    let next = number(&open(&mut alerts, 90));
    assert!(next > 0 && !lost.contains(&next), "{next}");
}
