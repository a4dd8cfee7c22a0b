//! The attaching thread: looks at processes as they start and map files, and probes the TLS libraries it finds.
//!
//! Takes process ids. Gives probes in place. Never touches a file twice, and keeps the ring thread free of ELF files.
//! Bounded by [`QUEUE`] requests; when they overflow, every watched process is looked at again.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::attach::seccomp::{self, Verdict};
use super::attach::site::{ReturnSite, Returns};
use super::attach::{AttachBackend, AttachError, Attachment, Hook, Point, trial};
use super::coverage::Attachments;
use super::discover::process::{self, Filter};
use super::discover::{Cache, FileIdentity, Target, standard_libraries, target_of_file, targets_of};
use super::imports::Imports;
use super::kernel::{KernelError, Options, monotonic_ns};
use super::load::Loaded;

/// Requests waiting: an exec maps some thirty files, so this is a hundred programs starting at once.
const QUEUE: usize = 4096;
/// When a process is looked at after an event, in nanoseconds: the mapping announced is there a moment later, and
/// libraries keep arriving while a program starts.
const LOOKS_NS: [u64; 5] = [300_000, 20_000_000, 100_000_000, 1_000_000_000, 10_000_000_000];
/// Attempts at a file that the kernel refuses; the next look at any process that maps it is the next attempt.
const MAX_FAILURES: u32 = 5;
/// A host with thousands of processes takes longer to look at; the sensor then starts before it is done.
const SETTLE: Duration = Duration::from_secs(2);
/// Wait when nothing is due; a request ends it.
const IDLE: Duration = Duration::from_mins(1);
/// Between two looks at one process.
const AGAIN_NS: u64 = 5_000_000;
/// Files attached at most: each costs the kernel a few kilobytes and every process that maps it a trap.
const MAX_FILES: usize = 1024;

enum Request {
    LookAt(u32),
    /// Have every pending look now, then answer.
    Settle(SyncSender<()>),
    Stop,
}

/// Shared with the thread.
#[derive(Debug, Default)]
struct Shared {
    probes: AtomicUsize,
    overflow: AtomicBool,
    stopping: AtomicBool,
    blind: Mutex<Vec<String>>,
    files: Attachments,
}

/// Handle of the thread. Dropping it takes every probe out.
#[derive(Debug)]
pub(super) struct Attacher {
    requests: SyncSender<Request>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    backend: &'static str,
}

impl Attacher {
    /// Chooses a backend, attaches to the libraries that the options name, and starts the thread.
    pub(super) fn start(loaded: &Loaded, options: &Options) -> Result<Self, KernelError> {
        let mut backend = trial::choose(options.backend, loaded)?;
        let name = backend.name();
        let returns = returns(&mut *backend, options)?;
        let shared = Arc::new(Shared::default());
        let mut worker = Worker::new(backend, returns, Arc::clone(&shared), filter_of(options));
        worker.everyone = options.everyone;
        worker.imports = Some(Imports::open(loaded)?);
        for library in &options.libraries {
            worker.attach_library(library)?;
        }
        if options.everyone {
            // Nobody asked for these by name: one that cannot be read is reported, and the rest go on.
            for library in standard_libraries() {
                if let Err(error) = worker.attach_library(&library) {
                    worker.report(&library, &trial::chain(&error));
                }
            }
        }
        let (requests, inbox) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("attach".to_owned())
            .spawn(move || worker.run(&inbox))
            .map_err(KernelError::Thread)?;
        Ok(Self {
            requests,
            thread: Some(thread),
            shared,
            backend: name,
        })
    }

