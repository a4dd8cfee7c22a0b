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
}

impl StateError {
    /// Whether more privileges would help.
    pub fn is_privileges(&self) -> bool {
        matches!(self, Self::Write { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
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
        private(path)?;
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

/// The key in a file, or one made of 32 random bytes the first time.
pub fn key(path: &Path) -> Result<[u8; KEY_BYTES], StateError> {
    if !path.exists() {
        make_key(path).map_err(|source| StateError::Write {
            path: path.to_owned(),
            source,
        })?;
    }
    kept_key(path)
}

/// The key in a file that is there.
pub fn kept_key(path: &Path) -> Result<[u8; KEY_BYTES], StateError> {
    private(path)?;
    let bytes = fs::read(path).map_err(|source| StateError::Write {
        path: path.to_owned(),
        source,
    })?;
    <[u8; KEY_BYTES]>::try_from(bytes).map_err(|_wrong_length| StateError::Key {
        path: path.to_owned(),
    })
}

/// Writes beside the place and links: two sensors that start together end up with one whole key.
fn make_key(path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(&key)?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

/// Ours (or root's), and closed to group and others.
fn private(path: &Path) -> Result<(), StateError> {
    let failed = |source| StateError::Write {
        path: path.to_owned(),
        source,
    };
    let found = fs::metadata(path).map_err(failed)?;
    let ours = fs::metadata("/proc/self").map_err(failed)?.uid();
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    // No bit for the group or others.
    if mode.trailing_zeros() >= 6 && (owner == ours || owner == 0) {
        Ok(())
    } else {
        Err(StateError::Open {
            path: path.to_owned(),
            owner,
            mode,
        })
    }
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
        let made = key(&file).unwrap();
        assert_eq!(key(&file).unwrap(), made);
        assert_eq!(kept_key(&file).unwrap(), made);
        assert!(kept_key(&base.path().join("other")).is_err());
    }

    #[test]
    fn a_place_that_cannot_be_written_says_what_to_do() {
        let error = StateDirectory::open(Path::new("/proc/api-sensor")).unwrap_err();
        assert!(matches!(error, StateError::Write { .. }));
        assert!(error.remedy().contains("--state-dir"));
    }
}
