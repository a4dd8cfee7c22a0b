//! Bytes of an outline: places, values and text one after the other, so that one allocation holds them.
//!
//! Takes and gives places and values. Never looks at what they mean. Bounded by its input.
#![expect(
    clippy::cast_possible_truncation,
    reason = "fields are cut out of words of 64 bits on purpose"
)]

use super::looks::{Looks, Magnitude};
use super::{Facts, PLACE, PlaceId, PlaceSeen, Root, Step, VALUE, ValueSeen};
use crate::exchange::value::ValueHash;

/// A place while it is recorded.
#[derive(Clone, Copy)]
pub(super) struct Draft {
    pub(super) path: u64,
    pub(super) parent: PlaceId,
    pub(super) step: Step,
    /// Start and length of the name in the text.
    pub(super) name: (u16, u8),
    pub(super) facts: Facts,
    pub(super) values: u16,
    pub(super) words: u16,
    /// First and last eight bytes of the name.
    pub(super) ends: (u64, u64),
    /// The first member that was inside, and the one that came behind this the last time.
    pub(super) first: PlaceId,
    pub(super) next: PlaceId,
    pub(super) last: Last,
}

/// The last short text of a place: most places say the same again and again.
#[derive(Clone, Copy)]
pub(super) struct Last {
    /// First and last eight bytes, which is all of it.
    pub(super) ends: (u64, u64),
    /// Its length, more than a text has while there is none.
    pub(super) length: u8,
    /// Its value, if it was kept.
    pub(super) mark: u16,
}

impl Last {
    pub(super) const NONE: Self = Self {
        ends: (0, 0),
        length: u8::MAX,
        mark: u16::MAX,
    };
}

/// A value while it is recorded.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) hash: u64,
    pub(super) place: PlaceId,
    pub(super) looks: Looks,
    pub(super) count: u8,
    pub(super) word: (u16, u8),
}

/// Numbers of the steps in an outline.
const MEMBER: u8 = 0;
const KEY: u8 = 1;
const ITEM: u8 = 2;
const ROOT: u8 = 3;

impl Draft {
    pub(super) fn write(&self) -> [u8; PLACE] {
        let facts = &self.facts;
        let (step, rest) = match self.step {
            Step::Member => (MEMBER, u32::from(self.name.0)),
            Step::Key => (KEY, 0),
            Step::Item => (ITEM, 0),
            Step::Root(root) => (ROOT, root.code()),
        };
        let words = [
            self.path,
            u64::from(facts.looks.0) | u64::from(facts.sensitive) << 32,
            u64::from(facts.count) | u64::from(facts.nulls) << 32,
            u64::from(facts.length.0)
                | u64::from(facts.length.1) << 16
                | u64::from(facts.size.0.0.cast_unsigned()) << 32
                | u64::from(facts.size.1.0.cast_unsigned()) << 48,
            u64::from(self.parent)
                | u64::from(step) << 16
                | u64::from(self.name.1) << 24
                | u64::from(rest) << 32,
        ];
        let mut out = [0; PLACE];
        for (place, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        out
    }
}

/// Reads what [`Draft::write`] wrote.
#[inline]
pub(super) fn read_place<'a>(place: &[u8; PLACE], text: &'a [u8]) -> PlaceSeen<'a> {
    let mut words = [0; PLACE / 8];
    for (word, bytes) in words.iter_mut().zip(place.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let [path, looks, counts, ranges, rest] = words;
    let step = match (rest >> 16) as u8 {
        KEY => Step::Key,
        ITEM => Step::Item,
        ROOT => Root::of_code((rest >> 32) as u32).map_or(Step::Member, Step::Root),
        _ => Step::Member,
    };
    let (start, length) = ((rest >> 32) as u16, (rest >> 24) as u8);
    PlaceSeen {
        path,
        parent: rest as u16,
        step,
        name: slice(text, start, length),
        facts: Facts {
            looks: Looks(looks as u32),
            sensitive: (looks >> 32) as u32,
            count: counts as u32,
            nulls: (counts >> 32) as u32,
            length: (ranges as u16, (ranges >> 16) as u16),
            size: (Magnitude((ranges >> 32) as i16), Magnitude((ranges >> 48) as i16)),
        },
    }
}

/// The part of the message that a place is the top of, or the place around it.
#[inline]
pub(super) fn read_way(place: &[u8; PLACE]) -> Result<Root, PlaceId> {
    let rest = place.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
    let root = || Root::of_code((rest >> 32) as u32);
    match (rest >> 16) as u8 {
        ROOT => root().ok_or(rest as u16),
        _ => Err(rest as u16),
    }
}

impl Mark {
    pub(super) fn write(&self) -> [u8; VALUE] {
        // A key of a map is marked by the look of an object.
        let is_key = u8::from(self.looks.has(Looks::OBJECT));
        let format = self.looks.without(Looks::KINDS).0.trailing_zeros() as u8;
        let rest = u64::from(self.place)
            | u64::from(format) << 16
            | u64::from(self.count) << 24
            | u64::from(self.word.0) << 32
            | u64::from(self.word.1) << 48
            | u64::from(is_key) << 56;
        let mut out = [0; VALUE];
        for (place, word) in out.as_chunks_mut::<8>().0.iter_mut().zip([self.hash, rest]) {
            *place = word.to_le_bytes();
        }
        out
    }
}

/// Reads what [`Mark::write`] wrote.
#[inline]
pub(super) fn read_value<'a>(value: &[u8; VALUE], text: &'a [u8]) -> ValueSeen<'a> {
    let mut words = [0; VALUE / 8];
    for (word, bytes) in words.iter_mut().zip(value.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let [hash, rest] = words;
    ValueSeen {
        place: rest as u16,
        hash: ValueHash(hash),
        looks: Looks(1 << (rest >> 16 & 31)),
        count: (rest >> 24) as u8,
        word: slice(text, (rest >> 32) as u16, (rest >> 48) as u8),
        is_key: rest >> 56 != 0,
    }
}

fn slice(text: &[u8], start: u16, length: u8) -> &[u8] {
    let start = usize::from(start);
    text.get(start..start + usize::from(length)).unwrap_or_default()
}
