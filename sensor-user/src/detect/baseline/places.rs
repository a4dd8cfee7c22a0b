//! From how many client addresses one credential is used, and how many are usual.
//!
//! Takes accepted exchanges. Gives [`PlacesSign`]. What is usual is learnt of each caller, and of all: where telephones
//! change their address all day, nobody's does so alone. Days are counted for who is patient. Whether a caller comes without a proxy is remembered, since anybody
//! can say that there is one. Bounded by its two tables. Hours pass by the traffic's clock.

use serde::{Deserialize, Serialize};

use super::table::{Kept, Table};
use crate::callers::spread::Spread;
use crate::exchange::CallerHash;

/// Sets of credentials: 16,384 of them, 120 bytes a place.
const TOKEN_SETS: usize = 2048;
/// Sets of callers: 65,536 of them, 40 bytes a place.
const CALLER_SETS: usize = 8192;
/// The window. A stolen token is used while it is good, which is an hour as a rule.
const HOUR_S: u32 = 3600;
/// Addresses of one credential that are remembered in order, to see that it comes back to one.
const RECENT: usize = 4;
/// Hours of callers after which all counts are halved: what is usual is what was so lately.
const FULL: u32 = 100_000;
/// Who came without a proxy today or yesterday comes without one as a rule.
const DAY_S: u32 = 86_400;
/// Counts of addresses that are told apart.
const SIZES: usize = 16;

#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Token {
    spread: Spread,
    days: Spread,
    hour: u32,
    /// Fronts of the last addresses, the newest first.
    recent: [u32; RECENT],
    /// Uses in this hour from an address that it had left before.
    returns: u16,
}

#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Norm {
    hour: u32,
    /// Most addresses of one credential in the hour under way.
    most: u16,
    /// The same of hours before; an eighth is forgotten with each.
    usual: u16,
    /// Hours that the caller was seen in.
    hours: u16,
    /// The day on which it came without a proxy last; 0 for never.
    direct_day: u16,
    /// The same of days: the one under way, most addresses, eighths of the same of days before, and days that it was seen
    /// on.
    day: u16,
    most_daily: u16,
    usual_daily_8: u16,
    days: u16,
    /// Front of the address that it is at as a rule, and votes for it: the first of each hour has one.
    home: u32,
    votes: u16,
}

/// Addresses of one credential.
struct Seen {
    /// Within an hour or two, and within a day or two.
    addresses: u16,
    daily: u16,
    /// This one is new within a day or two.
    is_new: bool,
    /// How often it came back to one.
    returns: u16,
}

/// A credential that was accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub(super) credential: CallerHash,
    pub(super) caller: CallerHash,
    pub(super) address: CallerHash,
    /// The request says that it came by a proxy, which nobody named.
    pub(super) proxied: bool,
}

/// Where one credential is used from.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PlacesSign {
    /// Client addresses within an hour or two.
    pub addresses: u16,
    /// Uses within the hour from an address that it had left for another.
    pub returns: u16,
    /// Most addresses that a credential of the caller had in an hour before.
    pub usual: u16,
    /// Hours in which the caller was seen before.
    pub hours: u16,
    /// Hours of callers of which it is known how many addresses a credential had; of other callers, the hour under way is
    /// counted as it stands.
    pub all_hours: u32,
    /// Of those, hours with two thirds as many addresses, or more.
    pub as_many: u32,
    /// Client addresses within a day or two.
    pub addresses_daily: u16,
    /// This is the first use from one of them.
    pub is_new_daily: bool,
    /// Most addresses that a credential of the caller had in a day or two before.
    pub usual_daily: u16,
    /// Days on which the caller was seen before.
    pub days: u16,
    /// This is where the caller is as a rule: whoever has the key as well is elsewhere.
    pub at_home: bool,
    /// The request says that it came by a proxy that is not named, and the caller came without one neither today nor
    /// yesterday.
    pub behind_proxy: bool,
}

/// What is known of places.
#[derive(Debug)]
pub(super) struct Places {
    tokens: Table<Token>,
    callers: Table<Norm>,
    /// Hours of callers by their addresses.
    all: [u32; SIZES],
    /// The hour under way, and callers seen in it by their addresses until now.
    open: (u32, [u32; SIZES]),
}

