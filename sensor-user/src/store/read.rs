//! Asks the store: endpoints and what is known of each.
//!
//! Takes a path and a filter. Gives rows sorted by host, path and method, and schemas, all of one moment, also while a
//! sensor writes. Never writes. What is of another type than it should be, or beyond its range, is empty or 0: one odd row
//! does not hide the others. Bounded by the filter's limit.

use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Statement, params};

use super::error::{StoreError, is_damage};
use super::write::number;
use super::{open, schemas};
use crate::exchange::{AuthScheme, Method};
use crate::export::openapi::Transports;
use crate::inventory::schema::Schema;
use crate::inventory::{Endpoint, EndpointKind};

/// Which endpoints. Nothing given is all.
#[derive(Clone, Default, Debug)]
pub struct Filter {
    /// Host; `*` stands for anything.
    pub host: Option<String>,
    /// Method.
    pub method: Option<String>,
    /// First segments of the path template.
    pub path: Option<String>,
    /// Kind of sensitive data found there.
    pub data: Option<String>,
    /// Seen since, nanoseconds since 1970.
    pub since_ns: Option<u64>,
    /// Endpoints at most.
    pub limit: Option<u64>,
}

/// What was asked for.
#[derive(Clone, Default, Debug)]
pub struct Found {
    /// Endpoints, at most as many as the limit.
    pub rows: Vec<Row>,
    /// How many there are without it.
    pub total: u64,
}

/// First and last time, nanoseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Span {
    /// First.
    pub first_ns: u64,
    /// Last.
    pub last_ns: u64,
}

/// An endpoint.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Row {
    /// Its number in the store.
    pub id: i64,
    /// Kind of API.
    pub kind: String,
    /// Method.
    pub method: String,
    /// Host.
    pub host: String,
    /// Path template.
    pub template: String,
    /// Which call it is, where the path does not say it.
    pub operation: Option<String>,
    /// When.
    pub seen: Span,
    /// Calls.
    pub exchanges: u64,
    /// Successes with credentials and without.
    pub success: (u64, u64),
    /// How sure the template is, in percent.
    pub confidence: Option<u8>,
    /// Calls by status; 0 is none seen.
    pub statuses: Vec<(u16, u64)>,
    /// Calls by kind of credentials.
    pub auth: Vec<(String, u64)>,
    /// Sensitive data.
    pub data: Vec<Data>,
    /// Where it was seen.
    pub resources: Vec<Resource>,
    /// What rules said: rule, subject, severity, how often and when.
    pub findings: Vec<(String, String, String, u64, Span)>,
}

/// Sensitive data at a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Data {
    /// Kind.
    pub kind: String,
    /// `request` or `response`, part of the message, and name.
    pub place: [String; 3],
    /// Values.
    pub count: u64,
    /// Highest confidence, in percent.
    pub confidence: u8,
    /// When.
    pub seen: Span,
}

/// A process in a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Command name.
    pub process: String,
    /// `server`, `client` or `unknown`.
    pub role: String,
    /// The server's port, 0 while unknown.
    pub port: u16,
    /// Container id, runtime and pod; empty where there is none.
    pub container: [String; 3],
    /// Inside TLS.
    pub tls: bool,
    /// Calls.
    pub exchanges: u64,
}

/// An endpoint and what was learnt of it.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its parameters and bodies; `None` where nothing was learnt, or by a sensor that knew another form.
    pub schema: Option<Schema>,
    /// Kinds of credentials that it was called with.
    pub auth: Vec<AuthScheme>,
    /// Calls without credentials succeeded.
    pub anonymous: bool,
    /// What it was called through.
    pub transports: Transports,
}

/// A store, opened to read.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// Opens the store at `path`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            connection: open::to_read(path)?,
            path: path.to_owned(),
        })
    }

    /// Endpoints that a filter lets through.
    pub fn endpoints(&mut self, filter: &Filter) -> Result<Found, StoreError> {
        self.ask(|moment| {
            let mut found = Found {
                rows: chosen(moment, filter)?,
                total: 0,
            };
            found.total = if filter.limit.is_some() {
                count(moment, filter)?
            } else {
                found.rows.len() as u64
            };
            let mut details = Details::new(moment)?;
            for row in &mut found.rows {
                details.of(row)?;
            }
            Ok(found)
        })
    }

    /// The same endpoints, with their schemas.
    pub fn learnt(&mut self, filter: &Filter) -> Result<Vec<Learnt>, StoreError> {
        self.ask(|moment| learnt(moment, filter))
    }

    /// All questions of `ask` are about one moment.
    fn ask<T>(
        &mut self,
        ask: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let moment = self.connection.transaction();
        let answer = moment.and_then(|moment| ask(&moment));
        answer.map_err(|source| {
            let path = self.path.clone();
            if is_damage(&source) {
                StoreError::Damaged { path }
            } else {
                StoreError::Sqlite { path, source }
            }
        })
    }
}