    /// Asks for a look at a process, now and a few times more. Never waits.
    pub(super) fn look_at(&self, pid: u32) {
        if self.requests.try_send(Request::LookAt(pid)).is_err() {
            self.shared.overflow.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until every process asked about so far was looked at once, at most [`SETTLE`].
    pub(super) fn settle(&self) {
        let (done, wait) = sync_channel(1);
        if self.requests.try_send(Request::Settle(done)).is_ok() && wait.recv_timeout(SETTLE).is_err() {
            tracing::info!("still looking for TLS libraries; probes follow");
        }
    }

    /// Name of the backend in use.
    pub(super) const fn backend(&self) -> &'static str {
        self.backend
    }

    /// Files that were attached to, or could not be.
    pub(super) fn attachments(&self) -> Attachments {
        self.shared.files.clone()
    }

    /// Probes in place.
    pub(super) fn probes(&self) -> usize {
        self.shared.probes.load(Ordering::Relaxed)
    }

    /// Files that could not be probed and why, since the last call.
    pub(super) fn take_failures(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.blind.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Attacher {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        // A full queue is drained by the thread within one look; it then sees the request.
        if self.requests.send(Request::Stop).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A panicked thread has dropped its probes already.
            thread.join().ok();
        }
    }
}

/// Which return probes may be used.
fn returns(backend: &mut dyn AttachBackend, options: &Options) -> Result<Returns, AttachError> {
    if !options.return_probes {
        return Ok(Returns::WithoutTrampoline);
    }
    Ok(match seccomp::test_returns(backend)? {
        Verdict::Safe => Returns::Cheapest,
        Verdict::Harmful => {
            tracing::warn!("this kernel's return probes end processes under seccomp, so none is used");
            Returns::WithoutTrampoline
        }
    })
}

/// The process filter that options make.
pub(crate) fn filter_of(options: &Options) -> Filter {
    Filter {
        pids: options.pids.clone(),
        comms: options.comms.clone(),
        exes: options.exes.clone(),
        cgroups: options
            .cgroups
            .iter()
            // One that cannot be named still is a filter, which selects nothing.
            .map(|path| cgroup_name(path).unwrap_or_else(|| path.display().to_string()))
            .collect(),
    }
}

/// `/sys/fs/cgroup/unified/a/b` to `/a/b`: the name of a cgroup below the root of its hierarchy.
fn cgroup_name(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let root = mounts
        .lines()
        .filter(|line| line.contains(" - cgroup2 "))
        .filter_map(|line| line.split(' ').nth(4))
        .find(|root| path.starts_with(root))?;
    Some(format!("/{}", path.strip_prefix(root).ok()?.display()))
}

/// A file that was looked at for probing.
struct Probed {
    /// Its content then. A file overwritten in place keeps its inode, and its probes would sit inside instructions.
    identity: FileIdentity,
    /// Its probes; `None` after a failure.
    links: Option<Box<dyn Attachment>>,
    /// Failures so far.
    failures: u32,
}

struct Worker {
    backend: Box<dyn AttachBackend>,
    /// Which return probes do no harm on this kernel.
    returns: Returns,
    cache: Cache,
    /// Device and inode to what was probed there.
    attached: HashMap<(u64, u64), Probed>,
    /// Process to when it is looked at next and how many looks were had.
    pending: HashMap<u32, (u64, usize)>,
    shared: Arc<Shared>,
    filter: Filter,
    everyone: bool,
    imports: Option<Imports>,
}

impl Worker {
    fn new(backend: Box<dyn AttachBackend>, returns: Returns, shared: Arc<Shared>, filter: Filter) -> Self {
        Self {
            backend,
            returns,
            cache: Cache::default(),
            attached: HashMap::new(),
            pending: HashMap::new(),
            shared,
            filter,
            everyone: false,
            imports: None,
        }
    }

