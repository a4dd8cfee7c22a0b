//! Campaigns against the logins of a host: which failures are one, and since when it lasts.
//!
//! Takes counts of a host's logins. Gives whether they have the shape of a campaign. One that ends and one that begins later
//! are two: [`Run`] tells them apart.

use serde::{Deserialize, Serialize};

use super::{HostLogins, TriedOnce};
use crate::detect::Blind;

/// Windows, of ten minutes and of hours, with logins before a host's failures have a norm.
const MIN_WINDOWS: u32 = 6;
/// Failures of a host within ten minutes, names and addresses, from which it may be a campaign.
const FAILURES: u32 = 40;
const NAMES: u16 = 30;
const ADDRESSES: u16 = 10;
/// Names that were tried once within an hour, and left, from which it may be a slow campaign.
const LEFT: u32 = 40;
/// Percent of the names that did not get in: when a service breaks, its users try again, and many of them from where they
/// always did.
const LEFT_ONCE: u32 = 70;
/// Times the usual.
const BEYOND_USUAL: u32 = 5;
/// Percent of names that never succeeded: when a service breaks, those who fail are its users.
const STRANGERS: u32 = 70;
/// Without one for so long, a campaign is over: what it tried counts for an hour or two, and until then whoever mistypes
/// seems to be the next of its names.
pub(super) const QUIET_S: u32 = 2 * 3600;
const DAY_S: u32 = 86_400;

/// What goes on without a pause, or did so last.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    began_s: u32,
    seen_s: u32,
}

impl Run {
    /// It is so now: still, unless it paused for longer than that.
    pub(super) const fn goes_on(&mut self, now_s: u32, pause_s: u32) {
        if !self.is_on(now_s, pause_s) {
            self.began_s = now_s;
        }
        if now_s > self.seen_s {
            self.seen_s = now_s;
        }
    }

    /// It was so, and has not paused for longer than that.
    pub(super) const fn is_on(self, now_s: u32, pause_s: u32) -> bool {
        self.seen_s > 0 && now_s.saturating_sub(self.seen_s) <= pause_s
    }

    /// How long it went on.
    pub(super) const fn lasts_s(self) -> u32 {
        self.seen_s.saturating_sub(self.began_s)
    }

    /// When it began, or became a day older: what lasts is told each day.
    pub(super) const fn since_s(self) -> u32 {
        self.seen_s - self.lasts_s() % DAY_S
    }
}

impl HostLogins {
    /// Many names from many addresses within ten minutes.
    pub fn is_flooded(&self) -> Result<bool, Blind> {
        let many = self.failures >= FAILURES && self.names >= NAMES && self.addresses >= ADDRESSES;
        if !many {
            return Ok(false);
        }
        if self.windows < MIN_WINDOWS {
            return Err(Blind::NotEnoughEvidence);
        }
        let unusual = self.failures >= self.usual.max(1) * BEYOND_USUAL;
        Ok(unusual && self.unfamiliar * 100 >= self.failures * STRANGERS)
    }
}

impl TriedOnce {
    /// The same at leisure, and whether or not the names logged in before: each is tried once, and left.
    pub fn is_listed(&self) -> Result<bool, Blind> {
        let many = self.once >= LEFT && self.addresses >= ADDRESSES;
        if !self.is_first || !many || self.once * 100 < self.left * LEFT_ONCE {
            return Ok(false);
        }
        if self.hours < MIN_WINDOWS {
            return Err(Blind::NotEnoughEvidence);
        }
        Ok(self.once >= self.usual.max(1) * BEYOND_USUAL)
    }
}
