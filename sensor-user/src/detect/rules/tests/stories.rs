//! Cases that need what came before: sequences of exchanges through identity, inventory and all rules.
//!
//! A story fires when its rule tells these severities for the first time, in this order; it is quiet when the rule tells
//! nothing from its beginning to its end and could judge the last exchange; it is blind when the rule told nothing and
//! said for this reason that it could not judge.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

mod evasions;
mod floods;
mod resets;

use super::Expect::{self, Fires, Quiet};
use super::Severity::{Critical, High, Info, Low, Medium};
use crate::callers::{self, Callers};
use crate::classify::{self, Classifier};
use crate::detect::baseline::Baseline;
use crate::detect::objects::Objects;
use crate::detect::{Blind, Engine, Finding, Limits, Observation, RuleId};
use crate::exchange::secret::HashKey;
use crate::exchange::test_support::{Builder, identify};
use crate::exchange::{Caller, Exchange};
use crate::inventory::{self, Inventory};
use crate::telemetry::Counters;

/// A day in November 2026, at the beginning of an hour.
pub(super) const NOW: u64 = 1_794_999_600;
pub(super) const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// Everything from identity to rules.
pub(super) struct World {
    key: HashKey,
    classifier: Classifier,
    callers: Callers,
    inventory: Inventory,
    engine: Engine,
}

impl World {
    pub(super) fn new() -> Self {
        let counters = Arc::new(Counters::default());
        let key = HashKey::new([7; 32]);
        Self {
            classifier: Classifier::with_schema(classify::Limits::default(), Arc::default(), &key)
                .keyed(key.clone()),
            callers: Callers::new(callers::Limits::default()),
            inventory: Inventory::new(inventory::Limits::default(), Arc::clone(&counters)),
            engine: Engine::new(Limits::default(), counters),
            key,
        }
    }

    pub(super) fn see(&mut self, builder: Builder) -> Vec<Finding> {
        self.take(builder.build())
    }

    pub(super) fn take(&mut self, mut exchange: Exchange) -> Vec<Finding> {
        let cut = exchange.caller == Caller::Unseen;
        identify(&mut exchange, &self.key);
        if cut {
            exchange.caller = Caller::Unseen;
        }
        let labels = self.classifier.classify(&exchange);
        exchange.handover = self.classifier.take_handover();
        let caller = self.callers.observe(&exchange);
        let inventory::Seen {
            endpoint,
            identity,
            history,
            ..
        } = self.inventory.observe(&exchange, &labels.calls);
        for change in self.inventory.take_changes() {
            self.engine.follow(&change);
        }
        let seen = Observation {
            exchange: &exchange,
            labels: &labels,
            endpoint: &endpoint,
            known: identity,
            caller: &caller,
        };
        let mut out = Vec::new();
        self.engine.judge(&seen, &history, &|_| false, &mut out);
        out
    }

    fn blind(&self, rule: &str) -> Vec<(Blind, u64)> {
        let of_rule = self
            .engine
            .blind()
            .filter(|blind| blind.rule == RuleId(find(rule)));
        of_rule.map(|blind| (blind.reason, blind.count)).collect()
    }
}

fn find(rule: &str) -> &'static str {
    let known = super::RULES.iter().find(|known| known.meta().id.0 == rule);
    known.unwrap().meta().id.0
}

pub(super) struct Story {
    pub(super) rule: &'static str,
    name: &'static str,
    exchanges: Vec<Builder>,
    pub(super) expect: Expect,
}

pub(super) fn story(
    rule: &'static str,
    name: &'static str,
    exchanges: Vec<Builder>,
    expect: Expect,
) -> Story {
    Story {
        rule,
        name,
        exchanges,
        expect,
    }
}

pub(super) fn jwt(header: &str, payload: &str, signature: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{signature}", encode(header), encode(payload))
}

