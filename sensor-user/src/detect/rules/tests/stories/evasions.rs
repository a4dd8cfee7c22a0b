//! What somebody does to get around a rule: junk that fills what is bounded, groups and proxies that are made up, patience.

use super::super::rights::{by, change, changes, days, list, profile};
use super::super::{doors, objects};
use super::*;
use crate::exchange::BodyState;

const DAY: u64 = 86_400;

/// Names of two letters.
fn pairs() -> impl Iterator<Item = String> {
    let letters = || ('a'..='z').chain('A'..='Z');
    letters().flat_map(move |one| letters().map(move |other| format!("{one}{other}")))
}

/// A query that fills what there is room for.
fn padded(target: &str) -> String {
    let names: Vec<_> = pairs().take(510).map(|name| format!("{name}=b")).collect();
    let mark = if target.contains('?') { '&' } else { '?' };
    format!("{target}{mark}{}", names.join("&"))
}

fn members(names: impl IntoIterator<Item = String>) -> String {
    let all: Vec<_> = names.into_iter().map(|name| format!(r#""{name}":1"#)).collect();
    all.join(",")
}

/// An answer of more places than there is room for.
fn large() -> String {
    format!("{{{}}}", members(pairs().take(600)))
}

fn then(before: Vec<Builder>, last: impl IntoIterator<Item = Builder>) -> Vec<Builder> {
    before.into_iter().chain(last).collect()
}

const fn no_room() -> Expect {
    Expect::Blind(Blind::NoRoom)
}

fn places_are_used_up() -> Vec<Story> {
    let own = || objects::own_orders(objects::CUSTOMERS, 3);
    let theirs = r#"{"id":100200,"customer":"00000001-3b1c-4d2e-9f3a-000000000002","total":12.5}"#;
    let plain = r#"{"name":"A"}"#;
    let card = r#"{"name":"A","card":"4111111111111111"}"#;
    let profiles = || (0..40).map(|at| profile(at, plain)).collect::<Vec<_>>();
    let contacts = || {
        (0..30)
            .map(|at| list(at, "/contacts?limit=10", 10))
            .collect::<Vec<_>>()
    };
    let items = vec![r#"{"a":1}"#; 900].join(",");
    let admin = format!(r#"{{{},"is_admin":true}}"#, members(pairs().take(300)));
    let get = |number: u64, target: &str| {
        by("customer", number, Builder::get(&padded(target))).at_s(NOW + 50 * MINUTE)
    };
    vec![
        story(
            "API1-001",
            "a long query",
            then(
                own(),
                [objects::asks(1, &padded("/orders/100200")).answer(theirs)],
            ),
            Fires(&[High]),
        ),
        story(
            "API1-001",
            "a large answer",
            then(own(), [objects::asks(1, "/orders/100100").answer(&large())]),
            no_room(),
        ),
        story(
            "API3-003",
            "a long query",
            then(profiles(), [get(10, "/profile").answer(card)]),
            Fires(&[High]),
        ),
        story(
            "API3-003",
            "a large answer",
            then(profiles(), [profile(50, &large())]),
            no_room(),
        ),
        story(
            "API3-004",
            "a long query",
            then(
                contacts(),
                [get(10, "/contacts?limit=900").answer(&format!(r#"{{"items":[{items}]}}"#))],
            ),
            Fires(&[Medium]),
        ),
        story(
            "API3-002",
            "a large request",
            then(changes(), [change(40, &admin, plain)]),
            no_room(),
        ),
    ]
}

fn answers_are_cut() -> Vec<Story> {
    let cut = |builder: Builder| builder.answer_state(BodyState::Cut);
    let plain = r#"{"name":"A"}"#;
    let profiles = (0..40).map(|at| profile(at, plain)).collect();
    let contacts = (0..30).map(|at| list(at, "/contacts?limit=10", 10)).collect();
    vec![
        story(
            "API3-003",
            "the answer was cut",
            then(profiles, [cut(profile(50, plain))]),
            Expect::Blind(Blind::BodyCut),
        ),
        story(
            "API3-004",
            "the answer was cut",
            then(contacts, [cut(list(50, "/contacts?limit=10", 10))]),
            Expect::Blind(Blind::BodyCut),
        ),
    ]
}

fn report() -> Builder {
    Builder::get("/reports/monthly")
}

fn strangers_and_groups() -> Vec<Story> {
    let forged = (0..12).map(|at| {
        let role = format!("made_up_{at}");
        by(&role, 1, report().status(403)).at_s(NOW + 1)
    });
    let forged = then(vec![by("staff", 1, report()).at_s(NOW)], forged);
    let patient = (0..10).map(|at| by("customer", at, report()).at_s(NOW + (3 + at * 5) * DAY));
    let contacts = || (0..40).map(|at| list(at, "/contacts?limit=10", 10)).collect();
    let greedy = (0..10).map(|at| list(at, "/contacts?limit=900", 900).at_s(NOW + (3 + at * 5) * DAY));
    let export = |at: u64| list(at, "/export", 9000);
    vec![
        story(
            "API5-001",
            "tokens that are made up",
            then(
                then(forged, days(report)),
                [by("customer", 5, report()).at_s(NOW + 2 * DAY)],
            ),
            Fires(&[High]),
        ),
        story(
            "API5-001",
            "one after the other",
            then(days(report), patient),
            Fires(&[High; 10]),
        ),
        story(
            "API3-004",
            "one after the other",
            then(contacts(), greedy),
            Fires(&[Medium; 10]),
        ),
        story("API3-004", "always long", (0..30).map(export).collect(), Quiet),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn properties() -> Vec<Story> {
    let rule = "API3-002";
    let plain = r#"{"name":"A"}"#;
    let admin = r#"{"name":"A","is_admin":true}"#;
    let with = |value: &str| format!(r#"{{"name":"A","role":{value}}}"#);
    let sent = |one: &str, other: &str| then(changes(), [change(40, &with(one), &with(other))]);
    let junk = |front: &str, count: usize| {
        let names = pairs().take(count).map(|name| format!("{front}{name}"));
        format!("{{{}}}", members(names))
    };
    let first = [
        change(1, &junk("a", 200), plain),
        change(2, &junk("b", 200), plain),
    ];
    let steady = (0..60).map(|at| change(3, admin, admin).at_s(NOW + (40 + at) * MINUTE));
    let other = change(9, admin, admin).at_s(NOW + DAY);
    vec![
        story(
            rule,
            "after junk",
            then(
                changes(),
                [change(40, &junk("role_", 20), plain), change(40, admin, admin)],
            ),
            Fires(&[High]),
        ),
        story(
            rule,
            "among junk",
            then(
                changes(),
                [change(
                    40,
                    &junk("role_", 20).replace('{', r#"{"is_admin":true,"#),
                    admin,
                )],
            ),
            Fires(&[High]),
        ),
        story(
            rule,
            "behind junk",
            then(
                changes(),
                [change(
                    40,
                    &junk("role_", 20).replace('}', r#","is_admin":true}"#),
                    admin,
                )],
            ),
            Fires(&[High]),
        ),
        story(
            rule,
            "behind another's junk",
            then(
                changes(),
                [change(40, &junk("role_", 20), plain), change(41, admin, admin)],
            ),
            no_room(),
        ),
        story(
            rule,
            "junk while it is learnt",
            then(then(first.to_vec(), changes()), [change(40, admin, admin)]),
            Fires(&[High]),
        ),
        story(
            rule,
            "always by one",
            then(then(changes(), steady), [other]),
            Fires(&[High, High]),
        ),
        story(
            rule,
            "true became false",
            then(changes(), [change(40, admin, r#"{"name":"A","is_admin":false}"#)]),
            Quiet,
        ),
        story(rule, "another list", sent(r#"["admin"]"#, r#"["user"]"#), Quiet),
        story(
            rule,
            "the same list",
            sent(r#"["admin"]"#, r#"["admin"]"#),
            Fires(&[High]),
        ),
        story(
            rule,
            "an object",
            sent(r#"{"a":1}"#, r#"{"a":2}"#),
            Fires(&[Medium]),
        ),
        story(rule, "null", sent("null", "null"), Fires(&[Medium])),
    ]
}

fn proxies() -> Vec<Story> {
    let by_proxy = |builder: Builder| {
        builder
            .field("X-Forwarded-For", "198.51.100.7")
            .remote(address(9))
    };
    let home = (0..3).map(|at| by_proxy(succeeds("alice@example.org", at * 60)));
    let guesses = (0..12).map(|at| by_proxy(fails("alice@example.org", HOUR + at * 10)));
    let used = |second: u64, from: u64| {
        bearer("/orders", &opaque("t"))
            .at_s(NOW + second)
            .remote(address(number(from)))
    };
    let usual = (0..8).map(|hour| used(hour * HOUR, 1)).collect();
    let everywhere =
        (0..40).map(|at| used(9 * HOUR + at * 30, at % 12).field("X-Forwarded-For", "198.51.100.7"));
    vec![
        story(
            "API2-006",
            "behind a proxy that nobody named",
            home.chain(guesses).collect(),
            Fires(&[High]),
        ),
        story(
            "API2-008",
            "a client that says that it is a proxy",
            then(usual, everywhere),
            Fires(&[Medium]),
        ),
    ]
}

pub(super) fn all() -> Vec<Story> {
    let tables = [
        places_are_used_up(),
        answers_are_cut(),
        strangers_and_groups(),
        properties(),
        proxies(),
    ];
    tables.into_iter().flatten().collect()
}

#[test]
fn paths_that_are_made_up_take_no_room_from_doors() {
    let mut world = World::new();
    for number in 0..10_100 {
        let host = format!("h{number}.example.net");
        world.see(Builder::get("/").field("Host", &host).status(404));
    }
    let all = doors::own(30).into_iter().chain(doors::anonymous("/orders/4007"));
    let told: Vec<_> = all.flat_map(|exchange| world.see(exchange)).collect();
    assert!(told.iter().any(|finding| finding.rule.id.0 == "API2-002"));
}
