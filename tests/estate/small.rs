//! A small estate in every run of the tests: the truth is well-formed, nothing is lost on the way, and the same seed
//! and key give the same findings to the byte.

use sensor_user::capture::Record;
use sensor_user::detect::Severity;
use sensor_user::export::json::Line;
use sensor_user::export::{ClockOffset, Event};

use super::ruler::{Ruler, report};
use super::run::{Estate, Size, run};
use super::truth::{Cover, Kind, Pattern};

struct Passed {
    estate: Estate,
    ruler: Ruler,
    /// Findings, a line each.
    findings: String,
}

fn pass(seed: u64) -> Passed {
    let mut estate = Estate::new(seed, Size::Small);
    let mut ruler = Ruler::new(&estate.world, Severity::Medium);
    let mut findings = String::new();
    run(&mut estate, &mut |world, event| {
        ruler.take(world, &event);
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
