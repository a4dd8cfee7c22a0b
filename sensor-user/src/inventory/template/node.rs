//! Nodes of the tree of paths and what each has seen.
//!
//! Takes values as keyed hashes and kinds. Gives counts, distinct values and who came through. Never keeps a value that
//! is not a word. Bounded by [`SMALLEST`] and [`FREQUENT`].

use smallvec::SmallVec;

use super::segment::{Segment, ValueKind};
use super::ways::Ways;

/// A node of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct NodeId(pub(super) u32);

impl NodeId {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One step of templates.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Node {
    pub(super) parent: NodeId,
    pub(super) edge: Edge,
    /// Children that are words, sorted.
    pub(super) literals: Vec<(Box<[u8]>, NodeId)>,
    /// Children that stand for values.
    pub(super) params: SmallVec<[NodeId; 1]>,
    /// What ends here.
    pub(super) ends: SmallVec<[End; 1]>,
    /// Times that a path went through.
    pub(super) visits: u32,
    /// Values by which it was reached, of the places above that take words.
    pub(super) via: Ways,
    /// It was found out to be a word, whatever its siblings look like.
    pub(super) own: bool,
    /// What was seen in its place, where it stands for values.
    pub(super) values: Option<Box<Values>>,
    /// Visits at which its children are judged again.
    pub(super) due: u32,
    /// Observation that last came through, for making room.
    pub(super) used: u32,
}

/// How a node is reached from its parent.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) enum Edge {
    /// First node of a host.
    Root,
    /// By this word.
    Literal(Box<[u8]>),
    /// By a value within these words.
    Value(Box<[u8]>),
    /// By whatever follows, any number of steps.
    Rest,
    /// Not in use.
    Free,
}

/// Something that ends at a node: a method, for the tree a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct End {
    pub(super) key: u32,
    /// Whose history it is; the tree's owner knows.
    pub(super) slot: u32,
    pub(super) visits: u32,
    /// Values by which it was reached, of the places that take words: the node and those above.
    pub(super) via: Ways,
}

/// Smallest hashes kept to estimate how many values there are: within a fifth with 24 (k minimum values).
const SMALLEST: usize = 24;
/// Words counted one by one among the values of a place; whoever behaves in a way of its own is among the frequent.
const FREQUENT: usize = 32;
/// Of times that words were seen, one in so many falls to words that recur where they are names. Among millions of random
/// words some recur by chance, and fewer than this.
const RECURRING: u64 = 10;

/// Values seen in one place.
#[derive(Clone, PartialEq, Default, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Values {
    /// Times by kind.
    pub(super) kinds: [u32; ValueKind::ALL.len()],
    /// Smallest hashes, sorted.
    smallest: Vec<u32>,
    /// Frequent words.
    pub(super) frequent: Vec<Frequent>,
    /// Words are values here.
    pub(super) words: bool,
    /// How sure the judgement about words was, in hundredths.
    pub(super) sure: u8,
    /// Values with several endings were seen: endings belong to the values.
    pub(super) any_ending: bool,
    /// The only value there was, where it could be a version.
    pub(super) sole: Option<Box<str>>,
}

/// A word that is frequent among values (space-saving: counts are at most too high by the one that was pushed out).
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Frequent {
    pub(super) hash: u32,
    pub(super) text: Box<[u8]>,
    pub(super) count: u32,
    /// Of the count, what it took over from words that were pushed out.
    inherited: u32,
}

impl Values {
    /// Of a word that was a branch of its own before.
    pub(super) fn of_word(hash: u32, text: &[u8], visits: u32) -> Self {
        let mut values = Self {
            words: true,
            ..Self::default()
        };
        values.keep(hash);
        values.learn_word(hash, text, visits);
        if let Some(words) = values.kinds.get_mut(ValueKind::Word as usize) {
            *words = visits;
        }
        values
    }

    /// Hashes of words are made anew; those of values stay, so that values are at most counted twice.
    pub(super) fn forget_hashes(&mut self, hash: impl Fn(&[u8]) -> u32) {
        for word in &mut self.frequent {
            word.hash = hash(&word.text);
        }
    }

    fn learn(&mut self, hash: u32, kind: ValueKind) {
        if let Some(count) = self.kinds.get_mut(kind as usize) {
            *count = count.saturating_add(1);
        }
        self.keep(hash);
    }

