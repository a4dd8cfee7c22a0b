//! How a login answers names that exist, and names that may not.
//!
//! Takes failed logins, each name once a day. Gives [`Telling`] when answers split by whether the name ever logged in.
//! A name that did exists; of the others some do. So only an answer that names which exist never get is telling. Bounded
//! by [`MAX_DESKS`] and [`MAX_ANSWERS`]. What is old counts less each week of the traffic's clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::room::{self, Worth};
use crate::callers::{LoginFacts, LoginResult};
use crate::detect::Blind;

/// Endpoints that people log in or register at. Clients say which host they mean, so those where no name is known make
/// room.
const MAX_DESKS: usize = 128;
/// Failures of names that logged in before, which make an endpoint one that people log in at.
const ESTABLISHED_BY: u32 = 3;
/// Different answers (status and size) of one group that are told apart; with more, sizes mean nothing.
const MAX_ANSWERS: usize = 8;
/// Names of a group that decide: with fewer, one odd user does.
pub(super) const MIN_KNOWN: u32 = 8;
/// Names that are not known and get an answer of their own.
pub(super) const MIN_UNKNOWN: u32 = 6;
/// The same for sizes, which a page may change for other reasons.
const MIN_SIZED: u32 = 10;
/// Answers of each group before times are compared.
const MIN_TIMED: u32 = 40;
/// Sizes of one status that a group may have: a message, and the same in another language.
const MAX_SIZES: usize = 3;
/// Everything counts half after this long, and when a group has [`FULL`] answers.
const HALF_LIFE_S: u32 = 7 * 86_400;
const FULL: u32 = 1024;
/// Failures of an address from which its answers say more of the address than of names: captchas change pages.
const TROUBLED: u32 = 40;
/// Half octaves of time from 2^16 ns (65 us) to 2^32 (4.3 s).
const BINS: usize = 32;
/// Half octaves that lie between the middle halves of both groups: a factor of two, which is more than noise.
const APART: usize = 2;

/// What tells a name that exists from one that does not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TellsBy {
    /// The status.
    Status,
    /// The size of the answer.
    Size,
    /// The time that the answer takes.
    Time,
}

impl TellsBy {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Size => "size",
            Self::Time => "time",
        }
    }
}

/// Answers that tell which names exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Telling {
    /// What tells.
    pub by: TellsBy,
    /// Failures of names that had logged in before, each once a day.
    pub known: u32,
    /// Their status, size in bytes, or median in microseconds.
    pub known_value: u64,
    /// Failures of other names with an answer of their own.
    pub unknown: u32,
    /// Its status, size in bytes, or median in microseconds.
    pub unknown_value: u64,
    /// What the endpoint does with names.
    pub asks: Asks,
}

/// What an endpoint does with names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Asks {
    /// It logs them in. Known are those that had logged in before.
    Login,
    /// It registers them: names that are taken must be refused somehow.
    Registration,
    /// It sends them a way to set another password. Known are those that it accepted.
    Reset,
}

#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Answered {
    status: u16,
    bytes: u64,
    count: u32,
}

/// Answers to names of one sort.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
struct Group {
    answers: Vec<Answered>,
    /// There were more than [`MAX_ANSWERS`].
    varies: bool,
    total: u32,
    times: [u32; BINS],
}

#[derive(Clone, Default, Debug, Serialize, Deserialize)]
struct Desk {
    halved_s: u32,
    #[serde(default)]
    seen_s: u32,
    known: Group,
    unknown: Group,
}

/// Every endpoint that people log in at.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(super) struct Desks(BTreeMap<Box<str>, Desk>);

/// A login, as far as it is looked at here.
pub(super) struct Attempt<'a> {
    pub(super) login: &'a LoginFacts,
    pub(super) endpoint: &'a str,
    pub(super) familiar: bool,
    pub(super) address_failures: u32,
    pub(super) now_s: u32,
}

