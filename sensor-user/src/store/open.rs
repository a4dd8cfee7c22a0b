//! Opens the store: made if absent, brought to this version, moved aside when damaged and the sensor's own.
//!
//! Takes a path. Gives a connection that may write, or one that only reads, of this version. Never touches a file of
//! another program or of a newer sensor. Bounded by one check of the whole file at start.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use rustix::fs::FlockOperation;

use super::error::{StoreError, is_damage};
use super::remembered::Keyed;
use super::tables::{APPLICATION, VERSION, step};
use crate::exchange::secret::KeyedHash;

/// How long the writer waits for whoever holds the file; readers never do with a write-ahead log.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of the write-ahead log that stay after a checkpoint.
const LOG_BYTES: u32 = 4 << 20;
/// Kibibytes of pages that SQLite keeps.
const CACHE_KIB: i32 = 2048;
/// Row of the state that says with which key it was written.
const KEY: &str = "key";
/// Owner alone.
const MODE: u32 = 0o600;

/// Whose file it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// The sensor's, in its state directory: a damaged one is moved aside, another key begins anew.
    Own,
    /// Somebody's, who named it: what is no store, damaged or of another key is refused and left as it is.
    Named,
}

/// A store that this process alone writes to.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    /// Where a damaged one was moved to.
    pub(super) damaged: Option<PathBuf>,
    /// It was written with another key: what depends on it is gone.
    pub(super) rekeyed: bool,
    key: KeyedHash,
    whose: Whose,
    /// Device and number of the file that is open; `None` while there is none.
    file: Option<(u64, u64)>,
    /// Held for as long as the store is open. A file of its own: closing a descriptor of the database would drop the
    /// locks that SQLite has on it (POSIX, `fcntl`).
    _lock: File,
}

/// Opens the store at `path` to write, making it if there is none. `key` tells the installation's key from others.
pub(super) fn to_write(path: &Path, key: KeyedHash, whose: Whose) -> Result<Opened, StoreError> {
    let lock = lock(path)?;
    let (connection, rekeyed, damaged) = prepare_or_begin(path, key, whose)?;
    Ok(Opened {
        connection,
        path: path.to_owned(),
        damaged,
        rekeyed,
        key,
        whose,
        file: identity(path),
        _lock: lock,
    })
}

/// A connection, whether there was another key, and where a damaged file was moved to.
fn prepare_or_begin(
    path: &Path,
    key: KeyedHash,
    whose: Whose,
) -> Result<(Connection, bool, Option<PathBuf>), StoreError> {
    match prepare(path, key, whose) {
        Err(StoreError::Damaged { .. }) if whose == Whose::Own => {
            let aside = move_aside(path).map_err(file(path))?;
            let (connection, rekeyed) = prepare(path, key, whose)?;
            Ok((connection, rekeyed, Some(aside)))
        }
        prepared => prepared.map(|(connection, rekeyed)| (connection, rekeyed, None)),
    }
}

impl Opened {
    /// Begins anew after SQLite found damage while at work. Where that fails, [`Self::again`] tries once more.
    pub(super) fn begin_anew(&mut self) -> Result<PathBuf, StoreError> {
        self.close()?;
        let path = self.path.clone();
        if self.whose == Whose::Named {
            return Err(StoreError::Damaged { path });
        }
        let aside = move_aside(&path).map_err(file(&path))?;
        self.again()?;
        Ok(aside)
    }

    /// Opens the file that is there now, or makes one; gives where a damaged one was moved to.
    pub(super) fn again(&mut self) -> Result<Option<PathBuf>, StoreError> {
        self.close()?;
        let (connection, _, aside) = prepare_or_begin(&self.path, self.key, self.whose)?;
        self.connection = connection;
        self.file = identity(&self.path);
        Ok(aside)
    }

    /// The connection ends before anything is done to the file: its log must not be played into another one.
    fn close(&mut self) -> Result<(), StoreError> {
        self.file = None;
        let none = Connection::open_in_memory().map_err(sqlite(&self.path))?;
        drop(std::mem::replace(&mut self.connection, none));
        Ok(())
    }

    /// Whether there is no file: opening it again failed.
    pub(super) const fn is_closed(&self) -> bool {
        self.file.is_none()
    }

    /// Whether the file was deleted, or another one put in its place.
    pub(super) fn is_replaced(&self) -> bool {
        self.file.is_some() && self.file != identity(&self.path)
    }

