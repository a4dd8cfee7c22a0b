//! Stories of who may do what: functions of roles, properties, long lists.

use super::Expect::{self, Fires, Quiet};
use super::Severity::{High, Low, Medium};
use super::stories::{MINUTE, NOW, Story, jwt, story};
use crate::detect::Blind;
use crate::exchange::Caller;
use crate::exchange::test_support::Builder;

const DAY: u64 = 86_400;

/// A caller of a role, by a token that says so.
pub(super) fn by(role: &str, number: u64, builder: Builder) -> Builder {
    let payload = format!(
        r#"{{"iss":"i","sub":"{role}{number}","roles":["{role}"],"iat":{NOW},"exp":{}}}"#,
        NOW + 90 * DAY
    );
    let token = jwt(r#"{"alg":"RS256"}"#, &payload, "c2lnbmF0dXJl");
    builder.field("Authorization", &format!("Bearer {token}"))
}

/// Two days of twenty customers at the shop, and two of the staff at a function of theirs.
pub(super) fn days(function: fn() -> Builder) -> Vec<Builder> {
    let minutes = (0..400_u64).flat_map(|at| {
        let when = NOW + at * 7 * MINUTE;
        let customer = by("customer", at % 20, Builder::get("/products/3")).at_s(when);
        let more = by("customer", (at + 7) % 20, Builder::get("/orders")).at_s(when + 1);
        let staff = (at % 10 == 0).then(|| by("staff", at / 10 % 2, function()).at_s(when + 2));
        [Some(customer), Some(more), staff].into_iter().flatten()
    });
    minutes.collect()
}

/// After these.
pub(super) fn later(builder: Builder) -> Builder {
    builder.at_s(NOW + 2 * DAY)
}

pub(super) fn report() -> Builder {
    Builder::get("/reports/monthly")
}

fn users() -> Builder {
    Builder::get("/admin/users")
}

fn removal() -> Builder {
    Builder::get("/products/3").method("DELETE").status(204)
}

fn functions(rule: &'static str, function: fn() -> Builder) -> Vec<Story> {
    let with = |more: Vec<Builder>| [days(function), more].concat();
    let crowd = (0..12).map(|at| by("customer", at, function()).at_s(NOW + 2 * DAY + at * MINUTE));
    let cold = vec![
        by("staff", 1, function()).at_s(NOW),
        by("customer", 1, function()).at_s(NOW + 1),
    ];
    vec![
        story(
            rule,
            "a customer",
            with(vec![later(by("customer", 5, function()))]),
            Fires(&[High]),
        ),
        story(
            rule,
            "refused",
            with(vec![later(by("customer", 5, function().status(403)))]),
            Quiet,
        ),
        story(
            rule,
            "a new hire",
            with(vec![later(by("staff", 9, function()))]),
            Quiet,
        ),
        story(
            rule,
            "a release: the first is told",
            with(crowd.collect()),
            Fires(&[High]),
        ),
        story(rule, "early", cold, Expect::Blind(Blind::NotEnoughEvidence)),
        story(
            rule,
            "head cut",
            vec![function().caller(Caller::Unseen).at_s(NOW)],
            Expect::Blind(Blind::CallerUnseen),
        ),
    ]
}

pub(super) fn change(number: u64, body: &str, answer: &str) -> Builder {
    by("customer", number, Builder::get("/me").method("PATCH"))
        .json(body)
        .answer(answer)
        .at_s(NOW + number * MINUTE)
}

pub(super) fn changes() -> Vec<Builder> {
    let name = r#"{"name":"A"}"#;
    (0..30).map(|at| change(at, name, name)).collect()
}

fn assigned() -> Vec<Story> {
    let rule = "API3-002";
    let with = |more: Vec<Builder>| [changes(), more].concat();
    let admin = r#"{"name":"A","is_admin":true}"#;
    let balance = |amount: u64| format!(r#"{{"name":"A","balance":{amount}}}"#);
    let note = r#"{"name":"A","gift_note":"b"}"#;
    vec![
        story(
            rule,
            "is_admin",
            with(vec![change(40, admin, admin)]),
            Fires(&[High]),
        ),
        story(
            rule,
            "no answer to tell",
            with(vec![change(40, admin, "").status(204)]),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "a release: the first is told",
            with((40..60).map(|at| change(at, admin, admin)).collect()),
            Fires(&[High]),
        ),
        story(
            rule,
            "passed over",
            with(vec![change(40, admin, r#"{"name":"A"}"#)]),
            Quiet,
        ),
        story(
            rule,
            "another value stays",
            with(vec![change(40, &balance(99_000_000), &balance(100))]),
            Quiet,
        ),
        story(
            rule,
            "refused",
            with(vec![change(40, admin, admin).status(422)]),
            Quiet,
        ),
        story(
            rule,
            "another property",
            with(vec![change(40, note, note)]),
            Quiet,
        ),
        story(
            rule,
            "early",
            vec![change(1, admin, admin)],
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
    ]
}

pub(super) fn profile(number: u64, answer: &str) -> Builder {
    by("customer", number % 20, Builder::get("/profile"))
        .answer(answer)
        .at_s(NOW + number * MINUTE)
}

fn excess() -> Vec<Story> {
    let rule = "API3-003";
    let plain = r#"{"name":"A"}"#;
    let card = r#"{"name":"A","card":"4111111111111111"}"#;
    let with = |more: Vec<Builder>| {
        let before = (0..40).map(|at| profile(at, plain));
        before.chain(more).collect::<Vec<_>>()
    };
    vec![
        story(rule, "a card", with(vec![profile(50, card)]), Fires(&[High])),
        story(
            rule,
            "e-mail",
            with(vec![profile(50, r#"{"name":"A","mail":"a@example.org"}"#)]),
            Fires(&[Low]),
        ),
        story(
            rule,
            "a release: the first is told",
            with((50..90).map(|at| profile(at, card)).collect()),
            Fires(&[High]),
        ),
        story(
            rule,
            "another property",
            with(vec![profile(50, r#"{"name":"A","points":4}"#)]),
            Quiet,
        ),
        story(
            rule,
            "always there",
            (0..60).map(|at| profile(at, card)).collect(),
            Quiet,
        ),
        story(
            rule,
            "early",
            vec![profile(1, card)],
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
    ]
}

pub(super) fn list(number: u64, target: &str, items: usize) -> Builder {
    let items = vec![r#"{"a":1}"#; items].join(",");
    by("customer", number % 20, Builder::get(target))
        .answer(&format!(r#"{{"items":[{items}]}}"#))
        .at_s(NOW + number * MINUTE)
}

fn bulk() -> Vec<Story> {
    let rule = "API3-004";
    let with = |count: u64, more: Vec<Builder>| {
        let before = (0..count).map(|at| list(at, "/contacts?limit=10", 10));
        before.chain(more).collect::<Vec<_>>()
    };
    vec![
        story(
            rule,
            "by limit",
            with(30, vec![list(50, "/contacts?limit=900", 900)]),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "at a new operation",
            with(220, vec![list(300, "/export?limit=400", 400)]),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "without a limit",
            with(30, vec![list(50, "/contacts", 900)]),
            Fires(&[Low]),
        ),
        story(
            rule,
            "two pages",
            with(30, vec![list(50, "/contacts?limit=40", 40)]),
            Quiet,
        ),
        story(
            rule,
            "much at a new operation",
            with(220, vec![list(300, "/export", 400)]),
            Quiet,
        ),
        story(
            rule,
            "head cut",
            vec![Builder::get("/contacts").caller(Caller::Unseen).at_s(NOW)],
            Expect::Blind(Blind::CallerUnseen),
        ),
    ]
}

pub(super) fn all() -> Vec<Story> {
    let tables = [
        functions("API5-001", report),
        functions("API5-002", users),
        functions("API5-003", removal),
        assigned(),
        excess(),
        bulk(),
    ];
    tables.into_iter().flatten().collect()
}
