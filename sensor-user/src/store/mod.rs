//! The embedded store: what was learnt, in a file of SQLite that anyone can open.
//!
//! Takes observations and findings from the judge. Gives rows, one transaction per flush interval, written by a thread
//! of its own, and what stages learnt to the next run. Never blocks the judge, never holds an observed value. Bounded
//! by [`Bounds`] on disk, by the tally's and the writer's constants in memory. `docs/OUTPUT.md` describes the tables.

mod batch;
mod error;
mod moves;
mod open;
mod read;
mod remembered;
mod retain;
mod schemas;
mod statements;
mod states;
pub mod tables;
mod tally;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::detect::{Finding, Observation};
use crate::exchange::secret::KeyedHash;
use crate::export::ClockOffset;
use crate::inventory::schema::Schemas;
use crate::inventory::{Change, EndpointRef};
use crate::telemetry::{Counters, Metric};
use batch::Batch;
use remembered::{States, Turn};
use schemas::{Earlier, Waiting};
use tally::Tally;
use write::{Signs, Writer, number};

pub use error::StoreError;
pub use open::Whose;
pub use read::{Data, Filter, Found, Learnt, Reader, Resource, Row, Span};
pub use remembered::{Keyed, MAX_STATE, Prepared, Remembered, StateLabel, Unusable};
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
    /// Whether it may be moved aside and begun anew.
    pub whose: Whose,
    /// From times of exchanges to the calendar.
    pub clock: ClockOffset,
    /// Tells the installation's key from others.
    pub key: KeyedHash,
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
    waiting: Waiting,
    /// Reads what the run before left, until the first flush.
    before: Option<Connection>,
    /// States that their stages did not take back: the next flush sets them aside.
    unusable: Vec<&'static str>,
    settings: Settings,
    next_ns: Option<u64>,
    signs: Arc<Signs>,
    to_writer: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

/// Where stages lay down what they know.
#[derive(Debug)]
pub struct Offer<'a> {
    states: &'a mut States,
    waiting: &'a mut Waiting,
    schemas: Vec<(EndpointRef, Option<String>)>,
    turn: Turn,
    /// The file has nothing of what was laid down before.
    anew: bool,
}

impl Offer<'_> {
    /// A stage.
    pub fn stage(&mut self, stage: &dyn Remembered) {
        self.states.offer(stage, self.turn);
    }

    /// Schemas.
    pub fn schemas(&mut self, schemas: &Schemas) {
        if self.anew {
            for (endpoint, _) in schemas.sorted() {
                self.waiting.add(endpoint);
            }
        }
        self.schemas = self.waiting.take(schemas, self.turn);
        let bytes = |(_, text): &(_, Option<String>)| text.as_ref().map_or(0, String::len);
        self.states.spend(self.schemas.iter().map(bytes).sum());
    }
}

