//! Writes whom to watch into the kernel object's policy maps.
//!
//! Takes [`Options`] and process ids. Gives map entries. Never watches the sensor itself. Bounded by the sizes of the
//! maps.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aya::Pod;
use aya::maps::{Array, HashMap, MapData};
use sensor_common::policy::{
    ALLOW, CgroupFilter, DENY, EVERYONE, EXCLUDED, ExeKey, KEEP_OVER_EXEC, MAX_CGROUP_FILTERS, Place,
    RULE_EXCLUDE, RULE_INCLUDE,
};
use sensor_common::record::source;

use super::adjacent::Found;
use super::discover::cgroup;
use super::discover::process::{self, Filter, Process};
use super::kernel::Options;
use super::load::{LoadError, Loaded, take};

/// How long a process that runs already stays watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// It was named, or descends from one that was.
    Exit,
    /// It was chosen by what it runs: `exec` decides anew.
    Exec,
}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct ExeKeyPod(ExeKey);
#[repr(transparent)]
#[derive(Clone, Copy)]
struct CgroupFilterPod(CgroupFilter);
#[repr(transparent)]
#[derive(Clone, Copy)]
struct PlacePod(Place);

#[expect(unsafe_code, reason = "aya's marker for plain data")]
// SAFETY: repr(C) of integers without padding (asserted in sensor-common).
unsafe impl Pod for ExeKeyPod {}
#[expect(unsafe_code, reason = "aya's marker for plain data")]
// SAFETY: repr(C) of integers without padding (asserted in sensor-common).
unsafe impl Pod for CgroupFilterPod {}
#[expect(unsafe_code, reason = "aya's marker for plain data")]
// SAFETY: repr(C) of integers without padding (asserted in sensor-common).
unsafe impl Pod for PlacePod {}

impl Loaded {
    /// Writes the rules that act at `exec`. Before anything is attached, so that none is judged by half of them.
    pub(super) fn write_rules(&self, options: &Options) -> Result<(), LoadError> {
        self.write_names(options)?;
        self.write_files(options)?;
        self.write_cgroups(&options.cgroups, RULE_INCLUDE, 0)?;
        self.write_cgroups(&options.exclude.cgroups, RULE_EXCLUDE, MAX_CGROUP_FILTERS)
    }

    /// Lets everyone in, or the processes given by id.
    pub(super) fn watch(&mut self, options: &Options, filter: &Filter) -> Result<(), LoadError> {
        if options.everyone {
            self.set(EVERYONE, ALLOW)?;
        }
        for pid in &options.pids {
            self.watch_process(*pid, filter)?;
        }
        Ok(())
    }

    /// Tells the kernel object which TLS stream a socket carries. It takes note at the socket's next call; should the
    /// entry be lost, it goes on telling of the socket, no more.
    pub fn settle(&mut self, found: &Found) {
        let Found { socket, stream } = found;
        // `StreamKey` of the kernel object: start, id, process id and source.
        let process = u64::from(socket.process.pid) | u64::from(source::SOCKET) << 32;
        let key = [socket.process.start_ns, socket.id, process];
        self.settled
            .insert(key, [stream.id, u64::from(stream.generation)], 0)
            .ok();
    }

    /// Watches a process over its `exec`s; its later descendants inherit the entry.
    pub fn watch_process(&mut self, pid: u32, filter: &Filter) -> Result<(), LoadError> {
        let proc = Path::new("/proc");
        let found = process::read(proc, pid).map_err(|source| LoadError::Filter {
            what: "process",
            path: PathBuf::from(pid.to_string()),
            source,
        })?;
        let allowed = !filter.excludes(proc, &found);
        self.enter(&found, if allowed { ALLOW } else { EXCLUDED } | KEEP_OVER_EXEC)
    }

    /// Watches a process that runs already.
    pub fn watch_running(&mut self, found: &Process, until: Until) -> Result<(), LoadError> {
        let entry = match until {
            Until::Exit => ALLOW | KEEP_OVER_EXEC,
            Until::Exec => ALLOW,
        };
        self.enter(found, entry)
    }

    /// Leaves it to the entry for everyone.
    pub(super) fn forget(&mut self, found: &Process) {
        if found.pid != std::process::id() {
            self.policy.remove(&found.pid).ok();
        }
    }

    /// Leaves a process alone that runs already, and what it forks.
    pub(super) fn exclude_running(&mut self, found: &Process) -> Result<(), LoadError> {
        self.enter(found, EXCLUDED)
    }

