//! Names that were tried and left.
//!
//! Takes logins of one host. Gives [`TriedOnce`]: names that failed once within the hour, from where they never got in,
//! and nobody came back for. People who mistype try again and get in; whoever has a list of names, and enough addresses,
//! goes on with the next. Never keeps a name. Hours pass by the traffic's own clock.

use serde::{Deserialize, Serialize};

use super::logins::STEP;
use crate::callers::spread::Spread;
use crate::callers::{LoginFacts, LoginResult};
use crate::exchange::CallerHash;

const HOUR_S: u32 = 3600;

/// One host's hour under way, and what is usual.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(super) struct Tried {
    hour: u32,
    /// Hours with logins that ended.
    hours: u32,
    /// Logins of this one that ended.
    ended: u32,
    /// Names of this one and of the one before: tried once, and all that did not get in.
    once: [u32; 2],
    left: [u32; 2],
    addresses: Spread,
    /// Sixteenths of names tried once in an hour.
    usual_16: u32,
    /// The hour under way shows a campaign, and is not learnt.
    odd: bool,
}

/// Names of an hour that were tried and left.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TriedOnce {
    /// Hours with logins that were seen before.
    pub hours: u32,
    /// Names tried once in such an hour, usually.
    pub usual: u32,
    /// Names that failed and did not get in since.
    pub left: u32,
    /// Of those, names that were tried once, where they never got in before.
    pub once: u32,
    /// Addresses that names were tried from first, in this hour and the one before.
    pub addresses: u16,
    /// This login is such a first try.
    pub is_first: bool,
}

impl Tried {
    /// A login ended, or not. `elsewhere`: it came from an address where the name never got in.
    pub(super) fn observe(
        &mut self,
        login: &LoginFacts,
        address: Option<CallerHash>,
        elsewhere: bool,
        now_s: u32,
    ) -> TriedOnce {
        self.roll(now_s / HOUR_S);
        let trouble = login.name_trouble.judged();
        let ([once, _], [left, _]) = (&mut self.once, &mut self.left);
        let mut is_first = false;
        match login.result {
            LoginResult::Failed if login.is_put_off() => {}
            LoginResult::Failed if trouble.failures_day <= 1 => {
                is_first = elsewhere;
                *left += 1;
                *once += u32::from(elsewhere);
                if let Some(address) = address {
                    self.addresses.add(address, now_s, HOUR_S);
                }
            }
            LoginResult::Failed if trouble.failures_day == 2 => *once = once.saturating_sub(1),
            // The first time that it is not refused.
            _ if login.passes() && trouble.failures_day > 0 && trouble.successes_day == 1 => {
                *left = left.saturating_sub(1);
                *once = once.saturating_sub(u32::from(trouble.failures_day == 1));
            }
            _ => {}
        }
        self.ended += u32::from(login.result != LoginResult::Unknown);
        TriedOnce {
            hours: self.hours,
            usual: self.usual_16 / 16,
            left: within_an_hour(self.left, now_s),
            once: within_an_hour(self.once, now_s),
            addresses: self.addresses.estimate(now_s, HOUR_S),
            is_first,
        }
    }

    /// The hour is one of a campaign.
    pub(super) const fn is_odd(&mut self) {
        self.odd = true;
    }

    /// An hour ends: it is learnt, but never more than twice the usual and a few.
    fn roll(&mut self, hour: u32) {
        if hour <= self.hour {
            return;
        }
        if self.ended > 0 && !self.odd {
            let most = self.usual_16.saturating_mul(2).saturating_add(STEP * 16);
            let [once, _] = self.once;
            let learnt = once.saturating_mul(16).min(most);
            self.usual_16 = if self.hours == 0 {
                learnt
            } else {
                self.usual_16 - self.usual_16 / 8 + learnt / 8
            };
            self.hours = self.hours.saturating_add(1);
        }
        let follows = hour == self.hour + 1;
        for counts in [&mut self.once, &mut self.left] {
            let [now, _] = *counts;
            *counts = [0, if follows { now } else { 0 }];
        }
        (self.hour, self.ended, self.odd) = (hour, 0, false);
    }
}

/// Of the hour before as much as lies within the last sixty minutes.
fn within_an_hour([now, before]: [u32; 2], now_s: u32) -> u32 {
    let left_s = HOUR_S - now_s % HOUR_S;
    now.saturating_add(before.saturating_mul(left_s) / HOUR_S)
}
