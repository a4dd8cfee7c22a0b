//! The writer's thread: one transaction per flush.
//!
//! Takes flushes. Never keeps the judge waiting; when SQLite refuses it goes on with the next flush, tells it once per
//! cause and counts it. A file that is gone is begun anew, as often as it takes. Bounded by [`MAX_PENDING`] flushes that
//! wait for a disk to have room again, and by [`LOG`].

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use rusqlite::Transaction;

use super::batch::{Batch, Saved};
use super::error::{StoreError, is_damage};
use super::moves;
use super::open::Opened;
use super::retain::{self, Age, Bounds};
use super::statements::Statements;
use super::states::Laying;
use crate::telemetry::{Counters, Metric};

/// Flushes kept while SQLite refuses them: a minute's by default. Older ones are lost, and counted.
const MAX_PENDING: usize = 6;
/// Part of the file's bound that the log may have before states and schemas wait: a reader that stays at one moment holds
/// it, and each state that changes would be in it once more (sqlite.org/wal.html, 6).
const LOG: u64 = 2;
/// Flushes from one look at age and size to the next.
const RETAIN_EACH: u64 = 30;

/// The writer.
pub(super) struct Writer {
    opened: Opened,
    bounds: Bounds,
    pending: VecDeque<Batch>,
    laying: Laying,
    run: Option<i64>,
    flushes: u64,
    /// What the judge laid down is not all in the file, and it has not been told.
    missing: bool,
    /// The log is too long: states and schemas wait.
    held: bool,
    /// The latest time that a flush was written, in the run before, too.
    newest_ns: Option<u64>,
    age: Age,
    told: Told,
    signs: Arc<Signs>,
    counters: Arc<Counters>,
}

/// What was told, so that each is told once.
#[derive(Default, Debug)]
struct Told {
    /// The cause that was told last.
    refused: Option<rusqlite::ErrorCode>,
    /// There is no file.
    closed: bool,
    /// The log is too long.
    held: bool,
}

/// What the judge sees of the writer.
#[derive(Default, Debug)]
pub(super) struct Signs {
    /// It has something to do.
    pub(super) busy: AtomicBool,
    /// What stages laid down before is not in the file.
    pub(super) lost: AtomicBool,
}

impl Writer {
    pub(super) fn new(opened: Opened, bounds: Bounds, signs: Arc<Signs>, counters: Arc<Counters>) -> Self {
        Self {
            opened,
            bounds,
            pending: VecDeque::new(),
            laying: Laying::new(bounds.max_bytes, Arc::clone(&counters)),
            run: None,
            flushes: 0,
            missing: false,
            held: false,
            newest_ns: None,
            age: Age::Counts,
            told: Told::default(),
            signs,
            counters,
        }
    }

    /// Writes until the sender is gone.
    pub(super) fn run(mut self, inbox: &Receiver<Batch>) {
        while let Ok(batch) = inbox.recv() {
            self.take(batch);
            self.signs.busy.store(false, Ordering::Release);
        }
        let lost = self.pending.len() as u64;
        self.counters.add(Metric::StoreLost, lost);
        if lost > 0 {
            tracing::warn!(store = %self.opened.path.display(), flushes = lost, "the store's last flushes are lost");
        }
    }

    /// As a disk does that has no more room.
    #[cfg(test)]
    pub(super) fn limit_pages(&mut self, pages: u32) {
        let limit = |_: &rusqlite::Row<'_>| Ok(());
        let connection = &self.opened.connection;
        connection
            .pragma_update_and_check(None, "max_page_count", pages, limit)
            .unwrap();
    }

    /// As SQLite says when it finds damage.
    #[cfg(test)]
    pub(super) fn damaged(&mut self) {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        self.refused(&rusqlite::Error::SqliteFailure(code, None));
    }

    /// Whether the judge was told, since this was asked last, that what it laid down is lost.
    #[cfg(test)]
    pub(super) fn lost(&self) -> bool {
        self.signs.lost.swap(false, Ordering::AcqRel)
    }

    pub(super) fn take(&mut self, mut batch: Batch) {
        self.find_file();
        self.lay(&mut batch);
        let now_ns = batch.until_ns;
        self.enqueue(batch);
        if self.opened.is_closed() {
            return self.counters.add(Metric::StoreFailed, 1);
        }
        self.watch_clock(now_ns);
        match self.write() {
            Ok(()) => self.written(),
            Err(error) => return self.refused(&error),
        }
        let look = self.flushes % RETAIN_EACH == 1;
        if look && let Err(error) = retain::apply(&mut self.opened.connection, &self.bounds, now_ns, self.age)
        {
            self.refused(&error);
        }
    }

    /// Opens the file again when it is no more what was opened.
    fn find_file(&mut self) {
        if self.opened.is_replaced() {
            self.counters.add(Metric::StoreDamaged, 1);
            self.begin();
            tracing::error!(store = %self.opened.path.display(), "the store was deleted or replaced while the sensor wrote to it: it goes on with the file that has its name");
        } else if !self.opened.is_closed() {
            return;
        }
        match self.opened.again() {
            Ok(Some(aside)) => self.tell_begun(&aside),
            Ok(None) if self.told.closed => {
                tracing::warn!(store = %self.opened.path.display(), "the store is there again");
                self.told.closed = false;
            }
            Ok(None) => {}
            Err(error) => self.tell_closed(&error),
        }
    }

    /// Nothing of what was written is in the file.
    fn begin(&mut self) {
        self.run = None;
        self.missing = true;
        self.laying.forget();
    }

