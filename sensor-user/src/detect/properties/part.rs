//! Which properties one body of an operation has.
//!
//! Takes bodies in order. Gives [`News`]: properties that were not there in the first messages and matter (in a request
//! those with names of privileges, in an answer those with sensitive data), with who has them. Other properties are
//! learnt as they come; what many callers have becomes usual. Bounded by [`MAX_USUAL`] and [`MAX_LATE`]: what was learnt
//! first stays, what came later makes room when it is gone, and what finds none is counted together, so that junk hides
//! nothing. Nothing is allocated when nothing is new.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::EACH_S;
use super::privilege::Privilege;
use super::sketch::{Body, Sketch, fold};
use crate::classify::Half;
use crate::classify::outline::{MAX_PLACES, Outline, PlaceId, PlaceSeen, Step};
use crate::detect::Blind;
use crate::detect::functions::uses::Strangers;
use crate::exchange::CallerHash;

/// Properties of one body: those of the largest published APIs are four hundred, most have thirty.
const MAX_USUAL: usize = 256;
/// Of these, in the first messages, a single one brings no more: else one with junk fills it.
const MAX_OF_ONE: usize = MAX_USUAL / 4;
/// And what comes later and does not matter leaves room for what does.
const MAX_ORDINARY: usize = MAX_USUAL - 2 * MAX_LATE;
/// Properties that matter, came later and are not usual yet.
const MAX_LATE: usize = 16;
/// Stands for all that found no room among them.
const REST: u32 = 0;
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
/// If its name is one of privilege, so many callers over seven days at least: one caller makes nothing usual.
const STEADY_CALLERS: u16 = 3;
const STEADY_S: u32 = 7 * 86_400;
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

