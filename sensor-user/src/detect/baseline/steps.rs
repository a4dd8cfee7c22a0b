//! What comes after the first step of a login.
//!
//! Takes logins, told apart by what they hand out, and what the same caller or client does next. Gives a [`SkippedStep`]
//! when nearly everybody took a second step and this one did not. Where the first step hands out a token, the next thing
//! that its caller does counts; where it hands out none, the next token that the same client is given without a name.
//! Bounded by [`MAX_DESKS`], [`MAX_NEXT`] and [`PENDING_SETS`].

mod counter;
mod desk;

use serde::{Deserialize, Serialize};

use super::room;
use super::table::Table;
use crate::callers::{Answer, LoginFacts, LoginResult};
use crate::detect::{Blind, Observation};
use crate::exchange::credentials::{GrantType, Handover};
use crate::exchange::{Caller, CallerHash, Method};
use crate::inventory::{Endpoint, History};
use counter::{Counters, Taker};
use desk::{Desk, Gives, MAX_NEXT, Way};

/// First steps that are followed: endpoints that people log in at. Clients say which host they mean, so those that few
/// callers use make room.
const MAX_DESKS: usize = 64;
/// Sets of logins under way: 8,192 of them.
const PENDING_SETS: usize = 1024;
/// A second step is taken within minutes.
const PATIENCE_S: u32 = 900;
/// Successes of an endpoint with credentials before using it means something.
const MIN_USES: u64 = 20;
/// So that an address is never taken for a caller.
const OF_ADDRESS: u64 = 0x5bd1_e995_9e37_79b9;

/// A login under way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Pending {
    /// Place of the first step, and which one it is of those that had the place.
    desk: u16,
    turn: u32,
    since_s: u32,
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
    counters: Counters,
    pending: Table<Pending>,
    /// Logins under way, at most: nothing is looked up while there are none.
    waiting: bool,
}

