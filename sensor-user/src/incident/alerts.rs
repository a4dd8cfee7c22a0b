//! What is told of an exchange's verdicts, and what is not.
//!
//! Takes the verdicts and findings of each exchange, in order. Leaves out what somebody suppressed, makes incidents of the
//! rest, and keeps to the budget. Gives what is to be told. Never reads the clock. Bounded by its parts.

use std::sync::Arc;

use super::budget::{Budget, Held};
use super::suppress::Suppression;
use super::{Incident, Incidents, Settings, Snapshot, SnapshotError, Stage};
use crate::detect::{Finding, Mark};
use crate::telemetry::{Counters, Metric};

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

    /// An exchange was judged: `findings` are those of the marks that are told, in their order.
    pub fn take(
        &mut self,
        now_ns: u64,
        marks: &[Mark],
        findings: &mut Vec<Finding>,
        tell: &mut dyn FnMut(Told),
    ) {
        self.now_ns = self.now_ns.max(now_ns);
        let Self {
            settings,
            incidents,
            budget,
            counters,
            ..
        } = self;
        if let Some(held) = budget.tick(self.now_ns) {
            tell(Told::Held(held));
        }
        let mut told = findings.drain(..);
        let mut changed = Vec::new();
        for mark in marks {
            let finding = if mark.is_told { told.next() } else { None };
            if is_suppressed(&settings.suppressions, mark) {
                counters.suppressed(mark.rule.id.0);
                continue;
            }
            incidents.observe(mark, finding.as_ref(), &mut |incident| changed.push(incident));
            if let Some(finding) = finding
                && admit(budget, counters, finding.severity)
            {
                counters.add(Metric::Findings, 1);
                tell(Told::Finding(Box::new(finding)));
            }
        }
        incidents.tick(self.now_ns, &mut |incident| changed.push(incident));
        counters.add(Metric::IncidentsCrowded, incidents.take_crowded());
        self.tell(changed, tell);
    }

    /// Nothing more comes: how incidents stand, and what was held back.
    pub fn finish(&mut self, tell: &mut dyn FnMut(Told)) {
        let mut changed = Vec::new();
        self.incidents.finish(&mut |incident| changed.push(incident));
        self.tell(changed, tell);
        if let Some(held) = self.budget.close(self.now_ns) {
            tell(Told::Held(held));
        }
    }

    /// Incidents that are open.
    pub fn snapshot(&self) -> Snapshot {
        self.incidents.snapshot()
    }

    /// Goes on with incidents from before a restart.
    pub fn resume(&mut self, snapshot: Snapshot) -> Result<(), SnapshotError> {
        self.incidents = Incidents::restore(self.settings.limits, snapshot)?;
        Ok(())
    }

    fn tell(&mut self, changed: Vec<Incident>, tell: &mut dyn FnMut(Told)) {
        for incident in changed {
            if incident.stage == Stage::Opened {
                self.counters.add(Metric::Incidents, 1);
            }
            if admit(&mut self.budget, &self.counters, incident.severity) {
                tell(Told::Incident(Box::new(incident)));
            }
        }
    }
}

fn admit(budget: &mut Budget, counters: &Counters, severity: crate::detect::Severity) -> bool {
    let admitted = budget.admit(severity);
    counters.add(Metric::AlertsHeld, u64::from(!admitted));
    admitted
}

fn is_suppressed(suppressions: &[Suppression], mark: &Mark) -> bool {
    suppressions.iter().any(|one| one.covers(mark))
}
