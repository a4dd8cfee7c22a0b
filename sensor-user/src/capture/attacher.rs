//! The attaching thread: looks at processes as they start and map files, and probes the TLS libraries it finds.
//!
//! Takes process ids. Gives probes in place. Never touches a file twice, and keeps the ring thread free of ELF files.
//! What failed is tried again, ever more rarely and without end; what no process maps any more is released. Bounded by
//! [`QUEUE`] requests; when they overflow, every watched process is looked at again.

mod files;
mod schedule;
#[cfg(test)]
mod tests;
mod worker;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::attach::seccomp::{self, Verdict};
use super::attach::site::Returns;
use super::attach::{AttachBackend, AttachError, trial};
use super::coverage::Attachments;
use super::discover::cgroup;
use super::discover::process::Filter;
use super::discover::standard_libraries;
use super::imports::Imports;
use super::kernel::{KernelError, Options};
use super::load::Loaded;
use crate::kubernetes::{Choice, Pods};
use worker::Worker;

/// Requests waiting: an exec maps some thirty files, so this is a hundred programs starting at once.
const QUEUE: usize = 4096;
/// A host with thousands of processes takes longer to look at; the sensor then starts before it is done.
const SETTLE: Duration = Duration::from_secs(2);

enum Request {
    LookAt(u32),
    /// The process ended.
    Gone(u32),
    /// Have every pending look now, then answer.
    Settle(SyncSender<()>),
    Stop,
}

/// What the attaching thread has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Effort {
    /// Files probed now.
    pub files: usize,
    /// Files released because nobody mapped them any more.
    pub released: u64,
    /// Looks at processes.
    pub looks: u64,
    /// Looks at every process of the host.
    pub scans: u64,
    /// Processor time of the thread in nanoseconds.
    pub cpu_ns: u64,
}

/// Shared with the thread.
#[derive(Debug, Default)]
struct Shared {
    probes: AtomicUsize,
    files: AtomicUsize,
    released: AtomicU64,
    looks: AtomicU64,
    scans: AtomicU64,
    cpu_ns: AtomicU64,
    /// The thread's id; 0 before it runs.
    thread: AtomicI32,
    overflow: AtomicBool,
    stopping: AtomicBool,
    blind: Mutex<Vec<String>>,
    attachments: Attachments,
    /// What fails now, by what it is.
    failing: Mutex<std::collections::BTreeMap<String, String>>,
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
        worker.release_after = options.release_after;
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

    /// A process ended: what only it used may go.
    pub(super) fn gone(&self, pid: u32) {
        if self.requests.try_send(Request::Gone(pid)).is_err() {
            self.shared.overflow.store(true, Ordering::Relaxed);
        }
    }

    /// What cannot be probed at present and why; it is tried again.
    pub(super) fn failing(&self) -> Vec<String> {
        let failing = self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing
            .iter()
            .map(|(what, why)| format!("{what}: {why}"))
            .collect()
    }

    /// What the thread has done so far.
    pub(super) fn effort(&self) -> Effort {
        let shared = &self.shared;
        Effort {
            files: shared.files.load(Ordering::Relaxed),
            released: shared.released.load(Ordering::Relaxed),
            looks: shared.looks.load(Ordering::Relaxed),
            scans: shared.scans.load(Ordering::Relaxed),
            cpu_ns: shared.cpu_ns.load(Ordering::Relaxed),
        }
    }

    /// Id of the thread, once it runs.
    pub(super) fn thread(&self) -> Option<i32> {
        Some(self.shared.thread.load(Ordering::Relaxed)).filter(|id| *id != 0)
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
        self.shared.attachments.clone()
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
        Verdict::Unknown => {
            tracing::warn!(
                "whether this kernel's return probes end processes under seccomp could not be found out, so none is used; start the sensor again when the machine is less busy"
            );
            Returns::WithoutTrampoline
        }
    })
}

/// The process filter that options make.
pub(crate) fn filter_of(options: &Options) -> Filter {
    let exclude = &options.exclude;
    let pods = |said| Some(Pods::of(Arc::clone(options.deciding()?), said));
    Filter {
        pids: options.pids.clone(),
        comms: options.comms.clone(),
        exes: options.exes.clone(),
        cgroups: cgroup_names(&options.cgroups),
        containers: options.containers.clone(),
        labels: options.labels.clone(),
        pods: pods(Choice::Chosen).filter(|_| options.wants_pods()),
        exclude: (!exclude.is_empty() || options.deciding().is_some()).then(|| {
            Box::new(Filter {
                comms: exclude.comms.clone(),
                exes: exclude.exes.clone(),
                cgroups: cgroup_names(&exclude.cgroups),
                containers: exclude.containers.clone(),
                labels: exclude.labels.clone(),
                pods: pods(Choice::LeftAlone),
                ..Filter::default()
            })
        }),
    }
}

fn cgroup_names(paths: &[std::path::PathBuf]) -> Vec<String> {
    paths
        .iter()
        // One that cannot be named still is a filter, which selects nothing.
        .map(|path| cgroup_name(path).unwrap_or_else(|| path.display().to_string()))
        .collect()
}

/// `/sys/fs/cgroup/unified/a/b` to `/a/b`: the name of a cgroup below the root of its hierarchy.
fn cgroup_name(path: &Path) -> Option<String> {
    let (_, below) = cgroup::below_root(path).ok()?;
    Some(format!("/{}", below?.display()))
}