/// What outlives a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptPlaces {
    tokens: Kept<Token>,
    callers: Kept<Norm>,
    all: [u32; SIZES],
}

impl Default for Places {
    fn default() -> Self {
        Self {
            tokens: Table::new(TOKEN_SETS),
            callers: Table::new(CALLER_SETS),
            all: [0; SIZES],
            open: (0, [0; SIZES]),
        }
    }
}

impl Places {
    /// A credential of a caller was accepted from an address.
    pub(super) fn observe(&mut self, used: &Used, now_s: u32) -> PlacesSign {
        let Some(Seen {
            addresses,
            daily,
            is_new,
            returns,
        }) = self.used(used.credential, used.address, now_s)
        else {
            return PlacesSign::default();
        };
        let hour = now_s / HOUR_S;
        let weight = |norm: &Norm| norm.hours.into();
        let Some(norm) = self.callers.place(used.caller.front(), now_s, weight) else {
            return PlacesSign::default();
        };
        let front = front(used.address);
        let at_home = norm.home == front;
        if hour > norm.hour {
            norm.vote(front);
        }
        let ended = norm.roll(hour);
        let grown = (norm.most, norm.most.max(addresses));
        norm.most = grown.1;
        let today = u16::try_from(now_s / DAY_S).unwrap_or(u16::MAX);
        let direct = norm.direct_day > 0 && today.saturating_sub(norm.direct_day) <= 1;
        norm.roll_day(today);
        norm.most_daily = norm.most_daily.max(daily);
        if !used.proxied {
            norm.direct_day = norm.direct_day.max(today);
        }
        let norm = *norm;
        if let Some(size) = ended {
            self.learn(size);
        }
        self.grow(hour, grown);
        let from = (usize::from(addresses) * 2).div_ceil(3).min(SIZES - 1);
        let (_, open) = &self.open;
        let known = || self.all.iter().zip(open).map(|(ended, open)| ended + open);
        // The caller itself is one of those under way.
        let own = u32::from(hour == self.open.0);
        PlacesSign {
            addresses,
            returns,
            usual: norm.usual,
            hours: norm.hours,
            all_hours: known().sum::<u32>().saturating_sub(own),
            as_many: known().skip(from).sum::<u32>().saturating_sub(own),
            addresses_daily: daily,
            is_new_daily: is_new,
            usual_daily: norm.usual_daily_8 / 8,
            days: norm.days,
            at_home,
            behind_proxy: used.proxied && !direct,
        }
    }

    /// Addresses of a credential within an hour or two, and how often it came back to one.
    fn used(&mut self, credential: CallerHash, address: CallerHash, now_s: u32) -> Option<Seen> {
        let hour = now_s / HOUR_S;
        let weight = |token: &Token| u32::from(token.returns);
        let token = self.tokens.place(credential.front(), now_s, weight)?;
        if token.hour < hour {
            (token.hour, token.returns) = (hour, 0);
        }
        token.spread.add(address, now_s, HOUR_S);
        let before = token.days.estimate(now_s, DAY_S);
        token.days.add(address, now_s, DAY_S);
        let daily = token.days.estimate(now_s, DAY_S);
        let front = front(address);
        let [newest, second, third, _] = token.recent;
        if newest != front {
            if token.recent.contains(&front) {
                token.returns = token.returns.saturating_add(1);
            }
            token.recent = [front, newest, second, third];
        }
        Some(Seen {
            addresses: token.spread.estimate(now_s, HOUR_S),
            daily,
            is_new: daily > before,
            returns: token.returns,
        })
    }

    /// A caller has had so many addresses in an hour until now, and more than before.
    fn grow(&mut self, hour: u32, (before, now): (u16, u16)) {
        if hour > self.open.0 {
            self.open = (hour, [0; SIZES]);
        }
        if hour < self.open.0 || before == now {
            return;
        }
        let size = |count: u16| usize::from(count).min(SIZES - 1);
        if let Some(count) = self.open.1.get_mut(size(before)).filter(|_| before > 0) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.open.1.get_mut(size(now)) {
            *count += 1;
        }
    }

