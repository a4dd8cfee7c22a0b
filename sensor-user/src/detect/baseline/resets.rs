//! How a reset of passwords answers names.
//!
//! Takes requests that name an account and prove nothing, at a path of forgotten passwords. Gives [`Telling`] when some
//! names are accepted and others are not found. Bounded by [`MAX_ENDPOINTS`]; names are counted by their keyed hashes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::room::{self, Worth};
use super::steps::label;
use super::telling::{Asks, MIN_KNOWN, MIN_UNKNOWN, Telling, TellsBy};
use crate::callers::spread::Spread;
use crate::detect::{Blind, Observation};

/// Endpoints that are followed. Clients say which host they mean, so those that accepted few names make room.
const MAX_ENDPOINTS: usize = 64;
/// Names that were accepted, which make it one: a client that makes hosts up has none.
const ESTABLISHED_BY: u16 = 3;
/// Window in which names are counted as different: thirty days.
const LONG_S: u32 = 30 * 86_400;
/// Times that answers changed from accepted to not found or back. A service that is away is not found, and back later:
/// that is two.
const MIN_TURNS: u32 = 4;

/// Names that were accepted while none was not found: the endpoint accepts whatever it is told.
const ALL_ALIKE: u32 = 20;

#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Reset {
    accepted: Spread,
    accepted_status: u16,
    absent: Spread,
    last_absent: bool,
    turns: u32,
    seen_s: u32,
}

/// Every endpoint that resets passwords.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(super) struct Resets(BTreeMap<Box<str>, Reset>);

impl Resets {
    /// What an answer to a name tells, this one counted in.
    pub(super) fn observe(&mut self, seen: &Observation<'_>, now_s: u32) -> Result<Option<Telling>, Blind> {
        let told = seen.exchange.handover.as_deref();
        let asker = told.filter(|told| told.granted.is_empty()).map(|told| told.asker);
        let asks = asker.filter(|asker| asker.forgot && !asker.proof && asker.refresh.is_none());
        let (Some(name), Some(response)) = (
            asks.and_then(|asker| asker.login),
            seen.exchange.outcome.response(),
        ) else {
            return Ok(None);
        };
        let status = response.status;
        // Other statuses are about the input or the client.
        if !matches!(status, 200..=299 | 404) {
            return Ok(None);
        }
        let reset = self.reset(&label(seen.endpoint), now_s).ok_or(Blind::NoRoom)?;
        let absent = status == 404;
        reset.turns = reset
            .turns
            .saturating_add((absent != reset.last_absent && reset.seen_s > 0).into());
        reset.last_absent = absent;
        reset.seen_s = reset.seen_s.max(now_s);
        if absent {
            reset.absent.add(name.now, now_s, LONG_S);
        } else {
            reset.accepted.add(name.now, now_s, LONG_S);
            reset.accepted_status = status;
        }
        reset.judge(absent, now_s)
    }

    /// An endpoint is called otherwise now; of two that became one, the one that accepted more is kept.
    pub(super) fn rename(&mut self, from: &str, into: &str) {
        let Some(reset) = self.0.remove(from) else { return };
        let known = self.0.entry(into.into()).or_insert(reset);
        if known.worth().known < reset.worth().known {
            *known = reset;
        }
    }

    fn reset(&mut self, endpoint: &str, now_s: u32) -> Option<&mut Reset> {
        if self.0.contains_key(endpoint) {
            return self.0.get_mut(endpoint);
        }
        if self.0.len() >= MAX_ENDPOINTS {
            let all = self.0.iter().map(|(name, reset)| (name, reset.worth()));
            let goes = room::least(all, now_s)?.clone();
            self.0.remove(&goes);
        }
        Some(self.0.entry(endpoint.into()).or_default())
    }

    pub(super) fn bound(mut self) -> Self {
        while self.0.len() > MAX_ENDPOINTS {
            self.0.pop_last();
        }
        self
    }
}

impl Reset {
    fn worth(&self) -> Worth {
        let accepted = self.accepted.estimate(self.seen_s, LONG_S);
        Worth {
            established: accepted >= ESTABLISHED_BY,
            known: accepted.into(),
            seen_s: self.seen_s,
        }
    }

    fn judge(&self, absent: bool, now_s: u32) -> Result<Option<Telling>, Blind> {
        let known = u32::from(self.accepted.estimate(now_s, LONG_S));
        let unknown = u32::from(self.absent.estimate(now_s, LONG_S));
        if unknown == 0 && known >= ALL_ALIKE {
            return Ok(None);
        }
        if known < MIN_KNOWN || unknown < MIN_UNKNOWN || self.turns < MIN_TURNS {
            return Err(Blind::NotEnoughEvidence);
        }
        Ok(absent.then_some(Telling {
            by: TellsBy::Status,
            known,
            known_value: self.accepted_status.into(),
            unknown,
            unknown_value: 404,
            asks: Asks::Reset,
        }))
    }
}