/// What outlives a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptSteps {
    desks: Vec<Desk>,
    counters: Counters,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            desks: Vec::new(),
            counters: Counters::default(),
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
        if let (Some(login), Some(told)) = (seen.caller.facts.login, told.filter(|told| by_form(told))) {
            return self.first_step(seen, &login, told, now_s);
        }
        if seen.caller.facts.answer != Answer::Accepted {
            return Ok(None);
        }
        let grants = told.filter(|told| !told.granted.is_empty());
        let skipped = grants.and_then(|told| self.hands_out(seen, told, now_s));
        if !self.waiting || skipped.is_some() {
            return Ok(skipped);
        }
        let nameless = grants.is_some_and(is_nameless);
        // Who comes with a token may ask for another, and be a neighbour of who logs in behind the same address.
        let newcomer = exchange
            .client
            .hash
            .filter(|_| nameless && !seen.caller.facts.held);
        if let Some(address) = newcomer
            && let Some(begun) = self.ends(of_address(address), now_s)
        {
            let who = seen.caller.id.map_or(address, |caller| caller.0);
            return self.resolve(begun, seen.endpoint, nameless, (who, address));
        }
        let method = Method::of(exchange.request.method());
        let asks_nothing = matches!(method, Method::Options | Method::Head);
        let Some(caller) = seen.caller.id.filter(|_| seen.caller.is_known() && !asks_nothing) else {
            return Ok(None);
        };
        let Some(begun) = self.ends(caller.0.front(), now_s) else {
            return Ok(None);
        };
        if let Some(key) = exchange.client.hash.map(of_address)
            && self.pending.find(key) == Some(begun)
        {
            self.pending.forget(key);
        }
        let skipped = self.resolve(begun, seen.endpoint, nameless, (caller.0, caller.0));
        // What anybody may have says nothing.
        let protects = history.success_known >= MIN_USES && history.success_anonymous == 0;
        if protects { skipped } else { Ok(None) }
    }

    /// Somebody logs in.
    fn first_step(
        &mut self,
        seen: &Observation<'_>,
        login: &LoginFacts,
        told: &Handover,
        now_s: u32,
    ) -> Result<Option<SkippedStep>, Blind> {
        let goes_on = login.result == LoginResult::Unknown && (200..300).contains(&login.status);
        let is_let_in = login.result == LoginResult::Succeeded;
        // A visitor may have a session before, and keep it through all steps.
        let comes_back = is_let_in || (goes_on && seen.caller.facts.held);
        let caller = seen.caller.id.filter(|_| comes_back);
        let client = seen.exchange.client.hash.filter(|_| goes_on);
        let keys = [caller.map(|id| id.0.front()), client.map(of_address)];
        self.begin(&keys, (seen.endpoint, Gives::of(told)), now_s)
    }

    /// A token is handed out: whether that is a way around the second step of logins at this host.
    fn hands_out(&mut self, seen: &Observation<'_>, told: &Handover, now_s: u32) -> Option<SkippedStep> {
        let host = &*seen.endpoint.host;
        if !self.desks.iter().any(|desk| desk.has_step_at(host)) {
            return None;
        }
        // Not every token was seen to be handed out, so one that is not known is something, too.
        let brings = !is_nameless(told)
            || matches!(seen.exchange.caller, Caller::Known { .. })
            || told.asker.client.is_some()
            || !told.in_body.is_empty();
        let taker = if brings {
            Taker::Brings(seen.caller.id?.0)
        } else {
            Taker::Nothing(seen.exchange.client.hash?)
        };
        let name = label(seen.endpoint);
        let is_odd = self.counters.hands_out(&name, taker, now_s) == Some(true);
        // Who took the first step shortly before is judged by that.
        let begun = seen.exchange.client.hash.map(of_address);
        if !is_odd || begun.is_some_and(|key| self.pending.find(key).is_some()) {
            return None;
        }
        let mut here = self.desks.iter().filter(|desk| desk.has_step_at(host));
        here.find_map(|desk| desk.left_out(&name))
    }

    fn begin(
        &mut self,
        keys: &[Option<u64>],
        (endpoint, gives): (&Endpoint, Gives),
        now_s: u32,
    ) -> Result<Option<SkippedStep>, Blind> {
        if keys.iter().all(Option::is_none) {
            return Ok(None);
        }
        let place = self.desk(&label(endpoint), gives, now_s).ok_or(Blind::NoRoom)?;
        let Some(desk) = self.desks.get_mut(place) else {
            return Err(Blind::NoRoom);
        };
        desk.seen_s = desk.seen_s.max(now_s);
        let begun = Pending {
            desk: u16::try_from(place).unwrap_or(u16::MAX),
            turn: desk.turn,
            since_s: now_s,
        };
        for key in keys.iter().flatten() {
            if let Some(pending) = self.pending.place(*key, now_s, |_| 0) {
                *pending = begun;
                self.waiting = true;
            }
        }
        Ok(None)
    }

    /// Place of a first step, which is given one if there is room.
    fn desk(&mut self, name: &str, gives: Gives, now_s: u32) -> Option<usize> {
        if let Some(known) = self.desks.iter().position(|desk| desk.is(name, gives)) {
            return Some(known);
        }
        let mut new = Desk::new(name, gives, now_s);
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
    fn ends(&mut self, key: u64, now_s: u32) -> Option<Pending> {
        let pending = self.pending.find(key)?;
        self.pending.forget(key);
        let desk = self.desks.get(usize::from(pending.desk))?;
        let same = desk.turn == pending.turn;
        (same && now_s.saturating_sub(pending.since_s) <= PATIENCE_S).then_some(pending)
    }

    fn resolve(
        &mut self,
        begun: Pending,
        endpoint: &Endpoint,
        grants: bool,
        (caller, skipper): (CallerHash, CallerHash),
    ) -> Result<Option<SkippedStep>, Blind> {
        let Some(desk) = self.desks.get_mut(usize::from(begun.desk)) else {
            return Ok(None);
        };
        desk.goes_on(&Way {
            name: &label(endpoint),
            grants,
            called_step: is_step(endpoint),
            caller,
            skipper,
        })
    }

    /// An endpoint is called otherwise now. Where both names were known, the more frequent one's counts stay.
    pub(super) fn rename(&mut self, from: &str, into: &str) {
        for desk in &mut self.desks {
            desk.rename(from, into);
        }
        for old in 0..self.desks.len() {
            self.rename_desk(old, from, into);
        }
        let now_s = self.desks.iter().map(|desk| desk.seen_s).max().unwrap_or(0);
        self.counters.rename(from, into, now_s);
    }

    /// Logins under way know places, so none is taken out: one of two is left without a name and used again.
    fn rename_desk(&mut self, old: usize, from: &str, into: &str) {
        let Some(desk) = self.desks.get(old).filter(|desk| *desk.endpoint == *from) else {
            return;
        };
        let (gives, logins) = (desk.gives, desk.logins);
        let other = self.desks.iter().position(|desk| desk.is(into, gives));
        let of_other = other.and_then(|at| self.desks.get(at)).map(|desk| desk.logins);
        let leaves = if of_other > Some(logins) { Some(old) } else { other };
        for at in [Some(old), leaves].into_iter().flatten() {
            if let Some(desk) = self.desks.get_mut(at) {
                desk.endpoint = if Some(at) == leaves { "" } else { into }.into();
            }
        }
    }

    pub(super) fn snapshot(&self) -> KeptSteps {
        KeptSteps {
            desks: self.desks.clone(),
            counters: self.counters.clone(),
        }
    }

    pub(super) fn restore(kept: KeptSteps) -> Self {
        let mut desks = kept.desks;
        desks.truncate(MAX_DESKS);
        for desk in &mut desks {
            desk.next.truncate(MAX_NEXT);
        }
        Self {
            desks,
            counters: kept.counters.bound(),
            ..Self::default()
        }
    }
}

