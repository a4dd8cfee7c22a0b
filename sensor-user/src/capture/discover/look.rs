//! One look at a process: which files it runs code from, and what is to be probed in them.
//!
//! Takes a process id and a memory of files looked at a moment ago. Gives a [`Look`]. Never attaches. Bounded by the
//! process's map; a file that was looked at within [`FRESH_NS`] is not opened again, so that a thousand processes
//! which start together cost one look per file and one reading of a map each.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::process::{self, MappedFile};
use super::target::{Target, target_of};
use super::{Cache, FileIdentity};
use crate::capture::attach::site::Returns;

/// How long a file is taken for what it was: a file overwritten in place is noticed by the later looks.
pub const FRESH_NS: u64 = 500_000_000;
/// Files remembered at most.
const MAX_REMEMBERED: usize = 4096;

/// A file as `/proc/PID/maps` names it: device and inode number.
pub type MapName = ((u32, u32), u64);

/// What a look found.
#[derive(Debug, Default)]
pub struct Look {
    /// Files to probe that were opened now.
    pub targets: Vec<(MapName, Target)>,
    /// Files that hold a covered stack and were looked at a moment ago.
    pub known: Vec<FileIdentity>,
    /// What could not be looked at, and why.
    pub unread: Vec<(PathBuf, String)>,
}

/// Remembers files for a moment.
#[derive(Debug, Default)]
pub struct Memory(HashMap<MapName, (u64, Option<FileIdentity>)>);

impl Memory {
    /// Forgets a file: it has to be looked at again whenever it is met.
    pub fn forget(&mut self, name: &MapName) {
        self.0.remove(name);
    }

    /// What was found a moment ago: at most one identity, none where there is nothing to probe.
    fn fresh(&self, name: &MapName, now_ns: u64) -> Option<&Option<FileIdentity>> {
        let (since, found) = self.0.get(name)?;
        (now_ns.saturating_sub(*since) < FRESH_NS).then_some(found)
    }

    fn remember(&mut self, name: MapName, now_ns: u64, found: Option<FileIdentity>) {
        if self.0.len() >= MAX_REMEMBERED {
            self.0.clear();
        }
        self.0.insert(name, (now_ns, found));
    }
}

/// Looks at a process. An error means that the process itself cannot be looked at.
pub fn look(
    proc: &Path,
    pid: u32,
    now_ns: u64,
    returns: Returns,
    (cache, memory): (&mut Cache, &mut Memory),
) -> io::Result<Look> {
    let mut found = Look::default();
    for mapped in process::mapped_files(proc, pid)? {
        let name = (mapped.device, mapped.inode);
        match memory.fresh(&name, now_ns) {
            Some(known) => found.known.extend(*known),
            None => {
                if let Ok(outcome) = open(proc, pid, mapped, returns, cache, &mut found) {
                    memory.remember(name, now_ns, outcome);
                }
            }
        }
    }
    Ok(found)
}

/// The file is not to be remembered.
struct Unseen;

/// Opens a file and takes down what is in it. Gives what is to be remembered.
fn open(
    proc: &Path,
    pid: u32,
    mapped: MappedFile,
    returns: Returns,
    cache: &mut Cache,
    found: &mut Look,
) -> Result<Option<FileIdentity>, Unseen> {
    let name = (mapped.device, mapped.inode);
    let file = match mapped.open(proc, pid) {
        Ok(file) => file,
        // It ended, or unmapped the file, while we looked.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unseen),
        // A device, such as a graphics card's.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
        Err(error) => {
            found.unread.push((mapped.path, error.to_string()));
            return Err(Unseen);
        }
    };
    match target_of(file, mapped.path, returns, cache) {
        Ok(Some(target)) => {
            let identity = target.identity;
            found.targets.push((name, target));
            Ok(Some(identity))
        }
        // An error is named by the coverage report; reading it again and again would not help.
        Ok(None) | Err(_) => Ok(None),
    }
}
