//! Sums what the judge saw between two flushes.
//!
//! Takes observations and findings. Gives a [`Batch`]. Never reads the clock, never keeps an observed value. Bounded by
//! [`MAX_ENDPOINTS`], [`MAX_CALLERS`] and [`MAX_EACH`]; what does not fit is counted and missing in the store only.

use std::collections::HashMap;
use std::sync::Arc;

use super::batch::{Addition, Batch, FindingKey, Move, Resource, Times, Told, Values};
use crate::capture::{Endpoint as Socket, Role};
use crate::detect::{Evidence, Finding, Observation};
use crate::exchange::{AuthScheme, Caller, CallerHash, Connection, Exchange};
use crate::export::wording;
use crate::inventory::{Change, EndpointRef};
use crate::telemetry::{Counters, Metric};

/// Endpoints of one flush: as many as the inventory remembers.
const MAX_ENDPOINTS: usize = 10_000;
/// Corrections of one flush: one may rename all endpoints. Of those beyond it rows keep the old name until they are old.
const MAX_MOVES: usize = 20_000;
/// Callers of one flush, 64 bytes each.
const MAX_CALLERS: usize = 100_000;
/// Statuses, resources, kinds of data or findings of one endpoint in one flush. Searched one by one: few have ten.
const MAX_EACH: usize = 64;

/// Sums since the last flush.
#[derive(Debug)]
pub(super) struct Tally {
    exchanges: u64,
    endpoints: HashMap<EndpointRef, Addition>,
    moves: Vec<Move>,
    callers: HashMap<(AuthScheme, CallerHash), Times>,
    counters: Arc<Counters>,
}

impl Tally {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self {
            exchanges: 0,
            endpoints: HashMap::new(),
            moves: Vec::new(),
            callers: HashMap::new(),
            counters,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exchanges == 0 && self.endpoints.is_empty() && self.moves.is_empty()
    }

    /// Counts an exchange with what is no endpoint: who was let in, and that somebody called.
    pub(super) fn probe(&mut self, seen: &Observation<'_>, at_ns: u64) {
        self.exchanges += 1;
        // Whoever was never let in may have made its token up: such callers cost nothing to invent.
        let let_in = seen.caller.established || seen.exchange.is_success();
        if let Caller::Known { scheme, hash } = seen.exchange.caller
            && let_in
        {
            self.caller((scheme, hash), at_ns);
        }
    }

    /// Counts an exchange that began at `at_ns` since 1970.
    pub(super) fn exchange(&mut self, seen: &Observation<'_>, confidence: u8, at_ns: u64) {
        self.probe(seen, at_ns);
        let full = self.endpoints.len() >= MAX_ENDPOINTS;
        let addition = match self.endpoints.get_mut(seen.endpoint) {
            Some(addition) => addition,
            None if full => return self.counters.add(Metric::StoreOverflow, 1),
            None => self.endpoints.entry(Arc::clone(seen.endpoint)).or_default(),
        };
        addition.confidence = seen.known.map(|_| confidence);
        let left_out = addition.learn(seen, at_ns);
        if left_out > 0 {
            self.counters.add(Metric::StoreOverflow, left_out);
        }
    }

    /// Counts a finding of an exchange that was counted before.
    pub(super) fn finding(&mut self, finding: &Finding, at_ns: u64) {
        let Some(addition) = self.endpoints.get_mut(&finding.endpoint) else {
            return;
        };
        let key = FindingKey {
            rule: finding.rule.id.0,
            subject: subject(&finding.evidence),
        };
        let fresh = Told {
            severity: finding.severity.name(),
            confidence: finding.confidence.0,
            times: Times::default(),
        };
        match slot(&mut addition.findings, &key, fresh) {
            Some(told) => {
                told.severity = fresh.severity;
                told.confidence = fresh.confidence;
                told.times.add(since_told(finding.repeats), at_ns);
            }
            None => self.counters.add(Metric::StoreOverflow, 1),
        }
    }

