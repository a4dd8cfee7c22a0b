//! Stories of API2-002: who may do without credentials, and who is told of it.

use std::net::{IpAddr, Ipv4Addr};

use super::Expect::{self, Fires, Quiet};
use super::Severity::High;
use super::rights::by;
use super::stories::{Story, World, bearer, opaque, story};
use crate::detect::{Blind, Finding};
use crate::exchange::test_support::Builder;

const RULE: &str = "API2-002";

fn user(number: u64, path: &str) -> Builder {
    bearer(path, &opaque(&format!("user{number}")))
}

/// So many users, each with something of their own.
pub(super) fn own(users: u64) -> Vec<Builder> {
    (0..users)
        .map(|number| user(number, &format!("/orders/{}", 4000 + number)))
        .collect()
}

/// The same few things for all.
fn shared(users: u64) -> Vec<Builder> {
    (0..users)
        .map(|number| user(number, &format!("/products/{}", number % 5)))
        .collect()
}

/// Things of each customer, half of which support looked at before, and things of all.
fn supported() -> impl Iterator<Item = Builder> {
    (0..60).flat_map(|number| {
        let order = || Builder::get(&format!("/orders/{}", 4000 + number % 30));
        let product = || Builder::get(&format!("/products/{}", number % 5));
        let support =
            (number % 2 == 0).then(|| [order(), product()].map(|seen| by("support", number % 3, seen)));
        let customer = [order(), product()].map(|seen| by("customer", number % 30, seen));
        support.into_iter().flatten().chain(customer)
    })
}

fn after(mut before: Vec<Builder>, last: impl IntoIterator<Item = Builder>) -> Vec<Builder> {
    before.extend(last);
    before
}

pub(super) fn anonymous(path: &str) -> Vec<Builder> {
    vec![Builder::get(path)]
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(super) fn stories() -> Vec<Story> {
    let turned_away = |caller: Builder| after(vec![caller.status(401)], shared(30));
    let staff = (0..30).map(|number| user(900 + number % 2, &format!("/orders/{}", 4000 + number)));
    let pages = (0..30).map(|number| {
        let name = "x".repeat(usize::try_from(number).unwrap());
        user(number, "/me").answer(&format!(r#"{{"name":"{name}"}}"#))
    });
    let posts = |count| (0..count).map(|number| post(&opaque(&format!("user{}", number % 9))));
    let fires = || Fires(&[High]);
    let blind = || Expect::Blind(Blind::NotEnoughEvidence);
    vec![
        story(
            RULE,
            "somebody's own",
            after(own(30), anonymous("/orders/4007")),
            fires(),
        ),
        story(
            RULE,
            "somebody's own, and staff",
            after(after(own(30), staff), anonymous("/orders/4007")),
            fires(),
        ),
        story(
            RULE,
            "somebody's own, and support read half of it first",
            after(supported().collect(), anonymous("/orders/4007")),
            fires(),
        ),
        story(
            RULE,
            "public, and support read half of it first",
            after(supported().collect(), anonymous("/products/3")),
            Quiet,
        ),
        story(
            RULE,
            "nobody without credentials was let in before",
            after(turned_away(Builder::get("/products/1")), anonymous("/products/3")),
            fires(),
        ),
        story(
            RULE,
            "public, to users who are logged in",
            after(shared(30), anonymous("/products/3")),
            Quiet,
        ),
        story(
            RULE,
            "public, and old tokens are refused",
            after(turned_away(user(7, "/products/1")), anonymous("/products/3")),
            Quiet,
        ),
        story(
            RULE,
            "one user only",
            after(
                (0..30)
                    .map(|number| user(1, &format!("/orders/{number}")))
                    .collect(),
                anonymous("/orders/4"),
            ),
            blind(),
        ),
        story(
            RULE,
            "a page of each",
            after(pages.collect(), anonymous("/me")),
            blind(),
        ),
        story(
            RULE,
            "many writes",
            after(posts(120).collect(), [Builder::post("/transfers").json("{}")]),
            fires(),
        ),
        story(
            RULE,
            "some writes",
            after(posts(40).collect(), [Builder::post("/transfers").json("{}")]),
            blind(),
        ),
    ]
}

fn post(token: &str) -> Builder {
    Builder::post("/transfers")
        .json("{}")
        .field("Authorization", &format!("Bearer {token}"))
}

fn from(number: u64) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(198, 51, high, low))
}

fn told(world: &mut World, exchanges: impl IntoIterator<Item = Builder>, rule: &str) -> Vec<Finding> {
    let all = exchanges.into_iter().flat_map(|exchange| world.see(exchange));
    all.filter(|finding| finding.rule.id.0 == rule).collect()
}

/// A second attacker at an endpoint is told, and a flood of them is not.
#[test]
fn each_stranger_is_told_of_and_a_flood_is_not() {
    let mut world = World::new();
    told(&mut world, own(3000), RULE);
    let stranger = |number| Builder::get("/orders/4007").remote(from(number));
    let first = told(
        &mut world,
        (0..3).flat_map(|number| [stranger(number), stranger(number)]),
        RULE,
    );
    assert_eq!(first.len(), 3);
    let mut callers: Vec<_> = first.iter().map(|finding| finding.repeats).collect();
    callers.dedup();
    assert_eq!(callers, [0]);
    let flood = told(&mut world, (100..250).map(stranger), RULE);
    assert_eq!(flood.len(), 8, "the fourth to the tenth, and the hundredth");
}

/// A link with a token that the service makes is told once; somebody's odd habit is told of each.
#[test]
fn what_a_service_does_to_all_is_told_once() {
    let token = |number: u64| opaque(&format!("user{number}"));
    let link = |number| Builder::get(&format!("/downloads/7?access_token={}", token(number)));
    let mut world = World::new();
    assert_eq!(told(&mut world, (0..9).map(link), "API2-001").len(), 1);
    let mut world = World::new();
    let ordinary = (0..200).map(|number| user(number, "/downloads/7"));
    told(&mut world, ordinary, "API2-001");
    let odd = told(
        &mut world,
        (0..5).flat_map(|number| [link(number), link(number)]),
        "API2-001",
    );
    assert_eq!(odd.len(), 5);
}

/// An answer that gets worse is told again.
#[test]
fn what_grows_worse_is_told_again() {
    let answer = |count: u32| {
        let all: Vec<_> = (0..count).map(|at| format!(r#""a{at}@example.org""#)).collect();
        user(1, "/contacts").answer(&format!("[{}]", all.join(",")))
    };
    let mut world = World::new();
    let found = told(
        &mut world,
        [answer(10), answer(10), answer(60), answer(60)],
        "API3-001",
    );
    let severities: Vec<_> = found.iter().map(|finding| finding.severity.name()).collect();
    assert_eq!(severities, ["low", "medium"]);
}
