//! Keeps the store within its age and size.
//!
//! Takes bounds and a time. Deletes what was seen longest ago and least, callers before endpoints. Never deletes what
//! a stage learnt. Bounded by [`MAX_ROUNDS`] slices at a time.

use rusqlite::{Connection, params};

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
const MAX_ROUNDS: u32 = 64;
/// Least part of a table deleted at a time: one of so many.
const SLICE: i64 = 16;
/// After deleting, so much of `max_bytes` is used, in percent: else each flush would delete a little.
const ROOM: u64 = 90;
/// Calls below which an endpoint is one of those that go first: scanners and mistyped paths are not called again.
const SELDOM: i64 = 3;

/// Deletes what is too old, then what is too much, and gives the room back to the file system.
pub(super) fn apply(
    connection: &mut Connection,
    bounds: &Bounds,
    now_ns: u64,
) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    if bounds.retention_ns > 0 {
        let oldest = number(now_ns.saturating_sub(bounds.retention_ns));
        for table in ["endpoints", "callers", "data", "resources", "findings", "runs"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE last_seen < ?1"), [oldest])?;
        }
    }
    if used_bytes(&transaction)? > bounds.max_bytes {
        let goal = bounds.max_bytes / 100 * ROOM;
        for _ in 0..MAX_ROUNDS {
            if used_bytes(&transaction)? <= goal || slice(&transaction)? == 0 {
                break;
            }
        }
    }
    transaction.commit()?;
    give_back(connection)?;
    // The log has grown by what was deleted; a reader that is still at work makes this wait for the next time.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Frees pages at the file's end; each step frees one (<https://sqlite.org/pragma.html#pragma_incremental_vacuum>).
fn give_back(connection: &Connection) -> Result<(), rusqlite::Error> {
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut freed = vacuum.query([])?;
    while freed.next()?.is_some() {}
    Ok(())
}

/// Deletes one slice; gives how many rows of endpoints and callers it had.
fn slice(connection: &Connection) -> Result<usize, rusqlite::Error> {
    let callers = connection.execute(
        "DELETE FROM callers WHERE rowid IN (SELECT rowid FROM callers ORDER BY last_seen \
         LIMIT (SELECT count(*) / ?1 + 1 FROM callers))",
        [SLICE],
    )?;
    let endpoints = connection.execute(
        "DELETE FROM endpoints WHERE id IN (SELECT id FROM endpoints ORDER BY exchanges > ?2, last_seen \
         LIMIT (SELECT count(*) / ?1 + 1 FROM endpoints))",
        params![SLICE, SELDOM],
    )?;
    Ok(callers + endpoints)
}

/// Bytes of pages in use; free ones are given back.
pub(super) fn used_bytes(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let ask = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = ask("page_count")?.saturating_sub(ask("freelist_count")?);
    Ok(u64::try_from(pages.saturating_mul(ask("page_size")?)).unwrap_or(0))
}
