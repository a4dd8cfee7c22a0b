//! Names seen before: each distinct name is judged once.
//!
//! Takes names. Gives what they say and how they are shown. Bounded: a cache of fixed size in which a new name
//! pushes out an old one, so that hostile names cost time but never memory.

use super::hint::Hint;

/// Remembered names.
#[derive(Debug)]
pub(super) struct Names {
    /// Two slots for each hash: names that share one do not push each other out by turns.
    pairs: Box<[[Slot; 2]]>,
}

/// APIs have some hundred distinct names.
const PAIRS: usize = 256;
/// Bytes of a remembered name: every name that is shown fits (the longest word of [`super::shape`]), and a slot is a
/// cache line.
const REMEMBERED: usize = 40;
/// Digits of a protobuf field's number that is shown: beyond lie extensions only, and room for values.
const NUMBER_DIGITS: usize = 5;

/// A name as looked up: good until the next name is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct NameId {
    /// What the name says.
    pub(super) hint: Hint,
    pair: u8,
    /// Which slot of its pair the name is in, if any.
    slot: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Place {
    First,
    Second,
    #[default]
    None,
}

#[derive(Clone, Copy)]
struct Slot {
    /// First and last eight bytes: the whole name up to sixteen.
    ends: (u64, u64),
    hint: Hint,
    length: u8,
    name: [u8; REMEMBERED],
}

/// Names of the observed application do not print.
impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[name of {} bytes]", self.length)
    }
}

impl Names {
    pub(super) fn new() -> Self {
        let empty = Slot {
            ends: (0, 0),
            hint: Hint::of(b""),
            length: 0,
            name: [0; REMEMBERED],
        };
        Self {
            pairs: vec![[empty; 2]; PAIRS].into_boxed_slice(),
        }
    }

    /// Looks a name up; judges it when it is new.
    #[inline]
    pub(super) fn look_up(&mut self, name: &[u8]) -> NameId {
        self.find(name, Hint::of)
    }

    #[inline]
    fn find(&mut self, name: &[u8], judge: fn(&[u8]) -> Hint) -> NameId {
        let ends = ends(name);
        let pair = pair_of(ends, name.len());
        let found = |hint, slot| NameId { hint, pair, slot };
        match self.pairs.get_mut(usize::from(pair)) {
            Some([first, _]) if first.is(name, ends) => found(first.hint, Place::First),
            Some([_, second]) if second.is(name, ends) => found(second.hint, Place::Second),
            Some(slots) => learn(slots, name, ends, pair, judge),
            None => NameId::default(),
        }
    }

    /// Looks up the number of a protobuf field, which is a name: digits of any other name may be a value. Numbers of
    /// more digits than schemas have are no names.
    pub(super) fn look_up_number(&mut self, digits: &[u8]) -> NameId {
        let mut key = [0; 1 + NUMBER_DIGITS];
        let Some(place) = key.get_mut(1..=digits.len()) else {
            return self.look_up(digits);
        };
        place.copy_from_slice(digits);
        self.find(key.get(..=digits.len()).unwrap_or_default(), |_number| Hint::NONE)
    }

    /// How the name is shown: itself, or `*` when it could be a value. ASCII.
    #[inline]
    pub(super) fn shown(&self, id: NameId) -> &[u8] {
        let slot = match (self.pairs.get(usize::from(id.pair)), id.slot) {
            (Some([first, _]), Place::First) => Some(first),
            (Some([_, second]), Place::Second) => Some(second),
            (_, Place::None) | (None, _) => None,
        };
        let safe = slot.filter(|_| !id.hint.has(Hint::VALUE_LIKE));
        let name = safe.and_then(|slot| slot.name.get(..usize::from(slot.length)));
        // A number is remembered behind a zero byte, so that it is not taken for a name of digits.
        name.map_or(&b"*"[..], |name| name.strip_prefix(b"\0").unwrap_or(name))
    }
}

/// Judges a new name and puts it into the first slot; what was there goes to the second.
#[cold]
#[inline(never)]
fn learn(slots: &mut [Slot; 2], name: &[u8], ends: (u64, u64), pair: u8, judge: fn(&[u8]) -> Hint) -> NameId {
    let [first, second] = slots;
    let hint = judge(name);
    let mut slot = Place::None;
    if let (Some(target), Ok(length)) = (second.name.get_mut(..name.len()), u8::try_from(name.len())) {
        target.copy_from_slice(name);
        (second.ends, second.hint, second.length) = (ends, hint, length);
        std::mem::swap(first, second);
        slot = Place::First;
    }
    NameId { hint, pair, slot }
}

impl Slot {
    #[inline]
    fn is(&self, name: &[u8], ends: (u64, u64)) -> bool {
        usize::from(self.length) == name.len()
            && self.ends == ends
            && (name.len() <= 16 || self.name.get(..name.len()) == Some(name))
    }
}

/// First and last eight bytes, overlapping in a shorter name.
#[inline]
fn ends(name: &[u8]) -> (u64, u64) {
    let wide = |chunk: Option<&[u8; 8]>| chunk.map(|chunk| u64::from_le_bytes(*chunk));
    let half = |chunk: Option<&[u8; 4]>| chunk.map(|chunk| u64::from(u32::from_le_bytes(*chunk)));
    if let (Some(front), Some(back)) = (wide(name.first_chunk()), wide(name.last_chunk())) {
        (front, back)
    } else if let (Some(front), Some(back)) = (half(name.first_chunk()), half(name.last_chunk())) {
        (front, back)
    } else {
        (name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0)
    }
}

/// Mixes length, front and end of a name.
#[inline]
fn pair_of(ends: (u64, u64), length: usize) -> u8 {
    // An odd constant with well spread bits (the golden ratio), as in Fibonacci hashing.
    let mixed = (ends.0 ^ ends.1.rotate_left(23) ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The best mixed bits are the highest; eight of them number the pairs.
    mixed.to_be_bytes().first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_tells_names_apart() {
        let mut names = Names::new();
        for round in 0..3 {
            for number in 0..5000 {
                let name = format!("field{number}");
                assert!(
                    !names.look_up(name.as_bytes()).hint.has(Hint::PASSWORD),
                    "{round}"
                );
            }
            assert!(names.look_up(b"password").hint.has(Hint::PASSWORD));
            assert!(names.look_up(&b"x".repeat(400)).hint.has(Hint::VALUE_LIKE));
        }
    }

    #[test]
    fn names_of_every_length_are_found_again() {
        let mut names = Names::new();
        for length in 0..60 {
            let one = "a".repeat(length);
            let other = format!("{}b", "a".repeat(length.saturating_sub(1)));
            for name in [&one, &other, &one] {
                let id = names.look_up(name.as_bytes());
                let shown = names.shown(id);
                assert!(shown == name.as_bytes() || shown == b"*", "{name}");
                assert_eq!(shown == b"*", !(1..=40).contains(&name.len()), "{name}");
            }
        }
    }

    #[test]
    fn values_are_not_shown() {
        let mut names = Names::new();
        let id = names.look_up(b"alice@example.com");
        assert_eq!(names.shown(id), b"*");
    }
}
