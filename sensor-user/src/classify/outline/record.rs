//! The recorder that the walk tells.
//!
//! Takes containers, names and values while classification looks at them. Gives an [`Outline`]. Never keeps a value;
//! its buffers live from exchange to exchange. Bounded as the outline is.

mod values;

use super::index::{Index, VALUE_ENTRY};
use super::layout::{Draft, Last, Mark};
use super::looks::{Looks, Magnitude, number};
use super::{
    Facts, Lost, MAX_PLACES, MAX_TEXT, MAX_VALUES, MAX_VALUES_PER_PLACE, MAX_WORDS_PER_PLACE, Media, NOWHERE,
    Outline, PLACE, PlaceId, Root, Step, VALUE,
};
use crate::classify::hint::Hint;
use crate::classify::names::ends;
use crate::classify::{DataKind, Half, Part};
use crate::exchange::Secret;
use crate::exchange::value::ValueKey;
use crate::protocol::walk::{Container, Scalar, Text};

/// Longest text that identifies something: e-mail addresses end at 254 bytes (RFC 5321, 4.5.3.1.3), ids far below.
const MAX_ID: usize = 254;
/// Longest name that is shown ([`crate::classify::names`] keeps no longer one).
const MAX_NAME: usize = 40;
/// Names whose values are credentials: nothing of them is hashed here.
const CREDENTIAL: Hint = Hint::CREDENTIAL;

/// Bytes of which first and last eight are the whole.
const WHOLE_IN_ENDS: usize = 16;

/// Steps that have no name. Names hash to anything, so these are as good as any other number.
const KEY_STEP: u64 = 0x6b65_7973_0000_0001;
const ITEM_STEP: u64 = 0x6974_656d_0000_0002;
/// The first of as many as there are positions.
const SEGMENT_STEP: u64 = 0x7374_6570_0000_0100;
/// Steps of a path that are looked at; real APIs have below ten.
const MAX_POSITION: u8 = 31;

/// Records the outline of one exchange after the other.
pub(in crate::classify) struct Recorder {
    key: ValueKey,
    status: u16,
    places: Vec<Draft>,
    values: Vec<Mark>,
    text: Vec<u8>,
    /// Containers around the current value.
    frames: Vec<Frame>,
    index: Index,
    /// Top of the body under way.
    base: PlaceId,
    /// Where the next value goes, outside of arrays.
    at: PlaceId,
    /// Where the last value went.
    last: PlaceId,
    /// Of which half the part under way is.
    half: Half,
    lost: Lost,
}

/// It holds names and words of the observed application.
impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[recorder]")
    }
}

#[derive(Clone, Copy)]
struct Frame {
    place: PlaceId,
    /// Of an array: the place of its items, once there is one, and how many there are.
    items: Option<(PlaceId, u32)>,
    /// The member before the one that comes.
    before: PlaceId,
}

impl Recorder {
    pub(in crate::classify) fn new(key: ValueKey) -> Self {
        Self {
            key,
            status: 0,
            places: Vec::new(),
            values: Vec::new(),
            text: Vec::new(),
            frames: Vec::new(),
            index: Index::new(),
            base: NOWHERE,
            at: NOWHERE,
            last: NOWHERE,
            half: Half::Request,
            lost: Lost::default(),
        }
    }

    /// Begins an exchange whose answer has that status; 0 without one.
    pub(in crate::classify) fn begin(&mut self, status: u16) {
        self.status = status;
        if !self.places.is_empty() {
            self.places.clear();
            self.values.clear();
            self.text.clear();
            self.index.clear();
        }
        self.lost = Lost::default();
        self.last = NOWHERE;
    }

    /// A parameter outside of bodies. `name` is as it may be shown.
    pub(in crate::classify) fn parameter(
        &mut self,
        half: Half,
        part: Part,
        name: &[u8],
        hint: Hint,
        value: &[u8],
    ) {
        let (parent, fresh) = self.root(half, part, Media::None);
        if fresh && let Some(root) = self.places.get_mut(usize::from(parent)) {
            root.facts.count = 1;
            root.facts.looks = Looks::OBJECT;
        }
        let mut lower = [0; MAX_NAME];
        let mut name = name;
        if part == Part::Header
            && let Some(lower) = lower.get_mut(..name.len())
        {
            // Field names are compared without case (RFC 9110, 5.1).
            lower.copy_from_slice(name);
            lower.make_ascii_lowercase();
            name = lower;
        }
        let place = self.member(parent, name, name);
        // Sessions have any name; what identifies somebody in a cookie says so.
        let hashed = part != Part::Cookie || hint.has(Hint::IDENTITY);
        self.string(place, value, if hashed { hint } else { CREDENTIAL });
    }

