//! Processes, the files they run and the sockets they own, as `/proc` tells.
//!
//! Takes the path of a proc file system and a [`Filter`]; gives ids, names and paths. Never reads a process's memory,
//! environment or command line. Bounded by [`MAX_MAPS_BYTES`] and [`MAX_DESCRIPTORS`] per process; a process that ends
//! while it is looked at is left out.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{container, labels};
use crate::capture::{Comm, Container};
use crate::kubernetes::Pods;

/// Text of `/proc/PID/maps` read at most: `vm.max_map_count` of 65,530 lines of some 100 bytes.
pub const MAX_MAPS_BYTES: u64 = 8 << 20;
/// Descriptors looked at per process; more sockets than that are reported as that many.
pub const MAX_DESCRIPTORS: usize = 65_536;
/// The kernel's `USER_HZ`, the unit of times in `/proc`: fixed at 100 on both supported machines.
pub const TICKS_PER_SECOND: u64 = 100;

/// Which processes to look at. Conditions are alternatives; without any, every process matches.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filter {
    /// These processes and their descendants.
    pub pids: Vec<u32>,
    /// Task names.
    pub comms: Vec<String>,
    /// Executables.
    pub exes: Vec<PathBuf>,
    /// Paths below the root of the unified hierarchy, such as `/system.slice`; their descendants too.
    pub cgroups: Vec<String>,
    /// Beginnings of ids of containers.
    pub containers: Vec<String>,
    /// Labels of containers, as `key=value` or `key`.
    pub labels: Vec<String>,
    /// Containers of these pods.
    pub pods: Option<Pods>,
    /// Whom it does not let pass, whatever the other conditions say.
    pub exclude: Option<Box<Filter>>,
}

/// One process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Start since boot in ticks of 1/[`TICKS_PER_SECOND`] s; tells a reused id.
    pub start_ticks: u64,
    /// Task name.
    pub comm: Comm,
    /// Executable as the process sees it; `None` for kernel threads and where reading it is refused.
    pub exe: Option<PathBuf>,
    /// Cgroup in the unified hierarchy.
    pub cgroup: Option<String>,
    /// Container, by the names of its cgroups.
    pub container: Option<Arc<Container>>,
}

/// A file of which a process has executable pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappedFile {
    /// Major and minor number of the device, as in `maps`.
    pub device: (u32, u32),
    /// Inode number, as in `maps`.
    pub inode: u64,
    /// Path in the process's mount namespace.
    pub path: PathBuf,
    /// The file has no name any more (upgraded libraries, mostly).
    pub deleted: bool,
    range: String,
}

impl Filter {
    /// Whether it lets every process pass that is not excluded.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty()
            && self.comms.is_empty()
            && self.exes.is_empty()
            && self.cgroups.is_empty()
            && self.containers.is_empty()
            && self.labels.is_empty()
            && self.pods.is_none()
    }

    /// Whether it excludes a process.
    pub fn excludes(&self, proc: &Path, process: &Process) -> bool {
        self.exclude
            .as_deref()
            .is_some_and(|exclude| exclude.names(proc, process))
    }

    /// Whether a container is named, by its id, its pod or a label. The host's files are those that process 1 sees, for
    /// the sensor may run in a container itself; its own where those are not to be read.
    pub fn has_container(&self, proc: &Path, container: &Container) -> bool {
        let begins = |wanted: &String| {
            container
                .id
                .get(..wanted.len())
                .is_some_and(|front| front.eq_ignore_ascii_case(wanted))
        };
        let pod = container.pod.as_deref();
        let of_pod = |pods: &Pods| pod.is_some_and(|uid| pods.has(uid));
        self.containers.iter().any(begins)
            || self.pods.as_ref().is_some_and(of_pod)
            || (!self.labels.is_empty()
                && [proc.join("1/root"), PathBuf::from("/")]
                    .iter()
                    .any(|host| labels::read(host, container).satisfy(&self.labels)))
    }

    fn names(&self, proc: &Path, process: &Process) -> bool {
        let comm = process.comm.0;
        let comm = comm.split(|byte| *byte == 0).next().unwrap_or_default();
        self.comms.iter().any(|wanted| wanted.as_bytes() == comm)
            || self.exes.iter().any(|wanted| runs(proc, process, wanted))
            || process
                .cgroup
                .as_deref()
                .is_some_and(|cgroup| self.cgroups.iter().any(|wanted| is_within(cgroup, wanted)))
            || process
                .container
                .as_deref()
                .is_some_and(|container| self.has_container(proc, container))
    }
}