    fn run(mut self, inbox: &Receiver<Request>) {
        loop {
            let wait = self.next_due().map_or(IDLE, |due| {
                Duration::from_nanos(due.saturating_sub(monotonic_ns()))
            });
            match inbox.recv_timeout(wait) {
                Ok(Request::LookAt(pid)) => self.schedule(pid),
                Ok(Request::Settle(done)) => {
                    self.look_where_due(u64::MAX);
                    // Nobody waits any more when it took too long.
                    done.send(()).ok();
                }
                Ok(Request::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            // Also after a request: a flood of them must not put off the looking.
            self.look_where_due(monotonic_ns());
            if self.shared.overflow.swap(false, Ordering::Relaxed) {
                self.look_at_all();
            }
            if let Some(imports) = &mut self.imports {
                imports.sweep(monotonic_ns());
            }
        }
    }

    fn next_due(&self) -> Option<u64> {
        self.pending.values().map(|(due, _)| *due).min()
    }

    fn schedule(&mut self, pid: u32) {
        let [first, ..] = LOOKS_NS;
        let now = monotonic_ns();
        let (due, looks) = self.pending.entry(pid).or_insert((now.saturating_add(first), 0));
        // One that was looked at already maps files all the time, perhaps: a JIT compiler does.
        let soon = if *looks == 0 { first } else { AGAIN_NS };
        *due = (*due).min(now.saturating_add(soon));
        *looks = 0;
    }

    fn look_at_all(&mut self) {
        if self.filter.is_empty() && !self.everyone {
            return;
        }
        for found in process::scan(Path::new("/proc"), &self.filter).unwrap_or_default() {
            self.schedule(found.pid);
        }
    }

    fn look_where_due(&mut self, until_ns: u64) {
        let now = monotonic_ns();
        let due: Vec<(u32, usize)> = self
            .pending
            .iter()
            .filter(|(_, (due, _))| *due <= until_ns)
            .map(|(pid, (_, looks))| (*pid, *looks))
            .collect();
        for (pid, looks) in due {
            if self.shared.stopping.load(Ordering::Relaxed) {
                return;
            }
            for target in targets_of(Path::new("/proc"), pid, self.returns, &mut self.cache) {
                self.attach(&target);
            }
            match LOOKS_NS.get(looks + 1) {
                Some(later) if Path::new("/proc").join(pid.to_string()).exists() => {
                    self.pending.insert(pid, (now.saturating_add(*later), looks + 1));
                }
                _ => {
                    self.pending.remove(&pid);
                }
            }
        }
    }

    fn attach_library(&mut self, path: &Path) -> Result<(), KernelError> {
        match target_of_file(path, self.returns, &mut self.cache) {
            Ok(Some(target)) => self.attach(&target),
            Ok(None) => self.report(path, "it holds no TLS library that can be probed"),
            Err(error) => return Err(KernelError::Library(error)),
        }
        Ok(())
    }

    fn attach(&mut self, target: &Target) {
        let key = (target.identity.device, target.identity.inode);
        let mut failures = 0;
        if let Some(known) = self.attached.get(&key) {
            if known.identity == target.identity {
                if known.links.is_some() || known.failures >= MAX_FAILURES {
                    return;
                }
                failures = known.failures;
            }
            // Out with the old probes before the new go in.
            self.forget(key);
        }
        if self.attached.len() >= MAX_FILES {
            self.report(&target.path, "the limit of probed files is reached");
            return;
        }
        let left_out = target.unprobed();
        if !left_out.is_empty() {
            let problem = format!(
                "{} cannot be probed without return probes, which this kernel or the configuration rules out",
                left_out.join(", ")
            );
            self.report(&target.path, &problem);
        }
        let links = match self.try_attach(target) {
            Ok(links) => {
                self.shared.files.note(key, Ok(links.points()));
                Some(self.attached_well(target, links))
            }
            Err(error) => {
                failures += 1;
                let problem = trial::chain(&error);
                self.report(&target.path, &problem);
                self.shared.files.note(key, Err(problem));
                None
            }
        };
        let identity = target.identity;
        self.attached.insert(
            key,
            Probed {
                identity,
                links,
                failures,
            },
        );
    }

    fn forget(&mut self, key: (u64, u64)) {
        self.shared.files.forget(key);
        if let Some(Probed {
            links: Some(links), ..
        }) = self.attached.remove(&key)
        {
            self.shared.probes.fetch_sub(links.points(), Ordering::Relaxed);
        }
    }

    fn attached_well(&self, target: &Target, links: Box<dyn Attachment>) -> Box<dyn Attachment> {
        self.shared.probes.fetch_add(links.points(), Ordering::Relaxed);
        tracing::info!(
            file = %process::printable(&target.path),
            stack = target.stack.name,
            probes = links.points(),
            backend = self.backend.name(),
            "attached"
        );
        links
    }

    fn try_attach(&mut self, target: &Target) -> Result<Box<dyn Attachment>, AttachError> {
        if !target.is_unchanged() {
            return Err(AttachError::Changed);
        }
        let path = PathBuf::from(format!("/proc/self/fd/{}", target.file.as_raw_fd()));
        self.backend.attach(&path, &points(target))
    }

    fn report(&self, path: &Path, problem: &str) {
        let path = process::printable(path);
        tracing::warn!(file = %path, problem, "cannot probe");
        let mut blind = self.shared.blind.lock().unwrap_or_else(PoisonError::into_inner);
        if blind.len() < MAX_FILES {
            blind.push(format!("{path}: {problem}"));
        }
    }
}

impl Drop for Worker {
    /// Takes every probe out. Closing a link waits for a grace period (36 ms where this was measured), which threads
    /// wait for together.
    fn drop(&mut self) {
        let links: Vec<_> = self
            .attached
            .drain()
            .filter_map(|(_, probed)| probed.links)
            .collect();
        std::thread::scope(|scope| {
            for link in links {
                scope.spawn(move || drop(link));
            }
        });
    }
}

/// A target's sites as the kernel wants them.
fn points(target: &Target) -> Vec<Point> {
    let mut points = Vec::new();
    for point in &target.points {
        let cookie = point.spec.to_cookie();
        let mut add = |hook, site| {
            points.push(Point {
                hook,
                offset: point.file_offset(site),
                cookie,
            });
        };
        match &point.sites.ret {
            // Without its return an entry tells nothing, and would leave its slot behind.
            ReturnSite::Impossible => continue,
            ReturnSite::None => {}
            ReturnSite::Trampoline(site) => add(Hook::Return, site),
            ReturnSite::Instructions(sites) => {
                for site in sites {
                    add(Hook::ReturnSite, site);
                }
            }
        }
        add(Hook::Enter, &point.sites.entry);
    }
    points
}