impl Row {
    fn endpoint(&self) -> Endpoint {
        let kind = EndpointKind::of_name(&self.kind).unwrap_or(EndpointKind::Rest);
        let method = Method::of(self.method.as_bytes());
        Endpoint::new(
            kind,
            method,
            &self.host,
            &self.template,
            self.operation.as_deref(),
        )
    }
}

fn learnt(moment: &Connection, filter: &Filter) -> Result<Vec<Learnt>, rusqlite::Error> {
    let mut schema = moment.prepare("SELECT content FROM schemas WHERE endpoint = ?1")?;
    let mut auth = moment.prepare("SELECT scheme FROM auth WHERE endpoint = ?1 ORDER BY scheme")?;
    let mut through = moment.prepare(
        "SELECT tls, port, max(role = 'server') FROM resources WHERE endpoint = ?1 GROUP BY 1, 2 ORDER BY 1, 2",
    )?;
    let rows = chosen(moment, filter)?.into_iter().map(|row| {
        let found = schema.query_row([row.id], |found| text(found, 0)).optional()?;
        let schemes = auth.query_map([row.id], |found| shown(found, 0))?;
        let named = schemes.filter_map(|name| name.map(|name| AuthScheme::of(&name)).transpose());
        Ok(Learnt {
            endpoint: row.endpoint(),
            schema: found.flatten().as_deref().and_then(schemas::read),
            auth: named.collect::<Result<_, _>>()?,
            anonymous: row.success.1 > 0,
            transports: through
                .query_map([row.id], |found| {
                    let server = positive(found, 2)? > 0;
                    // A client sees the port of whatever stands before the server.
                    let port = if server { small(found, 1)? } else { 0 };
                    Ok((positive(found, 0)? > 0, port))
                })?
                .collect::<Result<_, _>>()?,
        })
    });
    rows.collect()
}

const WHERE: &str = "FROM endpoints WHERE (?1 IS NULL OR host GLOB ?1) AND (?2 IS NULL OR method = ?2) \
    AND (?3 IS NULL OR template = ?3 OR substr(template, 1, length(?3) + 1) = ?3 || '/') \
    AND (?4 IS NULL OR id IN (SELECT endpoint FROM data WHERE data.kind = ?4)) AND last_seen >= ?5";

fn conditions(filter: &Filter) -> [Box<dyn rusqlite::ToSql>; 5] {
    // A path is given with or without a slash at its end; `/` alone lets everything through.
    let path = filter
        .path
        .as_deref()
        .map(|path| path.trim_end_matches('/').to_owned());
    let host = filter.host.as_deref();
    [
        // Of GLOB's own characters only `*` is meant: an address of IPv6 has brackets.
        Box::new(host.map(|host| host.to_ascii_lowercase().replace('[', "[[]").replace('?', "[?]"))),
        Box::new(filter.method.as_deref().map(str::to_ascii_uppercase)),
        Box::new(path.filter(|path| !path.is_empty())),
        Box::new(filter.data.clone()),
        Box::new(number(filter.since_ns.unwrap_or(0))),
    ]
}

fn count(connection: &Connection, filter: &Filter) -> Result<u64, rusqlite::Error> {
    connection.query_row(
        &format!("SELECT count(*) {WHERE}"),
        rusqlite::params_from_iter(conditions(filter)),
        |row| positive(row, 0),
    )
}

fn chosen(connection: &Connection, filter: &Filter) -> Result<Vec<Row>, rusqlite::Error> {
    let mut statement = connection.prepare(&format!(
        "SELECT id, kind, method, host, template, first_seen, last_seen, exchanges, success_known, success_anonymous, \
         confidence, nullif(operation, '') {WHERE} ORDER BY host, template, operation, method, kind LIMIT {}",
        number(filter.limit.unwrap_or(u64::MAX))
    ))?;
    let rows = statement.query_map(rusqlite::params_from_iter(conditions(filter)), |row| {
        Ok(Row {
            id: row.get(0)?,
            kind: shown(row, 1)?,
            method: shown(row, 2)?,
            host: shown(row, 3)?,
            template: shown(row, 4)?,
            seen: span(row, 5)?,
            exchanges: positive(row, 7)?,
            success: (positive(row, 8)?, positive(row, 9)?),
            confidence: integer(row, 10)?.and_then(|value| u8::try_from(value).ok()),
            operation: text(row, 11)?,
            ..Row::default()
        })
    })?;
    rows.collect()
}

/// Questions about one endpoint.
struct Details<'c> {
    statuses: Statement<'c>,
    auth: Statement<'c>,
    data: Statement<'c>,
    resources: Statement<'c>,
    findings: Statement<'c>,
}