    /// Bytes of the write-ahead log.
    pub(super) fn log_bytes(&self) -> u64 {
        fs::metadata(beside(&self.path, "-wal")).map_or(0, |log| log.len())
    }
}

/// Opens the store at `path` to read, also while a sensor writes to it, after one was killed, and where nothing can be
/// written.
pub(super) fn to_read(path: &Path) -> Result<Connection, StoreError> {
    if !path.try_exists().map_err(file(path))? {
        return Err(StoreError::Absent {
            path: path.to_owned(),
        });
    }
    // SQLite says of each cause that it is unable to open the file; the system says which.
    let opened = File::open(path).map_err(file(path))?;
    if opened.metadata().map_err(file(path))?.is_dir() {
        return Err(file(path)(io::ErrorKind::IsADirectory.into()));
    }
    drop(opened);
    let found = match look(path, Log::Read) {
        // Readers of a write-ahead log make an index beside it, or use the one that is there; here they can do neither.
        // Without a log the file is whole (<https://sqlite.org/wal.html#read_only_databases>).
        Err(error) if is_beside_refused(&error) => {
            if fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0) {
                return Err(StoreError::Unfinished {
                    path: path.to_owned(),
                });
            }
            look(path, Log::None)
        }
        found => found,
    };
    let (connection, version) = found.map_err(told(path))?;
    match known(path, version)? {
        0 => Err(StoreError::Absent {
            path: path.to_owned(),
        }),
        VERSION => Ok(connection),
        found => Err(StoreError::Older {
            path: path.to_owned(),
            found,
            known: VERSION,
        }),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Log {
    Read,
    /// There is none, and nobody writes.
    None,
}

/// A connection that reads, application id and version.
fn look(path: &Path, log: Log) -> Result<(Connection, (i32, u32)), rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match log {
        Log::Read => Connection::open_with_flags(path, flags)?,
        Log::None => Connection::open_with_flags(unchanging(path), flags | OpenFlags::SQLITE_OPEN_URI)?,
    };
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    let version = version(&connection)?;
    Ok((connection, version))
}

/// The path as SQLite takes it with options (<https://sqlite.org/uri.html>).
fn unchanging(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _infallible = write!(uri, "%{byte:02x}");
        }
    }
    uri + "?immutable=1"
}

fn is_beside_refused(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly))
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(beside(path, ".lock"))
        .map_err(file(path))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse {
            path: path.to_owned(),
        }),
        Err(error) => Err(file(path)(error.into())),
    }
}

/// What tells a file from the one that takes its name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Checked, of this version and ready to be written to; and whether it was written with another key.
fn prepare(path: &Path, key: KeyedHash, whose: Whose) -> Result<(Connection, bool), StoreError> {
    make(path).map_err(file(path))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite(path))?;
    connection.busy_timeout(PATIENCE).map_err(sqlite(path))?;
    let found = version(&connection).map_err(told(path))?;
    let from = known(path, found)?;
    if from == 0 {
        // Before the first table, else it has no effect (sqlite.org/pragma.html#pragma_auto_vacuum).
        connection
            .pragma_update(None, "auto_vacuum", "incremental")
            .map_err(told(path))?;
    } else if !is_whole(&connection).map_err(told(path))? {
        return Err(StoreError::Damaged {
            path: path.to_owned(),
        });
    } else if whose == Whose::Named && is_of_another_key(&connection, key).map_err(told(path))? {
        return Err(StoreError::OtherKey {
            path: path.to_owned(),
        });
    }
    // Only now: the file of somebody else keeps its mode.
    private(path).map_err(file(path))?;
    settle(&connection).map_err(told(path))?;
    migrate(&mut connection, from).map_err(told(path))?;
    let rekeyed = rekey(&mut connection, key).map_err(told(path))?;
    Ok((connection, rekeyed))
}

/// Makes the file if needed, for the owner alone; SQLite gives its log the same mode. Follows no link.
fn make(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map(drop)
}

