//! What comes after the first step of a login.
//!
//! Takes logins, and what the same caller or client does next. Gives a [`SkippedStep`] when nearly everybody took a second
//! step and this one did not. Where the first step hands out a token, the next thing that its caller does counts; where
//! it hands out none, the next token that the same client is given without a name. Bounded by [`MAX_DESKS`],
//! [`MAX_NEXT`] and [`PENDING_SETS`].

use serde::{Deserialize, Serialize};

use super::room::{self, Worth};
use super::table::Table;
use crate::callers::spread::Spread;
use crate::callers::{Answer, LoginResult};
use crate::detect::{Blind, Observation};
use crate::exchange::credentials::GrantType;
use crate::exchange::{CallerHash, Method};
use crate::inventory::{Endpoint, History};

/// First steps that are followed: endpoints that people log in at. Clients say which host they mean, so those that few
/// callers use make room.
const MAX_DESKS: usize = 64;
/// Callers who went on from a first step, which make it one: a client that makes hosts up is few of them.
const ESTABLISHED_BY: u16 = 3;
/// Endpoints after one first step; what comes beyond counts as another.
const MAX_NEXT: usize = 16;
/// Sets of logins under way: 8,192 of them.
const PENDING_SETS: usize = 1024;
/// A second step is taken within minutes.
const PATIENCE_S: u32 = 900;
/// Window in which callers are counted as different: thirty days.
const LONG_S: u32 = 30 * 86_400;
/// Callers who took a step before it is the norm.
const MIN_CALLERS: u16 = 20;
/// Percent of logins that went on with it. Where a device is remembered, fewer do.
const MIN_SHARE: u32 = 97;
/// Logins after which counts are halved.
const FULL: u32 = 10_000;
/// Successes of an endpoint with credentials before using it means something.
const MIN_USES: u64 = 20;
/// So that an address is never taken for a caller.
const OF_ADDRESS: u64 = 0x5bd1_e995_9e37_79b9;

/// A login under way.
#[derive(Clone, Copy, Default, Debug)]
struct Pending {
    /// Place of the first step, and which one it is of those that had the place.
    desk: u16,
    turn: u32,
    since_s: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Next {
    endpoint: Box<str>,
    /// It is a step of a login by what it does or is called.
    is_step: bool,
    count: u32,
    callers: Spread,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Desk {
    endpoint: Box<str>,
    logins: u32,
    next: Vec<Next>,
    #[serde(default)]
    seen_s: u32,
    /// How many had the place before.
    #[serde(skip)]
    turn: u32,
}

/// A step that others took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkippedStep {
    /// The first step: method, host and template.
    pub after: Box<str>,
    /// The step that was not taken.
    pub step: Box<str>,
    /// Logins that went on with it.
    pub took: u32,
    /// Of so many.
    pub of: u32,
}

/// What comes after logins.
#[derive(Debug)]
pub(super) struct Steps {
    desks: Vec<Desk>,
    pending: Table<Pending>,
    /// Logins under way, at most: nothing is looked up while there are none.
    waiting: bool,
}

/// What outlives a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptSteps(Vec<Desk>);

impl Default for Steps {
    fn default() -> Self {
        Self {
            desks: Vec::new(),
            pending: Table::new(PENDING_SETS),
            waiting: false,
        }
    }
}

impl Steps {
    /// Looks at an exchange as a first step, or as what comes after one.
    pub(super) fn observe(
        &mut self,
        seen: &Observation<'_>,
        history: &History,
        now_s: u32,
    ) -> Result<Option<SkippedStep>, Blind> {
        let exchange = seen.exchange;
        if exchange.part.is_some() {
            return Ok(None);
        }
        let told = exchange.handover.as_deref();
        let login = seen.caller.facts.login;
        let by_form = told.is_some_and(|told| told.asker.login.is_some() && told.asker.proof);
        if let Some(login) = login.filter(|_| by_form) {
            let caller = seen.caller.id.filter(|_| login.result == LoginResult::Succeeded);
            let client = exchange
                .client
                .hash
                .filter(|_| login.result == LoginResult::Unknown && (200..300).contains(&login.status));
            let key = caller.map(|id| id.0.front()).or_else(|| client.map(of_address));
            return match key {
                Some(key) => self.begin(key, seen.endpoint, now_s),
                None => Ok(None),
            };
        }
        if !self.waiting || seen.caller.facts.answer != Answer::Accepted {
            return Ok(None);
        }
        let nameless = told.is_some_and(|told| {
            let asker = &told.asker;
            !told.granted.is_empty()
                && asker.refresh.is_none()
                && matches!(asker.grant_type, None | Some(GrantType::Other))
        });
        if let (true, Some(address)) = (nameless, exchange.client.hash)
            && let Some(desk) = self.ends(of_address(address), now_s)
        {
            let who = seen.caller.id.map_or(address, |caller| caller.0);
            return self.resolve(desk, seen.endpoint, true, (who, address));
        }
        let Some(caller) = seen.caller.id.filter(|_| seen.caller.is_known()) else {
            return Ok(None);
        };
        if matches!(
            Method::of(exchange.request.method()),
            Method::Options | Method::Head
        ) {
            return Ok(None);
        }
        let Some(desk) = self.ends(caller.0.front(), now_s) else {
            return Ok(None);
        };
        let is_step = nameless || is_step(seen.endpoint);
        let skipped = self.resolve(desk, seen.endpoint, is_step, (caller.0, caller.0));
        // What anybody may have says nothing.
        let protects = history.success_known >= MIN_USES && history.success_anonymous == 0;
        if protects { skipped } else { Ok(None) }
    }

