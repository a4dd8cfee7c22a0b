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
use super::repeats::{Repeat, Repeats};
use super::{
    About, AttackShape, Blind, Claim, Finding, LoginAttack, Mark, Observation, Past, RuleId, RuleMeta,
    Severity, Verdict, Verdicts,
};
use crate::classify::Half;
use crate::exchange::{Caller, CallerHash, Exchange, Method};
use crate::inventory::{Change, EndpointId, History};
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
    /// Verdicts about the last exchange.
    marks: Vec<Mark>,
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
            marks: Vec::new(),
            counters,
        }
    }

    /// Judges an exchange by every rule and appends what is to be told. What is `muted` is counted as suppressed, and not
    /// as a repeat: when nobody mutes it any more it is told as if it were new.
    pub fn judge(
        &mut self,
        seen: &Observation<'_>,
        history: &History,
        muted: &dyn Fn(&Mark) -> bool,
        out: &mut Vec<Finding>,
    ) {
        self.marks.clear();
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
                let mut mark = mark(rule.meta(), seen, &verdict);
                if muted(&mark) {
                    self.counters.suppressed(mark.rule.id.0);
                    continue;
                }
                let repeat = self.repeats.count(rule.meta().id, seen, history, &verdict);
                if repeat.before > 0 {
                    self.counters.add(Metric::FindingsRepeated, 1);
                }
                mark.is_told = repeat.is_told;
                if repeat.is_somebodys {
                    mark.about = About::Somebody;
                }
                self.marks.push(mark);
                if repeat.is_told {
                    out.push(finding(rule.meta(), seen, &verdict, repeat.before));
                }
            }
        }
    }

    /// Goes along with a correction of the inventory: what is known of an endpoint is known of it under its new name. What
    /// is known by the endpoint's first id ([`Observation::identity`]) stays where it is.
    pub fn follow(&mut self, change: &Change) {
        self.baseline.follow(change);
    }

    /// Verdicts about the exchange that was judged last, in the order of its findings.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// What was learnt of logins and credentials.
    pub const fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// What was learnt, of logins and credentials and of objects, to be taken back after a restart.
    pub const fn learnt_mut(&mut self) -> (&mut Baseline, &mut Objects) {
        (&mut self.baseline, &mut self.objects)
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

const DAY_S: u32 = 86_400;
/// Minutes of an hour.
const HOUR: u32 = 60;

/// What makes two findings the same, whoever did it. Something worse is something else.
struct Key<'a> {
    rule: RuleId,
    endpoint: EndpointId,
    host: &'a str,
    severity: Severity,
    claim: Claim<'a>,
    day: u32,
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rule.hash(state);
        if is_hosts(&self.claim) {
            self.host.hash(state);
        } else {
            self.endpoint.hash(state);
        }
        self.severity.hash(state);
        match self.claim {
            Claim::Data(label) => (label.kind, &label.place).hash(state),
            Claim::Credentials(scheme) => scheme.hash(state),
            Claim::AuthenticationNorm { .. } | Claim::Bulk(_) => {}
            Claim::Token(flaw) => discriminant(&flaw).hash(state),
            Claim::Expired { .. } | Claim::NotYetGood { .. } | Claim::Places(_) => {
                discriminant(&self.claim).hash(state);
            }
            // Of a campaign nobody is known but the host: what begins after a pause is another.
            Claim::LoginAttack(attack) if attack.subject.is_none() => {
                (attack.shape, attack.since_s).hash(state);
            }
            Claim::LoginAttack(attack) => (attack.shape, attack.got_in).hash(state),
            Claim::Telling(telling) => telling.by.hash(state),
            Claim::SkippedStep(skipped) => skipped.step.hash(state),
            Claim::Outsider(outsider) => outsider.function.hash(state),
            Claim::Assigned(assigned) => assigned.property.hash(state),
            // What was gone and comes again is another.
            Claim::Excess(excess) => (&excess.property, excess.since_s).hash(state),
            Claim::Object(sign) => (sign.shows, &sign.place).hash(state),
        }
    }
}

/// Whether it is the same at all endpoints of the host: how an issuer makes its tokens, and the failures of a host, which
/// are counted over all of it.
const fn is_hosts(claim: &Claim<'_>) -> bool {
    match claim {
        Claim::Token(flaw) => flaw.is_issuers(),
        Claim::LoginAttack(attack) => matches!(attack.shape, AttackShape::Stuffing),
        _ => false,
    }
}

/// Whether it happens now, whatever was before: a name or an address that fails within minutes on another day is tried
/// again. What fails within days may be the user, who mistypes after an attack.
const fn is_of_minutes(claim: &Claim<'_>) -> bool {
    matches!(
        claim,
        Claim::LoginAttack(LoginAttack {
            shape: AttackShape::BruteForce | AttackShape::Spraying,
            minutes: ..HOUR,
            ..
        })
    )
}

/// Whose doing a finding is: what a service does to all is told once, what somebody does of each
/// ([`super::repeats::EACH`] a day).
enum Whose {
    /// The service's.
    Service,
    /// Somebody's who can be named.
    Somebody(CallerHash),
    /// The caller's where few do it at the endpoint, else the service's.
    OfFew,
}

/// What happens in one of so many exchanges of an endpoint, or less often, is what few do.
const FEW: u64 = 20;

