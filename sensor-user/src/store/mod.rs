//! The embedded store: what was learnt, in a file of SQLite that anyone can open.
//!
//! Takes observations and findings from the judge. Gives rows, one transaction per flush interval, written by a thread
//! of its own, and what stages learnt to the next run. Never blocks the judge, never holds an observed value. Bounded
//! by [`Bounds`] on disk, by the tally's and the writer's constants in memory. `docs/OUTPUT.md` describes the tables.

mod batch;
mod error;
mod open;
mod read;
mod remembered;
mod retain;
pub mod tables;
mod tally;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::detect::{Finding, Observation};
use crate::export::ClockOffset;
use crate::telemetry::{Counters, Metric};
use batch::Batch;
use tally::Tally;
use write::{Writer, number};

pub use error::StoreError;
pub use read::{Data, Filter, Found, Reader, Resource, Row, Span};
pub use remembered::{MAX_STATE, Remembered, States, Unusable};
pub use retain::Bounds;

/// Name of the store in the state directory.
pub const FILE: &str = "store.sqlite3";

/// How a store is kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Time between two flushes: what a kill may cost.
    pub interval_ns: u64,
    /// Age and size.
    pub bounds: Bounds,
    /// What to do when the writer is not done with the flush before.
    pub pace: Pace,
    /// From times of exchanges to the calendar.
    pub clock: ClockOffset,
}

/// Whether traffic waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// It does not: a flush for which the writer has no time is left out, counted, and goes with the next.
    Live,
    /// A recording can wait.
    Replay,
}

/// The judge's end of the store.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    tally: Tally,
    states: States,
    saved: Vec<Loaded>,
    settings: Settings,
    next_ns: Option<u64>,
    /// The writer has something to do.
    busy: Arc<AtomicBool>,
    to_writer: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

/// A state of the run before.
#[derive(Debug)]
struct Loaded {
    name: String,
    version: u32,
    content: Vec<u8>,
}

impl Store {
    /// Opens the store, or begins one, and starts its writer. A damaged one is moved aside, told and counted.
    pub fn open(path: &Path, settings: Settings, counters: &Arc<Counters>) -> Result<Self, StoreError> {
        let opened = open::to_write(path)?;
        if let Some(aside) = &opened.damaged {
            counters.add(Metric::StoreDamaged, 1);
            tracing::error!(store = %path.display(), moved_to = %aside.display(), "the store is damaged: a new one is begun");
        }
        let refused = |source| StoreError::Sqlite {
            path: path.to_owned(),
            source,
        };
        let saved = load(&opened.connection).map_err(refused)?;
        let busy = Arc::new(AtomicBool::new(false));
        // One flush at a time: the judge sums up what comes meanwhile.
        let (to_writer, inbox) = sync_channel(1);
        let writer = Writer::new(opened, settings.bounds, Arc::clone(&busy), Arc::clone(counters));
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(|source| StoreError::File {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            path: path.to_owned(),
            tally: Tally::new(Arc::clone(counters)),
            states: States::default(),
            saved,
            settings,
            next_ns: None,
            busy,
            to_writer: Some(to_writer),
            thread: Some(thread),
            counters: Arc::clone(counters),
        })
    }

    /// Gives a stage back what it knew at the end of the run before; without that it begins with nothing.
    pub fn recall<R: Remembered>(&mut self, stage: &mut R) {
        let Some(at) = self.saved.iter().position(|saved| saved.name == R::NAME) else {
            return;
        };
        let saved = self.saved.swap_remove(at);
        if let Err(error) = stage.load(saved.version, &saved.content) {
            tracing::warn!(store = %self.path.display(), stage = R::NAME, %error, "what was learnt cannot be used: this stage begins anew");
        }
    }

    /// Counts an exchange.
    pub fn exchange(&mut self, seen: &Observation<'_>) {
        let at_ns = self.settings.clock.unix_ns(seen.exchange.request.time_ns.0);
        self.tally.exchange(seen, at_ns);
    }

    /// Counts a finding of an exchange that was counted.
    pub fn finding(&mut self, finding: &Finding) {
        let at_ns = self.settings.clock.unix_ns(finding.time_ns);
        self.tally.finding(finding, at_ns);
    }

    /// Lets time pass; whether a flush is due. The first is one interval after the first call.
    pub fn is_due(&mut self, now_ns: u64) -> bool {
        let next = *self
            .next_ns
            .get_or_insert_with(|| now_ns.saturating_add(self.settings.interval_ns));
        if now_ns < next {
            return false;
        }
        self.next_ns = Some(now_ns.saturating_add(self.settings.interval_ns));
        !self.tally.is_empty()
    }

    /// Hands the sums to the writer, with what `offer` offers of stages' states. Left out and counted when the writer is
    /// not done with the last.
    pub fn flush(&mut self, now_ns: u64, offer: impl FnOnce(&mut States)) {
        let Some(to_writer) = &self.to_writer else {
            return;
        };
        if self.settings.pace == Pace::Live && self.busy.load(Ordering::Acquire) {
            return self.counters.add(Metric::StoreSkipped, 1);
        }
        offer(&mut self.states);
        let mut batch = self.tally.take(self.settings.clock.unix_ns(now_ns));
        batch.states = self.states.take();
        self.busy.store(true, Ordering::Release);
        // The channel has room when the writer is not busy; otherwise this is a replay, which waits.
        if to_writer.send(batch).is_err() {
            self.counters.add(Metric::StoreLost, 1);
            tracing::error!(store = %self.path.display(), "the store's writer is gone: nothing more is kept");
            self.to_writer = None;
        }
    }

    /// Writes what is left and waits for it.
    pub fn finish(&mut self, now_ns: u64, offer: impl FnOnce(&mut States)) {
        self.settings.pace = Pace::Replay;
        self.states.all = true;
        self.flush(now_ns, offer);
        self.to_writer = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(store = %self.path.display(), "the store's writer failed");
        }
    }
}

/// Reads the states of the run before; ones beyond [`MAX_STATE`] are left where they are.
fn load(connection: &rusqlite::Connection) -> Result<Vec<Loaded>, rusqlite::Error> {
    let mut found = connection.prepare("SELECT CAST(name AS TEXT), CAST(version AS INTEGER), CAST(content AS BLOB) FROM state WHERE length(content) <= ?1")?;
    let rows = found.query_map([number(MAX_STATE as u64)], |row| {
        Ok(Loaded {
            name: row.get(0)?,
            version: u32::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
            content: row.get(2)?,
        })
    })?;
    rows.collect()
}
