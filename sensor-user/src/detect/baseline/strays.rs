//! Names that are tried one by one, hours apart, each from somewhere else.
//!
//! Takes logins of one host. Gives [`Strays`]: failures that nobody came back for within hours, from addresses where
//! nobody gets in. A person tries again; whoever has a list of names, and patience, goes on with the next. What is beyond
//! twice the usual adds up (a cumulative sum: Page, 1954), so that ten a day are seen where one is usual. Keeps keyed
//! hashes of those that wait, [`MAX_WAITING`] of a host (4 KiB). Days pass by the traffic's own clock.

use serde::{Deserialize, Serialize};

use super::campaigns::Run;
use crate::callers::spread::Spread;
use crate::exchange::CallerHash;

const HOUR_S: u32 = 3600;
const DAY_S: u32 = 24 * HOUR_S;
const WEEK_S: u32 = 7 * DAY_S;
/// Nobody comes back for a failure after that long: a service that was down is up again, a new password has come by mail.
const SETTLES_S: u32 = 6 * HOUR_S;
/// Failures of a host that wait. More in so few hours are judged by the hour.
const MAX_WAITING: usize = 128;
/// How far back a campaign that was told explains failures: the hour that it was told by, and the one before.
const EXPLAINS_S: u32 = 2 * HOUR_S;
/// Days with logins before a host has a norm: on the first everybody is new, and the others are learnt as they are.
const MIN_DAYS: u32 = 3;
/// Failures a day that are nothing beside twice the usual.
const SLACK: u32 = 2;
/// Failures beyond that from which it is somebody's work.
const BEYOND: u32 = 15;
/// It is told with the next one so soon after another that nobody came back for: it goes on.
const GOES_ON_S: u32 = 3 * HOUR_S;
/// One failure. What may be lost in a day is in sixteenths, and each hour takes its part of that.
const ONE: u32 = 16 * 24;

/// A failure that somebody may come back for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) name: u64,
    /// As it is counted, which takes more than its front.
    pub(super) address: [u8; 16],
    pub(super) at_s: u32,
}

/// One host's failures that nobody came back for.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(super) struct Lost {
    /// Invariant: at most [`MAX_WAITING`], the oldest first.
    waiting: Vec<Waiting>,
    hour: u32,
    /// Days with logins that ended, and of the one under way: logins, and failures that were lost.
    days: u32,
    ended: u32,
    today: u32,
    /// Sixteenths of failures that are lost in a day.
    usual_16: u32,
    /// Failures beyond what may be, in [`ONE`]s; since when there are any, and all failures since.
    beyond: u32,
    since_s: u32,
    count: u32,
    addresses: Spread,
    told: Run,
}

/// Failures that nobody came back for, when they are more than usual.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Strays {
    /// Names, each tried once a day at most.
    pub names: u32,
    /// Addresses that they were tried from within a week or two.
    pub addresses: u16,
    /// In so many seconds.
    pub lasts_s: u32,
    /// As many are usual in that time.
    pub usual: u32,
    /// When it was told first, by the traffic's clock; told again when it is a day older.
    pub since_s: u32,
}

