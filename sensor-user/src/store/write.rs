//! The writer's thread: one transaction per flush.
//!
//! Takes flushes. Never keeps the judge waiting; when SQLite refuses it goes on with the next flush, tells it once per
//! cause and counts it. Bounded by [`MAX_PENDING`] flushes that wait for a disk to have room again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use rusqlite::{CachedStatement, Connection, Transaction, params};

use super::batch::{Addition, Batch, Saved, Times};
use super::error::is_damage;
use super::open::Opened;
use super::retain::{self, Bounds};
use crate::export::field::role_name;
use crate::export::wording::{clean, half_name, part_name};
use crate::inventory::Endpoint;
use crate::telemetry::{Counters, Metric};

/// Flushes kept while SQLite refuses them: a minute's by default. Older ones are lost, and counted.
const MAX_PENDING: usize = 6;
/// Flushes from one look at age and size to the next.
const RETAIN_EACH: u64 = 30;

/// The writer.
pub(super) struct Writer {
    opened: Opened,
    bounds: Bounds,
    pending: VecDeque<Batch>,
    run: Option<i64>,
    flushes: u64,
    /// The cause that was told last, so that each is told once.
    told: Option<rusqlite::ErrorCode>,
    signs: Arc<Signs>,
    counters: Arc<Counters>,
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
    pub(super) const fn new(
        opened: Opened,
        bounds: Bounds,
        signs: Arc<Signs>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            opened,
            bounds,
            pending: VecDeque::new(),
            run: None,
            flushes: 0,
            told: None,
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

    pub(super) fn take(&mut self, batch: Batch) {
        if self.pending.len() >= MAX_PENDING {
            self.pending.pop_front();
            self.counters.add(Metric::StoreLost, 1);
            self.signs.lost.store(true, Ordering::Release);
        }
        // Of a state only the last is worth its memory.
        for waiting in &mut self.pending {
            let newer = |old: &Saved| batch.states.iter().any(|state| state.name == old.name);
            waiting.states.retain(|state| !newer(state));
        }
        let now_ns = batch.until_ns;
        self.pending.push_back(batch);
        match self.write() {
            Ok(()) => {
                self.pending.clear();
                self.recovered();
                self.flushes += 1;
            }
            Err(error) => return self.refused(&error),
        }
        if self.flushes % RETAIN_EACH == 1
            && let Err(error) = retain::apply(&mut self.opened.connection, &self.bounds, now_ns)
        {
            self.refused(&error);
        }
    }

    fn write(&mut self) -> Result<(), rusqlite::Error> {
        let transaction = self
            .opened
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut run = self.run;
        for batch in &self.pending {
            run = Some(note_run(&transaction, run, batch)?);
            Statements::new(&transaction)?.batch(batch)?;
        }
        transaction.commit()?;
        // Only now: of a transaction that was undone there is no run either.
        self.run = run;
        Ok(())
    }

    fn refused(&mut self, error: &rusqlite::Error) {
        self.counters.add(Metric::StoreFailed, 1);
        let path = self.opened.path.display();
        if is_damage(error) {
            self.counters.add(Metric::StoreDamaged, 1);
            self.signs.lost.store(true, Ordering::Release);
            self.run = None;
            match self.opened.begin_anew() {
                Ok(aside) => {
                    tracing::error!(store = %self.opened.path.display(), moved_to = %aside.display(), "the store is damaged: a new one is begun");
                }
                Err(error) => {
                    tracing::error!(%error, "the store is damaged, and no new one can be begun");
                }
            }
            return;
        }
        let code = error.sqlite_error_code();
        if self.told != code || code.is_none() {
            tracing::warn!(store = %path, %error, "the store cannot be written; the sensor goes on and tries again");
            self.told = code;
        }
    }

    fn recovered(&mut self) {
        if self.told.take().is_some() {
            tracing::warn!(store = %self.opened.path.display(), "the store is written again");
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

/// Prepared once per connection.
struct Statements<'c> {
    endpoint: CachedStatement<'c>,
    status: CachedStatement<'c>,
    auth: CachedStatement<'c>,
    data: CachedStatement<'c>,
    resource: CachedStatement<'c>,
    finding: CachedStatement<'c>,
    caller: CachedStatement<'c>,
    state: CachedStatement<'c>,
    aside: CachedStatement<'c>,
    schema: CachedStatement<'c>,
    no_schema: CachedStatement<'c>,
}

const ENDPOINT: &str = "INSERT INTO endpoints (kind, method, host, template, first_seen, last_seen, exchanges, \
    success_known, success_anonymous) VALUES ('rest', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
    ON CONFLICT (kind, method, host, template) DO UPDATE SET first_seen = min(first_seen, excluded.first_seen), \
    last_seen = max(last_seen, excluded.last_seen), exchanges = exchanges + excluded.exchanges, \
    success_known = success_known + excluded.success_known, \
    success_anonymous = success_anonymous + excluded.success_anonymous RETURNING id";
const STATUS: &str = "INSERT INTO statuses (endpoint, status, exchanges) VALUES (?1, ?2, ?3) \
    ON CONFLICT DO UPDATE SET exchanges = exchanges + excluded.exchanges";
const AUTH: &str = "INSERT INTO auth (endpoint, scheme, exchanges) VALUES (?1, ?2, ?3) \
    ON CONFLICT DO UPDATE SET exchanges = exchanges + excluded.exchanges";
const DATA: &str = "INSERT INTO data (endpoint, half, part, name, kind, count, confidence, first_seen, last_seen) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET count = count + excluded.count, \
    confidence = max(confidence, excluded.confidence), first_seen = min(first_seen, excluded.first_seen), \
    last_seen = max(last_seen, excluded.last_seen)";
const RESOURCE: &str = "INSERT INTO resources (endpoint, process, role, port, container, runtime, pod, tls, exchanges, \
    first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO UPDATE SET \
    exchanges = exchanges + excluded.exchanges, first_seen = min(first_seen, excluded.first_seen), \
    last_seen = max(last_seen, excluded.last_seen)";
const FINDING: &str = "INSERT INTO findings (rule, endpoint, subject, severity, confidence, count, first_seen, \
    last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET severity = excluded.severity, \
    confidence = excluded.confidence, count = count + excluded.count, \
    first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)";
const CALLER: &str = "INSERT INTO callers (caller, scheme, exchanges, first_seen, last_seen) \
    VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET exchanges = exchanges + excluded.exchanges, \
    first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)";
const STATE: &str = "INSERT INTO state (name, version, keyed, saved, content) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT DO UPDATE SET version = excluded.version, keyed = excluded.keyed, saved = excluded.saved, \
    content = excluded.content";
const ASIDE: &str = "INSERT OR REPLACE INTO state (name, version, keyed, saved, content) \
    SELECT name || '.unusable', version, keyed, saved, content FROM state WHERE name = ?1";
const SCHEMA: &str = "INSERT INTO schemas (endpoint, saved, content) SELECT id, ?1, ?2 FROM endpoints \
    WHERE kind = 'rest' AND method = ?3 AND host = ?4 AND template = ?5 \
    ON CONFLICT DO UPDATE SET saved = excluded.saved, content = excluded.content";
const NO_SCHEMA: &str = "DELETE FROM schemas WHERE endpoint IN (SELECT id FROM endpoints \
    WHERE kind = 'rest' AND method = ?1 AND host = ?2 AND template = ?3)";

impl<'c> Statements<'c> {
    fn new(connection: &'c Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            endpoint: connection.prepare_cached(ENDPOINT)?,
            status: connection.prepare_cached(STATUS)?,
            auth: connection.prepare_cached(AUTH)?,
            data: connection.prepare_cached(DATA)?,
            resource: connection.prepare_cached(RESOURCE)?,
            finding: connection.prepare_cached(FINDING)?,
            caller: connection.prepare_cached(CALLER)?,
            state: connection.prepare_cached(STATE)?,
            aside: connection.prepare_cached(ASIDE)?,
            schema: connection.prepare_cached(SCHEMA)?,
            no_schema: connection.prepare_cached(NO_SCHEMA)?,
        })
    }

    fn batch(&mut self, batch: &Batch) -> Result<(), rusqlite::Error> {
        for (endpoint, addition) in &batch.endpoints {
            let id = self.endpoint(endpoint, addition)?;
            self.sums(id, addition)?;
            self.data(id, addition)?;
            self.resources(id, addition)?;
            self.findings(id, addition)?;
        }
        for ((scheme, hash), times) in &batch.callers {
            let (count, first, last) = columns(*times);
            self.caller
                .execute(params![hash.to_string(), scheme.name(), count, first, last])?;
        }
        self.schemas(batch)?;
        self.states(batch)
    }

    fn schemas(&mut self, batch: &Batch) -> Result<(), rusqlite::Error> {
        for (endpoint, text) in &batch.schemas {
            let method = endpoint.method.name();
            let (host, template) = (clean(&endpoint.host), clean(&endpoint.template));
            match text {
                Some(text) => {
                    let saved = number(batch.until_ns);
                    self.schema
                        .execute(params![saved, text, method, host, template])?
                }
                None => self.no_schema.execute(params![method, host, template])?,
            };
        }
        Ok(())
    }

    fn states(&mut self, batch: &Batch) -> Result<(), rusqlite::Error> {
        for name in &batch.unusable {
            self.aside.execute([name])?;
        }
        for state in &batch.states {
            self.state.execute(params![
                state.name,
                state.version,
                state.keyed as u8,
                number(batch.until_ns),
                state.content
            ])?;
        }
        Ok(())
    }

    fn endpoint(&mut self, endpoint: &Endpoint, addition: &Addition) -> Result<i64, rusqlite::Error> {
        let (count, first, last) = columns(addition.times);
        self.endpoint.query_row(
            params![
                endpoint.method.name(),
                clean(&endpoint.host),
                clean(&endpoint.template),
                first,
                last,
                count,
                number(addition.success_known),
                number(addition.success_anonymous)
            ],
            |row| row.get(0),
        )
    }

    fn sums(&mut self, id: i64, addition: &Addition) -> Result<(), rusqlite::Error> {
        for (status, count) in &addition.statuses {
            self.status.execute(params![id, status, number(*count)])?;
        }
        for (scheme, count) in &addition.auth {
            self.auth.execute(params![id, scheme, number(*count)])?;
        }
        Ok(())
    }

    fn data(&mut self, id: i64, addition: &Addition) -> Result<(), rusqlite::Error> {
        for (kind, place, values) in &addition.data {
            let (count, first, last) = columns(values.times);
            self.data.execute(params![
                id,
                half_name(place.half),
                part_name(place.part),
                clean(&place.name),
                kind.name(),
                count,
                values.confidence,
                first,
                last
            ])?;
        }
        Ok(())
    }

    fn resources(&mut self, id: i64, addition: &Addition) -> Result<(), rusqlite::Error> {
        for (resource, times) in &addition.resources {
            let (count, first, last) = columns(*times);
            let container = resource.container.as_deref();
            let runtime = container.and_then(|container| container.runtime);
            self.resource.execute(params![
                id,
                resource.process.to_string(),
                role_name(resource.role),
                resource.port,
                container.map_or("", |container| &*container.id),
                runtime.map_or("", |runtime| runtime.name()),
                container
                    .and_then(|container| container.pod.as_deref())
                    .unwrap_or(""),
                resource.tls,
                count,
                first,
                last
            ])?;
        }
        Ok(())
    }

    fn findings(&mut self, id: i64, addition: &Addition) -> Result<(), rusqlite::Error> {
        for (key, told) in &addition.findings {
            let (count, first, last) = columns(told.times);
            self.finding.execute(params![
                key.rule,
                id,
                key.subject,
                told.severity,
                told.confidence,
                count,
                first,
                last
            ])?;
        }
        Ok(())
    }
}

fn columns(times: Times) -> (i64, i64, i64) {
    (number(times.count), number(times.first_ns), number(times.last_ns))
}