/// For the owner alone, and the log with its index, which have the mode that the file had. By name: closing a descriptor
/// would drop SQLite's locks.
fn private(path: &Path) -> io::Result<()> {
    for path in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() && found.permissions().mode() & 0o077 != 0 => {
                fs::set_permissions(&path, fs::Permissions::from_mode(MODE))?;
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Application id and version; 0 for a version that no sensor writes.
fn version(connection: &Connection) -> Result<(i32, u32), rusqlite::Error> {
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    // A file of others may have a version, too; a new one has neither tables nor version.
    let other = application != APPLICATION && (tables > 0 || version != 0 || application != 0);
    let version = u32::try_from(version).unwrap_or(0);
    Ok(if other {
        (-1, version.max(1))
    } else {
        (application, version)
    })
}

fn known(path: &Path, (application, found): (i32, u32)) -> Result<u32, StoreError> {
    let path = path.to_owned();
    if application == -1 {
        return Err(StoreError::Foreign { path });
    }
    if found > VERSION {
        let known = VERSION;
        return Err(StoreError::Newer { path, found, known });
    }
    Ok(found)
}

fn is_whole(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(verdict == "ok")
}

/// How SQLite works on it. `synchronous` is FULL: one transaction each ten seconds pays one `fsync`, in a thread that
/// nobody waits for, and then a power cut costs no more than a kill does. NORMAL would lose what was not checkpointed.
fn settle(connection: &Connection) -> Result<(), rusqlite::Error> {
    // On file systems without shared memory SQLite says no, and stays with a rollback journal: as safe, and slower.
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))
}

/// All steps are one transaction: whoever is killed meanwhile leaves the version before, or nothing.
fn migrate(connection: &mut Connection, from: u32) -> Result<(), rusqlite::Error> {
    if from == VERSION {
        return Ok(());
    }
    // A table that is made anew takes none of the rows that refer to it along.
    connection.pragma_update(None, "foreign_keys", false)?;
    let steps = connection.transaction()?;
    for to in from + 1..=VERSION {
        steps.execute_batch(&step(to))?;
    }
    steps.pragma_update(None, "application_id", APPLICATION)?;
    steps.pragma_update(None, "user_version", VERSION)?;
    steps.commit()?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// The key that it was written with last.
fn written_with(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let content = connection
        .query_row("SELECT content FROM state WHERE name = ?1", [KEY], |row| {
            Ok(super::read::text(row, 0)?.unwrap_or_default())
        })
        .optional()?;
    Ok(content)
}

/// Whether it was written with a key that is neither this one nor the one before it.
fn is_of_another_key(connection: &Connection, key: KeyedHash) -> Result<bool, rusqlite::Error> {
    let known = written_with(connection)?;
    let own = |known: &String| {
        *known == key.now.to_string() || key.before.is_some_and(|before| *known == before.to_string())
    };
    Ok(known.is_some_and(|known| !own(&known)))
}

/// Forgets what was learnt with another key, where it says nothing under this one; whether there was any.
fn rekey(connection: &mut Connection, key: KeyedHash) -> Result<bool, rusqlite::Error> {
    let change = connection.transaction()?;
    let known = written_with(&change)?;
    if known.as_deref() == Some(key.now.to_string().as_str()) {
        return Ok(false);
    }
    let rotated = key.before.is_some_and(|before| known == Some(before.to_string()));
    let least = if rotated {
        Keyed::Wholly
    } else {
        Keyed::UntilRotated
    };
    let mut gone = change.execute("DELETE FROM state WHERE keyed >= ?1", [least as u8])?;
    gone += change.execute("DELETE FROM schemas", [])?;
    if !rotated {
        gone += change.execute("DELETE FROM callers", [])?;
    }
    change.execute(
        "INSERT OR REPLACE INTO state (name, version, saved, content, keyed) VALUES (?1, 1, 0, ?2, 0)",
        params![KEY, key.now.to_string()],
    )?;
    change.commit()?;
    Ok(gone > 0)
}

/// Keeps the damaged file and its log for whoever wants to look; the one of last time goes.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = beside(path, ".damaged");
    for (from, to) in [
        ("", ".damaged"),
        ("-wal", ".damaged-wal"),
        ("-shm", ".damaged-shm"),
    ] {
        match fs::rename(beside(path, from), beside(path, to)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn file(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |source| StoreError::File {
        path: path.to_owned(),
        source,
    }
}

fn sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Sqlite {
        path: path.to_owned(),
        source,
    }
}

/// As [`sqlite`], where the error may tell of damage.
fn told(path: &Path) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| {
        if is_damage(&source) {
            StoreError::Damaged {
                path: path.to_owned(),
            }
        } else {
            sqlite(path)(source)
        }
    }
}