/// A token of RS256 that begins and ends so many seconds from now.
fn token(from: i64, to: i64) -> String {
    let at = |seconds: i64| NOW.cast_signed() + seconds;
    let payload = format!(
        r#"{{"iss":"i","sub":"alice","iat":{},"nbf":{0},"exp":{}}}"#,
        at(from),
        at(to)
    );
    jwt(r#"{"alg":"RS256"}"#, &payload, "c2lnbmF0dXJl")
}

pub(super) fn bearer(path: &str, token: &str) -> Builder {
    Builder::get(path)
        .field("Authorization", &format!("Bearer {token}"))
        .at_s(NOW)
}

pub(super) fn opaque(name: &str) -> String {
    format!("{}-q8W2e7R4t9Y1u3I5o0", name.replace('@', "."))
}

fn address(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, number))
}

fn attempt(name: &str, second: u64) -> Builder {
    let body = format!(r#"{{"username":"{name}","password":"correct horse"}}"#);
    Builder::post("/login").json(&body).at_s(NOW + second)
}

fn fails(name: &str, second: u64) -> Builder {
    attempt(name, second).status(401).answer(r#"{"error":"no"}"#)
}

fn succeeds(name: &str, second: u64) -> Builder {
    attempt(name, second).answer(&format!(r#"{{"access_token":"{}"}}"#, opaque(name)))
}

fn name(sort: &str, number: u64) -> String {
    format!("{sort}{number}@example.org")
}

fn number(value: u64) -> u8 {
    u8::try_from(value % 200).unwrap()
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn weak_tokens() -> Vec<Story> {
    let rule = "API2-003";
    let unsigned = || {
        let payload = format!(r#"{{"sub":"a","iat":{NOW},"exp":{}}}"#, NOW + HOUR);
        bearer("/orders", &jwt(r#"{"alg":"none"}"#, &payload, ""))
    };
    let says = |claims: &str| {
        let payload = format!(r#"{{"sub":"a","iat":{NOW},"exp":{},{claims}}}"#, NOW + HOUR);
        vec![bearer("/orders", &jwt(r#"{"alg":"RS256"}"#, &payload, "c2ln"))]
    };
    let day = 86_400;
    let hmac = jwt(
        r#"{"alg":"HS256"}"#,
        &format!(r#"{{"iss":"i","sub":"alice","iat":{NOW},"exp":{}}}"#, NOW + HOUR),
        "c2ln",
    );
    let forever = jwt(
        r#"{"alg":"RS256"}"#,
        &format!(r#"{{"sub":"a","iat":{NOW}}}"#),
        "c2ln",
    );
    let good = || bearer("/orders", &token(0, 3600));
    vec![
        story(rule, "unsigned", vec![unsigned()], Fires(&[Critical])),
        story(
            rule,
            "never expires",
            vec![bearer("/x", &forever)],
            Fires(&[Medium]),
        ),
        story(
            rule,
            "a year",
            vec![bearer("/x", &token(0, 365 * day))],
            Fires(&[Medium]),
        ),
        story(
            rule,
            "two months",
            vec![bearer("/x", &token(0, 60 * day))],
            Fires(&[Low]),
        ),
        story(
            rule,
            "symmetric where it was not",
            vec![good(), bearer("/orders", &hmac)],
            Fires(&[High]),
        ),
        story(
            rule,
            "e-mail inside",
            says(r#""email":"a@example.org""#),
            Fires(&[Info]),
        ),
        story(
            rule,
            "password inside",
            says(r#""password":"hunter2""#),
            Fires(&[High]),
        ),
        story(rule, "ordinary", vec![good()], Quiet),
        story(rule, "a week", vec![bearer("/x", &token(0, 7 * day))], Quiet),
        story(rule, "unsigned and refused", vec![unsigned().status(401)], Quiet),
        // Nobody looks at the token there.
        story(
            rule,
            "a public endpoint",
            vec![Builder::get("/orders").at_s(NOW), unsigned()],
            Quiet,
        ),
        story(
            rule,
            "no answer",
            vec![unsigned().unanswered()],
            Expect::Blind(Blind::NoResponse),
        ),
        story(
            rule,
            "head cut",
            vec![Builder::get("/orders").caller(Caller::Unseen)],
            Expect::Blind(Blind::CallerUnseen),
        ),
    ]
}

fn expired_tokens() -> Vec<Story> {
    let rule = "API2-004";
    let old = || bearer("/orders", &token(-10_800, -7200));
    let refreshed = Builder::post("/session")
        .field("Authorization", &format!("Bearer {}", token(-10_800, -7200)))
        .json(&format!(r#"{{"refresh_token":"{}"}}"#, opaque("r")))
        .answer(&format!(r#"{{"access_token":"{}"}}"#, opaque("a")))
        .at_s(NOW);
    let stale = (0..50).map(|minute| old().status(401).at_s(NOW + minute * MINUTE));
    let dated = old().at_s(1000);
    vec![
        story(rule, "two hours", vec![old()], Fires(&[High])),
        story(
            rule,
            "the server's own clock",
            vec![dated.response_field("Date", "Wed, 18 Nov 2026 16:00:00 GMT")],
            Fires(&[High]),
        ),
        story(
            rule,
            "not yet good",
            vec![bearer("/x", &token(3600, 7200))],
            Fires(&[Medium]),
        ),
        story(
            rule,
            "clocks differ",
            vec![bearer("/x", &token(-3600, -120))],
            Quiet,
        ),
        story(rule, "a job with an old token", stale.collect(), Quiet),
        story(rule, "refresh", vec![refreshed], Quiet),
        story(
            rule,
            "logout",
            vec![bearer("/auth/logout", &token(-10_800, -7200))],
            Quiet,
        ),
        story(
            rule,
            "no clock",
            vec![old().at_s(1000)],
            Expect::Blind(Blind::NoClock),
        ),
        story(
            rule,
            "no answer",
            vec![old().unanswered()],
            Expect::Blind(Blind::NoResponse),
        ),
    ]
}

fn guessable_secrets() -> Vec<Story> {
    let rule = "API2-005";
    // What a well-known debugger shows first; `your-256-bit-secret` signs it.
    let known = concat!(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0Ijo",
        "xNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    );
    let other = jwt(
        r#"{"alg":"HS256"}"#,
        r#"{"sub":"a","exp":1795003200}"#,
        "c2lnbmF0dXJl",
    );
    let long = format!(r#"{{"sub":"a","groups":"{}"}}"#, "x".repeat(5000));
    let long = jwt(r#"{"alg":"HS256"}"#, &long, "c2lnbmF0dXJl");
    vec![
        story(
            rule,
            "accepted",
            vec![bearer("/orders", known)],
            Fires(&[Critical]),
        ),
        story(
            rule,
            "accepted at four endpoints of a host",
            ["/orders", "/bills", "/me", "/orders"]
                .map(|path| bearer(path, known))
                .into(),
            Fires(&[Critical]),
        ),
        story(
            rule,
            "accepted at two hosts",
            ["one.example", "two.example"]
                .map(|host| bearer("/orders", known).field("Host", host))
                .into(),
            Fires(&[Critical, Critical]),
        ),
        story(rule, "refused", vec![bearer("/orders", known).status(401)], Quiet),
        story(rule, "another secret", vec![bearer("/orders", &other)], Quiet),
        story(
            rule,
            "too long",
            vec![bearer("/orders", &long)],
            Expect::Blind(Blind::NotTried),
        ),
    ]
}

/// Sixty-four names from sixteen addresses, once each, in five minutes.
fn campaign(sort: &'static str, from: u64) -> impl Iterator<Item = Builder> {
    (0..64).map(move |at| fails(&name(sort, at), from + at * 4).remote(address(number(at % 16))))
}

/// Two hours in which two users log in every ten minutes, and one of them mistypes now and then.
fn usual_days() -> Vec<Builder> {
    let windows = 0..12;
    windows
        .flat_map(|window| {
            let from = window * 10 * MINUTE;
            [
                succeeds("alice", from).remote(address(150)),
                fails("bob", from + 20).remote(address(151)),
                succeeds("bob", from + 30).remote(address(151)),
            ]
        })
        .collect()
}

fn guessing() -> Vec<Story> {
    let rule = "API2-006";
    let forced = |count: u64| (0..count).map(|at| fails("admin", at * 5)).collect::<Vec<_>>();
    let got_in = [forced(12), vec![succeeds("admin", 70)]].concat();
    let limited = [
        forced(8),
        vec![attempt("admin", 45).status(429)],
        (10..70).map(|at| fails("admin", at * 5)).collect(),
    ]
    .concat();
    let sprayed = (0..14).map(|at| fails(&name("u", at), at * 5)).collect();
    let slowly = (0..45)
        .map(|at| fails(&name("u", at), at * 20 * MINUTE))
        .collect();
    let one_slowly = (0..40).map(|at| fails("admin", at * 15 * MINUTE)).collect();
    let stuffed = [usual_days(), campaign("leaked", 3 * HOUR).collect()].concat();
    vec![
        story(rule, "one name", forced(12), Fires(&[High])),
        story(rule, "one name, slowly", one_slowly, Fires(&[High])),
        story(
            rule,
            "one name, and nothing stops it",
            forced(60),
            Fires(&[High, Medium]),
        ),
        story(rule, "one name, and it is slowed down", limited, Fires(&[High])),
        story(rule, "got in", got_in, Fires(&[High, Critical])),
        story(rule, "one address", sprayed, Fires(&[High])),
        story(rule, "one address, slowly", slowly, Fires(&[High])),
        story(rule, "many addresses", stuffed, Fires(&[High])),
        story(
            rule,
            "forgotten password",
            [forced(5), vec![succeeds("admin", 60)]].concat(),
            Quiet,
        ),
        story(rule, "password manager", forced(8), Quiet),
        story(rule, "office behind one address", office(), Quiet),
        story(rule, "job with an old password", basic_job(), Quiet),
        story(rule, "application with an old password", application(), Quiet),
        story(
            rule,
            "load test",
            (0..300).map(|at| succeeds(&name("load", at), at)).collect(),
            Quiet,
        ),
        story(rule, "service breaks for its users", breaks(), Quiet),
        story(
            rule,
            "many addresses, on the first day",
            campaign("leaked", 0).collect(),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
        story(
            rule,
            "no answer",
            vec![attempt("a", 0).unanswered()],
            Expect::Blind(Blind::NoResponse),
        ),
    ]
}

/// Monday morning: sixty people log in within ten minutes, and fifteen of them mistype.
fn office() -> Vec<Builder> {
    let people = (0..60).flat_map(|at| {
        let mistypes = (at % 4 == 0).then(|| fails(&name("staff", at), at * 8));
        mistypes
            .into_iter()
            .chain([succeeds(&name("staff", at), at * 8 + 3)])
    });
    people.collect()
}

/// Each minute for five hours with a password that is no longer right.
fn basic_job() -> Vec<Builder> {
    let header = format!("Basic {}", STANDARD.encode("batch:old"));
    let run = |at: u64| {
        Builder::get("/export")
            .field("Authorization", &header)
            .at_s(NOW + at * MINUTE)
    };
    (0..300).map(|at| run(at).status(401)).collect()
}

/// It worked, the password was changed, and now it asks each five minutes.
fn application() -> Vec<Builder> {
    let before = (0..3).map(|at| succeeds("app", at * HOUR));
    let after = (0..200).map(|at| fails("app", 4 * HOUR + at * 5 * MINUTE));
    before.chain(after).collect()
}

/// Everybody who logged in for hours fails at once.
fn breaks() -> Vec<Builder> {
    let days = (0..8).flat_map(|round| {
        (0..64).map(move |at| {
            succeeds(&name("user", at), round * 15 * MINUTE + at * 4).remote(address(number(at % 16)))
        })
    });
    days.chain(campaign("user", 3 * HOUR)).collect()
}

/// Users who log in, and later mistype once.
fn known_names(count: u64, answer: impl Fn(Builder) -> Builder) -> Vec<Builder> {
    let before = (0..count).map(|at| succeeds(&name("user", at), at));
    let after = (0..count).map(|at| answer(attempt(&name("user", at), HOUR + at)));
    before.chain(after).collect()
}

fn strangers(count: u64, answer: impl Fn(Builder) -> Builder) -> Vec<Builder> {
    let all = (0..count).map(|at| answer(attempt(&name("stranger", at), 2 * HOUR + at * MINUTE)));
    all.collect()
}

fn telling() -> Vec<Story> {
    let rule = "API2-007";
    let wrong = |attempt: Builder| attempt.status(401).answer(r#"{"error":"wrong password"}"#);
    let unknown = |attempt: Builder| attempt.status(401).answer(r#"{"error":"no such user"}"#);
    let status = |status| move |attempt: Builder| attempt.status(status).answer("{}");
    let after = |ms| move |attempt: Builder| attempt.status(401).answered_after_ms(ms);
    let both = |known: Vec<Builder>, others: Vec<Builder>| [known, others].concat();
    vec![
        story(
            rule,
            "status",
            both(known_names(10, wrong), strangers(8, status(404))),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "size",
            both(known_names(12, wrong), strangers(15, unknown)),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "time",
            both(known_names(50, after(120)), strangers(50, after(2))),
            Fires(&[Medium]),
        ),
        story(rule, "registration", registrations(), Fires(&[Low])),
        story(
            rule,
            "all the same",
            both(known_names(20, wrong), strangers(50, wrong)),
            Quiet,
        ),
        story(
            rule,
            "input is malformed",
            both(known_names(10, wrong), strangers(20, status(422))),
            Quiet,
        ),
        story(
            rule,
            "a firewall",
            both(known_names(10, wrong), strangers(20, status(403))),
            Quiet,
        ),
        story(rule, "the name is in the answer", echoes(), Quiet),
        story(rule, "time is noise", noise(), Quiet),
        story(
            rule,
            "few names",
            both(known_names(3, wrong), strangers(3, status(404))),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
    ]
}

fn registrations() -> Vec<Builder> {
    let form = |name: &str, second| {
        let body = format!(r#"{{"username":"{name}","password":"correct horse"}}"#);
        Builder::post("/register").json(&body).at_s(NOW + second)
    };
    let before = (0..10).map(|at| succeeds(&name("user", at), at));
    let taken = (0..10).map(|at| form(&name("user", at), HOUR + at).status(409));
    let free = (0..10).map(|at| form(&name("new", at), 2 * HOUR + at).status(201));
    before.chain(taken).chain(free).collect()
}

fn echoes() -> Vec<Builder> {
    let echo = |at: usize, attempt: Builder| {
        let text = format!(r#"{{"error":"wrong","user":"{}"}}"#, "x".repeat(at % 9 + 5));
        attempt.status(401).answer(&text)
    };
    let known = known_names(12, |attempt| attempt.status(401));
    let known = known
        .into_iter()
        .enumerate()
        .map(|(at, attempt)| if at < 12 { attempt } else { echo(at, attempt) });
    let others = strangers(60, |attempt| attempt);
    let others = others
        .into_iter()
        .enumerate()
        .map(|(at, attempt)| echo(at + 3, attempt));
    known.chain(others).collect()
}

fn noise() -> Vec<Builder> {
    let waits = [2, 90, 5, 40, 130, 15];
    let slow = |(at, attempt): (usize, Builder)| attempt.answered_after_ms(waits[at % waits.len()]);
    let known = known_names(50, |attempt| attempt.status(401))
        .into_iter()
        .enumerate()
        .map(slow);
    let others = strangers(50, |attempt| attempt.status(401))
        .into_iter()
        .enumerate()
        .map(slow);
    known.chain(others).collect()
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
/// Many users within half an hour, each with one token and so many addresses.
fn first_hour(addresses: u64) -> Vec<Builder> {
    let user = |of: u64| {
        (0..addresses).map(move |at| {
            bearer("/orders", &opaque(&name("u", of)))
                .at_s(NOW + of * 10 + at)
                .remote(address(number(of * addresses + at)))
        })
    };
    (0..150).flat_map(user).collect()
}

fn places() -> Vec<Story> {
    let rule = "API2-008";
    let used = |second: u64, from: u64| {
        bearer("/orders", &opaque("t"))
            .at_s(NOW + second)
            .remote(address(number(from)))
    };
    let usual = |hours: u64| {
        (0..hours)
            .map(move |hour| used(hour * HOUR, 1))
            .collect::<Vec<_>>()
    };
    let everywhere = |from: u64| {
        (0..40)
            .map(move |at| used(from + at * 30, at % 12))
            .collect::<Vec<_>>()
    };
    // At home, on the way, at work, and back, each day.
    let roaming =
        (0..12).flat_map(|hour| (0..6).map(move |at| used(hour * HOUR + at * 500, hour / 6 + at % 3)));
    let journey = (0..8).map(|at| used(9 * HOUR + at * 300, 20 + at));
    let fleet = |hours: u64| {
        (0..hours).flat_map(|hour| {
            (0..60).map(move |at| {
                Builder::get("/orders")
                    .field("X-Api-Key", &opaque("key"))
                    .at_s(NOW + hour * HOUR + at * 50)
                    .remote(address(number(at % 20)))
            })
        })
    };
    let proxied = everywhere(0)
        .into_iter()
        .map(|use_of| use_of.field("X-Forwarded-For", "192.0.2.9"));
    vec![
        story(
            rule,
            "stolen",
            [usual(8), everywhere(9 * HOUR)].concat(),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "new user, unlike all others",
            [others(1), everywhere(9 * HOUR)].concat(),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "new user in the first hour of all",
            [first_hour(1), everywhere(HOUR / 2)].concat(),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "everybody has many in the first hour",
            [first_hour(9), everywhere(HOUR / 2)].concat(),
            Quiet,
        ),
        story(rule, "roaming", roaming.collect(), Quiet),
        story(
            rule,
            "a journey",
            usual(8).into_iter().chain(journey).collect(),
            Quiet,
        ),
        story(
            rule,
            "pool of a carrier",
            [others(8), everywhere(9 * HOUR)].concat(),
            Quiet,
        ),
        story(rule, "fleet with one key", fleet(9).collect(), Quiet),
        story(
            rule,
            "refused",
            everywhere(0)
                .into_iter()
                .map(|use_of| use_of.status(401))
                .collect(),
            Quiet,
        ),
        story(
            rule,
            "new fleet",
            fleet(1).collect(),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
        story(
            rule,
            "new user",
            everywhere(0),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
        story(
            rule,
            "unknown proxy",
            proxied.collect(),
            Expect::Blind(Blind::ClientUnknown),
        ),
    ]
}

/// Thirty other users for five hours, each from so many addresses in turn.
fn others(addresses: u64) -> Vec<Builder> {
    let hours = (0..5).flat_map(|hour| (0..30).map(move |user| (hour, user)));
    let uses = hours.flat_map(|(hour, user)| {
        (0..addresses * 3).map(move |at| {
            bearer("/orders", &opaque(&format!("o{user}")))
                .at_s(NOW + hour * HOUR + at * 40)
                .remote(address(number(user * 3 + at % addresses)))
        })
    });
    uses.collect()
}

fn skipped_steps() -> Vec<Story> {
    let rule = "API2-009";
    let mallory = [logged_in("mallory", 9 * HOUR, Way::Straight)].concat();
    let with_step = |count: u64| many(count, |_| Way::Second);
    let ticket = many(30, |_| Way::Ticket);
    let around = logged_in("mallory", 9 * HOUR, Way::AroundTicket);
    vec![
        story(
            rule,
            "token of the first step",
            [with_step(30), mallory.clone()].concat(),
            Fires(&[High]),
        ),
        story(
            rule,
            "around the ticket",
            [ticket, around].concat(),
            Fires(&[High]),
        ),
        story(rule, "all take it", with_step(40), Quiet),
        story(rule, "no second step", many(40, |_| Way::Straight), Quiet),
        story(
            rule,
            "devices are remembered",
            many(60, |at| if at % 5 == 4 { Way::Straight } else { Way::Second }),
            Quiet,
        ),
        story(
            rule,
            "few have logged in",
            [with_step(8), mallory].concat(),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
    ]
}

/// How a login goes on.
#[derive(Clone, Copy)]
enum Way {
    Second,
    Straight,
    Ticket,
    AroundTicket,
}

fn many(count: u64, way: impl Fn(u64) -> Way) -> Vec<Builder> {
    (0..count)
        .flat_map(|at| logged_in(&format!("user{at}"), at * MINUTE, way(at)))
        .collect()
}

fn logged_in(user: &str, second: u64, way: Way) -> Vec<Builder> {
    let held = format!("Bearer {}", opaque(user));
    let post = |path: &str, body: String, at: u64| Builder::post(path).json(&body).at_s(NOW + second + at);
    let granted = format!(r#"{{"access_token":"{}"}}"#, opaque(user));
    let asked = r#"{"mfa_required":true}"#;
    let code = || post("/login/mfa", r#"{"code":"123456"}"#.to_owned(), 2);
    let mut all = match way {
        Way::Second => vec![succeeds(user, second), code().field("Authorization", &held)],
        Way::Straight => vec![succeeds(user, second)],
        Way::Ticket => vec![attempt(user, second).answer(asked), code().answer(&granted)],
        Way::AroundTicket => {
            let body = r#"{"grant_type":"ticket"}"#.to_owned();
            vec![
                attempt(user, second).answer(asked),
                post("/token", body, 2).answer(&granted),
            ]
        }
    };
    for at in 3..8 {
        all.push(
            Builder::get("/orders")
                .field("Authorization", &held)
                .at_s(NOW + second + at),
        );
    }
    all
}

pub(super) fn all() -> Vec<Story> {
    let tables = [
        weak_tokens(),
        expired_tokens(),
        guessable_secrets(),
        guessing(),
        telling(),
        places(),
        skipped_steps(),
        super::rights::all(),
        super::doors::stories(),
        super::exposure::dialogues(),
        super::objects::all(),
        evasions::all(),
        resets::all(),
    ];
    tables.into_iter().flatten().collect()
}

#[test]
fn every_story_holds() {
    let mut wrong = Vec::new();
    for story in all() {
        let mut world = World::new();
        let (mut told, mut before) = (Vec::new(), Vec::new());
        for exchange in story.exchanges {
            before = world.blind(story.rule);
            let found = world.see(exchange).into_iter();
            told.extend(found.filter(|one| one.rule.id.0 == story.rule && one.repeats == 0));
        }
        let severities: Vec<_> = told.iter().map(|finding| finding.severity).collect();
        let blind = world.blind(story.rule);
        let holds = match story.expect {
            Fires(expected) => severities == expected,
            Quiet => told.is_empty() && blind == before,
            Expect::Blind(reason) => told.is_empty() && blind.iter().any(|(known, _)| *known == reason),
        };
        if !holds {
            wrong.push(format!(
                "{}: {}: {severities:?}, blind {blind:?}",
                story.rule, story.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What was learnt of objects survives a restart as well.
#[test]
fn objects_survive_a_restart() {
    let (mut stories, mut world) = (super::objects::all(), World::new());
    let mut story = stories.swap_remove(0);
    let last = story.exchanges.pop().unwrap();
    for exchange in story.exchanges {
        world.see(exchange);
    }
    let text = serde_json::to_string(&world.engine.objects().snapshot()).unwrap();
    let objects = Objects::restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(text, serde_json::to_string(&objects.snapshot()).unwrap());
    let mut after = World::new();
    after.engine.resume_objects(objects);
    let told = after.see(last);
    assert!(told.iter().any(|finding| finding.rule.id.0 == story.rule));
}

/// A restart in the middle changes nothing, and the same exchanges give the same bytes.
#[test]
fn what_is_learnt_survives_a_restart() {
    let again = || {
        let mut world = World::new();
        for exchange in [usual_days(), known_names(12, |attempt| attempt.status(401))].concat() {
            world.see(exchange);
        }
        world
    };
    let mut world = again();
    let text = serde_json::to_string(&world.engine.baseline().snapshot()).unwrap();
    assert_eq!(
        text,
        serde_json::to_string(&again().engine.baseline().snapshot()).unwrap()
    );
    assert!(!text.contains("@example.org"));
    let baseline = Baseline::restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(text, serde_json::to_string(&baseline.snapshot()).unwrap());
    world.engine.resume(baseline);
    let told = strangers(8, |attempt| attempt.status(404));
    let told: Vec<_> = told.into_iter().flat_map(|attempt| world.see(attempt)).collect();
    assert!(told.iter().any(|finding| finding.rule.id.0 == "API2-007"));
}
