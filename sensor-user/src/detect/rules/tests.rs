//! For each registered rule a case that fires, one that nearly does, and one that cannot be judged. A case is one
//! exchange here; `stories` has those that need what came before.

mod doors;
mod exposure;
mod objects;
mod rights;
mod stories;

use std::sync::Arc;

use crate::callers::{self, Callers};
use crate::classify::{Classifier, Limits};
use crate::detect::baseline::{Door, Signs};
use crate::detect::registry::RULES;
use crate::detect::{Blind, Engine, Finding, Mark, Observation, Past, Severity, Verdicts};
use crate::exchange::call::{CallKind, CallOutcome};
use crate::exchange::test_support::Builder;
use crate::exchange::{BodyState, Caller, Exchange, PartKind};
use crate::inventory::{EndpointId, EndpointRef, History, Inventory};
use crate::telemetry::Counters;

/// History of an endpoint where nearly every success had credentials.
pub(in crate::detect) fn known_history() -> History {
    History {
        exchanges: 50,
        success_known: 39,
        success_anonymous: 1,
    }
}

fn endpoint_of(exchange: &Exchange) -> EndpointRef {
    let counters = Arc::new(Counters::default());
    Inventory::new(crate::inventory::Limits::default(), counters)
        .observe(exchange, &[])
        .endpoint
}

/// Judges one exchange by an engine.
pub(in crate::detect) fn judge_with(
    engine: &mut Engine,
    exchange: &Exchange,
    history: &History,
) -> Vec<Finding> {
    let identity = endpoint_of(exchange).id;
    judge_as(engine, exchange, history, identity)
}

/// The same, of an endpoint that was called otherwise first.
pub(in crate::detect) fn judge_as(
    engine: &mut Engine,
    exchange: &Exchange,
    history: &History,
    identity: EndpointId,
) -> Vec<Finding> {
    judge_all(engine, exchange, history, identity, &|_| false)
}

/// The same, where somebody decided not to be told.
pub(in crate::detect) fn judge_muted(
    engine: &mut Engine,
    exchange: &Exchange,
    history: &History,
    muted: &dyn Fn(&Mark) -> bool,
) -> Vec<Finding> {
    let identity = endpoint_of(exchange).id;
    judge_all(engine, exchange, history, identity, muted)
}

fn judge_all(
    engine: &mut Engine,
    exchange: &Exchange,
    history: &History,
    identity: EndpointId,
    muted: &dyn Fn(&Mark) -> bool,
) -> Vec<Finding> {
    let labels = Classifier::new(Limits::default()).classify(exchange);
    let endpoint = endpoint_of(exchange);
    let caller = Callers::new(callers::Limits::default()).observe(exchange);
    let seen = Observation {
        caller: &caller,
        exchange,
        labels: &labels,
        endpoint: &endpoint,
        known: Some(identity),
    };
    let mut out = Vec::new();
    engine.judge(&seen, history, muted, &mut out);
    out
}

