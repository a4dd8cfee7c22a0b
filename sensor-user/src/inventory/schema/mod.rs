//! Schemas of endpoints, learnt from outlines.
//!
//! Takes the [`Outline`] of each exchange. Gives, for each endpoint, what its parameters and bodies are made of, and what
//! of an exchange is beyond that. Never holds a value; words of enumerations only when several callers used them.
//! Bounded by [`Limits`]: what was learnt first stays, what does not fit is counted. Time comes with the exchange.

mod follow;
mod learn;
mod merge;
mod place;
mod questions;
mod slots;
mod stored;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::collections::HashMap;
use std::sync::Arc;

use crate::callers::{LoginFacts, LoginResult, Resolved, is_sent_back};
use crate::classify::outline::Outline;
use crate::exchange::{CallerHash, Exchange};

use super::EndpointRef;
pub use place::Place;
pub use questions::{Beyond, Norm, Unseen};
pub use stored::{Stored, Unusable};
pub use tree::{Branch, Tree};

use slots::Slots;

/// Bounds of schemas.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Endpoints with a schema.
    pub endpoints: usize,
    /// Places of one schema. The largest bodies of public APIs have about four hundred; parameters and errors beside.
    pub places: usize,
    /// Places that each schema may have whatever others have: most have fewer.
    pub share: usize,
    /// Places beyond their share of all schemas together.
    pub spare: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            endpoints: 10_000,
            places: 512,
            share: 64,
            spare: 400_000,
        }
    }
}

/// Places of a merged schema at most: two full ones. Beyond it those near the top and of low hash stay, which is the
/// same choice in whatever order schemas are merged.
pub const MAX_MERGED: usize = 1024;
/// Status codes of one schema at most.
pub const MAX_STATUSES: usize = 64;

/// What one exchange says beside its outline.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When it began.
    pub time_ns: u64,
    /// Who called, as a keyed hash; tells callers apart, so that no enumeration shows what only one of them said. `None`
    /// when nobody knows: then it counts as nobody.
    pub caller: Option<u64>,
    /// Status code, 0 without an answer.
    pub status: u16,
    /// The server did what was asked, as far as the answer says. Nothing else teaches anything about requests.
    pub accepted: bool,
}

impl Seen {
    /// Of an exchange and who sent it: one user is one caller, whatever tokens it has.
    pub fn of(exchange: &Exchange, caller: &Resolved) -> Self {
        let id = caller.id.map(|id| id.0).or(exchange.client.hash);
        Self {
            time_ns: exchange.request.time_ns.0,
            caller: id.map(CallerHash::front),
            status: exchange.outcome.response().map_or(0, |response| response.status),
            accepted: is_accepted(exchange, caller),
        }
    }
}

/// What of a step stands at the one placeholder of a step's name.
fn between<'a>(name: &str, step: &'a [u8]) -> Option<&'a [u8]> {
    let (front, rest) = name.split_once('{')?;
    let (_, back) = rest.split_once('}').filter(|(_, back)| !back.contains('{'))?;
    step.strip_prefix(front.as_bytes())?.strip_suffix(back.as_bytes())
}

/// Whether the server did what was asked. One that was not answered may never have arrived; one that was redirected was
/// done when it logged somebody in, or when whoever sent it is let in each time and was not sent to log in.
fn is_accepted(exchange: &Exchange, caller: &Resolved) -> bool {
    let Some(response) = exchange.outcome.response() else {
        return false;
    };
    let logs_in = |login: LoginFacts| login.result == LoginResult::Succeeded;
    match response.status {
        // Other protocols begin with 101; 304 stands for 200 (RFC 9110, 15.4.5).
        101 | 304 => true,
        300..=399 => {
            caller.facts.login.is_some_and(logs_in) || (caller.established && !is_sent_back(response))
        }
        _ => exchange.is_success(),
    }
}

