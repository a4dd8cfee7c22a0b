//! Findings to incidents: what one caller did, or what happens at one endpoint, as one story.
//!
//! Takes a [`Mark`] for each verdict, told or not, and the finding where it is told. Gives an [`Incident`] when one opens,
//! when it grows by a power, and when it has been quiet ([`QUIET_NS`]). Never reads the clock: time is the traffic's.
//! Bounded by [`Limits`] and the constants below; when there is no room, those that weigh least are closed.

pub mod alerts;
pub mod budget;
mod kept;
pub mod suppress;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::classify::Confidence;
use crate::detect::{About, Finding, Mark, RuleMeta, Severity};
use crate::exchange::CallerHash;
use crate::inventory::EndpointRef;

pub use kept::{Snapshot, SnapshotError};

/// Nothing for so long, and an incident is over: a slow enumeration asks every few minutes, a shift ends after hours.
pub const QUIET_NS: u64 = 3600 * 1_000_000_000;
/// The same of what a service does to all, which comes back each morning.
const QUIET_SERVICE_NS: u64 = 7 * 24 * QUIET_NS;
/// How often quiet ones are looked for.
const SWEEP_NS: u64 = 60 * 1_000_000_000;
/// What opens an incident. Below it are facts about a service that nobody must act on tonight.
const OPENS: Severity = Severity::Medium;
/// Endpoints of one incident that are remembered; more are told as so many or more.
pub const MAX_ENDPOINTS: usize = 32;
/// Rows of a timeline: the first half and the last, what is between is counted.
pub const MAX_MOMENTS: usize = 16;
/// Rules of one caller that together are worse than the worst of them.
const SEVERAL: usize = 3;
/// Things changed, from which it is worse than reading.
const MANY_WRITES: u64 = 10;
/// The part of a full table that makes room at once, so that a flood of new callers does not search it for each.
const ROOM: usize = 8;

/// Bounds of incidents.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Incidents open at a time, of some three kilobytes each.
    pub open: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { open: 2048 }
    }
}

/// Whom an incident is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// A caller with credentials.
    Caller(CallerHash),
    /// A client address.
    Client(CallerHash),
    /// An endpoint: what it does to all, or what nobody known does there.
    Endpoint(EndpointRef),
    /// A host: what it does to all at each of its endpoints.
    Host(Box<str>),
}

impl Subject {
    fn of(mark: &Mark) -> Self {
        match (mark.about, mark.caller, mark.client) {
            (About::Somebody, Some(caller), _) => Self::Caller(caller),
            (About::Somebody, None, Some(client)) => Self::Client(client),
            (About::Host, ..) => Self::Host(mark.endpoint.host.clone()),
            _ => Self::Endpoint(EndpointRef::clone(&mark.endpoint)),
        }
    }
}

/// Why an incident is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It began.
    Opened,
    /// It is worse, or ten times as large, as when it was told last.
    Grown,
    /// It has been quiet for an hour, or made room.
    Closed,
    /// Nothing more is observed; this is how it stands.
    Standing,
}

impl Stage {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Grown => "grown",
            Self::Closed => "closed",
            Self::Standing => "standing",
        }
    }
}

/// What one rule said.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// The rule.
    pub rule: &'static RuleMeta,
    /// The worst it said.
    pub severity: Severity,
    /// How often.
    pub count: u64,
}

/// A row of a timeline: one rule at one endpoint, as long as nothing else came between.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The first time, and the last.
    pub time_ns: (u64, u64),
    /// The rule.
    pub rule: &'static RuleMeta,
    /// Where.
    pub endpoint: EndpointRef,
    /// How often.
    pub count: u64,
}

/// What belongs together.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Counts from 1 for each sensor, and goes on after a restart.
    pub number: u64,
    /// Why it is told.
    pub stage: Stage,
    /// Whom it is about.
    pub subject: Subject,
    /// The worst of it, a step higher where several rules, or many changes, say the same of one caller.
    pub severity: Severity,
    /// Of the surest finding.
    pub confidence: Confidence,
    /// The first finding and the last.
    pub time_ns: (u64, u64),
    /// Findings, told and not.
    pub findings: u64,
    /// Those about requests that changed something.
    pub writes: u64,
    /// By rule, in the order of their ids.
    pub rules: Vec<Tally>,
    /// Endpoints, at most [`MAX_ENDPOINTS`]; there may be more when there are as many.
    pub endpoints: Vec<EndpointRef>,
    /// What came after what.
    pub timeline: Vec<Moment>,
    /// Findings that are in no row of it.
    pub between: u64,
    /// The worst finding, the last of them; `None` when it was before a restart.
    pub worst: Option<Box<Finding>>,
}

#[derive(Clone, Debug)]
struct Open {
    incident: Incident,
    /// Severity and findings when it was told last; `None` when it never was.
    told: Option<(Severity, u64)>,
    /// The same when it was to be told last, whether there was room in the budget or not.
    offered: (Severity, u64),
}

