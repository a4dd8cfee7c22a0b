//! Hosts that a client makes up: what was learnt of the others stays, and where there is no room the rules say so.

use super::logins::campaign;
use super::steps::{Way, logged_in, many};
use super::*;

fn at(host: &str, builder: Builder) -> Builder {
    builder.field("Host", host)
}

fn made_up(number: u64) -> String {
    format!("h{number}.example.net")
}

/// Failures at hosts that nobody has, each with a name of its own.
fn flood(second: u64) -> impl Iterator<Item = Builder> {
    (0..600).map(move |number| at(&made_up(number), fails(&name("flood", number), second + number)))
}

fn tells(world: &mut World, rule: &str, exchanges: impl IntoIterator<Item = Builder>) -> bool {
    let told: Vec<_> = exchanges
        .into_iter()
        .flat_map(|exchange| world.see(exchange))
        .collect();
    told.iter().any(|finding| finding.rule.id.0 == rule)
}

fn no_room(world: &World, rule: &str) -> bool {
    world
        .blind(rule)
        .iter()
        .any(|(reason, _)| *reason == Blind::NoRoom)
}

#[test]
fn hosts_that_are_made_up_push_out_no_norm_of_logins() {
    let mut world = World::new();
    for exchange in flood(0).chain(usual_days()).chain(flood(2 * HOUR)) {
        world.see(exchange);
    }
    assert!(tells(&mut world, "API2-006", campaign("leaked", 4 * HOUR)));
    assert!(!no_room(&world, "API2-006"));
}

#[test]
fn hosts_that_are_made_up_push_out_no_answers() {
    let mut world = World::new();
    let known = known_names(12, |attempt| attempt.status(401));
    for exchange in flood(0).chain(known).chain(flood(HOUR + 60)) {
        world.see(exchange);
    }
    assert!(tells(
        &mut world,
        "API2-007",
        strangers(8, |attempt| attempt.status(404))
    ));
}

#[test]
fn hosts_that_are_made_up_push_out_no_steps() {
    let mut world = World::new();
    // One user, who gets in wherever it says that it is.
    let flood = |from: u64| {
        (0..200).flat_map(move |number| {
            logged_in("mallory", from + number * 10, Way::Straight)
                .into_iter()
                .map(move |exchange| at(&made_up(number), exchange))
        })
    };
    let norm = many(30, |_| Way::Second);
    for exchange in flood(0).chain(norm).chain(flood(2 * HOUR)) {
        world.see(exchange);
    }
    let skips = logged_in("eve", 9 * HOUR, Way::Straight);
    assert!(tells(&mut world, "API2-009", skips));
}

#[test]
fn where_all_hosts_are_established_the_next_is_told_as_blind() {
    let mut world = World::new();
    for number in 0..256 {
        for user in 0..3 {
            let who = name("user", number * 3 + user);
            let host = made_up(number);
            world.see(at(&host, succeeds(&who, number)));
            world.see(at(&host, fails(&who, number + 1)));
        }
    }
    assert!(!no_room(&world, "API2-006"), "there is room for as many");
    for rule in ["API2-006", "API2-007"] {
        world.see(at("late.example.org", fails("late@example.org", HOUR)));
        assert!(no_room(&world, rule), "{rule}");
    }
}

#[test]
fn where_all_first_steps_are_established_the_next_is_told_as_blind() {
    let mut world = World::new();
    for number in 0..64 {
        for user in 0..6 {
            let who = format!("user{}", number * 6 + user);
            for exchange in logged_in(&who, number * 60 + user * 10, Way::Second) {
                world.see(at(&made_up(number), exchange));
            }
        }
    }
    assert!(!no_room(&world, "API2-009"));
    for exchange in logged_in("late", 2 * HOUR, Way::Second) {
        world.see(at("late.example.org", exchange));
    }
    assert!(no_room(&world, "API2-009"));
}

#[test]
fn a_token_used_from_nowhere_known_is_told_as_blind() {
    let mut world = World::new();
    let mut exchange = bearer("/orders", &opaque("t")).build();
    Arc::make_mut(&mut exchange.connection).remote = None;
    world.take(exchange);
    assert_eq!(world.blind("API2-008"), [(Blind::ClientUnknown, 1)]);
}
