//! Keeps the store within its age and size.
//!
//! Takes bounds and a time. Deletes what stages could not use, then what was seen longest ago and least: callers, what an
//! endpoint has too many of, endpoints. Never deletes what a stage learnt, nor rows to make room for that. Bounded by
//! [`MAX_ROUNDS`] slices at a time.

use rusqlite::{Connection, params};

use super::states::SHARE;
use super::write::number;

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Rows that were not seen for so long go; 0 keeps them.
    pub retention_ns: u64,
    /// Bytes of the file.
    pub max_bytes: u64,
}

/// Slices deleted in one look; what is left goes at the next.
const MAX_ROUNDS: u32 = 256;
/// Least part of a table deleted at a time: one of so many.
const SLICE: i64 = 16;
/// After deleting, so much of `max_bytes` is used, in percent: else each flush would delete a little.
const ROOM: u64 = 90;
/// Callers that stay as long as there is anything else: whoever makes tokens up must not push out what was learnt.
const CALLERS: i64 = 1_000;
/// Rows of one kind that an endpoint has at most: four flushes' of the most that one takes. Names of properties are the
/// caller's choice.
pub(super) const EACH_ENDPOINT: i64 = 256;
/// Calls below which an endpoint is one of those that go first: scanners and mistyped paths are not called again.
const SELDOM: i64 = 3;

/// Whether rows go by their age.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Age {
    /// They do.
    Counts,
    /// The clock is not trusted: what is old cannot be told.
    Unsure,
}

/// Deletes what is too old, then what is too much, and gives the room back to the file system.
pub(super) fn apply(
    connection: &mut Connection,
    bounds: &Bounds,
    now_ns: u64,
    age: Age,
) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    if bounds.retention_ns > 0 && age == Age::Counts {
        let oldest = number(now_ns.saturating_sub(bounds.retention_ns));
        for table in ["endpoints", "callers", "data", "resources", "findings", "runs"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE last_seen < ?1"), [oldest])?;
        }
    }
    if used_bytes(&transaction)? > bounds.max_bytes {
        make_room(&transaction, bounds.max_bytes)?;
    }
    transaction.commit()?;
    give_back(connection)?;
    // The log has grown by what was deleted; a reader that is still at work makes this wait for the next time.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn make_room(connection: &Connection, max_bytes: u64) -> Result<(), rusqlite::Error> {
    connection.execute("DELETE FROM state WHERE name LIKE '%.unusable'", [])?;
    let sum = "SELECT coalesce(sum(length(content)), 0) FROM state";
    let states: i64 = connection.query_row(sum, [], |row| row.get(0))?;
    // A bound that was lowered below what stages learnt is none of the rows' fault.
    let beyond = u64::try_from(states)
        .unwrap_or(0)
        .saturating_sub(max_bytes / SHARE);
    let goal = (max_bytes / 100 * ROOM).saturating_add(beyond);
    for _ in 0..MAX_ROUNDS {
        if used_bytes(connection)? <= goal || slice(connection)? == 0 {
            break;
        }
    }
    Ok(())
}

/// Frees pages at the file's end; each step frees one (<https://sqlite.org/pragma.html#pragma_incremental_vacuum>).
fn give_back(connection: &Connection) -> Result<(), rusqlite::Error> {
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut freed = vacuum.query([])?;
    while freed.next()?.is_some() {}
    Ok(())
}

/// Deletes one slice of what goes first; gives how many rows it had.
fn slice(connection: &Connection) -> Result<usize, rusqlite::Error> {
    let callers = connection.execute(
        "DELETE FROM callers WHERE rowid IN (SELECT rowid FROM callers ORDER BY exchanges > ?2, last_seen \
         LIMIT (SELECT max(0, min(count(*) / ?1 + 1, count(*) - ?3)) FROM callers))",
        params![SLICE, SELDOM, CALLERS],
    )?;
    if callers > 0 {
        return Ok(callers);
    }
    let mut many = 0;
    for table in ["data", "resources", "findings"] {
        many += connection.execute(
            &format!(
                "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM (SELECT rowid, row_number() OVER \
                 (PARTITION BY endpoint ORDER BY last_seen DESC, rowid) AS place FROM {table}) WHERE place > ?1)"
            ),
            [EACH_ENDPOINT],
        )?;
    }
    if many > 0 {
        return Ok(many);
    }
    connection.execute(
        "DELETE FROM endpoints WHERE id IN (SELECT id FROM endpoints ORDER BY exchanges > ?2, last_seen \
         LIMIT (SELECT count(*) / ?1 + 1 FROM endpoints))",
        params![SLICE, SELDOM],
    )
}

/// Bytes of pages in use; free ones are given back.
pub(super) fn used_bytes(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let ask = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = ask("page_count")?.saturating_sub(ask("freelist_count")?);
    Ok(u64::try_from(pages.saturating_mul(ask("page_size")?)).unwrap_or(0))
}
