//! Logins: who succeeded before, and how many failures an address and a host usually have.
//!
//! Takes logins. Gives [`LoginSigns`], this login counted in. Never keeps a name or an address, only their keyed hashes.
//! Bounded by the sizes of its tables and [`MAX_HOSTS`]. Windows pass by the traffic's own clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::campaigns::{QUIET_S, Run};
use super::room::{self, Worth};
use super::strays::{Lost, Strays, Waiting};
use super::table::{Kept, Table};
use super::tried::{Tried, TriedOnce};
use crate::callers::spread::{Count, Spread};
use crate::callers::{LoginFacts, LoginResult};
use crate::exchange::CallerHash;

/// Sets of names and of pairs of name and address: 65,536 of each, 24 bytes a place.
const FAMILIAR_SETS: usize = 8192;
/// Sets of addresses that logins fail from: 8,192 places of 220 bytes.
const ADDRESS_SETS: usize = 1024;
/// Hosts whose logins are followed. Clients say which host they mean, so those where nobody gets in make room.
const MAX_HOSTS: usize = 256;
/// Logins that succeeded before a host is one: a client that makes hosts up has few names that it can log in with.
const ESTABLISHED_BY: u32 = 3;

/// Brute force is over in minutes.
const SHORT_S: u32 = 600;
/// Whoever is patient tries a few in an hour.
const DAY_S: u32 = 86_400;
/// Whoever is very patient tries a few in a day.
const WEEK_S: u32 = 7 * DAY_S;
/// Failures of one window that are learnt beyond twice the usual: who raises the norm slowly needs many windows.
pub(super) const STEP: u32 = 8;

/// Failures from one address.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Address {
    failures: Count,
    failures_day: Count,
    successes_day: Count,
    failures_week: Count,
    successes_week: Count,
    /// Of the failures, those where nobody looked at the password.
    put_off: Count,
    put_off_day: Count,
    put_off_week: Count,
    names: Spread,
    names_day: Spread,
    names_week: Spread,
}

/// Logins of one host.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
struct Host {
    window: u32,
    /// Windows with logins that ended.
    windows: u32,
    failures: u32,
    successes: u32,
    /// Failures of names that never succeeded.
    unfamiliar: u32,
    names: Spread,
    addresses: Spread,
    /// Sixteenths of failures of a window.
    usual_16: u32,
    /// The window under way shows a campaign, and is not learnt.
    odd: bool,
    campaign: Run,
    /// When a login was last answered that there were too many, or that the name is locked.
    limited_s: u32,
    /// Logins that ended, and of those that succeeded; when the last was.
    ended: u32,
    got_in: u32,
    seen_s: u32,
    tried: Tried,
    lost: Lost,
}

/// Where somebody logs in from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The address.
    pub(super) address: Option<CallerHash>,
    /// It may be a proxy's, where everybody comes from: nobody's home.
    pub(super) shared: bool,
}

/// Logins from one address, this one included.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AddressLogins {
    /// Failures within ten minutes.
    pub failures: u32,
    /// Of so many names.
    pub names: u16,
    /// Failures within a day.
    pub failures_day: u32,
    /// Of so many names.
    pub names_day: u16,
    /// Logins that were not refused within a day.
    pub successes_day: u32,
    /// Failures within a week.
    pub failures_week: u32,
    /// Of so many names.
    pub names_week: u16,
    /// Logins that were not refused within a week.
    pub successes_week: u32,
    /// Of the failures within ten minutes, those where nobody looked at the password.
    pub put_off: u32,
    /// Within a day.
    pub put_off_day: u32,
    /// Within a week.
    pub put_off_week: u32,
}

