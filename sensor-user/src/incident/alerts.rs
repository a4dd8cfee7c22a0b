//! What is told of an exchange's verdicts, and what is not.
//!
//! Takes the verdicts and findings of each exchange, in order, without what somebody suppressed ([`Alerts::is_suppressed`]).
//! Makes incidents of them, and keeps to the budget. Gives what is to be told. Never reads the clock. Bounded by its parts.

use std::sync::Arc;

use super::budget::{Budget, Held};
use super::{Incident, Incidents, Settings, Snapshot, SnapshotError, Stage};
use crate::detect::{Finding, Mark, Severity};
use crate::inventory::Change;
use crate::telemetry::{Counters, Metric};

/// Numbers of incidents that are left out after a restart: as many may have been given, and told, since what was learnt was
/// kept last. More in one interval of the store is a flood, of which the budget tells less.
const UNSAVED: u64 = 64;

/// Something to tell.
#[derive(Clone, Debug)]
pub enum Told {
    /// A finding.
    Finding(Box<Finding>),
    /// An incident.
    Incident(Box<Incident>),
    /// What was held back.
    Held(Held),
}

/// Decides what is told.
#[derive(Debug)]
pub struct Alerts {
    settings: Settings,
    incidents: Incidents,
    budget: Budget,
    now_ns: u64,
    counters: Arc<Counters>,
}

impl Alerts {
    /// Nothing told yet.
    pub fn new(settings: Settings, counters: Arc<Counters>) -> Self {
        Self {
            incidents: Incidents::new(settings.limits),
            budget: Budget::new(settings.budget),
            now_ns: 0,
            settings,
            counters,
        }
    }

    /// Takes other decisions on what is told, from now on. What the hour has told counts against the new budget.
    pub fn decide(&mut self, settings: Settings) {
        self.budget.limit(settings.budget);
        self.settings.suppressions = settings.suppressions;
    }

    /// Whether somebody decided not to be told of a verdict.
    pub fn is_suppressed(&self, mark: &Mark) -> bool {
        self.settings.suppressions.iter().any(|one| one.covers(mark))
    }

    /// An exchange was judged: `findings` are those of the marks that are told, in their order.
    pub fn take(
        &mut self,
        now_ns: u64,
        marks: &[Mark],
        findings: &mut Vec<Finding>,
        tell: &mut dyn FnMut(Told),
    ) {
        self.tick(now_ns, tell);
        let Self {
            incidents,
            budget,
            counters,
            ..
        } = self;
        let mut told = findings.drain(..);
        let mut changed = Vec::new();
        for mark in marks {
            let finding = if mark.is_told { told.next() } else { None };
            let admitted = finding
                .as_ref()
                .is_some_and(|finding| admit(budget, counters, finding.severity));
            incidents.observe(mark, finding.as_ref(), &mut |incident| {
                offer(budget, counters, incident, &mut changed)
            });
            if let Some(finding) = finding.filter(|_| admitted) {
                counters.add(Metric::Findings, 1);
                tell(Told::Finding(Box::new(finding)));
            }
        }
        counters.add(Metric::Incidents, incidents.take_opened());
        counters.add(Metric::IncidentsCrowded, incidents.take_crowded());
        tell_all(changed, tell);
    }

    /// Time passes, with traffic or without: tells which incidents are over, and in a new hour what the one before held back
    /// and that of it which goes on.
    pub fn tick(&mut self, now_ns: u64, tell: &mut dyn FnMut(Told)) {
        self.now_ns = self.now_ns.max(now_ns);
        let Self {
            incidents,
            budget,
            counters,
            ..
        } = self;
        let mut changed = Vec::new();
        incidents.tick(self.now_ns, &mut |incident| {
            offer(budget, counters, incident, &mut changed)
        });
        if let Some(held) = budget.tick(self.now_ns) {
            if !held.is_empty() {
                tell(Told::Held(held));
            }
            incidents.tell_held(&mut |incident| offer(budget, counters, incident, &mut changed));
        }
        tell_all(changed, tell);
    }

    /// Nothing more comes: how incidents stand, and what was held back.
    pub fn finish(&mut self, tell: &mut dyn FnMut(Told)) {
        let Self {
            incidents,
            budget,
            counters,
            ..
        } = self;
        let mut changed = Vec::new();
        incidents.finish(&mut |incident| offer(budget, counters, incident, &mut changed));
        tell_all(changed, tell);
        let held = self.budget.close(self.now_ns);
        if !held.is_empty() {
            tell(Told::Held(held));
        }
    }

    /// Goes along with a correction of the inventory.
    pub fn follow(&mut self, change: &Change) {
        if let Change::Renamed { from, into } | Change::Merged { from, into } = change {
            self.incidents.rename(from, into);
        }
    }

    /// Incidents that are open.
    pub fn snapshot(&self) -> Snapshot {
        self.incidents.snapshot()
    }

    /// Goes on with incidents from before a restart.
    pub fn resume(&mut self, snapshot: Snapshot) -> Result<(), SnapshotError> {
        self.incidents = Incidents::restore(self.settings.limits, snapshot)?;
        self.incidents.skip_numbers(UNSAVED);
        Ok(())
    }
}

/// Whether an incident is told. Its end costs nothing: its beginning was paid for.
fn offer(budget: &mut Budget, counters: &Counters, incident: &Incident, told: &mut Vec<Incident>) -> bool {
    let is_told = match incident.stage {
        Stage::Opened | Stage::Grown => admit(budget, counters, incident.severity),
        Stage::Closed | Stage::Standing => true,
    };
    if is_told {
        told.push(incident.clone());
    }
    is_told
}

fn tell_all(incidents: Vec<Incident>, tell: &mut dyn FnMut(Told)) {
    for incident in incidents {
        tell(Told::Incident(Box::new(incident)));
    }
}

fn admit(budget: &mut Budget, counters: &Counters, severity: Severity) -> bool {
    let admitted = budget.admit(severity);
    counters.add(Metric::AlertsHeld, u64::from(!admitted));
    admitted
}
