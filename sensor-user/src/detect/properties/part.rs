//! Which properties one body of an operation has.
//!
//! Takes bodies in order. Gives [`News`]: properties that were not there in the first messages and matter (in a request
//! those with names of privileges, in an answer those with sensitive data), with who has them. Other properties are
//! learnt as they come; what many callers have becomes usual. Bounded by [`MAX_USUAL`] and [`MAX_LATE`]: what was learnt
//! first stays. Nothing is allocated when nothing is new.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::privilege::Privilege;
use super::sketch::{Body, Sketch, fold};
use crate::classify::Half;
use crate::classify::outline::{MAX_PLACES, Outline, PlaceId, PlaceSeen, Step};
use crate::detect::functions::uses::Strangers;
use crate::exchange::CallerHash;

/// Properties of one body: those of the largest published APIs are four hundred, most have thirty.
const MAX_USUAL: usize = 256;
/// Properties that matter, came later and are not usual yet.
const MAX_LATE: usize = 16;
/// Messages before what comes next is new.
pub(crate) const NORM: u32 = 20;
/// Shapes of a body that are remembered: optional properties make some.
const PRINTS: usize = 6;
/// Callers from which a property is usual, when so many messages in a hundred since it came have it.
pub(crate) const CROWD: u16 = 8;
const SHARE: u32 = 5;
/// Callers after whom it is usual in any case.
const ENOUGH: u16 = 20;
/// Messages with a property in the hands of few, half of all since it came, from which it is usual.
const STEADY: u32 = 40;
/// A property that so many messages and seconds were without has gone: a release was taken back.
const GONE_MESSAGES: u32 = 20;
const GONE_S: u32 = 6 * 3600;

/// A property that is usual: fold of its way, kinds of sensitive data there.
type Usual = (u32, u32);

/// A property that came later.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Late {
    way: u32,
    last_s: u32,
    /// Messages of the body before it came, and when it was there last.
    from: u32,
    last: u32,
    uses: u32,
    callers: Strangers,
}

/// One body of an operation: a half, a format and a status.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    path: u64,
    pub(crate) messages: u32,
    prints: [u32; PRINTS],
    /// The first messages had more than is kept: nothing can be said to be new.
    open: bool,
    usual: Vec<Usual>,
    late: Vec<Late>,
}

/// A property that is not usual.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    pub(crate) place: PlaceId,
    /// Of a request: what its name says.
    pub(crate) privilege: Option<Privilege>,
    /// Of an answer: kinds of sensitive data that are not usual there, a bit each.
    pub(crate) sensitive: u32,
    /// When it came.
    pub(crate) since_s: u32,
    /// Messages before it came.
    pub(crate) before: u32,
    /// Who had it.
    pub(crate) callers: Strangers,
}

impl Part {
    pub(crate) const fn new(path: u64) -> Self {
        Self {
            path,
            messages: 0,
            prints: [0; PRINTS],
            open: false,
            usual: Vec::new(),
            late: Vec::new(),
        }
    }

    pub(crate) const fn path(&self) -> u64 {
        self.path
    }

    /// Properties held, for whoever bounds them all.
    pub(crate) fn held(&self) -> usize {
        self.usual.len() + self.late.len()
    }

    /// Keeps the bounds of what was read back.
    pub(crate) fn bound(&mut self) {
        self.usual.truncate(MAX_USUAL);
        self.late.truncate(MAX_LATE);
    }

    /// Learns a body. Gives what is not usual in it; `None` while there is no norm.
    pub(crate) fn observe(
        &mut self,
        body: Body,
        (sketch, outline, half): (&Sketch, &Outline, Half),
        now: (CallerHash, u32),
    ) -> Option<SmallVec<[News; 1]>> {
        self.messages = self.messages.saturating_add(1);
        if self.open {
            return None;
        }
        if self.messages <= NORM {
            for (_, place) in sketch.inside(outline, half) {
                self.add(fold(place.path), place.facts.sensitive);
            }
            self.open = self.usual.len() >= MAX_USUAL;
            return None;
        }
        let mut news = SmallVec::new();
        if self.prints.contains(&body.print) {
            return Some(news);
        }
        let mut ordinary = true;
        // Of a list that was always empty, the items are new and say nothing.
        let mut first_items = [false; MAX_PLACES];
        for (id, place) in sketch.inside(outline, half) {
            let way = fold(place.path);
            let within = first_items
                .get(usize::from(place.parent))
                .copied()
                .unwrap_or(false);
            let first = within || place.step != Step::Member && self.known(way).is_none();
            if let Some(slot) = first_items.get_mut(usize::from(id)) {
                *slot = first;
            }
            let Some(matters) = self.matters(way, &place, half).filter(|_| !first) else {
                self.add(way, place.facts.sensitive);
                continue;
            };
            ordinary = false;
            news.extend(self.judge(id, way, matters, now));
        }
        if ordinary {
            self.remember(body.print);
        }
        Some(news)
    }

