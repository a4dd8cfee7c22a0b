//! A small estate in every run of the tests: the truth is well-formed, nothing is lost on the way, and the same seed
//! and key give the same findings to the byte.

use sensor_user::capture::Record;
use sensor_user::detect::Severity;
use sensor_user::export::json::Line;
use sensor_user::export::{ClockOffset, Event};

use super::ruler::{Ruler, report};
use super::run::{Estate, Size, run};
use super::services::Service;
use super::truth::{Cover, Kind, Pattern};

struct Passed {
    estate: Estate,
    ruler: Ruler,
    /// Findings, a line each.
    findings: String,
    /// Exchanges of GraphQL and gRPC, and how many of them were told with their call.
    calls: (u64, u64),
    /// Exchanges of which a part was not seen.
    partial: u64,
}

fn pass(seed: u64) -> Passed {
    let mut estate = Estate::new(seed, Size::Small);
    let mut ruler = Ruler::new(&estate.world, Severity::Medium);
    let (mut findings, mut calls, mut partial) = (String::new(), (0, 0), 0);
    run(&mut estate, &mut |world, event| {
        ruler.take(world, &event);
        if let Event::Exchange(summary) = &event {
            let host = &*summary.endpoint.host;
            if [Service::Social.host(), Service::Stock.host()].contains(&host) && summary.status == 200 {
                let health = &*summary.endpoint.template == "/healthz";
                calls.0 += u64::from(!health);
                calls.1 += u64::from(!health && !summary.calls.is_empty());
            }
            partial += u64::from(summary.partial);
        }
        if let Event::Finding(_) = event {
            let line = serde_json::to_string(&Line::of(&event, ClockOffset::RECORDED))
                .expect("events have a JSON form");
            findings.push_str(&line);
            findings.push('\n');
        }
    });
    Passed {
        estate,
        ruler,
        findings,
        calls,
        partial,
    }
}

#[test]
fn a_small_estate_is_what_it_says_and_is_judged_the_same_twice() {
    let (first, again) = (pass(1), pass(1));
    assert!(first.findings == again.findings, "two passes differ");
    assert_eq!(
        report::measure(&first.estate.world, &first.ruler),
        report::measure(&again.estate.world, &again.ruler)
    );
    let (world, ruler) = (&first.estate.world, &first.ruler);
    let truth = &world.truth;
    println!("{}", report::table(&report::measure(world, ruler)));
    let made = truth.benign + truth.attacking;
    assert!(made >= Size::Small.least(), "only {made} exchanges");
    let share = truth.benign as f64 / made as f64;
    assert!((0.9..0.99).contains(&share), "benign share {share}");
    for kind in Kind::ALL {
        let of_kind = truth.instances.iter().filter(|one| one.kind == *kind);
        assert!(
            of_kind.map(|one| one.exchanges).sum::<u32>() > 0,
            "no {}",
            kind.name()
        );
    }
    for pattern in Pattern::ALL {
        assert!(truth.patterns.contains_key(pattern), "no {}", pattern.name());
    }
    for cover in Cover::ALL {
        assert!(
            truth.instances.iter().any(|one| one.cover == *cover),
            "nothing hides by {}",
            cover.name()
        );
    }
    for one in truth.instances.iter().filter(|one| one.exchanges > 0) {
        assert!(one.begin <= one.end && !one.actors.is_empty(), "{one:?}");
    }
    assert!(
        first.calls.0 > 1000 && first.calls.1 * 100 >= first.calls.0 * 99,
        "calls {:?}",
        first.calls
    );
    assert!(
        first.partial <= 20 * world.net.lost,
        "{} exchanges are partial",
        first.partial
    );
    // One lost record costs the exchange it belongs to, and what cannot be told apart from it on the connection.
    assert!(
        ruler.told * 1000 >= made * 995,
        "{} of {made} were told",
        ruler.told
    );
    assert!(
        ruler.unknown * 1000 < made,
        "{} exchanges that nobody made",
        ruler.unknown
    );
}

#[test]
fn another_seed_is_another_estate() {
    let mut beginnings = [1, 2].map(|seed| {
        let mut estate = Estate::new(seed, Size::Small);
        let mut times = Vec::new();
        while times.len() < 200 && estate.step(&mut |record: Record| times.push(record.origin().time_ns)) {}
        times
    });
    let [one, other] = &mut beginnings;
    assert_ne!(one, other);
}
