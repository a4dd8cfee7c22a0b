//! What one transaction adds to the store. Plain values, fit to be kept: nothing here was a value of a message.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::remembered::{Prepared, StateLabel};
use crate::capture::Role;
use crate::classify::{DataKind, Place};
use crate::exchange::{AuthScheme, CallerHash};
use crate::inventory::EndpointRef;

/// Additions since the last flush.
#[derive(Default, Debug)]
pub(super) struct Batch {
    /// When it was made, nanoseconds since 1970.
    pub(super) until_ns: u64,
    /// Exchanges in it.
    pub(super) exchanges: u64,
    /// Endpoints that are called otherwise, or are no more, before what is added; in their order.
    pub(super) moves: Vec<Move>,
    pub(super) endpoints: Vec<(EndpointRef, Addition)>,
    pub(super) callers: Vec<((AuthScheme, CallerHash), Times)>,
    /// States as their stages laid them down: the writer makes [`Saved`] of them.
    pub(super) laid: Vec<Laid>,
    pub(super) states: Vec<Saved>,
    /// Schemas that changed; `None` where there is none any more.
    pub(super) schemas: Vec<(EndpointRef, Option<String>)>,
    /// States that their stages could not take back.
    pub(super) unusable: Vec<&'static str>,
}

/// What becomes of an endpoint's rows.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) from: EndpointRef,
    /// Where they go; `None` when it is forgotten.
    pub(super) into: Option<EndpointRef>,
}

/// What an endpoint gained.
#[derive(Default, Debug)]
pub(super) struct Addition {
    /// How sure its template is, in hundredths; `None` for what is no endpoint.
    pub(super) confidence: Option<u8>,
    pub(super) times: Times,
    pub(super) success_known: u64,
    pub(super) success_anonymous: u64,
    pub(super) statuses: Vec<(u16, u64)>,
    pub(super) auth: Vec<(&'static str, u64)>,
    pub(super) data: Vec<(DataKind, Place, Values)>,
    pub(super) resources: Vec<(Resource, Times)>,
    pub(super) findings: Vec<(FindingKey, Told)>,
}

/// How often, and when first and last, in nanoseconds since 1970.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Times {
    pub(super) count: u64,
    pub(super) first_ns: u64,
    pub(super) last_ns: u64,
}

impl Times {
    pub(super) fn add(&mut self, count: u64, at_ns: u64) {
        self.first_ns = if self.count == 0 {
            at_ns
        } else {
            self.first_ns.min(at_ns)
        };
        self.last_ns = self.last_ns.max(at_ns);
        self.count = self.count.saturating_add(count);
    }

    pub(super) fn join(&mut self, other: Self) {
        if other.count > 0 {
            self.add(other.count, other.first_ns);
            self.last_ns = self.last_ns.max(other.last_ns);
        }
    }
}

/// Values of a kind at a place.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Values {
    pub(super) times: Times,
    pub(super) confidence: u8,
}

/// Where an endpoint was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Resource {
    pub(super) process: crate::capture::Comm,
    pub(super) role: Role,
    pub(super) port: u16,
    pub(super) container: Option<Arc<crate::capture::Container>>,
    pub(super) tls: bool,
}

/// What makes two findings of an endpoint the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FindingKey {
    pub(super) rule: &'static str,
    pub(super) subject: String,
}

/// How often a rule said it, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) severity: &'static str,
    pub(super) confidence: u8,
    pub(super) times: Times,
}

/// What a stage learnt, not yet bytes.
pub(super) struct Laid {
    pub(super) label: StateLabel,
    pub(super) write: Prepared,
    /// How many bytes it had last: told to the judge, who chooses by it.
    pub(super) bytes: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Laid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}]", self.label.name)
    }
}

/// The same as it is written.
#[derive(Clone)]
pub(super) struct Saved {
    pub(super) label: StateLabel,
    pub(super) content: Vec<u8>,
}

impl std::fmt::Debug for Saved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}, {} bytes]", self.label.name, self.content.len())
    }
}
