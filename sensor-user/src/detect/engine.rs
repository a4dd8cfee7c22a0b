//! Runs every rule over an exchange and turns verdicts into findings.
//!
//! Takes an exchange with its labels and the history of its endpoint. Gives findings that are to be told, and counts
//! who could not judge. Never reads the clock. Bounded by [`Limits::findings`] remembered.

use std::hash::{Hash, Hasher};
use std::mem::discriminant;
use std::sync::Arc;

use super::baseline::Baseline;
use super::objects::Objects;
use super::registry::RULES;
use super::repeats::{Repeats, is_told};
use super::{Blind, Claim, Finding, Observation, Past, RuleId, RuleMeta, Severity, Verdict, Verdicts};
use crate::callers::CallerId;
use crate::exchange::{Caller, Exchange};
use crate::inventory::{Endpoint, History};
use crate::telemetry::{Counters, Metric};

/// Bounds of detection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Distinct findings remembered, to count repeats of them.
    pub findings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { findings: 16_384 }
    }
}

/// How often a rule could not judge, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlindCount {
    /// The rule.
    pub rule: RuleId,
    /// Why.
    pub reason: Blind,
    /// How often.
    pub count: u64,
}

/// Runs every rule.
#[derive(Debug)]
pub struct Engine {
    baseline: Baseline,
    objects: Objects,
    repeats: Repeats,
    blind: [[u64; Blind::ALL.len()]; RULES.len()],
    counters: Arc<Counters>,
}

impl Engine {
    /// An engine that has judged nothing.
    pub fn new(limits: Limits, counters: Arc<Counters>) -> Self {
        Self {
            baseline: Baseline::default(),
            objects: Objects::default(),
            repeats: Repeats::new(limits.findings),
            blind: [[0; Blind::ALL.len()]; RULES.len()],
            counters,
        }
    }

    /// Judges an exchange by every rule and appends what is to be told.
    pub fn judge(&mut self, seen: &Observation<'_>, history: &History, out: &mut Vec<Finding>) {
        let mut signs = self.baseline.observe(seen, history);
        signs.objects = self.objects.observe(seen);
        let past = Past {
            endpoint: history,
            signs: &signs,
        };
        for (rule, blind) in RULES.iter().zip(&mut self.blind) {
            let mut verdicts = Verdicts::new();
            let judged = rule.inspect(seen, &past, &mut verdicts);
            if let Err(reason) = judged {
                self.counters.add(Metric::RulesBlind, 1);
                if let Some(count) = blind.get_mut(reason as usize) {
                    *count += 1;
                }
            }
            for verdict in verdicts {
                let key = Key {
                    rule: rule.meta().id,
                    endpoint: seen.endpoint,
                    claim: verdict.claim,
                    caller: seen.caller.id,
                    severity: verdict.severity,
                };
                let repeats = self.repeats.count(key);
                if repeats > 0 {
                    self.counters.add(Metric::FindingsRepeated, 1);
                }
                if is_told(repeats) {
                    out.push(finding(rule.meta(), seen, &verdict, repeats));
                }
            }
        }
    }

    /// What was learnt of logins and credentials.
    pub const fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// Goes on from what was learnt before.
    pub fn resume(&mut self, baseline: Baseline) {
        self.baseline = baseline;
    }

    /// What was learnt of objects.
    pub const fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Goes on from what was learnt of objects before.
    pub fn resume_objects(&mut self, objects: Objects) {
        self.objects = objects;
    }

    /// What could not be judged so far; zeros are left out.
    pub fn blind(&self) -> impl Iterator<Item = BlindCount> {
        RULES.iter().zip(&self.blind).flat_map(|(rule, counts)| {
            let reasons = Blind::ALL.into_iter().zip(counts);
            reasons
                .filter(|(_, count)| **count > 0)
                .map(|(reason, count)| BlindCount {
                    rule: rule.meta().id,
                    reason,
                    count: *count,
                })
        })
    }
}

