//! Discovery: processes, the files they run, and the TLS stacks in those files.
//!
//! Takes `/proc` and files; gives targets to attach to. Never reads a process's memory. Bounded by [`MAX_FILES`]
//! remembered files; each is read once however many processes map it.

mod bio;
pub mod cgroup;
pub mod container;
pub mod elf;
pub mod go;
pub mod labels;
#[cfg(feature = "kernel")]
pub mod look;
pub mod process;
pub mod recognise;
pub mod rustls;
#[cfg(feature = "kernel")]
mod rustls_state;
#[cfg(feature = "kernel")]
pub mod same;
pub mod stacks;
#[cfg(feature = "kernel")]
pub mod target;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "kernel")]
use super::attach::site::Returns;
use elf::{Elf, ElfError, Machine};
use recognise::{Recognised, recognise};
#[cfg(feature = "kernel")]
pub use target::{ProbePoint, Target, target_of_file, targets_of};

/// Files remembered. A host of some hundred programs maps a few thousand distinct ones.
pub const MAX_FILES: usize = 16_384;
/// Files listed in one directory of libraries.
const MAX_LISTED: usize = 65_536;
/// Directories named in the dynamic linker's configuration.
const MAX_DIRECTORIES: usize = 256;

/// A file, safe against being overwritten in place or its inode number being reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileIdentity {
    /// Device.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Last change of content in nanoseconds.
    pub modified_ns: i128,
    /// Length in bytes.
    pub size: u64,
}

impl FileIdentity {
    /// Of an opened file.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            size: metadata.size(),
        })
    }
}

/// What a file's content says.
#[derive(Debug)]
pub struct Inspected {
    /// Instruction set, `None` when the file is not an ELF file the sensor understands.
    pub machine: Option<Machine>,
    /// TLS stacks in it.
    pub stacks: Vec<Recognised>,
    /// Hash that names the build.
    pub build_id: Option<Vec<u8>>,
    /// Why its content is unknown.
    pub error: Option<ElfError>,
}

/// Remembers what files contain, so that hundreds of processes cost one reading per file.
#[derive(Default)]
pub struct Cache {
    files: HashMap<FileIdentity, Arc<Inspected>>,
    #[cfg(feature = "kernel")]
    points: HashMap<(FileIdentity, Returns), Vec<ProbePoint>>,
    readings: u64,
}

impl Cache {
    /// What the file contains.
    pub fn inspect(&mut self, file: &File) -> io::Result<(FileIdentity, Arc<Inspected>)> {
        let identity = FileIdentity::of(file)?;
        if let Some(known) = self.files.get(&identity) {
            return Ok((identity, Arc::clone(known)));
        }
        // Forgetting everything is rare, simple, and costs one more reading per file still in use.
        if self.files.len() >= MAX_FILES {
            *self = Self {
                readings: self.readings,
                ..Self::default()
            };
        }
        self.readings += 1;
        let inspected = Arc::new(inspect(file));
        self.files.insert(identity, Arc::clone(&inspected));
        Ok((identity, inspected))
    }

    /// Probe points of a file, chosen once. Only files with a covered stack have any, so `files` bounds them.
    #[cfg(feature = "kernel")]
    fn points(
        &mut self,
        file: FileIdentity,
        returns: Returns,
        choose: impl FnOnce() -> Result<Vec<ProbePoint>, ElfError>,
    ) -> Result<Vec<ProbePoint>, ElfError> {
        if let Some(known) = self.points.get(&(file, returns)) {
            return Ok(known.clone());
        }
        let points = choose()?;
        self.points.insert((file, returns), points.clone());
        Ok(points)
    }

    /// Files read so far; each identity counts once while it is remembered.
    pub const fn readings(&self) -> u64 {
        self.readings
    }
}

fn inspect(file: &File) -> Inspected {
    let read = || -> Result<Inspected, ElfError> {
        let elf = Elf::parse(file)?;
        Ok(Inspected {
            machine: Some(elf.machine()),
            stacks: recognise(&elf)?,
            build_id: elf.build_id(),
            error: None,
        })
    };
    read().unwrap_or_else(|error| Inspected {
        machine: None,
        stacks: Vec::new(),
        build_id: None,
        error: Some(error),
    })
}

/// How the files of the covered libraries are named; `libssl` is NSS's name, too.
const LIKELY: [&str; 6] = [
    "libssl",
    "libgnutls",
    "libnspr4",
    "libwolfssl",
    "libmbedtls",
    "libs2n",
];

/// Libraries of the host that look by name like those covered, for attaching before any process maps them. Their content
/// still decides.
pub fn standard_libraries() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = library_directories(Path::new("/etc/ld.so.conf"))
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flat_map(|entries| entries.take(MAX_LISTED))
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name();
            let name = name.to_str()?;
            let is_likely = LIKELY.iter().any(|likely| name.starts_with(likely));
            (is_likely && name.contains(".so")).then(|| entry.path())
        })
        // Names of one library are links to one file.
        .filter_map(|path| fs::canonicalize(path).ok())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Where the dynamic linker looks (ld.so(8)): its configuration, then its built-in directories.
fn library_directories(configuration: &Path) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    configured_directories(configuration, Include::Allowed, &mut directories);
    directories.extend(["/lib", "/usr/lib", "/lib64", "/usr/lib64"].map(PathBuf::from));
    directories
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Include {
    Allowed,
    /// An included file's own includes are not followed: distributions nest one level.
    Done,
}

fn configured_directories(file: &Path, include: Include, directories: &mut Vec<PathBuf>) {
    let Ok(text) = fs::read_to_string(file) else {
        return;
    };
    for line in text.lines().map(str::trim) {
        if directories.len() >= MAX_DIRECTORIES {
            return;
        }
        if let Some(pattern) = line.strip_prefix("include ") {
            if include == Include::Allowed {
                for file in included_files(file, pattern.trim()) {
                    configured_directories(&file, Include::Done, directories);
                }
            }
        } else if line.starts_with('/') {
            directories.push(PathBuf::from(line));
        }
    }
}

/// Files of an `include DIRECTORY/*.conf` line, the only form in use, in the order of their names.
fn included_files(from: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern = from.parent().unwrap_or(Path::new("/")).join(pattern);
    let suffix = pattern
        .file_name()
        .and_then(|name| name.to_str()?.strip_prefix('*'));
    let (Some(directory), Some(suffix)) = (pattern.parent(), suffix) else {
        return vec![pattern];
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .take(MAX_LISTED)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(suffix)))
        .collect();
    files.sort_unstable();
    files
}

#[cfg(test)]
mod tests;
