//! The kernel object's set of objects that were imported into TLS (NSS): forgets those of processes that ended without
//! closing them, which no hook tells by object.
//!
//! Takes the time. Gives nothing. Never looks more often than every [`EVERY_NS`]; an empty map costs one system call.
//! Bounded by the map.

use std::path::Path;

use aya::maps::{HashMap, MapData};

use super::load::{LoadError, Loaded, take};

/// Key of the map: `StreamKey` of the kernel object, which is the process's start, the object's address, the process id
/// and the kind of stream.
type Key = [u8; 24];

/// A minute: the map has room for thousands, and what is left behind harms nobody until it is full.
const EVERY_NS: u64 = 60_000_000_000;

#[derive(Debug)]
pub(super) struct Imports {
    map: HashMap<MapData, Key, u32>,
    due_ns: u64,
}

impl Imports {
    /// Opens the map.
    pub(super) fn open(loaded: &Loaded) -> Result<Self, LoadError> {
        let map = take(&mut loaded.object(), "IMPORTED")?;
        Ok(Self { map, due_ns: 0 })
    }

    /// Forgets the objects of processes that are gone, when it is time to.
    pub(super) fn sweep(&mut self, now_ns: u64) {
        if now_ns < self.due_ns {
            return;
        }
        self.due_ns = now_ns.saturating_add(EVERY_NS);
        let gone: Vec<Key> = self
            .map
            .keys()
            .filter_map(Result::ok)
            .filter(|key| is_gone(Path::new("/proc"), key))
            .collect();
        for key in gone {
            // Closed in between: then it is forgotten already.
            self.map.remove(&key).ok();
        }
    }
}

/// Whether there is no process of that id. One that took the id over has entries of its own, by its start.
fn is_gone(proc: &Path, key: &Key) -> bool {
    let [.., a, b, c, d, _, _, _, _] = *key;
    !proc.join(u32::from_le_bytes([a, b, c, d]).to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_is_not_gone_and_one_that_cannot_be_is() {
        let key = |pid: u32| {
            let mut key = [7; 24];
            key[16..20].copy_from_slice(&pid.to_le_bytes());
            key
        };
        assert!(!is_gone(Path::new("/proc"), &key(std::process::id())));
        // Beyond PID_MAX_LIMIT, 2^22 (`include/linux/threads.h`).
        assert!(is_gone(Path::new("/proc"), &key(1 << 23)));
    }
}
