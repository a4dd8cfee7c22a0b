//! What stages learnt, kept for the next run.
//!
//! Takes a stage. Gives bytes that only the stage itself understands, and the stage back from them. Never keeps an
//! observed value: that is the stage's own law. Bounded by [`MAX_STATE`] and [`EACH_FLUSH`].

use std::hash::{Hash as _, Hasher as _};

use rustc_hash::{FxHashMap, FxHasher};

use super::batch::Saved;
use crate::inventory::Inventory;

/// Bytes of one state. More is not saved, and told.
pub const MAX_STATE: usize = 64 << 20;
/// Bytes of a state that are saved at each flush; larger ones wait as many flushes as they have of these, so that a
/// large memory does not wear a disk out.
const EACH_FLUSH: usize = 256 << 10;

/// A stage whose knowledge outlives the process.
pub trait Remembered {
    /// Name of its row. Permanent.
    const NAME: &'static str;
    /// Version of its format.
    const VERSION: u32;

    /// What it knows. The same knowledge gives the same bytes.
    fn save(&self) -> Vec<u8>;

    /// Takes back what was saved; what cannot be used changes nothing.
    fn load(&mut self, version: u32, content: &[u8]) -> Result<(), Unusable>;
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
}

impl Remembered for Inventory {
    const NAME: &'static str = "inventory";
    const VERSION: u32 = 1;

    fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&self.snapshot()).unwrap_or_default()
    }

    fn load(&mut self, version: u32, content: &[u8]) -> Result<(), Unusable> {
        if version != Self::VERSION {
            return Err(Unusable::Version(version));
        }
        let snapshot = serde_json::from_slice(content).map_err(Unusable::Content)?;
        self.restore(snapshot);
        Ok(())
    }
}

/// Chooses which states go with a flush.
#[derive(Default, Debug)]
pub struct States {
    known: FxHashMap<&'static str, Pace>,
    chosen: Vec<Saved>,
    /// Every one is due: it is the last flush.
    pub(super) all: bool,
}

#[derive(Default, Debug)]
struct Pace {
    /// Of what was saved last.
    print: u64,
    /// Flushes to wait.
    wait: usize,
}

impl States {
    /// Offers the state of a stage.
    pub fn offer<R: Remembered>(&mut self, stage: &R) {
        let pace = self.known.entry(R::NAME).or_default();
        if pace.wait > 0 && !self.all {
            pace.wait -= 1;
            return;
        }
        let content = stage.save();
        pace.wait = content.len() / EACH_FLUSH;
        let print = print(&content);
        if print == pace.print {
            return;
        }
        if content.len() > MAX_STATE {
            tracing::warn!(
                stage = R::NAME,
                bytes = content.len(),
                "what was learnt is too large to be kept"
            );
            return;
        }
        pace.print = print;
        self.chosen.push(Saved {
            name: R::NAME,
            version: R::VERSION,
            content,
        });
    }

    pub(super) fn take(&mut self) -> Vec<Saved> {
        std::mem::take(&mut self.chosen)
    }
}

/// Tells equal states; one that is taken for the one before goes with the next flush.
fn print(content: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    content.hash(&mut hasher);
    hasher.finish() | 1
}