    fn keep(&mut self, hash: u32) {
        let Err(at) = self.smallest.binary_search(&hash) else {
            return;
        };
        if at < SMALLEST {
            self.smallest.truncate(SMALLEST - 1);
            self.smallest.insert(at, hash);
        }
    }

    /// Takes a step that went through; whether the place is called otherwise now.
    pub(super) fn take(&mut self, step: &[u8], hash: u32) -> bool {
        let before = (self.name(), self.sole.is_some());
        let segment = Segment::of(step);
        if self.smallest.is_empty() {
            self.sole = constant(&segment);
        } else if self.sole.is_some() && self.smallest.binary_search(&hash).is_err() {
            self.sole = None;
        }
        self.learn(hash, segment.kind);
        if segment.is_word() {
            self.learn_word(hash, segment.text, 1);
        }
        before != (self.name(), self.sole.is_some())
    }

    /// Counts a word; gives its count.
    pub(super) fn learn_word(&mut self, hash: u32, text: &[u8], times: u32) -> u32 {
        self.count_word(hash, text, times, 0)
    }

    fn count_word(&mut self, hash: u32, text: &[u8], times: u32, inherited: u32) -> u32 {
        let Some(word) = self.frequent_word(hash, text) else {
            return times;
        };
        word.count = word.count.saturating_add(times);
        word.inherited = word.inherited.saturating_add(inherited);
        word.count
    }

    /// The place of a word among the frequent ones: its own, a free one or that of the rarest, whose count it takes over.
    fn frequent_word(&mut self, hash: u32, text: &[u8]) -> Option<&mut Frequent> {
        if let Some(at) = self.frequent.iter().position(|known| known.hash == hash) {
            return self.frequent.get_mut(at);
        }
        if self.frequent.len() < FREQUENT {
            self.frequent.push(Frequent {
                hash,
                text: text.into(),
                count: 0,
                inherited: 0,
            });
            return self.frequent.last_mut();
        }
        let rarest = self
            .frequent
            .iter_mut()
            .min_by_key(|known| (known.count, known.hash))?;
        rarest.hash = hash;
        rarest.text = text.into();
        rarest.inherited = rarest.count;
        Some(rarest)
    }

    /// Different values, estimated beyond [`SMALLEST`].
    pub(super) fn distinct(&self) -> u64 {
        match self.smallest.last() {
            Some(last) if self.smallest.len() >= SMALLEST => {
                (SMALLEST as u64 - 1) * u64::from(u32::MAX) / u64::from(*last).max(1)
            }
            _ => self.smallest.len() as u64,
        }
    }

    /// Bytes it holds, itself included.
    fn held_bytes(&self) -> usize {
        let texts: usize = self.frequent.iter().map(|word| word.text.len()).sum();
        size_of::<Self>()
            + self.smallest.capacity() * 4
            + self.frequent.capacity() * size_of::<Frequent>()
            + texts
            + self.sole.as_ref().map_or(0, |text| text.len())
    }

    pub(super) fn total(&self) -> u64 {
        self.kinds.iter().map(|count| u64::from(*count)).sum()
    }

    pub(super) fn count(&self, kind: ValueKind) -> u32 {
        self.kinds.get(kind as usize).copied().unwrap_or_default()
    }

    /// What the values are called: by their kind, where they are of one kind. Words that hardly recur are no kind beside
    /// others: who floods a place of numbers with made-up words does not rename it.
    pub(super) fn name(&self) -> &'static str {
        let seen = |kind: &ValueKind| self.count(*kind) > 0;
        let mut names = ValueKind::ALL
            .into_iter()
            .filter(|kind| *kind != ValueKind::Word && seen(kind))
            .map(ValueKind::name);
        let words = seen(&ValueKind::Word);
        match names.next() {
            Some(first) if names.all(|name| name == first) && !(words && self.words_recur()) => first,
            None if words => ValueKind::Word.name(),
            _ => "param",
        }
    }

    /// Words that were seen often enough to be believed are one in [`RECURRING`] of all times that words were seen.
    fn words_recur(&self) -> bool {
        let times = self
            .frequent
            .iter()
            .map(|word| word.count.saturating_sub(word.inherited));
        let believed: u64 = times
            .filter(|times| *times >= super::CONFIRMED)
            .map(u64::from)
            .sum();
        believed * RECURRING >= u64::from(self.count(ValueKind::Word))
    }

    /// A word is none of them any more.
    pub(super) fn leave(&mut self, word: &Frequent) {
        self.frequent.retain(|known| known.hash != word.hash);
        self.smallest.retain(|hash| *hash != word.hash);
        if let Some(words) = self.kinds.get_mut(ValueKind::Word as usize) {
            *words = words.saturating_sub(word.count);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.kinds.iter_mut().zip(other.kinds) {
            *count = count.saturating_add(more);
        }
        for hash in &other.smallest {
            self.keep(*hash);
        }
        for word in &other.frequent {
            self.count_word(word.hash, &word.text, word.count, word.inherited);
        }
        self.words |= other.words;
        self.any_ending |= other.any_ending;
        self.sure = self.sure.max(other.sure);
        if self.sole != other.sole {
            self.sole = None;
        }
    }
}