/// Takes what is to be told; whether it is.
type Tell<'a> = &'a mut dyn FnMut(&Incident) -> bool;

/// Every incident that is open.
#[derive(Debug)]
pub struct Incidents {
    limits: Limits,
    open: BTreeMap<Subject, Open>,
    /// Incidents so far, and numbers left out.
    count: u64,
    /// Numbers to leave out before the next.
    skip: u64,
    swept_ns: u64,
    /// Those that opened, and those that made room, since somebody asked.
    opened: u64,
    crowded: u64,
}

impl Incidents {
    /// None yet.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: BTreeMap::new(),
            count: 0,
            skip: 0,
            swept_ns: 0,
            opened: 0,
            crowded: 0,
        }
    }

    /// Takes a verdict; what is to be told of incidents goes to `tell`, which says whether it is.
    pub fn observe(&mut self, mark: &Mark, finding: Option<&Finding>, tell: Tell<'_>) {
        self.tick(mark.time_ns, tell);
        let subject = Subject::of(mark);
        if let Some(open) = self.open.get_mut(&subject) {
            open.incident.take(mark, finding);
            if open.has_grown() {
                open.offer(tell);
            }
            return;
        }
        if mark.severity < OPENS {
            return;
        }
        if self.open.len() >= self.limits.open.max(1) {
            self.make_room(tell);
        }
        self.count = self.count.saturating_add(1 + std::mem::take(&mut self.skip));
        self.opened += 1;
        let mut incident = Incident::new(self.count, subject.clone(), mark);
        incident.take(mark, finding);
        let mut open = Open {
            told: None,
            offered: (Severity::Info, 0),
            incident,
        };
        open.offer(tell);
        self.open.insert(subject, open);
    }

    /// Time passes: closes what is quiet.
    pub fn tick(&mut self, now_ns: u64, tell: Tell<'_>) {
        if now_ns < self.swept_ns.saturating_add(SWEEP_NS) {
            return;
        }
        self.swept_ns = now_ns;
        let quiet = |subject: &Subject, open: &mut Open| {
            let patience_ns = match subject {
                Subject::Endpoint(_) | Subject::Host(_) => QUIET_SERVICE_NS,
                Subject::Caller(_) | Subject::Client(_) => QUIET_NS,
            };
            now_ns.saturating_sub(open.incident.time_ns.1) >= patience_ns
        };
        let mut gone: Vec<_> = self.open.extract_if(.., quiet).map(|(_, open)| open).collect();
        gone.sort_unstable_by_key(|open| open.incident.number);
        for mut open in gone {
            open.end(Stage::Closed, tell);
        }
    }

    /// An endpoint is called otherwise now: an incident about it goes on under that name, unless there is one. What happened
    /// before keeps the name that was told.
    pub fn rename(&mut self, from: &EndpointRef, into: &EndpointRef) {
        let [from, into] = [from, into].map(|endpoint| Subject::Endpoint(EndpointRef::clone(endpoint)));
        if self.open.contains_key(&into) {
            return;
        }
        if let Some(mut open) = self.open.remove(&from) {
            open.incident.subject = into.clone();
            self.open.insert(into, open);
        }
    }

    /// An hour begins, and there is room again: what was held back and is open is told, the worst first.
    pub fn tell_held(&mut self, tell: Tell<'_>) {
        let mut held: Vec<_> = self.open.values_mut().filter(|open| open.is_held()).collect();
        held.sort_unstable_by_key(|open| (Reverse(open.incident.severity), open.incident.number));
        for open in held {
            open.offer(tell);
        }
    }

    /// Nothing more comes: says of each that was told, and went on since, how it stands.
    pub fn finish(&mut self, tell: Tell<'_>) {
        let mut all: Vec<_> = self.open.values_mut().collect();
        all.sort_unstable_by_key(|open| open.incident.number);
        for open in all {
            if open
                .told
                .is_some_and(|(_, findings)| open.incident.findings > findings)
            {
                open.end(Stage::Standing, tell);
            }
        }
    }

    /// Leaves out numbers that may have been given to others.
    pub const fn skip_numbers(&mut self, count: u64) {
        self.skip = count;
    }

    /// Incidents that opened, since this was asked last.
    pub const fn take_opened(&mut self) -> u64 {
        std::mem::replace(&mut self.opened, 0)
    }

    /// Incidents that were closed to make room, since this was asked last.
    pub const fn take_crowded(&mut self) -> u64 {
        std::mem::replace(&mut self.crowded, 0)
    }

    /// Closes those that weigh least: the least severe, and of those the ones quiet for longest.
    fn make_room(&mut self, tell: Tell<'_>) {
        let weight = |incident: &Incident| (incident.severity, incident.time_ns.1, incident.number);
        let mut all: Vec<_> = self.open.values().map(|open| weight(&open.incident)).collect();
        all.sort_unstable();
        let Some(most) = all.get(all.len() / ROOM).copied() else {
            return;
        };
        let goes = |_: &Subject, open: &mut Open| weight(&open.incident) <= most;
        let mut gone: Vec<_> = self.open.extract_if(.., goes).map(|(_, open)| open).collect();
        gone.sort_unstable_by_key(|open| open.incident.number);
        self.crowded += gone.len() as u64;
        for mut open in gone {
            open.end(Stage::Closed, tell);
        }
    }
}

