//! The state directory and the installation's key in it.
//!
//! Takes a path. Gives a directory and 32 random bytes that outlive a restart. Never uses what others could have
//! written: mode and owner are checked. Bounded by the key's length.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of the key: BLAKE3's keyed mode takes 32.
const KEY_BYTES: usize = 32;
const KEY_FILE: &str = "installation.key";
/// Settings that name a key file.
const KEY_FILE_SETTING: &str = "state.key_file";
const PREVIOUS_KEY_FILE: &str = "state.previous_key_file";

/// Why there is no usable state. Start-up only.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The directory cannot be made or written.
    #[error("cannot write to the state directory {}", path.display())]
    Write {
        /// The directory or file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Somebody else could read or replace what is in it.
    #[error("{} is open to others: owner {owner}, mode {mode:04o}", path.display())]
    Open {
        /// The directory or file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// The key file does not hold a key.
    #[error("{} does not hold a key of 32 bytes", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// A key cannot be made where others could put one of theirs in its place.
    #[error("others can write to the directory {}: owner {owner}, mode {mode:04o}; no key is made there", path.display())]
    Parent {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// The file that a setting names cannot be used.
    #[error("{setting} names {}, which cannot be used", path.display())]
    Named {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl StateError {
    /// Whether more privileges would help.
    pub fn is_privileges(&self) -> bool {
        matches!(self, Self::Write { source, .. } | Self::Named { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Write { .. } => "run as root, or name a directory of your own with --state-dir".to_owned(),
            Self::Open { path, .. } => {
                let path = path.display();
                format!(
                    "make it yours alone: chown it and `chmod go= {path}`, or name another with --state-dir"
                )
            }
            Self::Key { path } => format!("remove {}; hashes of callers will then change", path.display()),
            Self::Parent { path, .. } => {
                let path = path.display();
                format!(
                    "make the directory yours, `chmod go-w {path}`, or let state.key_file name a file in another"
                )
            }
            Self::Named {
                setting: PREVIOUS_KEY_FILE,
                path,
                ..
            } => format!(
                "put the 32 bytes of the key before this one into {}, readable for the sensor alone, or leave \
                 {PREVIOUS_KEY_FILE} out: callers are then not recognised across the change",
                path.display()
            ),
            Self::Named { path, .. } => {
                format!(
                    "let {} be a file of 32 bytes that the sensor alone can read, or no file yet",
                    path.display()
                )
            }
        }
    }
}

/// A directory of ours that nobody else can use.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
}

impl StateDirectory {
    /// Makes the directory if needed, with mode 0700.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |source| StateError::Write {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        private(path, &fs::metadata(path).map_err(failed)?)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The installation's key: read, or made of 32 random bytes the first time.
    pub fn installation_key(&self) -> Result<[u8; KEY_BYTES], StateError> {
        key(&self.path.join(KEY_FILE))
    }
}

/// The key in the file that `state.key_file` names, or one made of 32 random bytes the first time.
pub fn named_key(path: &Path) -> Result<[u8; KEY_BYTES], StateError> {
    key(path).map_err(|error| error.of(KEY_FILE_SETTING, path))
}

/// The key in the file that `state.previous_key_file` names, which is there.
pub fn previous_key(path: &Path) -> Result<[u8; KEY_BYTES], StateError> {
    kept_key(path).map_err(|error| error.of(PREVIOUS_KEY_FILE, path))
}

fn key(path: &Path) -> Result<[u8; KEY_BYTES], StateError> {
    if !path.exists() {
        closed_parent(path)?;
        make_key(path).map_err(|source| StateError::Write {
            path: path.to_owned(),
            source,
        })?;
    }
    kept_key(path)
}

/// The key in a file that is there.
fn kept_key(path: &Path) -> Result<[u8; KEY_BYTES], StateError> {
    let failed = |source| StateError::Write {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    private(path, &file.metadata().map_err(failed)?)?;
    let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
    file.take(KEY_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    <[u8; KEY_BYTES]>::try_from(bytes).map_err(|_wrong_length| StateError::Key {
        path: path.to_owned(),
    })
}

impl StateError {
    /// Of the file that a setting names.
    fn of(self, setting: &'static str, path: &Path) -> Self {
        let source = match self {
            Self::Write { source, .. } => source,
            Self::Key { .. } => {
                io::Error::new(io::ErrorKind::InvalidData, "it does not hold a key of 32 bytes")
            }
            open => return open,
        };
        Self::Named {
            setting,
            path: path.to_owned(),
            source,
        }
    }
}

/// Writes beside the place and links: two sensors that start together end up with one whole key.
fn make_key(path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let mut file = match new_file(&draft) {
        // Of a sensor that ended in the middle of this; nobody else can write here.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&draft)?;
            new_file(&draft)?
        }
        file => file?,
    };
    file.write_all(&key)?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

/// A file that was not there before, and is no link to another.
fn new_file(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// The directory of a key that is to be made: nobody else may write there, also not where only owners remove files.
fn closed_parent(path: &Path) -> Result<(), StateError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let failed = |source| StateError::Write {
        path: parent.to_owned(),
        source,
    };
    let found = fs::metadata(parent).map_err(failed)?;
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if mode & 0o022 == 0 && is_ours(owner, parent)? {
        return Ok(());
    }
    Err(StateError::Parent {
        path: parent.to_owned(),
        owner,
        mode,
    })
}

/// Ours (or root's), and closed to group and others.
fn private(path: &Path, found: &fs::Metadata) -> Result<(), StateError> {
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    // No bit for the group or others.
    if mode.trailing_zeros() >= 6 && is_ours(owner, path)? {
        Ok(())
    } else {
        Err(StateError::Open {
            path: path.to_owned(),
            owner,
            mode,
        })
    }
}

fn is_ours(owner: u32, path: &Path) -> Result<bool, StateError> {
    let ours = fs::metadata("/proc/self").map_err(|source| StateError::Write {
        path: path.to_owned(),
        source,
    })?;
    Ok(owner == ours.uid() || owner == 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_ours_alone() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/state");
        let key = StateDirectory::open(&path).unwrap().installation_key().unwrap();
        assert_ne!(key, [0; 32]);
        assert_eq!(
            StateDirectory::open(&path).unwrap().installation_key().unwrap(),
            key
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), mode(&path.join(KEY_FILE))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_directory_open_to_others_is_refused_with_a_remedy() {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = StateDirectory::open(base.path()).unwrap_err();
        assert!(matches!(error, StateError::Open { mode: 0o755, .. }), "{error}");
        assert!(error.remedy().contains("chmod go="));
    }

    #[test]
    fn a_damaged_key_is_not_used() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(&base.path().join("state")).unwrap();
        let file = state.path().join(KEY_FILE);
        fs::write(&file, b"short").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(state.installation_key(), Err(StateError::Key { .. })));
    }

    #[test]
    fn a_key_file_of_its_own_is_made_once_and_one_before_it_must_be_there() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("key");
        let made = named_key(&file).unwrap();
        assert_eq!(named_key(&file).unwrap(), made);
        assert_eq!(previous_key(&file).unwrap(), made);
    }

    #[test]
    fn a_key_file_that_cannot_be_used_is_named_with_its_setting() {
        let base = tempfile::tempdir().unwrap();
        let (missing, short) = (base.path().join("missing"), base.path().join("short"));
        fs::write(&short, b"short").unwrap();
        fs::set_permissions(&short, fs::Permissions::from_mode(0o600)).unwrap();
        for file in [&missing, &short] {
            let error = previous_key(file).unwrap_err();
            for text in [error.to_string(), error.remedy()] {
                assert!(text.contains("state.previous_key_file"), "{text}");
                assert!(text.contains(&*file.to_string_lossy()), "{text}");
            }
        }
        let error = named_key(&short).unwrap_err().to_string();
        assert!(error.contains("state.key_file"), "{error}");
    }

    #[test]
    fn no_key_is_made_where_others_can_write() {
        let base = tempfile::tempdir().unwrap();
        let open = base.path().join("open");
        fs::create_dir(&open).unwrap();
        for mode in [0o777, 0o1777, 0o770] {
            fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
            let error = named_key(&open.join("key")).unwrap_err();
            assert!(matches!(error, StateError::Parent { .. }), "{error}");
            assert!(error.to_string().contains(&*open.to_string_lossy()));
            assert!(error.remedy().contains("chmod go-w"));
        }
        assert_eq!(fs::read_dir(&open).unwrap().count(), 0);
    }

    #[test]
    fn a_draft_that_lies_there_is_never_followed() {
        let base = tempfile::tempdir().unwrap();
        let (file, victim) = (base.path().join("key"), base.path().join("victim"));
        fs::write(&victim, b"untouched").unwrap();
        let draft = base.path().join(format!("key.{}", std::process::id()));
        std::os::unix::fs::symlink(&victim, &draft).unwrap();
        let made = named_key(&file).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
        assert_eq!(named_key(&file).unwrap(), made);
        assert!(!draft.exists() && fs::symlink_metadata(&file).unwrap().is_file());
    }

    #[test]
    fn a_place_that_cannot_be_written_says_what_to_do() {
        let error = StateDirectory::open(Path::new("/proc/api-sensor")).unwrap_err();
        assert!(matches!(error, StateError::Write { .. }));
        assert!(error.remedy().contains("--state-dir"));
    }
}