    fn begin(&mut self, key: u64, endpoint: &Endpoint, now_s: u32) -> Result<Option<SkippedStep>, Blind> {
        let place = self.desk(&label(endpoint), now_s).ok_or(Blind::NoRoom)?;
        let Some(desk) = self.desks.get_mut(place) else {
            return Err(Blind::NoRoom);
        };
        desk.seen_s = desk.seen_s.max(now_s);
        let turn = desk.turn;
        if let (Ok(desk), Some(pending)) = (u16::try_from(place), self.pending.place(key, now_s, |_| 0)) {
            *pending = Pending {
                desk,
                turn,
                since_s: now_s,
            };
            self.waiting = true;
        }
        Ok(None)
    }

    /// Place of a first step, which is given one if there is room.
    fn desk(&mut self, name: &str, now_s: u32) -> Option<usize> {
        if let Some(known) = self.desks.iter().position(|desk| *desk.endpoint == *name) {
            return Some(known);
        }
        let mut new = Desk {
            endpoint: name.into(),
            logins: 0,
            next: Vec::new(),
            seen_s: now_s,
            turn: 0,
        };
        let free = self.desks.iter().position(|desk| desk.endpoint.is_empty());
        if free.is_none() && self.desks.len() < MAX_DESKS {
            self.desks.push(new);
            return Some(self.desks.len() - 1);
        }
        let worth = || self.desks.iter().map(Desk::worth).enumerate();
        let place = free.or_else(|| room::least(worth(), now_s))?;
        let old = self.desks.get_mut(place)?;
        new.turn = old.turn.wrapping_add(1);
        *old = new;
        Some(place)
    }

    /// The first step of a login under way, which is over now.
    fn ends(&mut self, key: u64, now_s: u32) -> Option<u16> {
        let pending = self.pending.find(key)?;
        self.pending.forget(key);
        let desk = self.desks.get(usize::from(pending.desk))?;
        let same = desk.turn == pending.turn;
        (same && now_s.saturating_sub(pending.since_s) <= PATIENCE_S).then_some(pending.desk)
    }

    fn resolve(
        &mut self,
        desk: u16,
        endpoint: &Endpoint,
        is_step: bool,
        (caller, skipper): (CallerHash, CallerHash),
    ) -> Result<Option<SkippedStep>, Blind> {
        let Some(desk) = self.desks.get_mut(usize::from(desk)) else {
            return Ok(None);
        };
        let name = label(endpoint);
        let skipped = desk.skipped(&name);
        // One who skips again and again is one, whatever tokens it gets.
        let skips = matches!(skipped, Ok(Some(_)));
        desk.learn(&name, is_step, if skips { skipper } else { caller }, skips);
        skipped
    }

    /// An endpoint is called otherwise now. Where both names were known, the more frequent one's counts stay.
    pub(super) fn rename(&mut self, from: &str, into: &str) {
        for desk in &mut self.desks {
            desk.rename(from, into);
        }
        let place = |name: &str| self.desks.iter().position(|desk| *desk.endpoint == *name);
        let (Some(old), new) = (place(from), place(into)) else {
            return;
        };
        // Logins under way know places, so none is taken out: one of two is left without a name and used again.
        let [logins, of_new] =
            [Some(old), new].map(|at| at.and_then(|at| self.desks.get(at)).map(|desk| desk.logins));
        let leaves = if of_new > logins { Some(old) } else { new };
        for at in [Some(old), leaves].into_iter().flatten() {
            if let Some(desk) = self.desks.get_mut(at) {
                desk.endpoint = if Some(at) == leaves {
                    "".into()
                } else {
                    into.into()
                };
            }
        }
    }

    pub(super) fn snapshot(&self) -> KeptSteps {
        KeptSteps(self.desks.clone())
    }

    pub(super) fn restore(kept: KeptSteps) -> Self {
        let mut desks = kept.0;
        desks.truncate(MAX_DESKS);
        for desk in &mut desks {
            desk.next.truncate(MAX_NEXT);
        }
        Self {
            desks,
            ..Self::default()
        }
    }
}

impl Desk {
    fn worth(&self) -> Worth {
        let callers = self
            .next
            .iter()
            .map(|next| next.callers.estimate(0, LONG_S))
            .max();
        let callers = callers.unwrap_or(0);
        Worth {
            established: callers >= ESTABLISHED_BY,
            known: callers.into(),
            seen_s: self.seen_s,
        }
    }

