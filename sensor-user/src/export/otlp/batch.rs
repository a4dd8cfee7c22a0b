//! What is sent at once: the records of one signal, encoded.
//!
//! Takes encoded records. Gives requests of a bounded size. Bounded by [`RECORDS`] and [`BYTES`] of each signal.

use std::mem;
use std::time::Instant;

use bytes::Bytes;

use super::wire;
pub(super) use crate::config::Signal;
use crate::telemetry::receiver::now_s;

/// Records in a request: the specification's default for batches (`OTEL_BLRP_MAX_EXPORT_BATCH_SIZE`).
pub(super) const RECORDS: u32 = 512;
/// Bytes after which a request is full: a quarter of what gRPC receivers take by default.
pub(super) const BYTES: usize = 1 << 20;
/// Resources in a request: processes whose exchanges are spans.
const RESOURCES: usize = 64;

impl Signal {
    /// Its number in files.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Logs => 1,
            Self::Traces => 2,
            Self::Metrics => 3,
        }
    }

    /// The signal of a number.
    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.number() == number)
    }
}

/// One request to the receiver: an encoded `Export…ServiceRequest` (opentelemetry-proto 1.x).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Batch {
    pub(super) signal: Signal,
    /// Records inside: what is lost when it is.
    pub(super) records: u32,
    /// When its first record came, in seconds since 1970.
    pub(super) since_s: u64,
    pub(super) bytes: Bytes,
}

/// Records that wait for others to be sent with.
#[derive(Debug)]
pub(super) struct Open {
    signal: Signal,
    /// By resource: its encoded attributes, and records, each behind its key and length.
    groups: Vec<(Bytes, Vec<u8>)>,
    records: u32,
    bytes: usize,
    /// When its first record came: for whom it waits, and in seconds since 1970.
    since: Option<(Instant, u64)>,
}

impl Open {
    pub(super) const fn new(signal: Signal) -> Self {
        Self {
            signal,
            groups: Vec::new(),
            records: 0,
            bytes: 0,
            since: None,
        }
    }

    /// Adds a record of a resource. Gives the batch when it is full.
    pub(super) fn add(&mut self, resource: &Bytes, record: &[u8], now: Instant) -> Option<Batch> {
        let at = self.groups.iter().position(|(known, _)| known == resource);
        let at = at.unwrap_or_else(|| {
            self.groups.push((resource.clone(), Vec::new()));
            self.groups.len() - 1
        });
        if let Some((_, records)) = self.groups.get_mut(at) {
            wire::bytes(records, RECORD, record);
        }
        self.records += 1;
        self.bytes += record.len();
        self.since.get_or_insert_with(|| (now, now_s()));
        let full = self.records >= RECORDS || self.bytes >= BYTES || self.groups.len() >= RESOURCES;
        if full { self.seal() } else { None }
    }

    /// When its first record came.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since.map(|(since, _)| since)
    }

    /// The same in seconds since 1970.
    pub(super) fn since_s(&self) -> Option<u64> {
        self.since.map(|(_, since_s)| since_s)
    }

    /// Its records.
    pub(super) const fn records(&self) -> u32 {
        self.records
    }

    /// Bytes of its records.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What there is as a request. `ResourceLogs` and `ResourceSpans`, `ScopeLogs` and `ScopeSpans` are of one shape:
    /// resource or scope 1, what is inside 2.
    pub(super) fn seal(&mut self) -> Option<Batch> {
        let (records, groups) = (mem::take(&mut self.records), mem::take(&mut self.groups));
        self.bytes = 0;
        let (_, since_s) = self.since.take()?;
        let scope = wire::scope();
        let lengths = groups.iter().map(|(resource, records)| {
            let scoped = wire::delimited(1, scope.len()) + records.len();
            let group = wire::delimited(1, resource.len()) + wire::delimited(2, scoped);
            (scoped, group)
        });
        let lengths: Vec<_> = lengths.collect();
        let all = lengths.iter().map(|(_, group)| wire::delimited(1, *group)).sum();
        let mut request = Vec::with_capacity(all);
        for ((resource, records), (scoped, group)) in groups.iter().zip(lengths) {
            wire::length(&mut request, 1, group);
            wire::bytes(&mut request, 1, resource);
            wire::length(&mut request, 2, scoped);
            wire::bytes(&mut request, 1, &scope);
            request.extend_from_slice(records);
        }
        Some(Batch {
            signal: self.signal,
            records,
            since_s,
            bytes: request.into(),
        })
    }
}

/// Field of a record in `ScopeLogs` and `ScopeSpans`.
const RECORD: u32 = 2;