/// What is known of one endpoint's parameters and bodies.
#[derive(Clone)]
pub struct Schema {
    places: Vec<Place>,
    /// Places by the hash of their way.
    slots: Slots,
    /// Answers by status code, ascending.
    statuses: Vec<(u16, u32)>,
    /// Requests, and those that were not refused.
    requests: u32,
    accepted: u32,
    /// Seconds, on the clock of the traffic: first and last exchange.
    first: u32,
    last: u32,
    /// Places that were not learnt because there was no room.
    left_out: u32,
    /// When room was last made.
    pruned: u32,
    /// Merging had to leave places out.
    truncated: bool,
}

impl Default for Schema {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            slots: Slots::default(),
            statuses: Vec::new(),
            requests: 0,
            accepted: 0,
            first: u32::MAX,
            last: 0,
            left_out: 0,
            pruned: 0,
            truncated: false,
        }
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "[schema, {} places of {} requests]",
            self.places.len(),
            self.requests
        )
    }
}

impl Schema {
    /// Every place, those around others first.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Requests seen.
    pub const fn requests(&self) -> u32 {
        self.requests
    }

    /// Requests that were not refused: what the request's places were learnt from.
    pub const fn accepted(&self) -> u32 {
        self.accepted
    }

    /// Status codes and how often each was answered.
    pub fn statuses(&self) -> &[(u16, u32)] {
        &self.statuses
    }

    /// First and last exchange, in seconds on the clock of the traffic.
    pub const fn times(&self) -> (u32, u32) {
        (self.first, self.last)
    }

    /// How often a place was met that there was no room for.
    pub const fn left_out(&self) -> u32 {
        self.left_out
    }

    /// Whether merging had to leave places out.
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Bytes it holds, itself included.
    pub fn held_bytes(&self) -> usize {
        let beside: usize = self.places.iter().map(Place::bytes_beside).sum();
        size_of::<Self>()
            + self.places.capacity() * size_of::<Place>()
            + self.slots.held_bytes()
            + self.statuses.capacity() * size_of::<(u16, u32)>()
            + beside
    }
}

/// The schemas of all endpoints.
#[derive(Debug)]
pub struct Schemas {
    limits: Limits,
    /// Invariant: values are indices into `all`, one for each.
    index: HashMap<EndpointRef, usize>,
    all: Vec<(EndpointRef, Schema)>,
    /// Indices by the address of the endpoint asked for: most are asked for again, and their names are long.
    recent: Vec<usize>,
    /// Places beyond the share of their schema.
    spare: usize,
    /// Exchanges of endpoints, and places of schemas, that there was no room for.
    left_out: u64,
    /// Kept for its memory.
    resolved: learn::Resolved,
}

/// Endpoints of a busy host that are remembered by address.
const RECENT: usize = 1024;

