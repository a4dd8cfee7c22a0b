//! Incidents that outlive a restart.
//!
//! Takes what is open. Gives a [`Snapshot`] of it: keyed hashes, endpoints, rules and counts, no evidence. What names a rule
//! that is no more is left out; what exceeds the limits, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Incident, Incidents, Limits, MAX_ENDPOINTS, MAX_MOMENTS, Moment, Open, Stage, Subject, Tally};
use crate::classify::Confidence;
use crate::detect::{RuleMeta, Severity, registry};
use crate::exchange::{CallerHash, Method};
use crate::inventory::{Endpoint, EndpointKind, EndpointRef};

/// Version of [`Snapshot`]; another one is not read.
const VERSION: u32 = 3;

/// What outlives a restart.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    version: u32,
    count: u64,
    swept_ns: u64,
    open: Vec<Kept>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} incidents]", self.open.len())
    }
}

/// Why a snapshot is not taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is of another version.
    #[error("the incidents have version {0}, not {VERSION}")]
    Version(u32),
}

/// Kind, method, host, template, and which call it is.
type KeptEndpoint = (String, String, String, String, Option<String>);

#[derive(Clone, Serialize, Deserialize)]
enum KeptSubject {
    Caller([u8; 16]),
    Client([u8; 16]),
    Endpoint(KeptEndpoint),
    Host(String),
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    subject: KeptSubject,
    number: u64,
    severity: String,
    confidence: u8,
    time_ns: (u64, u64),
    findings: u64,
    writes: u64,
    /// Rule, severity, count.
    rules: Vec<(String, String, u64)>,
    endpoints: Vec<KeptEndpoint>,
    timeline: Vec<((u64, u64), String, KeptEndpoint, u64)>,
    between: u64,
    told: Option<(String, u64)>,
    offered: (String, u64),
}

impl Incidents {
    /// What is open.
    pub fn snapshot(&self) -> Snapshot {
        let mut open: Vec<_> = self.open.values().map(Kept::of).collect();
        open.sort_unstable_by_key(|kept| kept.number);
        Snapshot {
            version: VERSION,
            count: self.count,
            swept_ns: self.swept_ns,
            open,
        }
    }

    /// As it was.
    pub fn restore(limits: Limits, snapshot: Snapshot) -> Result<Self, SnapshotError> {
        if snapshot.version != VERSION {
            return Err(SnapshotError::Version(snapshot.version));
        }
        let open = snapshot.open.into_iter().filter_map(Kept::open);
        let open: BTreeMap<_, _> = open.take(limits.open).collect();
        Ok(Self {
            limits,
            open,
            count: snapshot.count,
            skip: 0,
            swept_ns: snapshot.swept_ns,
            opened: 0,
            crowded: 0,
        })
    }
}

impl Kept {
    fn of(open: &Open) -> Self {
        let incident = &open.incident;
        let subject = match &incident.subject {
            Subject::Caller(hash) => KeptSubject::Caller(hash.0),
            Subject::Client(hash) => KeptSubject::Client(hash.0),
            Subject::Endpoint(endpoint) => KeptSubject::Endpoint(keep(endpoint)),
            Subject::Host(host) => KeptSubject::Host(host.to_string()),
        };
        let name = |severity: Severity| severity.name().to_owned();
        let said = |(severity, findings)| (name(severity), findings);
        let rules = incident.rules.iter();
        let rows = incident.timeline.iter();
        Self {
            subject,
            number: incident.number,
            severity: name(incident.severity),
            confidence: incident.confidence.0,
            time_ns: incident.time_ns,
            findings: incident.findings,
            writes: incident.writes,
            rules: rules
                .map(|tally| (tally.rule.id.0.to_owned(), name(tally.severity), tally.count))
                .collect(),
            endpoints: incident.endpoints.iter().map(|endpoint| keep(endpoint)).collect(),
            timeline: rows
                .map(|row| {
                    (
                        row.time_ns,
                        row.rule.id.0.to_owned(),
                        keep(&row.endpoint),
                        row.count,
                    )
                })
                .collect(),
            between: incident.between,
            told: open.told.map(said),
            offered: said(open.offered),
        }
    }

    /// `None` when something in it is not known any more.
    fn open(self) -> Option<(Subject, Open)> {
        let subject = match self.subject {
            KeptSubject::Caller(bytes) => Subject::Caller(CallerHash(bytes)),
            KeptSubject::Client(bytes) => Subject::Client(CallerHash(bytes)),
            KeptSubject::Endpoint(kept) => Subject::Endpoint(endpoint(kept)?),
            KeptSubject::Host(host) => Subject::Host(host.into()),
        };
        let tally = |(id, severity, count): (String, String, u64)| {
            Some(Tally {
                rule: rule(&id)?,
                severity: Severity::of_name(&severity)?,
                count,
            })
        };
        let row = |(time_ns, id, kept, count): ((u64, u64), String, KeptEndpoint, u64)| {
            Some(Moment {
                time_ns,
                rule: rule(&id)?,
                endpoint: endpoint(kept)?,
                count,
            })
        };
        let mut rules: Vec<_> = self.rules.into_iter().filter_map(tally).collect();
        rules.sort_unstable_by_key(|tally| tally.rule.id);
        let incident = Incident {
            number: self.number,
            stage: Stage::Opened,
            subject: subject.clone(),
            severity: Severity::of_name(&self.severity)?,
            confidence: Confidence(self.confidence),
            time_ns: self.time_ns,
            findings: self.findings,
            writes: self.writes,
            rules,
            endpoints: self
                .endpoints
                .into_iter()
                .take(MAX_ENDPOINTS)
                .filter_map(endpoint)
                .collect(),
            timeline: self
                .timeline
                .into_iter()
                .take(MAX_MOMENTS)
                .filter_map(row)
                .collect(),
            between: self.between,
            worst: None,
        };
        let said = |(severity, findings): (String, u64)| Some((Severity::of_name(&severity)?, findings));
        let open = Open {
            incident,
            told: self.told.and_then(said),
            offered: said(self.offered)?,
        };
        Some((subject, open))
    }
}

fn rule(id: &str) -> Option<&'static RuleMeta> {
    let known = registry::RULES.iter().find(|rule| rule.meta().id.0 == id)?;
    Some(known.meta())
}

fn keep(endpoint: &Endpoint) -> KeptEndpoint {
    (
        endpoint.kind.name().to_owned(),
        endpoint.method.name().to_owned(),
        endpoint.host.to_string(),
        endpoint.template.to_string(),
        endpoint.operation.as_deref().map(str::to_owned),
    )
}

fn endpoint((kind, method, host, template, operation): KeptEndpoint) -> Option<EndpointRef> {
    let kind = EndpointKind::of_name(&kind)?;
    let method = Method::of(method.as_bytes());
    Some(Arc::new(Endpoint::new(
        kind,
        method,
        &host,
        &template,
        operation.as_deref(),
    )))
}
