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
    Arc::new(Endpoint {
        method: Method::Get,
        host: "api.example.com".into(),
        template: template.into(),
    })
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
        is_somebodys: true,
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
        incidents.observe(&mark, None, &mut |incident| told.push(incident));
    }
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
    let mut closed = Vec::new();
    incidents.tick(40 * MINUTE_NS, &mut |one| closed.push(one));
    assert!(closed.is_empty());
    incidents.tick(29 * MINUTE_NS + QUIET_NS, &mut |one| closed.push(one));
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
                is_somebodys: false,
                ..high()
            },
            Mark {
                caller: None,
                ..high()
            },
            // Facts about a service open nothing.
            Mark {
                is_somebodys: false,
                severity: Severity::Low,
                endpoint: endpoint("/x"),
                ..high()
            },
        ],
    );
    let subjects: Vec<_> = told.iter().map(|one| &one.subject).collect();
    assert!(matches!(
        subjects[..],
        [Subject::Caller(_), Subject::Client(_), Subject::Endpoint(_)]
    ));
    // What a service does to all comes back: it is not closed overnight.
    let mut closed = Vec::new();
    incidents.tick(24 * QUIET_NS, &mut |one| closed.push(one.subject));
    assert_eq!(closed.len(), 2);
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
            serde_json::from_str(&text.replace("\"version\":1", "\"version\":9")).unwrap()
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
