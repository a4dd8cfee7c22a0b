//! Stories of API2-009: who takes the second step of a login, and who finds a way around.

use super::{
    Expect, Fires, HOUR, High, MINUTE, NOW, Quiet, Story, address, attempt, number, opaque, story, succeeds,
};
use crate::detect::Blind;
use crate::exchange::test_support::Builder;

const RULE: &str = "API2-009";

pub(super) fn all() -> Vec<Story> {
    let mallory = [logged_in("mallory", 9 * HOUR, Way::Straight)].concat();
    let with_step = |count: u64| many(count, |_| Way::Second);
    let ticket = || many(30, |_| Way::Ticket);
    let around = || logged_in("mallory", 9 * HOUR, Way::AroundTicket);
    let mut stories = vec![
        story(
            RULE,
            "token of the first step",
            [with_step(30), mallory.clone()].concat(),
            Fires(&[High]),
        ),
        story(
            RULE,
            "around the ticket",
            [ticket(), around()].concat(),
            Fires(&[High]),
        ),
        story(RULE, "all take it", with_step(40), Quiet),
        story(RULE, "no second step", many(40, |_| Way::Straight), Quiet),
        story(
            RULE,
            "devices are remembered",
            many(60, |at| if at % 5 == 4 { Way::Straight } else { Way::Second }),
            Quiet,
        ),
        story(
            RULE,
            "few have logged in",
            [with_step(8), mallory].concat(),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
    ];
    stories.extend(tickets());
    stories
}

/// At one endpoint some are asked for a second factor: its answer says who.
fn tickets() -> Vec<Story> {
    let some = |at| if at % 3 == 0 { Way::Ticket } else { Way::Straight };
    let around = || logged_in("mallory", 9 * HOUR, Way::AroundTicket);
    let by_key = logged_in("carol", 9 * HOUR, Way::OtherFactor);
    let visits = logged_in("mallory", 9 * HOUR, Way::VisitorStraight);
    let confirms = logged_in("mallory", 9 * HOUR, Way::Confirms);
    vec![
        story(
            RULE,
            "around the ticket that some are given",
            [many(90, some), around()].concat(),
            Fires(&[High]),
        ),
        story(RULE, "some have no second factor", many(90, some), Quiet),
        story(
            RULE,
            "few have a second factor",
            [many(30, some), around()].concat(),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
        story(
            RULE,
            "another factor",
            [many(30, |_| Way::Ticket), by_key].concat(),
            Quiet,
        ),
        story(
            RULE,
            "something else is confirmed",
            [many(30, |_| Way::Second), orders_confirmed(), confirms].concat(),
            Fires(&[High]),
        ),
        story(RULE, "a neighbour asks for a token", neighbour(), Quiet),
        story(
            RULE,
            "no first step at all",
            [many(60, |_| Way::Renewed), vec![token("mallory", 9 * HOUR)]].concat(),
            Fires(&[High]),
        ),
        story(
            RULE,
            "others bring nothing, too",
            many(60, |at| if at % 8 == 7 { Way::Letter } else { Way::Renewed }),
            Quiet,
        ),
        story(
            RULE,
            "session of a visitor",
            [many(30, |_| Way::Visitor), visits].concat(),
            Fires(&[High]),
        ),
    ]
}

/// Behind one address somebody has got a ticket, and somebody else, who is let in, a token for a telephone.
fn neighbour() -> Vec<Builder> {
    let mut all = many(30, |_| Way::Ticket);
    let at = 9 * HOUR;
    let held = format!("Bearer {}", opaque("user7"));
    let body = format!(r#"{{"token":"{}"}}"#, opaque("telephone"));
    all.push(attempt("carol", at).answer(ASKED));
    let pairs = Builder::post("/devices").field("Authorization", &held).json("{}");
    all.push(pairs.answer(&body).at_s(NOW + at + 1));
    all.push(code(at + 2).answer(&granted("carol")));
    all
}

/// By somebody who logged in long ago.
fn orders_confirmed() -> Vec<Builder> {
    let held = format!("Bearer {}", opaque("user1"));
    let confirm = |at| post("/orders/confirm", "{}", 2 * HOUR + at).field("Authorization", &held);
    (0..25).map(confirm).collect()
}

/// A token for nothing but the endpoint's name.
fn token(user: &str, second: u64) -> Builder {
    post("/token", r#"{"grant_type":"ticket"}"#, second).answer(&granted(user))
}

/// How a login goes on.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Second,
    Straight,
    Ticket,
    AroundTicket,
    /// By a security key instead of a code.
    OtherFactor,
    /// With an order that is confirmed.
    Confirms,
    /// With the session that a visitor has from the first page on, and with nothing else.
    Visitor,
    VisitorStraight,
    /// By a ticket, and later with a refresh token.
    Renewed,
    /// By a link in a letter.
    Letter,
}

pub(super) fn many(count: u64, way: impl Fn(u64) -> Way) -> Vec<Builder> {
    (0..count)
        .flat_map(|at| logged_in(&format!("user{at}"), at * MINUTE, way(at)))
        .collect()
}

const ASKED: &str = r#"{"mfa_required":true,"mfa_token":"q8W2e7R4t9Y1u3I5o0"}"#;

fn granted(user: &str) -> String {
    format!(r#"{{"access_token":"{}"}}"#, opaque(user))
}

fn post(path: &str, body: &str, second: u64) -> Builder {
    Builder::post(path).json(body).at_s(NOW + second)
}

fn code(second: u64) -> Builder {
    post("/login/mfa", r#"{"code":"123456"}"#, second)
}

pub(super) fn logged_in(user: &str, second: u64, way: Way) -> Vec<Builder> {
    let session = format!("sid={}", opaque(user));
    let in_session = |way: Builder| way.field("Cookie", &session);
    let held = format!("Bearer {}", opaque(user));
    let asked = || attempt(user, second).answer(ASKED);
    let around = |path| post(path, r#"{"grant_type":"ticket"}"#, second + 2).answer(&granted(user));
    let elsewhere = address(number(second / MINUTE));
    let mut all = match way {
        Way::Second => vec![
            succeeds(user, second),
            code(second + 2).field("Authorization", &held),
        ],
        Way::Straight => vec![succeeds(user, second)],
        Way::Ticket => vec![asked(), code(second + 2).answer(&granted(user))],
        Way::Renewed => {
            let refresh = format!(
                r#"{{"grant_type":"refresh_token","refresh_token":"{}"}}"#,
                opaque(user)
            );
            let renewed = post("/token", &refresh, second + 20).answer(&granted(&format!("{user}-next")));
            vec![asked(), code(second + 2).answer(&granted(user)), renewed]
        }
        Way::AroundTicket => vec![asked(), around("/token")],
        Way::Letter => vec![token(user, second).remote(elsewhere)],
        Way::OtherFactor => vec![asked(), around("/login/webauthn")],
        Way::Confirms => vec![
            succeeds(user, second),
            post("/orders/confirm", "{}", second + 2).field("Authorization", &held),
        ],
        Way::Visitor | Way::VisitorStraight => vec![
            in_session(Builder::get("/").at_s(NOW + second)),
            in_session(asked()),
        ],
    };
    if let Way::Visitor = way {
        all.push(in_session(code(second + 2)));
    }
    for at in 3..8 {
        let uses = Builder::get("/orders").at_s(NOW + second + at);
        all.push(match way {
            Way::Visitor | Way::VisitorStraight => in_session(uses),
            _ => uses.field("Authorization", &held),
        });
    }
    all
}