impl Desks {
    /// What a failed login tells, this one counted in.
    pub(super) fn observe(&mut self, attempt: &Attempt<'_>) -> Result<Option<Telling>, Blind> {
        let registers = is_registration(attempt.endpoint);
        let login = attempt.login;
        let refused = login.result == LoginResult::Failed && login.name_trouble.failures_day <= 1;
        let status = login.status;
        // 403, 423 and 429 are about the client or the account.
        let of_login = refused && matches!(status, 400 | 401 | 404 | 422);
        let of_registration = registers && matches!(status, 200..=299 | 400 | 409 | 422);
        if !(of_login || of_registration) {
            return Ok(None);
        }
        let desk = self.desk(attempt.endpoint, attempt.now_s).ok_or(Blind::NoRoom)?;
        desk.seen_s = desk.seen_s.max(attempt.now_s);
        desk.fade(attempt.now_s);
        let group = if attempt.familiar {
            &mut desk.known
        } else {
            &mut desk.unknown
        };
        group.learn(login, attempt.address_failures <= TROUBLED);
        desk.judge(attempt, registers)
    }

    /// An endpoint is called otherwise now; of two that became one, the one with more answers is kept.
    pub(super) fn rename(&mut self, from: &str, into: &str) {
        let Some(desk) = self.0.remove(from) else { return };
        let answers = |desk: &Desk| desk.known.total.saturating_add(desk.unknown.total);
        let known = self.0.entry(into.into()).or_default();
        if answers(known) <= answers(&desk) {
            *known = desk;
        }
    }

    /// What is known of an endpoint, which is given a place if there is room.
    fn desk(&mut self, endpoint: &str, now_s: u32) -> Option<&mut Desk> {
        if self.0.contains_key(endpoint) {
            return self.0.get_mut(endpoint);
        }
        if self.0.len() >= MAX_DESKS {
            let all = self.0.iter().map(|(name, desk)| (name, desk.worth()));
            let goes = room::least(all, now_s)?.clone();
            self.0.remove(&goes);
        }
        Some(self.0.entry(endpoint.into()).or_default())
    }

    pub(super) fn bound(mut self) -> Self {
        while self.0.len() > MAX_DESKS {
            self.0.pop_last();
        }
        for desk in self.0.values_mut() {
            desk.known.answers.truncate(MAX_ANSWERS);
            desk.unknown.answers.truncate(MAX_ANSWERS);
        }
        self
    }
}

impl Desk {
    const fn worth(&self) -> Worth {
        Worth {
            established: self.known.total >= ESTABLISHED_BY,
            known: self.known.total.saturating_add(self.unknown.total),
            seen_s: self.seen_s,
        }
    }

    fn fade(&mut self, now_s: u32) {
        if self.halved_s == 0 {
            self.halved_s = now_s.max(1);
        }
        let old = now_s.saturating_sub(self.halved_s) >= HALF_LIFE_S;
        if old || self.known.total >= FULL || self.unknown.total >= FULL {
            self.halved_s = now_s.max(1);
            self.known.halve();
            self.unknown.halve();
        }
    }

    fn judge(&self, attempt: &Attempt<'_>, registers: bool) -> Result<Option<Telling>, Blind> {
        let (known, unknown) = (&self.known, &self.unknown);
        if known.total < MIN_KNOWN || unknown.total < MIN_UNKNOWN {
            return Err(Blind::NotEnoughEvidence);
        }
        let status = attempt.login.status;
        let telling = |by, value: (u64, u64), count| {
            Some(Telling {
                by,
                known: known.total,
                known_value: value.0,
                unknown: count,
                unknown_value: value.1,
                asks: if registers {
                    Asks::Registration
                } else {
                    Asks::Login
                },
            })
        };
        let own = unknown.of_status(status);
        // A name that is malformed gets 400 or 422 without being looked up.
        let may_tell = matches!(status, 401 | 404 | 200..=299) && !attempt.familiar;
        if may_tell && own >= MIN_UNKNOWN && known.of_status(status) == 0 {
            let usual = known.usual_status().into();
            return Ok(telling(TellsBy::Status, (usual, status.into()), own));
        }
        let bytes = attempt.login.answer_bytes;
        let sized = unknown.of_size(status, bytes);
        let steady =
            known.is_steady(status) && unknown.is_steady(status) && known.of_status(status) >= MIN_KNOWN;
        if may_tell && steady && sized >= MIN_SIZED && known.of_size(status, bytes) == 0 {
            let usual = known.usual_size(status);
            return Ok(telling(TellsBy::Size, (usual, bytes), sized));
        }
        if let (false, Some(medians)) = (registers, apart(&known.times, &unknown.times)) {
            return Ok(telling(TellsBy::Time, medians, unknown.total));
        }
        Ok(None)
    }
}