impl Store {
    /// Opens the store, or begins one, and starts its writer. A damaged one is moved aside, told and counted.
    pub fn open(path: &Path, settings: Settings, counters: &Arc<Counters>) -> Result<Self, StoreError> {
        let opened = open::to_write(path, settings.key, settings.whose)?;
        if let Some(aside) = &opened.damaged {
            counters.add(Metric::StoreDamaged, 1);
            tracing::error!(store = %path.display(), moved_to = %aside.display(), "the store is damaged: a new one is begun");
        }
        if opened.rekeyed {
            tracing::warn!(store = %path.display(), "the installation's key has changed: what was learnt with it begins anew");
        }
        let before = Some(open::to_read(path)?);
        let signs: Arc<Signs> = Arc::default();
        // One flush at a time: the judge sums up what comes meanwhile.
        let (to_writer, inbox) = sync_channel(1);
        let writer = Writer::new(opened, settings.bounds, Arc::clone(&signs), Arc::clone(counters));
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
            waiting: Waiting::default(),
            before,
            unusable: Vec::new(),
            settings,
            next_ns: None,
            signs,
            to_writer: Some(to_writer),
            thread: Some(thread),
            counters: Arc::clone(counters),
        })
    }

    /// Gives a stage back what it knew at the end of the run before. What it cannot use is told, counted and set aside,
    /// and the stage begins with nothing.
    pub fn recall(&mut self, stage: &mut dyn Remembered) {
        let label = stage.label();
        let state = match self.before.as_ref().map(|before| state(before, label.name)) {
            Some(Ok(Some(state))) => state,
            Some(Err(error)) => {
                self.counters.add(Metric::StoreStates, 1);
                tracing::warn!(store = %self.path.display(), stage = label.name, %error, "what was learnt cannot be read: this stage begins anew");
                return;
            }
            Some(Ok(None)) | None => return,
        };
        self.states.found(label.name, state.content.len());
        let loaded = if state.version == label.version {
            // A fault in reading would come again at each start.
            states::unpack(state.content).and_then(|content| {
                catch_unwind(AssertUnwindSafe(|| stage.load(&content))).unwrap_or(Err(Unusable::Fault))
            })
        } else {
            Err(Unusable::Version(state.version))
        };
        if let Err(error) = loaded {
            self.counters.add(Metric::StoreStates, 1);
            self.unusable.push(label.name);
            tracing::warn!(store = %self.path.display(), stage = label.name, %error, "what was learnt cannot be used, and is set aside: this stage begins anew");
        }
    }

    /// Gives schemas back. `known` are the endpoints that have been given back.
    pub fn recall_schemas<'a>(
        &mut self,
        schemas: &mut Schemas,
        known: impl Iterator<Item = &'a EndpointRef>,
    ) {
        let before = match self.before.as_ref().map(load_schemas) {
            Some(Ok(before)) => before,
            Some(Err(error)) => {
                self.counters.add(Metric::StoreStates, 1);
                tracing::warn!(store = %self.path.display(), %error, "schemas cannot be read: they are learnt anew");
                return;
            }
            None => return,
        };
        let known: HashSet<EndpointRef> = known.map(Arc::clone).collect();
        let unusable = before.unusable + before.restore(schemas, &known);
        if unusable > 0 {
            self.counters.add(Metric::StoreStates, unusable);
            tracing::warn!(store = %self.path.display(), endpoints = unusable, "schemas cannot be used: they are learnt anew");
        }
    }

    /// Counts an exchange with an endpoint; `confidence` is that of its template, in hundredths.
    pub fn exchange(&mut self, seen: &Observation<'_>, confidence: u8) {
        let at_ns = self.settings.clock.unix_ns(seen.exchange.request.time_ns.0);
        self.tally.exchange(seen, confidence, at_ns);
    }

    /// Counts an exchange with what is no endpoint.
    pub fn probe(&mut self, seen: &Observation<'_>) {
        let at_ns = self.settings.clock.unix_ns(seen.exchange.request.time_ns.0);
        self.tally.probe(seen, at_ns);
    }

    /// Goes along with a correction of the inventory: rows go where the endpoint is, those of a forgotten one go unless
    /// something was found there.
    pub fn follow(&mut self, change: &Change) {
        if let Change::Renamed { into, .. } | Change::Merged { into, .. } = change {
            self.waiting.add(into);
        }
        self.tally.follow(change);
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

    /// Hands the sums to the writer, with what `lay` lays down of what stages know: one transaction. Left out and counted
    /// when the writer is not done with the last.
    pub fn flush(&mut self, now_ns: u64, lay: impl FnOnce(&mut Offer<'_>)) {
        self.hand_over(now_ns, Turn::Some, lay);
    }

    /// Writes what is left and waits for it.
    pub fn finish(&mut self, now_ns: u64, lay: impl FnOnce(&mut Offer<'_>)) {
        self.settings.pace = Pace::Replay;
        self.hand_over(now_ns, Turn::All, lay);
        self.to_writer = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(store = %self.path.display(), "the store's writer failed");
        }
    }

    fn hand_over(&mut self, now_ns: u64, turn: Turn, lay: impl FnOnce(&mut Offer<'_>)) {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            self.lose_writer();
        }
        let Some(to_writer) = &self.to_writer else {
            return;
        };
        if self.settings.pace == Pace::Live && self.signs.busy.load(Ordering::Acquire) {
            return self.counters.add(Metric::StoreSkipped, 1);
        }
        // Who was to have it back has it.
        self.before = None;
        self.states.begin();
        let mut batch = self.tally.take(self.settings.clock.unix_ns(now_ns));
        batch
            .endpoints
            .iter()
            .for_each(|(endpoint, _)| self.waiting.add(endpoint));
        let anew = self.signs.lost.swap(false, Ordering::AcqRel);
        let mut offer = Offer {
            states: &mut self.states,
            waiting: &mut self.waiting,
            schemas: Vec::new(),
            turn,
            anew,
        };
        lay(&mut offer);
        batch.schemas = offer.schemas;
        batch.laid = self.states.take();
        batch.unusable = std::mem::take(&mut self.unusable);
        self.signs.busy.store(true, Ordering::Release);
        // The channel has room when the writer is not busy; otherwise this is a replay, which waits.
        if to_writer.send(batch).is_err() {
            self.lose_writer();
        }
    }

    /// Its thread ended, by a fault of its own.
    fn lose_writer(&mut self) {
        if self.to_writer.take().is_some() {
            self.counters.add(Metric::StoreLost, 1);
            tracing::error!(store = %self.path.display(), "the store's writer is gone: nothing more is kept until the sensor is started again");
        }
    }
}

/// What a stage of the run before left, unless it is beyond [`MAX_STATE`].
fn state(before: &Connection, name: &str) -> Result<Option<State>, rusqlite::Error> {
    let state = "SELECT version, content FROM state WHERE name = ?1 AND length(content) <= ?2";
    let state = before.query_row(state, params![name, number(MAX_STATE as u64)], |row| {
        Ok(State {
            version: read::small(row, 0)?,
            content: row.get_ref(1)?.as_bytes().unwrap_or_default().to_vec(),
        })
    });
    state.optional()
}

/// A state of the run before.
struct State {
    version: u32,
    content: Vec<u8>,
}

/// Those seen last first: where there is no room for all, these have it.
fn load_schemas(connection: &Connection) -> Result<Earlier, rusqlite::Error> {
    let mut found = connection.prepare(
        "SELECT kind, method, host, template, operation, content FROM schemas JOIN endpoints ON id = endpoint ORDER BY last_seen DESC, id",
    )?;
    let mut rows = found.query([])?;
    let mut earlier = Earlier::default();
    while let Some(row) = rows.next()? {
        match (
            read::endpoint(row, 0)?,
            read::text(row, 5)?.and_then(|text| schemas::read(&text)),
        ) {
            (Some(endpoint), Some(schema)) => earlier.all.push((endpoint, schema)),
            _ => earlier.unusable += 1,
        }
    }
    Ok(earlier)
}