impl Schemas {
    /// No schemas yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            index: HashMap::new(),
            all: Vec::new(),
            recent: vec![0; RECENT],
            spare: 0,
            left_out: 0,
            resolved: learn::Resolved::default(),
        }
    }

    /// Learns from an exchange.
    pub fn observe(&mut self, endpoint: &EndpointRef, outline: &Outline, seen: &Seen) {
        let Some(at) = self.find(endpoint).or_else(|| self.make(endpoint)) else {
            self.left_out = self.left_out.saturating_add(1);
            return;
        };
        self.within(at, |schema, room, resolved| {
            schema.learn(outline, seen, room, resolved);
        });
    }

    /// Learns what stood at a placeholder of an endpoint's template. Placeholders are counted from 0.
    pub fn observe_path(&mut self, endpoint: &EndpointRef, position: u8, text: &[u8], seen: &Seen) {
        if let Some(at) = self.find(endpoint).filter(|_| seen.accepted) {
            self.within(at, |schema, room, _| {
                schema.observe_path(position, text, seen.time_ns, room);
            });
        }
    }

    /// Learns what stands at the placeholders of an endpoint's template; of a step that has several, nothing.
    pub fn observe_target(&mut self, endpoint: &EndpointRef, target: &[u8], seen: &Seen) {
        if !seen.accepted || !endpoint.template.contains('{') {
            return;
        }
        let Some(at) = self.find(endpoint) else { return };
        let end = memchr::memchr(b'?', target).unwrap_or(target.len());
        let steps = target.get(..end).unwrap_or_default().split(|byte| *byte == b'/');
        self.within(at, |schema, room, _| {
            let mut position = 0;
            for (name, step) in endpoint.template.split('/').zip(steps) {
                if let Some(text) = between(name, step) {
                    schema.observe_path(position, text, seen.time_ns, room);
                }
                let here = name.bytes().filter(|byte| *byte == b'{').count();
                position = position.saturating_add(u8::try_from(here).unwrap_or(u8::MAX));
            }
        });
    }

    /// Lets a schema learn; it is told how many places it may have, and what it grew by is accounted for.
    fn within(&mut self, at: usize, learn: impl FnOnce(&mut Schema, usize, &mut learn::Resolved)) {
        let Some((_, schema)) = self.all.get_mut(at) else {
            return;
        };
        let missed = schema.left_out;
        let before = schema.places.len().saturating_sub(self.limits.share);
        let spare = self.limits.spare.saturating_sub(self.spare) + before;
        let room = self.limits.places.min(self.limits.share.saturating_add(spare));
        learn(schema, room, &mut self.resolved);
        let after = schema.places.len().saturating_sub(self.limits.share);
        self.spare = (self.spare + after).saturating_sub(before);
        let missed = schema.left_out.saturating_sub(missed);
        self.left_out = self.left_out.saturating_add(missed.into());
    }

    /// The schema of an endpoint.
    pub fn get(&self, endpoint: &EndpointRef) -> Option<&Schema> {
        self.all.get(*self.index.get(endpoint)?).map(|(_, schema)| schema)
    }

    /// Every schema, in the order of the endpoints.
    pub fn sorted(&self) -> Vec<(&EndpointRef, &Schema)> {
        let mut all: Vec<_> = self
            .all
            .iter()
            .map(|(endpoint, schema)| (endpoint, schema))
            .collect();
        all.sort_unstable_by_key(|(endpoint, _)| *endpoint);
        all
    }

    /// Takes what was learnt before, or elsewhere with the same key.
    pub fn restore(&mut self, endpoint: &EndpointRef, schema: &Schema) {
        let Some(at) = self.find(endpoint).or_else(|| self.make(endpoint)) else {
            self.left_out = self.left_out.saturating_add(1);
            return;
        };
        if let Some((_, known)) = self.all.get_mut(at) {
            let before = known.places.len().saturating_sub(self.limits.share);
            known.merge(schema);
            let after = known.places.len().saturating_sub(self.limits.share);
            self.spare = (self.spare + after).saturating_sub(before);
        }
    }

    /// Exchanges of endpoints, and places of messages, that there was no room for.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    #[inline]
    fn find(&mut self, endpoint: &EndpointRef) -> Option<usize> {
        // Allocations lie sixteen bytes apart at least.
        let slot = (Arc::as_ptr(endpoint).addr() >> 4) % RECENT;
        let recent = self.recent.get(slot).copied()?;
        if self
            .all
            .get(recent)
            .is_some_and(|(known, _)| Arc::ptr_eq(known, endpoint))
        {
            return Some(recent);
        }
        let at = *self.index.get(endpoint)?;
        *self.recent.get_mut(slot)? = at;
        Some(at)
    }

    fn make(&mut self, endpoint: &EndpointRef) -> Option<usize> {
        let at = self.all.len();
        if at >= self.limits.endpoints {
            return None;
        }
        self.index.insert(Arc::clone(endpoint), at);
        self.all.push((Arc::clone(endpoint), Schema::default()));
        Some(at)
    }
}