/// Inode number of a process's mount namespace.
pub fn mount_namespace(proc: &Path, pid: u32) -> Option<u64> {
    let link = fs::read_link(proc.join(pid.to_string()).join("ns/mnt")).ok()?;
    link.to_str()?
        .strip_prefix("mnt:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// Ids of all processes.
pub fn all(proc: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(proc) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Every process that the filter lets pass, in the order of their ids.
pub fn scan(proc: &Path, filter: &Filter) -> io::Result<Vec<Process>> {
    fs::read_dir(proc)?;
    let mut processes: Vec<Process> = all(proc)
        .into_iter()
        .filter_map(|pid| read(proc, pid).ok())
        .collect();
    processes.sort_unstable_by_key(|process| process.pid);
    if !filter.is_empty() {
        let chosen = with_descendants(&processes, &filter.pids);
        processes.retain(|process| chosen.contains(&process.pid) || filter.names(proc, process));
    }
    processes.retain(|process| !filter.excludes(proc, process));
    Ok(processes)
}

/// Whether a process runs that file: the same inode, as the kernel object compares it, so that links lead to their
/// target and another container's file of that name does not match. By name where the files cannot be looked at.
fn runs(proc: &Path, process: &Process, wanted: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    match (
        identity(&proc.join(process.pid.to_string()).join("exe")),
        identity(wanted),
    ) {
        (Some(running), Some(wanted)) => running == wanted,
        _ => process.exe.as_deref() == Some(wanted),
    }
}

/// One process.
pub fn read(proc: &Path, pid: u32) -> io::Result<Process> {
    let directory = proc.join(pid.to_string());
    let stat = read_text(&directory.join("stat"))?;
    let (parent, start_ticks) = parse_stat(&stat).ok_or(io::ErrorKind::InvalidData)?;
    let mut comm = [0; 16];
    for (to, from) in comm.iter_mut().zip(read_text(&directory.join("comm"))?.bytes()) {
        *to = if from == b'\n' { 0 } else { from };
    }
    let cgroup = read_text(&directory.join("cgroup")).ok();
    Ok(Process {
        pid,
        parent,
        start_ticks,
        comm: Comm(comm),
        exe: fs::read_link(directory.join("exe")).ok(),
        cgroup: cgroup.as_deref().and_then(unified_cgroup).map(str::to_owned),
        container: cgroup.as_deref().and_then(container::parse).map(Arc::new),
    })
}

/// Whether a process is the one that started then, in nanoseconds since boot: `/proc` rounds to ticks.
pub const fn is_same(process: &Process, start_ns: u64) -> bool {
    let ticks = start_ns / (1_000_000_000 / TICKS_PER_SECOND);
    ticks.abs_diff(process.start_ticks) <= 1
}

/// Files the process runs code from, each once.
pub fn mapped_files(proc: &Path, pid: u32) -> io::Result<Vec<MappedFile>> {
    let maps = File::open(proc.join(pid.to_string()).join("maps"))?;
    let mut files: Vec<MappedFile> = Vec::new();
    let mut seen = HashSet::new();
    for line in BufReader::new(maps.take(MAX_MAPS_BYTES)).split(b'\n') {
        if let Some(file) = parse_mapping(&line?)
            && seen.insert((file.device, file.inode))
        {
            files.push(file);
        }
    }
    Ok(files)
}

/// What a process has open that matters here.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Descriptors {
    /// Inode numbers of its sockets.
    pub sockets: HashSet<u64>,
    /// It has an `io_uring`.
    pub io_uring: bool,
}

/// What a process has open.
pub fn descriptors(proc: &Path, pid: u32) -> io::Result<Descriptors> {
    let directory = fs::read_dir(proc.join(pid.to_string()).join("fd"))?;
    let mut found = Descriptors::default();
    for entry in directory.take(MAX_DESCRIPTORS) {
        let link = entry.ok().and_then(|entry| fs::read_link(entry.path()).ok());
        let Some(link) = link.as_deref().and_then(Path::to_str) else {
            continue;
        };
        found.io_uring |= link == "anon_inode:[io_uring]";
        found.sockets.extend(socket_inode(link));
    }
    Ok(found)
}

impl MappedFile {
    /// Opens the very file that is mapped: through `map_files`, which follows the mapping, else by its path within
    /// the process's own root, which is refused when another file has taken the name.
    pub fn open(&self, proc: &Path, pid: u32) -> io::Result<File> {
        let directory = proc.join(pid.to_string());
        match open_regular(&directory.join("map_files").join(&self.range)) {
            Ok(file) => Ok(file),
            Err(error) if self.deleted => Err(error),
            Err(_) => {
                let inside = self.path.strip_prefix("/").unwrap_or(&self.path);
                let file = open_regular(&directory.join("root").join(inside))?;
                self.check_identity(&file)?;
                Ok(file)
            }
        }
    }

    fn check_identity(&self, file: &File) -> io::Result<()> {
        // Overlay and other stacked file systems have anonymous devices (major 0), whose inode numbers may differ
        // between `maps` and `stat`.
        if self.device.0 == 0 || file.metadata()?.ino() == self.inode {
            return Ok(());
        }
        Err(io::Error::other("another file has taken the mapped file's name"))
    }
}

/// Opens a regular file for reading, without ever waiting for the other end of a pipe or touching a device.
pub fn open_regular(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(file)
}

/// The processes and everything they have started, transitively.
fn with_descendants(processes: &[Process], pids: &[u32]) -> HashSet<u32> {
    let mut chosen: HashSet<u32> = pids.iter().copied().collect();
    loop {
        let before = chosen.len();
        let children = processes
            .iter()
            .filter(|process| chosen.contains(&process.parent));
        let children: Vec<u32> = children.map(|process| process.pid).collect();
        chosen.extend(children);
        if chosen.len() == before {
            return chosen;
        }
    }
}

fn is_within(cgroup: &str, wanted: &str) -> bool {
    let wanted = wanted.trim_end_matches('/');
    cgroup
        .strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads one of the kernel's small texts; names in them may be any bytes.
fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_SMALL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `stat` and `comm` are shorter; `cgroup` has thirteen hierarchies at most, each with a path of some 250 bytes.
const MAX_SMALL_BYTES: u64 = 16 << 10;

/// Fields 4 (parent) and 22 (start) of `/proc/PID/stat` (proc(5)). Field 2, the name in parentheses, may hold anything,
/// a closing parenthesis too, so counting starts behind the last one.
fn parse_stat(stat: &str) -> Option<(u32, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some((parent, start))
}

/// The line of hierarchy 0 in `/proc/PID/cgroup` (cgroups(7)).
fn unified_cgroup(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// One line of `/proc/PID/maps` (proc(5)): range, permissions, offset, device, inode, path.
fn parse_mapping(line: &[u8]) -> Option<MappedFile> {
    let mut rest = line;
    let mut field = || -> Option<&str> {
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let (field, after) = rest.split_at(end);
        rest = after.trim_ascii_start();
        std::str::from_utf8(field).ok()
    };
    let range = field()?;
    let permissions = field()?;
    let _offset = field()?;
    let (major, minor) = field()?.split_once(':')?;
    let inode: u64 = field()?.parse().ok()?;
    if inode == 0 || !permissions.contains('x') || !rest.starts_with(b"/") {
        return None;
    }
    let (path, deleted) = match rest.strip_suffix(b" (deleted)") {
        Some(path) => (path, true),
        None => (rest, false),
    };
    Some(MappedFile {
        device: (
            u32::from_str_radix(major, 16).ok()?,
            u32::from_str_radix(minor, 16).ok()?,
        ),
        inode,
        path: PathBuf::from(std::ffi::OsString::from_vec(unescape(path))),
        deleted,
        range: range.to_owned(),
    })
}

/// The kernel writes a newline in a path as `\012`, and nothing else escaped.
fn unescape(path: &[u8]) -> Vec<u8> {
    let escaped = b"\\012";
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = memchr::memmem::find(rest, escaped) {
        let (before, after) = rest.split_at(at);
        plain.extend_from_slice(before);
        plain.push(b'\n');
        rest = after.get(escaped.len()..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    plain
}

fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// A path for messages: control characters and invalid UTF-8 become `?`, since a process may name its files anything.
pub fn printable(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes())
        .chars()
        .map(|shown| {
            if shown.is_control() || shown == char::REPLACEMENT_CHARACTER {
                '?'
            } else {
                shown
            }
        })
        .collect()
}

/// Entry for fuzzing: texts of the kernel with names in them that a process chose.
pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _started = parse_stat(&text);
    let _group = unified_cgroup(&text);
    let _inode = socket_inode(&text);
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(mapped) = parse_mapping(line) {
            assert!(mapped.inode != 0 && mapped.path.is_absolute(), "no file");
            assert!(
                !printable(&mapped.path).contains(char::is_control),
                "not printable"
            );
        }
    }
}

#[cfg(test)]
mod tests;