impl AddressLogins {
    /// Without the tries that were put off. Names are counted with those: no more of them than failures that are left.
    #[must_use]
    pub fn judged(self) -> Self {
        let names_of = |names: u16, failures: u32, put_off: u32| {
            let judged = failures.saturating_sub(put_off);
            if put_off == 0 {
                names
            } else {
                names.min(u16::try_from(judged).unwrap_or(u16::MAX))
            }
        };
        Self {
            failures: self.failures.saturating_sub(self.put_off),
            names: names_of(self.names, self.failures, self.put_off),
            failures_day: self.failures_day.saturating_sub(self.put_off_day),
            names_day: names_of(self.names_day, self.failures_day, self.put_off_day),
            failures_week: self.failures_week.saturating_sub(self.put_off_week),
            names_week: names_of(self.names_week, self.failures_week, self.put_off_week),
            put_off: 0,
            put_off_day: 0,
            put_off_week: 0,
            ..self
        }
    }
}

/// Logins of a host in the ten minutes under way, and what is usual.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HostLogins {
    /// Windows of ten minutes with logins that were seen before.
    pub windows: u32,
    /// Failures of such a window, usually.
    pub usual: u32,
    /// Failures in this one.
    pub failures: u32,
    /// Successes in this one.
    pub successes: u32,
    /// Failures of names that never succeeded.
    pub unfamiliar: u32,
    /// Names that failed.
    pub names: u16,
    /// Addresses that they failed from.
    pub addresses: u16,
    /// Names of the hour under way that were tried and left.
    pub tried: TriedOnce,
    /// Names that are tried hours apart, when they are too many.
    pub strays: Option<Strays>,
    /// When the campaign under way began, or the last one, by the traffic's clock; told again when it is a day older.
    pub since_s: u32,
}

/// What is known when somebody logs in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LoginSigns {
    /// The name succeeded before.
    pub familiar: bool,
    /// It did so from this address.
    pub at_home: bool,
    /// From the address, when that is known.
    pub address: Option<AddressLogins>,
    /// At the host; `None` where there was no room to follow it.
    pub host: Option<HostLogins>,
    /// Within a day the host answered a login with 423 or 429.
    pub limits: bool,
}

/// Everything that is remembered of logins.
#[derive(Debug)]
pub(super) struct Logins {
    names: Table<u32>,
    homes: Table<u32>,
    addresses: Table<Address>,
    hosts: BTreeMap<Box<str>, Host>,
}

/// What outlives a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptLogins {
    names: Kept<u32>,
    homes: Kept<u32>,
    addresses: Kept<Address>,
    hosts: BTreeMap<Box<str>, Host>,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            names: Table::new(FAMILIAR_SETS),
            homes: Table::new(FAMILIAR_SETS),
            addresses: Table::new(ADDRESS_SETS),
            hosts: BTreeMap::new(),
        }
    }
}

impl Logins {
    /// Somebody logs in, or tries to.
    pub(super) fn observe(
        &mut self,
        login: &LoginFacts,
        Place { address, shared }: Place,
        host: &str,
        now_s: u32,
    ) -> LoginSigns {
        let name = login.name.front();
        let home_of = address.filter(|_| !shared);
        let home = home_of.map(|address| name ^ address.front().rotate_left(17));
        let mut signs = LoginSigns {
            familiar: self.names.find(name).is_some(),
            at_home: home.is_some_and(|home| self.homes.find(home).is_some()),
            ..LoginSigns::default()
        };
        let elsewhere = home.is_some() && !signs.at_home;
        if login.is_right() {
            let known = self.names.place(name, now_s, |times| *times);
            let at_home = home.and_then(|home| self.homes.place(home, now_s, |times| *times));
            for times in known.into_iter().chain(at_home) {
                *times = times.saturating_add(1);
            }
        }
        signs.address = address.map(|address| self.of_address(address, login, now_s));
        let stray = stray(login, home_of, &signs, now_s);
        if let Some(host) = followed(&mut self.hosts, host, now_s) {
            let mut known = host.observe(login, address, signs.familiar, now_s);
            // A proxy's address is nobody's, so nobody is elsewhere there.
            known.tried = host.tried.observe(login, home_of, elsewhere, now_s);
            let (names, addresses) = (&self.names, &self.addresses);
            let came_back = |one: &Waiting| {
                let since = names.seen_s(one.name);
                let from_there = addresses.get(CallerHash(one.address).front());
                since.is_some_and(|seen_s| seen_s >= one.at_s)
                    || from_there.is_some_and(|known| known.successes_week.sum(now_s, WEEK_S) > 0)
            };
            known.strays = host.lost.observe(stray, came_back, now_s);
            known.since_s = host.campaign_since(&known, now_s);
            signs.host = Some(known);
            signs.limits = host.limited_s != 0 && now_s.saturating_sub(host.limited_s) < DAY_S;
        }
        signs
    }

