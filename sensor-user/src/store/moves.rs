//! Rows of endpoints whose templates were corrected.
//!
//! Takes moves in their order. Gives each endpoint its rows under its present name, with the same number unless there is
//! one of that name, which has both sums then. Never deletes what was found. Bounded by what is moved.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::batch::Move;
use super::statements::names;
use crate::inventory::Endpoint;

const FIND: &str = "SELECT id FROM endpoints \
    WHERE kind = ?1 AND method = ?2 AND host = ?3 AND template = ?4 AND operation = ?5";
const RENAME: &str =
    "UPDATE endpoints SET kind = ?2, method = ?3, host = ?4, template = ?5, operation = ?6 WHERE id = ?1";
const FORGET: &str = "DELETE FROM endpoints WHERE id = ?1 AND NOT EXISTS \
    (SELECT 1 FROM findings WHERE endpoint = ?1)";
const GONE: &str = "DELETE FROM endpoints WHERE id = ?1";
/// From the first to the second.
const JOIN: [&str; 6] = [
    "UPDATE endpoints SET first_seen = min(endpoints.first_seen, old.first_seen), \
     last_seen = max(endpoints.last_seen, old.last_seen), exchanges = endpoints.exchanges + old.exchanges, \
     success_known = endpoints.success_known + old.success_known, \
     success_anonymous = endpoints.success_anonymous + old.success_anonymous \
     FROM endpoints AS old WHERE old.id = ?1 AND endpoints.id = ?2",
    "INSERT INTO statuses (endpoint, status, exchanges) SELECT ?2, status, exchanges FROM statuses WHERE endpoint = ?1 \
     ON CONFLICT DO UPDATE SET exchanges = exchanges + excluded.exchanges",
    "INSERT INTO auth (endpoint, scheme, exchanges) SELECT ?2, scheme, exchanges FROM auth WHERE endpoint = ?1 \
     ON CONFLICT DO UPDATE SET exchanges = exchanges + excluded.exchanges",
    "INSERT INTO data (endpoint, half, part, name, kind, count, confidence, first_seen, last_seen) \
     SELECT ?2, half, part, name, kind, count, confidence, first_seen, last_seen FROM data WHERE endpoint = ?1 \
     ON CONFLICT DO UPDATE SET count = count + excluded.count, confidence = max(confidence, excluded.confidence), \
     first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)",
    "INSERT INTO resources (endpoint, process, role, port, container, runtime, pod, tls, exchanges, first_seen, \
     last_seen) SELECT ?2, process, role, port, container, runtime, pod, tls, exchanges, first_seen, last_seen \
     FROM resources WHERE endpoint = ?1 ON CONFLICT DO UPDATE SET exchanges = exchanges + excluded.exchanges, \
     first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)",
    "INSERT INTO findings (rule, endpoint, subject, severity, confidence, count, first_seen, last_seen) \
     SELECT rule, ?2, subject, severity, confidence, count, first_seen, last_seen FROM findings WHERE endpoint = ?1 \
     ON CONFLICT DO UPDATE SET count = count + excluded.count, \
     first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)",
];

/// Moves rows.
pub(super) fn apply(connection: &Connection, moves: &[Move]) -> Result<(), rusqlite::Error> {
    if moves.is_empty() {
        return Ok(());
    }
    let mut find = connection.prepare_cached(FIND)?;
    for Move { from, into } in moves {
        let Some(old) = id(&mut find, from)? else {
            continue;
        };
        let Some(into) = into else {
            connection.prepare_cached(FORGET)?.execute([old])?;
            continue;
        };
        match id(&mut find, into)? {
            Some(new) if new == old => {}
            Some(new) => join(connection, old, new)?,
            None => {
                let [kind, method, host, template, operation] = names(into);
                connection
                    .prepare_cached(RENAME)?
                    .execute(params![old, kind, method, host, template, operation])?;
            }
        }
    }
    Ok(())
}

fn join(connection: &Connection, old: i64, new: i64) -> Result<(), rusqlite::Error> {
    for sql in JOIN {
        connection.prepare_cached(sql)?.execute([old, new])?;
    }
    // What refers to it goes with it.
    connection.prepare_cached(GONE)?.execute([old])?;
    Ok(())
}

fn id(find: &mut CachedStatement<'_>, endpoint: &Endpoint) -> Result<Option<i64>, rusqlite::Error> {
    find.query_row(names(endpoint), |row| row.get(0)).optional()
}