impl Open {
    fn has_grown(&self) -> bool {
        let (severity, findings) = self.offered;
        self.incident.severity > severity || self.incident.findings >= findings.saturating_mul(10)
    }

    /// There was no room to tell of it as it was when it was to be told last.
    fn is_held(&self) -> bool {
        self.told != Some(self.offered)
    }

    /// It began, or grew, and is told if there is room.
    fn offer(&mut self, tell: Tell<'_>) {
        self.incident.stage = if self.told.is_some() {
            Stage::Grown
        } else {
            Stage::Opened
        };
        self.offered = (self.incident.severity, self.incident.findings);
        if tell(&self.incident) {
            self.told = Some(self.offered);
        }
    }

    /// It is over: whoever was told of it is told that, nobody else.
    fn end(&mut self, stage: Stage, tell: Tell<'_>) {
        if self.told.is_none() {
            return;
        }
        self.incident.stage = stage;
        self.offered = (self.incident.severity, self.incident.findings);
        self.told = Some(self.offered);
        tell(&self.incident);
    }
}

impl Incident {
    fn new(number: u64, subject: Subject, mark: &Mark) -> Self {
        Self {
            number,
            stage: Stage::Opened,
            subject,
            severity: mark.severity,
            confidence: mark.confidence,
            time_ns: (mark.time_ns, mark.time_ns),
            findings: 0,
            writes: 0,
            rules: Vec::new(),
            endpoints: Vec::new(),
            timeline: Vec::new(),
            between: 0,
            worst: None,
        }
    }

    fn take(&mut self, mark: &Mark, finding: Option<&Finding>) {
        self.findings += 1;
        self.writes += u64::from(mark.writes);
        self.confidence = self.confidence.max(mark.confidence);
        self.time_ns.0 = self.time_ns.0.min(mark.time_ns);
        self.time_ns.1 = self.time_ns.1.max(mark.time_ns);
        match self
            .rules
            .binary_search_by_key(&mark.rule.id, |tally| tally.rule.id)
        {
            Ok(at) => {
                if let Some(tally) = self.rules.get_mut(at) {
                    tally.count += 1;
                    tally.severity = tally.severity.max(mark.severity);
                }
            }
            Err(at) => self.rules.insert(
                at,
                Tally {
                    rule: mark.rule,
                    severity: mark.severity,
                    count: 1,
                },
            ),
        }
        if self.endpoints.len() < MAX_ENDPOINTS && !self.endpoints.contains(&mark.endpoint) {
            self.endpoints.push(EndpointRef::clone(&mark.endpoint));
        }
        self.row(mark);
        let worse = |worst: &Finding| finding.is_some_and(|finding| finding.severity >= worst.severity);
        if self.worst.as_deref().is_none_or(worse) {
            self.worst = finding
                .map(|finding| Box::new(finding.clone()))
                .or(self.worst.take());
        }
        self.severity = self.judge();
    }

    fn row(&mut self, mark: &Mark) {
        if let Some(last) = self.timeline.last_mut()
            && last.rule.id == mark.rule.id
            && last.endpoint == mark.endpoint
        {
            last.time_ns.1 = last.time_ns.1.max(mark.time_ns);
            last.count += 1;
            return;
        }
        if self.timeline.len() >= MAX_MOMENTS {
            let middle = self.timeline.remove(MAX_MOMENTS / 2);
            self.between += middle.count;
        }
        self.timeline.push(Moment {
            time_ns: (mark.time_ns, mark.time_ns),
            rule: mark.rule,
            endpoint: EndpointRef::clone(&mark.endpoint),
            count: 1,
        });
    }

    /// How bad all of it is.
    fn judge(&self) -> Severity {
        let worst = self.rules.iter().map(|tally| tally.severity).max();
        let worst = worst.unwrap_or(Severity::Info);
        let serious = self.rules.iter().filter(|tally| tally.severity >= OPENS);
        let several = serious.count() >= SEVERAL || self.writes >= MANY_WRITES;
        match (worst, &self.subject) {
            (_, Subject::Endpoint(_) | Subject::Host(_)) => worst,
            (Severity::Medium, _) if several => Severity::High,
            (Severity::High, _) if several => Severity::Critical,
            _ => worst,
        }
    }
}

/// What is told, and what is not.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    /// How many incidents are open at a time.
    pub limits: Limits,
    /// How much is told in an hour.
    pub budget: budget::Limits,
    /// What somebody decided not to be told of.
    pub suppressions: Vec<suppress::Suppression>,
}