    fn of_address(&mut self, address: CallerHash, login: &LoginFacts, now_s: u32) -> AddressLogins {
        let key = address.front();
        let weight = |one: &Address| one.failures_week.sum(now_s, WEEK_S);
        // An office has its successes in the morning, before the first failure.
        let worth_knowing = login.result == LoginResult::Failed || login.passes();
        if worth_knowing && let Some(known) = self.addresses.place(key, now_s, weight) {
            if login.passes() {
                known.successes_day.add(now_s, DAY_S);
                known.successes_week.add(now_s, WEEK_S);
            } else {
                known.failures.add(now_s, SHORT_S);
                known.failures_day.add(now_s, DAY_S);
                known.failures_week.add(now_s, WEEK_S);
                known.names.add(login.name, now_s, SHORT_S);
                known.names_day.add(login.name, now_s, DAY_S);
                known.names_week.add(login.name, now_s, WEEK_S);
                if login.is_put_off() {
                    known.put_off.add(now_s, SHORT_S);
                    known.put_off_day.add(now_s, DAY_S);
                    known.put_off_week.add(now_s, WEEK_S);
                }
            }
        }
        let known = self.addresses.find(key).unwrap_or_default();
        AddressLogins {
            failures: known.failures.sum(now_s, SHORT_S),
            names: known.names.estimate(now_s, SHORT_S),
            failures_day: known.failures_day.sum(now_s, DAY_S),
            names_day: known.names_day.estimate(now_s, DAY_S),
            successes_day: known.successes_day.sum(now_s, DAY_S),
            failures_week: known.failures_week.sum(now_s, WEEK_S),
            names_week: known.names_week.estimate(now_s, WEEK_S),
            successes_week: known.successes_week.sum(now_s, WEEK_S),
            put_off: known.put_off.sum(now_s, SHORT_S),
            put_off_day: known.put_off_day.sum(now_s, DAY_S),
            put_off_week: known.put_off_week.sum(now_s, WEEK_S),
        }
    }

    pub(super) fn snapshot(&self) -> KeptLogins {
        KeptLogins {
            names: self.names.snapshot(),
            homes: self.homes.snapshot(),
            addresses: self.addresses.snapshot(),
            hosts: self.hosts.clone(),
        }
    }

    pub(super) fn restore(kept: KeptLogins) -> Self {
        let mut logins = Self::default();
        logins.names.restore(kept.names, |times| *times);
        logins.homes.restore(kept.homes, |times| *times);
        logins.addresses.restore(kept.addresses, |_| 0);
        let hosts = kept.hosts.into_iter().take(MAX_HOSTS);
        logins.hosts = hosts.map(|(name, host)| (name, host.bound())).collect();
        logins
    }
}

/// What is known of a host, which is given a place if there is room.
fn followed<'a>(hosts: &'a mut BTreeMap<Box<str>, Host>, host: &str, now_s: u32) -> Option<&'a mut Host> {
    if hosts.contains_key(host) {
        return hosts.get_mut(host);
    }
    if hosts.len() >= MAX_HOSTS {
        let all = hosts.iter().map(|(name, host)| (name, host.worth()));
        let goes = room::least(all, now_s)?.clone();
        hosts.remove(&goes);
    }
    Some(hosts.entry(host.into()).or_default())
}

