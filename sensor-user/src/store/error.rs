//! Why there is no store, and what to do.

use std::io;
use std::path::PathBuf;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be made, read or written.
    #[error("cannot use the store {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// SQLite refuses.
    #[error("cannot use the store {}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: rusqlite::Error,
    },
    /// There is none.
    #[error("there is no store at {}", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// Another sensor writes to it.
    #[error("another sensor writes to the store {}", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is a file of SQLite, of another program.
    #[error("{} is a database, but no store of api-sensor", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It was written with another key of an installation, and somebody named it.
    #[error("the store {} was written with another key", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
    },
    /// A newer sensor wrote it.
    #[error("the store {} has version {found}; this sensor knows {known} and older", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// An older sensor wrote it, and none of this version has been there yet.
    #[error("the store {} has version {found}; this sensor reads {known}", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that is read.
        known: u32,
    },
    /// It cannot be read where nothing can be written: the last flushes are in its log.
    #[error("the store {} cannot be read where it is: part of it is in its log, and nothing can be written beside it", path.display())]
    Unfinished {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged, or no database.
    #[error("the store {} is damaged, or no store", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::File { .. } | Self::Sqlite { .. } => {
                "check owner, mode and free space, or name another with --store or --state-dir".to_owned()
            }
            Self::Absent { .. } => {
                "start `api-sensor run`, which makes one, or name it with --store or --state-dir".to_owned()
            }
            Self::InUse { .. } => "stop the other one, or give this one a --state-dir of its own".to_owned(),
            Self::Foreign { .. } => "name another file with --store, or move this one away".to_owned(),
            Self::OtherKey { .. } => {
                "use the key that it was written with (state.key_file), or name another file with --store: with another key \
                 most of what it holds would be lost"
                    .to_owned()
            }
            Self::Newer { path, .. } => format!(
                "use the sensor that wrote it, or move {} away: a new one is begun then",
                path.display()
            ),
            Self::Older { .. } => {
                "start `api-sensor run` of this version, which brings it up to date, or ask with the sensor that wrote it"
                    .to_owned()
            }
            Self::Unfinished { path } => {
                let path = path.display();
                format!("copy {path} and {path}-wal to a directory of your own and name the copy with --store")
            }
            Self::Damaged { path } => format!(
                "name another file with --store, or move this one away; `api-sensor run` moves the one in its state directory to \
                 {}.damaged and begins a new one",
                path.display()
            ),
        }
    }

    /// Whether a sensor may do its work without: what is lost is memory, not sight.
    pub const fn is_bearable(&self) -> bool {
        matches!(
            self,
            Self::File { .. } | Self::Sqlite { .. } | Self::InUse { .. } | Self::Damaged { .. }
        )
    }
}

/// Whether SQLite says that the file is not what it wrote.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}
