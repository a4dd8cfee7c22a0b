//! One first step of a login: what it hands out, and how those who took it went on.

use serde::{Deserialize, Serialize};

use super::super::room::Worth;
use super::SkippedStep;
use crate::callers::spread::Spread;
use crate::detect::Blind;
use crate::exchange::CallerHash;
use crate::exchange::credentials::{GrantKind, Handover, Sureness};

/// Callers who went on from a first step, which make it one: a client that makes hosts up is few of them. So many, too,
/// show that a step which hands out nothing is another factor and no way around.
const ESTABLISHED_BY: u16 = 3;
/// Endpoints after one first step; what comes beyond counts as another.
pub(super) const MAX_NEXT: usize = 16;
/// Window in which callers are counted as different: thirty days.
pub(super) const LONG_S: u32 = 30 * 86_400;
/// Callers who took a step before it is the norm.
pub(super) const MIN_CALLERS: u16 = 20;
/// Percent of logins that went on with it. Where a device is remembered and the answer does not show it, fewer do.
pub(super) const MIN_SHARE: u32 = 97;
/// Logins after which counts are halved.
const FULL: u32 = 10_000;

/// What a first step hands out. People with and without a second factor log in at one endpoint: what it gives them tells
/// the two sequences apart.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Gives(u8);

impl Gives {
    const ACCESS: u8 = 1;
    const REFRESH: u8 = 1 << 1;
    const SESSION: u8 = 1 << 2;
    const KEY: u8 = 1 << 3;
    /// A ticket for a further step.
    const TICKET: u8 = 1 << 4;
    /// What may be a session: its name does not say so.
    const PERHAPS: u8 = 1 << 5;

    pub(super) fn of(told: &Handover) -> Self {
        let bit = |kind| match kind {
            GrantKind::Access => Self::ACCESS,
            GrantKind::Refresh => Self::REFRESH,
            GrantKind::Session => Self::SESSION,
            GrantKind::Key => Self::KEY,
        };
        let sure = told
            .granted
            .iter()
            .filter(|grant| grant.sureness == Sureness::Named);
        let mut bits = sure.fold(0, |bits, grant| bits | bit(grant.kind));
        if bits == 0 && !told.granted.is_empty() {
            bits = Self::PERHAPS;
        }
        Self(if told.ticket { bits | Self::TICKET } else { bits })
    }
}

/// How somebody went on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    /// Method, host and template.
    pub(super) name: &'a str,
    /// It handed out tokens to somebody who gave no name.
    pub(super) grants: bool,
    /// It is called as a step of a login.
    pub(super) called_step: bool,
    /// Who it was, and who it is counted as when it leaves a step out.
    pub(super) caller: CallerHash,
    pub(super) skipper: CallerHash,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Next {
    pub(super) endpoint: Box<str>,
    /// It is a step of a login by what it does or is called.
    pub(super) is_step: bool,
    pub(super) count: u32,
    pub(super) callers: Spread,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Desk {
    pub(super) endpoint: Box<str>,
    pub(super) gives: Gives,
    pub(super) logins: u32,
    pub(super) next: Vec<Next>,
    pub(super) seen_s: u32,
    /// How many had the place before.
    #[serde(skip)]
    pub(super) turn: u32,
}

impl Desk {
    pub(super) fn new(endpoint: &str, gives: Gives, now_s: u32) -> Self {
        Self {
            endpoint: endpoint.into(),
            gives,
            logins: 0,
            next: Vec::new(),
            seen_s: now_s,
            turn: 0,
        }
    }

    pub(super) fn is(&self, endpoint: &str, gives: Gives) -> bool {
        *self.endpoint == *endpoint && self.gives == gives
    }

    pub(super) fn worth(&self) -> Worth {
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

    /// Somebody goes on: whether that leaves out what others do, and one more who went that way.
    pub(super) fn goes_on(&mut self, way: &Way<'_>) -> Result<Option<SkippedStep>, Blind> {
        let skipped = self.skipped(way);
        // One who skips again and again is one, whatever tokens it gets.
        let skips = matches!(skipped, Ok(Some(_)));
        self.learn(way, skips);
        skipped
    }

    fn skipped(&self, way: &Way<'_>) -> Result<Option<SkippedStep>, Blind> {
        let usual = self.usual();
        let Some(usual) = usual.filter(|usual| *usual.endpoint != *way.name && !self.is_another_factor(way))
        else {
            return Ok(None);
        };
        let norm = self.is_norm(usual);
        if norm && usual.callers.estimate(0, LONG_S) < MIN_CALLERS {
            return Err(Blind::NotEnoughEvidence);
        }
        Ok(norm.then(|| self.without(usual)))
    }

    /// The step that nearly everybody took, which somebody did not who was never here and has a token from elsewhere.
    pub(super) fn left_out(&self, elsewhere: &str) -> Option<SkippedStep> {
        let usual = self.usual().filter(|usual| self.is_norm(usual))?;
        let leads_there = |next: &&Next| {
            *next.endpoint == *elsewhere && next.count * 100 >= self.logins * (100 - MIN_SHARE)
        };
        let known = usual.callers.estimate(0, LONG_S) >= MIN_CALLERS;
        (known && !self.next.iter().any(|next| leads_there(&next))).then(|| self.without(usual))
    }

    /// Whether it is an endpoint of that host whose logins have a second step.
    pub(super) fn has_step_at(&self, host: &str) -> bool {
        let place = self.endpoint.split(' ').nth(1);
        let here = place.and_then(|place| place.strip_prefix(host));
        here.is_some_and(|rest| rest.starts_with('/'))
            && self.usual().is_some_and(|usual| self.is_norm(usual))
    }

    fn usual(&self) -> Option<&Next> {
        let steps = self.next.iter().filter(|next| next.is_step);
        steps.max_by_key(|next| next.count)
    }

    const fn is_norm(&self, usual: &Next) -> bool {
        usual.count * 100 >= self.logins * MIN_SHARE
    }

    fn without(&self, usual: &Next) -> SkippedStep {
        SkippedStep {
            after: self.endpoint.clone(),
            step: usual.endpoint.clone(),
            took: usual.count,
            of: self.logins,
        }
    }

    /// A code by telephone instead of a key: the step is another one, not left out. Its name alone is little, since an
    /// order can be confirmed as well.
    fn is_another_factor(&self, way: &Way<'_>) -> bool {
        let known = self.next.iter().find(|next| *next.endpoint == *way.name);
        let callers = known.map_or(0, |next| next.callers.estimate(0, LONG_S));
        way.called_step && (way.grants || callers >= ESTABLISHED_BY)
    }

    /// An endpoint after it is called otherwise now.
    pub(super) fn rename(&mut self, from: &str, into: &str) {
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

    fn learn(&mut self, way: &Way<'_>, skips: bool) {
        let who = if skips { way.skipper } else { way.caller };
        let known = self.next.iter().position(|next| *next.endpoint == *way.name);
        let place = match known {
            None if self.next.len() < MAX_NEXT => {
                self.next.push(Next {
                    endpoint: way.name.into(),
                    is_step: way.grants || way.called_step,
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
