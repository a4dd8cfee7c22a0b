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
mod logins;
mod places;
mod resets;
mod steps;
mod tokens;

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
use logins::{known_names, strangers, usual_days};

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

pub(super) fn all() -> Vec<Story> {
    let tables = [
        tokens::all(),
        logins::all(),
        places::all(),
        steps::all(),
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