    /// Goes along with a correction of the inventory.
    pub(super) fn follow(&mut self, change: &Change) {
        let (from, into) = match change {
            Change::New(_) => return,
            Change::Renamed { from, into } | Change::Merged { from, into } => (from, Some(into)),
            Change::Forgotten(gone) => (gone, None),
        };
        if self.moves.len() >= MAX_MOVES {
            return self.counters.add(Metric::StoreOverflow, 1);
        }
        self.moves.push(Move {
            from: Arc::clone(from),
            into: into.map(Arc::clone),
        });
        let Some(summed) = self.endpoints.remove(from) else {
            return;
        };
        let left_out = match into {
            Some(into) => self.endpoints.entry(Arc::clone(into)).or_default().join(summed),
            None if summed.findings.is_empty() => 0,
            // What was found is kept, wherever it was.
            None => self.endpoints.entry(Arc::clone(from)).or_default().join(summed),
        };
        if left_out > 0 {
            self.counters.add(Metric::StoreOverflow, left_out);
        }
    }

    /// What was summed, in an order that depends on nothing else; sums begin anew.
    pub(super) fn take(&mut self, until_ns: u64) -> Batch {
        let mut endpoints: Vec<_> = self.endpoints.drain().collect();
        endpoints.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut callers: Vec<_> = self.callers.drain().collect();
        callers.sort_unstable_by_key(|((scheme, hash), _)| (*scheme as u8, *hash));
        Batch {
            until_ns,
            moves: std::mem::take(&mut self.moves),
            exchanges: std::mem::take(&mut self.exchanges),
            endpoints,
            callers,
            ..Batch::default()
        }
    }

    fn caller(&mut self, caller: (AuthScheme, CallerHash), at_ns: u64) {
        if self.callers.len() >= MAX_CALLERS && !self.callers.contains_key(&caller) {
            return self.counters.add(Metric::StoreOverflow, 1);
        }
        self.callers.entry(caller).or_default().add(1, at_ns);
    }
}

impl Addition {
    /// Takes in what another gained; gives how much did not fit.
    fn join(&mut self, other: Self) -> u64 {
        self.confidence = self.confidence.or(other.confidence);
        self.times.join(other.times);
        self.success_known += other.success_known;
        self.success_anonymous += other.success_anonymous;
        let mut left_out = add(&mut self.statuses, other.statuses, |sum, more| *sum += more);
        left_out += add(&mut self.auth, other.auth, |sum, more| *sum += more);
        left_out += add(&mut self.resources, other.resources, Times::join);
        left_out += add(&mut self.findings, other.findings, |sum, more| {
            sum.times.join(more.times);
        });
        for (kind, place, more) in other.data {
            let mut known = self.data.iter_mut();
            if let Some((.., sum)) = known.find(|known| known.0 == kind && known.1 == place) {
                sum.times.join(more.times);
                sum.confidence = sum.confidence.max(more.confidence);
            } else if self.data.len() < MAX_EACH {
                self.data.push((kind, place, more));
            } else {
                left_out += 1;
            }
        }
        left_out
    }

    /// Gives how much did not fit.
    fn learn(&mut self, seen: &Observation<'_>, at_ns: u64) -> u64 {
        let exchange = seen.exchange;
        self.times.add(1, at_ns);
        let mut left_out = 0;
        let mut count = |slot: Option<&mut u64>| match slot {
            Some(count) => *count += 1,
            None => left_out += 1,
        };
        let status = exchange.outcome.response().map_or(0, |response| response.status);
        count(slot(&mut self.statuses, &status, 0));
        count(slot(&mut self.auth, &scheme(exchange), 0));
        match slot(
            &mut self.resources,
            &resource(&exchange.connection),
            Times::default(),
        ) {
            Some(times) => times.add(1, at_ns),
            None => left_out += 1,
        }
        let success = exchange.part.is_none() && exchange.is_success();
        match exchange.caller {
            Caller::Known { .. } if success => self.success_known += 1,
            Caller::Anonymous if success => self.success_anonymous += 1,
            Caller::Known { .. } | Caller::Anonymous | Caller::Unseen => {}
        }
        left_out + self.data(seen, at_ns)
    }

