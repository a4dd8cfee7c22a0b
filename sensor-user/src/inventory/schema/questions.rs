//! What an exchange has that its endpoint's schema has not: the questions of rules.
//!
//! Takes an outline before it is learnt. Gives what is new, and how much evidence there is that it is. Never judges.
//! Bounded by the outline; nothing is allocated when nothing is new.

use smallvec::SmallVec;

use crate::classify::outline::{Looks, NOWHERE, Outline, PlaceId, Root, Step};

use crate::classify::Part;

use super::tree::Tree;
use super::{Branch, Place, Schema};

/// How much is known about where something was missing until now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Norm {
    /// Messages that had the place around it.
    pub messages: u32,
    /// Seconds from the first to the last of them.
    pub span: u32,
}

/// A place that the endpoint never had. What is inside of it is not told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unseen {
    /// Which, in the outline.
    pub place: PlaceId,
    /// The part of the message.
    pub root: Root,
    /// Evidence.
    pub norm: Norm,
    /// Kinds of sensitive data there, a bit each.
    pub sensitive: u32,
}

/// Something at a known place that was not there before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beyond {
    /// Another kind of value (`string` where numbers were).
    Kind(Looks),
    /// Sensitive data of these kinds, a bit each.
    Sensitive(u32),
    /// More than twice as long: bytes of a text or items of an array; the longest until now, and this.
    Longer(u16, u16),
    /// A word that the enumeration of the place does not have.
    Word,
}

/// Longer by less than this is nothing.
const LONGER_BY: u16 = 16;

impl Schema {
    /// The topmost places of an outline that this endpoint never had.
    pub fn unseen(&self, outline: &Outline) -> SmallVec<[Unseen; 2]> {
        let mut found = SmallVec::new();
        let mut maps = Maps::of(self);
        self.compare(outline, |id, root, around, known| {
            let facts = outline.place(id).map(|place| place.facts);
            // Without a place around it, it is as new as what is inside of what is new: told with that.
            let norm = match around {
                Some(around) => around.norm(),
                None => Norm {
                    messages: self.accepted,
                    span: self.last.saturating_sub(self.first),
                },
            };
            if known.is_none() && !around.is_some_and(|around| maps.has(around)) {
                found.push(Unseen {
                    place: id,
                    root,
                    norm,
                    sensitive: facts.map_or(0, |facts| facts.sensitive),
                });
            }
        });
        found
    }

    /// What is new at known places of an outline, with the evidence of each place.
    pub fn beyond(&self, outline: &Outline) -> SmallVec<[(PlaceId, Beyond, Norm); 2]> {
        let mut found = SmallVec::new();
        self.compare(outline, |id, _, _, known| {
            let (Some(known), Some(place)) = (known, outline.place(id)) else {
                return;
            };
            let (was, now) = (&known.facts, &place.facts);
            let mut add = |beyond| found.push((id, beyond, known.norm()));
            let kinds = now
                .looks
                .common(Looks::KINDS)
                .without(was.looks)
                .without(Looks::NULL);
            if !kinds.is_empty() {
                add(Beyond::Kind(kinds));
            }
            if now.sensitive & !was.sensitive != 0 {
                add(Beyond::Sensitive(now.sensitive & !was.sensitive));
            }
            let (longest, length) = (was.length.1, now.length.1);
            if length / 2 > longest && length - longest >= LONGER_BY {
                add(Beyond::Longer(longest, length));
            }
        });
        for value in outline.values().filter(|value| !value.word.is_empty()) {
            let known = outline
                .place(value.place)
                .and_then(|place| self.known(place.path));
            if let Some(known) = known.filter(|known| known.is_new_word(value.hash.0)) {
                found.push((value.place, Beyond::Word, known.norm()));
            }
        }
        found
    }

    /// Kinds of sensitive data that one part of this endpoint's messages is known to have, a bit each.
    pub fn sensitive(&self, root: Root) -> u32 {
        let mut within = vec![false; self.places.len()];
        let mut kinds = 0;
        for (at, place) in self.places.iter().enumerate() {
            let inside = match place.step {
                Step::Root(own) => own == root,
                _ => place
                    .parent()
                    .and_then(|parent| within.get(parent))
                    .copied()
                    .unwrap_or(false),
            };
            if let Some(within) = within.get_mut(at) {
                *within = inside;
            }
            kinds |= if inside { place.facts.sensitive } else { 0 };
        }
        kinds
    }

    /// What is known of a place, by the hash of its way.
    pub fn known(&self, path: u64) -> Option<&Place> {
        self.places.get(usize::from(self.find(path)?))
    }

    /// Tells each place of an outline whose surroundings are known: its part, the place around it, and itself.
    fn compare(
        &self,
        outline: &Outline,
        mut tell: impl FnMut(PlaceId, Root, Option<&Place>, Option<&Place>),
    ) {
        // Which place of the schema each is.
        let mut met: SmallVec<[(PlaceId, Option<Root>); 64]> = SmallVec::new();
        let mut guess = NOWHERE;
        for (id, place) in (0..).zip(outline.places()) {
            let (root, around) = match place.step {
                Step::Root(root) => (Some(root).filter(|root| root.part != Part::Path), None),
                Step::Member | Step::Key | Step::Item => {
                    let (around, root) = met
                        .get(usize::from(place.parent))
                        .copied()
                        .unwrap_or((NOWHERE, None));
                    (
                        root.filter(|_| around != NOWHERE),
                        self.places.get(usize::from(around)),
                    )
                }
            };
            let Some(part) = root else {
                met.push((NOWHERE, None));
                continue;
            };
            let guessed = self
                .places
                .get(usize::from(guess))
                .is_some_and(|known| known.path == place.path);
            let at = if guessed {
                Some(guess)
            } else {
                self.find(place.path)
            };
            let known = at.and_then(|at| self.places.get(usize::from(at)));
            guess = known.map_or(NOWHERE, |known| known.next);
            tell(id, part, around, known);
            met.push((at.unwrap_or(NOWHERE), Some(part)));
        }
    }
}

/// Which places are maps. Asked about what is new only, so the tree is made when it is needed, and each place is judged
/// once: a hostile body has thousands of new names in one.
struct Maps<'a> {
    schema: &'a Schema,
    tree: Option<Tree<'a>>,
    /// By index of the place.
    judged: Vec<Option<bool>>,
}

impl<'a> Maps<'a> {
    const fn of(schema: &'a Schema) -> Self {
        Self {
            schema,
            tree: None,
            judged: Vec::new(),
        }
    }

    fn has(&mut self, place: &Place) -> bool {
        let schema = self.schema;
        let Some(at) = schema.find(place.path) else {
            return false;
        };
        let tree = self.tree.get_or_insert_with(|| Tree::of(schema));
        if self.judged.is_empty() {
            self.judged.resize(schema.places.len(), None);
        }
        match self.judged.get_mut(usize::from(at)) {
            Some(judged) => *judged.get_or_insert_with(|| tree.find(place.path).is_some_and(Branch::is_map)),
            None => false,
        }
    }
}

impl Place {
    /// How much is known about it.
    pub const fn norm(&self) -> Norm {
        Norm {
            messages: self.seen,
            span: self.last.saturating_sub(self.first),
        }
    }

    /// Whether it has a settled enumeration without that word.
    fn is_new_word(&self, hash: u64) -> bool {
        let words = self.words.as_ref();
        words.is_some_and(|words| words.is_settled(self.first, self.last) && !words.has(hash))
    }
}
