//! Values at their places: what they look like, and the hash of those that identify something.
//!
//! Takes a value and its place. Changes what is recorded there. Never keeps the value. Bounded as the outline is.

use super::super::OF_REQUEST;
use super::{
    CREDENTIAL, Half, Hint, Last, Looks, Lost, MAX_ID, MAX_TEXT, MAX_VALUES, MAX_VALUES_PER_PLACE,
    MAX_WORDS_PER_PLACE, Magnitude, Mark, NOWHERE, PlaceId, Recorder, Secret, VALUE_ENTRY, WHOLE_IN_ENDS,
    count_of, ends, keep, lengthen, number,
};

/// Longest word of an enumeration.
const MAX_ENUM_WORD: usize = 32;
/// From here on a number may identify something whatever its name says; below are counts and pages.
const LEAST_ID: u64 = 10_000;
const LEAST_ID_DIGITS: usize = 5;
/// Digits of a one-time code: six to eight by RFC 4226, 5.3; PINs have four.
const MAX_CODE_DIGITS: usize = 8;

impl Recorder {
    /// How much of a bound there is for the half under way.
    pub(super) const fn room(&self, bound: usize) -> usize {
        match self.half {
            Half::Request => bound / OF_REQUEST,
            Half::Response => bound,
        }
    }

    pub(super) fn number(&mut self, place: PlaceId, text: &[u8], hint: Hint) {
        let (negative, whole, fraction) = number(text);
        let look = Looks::of_number(whole, fraction);
        let Some(facts) = self.facts(place, Looks::NUMBER.and(look)) else {
            return;
        };
        let size = Magnitude::of(negative, whole);
        facts.size = (facts.size.0.min(size), facts.size.1.max(size));
        let identifies = hint.has(Hint::IDENTITY) || whole >= LEAST_ID;
        if identifies && !fraction && !negative && !hint.has(CREDENTIAL) && !is_code(text, hint) {
            self.value(place, text, look, false);
        }
    }

    #[inline]
    pub(super) fn string(&mut self, place: PlaceId, text: &[u8], hint: Hint) {
        self.last = place;
        if !self.again(place, text) {
            self.another(place, text, hint);
        }
    }

    /// Whether it is the text that the place had the last time; then all that is to be done is counting.
    #[inline]
    fn again(&mut self, place: PlaceId, text: &[u8]) -> bool {
        let Some(draft) = self.places.get_mut(usize::from(place)) else {
            return true;
        };
        let last = draft.last;
        if usize::from(last.length) != text.len() || last.ends != ends(text) {
            return false;
        }
        draft.facts.count = draft.facts.count.saturating_add(1);
        if let Some(mark) = self.values.get_mut(usize::from(last.mark)) {
            mark.count = mark.count.saturating_add(1);
        }
        true
    }

    #[inline(never)]
    fn another(&mut self, place: PlaceId, text: &[u8], hint: Hint) {
        let look = Looks::of_text(text);
        if let Some(facts) = self.facts(place, Looks::STRING.and(look)) {
            lengthen(facts, text.len());
        }
        let mark = self.identify(place, text, look, hint);
        if let Some(draft) = self.places.get_mut(usize::from(place))
            && text.len() <= WHOLE_IN_ENDS
        {
            draft.last = Last {
                ends: ends(text),
                length: u8::try_from(text.len()).unwrap_or(u8::MAX),
                mark: mark.unwrap_or(NOWHERE),
            };
        }
    }

    /// Keeps the hash of a text that identifies something, or is a word; gives its index.
    fn identify(&mut self, place: PlaceId, text: &[u8], look: Looks, hint: Hint) -> Option<u16> {
        if text.len() > MAX_ID || hint.has(CREDENTIAL) || is_code(text, hint) {
            return None;
        }
        let named = hint.has(Hint::IDENTITY);
        match look {
            Looks::DIGITS if !named && text.len() < LEAST_ID_DIGITS => None,
            _ if look.has(Looks::IDENTIFYING) => self.value(place, text, look, false),
            Looks::WORD | Looks::TEXT | Looks::BOOL_TEXT if named => self.value(place, text, look, false),
            Looks::WORD if text.len() <= MAX_ENUM_WORD && !hint.has(Hint::PERSONAL) => {
                self.value(place, text, look, true)
            }
            _ => None,
        }
    }

    /// Keeps a value's hash, once for each place; gives its index.
    pub(super) fn value(&mut self, place: PlaceId, text: &[u8], looks: Looks, is_word: bool) -> Option<u16> {
        let (room, room_for_text) = (self.room(MAX_VALUES), self.room(MAX_TEXT));
        let lost = self.lost.with(Lost::values(self.half));
        let draft = self.places.get_mut(usize::from(place))?;
        if is_word && draft.facts.looks.has(Looks::MANY_WORDS) {
            return None;
        }
        // A known word is counted however many there are; of anything else a full place learns nothing.
        let full = draft.values >= MAX_VALUES_PER_PLACE || self.values.len() >= room;
        if full && !is_word {
            self.lost = lost;
            return None;
        }
        let hash = self.key.hash(Secret::new(text)).0;
        let slot = self.index.find(self.key.step(draft.path, hash), |entry| {
            let mark = entry
                .checked_sub(VALUE_ENTRY)
                .and_then(|at| self.values.get(usize::from(at)));
            mark.is_some_and(|mark| mark.hash == hash && mark.place == place)
        });
        let slot = match slot {
            Ok(entry) => {
                let at = entry - VALUE_ENTRY;
                let mark = self.values.get_mut(usize::from(at))?;
                mark.count = mark.count.saturating_add(1);
                return Some(at);
            }
            Err(slot) => slot,
        };
        if is_word && draft.words >= MAX_WORDS_PER_PLACE {
            draft.facts.looks = draft.facts.looks.and(Looks::MANY_WORDS);
            return None;
        }
        if full {
            self.lost = lost;
            return None;
        }
        draft.values += 1;
        draft.words += u16::from(is_word);
        let word = is_word
            .then(|| keep(&mut self.text, text, room_for_text))
            .flatten();
        let at = count_of(&self.values);
        self.index.fill(slot, VALUE_ENTRY | at);
        self.values.push(Mark {
            hash,
            place,
            looks,
            count: 1,
            word: word.unwrap_or_default(),
        });
        Some(at)
    }
}

/// A one-time code: whose it is says nothing, and hashes of so few digits are not kept.
fn is_code(text: &[u8], hint: Hint) -> bool {
    hint.has(Hint::ONCE) && text.len() <= MAX_CODE_DIGITS && text.iter().all(u8::is_ascii_digit)
}
