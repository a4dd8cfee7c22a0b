//! Rows of one flush.
//!
//! Takes a flush and a transaction. Gives rows, added to those that are there. Never adds rows of one kind beyond
//! [`EACH_ENDPOINT`] to an endpoint: what is there stays, what is left out is counted. Bounded by the flush.

use std::borrow::Cow;

use rusqlite::{CachedStatement, Connection, params};

use super::batch::{Addition, Batch, Times};
use super::retain::EACH_ENDPOINT;
use super::write::number;
use crate::export::field::role_name;
use crate::export::wording::{clean, half_name, part_name};
use crate::inventory::Endpoint;

/// Prepared once per connection.
pub(super) struct Statements<'c> {
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
    /// Rows for which an endpoint has too many others.
    pub(super) left_out: u64,
}

const ENDPOINT: &str = "INSERT INTO endpoints (kind, method, host, template, operation, first_seen, last_seen, \
    exchanges, success_known, success_anonymous, confidence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
    ON CONFLICT (kind, method, host, template, operation) DO UPDATE SET first_seen = min(first_seen, excluded.first_seen), \
    last_seen = max(last_seen, excluded.last_seen), exchanges = exchanges + excluded.exchanges, \
    success_known = success_known + excluded.success_known, \
    success_anonymous = success_anonymous + excluded.success_anonymous, \
    confidence = coalesce(excluded.confidence, confidence) RETURNING id";
const STATUS: &str = "INSERT INTO statuses (endpoint, status, exchanges) VALUES (?1, ?2, ?3) \
    ON CONFLICT DO UPDATE SET exchanges = exchanges + excluded.exchanges";
const AUTH: &str = "INSERT INTO auth (endpoint, scheme, exchanges) VALUES (?1, ?2, ?3) \
    ON CONFLICT DO UPDATE SET exchanges = exchanges + excluded.exchanges";
const DATA: &str = "INSERT INTO data (endpoint, half, part, name, kind, count, confidence, first_seen, last_seen) \
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE EXISTS (SELECT 1 FROM data WHERE endpoint = ?1 AND half = ?2 AND \
    part = ?3 AND name = ?4 AND kind = ?5) OR (SELECT count(*) FROM data WHERE endpoint = ?1) < ?10 \
    ON CONFLICT DO UPDATE SET count = count + excluded.count, \
    confidence = max(confidence, excluded.confidence), first_seen = min(first_seen, excluded.first_seen), \
    last_seen = max(last_seen, excluded.last_seen)";
const RESOURCE: &str = "INSERT INTO resources (endpoint, process, role, port, container, runtime, pod, tls, exchanges, \
    first_seen, last_seen) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 WHERE EXISTS (SELECT 1 FROM resources \
    WHERE endpoint = ?1 AND process = ?2 AND role = ?3 AND port = ?4 AND container = ?5 AND tls = ?8) \
    OR (SELECT count(*) FROM resources WHERE endpoint = ?1) < ?12 ON CONFLICT DO UPDATE SET exchanges = exchanges + excluded.exchanges, first_seen = min(first_seen, excluded.first_seen), \
    last_seen = max(last_seen, excluded.last_seen)";
const FINDING: &str = "INSERT INTO findings (rule, endpoint, subject, severity, confidence, count, first_seen, \
    last_seen) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE EXISTS (SELECT 1 FROM findings WHERE rule = ?1 AND \
    endpoint = ?2 AND subject = ?3) OR (SELECT count(*) FROM findings WHERE endpoint = ?2) < ?9 \
    ON CONFLICT DO UPDATE SET severity = excluded.severity, \
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
    WHERE kind = ?3 AND method = ?4 AND host = ?5 AND template = ?6 AND operation = ?7 \
    ON CONFLICT DO UPDATE SET saved = excluded.saved, content = excluded.content";
const NO_SCHEMA: &str = "DELETE FROM schemas WHERE endpoint IN (SELECT id FROM endpoints \
    WHERE kind = ?1 AND method = ?2 AND host = ?3 AND template = ?4 AND operation = ?5)";

impl<'c> Statements<'c> {
    pub(super) fn new(connection: &'c Connection) -> Result<Self, rusqlite::Error> {
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
            left_out: 0,
        })
    }

    pub(super) fn batch(&mut self, batch: &Batch) -> Result<(), rusqlite::Error> {
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
            let [kind, method, host, template, operation] = names(endpoint);
            match text {
                Some(text) => {
                    let saved = number(batch.until_ns);
                    self.schema
                        .execute(params![saved, text, kind, method, host, template, operation])?
                }
                None => self
                    .no_schema
                    .execute(params![kind, method, host, template, operation])?,
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
                state.label.name,
                state.label.version,
                state.label.keyed as u8,
                number(batch.until_ns),
                state.content
            ])?;
        }
        Ok(())
    }

    fn endpoint(&mut self, endpoint: &Endpoint, addition: &Addition) -> Result<i64, rusqlite::Error> {
        let (count, first, last) = columns(addition.times);
        let [kind, method, host, template, operation] = names(endpoint);
        self.endpoint.query_row(
            params![
                kind,
                method,
                host,
                template,
                operation,
                first,
                last,
                count,
                number(addition.success_known),
                number(addition.success_anonymous),
                addition.confidence
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
            let rows = self.data.execute(params![
                id,
                half_name(place.half),
                part_name(place.part),
                clean(&place.name),
                kind.name(),
                count,
                values.confidence,
                first,
                last,
                EACH_ENDPOINT
            ])?;
            self.left_out += u64::from(rows == 0);
        }
        Ok(())
    }

    fn resources(&mut self, id: i64, addition: &Addition) -> Result<(), rusqlite::Error> {
        for (resource, times) in &addition.resources {
            let (count, first, last) = columns(*times);
            let container = resource.container.as_deref();
            let runtime = container.and_then(|container| container.runtime);
            let rows = self.resource.execute(params![
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
                last,
                EACH_ENDPOINT
            ])?;
            self.left_out += u64::from(rows == 0);
        }
        Ok(())
    }

    fn findings(&mut self, id: i64, addition: &Addition) -> Result<(), rusqlite::Error> {
        for (key, told) in &addition.findings {
            let (count, first, last) = columns(told.times);
            let rows = self.finding.execute(params![
                key.rule,
                id,
                key.subject,
                told.severity,
                told.confidence,
                count,
                first,
                last,
                EACH_ENDPOINT
            ])?;
            self.left_out += u64::from(rows == 0);
        }
        Ok(())
    }
}

/// Kind, method, host, template and operation as they are stored.
pub(super) fn names(endpoint: &Endpoint) -> [Cow<'_, str>; 5] {
    [
        endpoint.kind.name().into(),
        endpoint.method.name().into(),
        clean(&endpoint.host),
        clean(&endpoint.template),
        clean(endpoint.operation.as_deref().unwrap_or_default()),
    ]
}

fn columns(times: Times) -> (i64, i64, i64) {
    (number(times.count), number(times.first_ns), number(times.last_ns))
}