/// Severities that one rule gives, and its judgement.
fn inspect(rule: &str, exchange: &Exchange, history: &History) -> (Vec<Severity>, Result<(), Blind>) {
    let labels = Classifier::new(Limits::default()).classify(exchange);
    let endpoint = endpoint_of(exchange);
    let caller = Callers::new(callers::Limits::default()).observe(exchange);
    let seen = Observation {
        caller: &caller,
        exchange,
        labels: &labels,
        endpoint: &endpoint,
        known: Some(endpoint.id),
    };
    let rule = RULES.iter().find(|known| known.meta().id.0 == rule).unwrap();
    // Whether an endpoint is public is in the stories.
    let signs = Signs {
        door: Door::Personal,
        ..Signs::default()
    };
    let mut verdicts = Verdicts::new();
    let past = Past {
        endpoint: history,
        signs: &signs,
    };
    let judged = rule.inspect(&seen, &past, &mut verdicts);
    (verdicts.iter().map(|verdict| verdict.severity).collect(), judged)
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Expect {
    Fires(&'static [Severity]),
    Quiet,
    Blind(Blind),
}
use Expect::{Fires, Quiet};
use Severity::{Critical, High, Info, Low, Medium};

struct Case {
    rule: &'static str,
    name: &'static str,
    exchange: Exchange,
    history: History,
    expect: Expect,
}

fn case(rule: &'static str, name: &'static str, exchange: Builder, expect: Expect) -> Case {
    Case {
        rule,
        name,
        exchange: exchange.build(),
        history: known_history(),
        expect,
    }
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn api2() -> Vec<Case> {
    let url = "API2-001";
    let open = "API2-002";
    let with = |history: History, case: Case| Case { history, ..case };
    let few = History {
        exchanges: 19,
        success_known: 19,
        success_anonymous: 0,
    };
    let mixed = History {
        exchanges: 100,
        success_known: 94,
        success_anonymous: 6,
    };
    vec![
        case(
            url,
            "named",
            Builder::get("/x?api_key=abcdef123456"),
            Fires(&[Medium]),
        ),
        case(
            url,
            "password",
            Builder::get("/x?password=hunter2"),
            Fires(&[High]),
        ),
        case(
            url,
            "key in the path",
            Builder::get("/k/AKIAQ2W3E4R5T6Y7UUIP"),
            Fires(&[High]),
        ),
        case(
            url,
            "page token",
            Builder::get("/x?next_page_token=a8f5f167f44f4964"),
            Quiet,
        ),
        case(url, "e-mail", Builder::get("/x?mail=bob@example.org"), Quiet),
        case(
            url,
            "in the body",
            Builder::post("/x").json(r#"{"password":"hunter2"}"#),
            Quiet,
        ),
        case(
            url,
            "head cut",
            Builder::get("/x").caller(Caller::Unseen),
            Expect::Blind(Blind::HeadCut),
        ),
        case(open, "anonymous", Builder::get("/users/1"), Fires(&[High])),
        case(open, "known", Builder::get("/users/1").known(), Quiet),
        case(open, "refused", Builder::get("/users/1").status(401), Quiet),
        with(
            mixed,
            case(open, "often anonymous", Builder::get("/users/1"), Quiet),
        ),
        with(
            few,
            case(
                open,
                "new endpoint",
                Builder::get("/users/1"),
                Expect::Blind(Blind::NotEnoughEvidence),
            ),
        ),
        // LESSONS 27.
        case(
            open,
            "head cut",
            Builder::get("/users/1").caller(Caller::Unseen),
            Expect::Blind(Blind::HeadCut),
        ),
        case(
            open,
            "no response",
            Builder::get("/users/1").unanswered(),
            Expect::Blind(Blind::NoResponse),
        ),
    ]
}

fn api8() -> Vec<Case> {
    let rule = "API8-001";
    let plain = || Builder::get("/x").cleartext();
    vec![
        case(
            rule,
            "bearer",
            plain().known().field("Authorization", "Bearer 0123456789ab"),
            Fires(&[High]),
        ),
        case(
            rule,
            "password",
            Builder::post("/x").cleartext().json(r#"{"password":"hunter2"}"#),
            Fires(&[High]),
        ),
        case(
            rule,
            "loopback",
            plain().known().remote("127.0.0.1".parse().unwrap()),
            Fires(&[Low]),
        ),
        case(
            rule,
            "handed out",
            plain().response_field("Set-Cookie", "sid=0123456789abcdef"),
            Fires(&[High]),
        ),
        case(rule, "over TLS", Builder::get("/x").known(), Quiet),
        case(
            rule,
            "nothing secret",
            plain().answer(r#"{"mail":"a@example.org"}"#),
            Quiet,
        ),
        case(
            rule,
            "head cut",
            plain().caller(Caller::Unseen),
            Expect::Blind(Blind::HeadCut),
        ),
    ]
}

/// Parts of longer exchanges, and refusals that come with 200.
fn calls_and_parts() -> Vec<Case> {
    let message = || {
        Builder::get("/ws?password=hunter2")
            .status(101)
            .cleartext()
            .known()
    };
    let to_client = || {
        message()
            .part(PartKind::MessageToClient)
            .answer(r#"{"card":"4111111111111111"}"#)
    };
    let refused = |kind, code| Builder::get("/x").call(kind, CallOutcome::Failure(code));
    let half = || refused(CallKind::JsonRpc, -32_000).call(CallKind::JsonRpc, CallOutcome::Success);
    let event = || Builder::get("/events").part(PartKind::Event);
    vec![
        case("API2-001", "handshake", message(), Fires(&[High])),
        case("API2-001", "message", to_client(), Quiet),
        case("API8-001", "handshake", message(), Fires(&[High, High])),
        case("API8-001", "message", to_client(), Quiet),
        case("API3-001", "message", to_client(), Fires(&[High])),
        case("API2-002", "refused by gRPC", refused(CallKind::Grpc, 16), Quiet),
        case(
            "API2-002",
            "refused by GraphQL",
            refused(CallKind::GraphqlQuery, 0),
            Quiet,
        ),
        case("API2-002", "refused in part", half(), Fires(&[High])),
        case(
            "API2-002",
            "stream of events",
            Builder::get("/events"),
            Fires(&[High]),
        ),
        case("API2-002", "event", event(), Quiet),
    ]
}

fn cases() -> Vec<Case> {
    [api2(), exposure::api3(), api8(), calls_and_parts()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn every_case_holds() {
    for Case {
        rule,
        name,
        exchange,
        history,
        expect,
    } in cases()
    {
        let (severities, judged) = inspect(rule, &exchange, &history);
        let expected = match expect {
            Fires(severities) => (severities.to_vec(), Ok(())),
            Quiet => (Vec::new(), Ok(())),
            Expect::Blind(reason) => (Vec::new(), Err(reason)),
        };
        assert_eq!((severities, judged), expected, "{rule}: {name}");
    }
}

/// The law of rules: none is registered without a case of each sort.
#[test]
fn every_rule_has_each_sort_of_case() {
    let cases = cases().into_iter().map(|case| (case.rule, case.expect));
    let told = stories::all().into_iter().map(|story| (story.rule, story.expect));
    let all: Vec<_> = cases.chain(told).collect();
    for rule in RULES {
        let id = rule.meta().id.0;
        let has = |sort: fn(&Expect) -> bool| all.iter().any(|(known, expect)| *known == id && sort(expect));
        assert!(has(|expect| matches!(expect, Fires(_))), "{id} fires nowhere");
        assert!(has(|expect| matches!(expect, Quiet)), "{id} has no near miss");
        assert!(
            has(|expect| matches!(expect, Expect::Blind(_))),
            "{id} is blind nowhere"
        );
    }
    let known = |id: &str| RULES.iter().any(|rule| rule.meta().id.0 == id);
    assert!(all.iter().all(|(id, _)| known(id)), "a case of no rule");
}