/// The first failure of name and address within a day, from where neither the name nor lately anybody got in.
fn stray(login: &LoginFacts, home_of: Option<CallerHash>, signs: &LoginSigns, now_s: u32) -> Option<Waiting> {
    let is_guess = login.result == LoginResult::Failed && !login.is_put_off();
    let first = is_guess && login.name_trouble.judged().failures_day <= 1;
    let address = home_of.filter(|_| first && !signs.at_home)?;
    let known = signs.address?.judged();
    (known.failures_day <= 1 && known.successes_week == 0).then_some(Waiting {
        name: login.name.front(),
        address: address.0,
        at_s: now_s,
    })
}

impl Host {
    fn bound(self) -> Self {
        Self {
            lost: self.lost.bound(),
            ..self
        }
    }

    const fn worth(&self) -> Worth {
        Worth {
            established: self.got_in >= ESTABLISHED_BY,
            known: self.ended,
            seen_s: self.seen_s,
        }
    }

    fn observe(
        &mut self,
        login: &LoginFacts,
        address: Option<CallerHash>,
        familiar: bool,
        now_s: u32,
    ) -> HostLogins {
        self.roll(now_s / SHORT_S);
        self.seen_s = self.seen_s.max(now_s);
        self.ended = self
            .ended
            .saturating_add(u32::from(login.result != LoginResult::Unknown));
        self.got_in = self
            .got_in
            .saturating_add(u32::from(login.result == LoginResult::Succeeded));
        if matches!(login.status, 423 | 429) {
            self.limited_s = now_s;
        }
        match login.result {
            // Where nobody looked at the password nothing was guessed.
            LoginResult::Failed if login.is_put_off() => {}
            LoginResult::Failed => {
                self.failures = self.failures.saturating_add(1);
                self.unfamiliar = self.unfamiliar.saturating_add(u32::from(!familiar));
                self.names.add(login.name, now_s, SHORT_S);
                if let Some(address) = address {
                    self.addresses.add(address, now_s, SHORT_S);
                }
            }
            LoginResult::Succeeded => self.successes = self.successes.saturating_add(1),
            LoginResult::Unknown => {}
        }
        HostLogins {
            windows: self.windows,
            usual: self.usual_16 / 16,
            failures: self.failures,
            successes: self.successes,
            unfamiliar: self.unfamiliar,
            names: self.names.estimate(now_s, SHORT_S),
            addresses: self.addresses.estimate(now_s, SHORT_S),
            tried: TriedOnce::default(),
            strays: None,
            since_s: 0,
        }
    }

    /// Follows campaigns. What one does on its first day is not learnt: it would hide the next.
    fn campaign_since(&mut self, known: &HostLogins, now_s: u32) -> u32 {
        let (flooded, listed) = (
            known.is_flooded() == Ok(true),
            known.tried.is_listed() == Ok(true),
        );
        if flooded || listed {
            self.campaign.goes_on(now_s, QUIET_S);
            self.lost.explained(now_s);
            let young = self.campaign.lasts_s() < DAY_S;
            self.odd |= young && flooded;
            if young && listed {
                self.tried.is_odd();
            }
        }
        self.campaign.since_s()
    }

    /// A window ends: it is learnt, but never more than twice the usual and a few.
    fn roll(&mut self, window: u32) {
        if window <= self.window {
            return;
        }
        if self.failures + self.successes > 0 && !self.odd {
            let most = self.usual_16.saturating_mul(2).saturating_add(STEP * 16);
            let learnt = self.failures.saturating_mul(16).min(most);
            self.usual_16 = if self.windows == 0 {
                learnt
            } else {
                self.usual_16 - self.usual_16 / 8 + learnt / 8
            };
            self.windows = self.windows.saturating_add(1);
        }
        (self.window, self.failures, self.successes, self.unfamiliar) = (window, 0, 0, 0);
        self.odd = false;
    }
}