    fn data(&mut self, seen: &Observation<'_>, at_ns: u64) -> u64 {
        let mut left_out = 0;
        for label in &seen.labels.found {
            let known = self
                .data
                .iter()
                .position(|(kind, place, _)| *kind == label.kind && *place == label.place);
            let at = known.unwrap_or(self.data.len());
            if at >= MAX_EACH {
                left_out += 1;
                continue;
            }
            if known.is_none() {
                self.data
                    .push((label.kind, label.place.clone(), Values::default()));
            }
            if let Some((_, _, values)) = self.data.get_mut(at) {
                values.times.add(label.count.into(), at_ns);
                values.confidence = values.confidence.max(label.confidence.0);
            }
        }
        left_out
    }
}

/// Adds each of a list to the same of another; gives how many did not fit.
fn add<K: PartialEq, V>(list: &mut Vec<(K, V)>, more: Vec<(K, V)>, join: impl Fn(&mut V, V)) -> u64 {
    let mut left_out = 0;
    for (key, value) in more {
        if let Some((_, sum)) = list.iter_mut().find(|(known, _)| *known == key) {
            join(sum, value);
        } else if list.len() < MAX_EACH {
            list.push((key, value));
        } else {
            left_out += 1;
        }
    }
    left_out
}

/// The value of a key, made when there is room.
fn slot<'a, K: PartialEq + Clone, V>(list: &'a mut Vec<(K, V)>, key: &K, fresh: V) -> Option<&'a mut V> {
    let at = match list.iter().position(|(known, _)| known == key) {
        Some(at) => at,
        None if list.len() >= MAX_EACH => return None,
        None => {
            list.push((key.clone(), fresh));
            list.len() - 1
        }
    };
    list.get_mut(at).map(|(_, value)| value)
}

fn scheme(exchange: &Exchange) -> &'static str {
    match exchange.caller {
        Caller::Known { scheme, .. } => scheme.name(),
        Caller::Anonymous => "none",
        Caller::Unseen => "unseen",
    }
}

fn resource(connection: &Connection) -> Resource {
    let port = |socket: Socket| socket.map_or(0, |(_, port)| port);
    Resource {
        process: connection.comm,
        role: connection.role,
        port: match connection.role {
            Role::Server => port(connection.local),
            Role::Client => port(connection.remote),
            Role::Unknown => 0,
        },
        container: connection.container.clone(),
        tls: connection.tls,
    }
}

/// What a finding is about beside its rule and endpoint.
fn subject(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Data(label) => format!("{} in {}", label.kind.name(), wording::place_name(&label.place)),
        Evidence::Credentials(scheme) => (*scheme).to_owned(),
        Evidence::Token(flaw) => flaw.name().to_owned(),
        Evidence::Outsider(outsider) => outsider.function.name().to_owned(),
        Evidence::Object(sign) => {
            let place = wording::place_name(&sign.place);
            format!("{} in {place}", sign.shows.name())
        }
        Evidence::Assigned(assigned) => assigned.property.to_string(),
        Evidence::Excess(excess) => excess.property.to_string(),
        Evidence::AuthenticationNorm { .. }
        | Evidence::Expired { .. }
        | Evidence::NotYetGood { .. }
        | Evidence::LoginAttack(_)
        | Evidence::Telling(_)
        | Evidence::Places(_)
        | Evidence::SkippedStep(_)
        | Evidence::Bulk(_) => String::new(),
    }
}

/// How many more there are since the finding was told before: it is told the 1st, 10th, 100th time.
const fn since_told(repeats: u64) -> u64 {
    let count = repeats.saturating_add(1);
    count - count / 10
}
