//! One place of a schema: what was seen there, when, and how often.

use crate::classify::outline::{Facts, Looks, Magnitude, NOWHERE, PlaceId, PlaceSeen, Step};

use super::words::Words;

/// One place of a schema.
#[derive(Clone, Debug)]
pub struct Place {
    /// Keyed hash of the way to it, from the part of the message on.
    pub(super) path: u64,
    /// Index of the place around it, which stands before it; [`NOWHERE`] of a part's top.
    pub(super) parent: PlaceId,
    /// Where the place was that came next in the last message.
    pub(super) next: PlaceId,
    pub(super) step: Step,
    pub(super) name: Box<str>,
    pub(super) facts: Facts,
    /// Messages that had it.
    pub(super) seen: u32,
    /// First and last of them, seconds.
    pub(super) first: u32,
    pub(super) last: u32,
    /// Words, until there are too many.
    pub(super) words: Option<Box<Words>>,
}

impl Place {
    pub(super) fn new(path: u64, parent: PlaceId, step: Step, name: &[u8], time: u32) -> Self {
        Self {
            path,
            parent,
            next: NOWHERE,
            step,
            name: std::str::from_utf8(name).unwrap_or("*").into(),
            facts: Facts::NONE,
            seen: 0,
            first: time,
            last: time,
            words: None,
        }
    }

    /// Takes what one message had there. Counts of a message that was cut say nothing about what is missing.
    #[inline]
    pub(super) fn learn(&mut self, seen: &PlaceSeen<'_>, cut: bool, time: u32) {
        let mut facts = seen.facts;
        if cut {
            (facts.count, facts.nulls) = (0, 0);
        }
        self.facts.merge(&facts);
        self.seen = self.seen.saturating_add(1);
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        if facts.looks.has(Looks::MANY_WORDS) {
            self.words = None;
        }
    }

    /// Takes a word.
    pub(super) fn word(&mut self, hash: u64, text: &[u8], count: u32, caller: Option<u64>, time: u32) {
        if self.facts.looks.has(Looks::MANY_WORDS) {
            return;
        }
        let words = self.words.get_or_insert_default();
        if !words.add(hash, text, count, caller, time) {
            self.many_words();
        }
    }

    /// There is no enumeration here.
    pub(super) fn many_words(&mut self) {
        self.facts.looks = self.facts.looks.and(Looks::MANY_WORDS);
        self.words = None;
    }

    /// Takes what another schema knows of the same place.
    pub(super) fn merge(&mut self, other: &Self) {
        self.facts.merge(&other.facts);
        self.seen = self.seen.saturating_add(other.seen);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        if other.name < self.name {
            // Names that hash alike are the same; whatever happens, the order of merging does not matter.
            self.name.clone_from(&other.name);
        }
        if self.facts.looks.has(Looks::MANY_WORDS) {
            self.words = None;
        } else if let Some(words) = &other.words
            && !self.words.get_or_insert_default().merge(words)
        {
            self.many_words();
        }
    }

    /// Name of a member; empty of other places.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is reached from the place around it.
    pub const fn step(&self) -> Step {
        self.step
    }

    /// Index of the place around it, if there is one.
    pub fn parent(&self) -> Option<usize> {
        (self.parent != NOWHERE).then_some(usize::from(self.parent))
    }

    /// What was seen there. Values in messages that were cut are in no count.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Messages that had it.
    pub const fn seen(&self) -> u32 {
        self.seen
    }

    /// First and last time, in seconds on the clock of the traffic.
    pub const fn times(&self) -> (u32, u32) {
        (self.first, self.last)
    }

    /// The words of an enumeration that may be shown.
    pub fn enumeration(&self) -> Option<Vec<&str>> {
        let other = Looks::NULL.and(Looks::STRING).and(Looks::WORD).and(Looks::EMPTY);
        let only_words = self.facts.looks.without(other).is_empty();
        let words = self.words.as_ref().filter(|_| only_words)?;
        words.enumeration(self.first, self.last)
    }

    /// Least and greatest number, rounded outwards.
    pub fn range(&self) -> Option<(i128, i128)> {
        let (least, greatest) = self.facts.size;
        let range = |least: Magnitude, greatest: Magnitude| (least.bounds().0, greatest.bounds().1);
        (least <= greatest).then(|| range(least, greatest))
    }

    pub(super) fn bytes_beside(&self) -> usize {
        // An allocation takes 32 bytes at least.
        let name = if self.name.is_empty() {
            0
        } else {
            self.name.len().max(24) + 8
        };
        name + self.words.as_ref().map_or(0, |words| words.held_bytes())
    }
}