/// Nobody said who is to have the token.
fn is_nameless(told: &Handover) -> bool {
    let asker = &told.asker;
    asker.refresh.is_none() && matches!(asker.grant_type, None | Some(GrantType::Other))
}

/// Somebody logs in with a name, and something that proves it.
const fn by_form(told: &Handover) -> bool {
    told.asker.login.is_some() && told.asker.proof
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
    use super::desk::Next;
    use super::*;
    use crate::callers::spread::Spread;
    use crate::exchange::credentials::Handover;

    fn desk(endpoint: &str, gives: Gives, logins: u32, next: &[(&str, u32)]) -> Desk {
        let next = next.iter().map(|(endpoint, count)| Next {
            endpoint: (*endpoint).into(),
            is_step: true,
            count: *count,
            callers: Spread::default(),
        });
        Desk {
            logins,
            next: next.collect(),
            ..Desk::new(endpoint, gives, 0)
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

    fn ticket() -> Gives {
        Gives::of(&Handover {
            ticket: true,
            ..Handover::default()
        })
    }

    #[test]
    fn what_is_learnt_goes_with_a_corrected_template() {
        let mut steps = Steps {
            desks: vec![
                desk("in/a", Gives::default(), 9, &[("b/1", 7), ("b/2", 2)]),
                desk("in/b", Gives::default(), 3, &[("b/1", 3)]),
                desk("in/b", ticket(), 4, &[("b/1", 4)]),
            ],
            ..Steps::default()
        };
        steps.rename("b/1", "b/{id}");
        steps.rename("b/2", "b/{id}");
        assert_eq!(
            told(&steps),
            ["in/a 9: b/{id} 7", "in/b 3: b/{id} 3", "in/b 4: b/{id} 4"]
        );
        steps.rename("in/a", "in/{name}");
        steps.rename("in/b", "in/{name}");
        assert_eq!(
            told(&steps)[0],
            "in/{name} 9: b/{id} 7",
            "the more frequent one stays"
        );
        assert_eq!(steps.desks[1].endpoint, "".into());
        assert_eq!(
            told(&steps)[2],
            "in/{name} 4: b/{id} 4",
            "what it hands out stays"
        );
        let place = steps.desk("in/c", Gives::default(), 0);
        assert_eq!(place, Some(1), "its place is used again");
        assert_eq!(steps.desks[1].turn, 1, "and not for logins under way");
    }
}
