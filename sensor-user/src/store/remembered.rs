//! What stages learnt, kept for the next run.
//!
//! Takes a stage. Gives bytes that only the stage itself understands, and the stage back from them. Never keeps an
//! observed value: that is the stage's own law. Bounded by [`MAX_STATE`] and [`EACH_FLUSH`].

use std::error::Error;
use std::hash::{Hash as _, Hasher as _};

use rustc_hash::{FxHashMap, FxHasher};

use super::batch::Saved;
use crate::callers::Callers;
use crate::detect::baseline::{self, Baseline};
use crate::detect::objects::{self, Objects};
use crate::incident::alerts::Alerts;
use crate::inventory::Inventory;
use crate::telemetry::{Counters, Metric};
use crate::{callers, incident, inventory};

/// Bytes of one state. More is not saved, and told. A caller with one token takes 361, each token more about 130: this is
/// for all the callers that there can be, with four tokens each.
pub const MAX_STATE: usize = 128 << 20;
/// Part of the file's bound that one state may have: the rest is for rows.
const SHARE: u64 = 2;
/// Bytes of a state that are saved at each flush; larger ones wait as many flushes as they have of these. By default that
/// is 9 GB a day at most, which a disk of today bears for decades, and a hundredth of the judge's time.
pub(super) const EACH_FLUSH: usize = 1 << 20;

/// A stage whose knowledge outlives the process.
pub trait Remembered {
    /// How it is kept.
    fn label(&self) -> StateLabel;

    /// What it knows. The same knowledge gives the same bytes.
    fn save(&self) -> Result<Vec<u8>, Unusable>;

    /// Takes back what was saved by this version; what cannot be used changes nothing.
    fn load(&mut self, content: &[u8]) -> Result<(), Unusable>;
}

/// How a state is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateLabel {
    /// Name of its row. Permanent.
    pub name: &'static str,
    /// Version of its format; another one is not read.
    pub version: u32,
    /// What a change of the installation's key does to it.
    pub keyed: Keyed,
}

/// What a change of the installation's key does to a state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Keyed {
    /// Nothing: it holds no hash.
    No = 0,
    /// It goes, unless the key before is known.
    UntilRotated = 1,
    /// It goes.
    Wholly = 2,
}

/// Why a saved state is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// Of another version.
    #[error("its format has version {0}")]
    Version(u32),
    /// Not what was saved.
    #[error("it is not what was saved")]
    Content(#[source] serde_json::Error),
    /// The stage says no.
    #[error(transparent)]
    Refused(Box<dyn Error + Send + Sync>),
}

/// Another stage is another line: its type, its name, the version of its format, what a change of the key does to it,
/// how what it knows becomes plain values, and how it takes them back.
macro_rules! remembered {
    ($($stage:ty = $name:literal, $version:literal, $keyed:ident, $save:expr, $load:expr;)*) => {$(
        impl Remembered for $stage {
            fn label(&self) -> StateLabel {
                StateLabel { name: $name, version: $version, keyed: Keyed::$keyed }
            }

            fn save(&self) -> Result<Vec<u8>, Unusable> {
                serde_json::to_vec(&$save(self)).map_err(Unusable::Content)
            }

            fn load(&mut self, content: &[u8]) -> Result<(), Unusable> {
                let saved = serde_json::from_slice(content).map_err(Unusable::Content)?;
                $load(self, saved)
            }
        }
    )*};
}

remembered! {
    Inventory = "inventory", 1, No, Inventory::snapshot, |stage: &mut Inventory, saved: inventory::Snapshot| {
        stage.restore(saved);
        Ok(())
    };
    Callers = "callers", 1, UntilRotated, Callers::snapshot, load_callers;
    Baseline = "baseline", 1, Wholly, Baseline::snapshot, load_baseline;
    Objects = "objects", 1, Wholly, Objects::snapshot, load_objects;
    Alerts = "incidents", 1, Wholly, Alerts::snapshot, |stage: &mut Alerts, saved: incident::Snapshot| {
        stage.resume(saved).map_err(refused)
    };
}

fn load_callers(stage: &mut Callers, saved: callers::Snapshot) -> Result<(), Unusable> {
    *stage = Callers::restore(stage.limits(), saved).map_err(refused)?;
    Ok(())
}

fn load_baseline(stage: &mut Baseline, saved: baseline::Snapshot) -> Result<(), Unusable> {
    *stage = Baseline::restore(saved).map_err(refused)?;
    Ok(())
}

fn load_objects(stage: &mut Objects, saved: objects::Snapshot) -> Result<(), Unusable> {
    *stage = Objects::restore(saved).map_err(refused)?;
    Ok(())
}

fn refused(error: impl Error + Send + Sync + 'static) -> Unusable {
    Unusable::Refused(Box::new(error))
}

/// Chooses which states go with a flush.
#[derive(Debug)]
pub(super) struct States {
    known: FxHashMap<&'static str, Pace>,
    chosen: Vec<Saved>,
    most: usize,
}

#[derive(Default, Debug)]
struct Pace {
    /// Of what was saved last; 0 for nothing.
    print: u64,
    /// Flushes to wait.
    wait: usize,
    /// It was told that it is too large.
    told: bool,
}

/// Which states are offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// Those whose turn it is.
    Some,
    /// Every one: it is the last flush.
    All,
}

impl States {
    /// For a file of at most so many bytes.
    pub(super) fn new(max_bytes: u64) -> Self {
        let share = usize::try_from(max_bytes / SHARE).unwrap_or(usize::MAX);
        Self {
            known: FxHashMap::default(),
            chosen: Vec::new(),
            most: share.min(MAX_STATE),
        }
    }

    /// Takes the state of a stage, if it is its turn and there is something new.
    pub(super) fn offer(&mut self, stage: &dyn Remembered, turn: Turn, counters: &Counters) {
        let StateLabel { name, version, keyed } = stage.label();
        let pace = self.known.entry(name).or_default();
        if pace.wait > 0 && turn == Turn::Some {
            pace.wait -= 1;
            return;
        }
        let content = match stage.save() {
            Ok(content) if content.len() <= self.most => content,
            refused => return pace.refuse(name, &refused, counters),
        };
        pace.wait = content.len() / EACH_FLUSH;
        let print = print(&content);
        if print == pace.print {
            return;
        }
        pace.print = print;
        self.chosen.push(Saved {
            name,
            version,
            keyed,
            content,
        });
    }

    /// What was saved is not in the file: all of it goes again.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    #[cfg(test)]
    pub(super) fn chosen(&self) -> usize {
        self.chosen.len()
    }

    pub(super) fn take(&mut self) -> Vec<Saved> {
        std::mem::take(&mut self.chosen)
    }
}

impl Pace {
    fn refuse(&mut self, stage: &str, refused: &Result<Vec<u8>, Unusable>, counters: &Counters) {
        let bytes = refused.as_ref().map_or(0, Vec::len);
        self.wait = bytes / EACH_FLUSH;
        counters.add(Metric::StoreStates, 1);
        if !self.told {
            self.told = true;
            let error = refused.as_ref().err().map(ToString::to_string);
            tracing::warn!(
                stage,
                bytes,
                error,
                "what was learnt is too large to be kept, or cannot be written: raise store.max_bytes"
            );
        }
    }
}

/// Tells equal states; one that is taken for the one before goes with the next flush.
fn print(content: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    content.hash(&mut hasher);
    hasher.finish() | 1
}