    /// A step of the path, counted from 0 behind the first slash, when it looks as if it identified something.
    pub(in crate::classify) fn segment(&mut self, position: u8, text: &[u8]) {
        let look = Looks::of_text(text);
        if !look.has(Looks::IDENTIFYING) || text.len() > MAX_ID || position > MAX_POSITION {
            return self.elsewhere();
        }
        let (parent, fresh) = self.root(Half::Request, Part::Path, Media::None);
        if fresh && let Some(root) = self.places.get_mut(usize::from(parent)) {
            root.facts.count = 1;
            root.facts.looks = Looks::OBJECT;
        }
        let digits = [b'0' + position / 10, b'0' + position % 10];
        let name = digits.strip_prefix(b"0").unwrap_or(&digits);
        let place = self.child(parent, Step::Member, SEGMENT_STEP + u64::from(position), name);
        if let Some(facts) = self.facts(place, Looks::STRING.and(look)) {
            lengthen(facts, text.len());
        }
        self.value(place, text, look, false);
    }

    /// A body begins.
    pub(in crate::classify) fn body(&mut self, half: Half, media: Media) {
        self.frames.clear();
        self.base = self.root(half, Part::Body, media).0;
        self.at = self.base;
    }

    /// The body under way was not seen to its end, or not understood.
    pub(in crate::classify) fn cut(&mut self) {
        if let Some(root) = self.places.get_mut(usize::from(self.base)) {
            root.facts.looks = root.facts.looks.and(Looks::CUT);
        }
        self.last = self.base;
    }

    #[inline]
    pub(in crate::classify) fn open(&mut self, container: Container) {
        let place = self.target();
        let (look, items) = match container {
            Container::Object => (Looks::OBJECT, None),
            Container::Array => (Looks::ARRAY, Some((self.items_of(place), 0))),
        };
        if let Some(draft) = self.places.get_mut(usize::from(place)) {
            draft.facts.count = draft.facts.count.saturating_add(1);
            draft.facts.looks = draft.facts.looks.and(look);
        }
        self.frames.push(Frame {
            place,
            items,
            before: NOWHERE,
        });
        self.at = NOWHERE;
    }

    /// The place of an array's items, if it is the first that was met inside of it.
    #[inline]
    fn items_of(&self, array: PlaceId) -> PlaceId {
        let first = self.places.get(usize::from(array)).map(|draft| draft.first);
        let inside = first.and_then(|first| self.places.get(usize::from(first)));
        match (first, inside) {
            (Some(first), Some(draft)) if draft.step == Step::Item => first,
            _ => NOWHERE,
        }
    }

