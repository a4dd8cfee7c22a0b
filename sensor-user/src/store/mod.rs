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
mod schemas;
pub mod tables;
mod tally;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::detect::{Finding, Observation};
use crate::exchange::secret::KeyedHash;
use crate::export::ClockOffset;
use crate::inventory::schema::Schemas;
use crate::inventory::{Endpoint, EndpointRef};
use crate::telemetry::{Counters, Metric};
use batch::Batch;
use remembered::{States, Turn};
use schemas::{Earlier, Waiting};
use tally::Tally;
use write::{Signs, Writer, number};

pub use error::StoreError;
pub use read::{Data, Filter, Found, Learnt, Reader, Resource, Row, Span};
pub use remembered::{Keyed, MAX_STATE, Remembered, StateLabel, Unusable};
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
    before: Before,
    /// States that their stages did not take back: the next flush sets them aside.
    unusable: Vec<&'static str>,
    settings: Settings,
    next_ns: Option<u64>,
    signs: Arc<Signs>,
    to_writer: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

/// What the run before left.
#[derive(Debug)]
struct Before {
    states: Vec<State>,
    schemas: Earlier,
}

/// A state of the run before.
struct State {
    name: String,
    version: u32,
    content: Vec<u8>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {} bytes]", self.name, self.content.len())
    }
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
    counters: &'a Counters,
}

impl Offer<'_> {
    /// A stage.
    pub fn stage(&mut self, stage: &dyn Remembered) {
        self.states.offer(stage, self.turn, self.counters);
    }

    /// Schemas.
    pub fn schemas(&mut self, schemas: &Schemas) {
        if self.anew {
            for (endpoint, _) in schemas.sorted() {
                self.waiting.add(endpoint);
            }
        }
        self.schemas = self.waiting.take(schemas, self.turn);
    }
}

impl Store {
    /// Opens the store, or begins one, and starts its writer. A damaged one is moved aside, told and counted.
    pub fn open(path: &Path, settings: Settings, counters: &Arc<Counters>) -> Result<Self, StoreError> {
        let opened = open::to_write(path, settings.key)?;
        if let Some(aside) = &opened.damaged {
            counters.add(Metric::StoreDamaged, 1);
            tracing::error!(store = %path.display(), moved_to = %aside.display(), "the store is damaged: a new one is begun");
        }
        if opened.rekeyed {
            tracing::warn!(store = %path.display(), "the installation's key has changed: what was learnt with it begins anew");
        }
        let refused = |source| StoreError::Sqlite {
            path: path.to_owned(),
            source,
        };
        let before = load(&opened.connection).map_err(refused)?;
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
            states: States::new(settings.bounds.max_bytes),
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
        let named = |state: &State| state.name == label.name;
        let Some(at) = self.before.states.iter().position(named) else {
            return;
        };
        let state = self.before.states.swap_remove(at);
        let loaded = if state.version == label.version {
            stage.load(&state.content)
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
        let before = std::mem::take(&mut self.before.schemas);
        if before.unusable > 0 {
            self.counters.add(Metric::StoreStates, before.unusable);
            tracing::warn!(store = %self.path.display(), endpoints = before.unusable, "schemas cannot be used: they are learnt anew");
        }
        let known: HashSet<EndpointRef> = known.map(Arc::clone).collect();
        before.restore(schemas, &known);
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
        let Some(to_writer) = &self.to_writer else {
            return;
        };
        if self.settings.pace == Pace::Live && self.signs.busy.load(Ordering::Acquire) {
            return self.counters.add(Metric::StoreSkipped, 1);
        }
        // Who was to have it back has it.
        self.before.states = Vec::new();
        let mut batch = self.tally.take(self.settings.clock.unix_ns(now_ns));
        batch
            .endpoints
            .iter()
            .for_each(|(endpoint, _)| self.waiting.add(endpoint));
        let anew = self.signs.lost.swap(false, Ordering::AcqRel);
        if anew {
            self.states.forget();
        }
        let mut offer = Offer {
            states: &mut self.states,
            waiting: &mut self.waiting,
            schemas: Vec::new(),
            turn,
            anew,
            counters: &self.counters,
        };
        lay(&mut offer);
        batch.schemas = offer.schemas;
        batch.states = self.states.take();
        batch.unusable = std::mem::take(&mut self.unusable);
        self.signs.busy.store(true, Ordering::Release);
        // The channel has room when the writer is not busy; otherwise this is a replay, which waits.
        if to_writer.send(batch).is_err() {
            self.counters.add(Metric::StoreLost, 1);
            tracing::error!(store = %self.path.display(), "the store's writer is gone: nothing more is kept");
            self.to_writer = None;
        }
    }
}

/// Reads what the run before left; states beyond [`MAX_STATE`] are left where they are.
fn load(connection: &rusqlite::Connection) -> Result<Before, rusqlite::Error> {
    let mut states = connection.prepare("SELECT CAST(name AS TEXT), CAST(version AS INTEGER), CAST(content AS BLOB) FROM state WHERE length(content) <= ?1")?;
    let states = states.query_map([number(MAX_STATE as u64)], |row| {
        Ok(State {
            name: row.get(0)?,
            version: u32::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
            content: row.get(2)?,
        })
    })?;
    let states = states.collect::<Result<_, _>>()?;
    Ok(Before {
        states,
        schemas: load_schemas(connection)?,
    })
}

/// Those seen last first: where there is no room for all, these have it.
fn load_schemas(connection: &rusqlite::Connection) -> Result<Earlier, rusqlite::Error> {
    let mut found = connection.prepare(
        "SELECT CAST(method AS TEXT), CAST(host AS TEXT), CAST(template AS TEXT), CAST(content AS TEXT) \
         FROM schemas JOIN endpoints ON id = endpoint ORDER BY last_seen DESC, id",
    )?;
    let mut rows = found.query([])?;
    let mut earlier = Earlier::default();
    while let Some(row) = rows.next()? {
        let endpoint = Endpoint {
            method: read::method(row, 0)?,
            host: row.get::<_, String>(1)?.into(),
            template: row.get::<_, String>(2)?.into(),
        };
        match schemas::read(row.get_ref(3)?.as_str()?) {
            Some(schema) => earlier.all.push((endpoint, schema)),
            None => earlier.unusable += 1,
        }
    }
    Ok(earlier)
}
