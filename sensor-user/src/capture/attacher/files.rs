//! The files that are probed, who uses them, and what became of each attempt.
//!
//! Takes targets, users and times; gives what is to be attached, retried and released. Never attaches by itself, so
//! that time and failures are arguments in tests. Bounded by [`MAX_FILES`].

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use super::schedule::retry_at;
use crate::capture::attach::Attachment;
use crate::capture::discover::look::MapName;
use crate::capture::discover::same::{self, Verdict};
use crate::capture::discover::{FileIdentity, Target};

/// Files attached at most: each costs the kernel a few kilobytes and every process that maps it a trap.
pub(super) const MAX_FILES: usize = 1024;
/// Names under which one file was met, at most; more containers than this share it under the last ones.
const MAX_NAMES: usize = 4096;

/// Device and inode number, as `stat` gives them.
pub(super) type FileKey = (u64, u64);

/// What became of a file.
#[derive(Debug)]
pub(super) enum State {
    /// Probed.
    Attached(Box<dyn Attachment>),
    /// The kernel refused; tried again later.
    Failed { failures: u32, next_ns: u64 },
}

/// A file with a covered TLS stack.
#[derive(Debug)]
pub(super) struct Probed {
    /// Its content then. A file overwritten in place keeps its inode, and its probes would sit inside instructions.
    pub(super) identity: FileIdentity,
    pub(super) path: PathBuf,
    pub(super) state: State,
    /// To compare others with.
    file: Option<File>,
    users: HashSet<u32>,
    names: HashSet<MapName>,
    /// Asked for by name: stays while the name leads to it.
    pub(super) pinned: bool,
    unused_since: Option<u64>,
}

/// What to do about a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Nothing: it is probed already, by this or another name.
    Known,
    /// Nothing yet: the attempt after its failures is due then.
    Wait(u64),
    /// Attach. Failures so far.
    Attach(u32),
    /// No room.
    Full,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Files {
    probed: HashMap<FileKey, Probed>,
    /// Other names of files: overlays over one layer.
    aliases: HashMap<FileKey, (FileIdentity, FileKey)>,
    /// Process to the files it maps.
    uses: HashMap<u32, HashSet<FileKey>>,
}

pub(super) const fn key_of(identity: &FileIdentity) -> FileKey {
    (identity.device, identity.inode)
}

impl Files {
    /// What to do about a target met now. Forgets a file of that inode whose content has changed.
    pub(super) fn next(&mut self, target: &Target, now_ns: u64) -> Next {
        let key = self.resolve(target);
        match self.probed.get(&key) {
            Some(known) if known.identity == target.identity || key != key_of(&target.identity) => {
                match known.state {
                    State::Attached(_) => Next::Known,
                    State::Failed { failures, next_ns } if now_ns >= next_ns => Next::Attach(failures),
                    State::Failed { next_ns, .. } => Next::Wait(next_ns),
                }
            }
            // Another content: out with the old probes before the new go in.
            Some(_) => {
                self.probed.remove(&key);
                Next::Attach(0)
            }
            None if self.probed.len() >= MAX_FILES => Next::Full,
            None => Next::Attach(0),
        }
    }

    /// The key of the file underneath. A file with the size and time of change of a probed one, on another device,
    /// may be that one seen through another overlay.
    fn resolve(&mut self, target: &Target) -> FileKey {
        let key = key_of(&target.identity);
        if self.probed.contains_key(&key) {
            return key;
        }
        if let Some((identity, primary)) = self.aliases.get(&key)
            && *identity == target.identity
            && self.probed.contains_key(primary)
        {
            return *primary;
        }
        let twin = self.probed.iter().find(|(other, known)| {
            other.0 != key.0
                && known.identity.size == target.identity.size
                && known.identity.modified_ns == target.identity.modified_ns
                && known
                    .file
                    .as_ref()
                    .is_some_and(|file| same::same(file, &target.file) == Verdict::Same)
        });
        let Some(primary) = twin.map(|(primary, _)| *primary) else {
            return key;
        };
        if self.aliases.len() >= MAX_NAMES {
            self.aliases.clear();
        }
        self.aliases.insert(key, (target.identity, primary));
        primary
    }

    /// Takes down how an attempt ended. Gives how often it had failed before.
    pub(super) fn settle(&mut self, target: &Target, links: Option<Box<dyn Attachment>>, now_ns: u64) -> u32 {
        let key = self.primary(key_of(&target.identity));
        let before = self.probed.remove(&key);
        let failures = match &before {
            Some(Probed {
                state: State::Failed { failures, .. },
                ..
            }) => *failures,
            _ => 0,
        };
        let state = match links {
            Some(links) => State::Attached(links),
            None => State::Failed {
                failures: failures.saturating_add(1),
                next_ns: retry_at(now_ns, failures.saturating_add(1)),
            },
        };
        let (users, names, pinned) = before
            .map(|before| (before.users, before.names, before.pinned))
            .unwrap_or_default();
        let probed = Probed {
            identity: target.identity,
            path: target.path.clone(),
            state,
            file: target.file.try_clone().ok(),
            users,
            names,
            pinned,
            unused_since: None,
        };
        self.probed.insert(key, probed);
        failures
    }