    /// An entry whose process is gone meanwhile is taken back: its id may go to somebody who was not asked for. So is
    /// one whose process became another program: the kernel object has judged that one, and the entry undid it; the
    /// next scan judges it again.
    fn enter(&mut self, found: &Process, entry: u32) -> Result<(), LoadError> {
        self.set(found.pid, entry)?;
        let still = process::read(Path::new("/proc"), found.pid);
        let same = still.is_ok_and(|still| {
            still.start_ticks == found.start_ticks
                && (entry & KEEP_OVER_EXEC != 0 || (still.comm, &still.exe) == (found.comm, &found.exe))
        });
        if !same && found.pid != std::process::id() {
            // Gone already: the kernel object takes the entry out at the end of a process, too.
            self.policy.remove(&found.pid).ok();
        }
        Ok(())
    }

    /// Says what a rule makes of a place; processes that wait for it go on by themselves.
    pub(super) fn judge_place(&mut self, place: Place, rule: u32) -> Result<(), LoadError> {
        let mut map: HashMap<MapData, PlacePod, u32> = take(&mut self.object(), "PLACES")?;
        map.insert(PlacePod(place), rule, 0)
            .map_err(|error| LoadError::Map("PLACES", Box::new(error)))
    }

    /// The sensor's own entry stays as it is, even when a filter names it: its exports are nobody's API traffic.
    pub(super) fn set(&mut self, pid: u32, entry: u32) -> Result<(), LoadError> {
        let entry = if pid == std::process::id() { DENY } else { entry };
        self.policy
            .insert(pid, entry, 0)
            .map_err(|error| LoadError::Map("POLICY", Box::new(error)))
    }

    fn write_names(&self, options: &Options) -> Result<(), LoadError> {
        let mut map: HashMap<MapData, [u8; 16], u32> = take(&mut self.object(), "WATCH_COMM")?;
        let included = options.comms.iter().map(|comm| (comm, RULE_INCLUDE));
        // Last: what is both is excluded.
        let excluded = options.exclude.comms.iter().map(|comm| (comm, RULE_EXCLUDE));
        for (comm, rule) in included.chain(excluded) {
            let mut key = [0; 16];
            for (slot, byte) in key.iter_mut().take(15).zip(comm.bytes()) {
                *slot = byte;
            }
            map.insert(key, rule, 0)
                .map_err(|error| LoadError::Map("WATCH_COMM", Box::new(error)))?;
        }
        Ok(())
    }

    fn write_files(&self, options: &Options) -> Result<(), LoadError> {
        let mut map: HashMap<MapData, ExeKeyPod, u32> = take(&mut self.object(), "WATCH_EXE")?;
        let included = options.exes.iter().map(|exe| (exe, RULE_INCLUDE));
        let excluded = options.exclude.exes.iter().map(|exe| (exe, RULE_EXCLUDE));
        for (path, rule) in included.chain(excluded) {
            let meta = std::fs::metadata(path).map_err(|source| LoadError::Filter {
                what: "executable",
                path: path.clone(),
                source,
            })?;
            let key = ExeKey {
                inode: meta.ino(),
                device: kernel_device(meta.dev()),
            };
            map.insert(ExeKeyPod(key), rule, 0)
                .map_err(|error| LoadError::Map("WATCH_EXE", Box::new(error)))?;
        }
        Ok(())
    }

    fn write_cgroups(&self, cgroups: &[PathBuf], rule: u32, from: u32) -> Result<(), LoadError> {
        let mut map: Array<MapData, CgroupFilterPod> = take(&mut self.object(), "WATCH_CGROUP")?;
        for (number, path) in (0_u32..).zip(cgroups) {
            let problem = |problem| LoadError::Cgroup {
                path: path.clone(),
                problem,
            };
            if number >= MAX_CGROUP_FILTERS {
                return Err(problem("at most 8 cgroups can be named"));
            }
            let filter = cgroup_filter(path, rule)
                .map_err(|source| LoadError::Filter {
                    what: "cgroup",
                    path: path.clone(),
                    source,
                })?
                .ok_or_else(|| problem("it is not in a mounted cgroup v2 hierarchy"))?;
            map.set(from + number, CgroupFilterPod(filter), 0)
                .map_err(|error| LoadError::Map("WATCH_CGROUP", Box::new(error)))?;
        }
        Ok(())
    }
}

/// The `dev_t` inside the kernel (major << 20 | minor) of the one that stat(2) gives.
fn kernel_device(device: u64) -> u64 {
    u64::from(libc::major(device)) << 20 | u64::from(libc::minor(device))
}

/// Id and depth of a cgroup: the id is the inode number of its directory.
fn cgroup_filter(path: &Path, rule: u32) -> io::Result<Option<CgroupFilter>> {
    let (path, below) = cgroup::below_root(path)?;
    let id = path.metadata()?.ino();
    Ok(below.map(|below| CgroupFilter {
        id,
        level: u32::try_from(below.components().count()).unwrap_or(u32::MAX),
        rule,
    }))
}
