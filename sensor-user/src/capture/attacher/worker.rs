//! The thread's own side.
//!
//! Takes processes to look at, libraries named in advance, and the time. Gives attached files and reports of what
//! failed. Never reads what processes move. Bounded: `MAX_FAILING` failures told; processes and files by what runs and
//! maps them.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sensor_common::call::{CallKind, CallSpec};

use super::files::{Files, Next, State, key_of};
use super::schedule::{Schedule, retry_at};
use super::{Request, Shared};
use crate::capture::attach::site::{ReturnSite, Returns, Site};
use crate::capture::attach::{AttachBackend, AttachError, Attachment, Hook, Point, trial};
use crate::capture::coverage::{NO_RETURN, Placed};
use crate::capture::discover::look::{self, MapName, Memory};
use crate::capture::discover::process::{self, Filter};
use crate::capture::discover::{Cache, FileIdentity, Target, target_of_file};
use crate::capture::imports::Imports;
use crate::capture::kernel::{KernelError, monotonic_ns};

/// Wait when nothing is due; a request ends it.
const IDLE: Duration = Duration::from_mins(1);
/// Things told as failing at most.
const MAX_FAILING: usize = 1024;
/// Between two searches for files that can go, when there is no room for another.
const ROOM_NS: u64 = 5_000_000_000;

pub(super) struct Worker {
    backend: Box<dyn AttachBackend>,
    /// Which return probes do no harm on this kernel.
    returns: Returns,
    cache: Cache,
    memory: Memory,
    files: Files,
    schedule: Schedule,
    /// Processes that could not be looked at, and how often.
    trouble: HashMap<u32, u32>,
    libraries: Vec<PathBuf>,
    next_sweep_ns: u64,
    shared: Arc<Shared>,
    filter: Filter,
    pub(super) everyone: bool,
    pub(super) release_after: Duration,
    pub(super) imports: Option<Imports>,
}