fn whose(claim: &Claim<'_>, severity: Severity, seen: &Observation<'_>) -> Whose {
    let of_caller = || seen.caller.id.map_or(Whose::Service, |id| Whose::Somebody(id.0));
    match claim {
        // Personal data in an answer is common, and told of the endpoint; a secret is worth knowing who got it.
        Claim::Data(label) if label.place.half == Half::Response && severity < Severity::High => {
            Whose::Service
        }
        // Links with a token, secrets in an answer, a port without TLS: made so by the service, or asked for by one.
        Claim::Data(_) | Claim::Credentials(_) => Whose::OfFew,
        Claim::Token(flaw) if !flaw.is_somebodys() => Whose::OfFew,
        Claim::AuthenticationNorm { .. }
        | Claim::Expired { .. }
        | Claim::NotYetGood { .. }
        | Claim::Places(_)
        | Claim::SkippedStep(_)
        | Claim::Token(_)
        | Claim::Outsider(_)
        | Claim::Assigned(_)
        | Claim::Excess(_)
        | Claim::Object(_)
        | Claim::Bulk(_) => of_caller(),
        Claim::Telling(_) => Whose::Service,
        Claim::LoginAttack(attack) => attack.subject.map_or(Whose::Service, Whose::Somebody),
    }
}

impl Repeats {
    fn count(
        &mut self,
        rule: RuleId,
        seen: &Observation<'_>,
        history: &History,
        verdict: &Verdict<'_>,
    ) -> Repeat {
        let now_s = u32::try_from(seen.exchange.request.time_ns.0 / 1_000_000_000).unwrap_or(u32::MAX);
        let key = Key {
            rule,
            endpoint: seen.identity(),
            host: &seen.endpoint.host,
            severity: verdict.severity,
            claim: verdict.claim,
            day: now_s / DAY_S,
        };
        let whose = match whose(&verdict.claim, verdict.severity, seen) {
            Whose::OfFew => {
                let most = history.exchanges / FEW;
                // What is the host's is told once for all of it; how many do it is known of the endpoint.
                let so_far = if is_hosts(&key.claim) {
                    self.tally((&key, seen.endpoint))
                } else {
                    self.so_far(&key)
                };
                let few = most > 0 && so_far <= most;
                let caller = seen.caller.id.filter(|_| few);
                caller.map_or(Whose::Service, |id| Whose::Somebody(id.0))
            }
            known => known,
        };
        match whose {
            Whose::Somebody(who) => {
                let known = self.of_somebody(&key, who, now_s);
                if is_of_minutes(&key.claim) {
                    let today = self.of_somebody((&key, key.day), who, now_s);
                    if today.before == 0 {
                        return today;
                    }
                }
                known
            }
            Whose::Service | Whose::OfFew => self.of_service(&key),
        }
    }
}

/// Whether it is somebody's doing, and told, comes when it is counted.
fn mark(rule: &'static RuleMeta, seen: &Observation<'_>, verdict: &Verdict<'_>) -> Mark {
    let exchange = seen.exchange;
    let method = Method::of(exchange.request.method());
    let safe = matches!(method, Method::Get | Method::Head | Method::Options);
    Mark {
        rule,
        severity: verdict.severity,
        confidence: verdict.confidence,
        endpoint: Arc::clone(seen.endpoint),
        about: if is_hosts(&verdict.claim) {
            About::Host
        } else {
            About::Endpoint
        },
        caller: seen.caller.id.filter(|_| seen.caller.is_known()).map(|id| id.0),
        client: exchange.client.hash,
        time_ns: exchange.request.time_ns.0,
        writes: !safe && exchange.is_success(),
        is_told: false,
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
        pod: None,
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
    use crate::detect::rules::tests::{judge_as, judge_muted, judge_with, known_history};
    use crate::exchange::test_support::Builder;
    use crate::exchange::{BodyState, Method};
    use crate::inventory::Endpoint;

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
    fn what_was_muted_is_told_when_it_is_muted_no_more() {
        let mut engine = engine();
        let exchange = Builder::get("/users")
            .known()
            .answer(r#"{"mail":"a@example.org"}"#)
            .build();
        for _ in 0..3000 {
            let told = judge_muted(&mut engine, &exchange, &known_history(), &|_| true);
            assert!(told.is_empty() && engine.marks().is_empty());
        }
        assert_eq!(engine.counters.value(Metric::FindingsSuppressed), 3000);
        let told = judge_with(&mut engine, &exchange, &known_history());
        assert_eq!(told.iter().map(|one| one.repeats).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn what_was_told_stays_told_when_a_template_is_corrected() {
        let mut engine = engine();
        let at = |path: &str| {
            Builder::get(path)
                .known()
                .answer(r#"{"mail":"a@example.org"}"#)
                .build()
        };
        assert_eq!(judge_with(&mut engine, &at("/users"), &known_history()).len(), 1);
        let first = Endpoint::rest(Method::Get, "api.example.com", "/users").id;
        let renamed = judge_as(&mut engine, &at("/accounts"), &known_history(), first);
        assert_eq!(renamed.len(), 0);
        assert_eq!(judge_with(&mut engine, &at("/people"), &known_history()).len(), 1);
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
        assert!(blind.contains(&expected), "{blind:?}");
        let all: u64 = blind.iter().map(|one| one.count).sum();
        assert_eq!(engine.counters.value(Metric::RulesBlind), all);
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
