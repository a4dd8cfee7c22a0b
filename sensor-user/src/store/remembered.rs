//! What stages learnt, kept for the next run.
//!
//! Takes a stage. Gives what makes bytes of it that only the stage itself understands, and the stage back from them.
//! Never keeps an observed value: that is the stage's own law. Bounded by [`MAX_STATE`] and [`EACH_FLUSH`].

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustc_hash::FxHashMap;

use super::batch::Laid;
use crate::callers::Callers;
use crate::detect::baseline::{self, Baseline};
use crate::detect::objects::{self, Objects};
use crate::incident::alerts::Alerts;
use crate::inventory::Inventory;
use crate::{callers, incident, inventory};

/// Bytes of one state, before they are packed. More is not saved, and told. Objects at their bounds take 160 MB, callers at
/// theirs with four tokens each 100 MB.
pub const MAX_STATE: usize = 256 << 20;
/// Bytes of states and schemas in each flush, on average: a state that is larger uses up the allowance of as many flushes
/// as it has of these. By default that is 9 GB a day at most, and as much again for the log they go through.
pub(super) const EACH_FLUSH: usize = 1 << 20;
/// Of them for schemas, at most.
pub(super) const SCHEMAS: usize = EACH_FLUSH / 2;
/// Bytes of a state that goes with each flush, whatever others take.
const SMALL: usize = EACH_FLUSH / 16;

/// Makes the bytes of a state, on the writer's thread.
pub type Prepared = Box<dyn FnOnce(&mut dyn Write) -> Result<(), Unusable> + Send>;

/// A stage whose knowledge outlives the process.
pub trait Remembered {
    /// How it is kept.
    fn label(&self) -> StateLabel;

    /// What it knows, copied as it is: bytes are made of it later, elsewhere. The same knowledge gives the same bytes.
    fn prepare(&self) -> Prepared;

    /// The same at once.
    fn save(&self) -> Result<Vec<u8>, Unusable> {
        let mut content = Vec::new();
        self.prepare()(&mut content)?;
        Ok(content)
    }

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
    /// The stage failed while it read it: what it knew before is all it knows.
    #[error("reading it failed, which is a fault of the sensor")]
    Fault,
    /// Larger than [`MAX_STATE`], or cut.
    #[error("it cannot be unpacked")]
    Packed,
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

            fn prepare(&self) -> Prepared {
                let known = $save(self);
                Box::new(move |out| serde_json::to_writer(out, &known).map_err(Unusable::Content))
            }

            fn load(&mut self, content: &[u8]) -> Result<(), Unusable> {
                let saved = serde_json::from_slice(content).map_err(Unusable::Content)?;
                $load(self, saved)
            }
        }
    )*};
}

// Times in them are the calendar's; those of an earlier version were on a clock that began at boot.
remembered! {
    // Hashes of another key are let go by the inventory itself: endpoints outlive a change of keys.
    Inventory = "inventory", 3, No, Inventory::snapshot, |stage: &mut Inventory, saved: inventory::State| {
        stage.restore(saved).map_err(refused)
    };
    Callers = "callers", 2, UntilRotated, Callers::snapshot, load_callers;
    Baseline = "baseline", 3, Wholly, Baseline::snapshot, load_baseline;
    Objects = "objects", 3, Wholly, Objects::snapshot, load_objects;
    Alerts = "incidents", 3, Wholly, Alerts::snapshot, |stage: &mut Alerts, saved: incident::Snapshot| {
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

/// Chooses which states go with a flush: all small ones, and of the others the one that waits longest, when the allowance
/// of the flushes before paid for the last.
#[derive(Default, Debug)]
pub(super) struct States {
    known: FxHashMap<&'static str, Slot>,
    chosen: Vec<Laid>,
    /// Bytes that went beyond the allowance.
    debt: usize,
    flushes: u64,
}

#[derive(Default, Debug)]
struct Slot {
    /// What it had in the file last; 0 while nothing is known. The writer tells.
    bytes: Arc<AtomicUsize>,
    /// Flush that it went with last.
    taken: u64,
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
    /// So many bytes were found in the file.
    pub(super) fn found(&mut self, name: &'static str, bytes: usize) {
        self.known
            .entry(name)
            .or_default()
            .bytes
            .store(bytes, Ordering::Relaxed);
    }

    /// Another flush.
    pub(super) fn begin(&mut self) {
        self.flushes += 1;
        self.debt = self.debt.saturating_sub(EACH_FLUSH);
    }

    /// Others use the allowance, too.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.debt = self.debt.saturating_add(bytes);
    }

    /// Takes what a stage knows, if it is its turn.
    pub(super) fn offer(&mut self, stage: &dyn Remembered, turn: Turn) {
        let label = stage.label();
        if turn == Turn::Some && !self.is_turn(label.name) {
            return;
        }
        let slot = self.known.entry(label.name).or_default();
        slot.taken = self.flushes;
        let bytes = Arc::clone(&slot.bytes);
        self.spend(bytes.load(Ordering::Relaxed));
        self.chosen.push(Laid {
            label,
            write: stage.prepare(),
            bytes,
        });
    }

    fn is_turn(&self, name: &str) -> bool {
        let size = |slot: &Slot| slot.bytes.load(Ordering::Relaxed);
        let Some(own) = self.known.get(name).filter(|own| size(own) > SMALL) else {
            return true;
        };
        let large = self.known.iter().filter(|(_, slot)| size(slot) > SMALL);
        let mut others = large.map(|(name, slot)| (slot.taken, *name));
        self.debt <= EACH_FLUSH / 2 && others.all(|other| other >= (own.taken, name))
    }

    pub(super) fn take(&mut self) -> Vec<Laid> {
        std::mem::take(&mut self.chosen)
    }
}