    #[inline]
    pub(in crate::classify) fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        if let (Some((_, items)), Some(draft)) = (frame.items, self.places.get_mut(usize::from(frame.place)))
        {
            lengthen(&mut draft.facts, items as usize);
        }
        // A body may be several documents, one after the other.
        self.at = if self.frames.is_empty() {
            self.base
        } else {
            NOWHERE
        };
    }

    /// The name of the next value: as it is, and as it may be shown.
    #[inline]
    pub(in crate::classify) fn key(&mut self, name: &[u8], shown: &[u8]) {
        self.at = self.guess(name).unwrap_or_else(|| self.look_up(name, shown));
        self.last = self.at;
        if let Some(frame) = self.frames.last_mut() {
            frame.before = self.at;
        }
    }

    /// The member that came behind this one the last time, if it is the one that comes now.
    #[inline]
    fn guess(&self, name: &[u8]) -> Option<PlaceId> {
        let frame = self.frames.last()?;
        let guess = if frame.before == NOWHERE {
            self.places.get(usize::from(frame.place))?.first
        } else {
            self.places.get(usize::from(frame.before))?.next
        };
        let draft = self.places.get(usize::from(guess))?;
        let (start, length) = (usize::from(draft.name.0), usize::from(draft.name.1));
        let same = draft.step == Step::Member
            && length == name.len()
            && draft.parent == frame.place
            && draft.ends == ends(name)
            && (length <= WHOLE_IN_ENDS || self.text.get(start..start + length) == Some(name));
        same.then_some(guess)
    }

    #[inline(never)]
    fn look_up(&mut self, name: &[u8], shown: &[u8]) -> PlaceId {
        let Some(Frame { place, before, .. }) = self.frames.last().copied() else {
            return NOWHERE;
        };
        if place == NOWHERE {
            return NOWHERE;
        }
        let found = self.member(place, name, shown);
        if let Some(draft) = self.places.get_mut(usize::from(found)) {
            if draft.step == Step::Member {
                draft.ends = ends(name);
            }
            if before == NOWHERE {
                if let Some(around) = self.places.get_mut(usize::from(place)) {
                    around.first = found;
                }
            } else if let Some(before) = self.places.get_mut(usize::from(before)) {
                before.next = found;
            }
        }
        found
    }

    /// A name of which the end is missing, and with it the value.
    pub(in crate::classify) const fn torn_key(&mut self) {
        self.at = NOWHERE;
        self.last = NOWHERE;
    }

    /// A body that is not read.
    pub(in crate::classify) fn binary(&mut self) {
        self.facts(self.base, Looks::BYTES);
    }

    /// Text of a body without structure.
    pub(in crate::classify) fn plain(&mut self, text: &[u8]) {
        let place = self.target();
        self.string(place, text, Hint::NONE);
    }

    #[inline]
    pub(in crate::classify) fn scalar(
        &mut self,
        kind: Scalar,
        text: Text<'_>,
        hint: Hint,
        scratch: &mut Vec<u8>,
    ) {
        let place = self.target();
        match kind {
            Scalar::String if !text.cut => self.string(place, text.decode(scratch), hint),
            Scalar::String => {
                if let Some(facts) = self.facts(place, Looks::STRING.and(Looks::TEXT)) {
                    lengthen(facts, text.raw.len());
                }
            }
            Scalar::Number if !text.cut => self.number(place, text.raw, hint),
            Scalar::Number => {
                self.facts(place, Looks::NUMBER);
            }
            Scalar::Bool => {
                // Which of the two it is tells its length; more of it is not kept.
                if let Some(facts) = self.facts(place, Looks::BOOL) {
                    lengthen(facts, text.raw.len());
                }
            }
            Scalar::Null => {
                if let Some(facts) = self.facts(place, Looks::NULL) {
                    facts.nulls = facts.nulls.saturating_add(1);
                }
            }
            Scalar::Bytes => {
                if let Some(facts) = self.facts(place, Looks::BYTES) {
                    lengthen(facts, text.raw.len());
                }
            }
        }
    }

    /// The value that comes next is at no place that is recorded.
    pub(in crate::classify) const fn elsewhere(&mut self) {
        self.last = NOWHERE;
    }

    /// The last value is sensitive.
    pub(in crate::classify) fn sensitive(&mut self, kind: DataKind) {
        if let Some(draft) = self.places.get_mut(usize::from(self.last)) {
            draft.facts.sensitive |= 1 << (kind as u32 & 31);
        }
    }

    /// What was recorded.
    pub(in crate::classify) fn finish(&mut self) -> Outline {
        if self.places.is_empty() {
            return Outline::default();
        }
        let size = self.places.len() * PLACE + self.values.len() * VALUE + self.text.len();
        let mut bytes = Vec::with_capacity(size);
        for draft in &self.places {
            bytes.extend_from_slice(&draft.write());
        }
        for mark in &self.values {
            bytes.extend_from_slice(&mark.write());
        }
        bytes.extend_from_slice(&self.text);
        Outline {
            bytes: bytes.into_boxed_slice(),
            places: count_of(&self.places),
            values: count_of(&self.values),
            lost: self.lost,
        }
    }

    /// Counts a value at a place.
    #[inline]
    fn facts(&mut self, place: PlaceId, looks: Looks) -> Option<&mut Facts> {
        self.last = place;
        let facts = &mut self.places.get_mut(usize::from(place))?.facts;
        facts.count = facts.count.saturating_add(1);
        facts.looks = facts.looks.and(looks);
        Some(facts)
    }

    /// The place of the next value.
    #[inline]
    fn target(&mut self) -> PlaceId {
        match self.frames.last_mut() {
            Some(Frame {
                place,
                items: Some((item, count)),
                ..
            }) => {
                *count = count.saturating_add(1);
                if *item == NOWHERE && *place != NOWHERE {
                    let parent = *place;
                    let found = self.child(parent, Step::Item, ITEM_STEP, &[]);
                    if let Some(array) = self.places.get_mut(usize::from(parent))
                        && array.first == NOWHERE
                    {
                        array.first = found;
                    }
                    if let Some(Frame {
                        items: Some((item, _)),
                        ..
                    }) = self.frames.last_mut()
                    {
                        *item = found;
                    }
                    return found;
                }
                *item
            }
            _ => self.at,
        }
    }

    fn member(&mut self, parent: PlaceId, name: &[u8], shown: &[u8]) -> PlaceId {
        if shown != b"*" {
            return self.child(parent, Step::Member, self.key.name(name), shown);
        }
        let place = self.child(parent, Step::Key, KEY_STEP, &[]);
        let look = Looks::of_text(name);
        if look.has(Looks::IDENTIFYING) && name.len() <= MAX_ID {
            self.value(place, name, look.and(Looks::OBJECT), false);
        }
        place
    }

    fn root(&mut self, half: Half, part: Part, media: Media) -> (PlaceId, bool) {
        self.half = half;
        let status = if half == Half::Response { self.status } else { 0 };
        let root = Root {
            half,
            part,
            media,
            status,
        };
        let before = self.places.len();
        let place = self.child(NOWHERE, Step::Root(root), u64::from(root.code()), &[]);
        (place, self.places.len() > before)
    }

    /// The place one step inside of `parent`, which is made when it is new.
    #[inline]
    fn child(&mut self, parent: PlaceId, step: Step, hash: u64, name: &[u8]) -> PlaceId {
        let around = self.places.get(usize::from(parent)).map_or(0, |draft| draft.path);
        let path = self.key.step(around, hash);
        let slot = self.index.find(path, |entry| {
            entry < VALUE_ENTRY
                && self
                    .places
                    .get(usize::from(entry))
                    .is_some_and(|draft| draft.path == path)
        });
        match slot {
            Ok(place) => place,
            Err(slot) => self.make(slot, path, parent, step, name),
        }
    }

    #[inline(never)]
    fn make(&mut self, slot: usize, path: u64, parent: PlaceId, step: Step, name: &[u8]) -> PlaceId {
        let room = self.places.len() < self.room(MAX_PLACES);
        let text = self.room(MAX_TEXT);
        let Some(name) = room.then(|| keep(&mut self.text, name, text)).flatten() else {
            self.lost = self.lost.with(Lost::places(self.half));
            return NOWHERE;
        };
        let place = count_of(&self.places);
        self.index.fill(slot, place);
        self.places.push(Draft {
            path,
            parent,
            step,
            name,
            facts: Facts::NONE,
            values: 0,
            words: 0,
            ends: (0, 0),
            first: NOWHERE,
            next: NOWHERE,
            last: Last::NONE,
        });
        place
    }
}

/// How many there are: both kinds are bounded far below.
fn count_of<T>(all: &[T]) -> u16 {
    u16::try_from(all.len()).unwrap_or(u16::MAX)
}

/// Appends to the text; `None` when it would be longer than `most`.
fn keep(text: &mut Vec<u8>, piece: &[u8], most: usize) -> Option<(u16, u8)> {
    let place = (u16::try_from(text.len()).ok()?, u8::try_from(piece.len()).ok()?);
    if text.len() + piece.len() > most {
        return None;
    }
    text.extend_from_slice(piece);
    Some(place)
}

#[inline]
fn lengthen(facts: &mut Facts, length: usize) {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    facts.length = (facts.length.0.min(length), facts.length.1.max(length));
}