    /// Makes bytes of the states, unless the log has no room for more.
    fn lay(&mut self, batch: &mut Batch) {
        let laid = std::mem::take(&mut batch.laid);
        self.held = self.opened.log_bytes() > self.bounds.max_bytes / LOG;
        if !self.held {
            self.told.held = false;
            batch.states = self.laying.take(laid, &self.opened.connection);
            return;
        }
        if laid.is_empty() && batch.schemas.is_empty() {
            return;
        }
        batch.schemas.clear();
        self.laying.forget();
        self.missing = true;
        self.counters.add(Metric::StoreSkipped, 1);
        if !self.told.held {
            self.told.held = true;
            tracing::warn!(store = %self.opened.path.display(), "the store's log is too long, for somebody reads the store and does not end: what stages learn waits until it is shorter");
        }
    }

    fn enqueue(&mut self, batch: Batch) {
        if self.pending.len() >= MAX_PENDING {
            self.pending.pop_front();
            self.counters.add(Metric::StoreLost, 1);
            // The judge is told when there is somewhere to write it to.
            self.missing = true;
            self.laying.forget();
        }
        // Of a state only the last is worth its memory.
        for waiting in &mut self.pending {
            let newer = |old: &Saved| {
                batch
                    .states
                    .iter()
                    .any(|state| state.label.name == old.label.name)
            };
            waiting.states.retain(|state| !newer(state));
        }
        self.pending.push_back(batch);
    }

    fn written(&mut self) {
        self.pending.clear();
        self.flushes += 1;
        if self.told.refused.take().is_some() {
            tracing::warn!(store = %self.opened.path.display(), "the store is written again");
        }
        if self.missing && !self.held {
            self.missing = false;
            self.signs.lost.store(true, Ordering::Release);
        }
    }

    /// A clock that leaps by more than what is kept would empty the store. A leap, or a pause that long, is believed at
    /// the next start.
    fn watch_clock(&mut self, now_ns: u64) {
        let newest_ns = self.newest_ns.unwrap_or_else(|| self.newest());
        let kept_ns = self.bounds.retention_ns;
        if kept_ns > 0
            && newest_ns > 0
            && now_ns > newest_ns.saturating_add(kept_ns)
            && self.age == Age::Counts
        {
            self.age = Age::Unsure;
            self.counters.add(Metric::StoreClock, 1);
            tracing::warn!(store = %self.opened.path.display(), "all of the store is older than it is to be kept: the clock leapt, or the sensor was off for long; nothing is deleted for its age until the next start");
        }
        self.newest_ns = Some(newest_ns.max(now_ns));
    }

    fn newest(&self) -> u64 {
        let newest = "SELECT max(last_seen) FROM runs";
        let newest = self
            .opened
            .connection
            .query_row(newest, [], |row| row.get::<_, Option<i64>>(0));
        newest
            .ok()
            .flatten()
            .map_or(0, |newest| u64::try_from(newest).unwrap_or(0))
    }

    fn write(&mut self) -> Result<(), rusqlite::Error> {
        let transaction = self
            .opened
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let (mut run, mut left_out) = (self.run, 0);
        for batch in &self.pending {
            run = Some(note_run(&transaction, run, batch)?);
            moves::apply(&transaction, &batch.moves)?;
            let mut statements = Statements::new(&transaction)?;
            statements.batch(batch)?;
            left_out += statements.left_out;
        }
        transaction.commit()?;
        // Only now: of a transaction that was undone there is no run either.
        self.run = run;
        if left_out > 0 {
            self.counters.add(Metric::StoreOverflow, left_out);
        }
        Ok(())
    }

    fn refused(&mut self, error: &rusqlite::Error) {
        self.counters.add(Metric::StoreFailed, 1);
        if is_damage(error) {
            self.counters.add(Metric::StoreDamaged, 1);
            self.begin();
            match self.opened.begin_anew() {
                Ok(aside) => self.tell_begun(&aside),
                Err(error) => self.tell_closed(&error),
            }
            return;
        }
        let code = error.sqlite_error_code();
        if self.told.refused != code || code.is_none() {
            let path = self.opened.path.display();
            tracing::warn!(store = %path, %error, "the store cannot be written; the sensor goes on and tries again");
            self.told.refused = code;
        }
    }

    fn tell_begun(&mut self, aside: &Path) {
        self.told.closed = false;
        tracing::error!(store = %self.opened.path.display(), moved_to = %aside.display(), "the store is damaged: a new one is begun");
    }

    fn tell_closed(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.told.closed, true) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, "there is no store, and none can be begun; the sensor goes on and tries again");
        }
    }
}

fn note_run(transaction: &Transaction<'_>, run: Option<i64>, batch: &Batch) -> Result<i64, rusqlite::Error> {
    let (until, exchanges) = (number(batch.until_ns), number(batch.exchanges));
    let Some(run) = run else {
        transaction
            .prepare_cached(
                "INSERT INTO runs (first_seen, last_seen, flushes, exchanges) VALUES (?1, ?1, 1, ?2)",
            )?
            .execute([until, exchanges])?;
        return Ok(transaction.last_insert_rowid());
    };
    transaction
        .prepare_cached(
            "UPDATE runs SET last_seen = ?2, flushes = flushes + 1, exchanges = exchanges + ?3 WHERE id = ?1",
        )?
        .execute([run, until, exchanges])?;
    Ok(run)
}

/// SQLite's integers end at 2^63.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
