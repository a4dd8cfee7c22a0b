//! Sockets that a process lost without a `close` of each: by `exec`, which closes what is marked so, and `close_range`.
//!
//! Takes records. Gives, behind such a step of a process that has talked, the sockets it has left. Never reads more than
//! the names of its descriptors. Bounded by [`MAX_TALKERS`] processes and [`MAX_DESCRIPTORS`] descriptors.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::kernel::monotonic_ns;
use super::{Origin, ProcessKey, Record, Source};

/// Processes remembered; beyond it the memory starts anew, at the price of streams that end with their process.
const MAX_TALKERS: usize = 16_384;
/// Descriptors looked at: what a process may have open by default at most (`RLIMIT_NOFILE`'s usual hard limit is
/// 4,096 to 1,048,576; a process that replaces itself holds few).
const MAX_DESCRIPTORS: usize = 16_384;

/// Processes with sockets of their own.
#[derive(Debug, Default)]
pub(super) struct Talkers(HashSet<ProcessKey>);

impl Talkers {
    /// Looks at records from `first` on; appends what sockets are left where that is in question.
    pub(super) fn follow(&mut self, out: &mut Vec<Record>, first: usize) {
        let mut doubtful: Vec<Origin> = Vec::new();
        for record in out.iter().skip(first) {
            let origin = record.origin();
            match record {
                Record::Open { stream, .. } if stream.source == Source::Socket => {
                    if self.0.len() >= MAX_TALKERS {
                        self.0.clear();
                    }
                    self.0.insert(origin.process);
                }
                Record::Exit(_) => {
                    self.0.remove(&origin.process);
                }
                Record::Exec(_) | Record::ClosedMany(_) if self.0.contains(&origin.process) => {
                    doubtful.push(*origin);
                }
                _ => {}
            }
        }
        for origin in doubtful {
            // Before the look: what is opened meanwhile is newer.
            let time_ns = monotonic_ns();
            if let Some(open) = sockets(Path::new("/proc"), origin.process.pid) {
                let origin = Origin { time_ns, ..origin };
                out.push(Record::Sockets { origin, open });
            }
        }
    }
}

/// Inodes of a process's sockets; `None` when it is gone, or has more descriptors than are looked at.
fn sockets(proc: &Path, pid: u32) -> Option<Arc<[u64]>> {
    let entries = std::fs::read_dir(proc.join(pid.to_string()).join("fd")).ok()?;
    let mut open = Vec::new();
    for (number, entry) in entries.enumerate() {
        if number >= MAX_DESCRIPTORS {
            return None;
        }
        // One that was closed meanwhile has no name any more.
        let Some(target) = entry.ok().and_then(|entry| std::fs::read_link(entry.path()).ok()) else {
            continue;
        };
        let inode: Option<u64> = target
            .to_str()
            .and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        open.extend(inode);
    }
    Some(open.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn finds_a_socket_of_this_process_and_not_one_that_was_closed() {
        let (kept, closed) = UnixStream::pair().unwrap();
        let inode = |socket: &UnixStream| {
            use std::os::fd::AsRawFd;
            let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
            std::fs::metadata(path).unwrap().ino()
        };
        let (open, gone) = (inode(&kept), inode(&closed));
        drop(closed);
        let found = sockets(Path::new("/proc"), std::process::id()).unwrap();
        assert!(found.contains(&open));
        assert!(!found.contains(&gone));
        assert!(sockets(Path::new("/proc"), 0).is_none());
    }
}