    /// Whether a place is new and matters, and which kinds of sensitive data are new there.
    fn matters(&self, way: u32, place: &PlaceSeen<'_>, half: Half) -> Option<(Option<Privilege>, u32)> {
        let usual = self.known(way);
        match half {
            Half::Request => {
                let named = place.step == Step::Member && usual.is_none();
                let privilege = named.then(|| Privilege::of(place.name)).flatten()?;
                Some((Some(privilege), 0))
            }
            Half::Response => {
                let fresh = place.facts.sensitive & !usual.unwrap_or(0);
                (fresh != 0).then_some((None, fresh))
            }
        }
    }

    /// Counts a property that is not usual, until it is.
    fn judge(
        &mut self,
        place: PlaceId,
        way: u32,
        (privilege, sensitive): (Option<Privilege>, u32),
        (who, now_s): (CallerHash, u32),
    ) -> Option<News> {
        let messages = self.messages;
        let late = self.late(way, now_s)?;
        late.uses = late.uses.saturating_add(1);
        (late.last, late.last_s) = (messages, now_s);
        let callers = late.callers.add(who, now_s);
        let (late, since) = (*late, messages.saturating_sub(late.from).max(1));
        let crowd = callers >= CROWD && late.uses.saturating_mul(100) >= since.saturating_mul(SHARE);
        let steady = late.uses >= STEADY && late.uses.saturating_mul(2) >= since;
        if crowd || steady || callers >= ENOUGH {
            // Sensitive data that a release shows stays in mind: it is told again when it comes again.
            if privilege.is_some() || callers >= ENOUGH && !crowd {
                self.late.retain(|other| other.way != way);
                self.add(way, sensitive);
            }
            return None;
        }
        Some(News {
            place,
            privilege,
            sensitive,
            since_s: late.callers.since_s,
            before: late.from,
            callers: late.callers,
        })
    }

    /// What is remembered of a property that came later; `None` when there are too many of them.
    fn late(&mut self, way: u32, now_s: u32) -> Option<&mut Late> {
        let messages = self.messages;
        let fresh = Late {
            way,
            last_s: now_s,
            from: messages.saturating_sub(1),
            last: messages,
            uses: 0,
            callers: Strangers::default(),
        };
        let known = self.late.iter().position(|late| late.way == way);
        let place = match known {
            Some(place) => place,
            None if self.late.len() >= MAX_LATE => return None,
            None => {
                self.late.push(fresh);
                self.late.len() - 1
            }
        };
        let late = self.late.get_mut(place)?;
        let crowded = late.callers.count() >= CROWD;
        let away =
            messages.saturating_sub(late.last) > GONE_MESSAGES && now_s.saturating_sub(late.last_s) > GONE_S;
        if crowded && away {
            *late = fresh;
        }
        Some(late)
    }

    fn known(&self, way: u32) -> Option<u32> {
        let place = self.usual.binary_search_by_key(&way, |usual| usual.0).ok()?;
        self.usual.get(place).map(|usual| usual.1)
    }

    fn add(&mut self, way: u32, sensitive: u32) {
        match self.usual.binary_search_by_key(&way, |usual| usual.0) {
            Ok(place) => {
                if let Some(usual) = self.usual.get_mut(place) {
                    usual.1 |= sensitive;
                }
            }
            Err(_) if self.usual.len() >= MAX_USUAL => {}
            Err(place) => self.usual.insert(place, (way, sensitive)),
        }
    }

    fn remember(&mut self, print: u32) {
        self.prints.rotate_right(1);
        if let Some(slot) = self.prints.first_mut() {
            *slot = print;
        }
    }
}
