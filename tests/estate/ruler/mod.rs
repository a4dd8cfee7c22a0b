//! Findings against the truth.
//!
//! A finding is true when it comes from an exchange of an attack that its rule is there for; or, told later or of
//! another exchange, when it names an endpoint and a caller of such an attack while that lasts. One from an exchange of
//! an attack of another kind is beside the mark: neither true nor false. Any other is false, and the pattern of its
//! exchange is the cause. Endpoints and callers are compared as the sensor itself named them in the attack's exchanges.

pub(crate) mod report;
pub(crate) mod table;

use std::collections::{BTreeMap, BTreeSet};

use sensor_user::detect::{Finding, Severity};
use sensor_user::exchange::CallerHash;
use sensor_user::export::Event;
use sensor_user::inventory::EndpointRef;

use super::clock::HOUR;
use super::truth::{Instance, Tag};
use super::wire::net::stamp;
use super::world::World;
use table::{ROWS, Row};

/// A finding about an attack may come so much later.
const GRACE: u64 = HOUR;

/// What the sensor said about one attack.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Exchanges of it that were told.
    exchanges: u32,
    endpoints: BTreeSet<EndpointRef>,
    callers: BTreeSet<CallerHash>,
    /// By rule: exchanges and simulated time until the first finding.
    pub(crate) caught: BTreeMap<&'static str, Caught>,
}

/// When an attack was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Caught {
    pub(crate) exchanges: u32,
    pub(crate) after: u64,
}

/// What a rule said.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) right: u64,
    pub(crate) beside: u64,
    pub(crate) wrong: u64,
    /// Different ones of these: an endpoint and a caller once.
    pub(crate) distinct: u64,
    /// Under the severity that counts.
    pub(crate) minor: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.right += other.right;
        self.beside += other.beside;
        self.wrong += other.wrong;
        self.distinct += other.distinct;
        self.minor += other.minor;
    }
}

/// Holds findings against the truth.
pub(crate) struct Ruler {
    floor: Severity,
    pub(crate) told: u64,
    /// Exchanges told that nobody made: their beginning was lost.
    pub(crate) unknown: u64,
    pub(crate) seen: Vec<Seen>,
    pub(crate) tallies: BTreeMap<&'static str, Tally>,
    /// False findings: rule, cause, endpoint.
    pub(crate) causes: BTreeMap<(&'static str, &'static str, String), u64>,
    /// Those told before.
    wrong: BTreeSet<(&'static str, EndpointRef, Option<CallerHash>)>,
}

enum Verdict {
    Right(usize),
    Beside,
    Wrong(Option<Tag>),
}

impl Ruler {
    pub(crate) fn new(world: &World, floor: Severity) -> Self {
        Self {
            floor,
            told: 0,
            unknown: 0,
            seen: vec![Seen::default(); world.truth.instances.len()],
            tallies: ROWS.iter().map(|row| (row.rule, Tally::default())).collect(),
            causes: BTreeMap::new(),
            wrong: BTreeSet::new(),
        }
    }

    pub(crate) fn take(&mut self, world: &World, event: &Event) {
        match event {
            Event::Exchange(summary) => {
                self.told += 1;
                let Some(tag) = world.truth_of(summary.time_ns) else {
                    self.unknown += 1;
                    return;
                };
                if let Some(seen) = tag
                    .attack
                    .and_then(|number| self.seen.get_mut(usize::from(number)))
                {
                    seen.exchanges += 1;
                    seen.endpoints.insert(EndpointRef::clone(&summary.endpoint));
                    seen.callers.extend(summary.caller.map(|caller| caller.1));
                }
            }
            Event::Finding(finding) => self.judge(world, finding),
            Event::Incident(_) | Event::Held(_) | Event::Accounts(_) => {}
        }
    }

    fn judge(&mut self, world: &World, finding: &Finding) {
        let rule = finding.rule.id.0;
        let verdict = self.verdict(world, finding);
        let tally = self.tallies.entry(rule).or_default();
        if finding.severity < self.floor {
            tally.minor += 1;
            return;
        }
        match verdict {
            Verdict::Right(number) => {
                tally.right += 1;
                let (instance, seen) = (&world.truth.instances[number], &mut self.seen[number]);
                let caught = Caught {
                    exchanges: seen.exchanges,
                    after: finding.time_ns.saturating_sub(stamp(instance.begin)),
                };
                seen.caught.entry(rule).or_insert(caught);
            }
            Verdict::Beside => tally.beside += 1,
            Verdict::Wrong(tag) => {
                tally.wrong += 1;
                let known = (rule, EndpointRef::clone(&finding.endpoint), finding.caller);
                tally.distinct += u64::from(self.wrong.insert(known));
                let cause = tag.map_or("unknown", |tag| tag.pattern.name());
                *self
                    .causes
                    .entry((rule, cause, place(&finding.endpoint)))
                    .or_default() += 1;
            }
        }
    }

    fn verdict(&self, world: &World, finding: &Finding) -> Verdict {
        let tag = world.truth_of(finding.time_ns);
        let row = ROWS.iter().find(|row| row.rule == finding.rule.id.0);
        let instances = &world.truth.instances;
        let own = tag.and_then(|tag| tag.attack).map(usize::from);
        if let Some(number) = own.filter(|number| row.is_some_and(|row| row.is_for(&instances[*number]))) {
            return Verdict::Right(number);
        }
        let other = instances.iter().zip(&self.seen).position(|(instance, seen)| {
            row.is_some_and(|row| row.is_for(instance)) && meets(instance, seen, finding)
        });
        match (other, own) {
            (Some(number), _) => Verdict::Right(number),
            (None, Some(_)) => Verdict::Beside,
            (None, None) => Verdict::Wrong(tag),
        }
    }
}

impl Row {
    fn is_for(&self, instance: &Instance) -> bool {
        self.finds.contains(&instance.kind) || self.also.contains(&instance.kind)
    }
}

/// `GET shop.example/orders/{id}`.
fn place(endpoint: &EndpointRef) -> String {
    format!(
        "{} {}{}",
        endpoint.method.name(),
        endpoint.host,
        endpoint.template
    )
}

/// Whether a finding names an endpoint and a caller of an attack, while it lasts.
fn meets(instance: &Instance, seen: &Seen, finding: &Finding) -> bool {
    let lasts = stamp(instance.begin)..=stamp(instance.end) + GRACE;
    let caller = match finding.caller {
        Some(caller) => seen.callers.contains(&caller),
        None => table::is_anybodys(instance.kind),
    };
    instance.exchanges > 0
        && lasts.contains(&finding.time_ns)
        && seen.endpoints.contains(&finding.endpoint)
        && caller
}