impl Worker {
    pub(super) fn new(
        backend: Box<dyn AttachBackend>,
        returns: Returns,
        shared: Arc<Shared>,
        filter: Filter,
    ) -> Self {
        Self {
            backend,
            returns,
            cache: Cache::default(),
            memory: Memory::default(),
            files: Files::default(),
            schedule: Schedule::default(),
            trouble: HashMap::new(),
            libraries: Vec::new(),
            next_sweep_ns: 0,
            shared,
            filter,
            everyone: false,
            release_after: Duration::from_mins(2),
            imports: None,
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Request>) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.shared.thread.store(thread, Ordering::Relaxed);
        loop {
            match inbox.recv_timeout(self.wait()) {
                Ok(Request::LookAt(pid)) => self.schedule.ask(pid, monotonic_ns()),
                Ok(Request::Gone(pid)) => self.gone(pid),
                Ok(Request::Settle(done)) => {
                    self.look_where_due(u64::MAX);
                    // Nobody waits any more when it took too long.
                    done.send(()).ok();
                }
                Ok(Request::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            // Also after a request: a flood of them must not put off the looking.
            let now = monotonic_ns();
            self.look_where_due(now);
            if self.shared.overflow.swap(false, Ordering::Relaxed) {
                self.look_at_all();
            }
            if now >= self.next_sweep_ns {
                self.sweep(now);
            }
            if let Some(imports) = &mut self.imports {
                imports.sweep(now);
            }
            self.shared.cpu_ns.store(thread_cpu_ns(), Ordering::Relaxed);
        }
    }

    fn wait(&self) -> Duration {
        let due = self.schedule.next().unwrap_or(u64::MAX);
        let due = if self.files.any_unpinned() || !self.libraries.is_empty() {
            due.min(self.next_sweep_ns)
        } else {
            due
        };
        Duration::from_nanos(due.saturating_sub(monotonic_ns())).min(IDLE)
    }

    fn gone(&mut self, pid: u32) {
        self.schedule.forget(pid);
        self.files.gone(pid);
        if self.trouble.remove(&pid).is_some() {
            self.works_again(&format!("process {pid}"));
        }
    }

    fn look_at_all(&mut self) {
        if self.filter.is_empty() && !self.everyone {
            return;
        }
        self.shared.scans.fetch_add(1, Ordering::Relaxed);
        let now = monotonic_ns();
        for found in process::scan(Path::new("/proc"), &self.filter).unwrap_or_default() {
            self.schedule.ask(found.pid, now);
        }
    }

    /// Has the looks due until then, each process once: what they plan anew is for the next round.
    fn look_where_due(&mut self, until_ns: u64) {
        for _ in 0..self.schedule.len() {
            let now = monotonic_ns();
            let Some(pid) = self.schedule.take(until_ns, now) else {
                return;
            };
            if self.shared.stopping.load(Ordering::Relaxed) {
                return;
            }
            self.look_at(pid, now);
        }
    }

    pub(super) fn look_at(&mut self, pid: u32, now_ns: u64) {
        self.shared.looks.fetch_add(1, Ordering::Relaxed);
        let known = (&mut self.cache, &mut self.memory);
        let found = match look::look(Path::new("/proc"), pid, now_ns, self.returns, known) {
            Ok(found) => found,
            Err(error) if is_gone(&error) => return self.gone(pid),
            Err(error) => return self.troubled(pid, &error.to_string(), now_ns),
        };
        for (name, target) in &found.targets {
            if let Some(due_ns) = self.attach(target, now_ns) {
                // Whoever maps it next is looked at as usual; nobody may, so this process comes back.
                self.memory.forget(name);
                self.schedule.at(pid, due_ns);
            }
        }
        self.publish();
        let by_name: Vec<(MapName, FileIdentity)> = found
            .targets
            .iter()
            .map(|(name, target)| (*name, target.identity))
            .collect();
        self.files.used_by(pid, &by_name, &found.known);
        match found.unread.first() {
            Some((path, why)) => {
                let what = format!("{}: {why}", process::printable(path));
                self.troubled(pid, &what, now_ns);
            }
            None if self.trouble.remove(&pid).is_some() => self.works_again(&format!("process {pid}")),
            None => {}
        }
    }

    /// A process, or a file of it, cannot be looked at: said once, tried again.
    fn troubled(&mut self, pid: u32, why: &str, now_ns: u64) {
        if !Path::new("/proc").join(pid.to_string()).exists() {
            return self.gone(pid);
        }
        let failures = self.trouble.entry(pid).or_default();
        *failures = failures.saturating_add(1);
        self.schedule.at(pid, retry_at(now_ns, *failures));
        // Without the privilege it is every process: the first is told, all are in `failing` and in the coverage
        // report.
        let what = format!("process {pid}");
        if self.trouble.len() == 1 {
            self.fails(&what, why);
        } else {
            self.enters(&what, why);
        }
    }

    pub(super) fn attach_library(&mut self, path: &Path) -> Result<(), KernelError> {
        self.libraries.push(path.to_owned());
        match target_of_file(path, self.returns, &mut self.cache) {
            Ok(Some(target)) => self.attach_pinned(path, &target),
            Ok(None) => self.report(path, "it holds no TLS library that can be probed"),
            Err(error) => return Err(KernelError::Library(error)),
        }
        Ok(())
    }

    fn attach_pinned(&mut self, path: &Path, target: &Target) {
        self.attach(target, monotonic_ns());
        self.publish();
        self.files.pin(path, &target.identity);
    }

    /// Probes a file unless it is probed. Gives when to try again, if it failed.
    pub(super) fn attach(&mut self, target: &Target, now_ns: u64) -> Option<u64> {
        match self.files.next(target, now_ns) {
            Next::Known => {
                // The report asks by the names that processes map.
                if let Some(probes) = self.files.alias(&target.identity) {
                    let placed = placed(target, probes);
                    self.shared.attachments.note(key_of(&target.identity), Ok(placed));
                }
                return None;
            }
            Next::Wait(due_ns) => return Some(due_ns),
            Next::Full if !self.makes_room(now_ns) => {
                self.fails(
                    &process::printable(&target.path),
                    "the limit of probed files is reached",
                );
                return Some(now_ns.saturating_add(ROOM_NS));
            }
            Next::Full | Next::Attach(_) => {}
        }
        let shown = process::printable(&target.path);
        let key = key_of(&target.identity);
        match self.try_attach(target) {
            Ok(links) => {
                self.report_unprobed(target);
                let placed = placed(target, links.points());
                self.shared.attachments.note(key, Ok(placed));
                self.attached_well(target, links.as_ref());
                if self.files.settle(target, Some(links), now_ns) > 0 {
                    self.works_again(&shown);
                }
                None
            }
            Err(error) => {
                let failures = self.files.settle(target, None, now_ns);
                let problem = trial::chain(&error);
                self.fails(&shown, &problem);
                self.shared.attachments.note(key, Err(problem));
                Some(retry_at(now_ns, failures.saturating_add(1)))
            }
        }
    }

    fn report_unprobed(&self, target: &Target) {
        for point in &target.points {
            if let Some(reason) = point.refused {
                self.report(&target.path, &format!("{}: {reason}", point.symbol));
            }
        }
        let left_out = target.unprobed();
        if !left_out.is_empty() {
            self.report(&target.path, &format!("{}: {NO_RETURN}", left_out.join(", ")));
        }
    }

    fn makes_room(&mut self, now_ns: u64) -> bool {
        let (before, spacing) = (self.files.attached(), self.grace_ns() / 2);
        // The last search was too short a while ago to find anything new.
        if self.next_sweep_ns.saturating_sub(spacing).saturating_add(ROOM_NS) <= now_ns {
            self.sweep(now_ns);
        }
        self.files.attached() < before
    }

    fn attached_well(&self, target: &Target, links: &dyn Attachment) {
        tracing::info!(
            file = %process::printable(&target.path),
            stack = target.stack.name,
            probes = links.points(),
            backend = self.backend.name(),
            "attached"
        );
    }

    fn try_attach(&mut self, target: &Target) -> Result<Box<dyn Attachment>, AttachError> {
        if !target.is_unchanged() {
            return Err(AttachError::Changed);
        }
        let path = PathBuf::from(format!("/proc/self/fd/{}", target.file.as_raw_fd()));
        self.backend.attach(&path, &points(target))
    }

    fn grace_ns(&self) -> u64 {
        u64::try_from(self.release_after.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Follows the libraries asked for by name to their new files, and releases files that nobody maps any more. At
    /// most two of these in the time of grace, and at most one of two goes over all processes.
    fn sweep(&mut self, now_ns: u64) {
        self.next_sweep_ns = now_ns.saturating_add(self.grace_ns() / 2).max(now_ns + 1_000_000);
        for path in self.libraries.clone() {
            // Gone for a moment while it is replaced, perhaps: the old file stays until there is a new one.
            if let Ok(Some(target)) = target_of_file(&path, self.returns, &mut self.cache) {
                self.attach_pinned(&path, &target);
            }
        }
        let alive = |pid: u32| Path::new("/proc").join(pid.to_string()).exists();
        let mut idle = self.files.idle(now_ns, self.grace_ns(), alive);
        if idle.is_empty() {
            return;
        }
        // Children of users that ended are not known: they were not started as programs, and mapped nothing.
        self.shared.scans.fetch_add(1, Ordering::Relaxed);
        for pid in process::all(Path::new("/proc")) {
            for mapped in process::mapped_files(Path::new("/proc"), pid).unwrap_or_default() {
                let used = self.files.named(&idle, &(mapped.device, mapped.inode)).copied();
                if let Some(key) = used {
                    self.files.found_user(key, pid);
                    idle.retain(|other| *other != key);
                }
            }
        }
        let mut count = 0;
        for key in idle {
            for alias in self.files.aliases_of(&key) {
                self.shared.attachments.forget(alias);
            }
            self.shared.attachments.forget(key);
            let Some(released) = self.files.release(&key) else {
                continue;
            };
            let path = process::printable(&released.path);
            if let State::Attached(links) = released.state {
                tracing::info!(file = %path, probes = links.points(), "released: no process maps it any more");
                count += 1;
            } else {
                self.works_again(&path);
            }
        }
        self.publish();
        self.shared.released.fetch_add(count, Ordering::Release);
    }

    /// Shows what is in place: after all files of a process, so that nobody sees it half done.
    pub(super) fn publish(&self) {
        self.shared.probes.store(self.files.probes(), Ordering::Relaxed);
        self.shared.files.store(self.files.attached(), Ordering::Relaxed);
    }

    /// Said once, and again only after it worked in between.
    fn fails(&self, what: &str, why: &str) {
        if self.enters(what, why) {
            self.tell(what, why);
        }
    }

    /// Whether it is new that this fails.
    fn enters(&self, what: &str, why: &str) -> bool {
        let mut failing = self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.contains_key(what) || failing.len() >= MAX_FAILING {
            return false;
        }
        failing.insert(what.to_owned(), why.to_owned());
        true
    }

    fn works_again(&self, what: &str) {
        let mut failing = self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.remove(what).is_some() {
            tracing::info!(what, "probed, after failures");
        }
    }

    pub(super) fn report(&self, path: &Path, problem: &str) {
        self.tell(&process::printable(path), problem);
    }

    fn tell(&self, what: &str, problem: &str) {
        tracing::warn!(what, problem, "cannot probe");
        let mut blind = self.shared.blind.lock().unwrap_or_else(PoisonError::into_inner);
        if blind.len() < MAX_FAILING {
            blind.push(format!("{what}: {problem}"));
        }
    }
}

impl Drop for Worker {
    /// Takes every probe out. Closing a link waits for a grace period (36 ms where this was measured), which threads
    /// wait for together.
    fn drop(&mut self) {
        let links = self.files.take_links();
        std::thread::scope(|scope| {
            for link in links {
                scope.spawn(move || drop(link));
            }
        });
    }
}

/// A process that ended while it was looked at: the entry is gone (ENOENT) or empty of a process (ESRCH).
fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn thread_cpu_ns() -> u64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(spent.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(spent.tv_nsec).unwrap_or(0))
}

fn placed(target: &Target, probes: usize) -> Placed {
    Placed {
        probes,
        unseen: target.unseen(),
    }
}

/// A target's sites as the kernel wants them.
fn points(target: &Target) -> Vec<Point> {
    let mut points = Vec::new();
    for point in &target.points {
        let mut add = |hook: Hook, site: &Site, cookie: u64| {
            // Verified by `is_unchanged`: each site is in the file.
            let Some(offset) = point.file_offset(site) else {
                return;
            };
            points.push(Point { hook, offset, cookie });
        };
        let (spec, entry) = (point.spec, &point.sites.entry);
        let (enter, back) = if spec.kind.is_go() {
            (Hook::Go, Hook::Go)
        } else {
            (Hook::Enter, Hook::ReturnSite)
        };
        match &point.sites.ret {
            // Without its return an entry tells nothing, and would leave its slot behind.
            ReturnSite::Impossible => continue,
            ReturnSite::None => {}
            ReturnSite::Trampoline(site) => add(Hook::Return, site, spec.to_cookie()),
            ReturnSite::Instructions(sites) => {
                for site in sites {
                    add(back, site, returned(spec).to_cookie());
                }
            }
            ReturnSite::Framed(sites) => {
                for site in sites {
                    add(back, site, spec.to_framed_cookie(entry.stack_adjust));
                }
            }
        }
        add(enter, entry, spec.to_cookie());
    }
    points
}

/// The specification at a return instruction: Go's have kinds of their own.
fn returned(spec: CallSpec) -> CallSpec {
    let kind = match spec.kind {
        CallKind::GoClosing => CallKind::GoClosed,
        kind if kind.is_go() => CallKind::GoReturn,
        kind => kind,
    };
    CallSpec { kind, ..spec }
}