impl Group {
    fn learn(&mut self, login: &LoginFacts, calm: bool) {
        self.total += 1;
        let bytes = if calm { login.answer_bytes } else { u64::MAX };
        let same = |one: &&mut Answered| one.status == login.status && one.bytes == bytes;
        if let Some(known) = self.answers.iter_mut().find(same) {
            known.count += 1;
        } else if self.answers.len() < MAX_ANSWERS {
            self.answers.push(Answered {
                status: login.status,
                bytes,
                count: 1,
            });
        } else {
            self.varies = true;
        }
        if let Some(bin) = bin(login.answer_ns).and_then(|bin| self.times.get_mut(bin)) {
            *bin += 1;
        }
    }

    fn halve(&mut self) {
        self.total /= 2;
        self.varies = false;
        for answer in &mut self.answers {
            answer.count /= 2;
        }
        self.answers.retain(|answer| answer.count > 0);
        for bin in &mut self.times {
            *bin /= 2;
        }
    }

    fn of_status(&self, status: u16) -> u32 {
        let same = self.answers.iter().filter(|answer| answer.status == status);
        same.map(|answer| answer.count).sum()
    }

    fn of_size(&self, status: u16, bytes: u64) -> u32 {
        let same = |answer: &&Answered| answer.status == status && answer.bytes == bytes;
        self.answers.iter().find(same).map_or(0, |answer| answer.count)
    }

    fn is_steady(&self, status: u16) -> bool {
        let sizes = self.answers.iter().filter(|answer| answer.status == status);
        !self.varies && sizes.count() <= MAX_SIZES
    }

    fn usual_status(&self) -> u16 {
        let usual = self.answers.iter().max_by_key(|answer| answer.count);
        usual.map_or(0, |answer| answer.status)
    }

    fn usual_size(&self, status: u16) -> u64 {
        let same = self.answers.iter().filter(|answer| answer.status == status);
        same.max_by_key(|answer| answer.count)
            .map_or(0, |answer| answer.bytes)
    }
}

/// Half octave of a time; `None` for none.
fn bin(ns: u64) -> Option<usize> {
    let octave = ns.checked_ilog2()?;
    let half = (ns >> (octave.max(1) - 1)) & 1;
    let place = u64::from(octave.saturating_sub(16)) * 2 + half;
    usize::try_from(place).ok().map(|place| place.min(BINS - 1))
}

/// Medians in microseconds of two groups whose middle halves lie apart.
fn apart(known: &[u32; BINS], unknown: &[u32; BINS]) -> Option<(u64, u64)> {
    let total = |times: &[u32; BINS]| times.iter().sum::<u32>();
    if total(known) < MIN_TIMED || total(unknown) < MIN_TIMED {
        return None;
    }
    let at = |times: &[u32; BINS], percent| quantile(times, percent);
    let higher = at(known, 25) >= at(unknown, 75) + APART;
    let lower = at(unknown, 25) >= at(known, 75) + APART;
    // Below ten milliseconds a network's own jitter is as large.
    let (first, second) = (micros(at(known, 50)), micros(at(unknown, 50)));
    ((higher || lower) && first.abs_diff(second) >= 10_000).then_some((first, second))
}

fn quantile(times: &[u32; BINS], percent: u32) -> usize {
    let wanted = times.iter().sum::<u32>() * percent / 100;
    let mut sum = 0;
    times
        .iter()
        .position(|count| {
            sum += count;
            sum > wanted
        })
        .unwrap_or(BINS - 1)
}

/// The lower end of a half octave, in microseconds.
fn micros(bin: usize) -> u64 {
    let octave = 1_u64 << (bin / 2 + 16);
    (octave + octave / 2 * (bin as u64 % 2)) / 1000
}

/// The path names a place where accounts are made.
fn is_registration(endpoint: &str) -> bool {
    const WORDS: [&str; 6] = [
        "register",
        "registration",
        "signup",
        "sign-up",
        "sign_up",
        "enroll",
    ];
    endpoint
        .split('/')
        .any(|step| WORDS.iter().any(|word| step.eq_ignore_ascii_case(word)))
}