impl Node {
    pub(super) fn new(parent: NodeId, edge: Edge, now: u32) -> Self {
        Self {
            parent,
            edge,
            literals: Vec::new(),
            params: SmallVec::new(),
            ends: SmallVec::new(),
            visits: 0,
            via: Ways::default(),
            own: false,
            values: None,
            due: super::FIRST_JUDGEMENT,
            used: now,
        }
    }

    /// Bytes it holds outside itself.
    pub(super) fn bytes_beside(&self) -> usize {
        let edge = match &self.edge {
            Edge::Literal(text) | Edge::Value(text) => text.len(),
            Edge::Root | Edge::Rest | Edge::Free => 0,
        };
        let words: usize = self.literals.iter().map(|(text, _)| text.len()).sum();
        let spilled = |spilled: bool, capacity: usize, size: usize| if spilled { capacity * size } else { 0 };
        edge + words
            + self.literals.capacity() * size_of::<(Box<[u8]>, NodeId)>()
            + spilled(self.params.spilled(), self.params.capacity(), size_of::<NodeId>())
            + spilled(self.ends.spilled(), self.ends.capacity(), size_of::<End>())
            + self.values.as_deref().map_or(0, Values::held_bytes)
    }

    /// A place of values some of which are words.
    pub(super) fn takes_words(&self) -> bool {
        self.values.as_deref().is_some_and(|values| values.words)
    }

    pub(super) fn is_leaf(&self) -> bool {
        self.literals.is_empty() && self.params.is_empty()
    }
}

/// A date or a small number may be the version of an API; it is kept until another value comes.
fn constant(segment: &Segment<'_>) -> Option<Box<str>> {
    let version = match segment.kind {
        ValueKind::Date => segment.text.len() <= 10,
        ValueKind::Number => segment.text.len() <= 2,
        _ => false,
    };
    let text = segment.is_plain().then_some(segment.text).filter(|_| version)?;
    std::str::from_utf8(text).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(number: u32) -> String {
        let letter = |place: u32| char::from(b'a' + u8::try_from(number / 26_u32.pow(place) % 26).unwrap());
        (0..4).map(letter).collect()
    }

    #[test]
    fn made_up_words_do_not_rename_a_place_of_numbers() {
        let mut values = Values::default();
        for number in 0..3 {
            values.take(number.to_string().as_bytes(), number);
        }
        for number in 0..1000 {
            for _ in 0..=number % 2 {
                values.take(word(number).as_bytes(), 1000 + number);
            }
            assert_eq!(values.name(), "id", "{number}");
        }
        // A few recur by chance.
        values.learn_word(10, b"reef", 100);
        assert_eq!(values.name(), "id");
        for _ in 0..100 {
            values.take(b"reef", 10);
        }
        assert_eq!(values.name(), "param");
    }

    #[test]
    fn names_beside_numbers_are_told() {
        let mut values = Values::default();
        values.take(b"7", 7);
        for _ in 0..super::super::CONFIRMED {
            assert_eq!(values.name(), "id");
            values.take(b"reef", 10);
        }
        assert_eq!(values.name(), "param");
    }

    #[test]
    fn words_alone_are_names_however_rare() {
        let mut values = Values::default();
        for number in 0..100 {
            values.take(word(number).as_bytes(), number);
        }
        assert_eq!(values.name(), "name");
    }
}