impl Lost {
    /// A login ended. `stray` where nobody came back for it yet: the first failure of name and address that day, where
    /// neither got in. `came_back` says whether somebody did. Gives what there is when another one comes.
    pub(super) fn observe(
        &mut self,
        stray: Option<Waiting>,
        came_back: impl Fn(&Waiting) -> bool,
        now_s: u32,
    ) -> Option<Strays> {
        self.roll(now_s / HOUR_S);
        self.settle(&came_back, now_s);
        self.ended = self.ended.saturating_add(1);
        let stray = stray?;
        let lately = |one: &&Waiting| now_s.saturating_sub(one.at_s) <= GOES_ON_S;
        let mut latest = self.waiting.iter().rev().take_while(lately);
        let goes_on = latest.any(|one| !came_back(one));
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push(stray);
        }
        if self.days < MIN_DAYS || !goes_on || self.beyond.saturating_add(ONE) < self.most() {
            return None;
        }
        self.told.goes_on(now_s, DAY_S);
        let lasts_s = now_s.saturating_sub(self.since_s);
        let usual = u64::from(self.usual_16) * u64::from(lasts_s) / u64::from(16 * DAY_S);
        Some(Strays {
            names: self.count,
            addresses: self.addresses.estimate(now_s, WEEK_S),
            lasts_s,
            usual: u32::try_from(usual).unwrap_or(u32::MAX),
            since_s: self.told.since_s(),
        })
    }

    /// A campaign was told, and what it tried is not lost besides.
    pub(super) fn explained(&mut self, now_s: u32) {
        self.waiting
            .retain(|one| now_s.saturating_sub(one.at_s) > EXPLAINS_S);
    }

    /// Those that nobody came back for.
    fn settle(&mut self, came_back: impl Fn(&Waiting) -> bool, now_s: u32) {
        let settled = |one: &&Waiting| now_s.saturating_sub(one.at_s) >= SETTLES_S;
        let many = self.waiting.iter().take_while(settled).count();
        let most = self.most();
        for one in self.waiting.drain(..many).filter(|one| !came_back(one)) {
            if self.beyond == 0 {
                (self.since_s, self.count, self.addresses) = (one.at_s, 0, Spread::EMPTY);
            }
            self.today = self.today.saturating_add(1);
            self.count = self.count.saturating_add(1);
            self.addresses.add(CallerHash(one.address), now_s, WEEK_S);
            // What was told does not outlast its cause.
            self.beyond = self.beyond.saturating_add(ONE).min(most);
        }
    }

    /// From how many on it is told: where more are usual, two days' worth of them.
    fn most(&self) -> u32 {
        (BEYOND * ONE).max(self.usual_16.saturating_mul(2 * 24))
    }

    /// What may be lost in a day, in sixteenths.
    const fn allowed_16(&self) -> u32 {
        self.usual_16.saturating_mul(2).saturating_add(SLACK * 16)
    }

    fn roll(&mut self, hour: u32) {
        if hour <= self.hour {
            return;
        }
        let allowed = self.allowed_16().saturating_mul(hour - self.hour);
        self.beyond = self.beyond.saturating_sub(allowed);
        if hour / 24 > self.hour / 24 && self.ended > 0 {
            self.learn(self.hour * HOUR_S);
        }
        self.hour = hour;
    }

    /// A day ends, and is learnt as little more than the usual: an attack that adds up must not raise the norm before it is
    /// told. What is told is not learnt for a week, and is usual by then.
    fn learn(&mut self, ended_s: u32) {
        let today_16 = self.today.saturating_mul(16);
        let is_told = self.told.is_on(ended_s, DAY_S);
        let learnt_16 = match self.days {
            0 => self.usual_16,
            days if days < MIN_DAYS => {
                (self.usual_16.saturating_mul(days - 1).saturating_add(today_16)) / days
            }
            _ if is_told && self.told.lasts_s() < WEEK_S => self.usual_16,
            _ => {
                let more = self.usual_16 + self.usual_16 / 4 + 16;
                let most = if is_told { u32::MAX } else { more };
                self.usual_16 - self.usual_16 / 8 + today_16.min(most) / 8
            }
        };
        self.usual_16 = learnt_16;
        self.days = self.days.saturating_add(1);
        if self.days <= MIN_DAYS {
            self.beyond = 0;
        }
        (self.today, self.ended) = (0, 0);
    }

    /// No more than there is room for.
    pub(super) fn bound(mut self) -> Self {
        self.waiting.truncate(MAX_WAITING);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For so many days somebody gets in each hour, and in the first hours of a day somebody else is lost. Gives whether it
    /// was told.
    fn told(lost: &mut Lost, days: std::ops::Range<u32>, lost_a_day: u32) -> bool {
        told_but(lost, days, lost_a_day, u32::MAX)
    }

    /// The same where somebody comes back for failures from that day on.
    fn told_but(lost: &mut Lost, days: std::ops::Range<u32>, lost_a_day: u32, back: u32) -> bool {
        let hours = days.start * 24..days.end * 24;
        let strays = hours.map(|hour| {
            let [one, two, ..] = hour.to_le_bytes();
            let mut address = [0; 16];
            (address[0], address[15]) = (two, one);
            let stray = Waiting {
                name: hour.into(),
                address,
                at_s: hour * HOUR_S,
            };
            let stray = (hour % 24 < lost_a_day).then_some(stray);
            lost.observe(stray, |one| one.at_s / DAY_S >= back, hour * HOUR_S)
                .is_some()
        });
        strays.filter(|told| *told).count() > 0
    }

    #[test]
    fn what_is_usual_is_not_told() {
        let mut lost = Lost::default();
        assert!(!told(&mut lost, 0..30, 12));
        assert!(!told(&mut lost, 30..32, 24));
    }

    #[test]
    fn what_was_told_ends_with_its_cause_and_hides_nothing_after_it() {
        let mut lost = Lost::default();
        assert!(!told(&mut lost, 0..8, 1));
        assert!(told(&mut lost, 8..12, 10));
        assert!(!told(&mut lost, 12..13, 0) && !told(&mut lost, 13..15, 3));
        assert!(!told(&mut lost, 15..20, 1) && told(&mut lost, 20..25, 10));
    }

    #[test]
    fn whose_failures_are_explained_at_once_is_not_told_after_an_attack() {
        let mut lost = Lost::default();
        assert!(!told(&mut lost, 0..8, 1) && told(&mut lost, 8..12, 18));
        assert!(!told_but(&mut lost, 12..13, 3, 12));
    }

    #[test]
    fn what_lasts_is_usual_in_the_end() {
        let mut lost = Lost::default();
        assert!(!told(&mut lost, 0..8, 1));
        assert!(told(&mut lost, 8..30, 10));
        assert!(!told(&mut lost, 30..40, 10));
    }
}
