//! A schema as the store keeps it.
//!
//! Takes a schema or what was stored of one. Gives the other. Never trusts what was stored: places are checked as if
//! they came from the network. No word goes with it that fewer callers used than may be shown. Bounded by
//! [`MAX_MERGED`] places.

use serde::{Deserialize, Serialize};

use crate::classify::outline::{Facts, Looks, Magnitude, NOWHERE, Root, Step};

use super::place::Place;
use super::words::{MAX_WORDS, Words};
use super::{MAX_MERGED, MAX_STATUSES, Schema};

/// Format of what is stored; another one is not read.
const VERSION: u16 = 2;
/// Longest name and word that are shown.
const MAX_TEXT: usize = 40;

/// A schema to be serialised.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    version: u16,
    requests: u32,
    accepted: u32,
    first: u32,
    last: u32,
    left_out: u32,
    pruned: u32,
    truncated: bool,
    statuses: Vec<(u16, u32)>,
    places: Vec<StoredPlace>,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[stored schema, {} places]", self.places.len())
    }
}

/// Why something stored is no schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unusable {
    /// It was written by another version.
    #[error("a schema of version {0}, which is not read")]
    Version(u16),
    /// It is not what was written.
    #[error("a schema that is damaged")]
    Damaged,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredPlace {
    path: u64,
    parent: Option<u16>,
    step: StoredStep,
    name: Box<str>,
    looks: u32,
    sensitive: u32,
    count: u32,
    nulls: u32,
    length: (u16, u16),
    size: (i16, i16),
    seen: u32,
    first: u32,
    last: u32,
    words: Option<Words>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum StoredStep {
    Root(u32),
    Member,
    Key,
    Item,
}

impl Schema {
    /// Everything that was learnt, but words that may not be shown.
    pub fn store(&self) -> Stored {
        Stored {
            version: VERSION,
            requests: self.requests,
            accepted: self.accepted,
            first: self.first,
            last: self.last,
            left_out: self.left_out,
            pruned: self.pruned,
            truncated: self.truncated,
            statuses: self.statuses.clone(),
            places: self.places.iter().map(store_place).collect(),
        }
    }

    /// What was stored.
    pub fn restore(stored: Stored) -> Result<Self, Unusable> {
        if stored.version != VERSION {
            return Err(Unusable::Version(stored.version));
        }
        let ascending = stored
            .statuses
            .windows(2)
            .all(|pair| matches!(pair, [(one, _), (next, _)] if one < next));
        if stored.places.len() > MAX_MERGED || stored.statuses.len() > MAX_STATUSES || !ascending {
            return Err(Unusable::Damaged);
        }
        let mut schema = Self {
            requests: stored.requests,
            accepted: stored.accepted,
            first: stored.first,
            last: stored.last,
            left_out: stored.left_out,
            pruned: stored.pruned,
            truncated: stored.truncated,
            statuses: stored.statuses,
            ..Self::default()
        };
        for (at, place) in stored.places.into_iter().enumerate() {
            let place = restore_place(place, at).ok_or(Unusable::Damaged)?;
            if schema.find(place.path).is_some() {
                return Err(Unusable::Damaged);
            }
            schema.add(place);
        }
        Ok(schema)
    }
}

fn store_place(place: &Place) -> StoredPlace {
    let facts = &place.facts;
    StoredPlace {
        path: place.path,
        parent: (place.parent != NOWHERE).then_some(place.parent),
        step: match place.step {
            Step::Root(root) => StoredStep::Root(root.code()),
            Step::Member => StoredStep::Member,
            Step::Key => StoredStep::Key,
            Step::Item => StoredStep::Item,
        },
        name: place.name.clone(),
        looks: facts.looks.0,
        sensitive: facts.sensitive,
        count: facts.count,
        nulls: facts.nulls,
        length: facts.length,
        size: (facts.size.0.0, facts.size.1.0),
        seen: place.seen,
        first: place.first,
        last: place.last,
        words: place.words.as_deref().map(Words::withheld),
    }
}

/// `at` places stand before it. Nothing that is no place.
fn restore_place(stored: StoredPlace, at: usize) -> Option<Place> {
    let step = match stored.step {
        StoredStep::Root(code) => Step::Root(Root::of_code(code)?),
        StoredStep::Member => Step::Member,
        StoredStep::Key => Step::Key,
        StoredStep::Item => Step::Item,
    };
    let placed = match (step, stored.parent) {
        (Step::Root(_), None) => true,
        (Step::Root(_), Some(_)) | (_, None) => false,
        (_, Some(parent)) => usize::from(parent) < at,
    };
    let shown = |text: &str| text.len() <= MAX_TEXT && text.is_ascii();
    let words = stored.words.as_ref().is_none_or(|words| {
        let ascending = words
            .0
            .windows(2)
            .all(|pair| matches!(pair, [one, next] if one.hash < next.hash));
        ascending && words.0.len() <= MAX_WORDS && words.0.iter().all(|word| shown(&word.text))
    });
    if !placed || !words || !shown(&stored.name) {
        return None;
    }
    Some(Place {
        path: stored.path,
        parent: stored.parent.unwrap_or(NOWHERE),
        next: NOWHERE,
        step,
        name: stored.name,
        facts: Facts {
            looks: Looks(stored.looks),
            sensitive: stored.sensitive,
            count: stored.count,
            nulls: stored.nulls,
            length: stored.length,
            size: (Magnitude(stored.size.0), Magnitude(stored.size.1)),
        },
        seen: stored.seen,
        first: stored.first,
        last: stored.last,
        words: stored.words.map(Box::new),
    })
}
