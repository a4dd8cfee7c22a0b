//! Endpoints that give tokens to those who bring one: a refresh token, a session, a name.
//!
//! Takes answers with tokens. Says whether one went to somebody who brought nothing, where nearly nobody does: what would
//! follow a first step that nobody took. Bounded by [`MAX_COUNTERS`]: endpoints at hosts whose logins have a second step.

use serde::{Deserialize, Serialize};

use super::super::room::{self, Worth};
use super::desk::{LONG_S, MIN_CALLERS, MIN_SHARE};
use crate::callers::spread::Spread;
use crate::exchange::CallerHash;

/// Endpoints that are followed.
const MAX_COUNTERS: usize = 64;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Counter {
    endpoint: Box<str>,
    /// Callers who brought something.
    bring: Spread,
    /// Addresses of those who brought nothing.
    nothing: Spread,
    seen_s: u32,
}

/// Every such endpoint.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(super) struct Counters(Vec<Counter>);

/// Who was given a token.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taker {
    /// A caller who brought something.
    Brings(CallerHash),
    /// Somebody at that address who brought nothing.
    Nothing(CallerHash),
}

impl Counters {
    /// A token is handed out. Whether that is odd; `None` where there was no room to know.
    pub(super) fn hands_out(&mut self, endpoint: &str, taker: Taker, now_s: u32) -> Option<bool> {
        let counter = self.counter(endpoint, now_s)?;
        counter.seen_s = counter.seen_s.max(now_s);
        let is_odd = matches!(taker, Taker::Nothing(_)) && counter.expects_something(now_s);
        match taker {
            Taker::Brings(who) => counter.bring.add(who, now_s, LONG_S),
            Taker::Nothing(who) => counter.nothing.add(who, now_s, LONG_S),
        }
        Some(is_odd)
    }

    fn counter(&mut self, endpoint: &str, now_s: u32) -> Option<&mut Counter> {
        let known = self.0.iter().position(|one| *one.endpoint == *endpoint);
        if let Some(known) = known {
            return self.0.get_mut(known);
        }
        if self.0.len() >= MAX_COUNTERS {
            let all = self.0.iter().map(|one| one.worth(now_s)).enumerate();
            let goes = room::least(all, now_s)?;
            self.0.swap_remove(goes);
        }
        self.0.push(Counter {
            endpoint: endpoint.into(),
            bring: Spread::default(),
            nothing: Spread::default(),
            seen_s: now_s,
        });
        self.0.last_mut()
    }

    /// An endpoint is called otherwise now; of two that became one, the more frequent one is kept.
    pub(super) fn rename(&mut self, from: &str, into: &str, now_s: u32) {
        let callers = |name: &str| {
            let known = self.0.iter().find(|one| *one.endpoint == *name)?;
            Some(known.bring.estimate(now_s, LONG_S))
        };
        let leaves = if callers(into) > callers(from) { from } else { into };
        self.0.retain(|one| *one.endpoint != *leaves);
        for counter in self.0.iter_mut().filter(|one| *one.endpoint == *from) {
            counter.endpoint = into.into();
        }
    }

    pub(super) fn bound(mut self) -> Self {
        self.0.truncate(MAX_COUNTERS);
        self
    }
}

impl Counter {
    fn expects_something(&self, now_s: u32) -> bool {
        let bring = self.bring.estimate(now_s, LONG_S);
        let all = u32::from(bring) + u32::from(self.nothing.estimate(now_s, LONG_S));
        bring >= MIN_CALLERS && u32::from(bring) * 100 >= all * MIN_SHARE
    }

    fn worth(&self, now_s: u32) -> Worth {
        let bring = self.bring.estimate(now_s, LONG_S);
        Worth {
            established: bring >= MIN_CALLERS,
            known: bring.into(),
            seen_s: self.seen_s,
        }
    }
}