    /// A process maps exactly these files now.
    pub(super) fn used_by(&mut self, pid: u32, by_name: &[(MapName, FileIdentity)], known: &[FileIdentity]) {
        let mut now = HashSet::new();
        for (name, identity) in by_name {
            let key = self.primary(key_of(identity));
            if let Some(file) = self.probed.get_mut(&key) {
                if file.names.len() < MAX_NAMES {
                    file.names.insert(*name);
                }
                now.insert(key);
            }
        }
        now.extend(
            known
                .iter()
                .map(|identity| self.primary(key_of(identity)))
                .filter(|key| self.probed.contains_key(key)),
        );
        for key in &now {
            if let Some(file) = self.probed.get_mut(key) {
                file.users.insert(pid);
                file.unused_since = None;
            }
        }
        let before = if now.is_empty() {
            self.uses.remove(&pid)
        } else {
            self.uses.insert(pid, now.clone())
        };
        for key in before.unwrap_or_default().difference(&now) {
            if let Some(file) = self.probed.get_mut(key) {
                file.users.remove(&pid);
            }
        }
    }

    fn primary(&self, key: FileKey) -> FileKey {
        if self.probed.contains_key(&key) {
            return key;
        }
        self.aliases.get(&key).map_or(key, |(_, primary)| *primary)
    }

    /// A process ended.
    pub(super) fn gone(&mut self, pid: u32) {
        for key in self.uses.remove(&pid).unwrap_or_default() {
            if let Some(file) = self.probed.get_mut(&key) {
                file.users.remove(&pid);
            }
        }
    }

    /// Files that nobody has used for `grace_ns`, as far as is known: `alive` says which users are still there.
    pub(super) fn idle(&mut self, now_ns: u64, grace_ns: u64, alive: impl Fn(u32) -> bool) -> Vec<FileKey> {
        let gone: Vec<u32> = self.uses.keys().copied().filter(|pid| !alive(*pid)).collect();
        for pid in gone {
            self.gone(pid);
        }
        let mut idle = Vec::new();
        for (key, file) in &mut self.probed {
            if file.pinned || !file.users.is_empty() {
                file.unused_since = None;
                continue;
            }
            let since = *file.unused_since.get_or_insert(now_ns);
            if now_ns.saturating_sub(since) >= grace_ns {
                idle.push(*key);
            }
        }
        idle
    }

    /// Which of the files a mapping of that name belongs to.
    pub(super) fn named<'k>(&self, among: &'k [FileKey], name: &MapName) -> Option<&'k FileKey> {
        among
            .iter()
            .find(|key| self.probed.get(key).is_some_and(|file| file.names.contains(name)))
    }

    /// A process that was not known to uses a file: a child of one that ended, for example.
    pub(super) fn found_user(&mut self, key: FileKey, pid: u32) {
        if let Some(file) = self.probed.get_mut(&key) {
            file.users.insert(pid);
            file.unused_since = None;
            self.uses.entry(pid).or_default().insert(key);
        }
    }

    /// Probes behind an identity that is another name of a probed file.
    pub(super) fn alias(&self, identity: &FileIdentity) -> Option<usize> {
        let (known, primary) = self.aliases.get(&key_of(identity))?;
        match &self.probed.get(primary)?.state {
            State::Attached(links) if known == identity => Some(links.points()),
            _ => None,
        }
    }

    /// Other names of a file.
    pub(super) fn aliases_of(&self, key: &FileKey) -> Vec<FileKey> {
        let names = self.aliases.iter().filter(|(_, (_, primary))| primary == key);
        names.map(|(name, _)| *name).collect()
    }

    /// Takes the probes of every file out of it, to drop them.
    pub(super) fn take_links(&mut self) -> Vec<Box<dyn Attachment>> {
        let files = self.probed.drain().map(|(_, file)| file.state);
        files
            .filter_map(|state| match state {
                State::Attached(links) => Some(links),
                State::Failed { .. } => None,
            })
            .collect()
    }

    /// Forgets a file; dropping what is given takes its probes out.
    pub(super) fn release(&mut self, key: &FileKey) -> Option<Probed> {
        let released = self.probed.remove(key)?;
        self.aliases.retain(|_, (_, primary)| primary != key);
        for pid in &released.users {
            if let Some(uses) = self.uses.get_mut(pid) {
                uses.remove(key);
            }
        }
        Some(released)
    }

    /// The file that a name leads to stays; one it led to before does not any more.
    pub(super) fn pin(&mut self, path: &Path, to: &FileIdentity) {
        let key = self.primary(key_of(to));
        for (other, file) in &mut self.probed {
            if *other == key {
                file.pinned = true;
                path.clone_into(&mut file.path);
            } else if file.pinned && file.path == path {
                file.pinned = false;
            }
        }
    }

    /// Probes in place, in all files.
    pub(super) fn probes(&self) -> usize {
        self.probed
            .values()
            .map(|file| match &file.state {
                State::Attached(links) => links.points(),
                State::Failed { .. } => 0,
            })
            .sum()
    }

    /// Files probed.
    pub(super) fn attached(&self) -> usize {
        let is_attached = |file: &&Probed| matches!(file.state, State::Attached(_));
        self.probed.values().filter(is_attached).count()
    }

    /// Whether a file could go one day.
    pub(super) fn any_unpinned(&self) -> bool {
        self.probed.values().any(|file| !file.pinned)
    }
}