impl<'c> Details<'c> {
    fn new(connection: &'c Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            statuses: connection
                .prepare("SELECT status, exchanges FROM statuses WHERE endpoint = ?1 ORDER BY status")?,
            auth: connection.prepare("SELECT scheme, exchanges FROM auth WHERE endpoint = ?1 ORDER BY scheme")?,
            data: connection.prepare(
                "SELECT kind, half, part, name, count, confidence, first_seen, last_seen FROM data \
                 WHERE endpoint = ?1 ORDER BY half, part, name, kind",
            )?,
            resources: connection.prepare(
                "SELECT process, role, port, container, runtime, pod, tls, exchanges FROM resources \
                 WHERE endpoint = ?1 ORDER BY process, role, port, container, tls",
            )?,
            findings: connection.prepare(
                "SELECT rule, subject, severity, count, first_seen, last_seen FROM findings WHERE endpoint = ?1 \
                 ORDER BY rule, subject",
            )?,
        })
    }

    fn of(&mut self, row: &mut Row) -> Result<(), rusqlite::Error> {
        let id = params![row.id];
        row.statuses = self
            .statuses
            .query_map(id, |found| Ok((small(found, 0)?, positive(found, 1)?)))?
            .collect::<Result<_, _>>()?;
        row.auth = self
            .auth
            .query_map(id, |found| Ok((shown(found, 0)?, positive(found, 1)?)))?
            .collect::<Result<_, _>>()?;
        row.data = self.data.query_map(id, data)?.collect::<Result<_, _>>()?;
        row.resources = self
            .resources
            .query_map(id, resource)?
            .collect::<Result<_, _>>()?;
        let finding = |found: &rusqlite::Row<'_>| {
            let (rule, subject, severity) = (shown(found, 0)?, shown(found, 1)?, shown(found, 2)?);
            Ok((rule, subject, severity, positive(found, 3)?, span(found, 4)?))
        };
        row.findings = self.findings.query_map(id, finding)?.collect::<Result<_, _>>()?;
        Ok(())
    }
}

fn data(row: &rusqlite::Row<'_>) -> Result<Data, rusqlite::Error> {
    Ok(Data {
        kind: shown(row, 0)?,
        place: [shown(row, 1)?, shown(row, 2)?, shown(row, 3)?],
        count: positive(row, 4)?,
        confidence: small(row, 5)?,
        seen: span(row, 6)?,
    })
}

fn resource(row: &rusqlite::Row<'_>) -> Result<Resource, rusqlite::Error> {
    Ok(Resource {
        process: shown(row, 0)?,
        role: shown(row, 1)?,
        port: small(row, 2)?,
        container: [shown(row, 3)?, shown(row, 4)?, shown(row, 5)?],
        tls: positive(row, 6)? > 0,
        exchanges: positive(row, 7)?,
    })
}

fn span(row: &rusqlite::Row<'_>, at: usize) -> Result<Span, rusqlite::Error> {
    Ok(Span {
        first_ns: positive(row, at)?,
        last_ns: positive(row, at + 1)?,
    })
}

/// From kind, method, host, template and operation; `None` for a kind that is not known, and for what is no text.
pub(super) fn endpoint(row: &rusqlite::Row<'_>, at: usize) -> Result<Option<Endpoint>, rusqlite::Error> {
    let [kind, method, host, template, operation] = [0, 1, 2, 3, 4].map(|column| text(row, at + column));
    let (Some(kind), Some(method), Some(host), Some(template)) = (kind?, method?, host?, template?) else {
        return Ok(None);
    };
    // An unusual method has a name that is no method.
    let method = Method::of(method.as_bytes());
    let operation = operation?.filter(|name| !name.is_empty());
    let kind = EndpointKind::of_name(&kind);
    Ok(kind.map(|kind| Endpoint::new(kind, method, &host, &template, operation.as_deref())))
}

/// A text in UTF-8; `None` for anything else. SQLite checks neither type nor coding (sqlite.org/datatype3.html).
pub(super) fn text(row: &rusqlite::Row<'_>, at: usize) -> Result<Option<String>, rusqlite::Error> {
    let (ValueRef::Text(bytes) | ValueRef::Blob(bytes)) = row.get_ref(at)? else {
        return Ok(None);
    };
    Ok(std::str::from_utf8(bytes).ok().map(str::to_owned))
}

fn shown(row: &rusqlite::Row<'_>, at: usize) -> Result<String, rusqlite::Error> {
    Ok(text(row, at)?.unwrap_or_default())
}

fn integer(row: &rusqlite::Row<'_>, at: usize) -> Result<Option<i64>, rusqlite::Error> {
    Ok(match row.get_ref(at)? {
        ValueRef::Integer(value) => Some(value),
        _ => None,
    })
}

/// 0 where it is none, or out of range.
pub(super) fn small<N: TryFrom<i64> + Default>(
    row: &rusqlite::Row<'_>,
    at: usize,
) -> Result<N, rusqlite::Error> {
    let value = integer(row, at)?;
    Ok(value
        .and_then(|value| N::try_from(value).ok())
        .unwrap_or_default())
}

fn positive(row: &rusqlite::Row<'_>, at: usize) -> Result<u64, rusqlite::Error> {
    small(row, at)
}