/// Who sent or got a body, when, and whether more properties may be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) who: CallerHash,
    pub(crate) at_s: u32,
    pub(crate) room: bool,
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
        self.late.truncate(MAX_LATE + 1);
    }

    /// Learns a body, if there is `room` for more. Gives what is not usual in it; `Err` while there is no norm.
    pub(crate) fn observe(
        &mut self,
        body: Body,
        (sketch, outline, half): (&Sketch, &Outline, Half),
        now: Now,
    ) -> Result<SmallVec<[News; 1]>, Blind> {
        if self.messages < NORM && now.room {
            self.begin(sketch, outline, half);
            return Err(Blind::NotEnoughEvidence);
        }
        if self.messages < NORM || self.open {
            return Err(Blind::NoRoom);
        }
        self.messages = self.messages.saturating_add(1);
        let (mut news, mut lacks) = (SmallVec::new(), None);
        if self.prints.contains(&body.print) {
            return Ok(news);
        }
        let most = if now.room { MAX_ORDINARY } else { 0 };
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
                self.add(way, place.facts.sensitive, most);
                continue;
            };
            ordinary = false;
            match self.judge(id, way, matters, now) {
                Ok(one) => news.extend(one),
                Err(reason) => lacks = Some(reason),
            }
        }
        if ordinary {
            self.remember(body.print);
        }
        lacks.filter(|_| news.is_empty()).map_or(Ok(news), Err)
    }

    /// Learns one of the first bodies.
    fn begin(&mut self, sketch: &Sketch, outline: &Outline, half: Half) {
        self.messages += 1;
        let most = MAX_USUAL.min(self.usual.len() + MAX_OF_ONE);
        for (_, place) in sketch.inside(outline, half) {
            self.add(fold(place.path), place.facts.sensitive, most);
        }
        self.open = self.usual.len() >= MAX_USUAL;
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

    /// Counts a property that is not usual, until it is. `Err` when it cannot be told from others.
    fn judge(
        &mut self,
        place: PlaceId,
        way: u32,
        (privilege, sensitive): (Option<Privilege>, u32),
        Now {
            who,
            at_s: now_s,
            room,
        }: Now,
    ) -> Result<Option<News>, Blind> {
        let messages = self.messages;
        let late = self.late(way, now_s, room).ok_or(Blind::NoRoom)?;
        late.uses = late.uses.saturating_add(1);
        (late.last, late.last_s) = (messages, now_s);
        let callers = late.callers.add(who, now_s);
        let (late, since) = (*late, messages.saturating_sub(late.from).max(1));
        let crowd = callers >= CROWD && late.uses.saturating_mul(100) >= since.saturating_mul(SHARE);
        let several = callers >= STEADY_CALLERS && now_s.saturating_sub(late.callers.since_s) >= STEADY_S;
        let steady =
            late.uses >= STEADY && late.uses.saturating_mul(2) >= since && (several || privilege.is_none());
        let usual = crowd || steady || callers >= ENOUGH;
        // What others had there was something else: that it is usual, or was told, says nothing of this.
        if late.way != way && (usual || !late.callers.is_told(now_s, EACH_S)) {
            return Err(Blind::NoRoom);
        }
        if usual {
            // Sensitive data that a release shows stays in mind: it is told again when it comes again.
            if privilege.is_some() || callers >= ENOUGH && !crowd {
                self.late.retain(|other| other.way != way);
                self.add(way, sensitive, MAX_USUAL);
            }
            return Ok(None);
        }
        Ok(Some(News {
            place,
            privilege,
            sensitive,
            since_s: late.callers.since_s,
            before: late.from,
            callers: late.callers,
        }))
    }

    /// What is remembered of a property that came later, or of all that found no room.
    fn late(&mut self, way: u32, now_s: u32, room: bool) -> Option<&mut Late> {
        let messages = self.messages;
        let fresh = Late {
            way,
            last_s: now_s,
            from: messages.saturating_sub(1),
            last: messages,
            uses: 0,
            callers: Strangers::default(),
        };
        let find = |wanted: u32| self.late.iter().position(|late| late.way == wanted);
        let (known, rest) = (find(way), find(REST));
        let full = self.late.len() - usize::from(rest.is_some()) >= MAX_LATE;
        let place = match known.or_else(|| self.least(now_s).filter(|_| full)) {
            Some(place) => place,
            None if full && rest.is_some() => rest?,
            None if !room => return None,
            None => {
                let way = if full { REST } else { way };
                self.late.push(Late { way, ..fresh });
                self.late.len() - 1
            }
        };
        let late = self.late.get_mut(place)?;
        if known.is_none() && late.way != REST {
            *late = fresh;
        }
        let crowded = late.callers.count() >= CROWD;
        let away =
            messages.saturating_sub(late.last) > GONE_MESSAGES && now_s.saturating_sub(late.last_s) > GONE_S;
        if crowded && away {
            *late = Late {
                way: late.way,
                ..fresh
            };
        }
        Some(late)
    }

    /// What makes room for another that came later, when there are too many: of those not seen for hours, the one that
    /// fewest had, and that for longest.
    fn least(&self, now_s: u32) -> Option<usize> {
        let away = |late: &Late| now_s.saturating_sub(late.last_s) > GONE_S;
        let all = self.late.iter().enumerate();
        all.filter(|(_, late)| late.way != REST && away(late))
            .min_by_key(|(_, late)| (late.callers.count(), late.last_s))
            .map(|(place, _)| place)
    }

    fn known(&self, way: u32) -> Option<u32> {
        let place = self.usual.binary_search_by_key(&way, |usual| usual.0).ok()?;
        self.usual.get(place).map(|usual| usual.1)
    }

    /// Learns a property, if there are fewer than `most`.
    fn add(&mut self, way: u32, sensitive: u32, most: usize) {
        match self.usual.binary_search_by_key(&way, |usual| usual.0) {
            Ok(place) => {
                if let Some(usual) = self.usual.get_mut(place) {
                    usual.1 |= sensitive;
                }
            }
            Err(_) if self.usual.len() >= most => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{Classifier, Labels, Limits};
    use crate::exchange::test_support::Builder;

    fn sent(body: &str) -> Labels {
        Classifier::new(Limits::default()).classify(&Builder::post("/a").json(body).build())
    }

    fn observe(part: &mut Part, body: &str, now: Now) -> Result<usize, Blind> {
        let labels = sent(body);
        let sketch = Sketch::of(&labels.outline);
        let news = part.observe(
            sketch.request.unwrap(),
            (&sketch, &labels.outline, Half::Request),
            now,
        );
        news.map(|news| news.len())
    }

    fn by(who: u8, now_s: u32) -> Now {
        Now {
            who: CallerHash([who; 16]),
            at_s: now_s,
            room: true,
        }
    }

    fn members(front: &str, count: u32) -> String {
        let letter = |number: u32| char::from(b'a' + u8::try_from(number % 26).unwrap());
        let all: Vec<_> = (0..count)
            .map(|number| format!(r#""{front}_{}{}":1"#, letter(number / 26), letter(number)))
            .collect();
        format!("{{{}}}", all.join(","))
    }

    fn learnt() -> Part {
        let mut part = Part::new(1);
        for _ in 0..NORM {
            observe(&mut part, r#"{"name":"a"}"#, by(1, 5)).unwrap_err();
        }
        part
    }

    #[test]
    fn where_there_is_no_room_nothing_is_kept() {
        let full = Now {
            room: false,
            ..by(1, 5)
        };
        let mut part = Part::new(1);
        assert_eq!(observe(&mut part, &members("x", 99), full), Err(Blind::NoRoom));
        assert_eq!((part.held(), part.messages), (0, 0));
        let mut part = learnt();
        let held = part.held();
        assert_eq!(observe(&mut part, &members("x", 99), full), Ok(0));
        assert_eq!(observe(&mut part, r#"{"role":"a"}"#, full), Err(Blind::NoRoom));
        assert_eq!(part.held(), held);
    }

    #[test]
    fn one_of_the_first_messages_brings_a_quarter_at_most() {
        let mut part = Part::new(1);
        observe(&mut part, &members("x", 250), by(1, 5)).unwrap_err();
        assert_eq!(part.held(), MAX_OF_ONE);
        for _ in 0..3 {
            observe(&mut part, &members("x", 200), by(1, 5)).unwrap_err();
        }
        assert_eq!(part.held(), 200, "what is always there is learnt all the same");
    }

    #[test]
    fn what_is_gone_makes_room_and_the_rest_is_counted_together() {
        let mut part = learnt();
        let most = u32::try_from(MAX_LATE).unwrap();
        assert_eq!(
            observe(&mut part, &members("role", most), by(1, 10)),
            Ok(MAX_LATE)
        );
        // Twenty callers who have a name of their own each, and find no room.
        for who in 0..60 {
            let name = format!("admin_{}", char::from(b'a' + who % 26)).repeat(1 + usize::from(who / 26));
            let news = observe(&mut part, &format!(r#"{{"{name}":1}}"#), by(who, 20));
            assert!(matches!(news, Ok(1) | Err(Blind::NoRoom)), "{news:?}");
        }
        assert_eq!(part.late.len(), MAX_LATE + 1);
        assert_eq!(
            observe(&mut part, r#"{"staff":1}"#, by(1, 30)),
            Err(Blind::NoRoom)
        );
        assert_eq!(observe(&mut part, r#"{"staff":1}"#, by(1, 30 + GONE_S)), Ok(1));
        assert!(
            part.late
                .iter()
                .any(|late| late.uses == 1 && late.last_s == 30 + GONE_S)
        );
    }
}