    /// Whether going on with this endpoint leaves out what others do.
    fn skipped(&self, name: &str) -> Result<Option<SkippedStep>, Blind> {
        let steps = self.next.iter().filter(|next| next.is_step);
        let Some(usual) = steps
            .max_by_key(|next| next.count)
            .filter(|next| *next.endpoint != *name)
        else {
            return Ok(None);
        };
        let norm = usual.count * 100 >= self.logins * MIN_SHARE;
        if norm && usual.callers.estimate(0, LONG_S) < MIN_CALLERS {
            return Err(Blind::NotEnoughEvidence);
        }
        Ok(norm.then(|| SkippedStep {
            after: self.endpoint.clone(),
            step: usual.endpoint.clone(),
            took: usual.count,
            of: self.logins,
        }))
    }

    fn rename(&mut self, from: &str, into: &str) {
        let count = |name: &str| {
            let next = self.next.iter().find(|next| *next.endpoint == *name);
            next.map(|next| next.count)
        };
        let (old, new) = (count(from), count(into));
        let leaves = if new > old { from } else { into };
        self.next.retain(|next| *next.endpoint != *leaves);
        for next in self.next.iter_mut().filter(|next| *next.endpoint == *from) {
            next.endpoint = into.into();
        }
    }

    fn learn(&mut self, name: &str, is_step: bool, who: CallerHash, skips: bool) {
        let known = self.next.iter().position(|next| *next.endpoint == *name);
        let place = match known {
            None if self.next.len() < MAX_NEXT => {
                self.next.push(Next {
                    endpoint: name.into(),
                    is_step,
                    count: 0,
                    callers: Spread::default(),
                });
                Some(self.next.len() - 1)
            }
            known => known,
        };
        let next = place.and_then(|place| self.next.get_mut(place));
        if let Some(next) = next {
            let before = next.callers.estimate(0, LONG_S);
            // Time stands still here: halving forgets instead.
            next.callers.add(who, 0, LONG_S);
            if skips && next.callers.estimate(0, LONG_S) == before {
                return;
            }
            next.count += 1;
        }
        self.logins += 1;
        if self.logins >= FULL {
            self.logins /= 2;
            for next in &mut self.next {
                next.count /= 2;
            }
            self.next.retain(|next| next.count > 0);
        }
    }
}

fn of_address(address: CallerHash) -> u64 {
    address.front() ^ OF_ADDRESS
}

/// Method, host and template, and the call that these do not say: safe to show, as the endpoint is.
pub(super) fn label(endpoint: &Endpoint) -> String {
    let Endpoint { host, template, .. } = endpoint;
    let mut label = format!("{} {host}{template}", endpoint.method.name());
    let called = endpoint.operation.as_deref();
    if let Some(operation) = called.filter(|operation| !template.ends_with(*operation)) {
        label.extend([" ", operation]);
    }
    label
}

/// Its name says that it is a step of a login.
fn is_step(endpoint: &Endpoint) -> bool {
    const WORDS: [&str; 16] = [
        "mfa",
        "2fa",
        "otp",
        "totp",
        "verify",
        "verification",
        "challenge",
        "confirm",
        "second-factor",
        "factor",
        "second",
        "step2",
        "code",
        "passcode",
        "two-factor",
        "webauthn",
    ];
    let sends = matches!(endpoint.method, Method::Post | Method::Put | Method::Patch);
    let mut words = endpoint.template.split(['/', '_', '.']);
    sends && words.any(|word| WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(endpoint: &str, logins: u32, next: &[(&str, u32)]) -> Desk {
        let next = next.iter().map(|(endpoint, count)| Next {
            endpoint: (*endpoint).into(),
            is_step: true,
            count: *count,
            callers: Spread::default(),
        });
        Desk {
            endpoint: endpoint.into(),
            logins,
            next: next.collect(),
            seen_s: 0,
            turn: 0,
        }
    }

    /// Desks as `name logins: next count, ...`.
    fn told(steps: &Steps) -> Vec<String> {
        let desk = |desk: &Desk| {
            let next = desk.next.iter();
            let next: Vec<_> = next
                .map(|next| format!("{} {}", next.endpoint, next.count))
                .collect();
            format!("{} {}: {}", desk.endpoint, desk.logins, next.join(", "))
        };
        steps.desks.iter().map(desk).collect()
    }

    #[test]
    fn what_is_learnt_goes_with_a_corrected_template() {
        let mut steps = Steps {
            desks: vec![
                desk("in/a", 9, &[("b/1", 7), ("b/2", 2)]),
                desk("in/b", 3, &[("b/1", 3)]),
            ],
            ..Steps::default()
        };
        steps.rename("b/1", "b/{id}");
        steps.rename("b/2", "b/{id}");
        assert_eq!(told(&steps), ["in/a 9: b/{id} 7", "in/b 3: b/{id} 3"]);
        steps.rename("in/a", "in/{name}");
        steps.rename("in/b", "in/{name}");
        assert_eq!(
            told(&steps)[0],
            "in/{name} 9: b/{id} 7",
            "the more frequent one stays"
        );
        assert_eq!(steps.desks[1].endpoint, "".into());
        assert_eq!(steps.desk("in/c", 0), Some(1), "its place is used again");
        assert_eq!(steps.desks[1].turn, 1, "and not for logins under way");
    }
}