/// What makes two findings the same.
struct Key<'a> {
    rule: RuleId,
    endpoint: &'a Endpoint,
    claim: Claim<'a>,
    caller: Option<CallerId>,
    severity: Severity,
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rule.hash(state);
        self.endpoint.hash(state);
        match self.claim {
            Claim::Data(label) => (label.kind, &label.place).hash(state),
            Claim::Credentials(scheme) => scheme.hash(state),
            Claim::AuthenticationNorm { .. } => {}
            Claim::Token(flaw) => {
                discriminant(&flaw).hash(state);
                // What a service does with all of its tokens is told once; what somebody does with a token, of each.
                if flaw.is_somebodys() {
                    self.caller.hash(state);
                }
            }
            Claim::Expired { .. } | Claim::NotYetGood { .. } | Claim::Places(_) => {
                discriminant(&self.claim).hash(state);
                self.caller.hash(state);
            }
            Claim::LoginAttack(attack) => (attack.shape, attack.subject, attack.got_in).hash(state),
            Claim::Telling(telling) => telling.by.hash(state),
            Claim::SkippedStep(skipped) => (&skipped.step, self.caller).hash(state),
            // What grows worse is told again.
            Claim::Object(sign) => (sign.shows, &sign.place, self.caller, self.severity).hash(state),
        }
    }
}

fn finding(rule: &'static RuleMeta, seen: &Observation<'_>, verdict: &Verdict<'_>, repeats: u64) -> Finding {
    let exchange = seen.exchange;
    Finding {
        rule,
        severity: verdict.severity,
        confidence: verdict.confidence,
        endpoint: Arc::clone(seen.endpoint),
        caller: seen.caller.id.filter(|_| seen.caller.is_known()).map(|id| id.0),
        process: exchange.connection.process,
        container: exchange.connection.container.as_ref().map(Arc::clone),
        time_ns: exchange.request.time_ns.0,
        evidence: verdict.claim.to_evidence(),
        partial: is_partial(exchange) || !seen.labels.blind.is_empty(),
        part: exchange.part,
        status: exchange.outcome.response().map_or(0, |response| response.status),
        repeats,
    }
}

/// Whether a part of the exchange was not seen.
fn is_partial(exchange: &Exchange) -> bool {
    let answered = exchange
        .outcome
        .response()
        .is_some_and(|response| response.body.is_whole());
    !answered || !exchange.request.body.is_whole() || exchange.caller == Caller::Unseen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::rules::tests::{judge_with, known_history};
    use crate::exchange::BodyState;
    use crate::exchange::test_support::Builder;

    fn engine() -> Engine {
        Engine::new(Limits::default(), Arc::new(Counters::default()))
    }

    #[test]
    fn repeats_are_counted_and_told_now_and_then() {
        let mut engine = engine();
        let exchange = Builder::get("/users")
            .known()
            .answer(r#"{"mail":"a@example.org"}"#)
            .build();
        let mut told = Vec::new();
        for _ in 0..150 {
            told.extend(judge_with(&mut engine, &exchange, &known_history()));
        }
        let repeats: Vec<_> = told.iter().map(|finding| finding.repeats).collect();
        assert_eq!(repeats, [0, 9, 99]);
        assert_eq!(engine.counters.value(Metric::FindingsRepeated), 149);
    }

    #[test]
    fn another_place_is_another_finding() {
        let mut engine = engine();
        let first = Builder::get("/users")
            .known()
            .answer(r#"{"mail":"a@example.org"}"#)
            .build();
        let second = Builder::get("/users")
            .known()
            .answer(r#"{"other":"a@example.org"}"#)
            .build();
        assert_eq!(judge_with(&mut engine, &first, &known_history()).len(), 1);
        assert_eq!(judge_with(&mut engine, &second, &known_history()).len(), 1);
    }

    #[test]
    fn holes_make_a_finding_partial_and_rules_blind() {
        let mut engine = engine();
        let exchange = Builder::get("/users")
            .known()
            .answer(r#"{"mail":"a@example.org","#)
            .answer_state(BodyState::Limited)
            .build();
        let told = judge_with(&mut engine, &exchange, &known_history());
        assert!(told.len() == 1 && told[0].partial);
        let blind: Vec<_> = engine.blind().collect();
        let expected = BlindCount {
            rule: RuleId("API3-001"),
            reason: Blind::BodyCut,
            count: 1,
        };
        assert_eq!(blind, [expected]);
        assert_eq!(engine.counters.value(Metric::RulesBlind), 1);
    }

    #[test]
    fn whole_exchanges_are_not_partial() {
        let exchange = Builder::get("/users")
            .known()
            .answer(r#"{"mail":"a@example.org"}"#)
            .build();
        assert!(!judge_with(&mut engine(), &exchange, &known_history())[0].partial);
    }
}