    fn learn(&mut self, size: u16) {
        if let Some(count) = self.all.get_mut(usize::from(size).min(SIZES - 1)) {
            *count += 1;
        }
        if self.all.iter().sum::<u32>() >= FULL {
            for count in &mut self.all {
                *count /= 2;
            }
        }
    }

    pub(super) fn snapshot(&self) -> KeptPlaces {
        KeptPlaces {
            tokens: self.tokens.snapshot(),
            callers: self.callers.snapshot(),
            all: self.all,
        }
    }

    pub(super) fn restore(kept: KeptPlaces) -> Self {
        let mut places = Self::default();
        places.tokens.restore(kept.tokens, |_| 0);
        places.callers.restore(kept.callers, |norm| norm.hours.into());
        places.all = kept.all;
        places
    }
}

impl Norm {
    /// The majority stays (Boyer and Moore).
    const fn vote(&mut self, address: u32) {
        if self.home == address {
            self.votes = self.votes.saturating_add(1);
        } else if self.votes == 0 {
            (self.home, self.votes) = (address, 1);
        } else {
            self.votes -= 1;
        }
    }

    /// Begins another hour; gives how many addresses the one before had. The norm doubles at most, so whoever wants to
    /// raise it has to be patient.
    fn roll(&mut self, hour: u32) -> Option<u16> {
        if hour <= self.hour {
            return None;
        }
        let ended = (self.most > 0).then_some(self.most);
        if let Some(most) = ended {
            self.usual = learnt(self.usual, most, self.hours);
            self.hours = self.hours.saturating_add(1);
        }
        (self.hour, self.most) = (hour, 0);
        ended
    }

    /// Begins another day.
    fn roll_day(&mut self, day: u16) {
        if day <= self.day {
            return;
        }
        if self.most_daily > 0 {
            self.usual_daily_8 = learnt_slowly(self.usual_daily_8, self.most_daily, self.days);
            self.days = self.days.saturating_add(1);
        }
        (self.day, self.most_daily) = (day, 0);
    }
}

/// 0 is nobody's.
const fn front(address: CallerHash) -> u32 {
    let [one, two, three, four, ..] = address.0;
    u32::from_le_bytes([one, two, three, four]) | 1
}

/// What is usual after another time with so many addresses, at most.
fn learnt(usual: u16, most: u16, times: u16) -> u16 {
    let learnt = if times == 0 {
        most
    } else {
        most.min(usual.saturating_mul(2).max(2))
    };
    learnt.max(usual - usual / 8)
}

/// The same of days, in eighths. A stolen key is used for days, and each would hide the next: one day raises the norm by an
/// eighth of what is more, up to twice the usual.
fn learnt_slowly(usual_8: u16, most: u16, times: u16) -> u16 {
    let most_8 = most.saturating_mul(8);
    if times == 0 {
        return most_8;
    }
    let more = most_8
        .min(usual_8.saturating_mul(2).max(16))
        .saturating_sub(usual_8);
    // What is usual is kept longer than it takes to learn it.
    let kept = usual_8 - usual_8 / 64;
    kept.max(usual_8.min(most_8)) + more / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_is_not_new() {
        let mut places = Places::default();
        let mut seen = |address: u8, hour: u32| {
            let used = Used {
                credential: CallerHash([1; 16]),
                caller: CallerHash([1; 16]),
                address: CallerHash([address; 16]),
                proxied: false,
            };
            let sign = places.observe(&used, hour * HOUR_S);
            (sign.addresses_daily, sign.is_new_daily, sign.at_home)
        };
        for (address, hour, expected) in [
            (1, 1, (1, true, false)),
            (2, 2, (2, true, false)),
            (3, 20, (3, true, false)),
            (1, 21, (3, false, false)),
            (1, 30, (3, false, false)),
            (1, 72, (1, true, true)),
            (3, 73, (2, true, false)),
        ] {
            assert_eq!(seen(address, hour), expected, "{address} at {hour}");
        }
    }
}
