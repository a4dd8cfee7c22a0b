//! The live source: loads the kernel object, says whom to watch, attaches, and reads the rings.
//!
//! Takes [`Options`]. Gives [`Record`]s through [`KernelSource::poll`]. Never watches anybody who was not asked for:
//! the policy map is empty until the options are written into it, and the sensor itself is denied first.
//! Bounded by the sizes in the options. Dropping it detaches everything; nothing is pinned, so a killed sensor leaves
//! nothing behind either.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sensor_common::counter::Counter;

use super::Record;
use super::accounts::AccountReader;
use super::attach::{AttachError, Backend};
use super::attacher::{Attacher, filter_of};
use super::coverage::{Attachments, Privilege};
use super::discover::process::{self, Filter, Process};
use super::load::{self, LoadError, Loaded};
use super::policy::Until;
use super::privilege;
use super::ring::RingReader;
use super::{Notice, ProcessEvent};
use crate::telemetry::Counters;
use crate::telemetry::log::Repeat;

/// What to capture and with what resources.
#[derive(Clone, Debug)]
pub struct Options {
    /// Processes to watch, with their descendants.
    pub pids: Vec<u32>,
    /// Task names to watch, at most 15 bytes each.
    pub comms: Vec<String>,
    /// Executables to watch.
    pub exes: Vec<PathBuf>,
    /// Directories of cgroups to watch, with what is below them.
    pub cgroups: Vec<PathBuf>,
    /// Watch every process but the sensor.
    pub everyone: bool,
    /// Files to probe before any process is seen using them.
    pub libraries: Vec<PathBuf>,
    /// Size of the data ring: a power of two, at least a page.
    pub ring_bytes: u32,
    /// Size of the control ring.
    pub control_ring_bytes: u32,
    /// Payload bytes per message direction; `u64::MAX` lifts the limit.
    pub message_limit: u64,
    /// Payload bytes per call.
    pub call_limit: u64,
    /// Streams the kernel object remembers.
    pub streams: u32,
    /// How to attach.
    pub backend: Backend,
    /// Use the kernel's return probes, if they pass the test at start.
    pub return_probes: bool,
    /// Use `bpf_loop` where the kernel has it; without it a call is captured up to 128 KiB.
    pub use_bpf_loop: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pids: Vec::new(),
            comms: Vec::new(),
            exes: Vec::new(),
            cgroups: Vec::new(),
            everyone: false,
            libraries: Vec::new(),
            ring_bytes: 16 << 20,
            control_ring_bytes: 1 << 20,
            message_limit: 64 << 10,
            call_limit: 1 << 20,
            streams: 32_768,
            backend: Backend::Auto,
            return_probes: true,
            use_bpf_loop: true,
        }
    }
}

/// Why the live source could not start.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Loading failed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Attaching failed.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A library named in the options cannot be used.
    #[error("cannot probe a library that was asked for")]
    Library(#[source] super::discover::target::TargetError),
    /// A thread could not be started.
    #[error("cannot start the attaching thread")]
    Thread(#[source] std::io::Error),
}

impl KernelError {
    /// Whether a filter or library that was asked for is at fault.
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Library(_) | Self::Load(LoadError::Filter { .. } | LoadError::Cgroup { .. })
        )
    }

    /// Whether more privileges would help.
    pub fn is_privilege(&self) -> bool {
        // The verifier refuses with the same number, but what it says is about the program.
        if matches!(self, Self::Attach(AttachError::Load { .. })) {
            let lacks = self.lacks();
            // The last resort says nothing: it would help against no word of the verifier.
            return !lacks.is_empty() && lacks != ["CAP_SYS_ADMIN"];
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// Scans at start until nothing new is found, at most: each finds only what was forked during the one before.
const MAX_SCANS: usize = 5;

/// The running capture.
#[derive(Debug)]
pub struct KernelSource {
    attacher: Option<Attacher>,
    reader: RingReader,
    loaded: Loaded,
    counters: Arc<Counters>,
    /// Processes that had an `io_uring` at the start.
    rings: Vec<Process>,
    #[cfg(feature = "kernel-log")]
    log: Logger,
}

#[cfg(feature = "kernel-log")]
struct Logger(Option<aya_log::EbpfLogger<super::kernel_log::ToTracing>>);

#[cfg(feature = "kernel-log")]
impl std::fmt::Debug for Logger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logger")
    }
}

impl KernelSource {
    /// Loads, writes the policy and attaches to what runs already. When it returns, the system calls of watched
    /// processes and the libraries named in the options are being captured.
    pub fn start(options: &Options, counters: Arc<Counters>) -> Result<Self, KernelError> {
        for lacking in privilege::lacking() {
            let Privilege { name, needed_for, .. } = lacking;
            tracing::warn!(capability = name, needed_for, "the sensor runs without it");
        }
        let mut loaded = load::load(options)?;
        let reader = RingReader::new(loaded.take_data_ring()?, loaded.take_control_ring()?);
        let attacher = Attacher::start(&loaded, options)?;
        loaded.attach_tracepoints()?;
        loaded.watch(options)?;
        let rings = watch_what_runs(&mut loaded, &attacher, options)?;
        attacher.settle();
        Ok(Self {
            rings,
            attacher: Some(attacher),
            reader,
            #[cfg(feature = "kernel-log")]
            log: Logger(loaded.kernel_log()),
            loaded,
            counters,
        })
    }

    /// Watches one more process, with its descendants.
    pub fn watch(&mut self, pid: u32) -> Result<(), KernelError> {
        self.loaded.watch_process(pid)?;
        self.look_at(pid);
        Ok(())
    }

    /// Name of the backend in use.
    pub fn backend(&self) -> &'static str {
        self.attacher.as_ref().map_or("none", Attacher::backend)
    }

    /// Helpers that older kernels lack, and whether this one has them; where not, a fall-back is in use.
    pub const fn helpers(&self) -> load::Helpers {
        self.loaded.helpers()
    }

    /// Files that could not be probed and why, since the last call.
    pub fn take_failures(&self) -> Vec<String> {
        self.attacher
            .as_ref()
            .map(Attacher::take_failures)
            .unwrap_or_default()
    }

    /// Processes that had an `io_uring` when the sensor started; nobody saw it being made.
    pub fn rings(&self) -> Vec<Process> {
        self.rings.clone()
    }

    /// Files that were attached to, or could not be.
    pub fn attachments(&self) -> Attachments {
        self.attacher
            .as_ref()
            .map(Attacher::attachments)
            .unwrap_or_default()
    }

    /// Probes in place.
    pub fn probes(&self) -> usize {
        self.attacher.as_ref().map_or(0, Attacher::probes)
    }

    /// Waits up to `timeout` for records and appends them to `out`. Gives how many.
    pub fn poll(&mut self, timeout: Duration, out: &mut Vec<Record>) -> usize {
        let before = out.len();
        self.reader.wait(timeout);
        #[cfg(feature = "kernel-log")]
        if let Some(log) = &mut self.log.0 {
            log.flush();
        }
        self.reader.drain(monotonic_ns(), &self.counters, out);
        for record in out.iter().skip(before) {
            if let Record::Exec(event) | Record::Exit(event) | Record::Notice(event, _) = record {
                self.counters
                    .ledger()
                    .name(event.origin.process.into(), event.comm.0);
            }
            if let Record::Exec(event) | Record::Map(event) = record {
                self.look_at(event.origin.process.pid);
            }
            if let Record::Notice(event, notice) = record {
                tell(event, *notice);
            }
        }
        out.len() - before
    }

    /// A kernel-side counter, summed over CPUs.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.loaded.counter(counter)
    }

    /// A reader of the accounts of processes for another thread.
    pub fn account_reader(&self) -> AccountReader {
        self.loaded.account_reader()
    }

    /// A reader of the kernel-side counters for another thread.
    pub fn counter_reader(&self) -> load::CounterReader {
        self.loaded.counter_reader()
    }

    fn look_at(&self, pid: u32) {
        if let Some(attacher) = &self.attacher {
            attacher.look_at(pid);
        }
    }

    /// Detaches everything. What is in the rings by then stays there for [`drain_rest`](Self::drain_rest).
    pub fn detach(&mut self) {
        let attacher = self.attacher.take();
        // At the same time: each waits for the kernel, not for the processor.
        std::thread::scope(|scope| {
            scope.spawn(move || drop(attacher));
            self.loaded.detach_tracepoints();
        });
    }

    /// Appends what is left in the rings after [`detach`](Self::detach). Gives how many; 0 when there is no more.
    pub fn drain_rest(&mut self, out: &mut Vec<Record>) -> usize {
        let before = out.len();
        self.reader.drain(u64::MAX, &self.counters, out);
        out.len() - before
    }

    /// Detaches everything and forgets what was not read.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for KernelSource {
    fn drop(&mut self) {
        self.detach();
    }
}

/// What the sensor cannot see through is said once per process, when it is noticed.
fn tell(event: &ProcessEvent, notice: Notice) {
    static NOTICED: Repeat = Repeat::new();
    if let Some(repeats) = NOTICED.pass() {
        tracing::warn!(
            pid = event.origin.process.pid,
            comm = %event.comm,
            what = notice.name(),
            repeats,
            "not all of this process is seen; api-sensor doctor says what to do"
        );
    }
}

/// Scans until nothing new is found: a process found late may have forked before its entry was in place.
/// Gives those that have an `io_uring` already.
fn watch_what_runs(
    loaded: &mut Loaded,
    attacher: &Attacher,
    options: &Options,
) -> Result<Vec<Process>, KernelError> {
    let proc = Path::new("/proc");
    let chosen = filter_of(options);
    let by_id = Filter {
        pids: chosen.pids.clone(),
        ..Filter::default()
    };
    let by_what = Filter {
        pids: Vec::new(),
        ..chosen
    };
    let (mut known, mut rings) = (HashSet::new(), Vec::new());
    let has_ring = |found: &Process| process::descriptors(proc, found.pid).is_ok_and(|found| found.io_uring);
    for _ in 0..MAX_SCANS {
        let before = known.len();
        for (filter, until) in [(&by_id, Until::Exit), (&by_what, Until::Exec)] {
            if filter.is_empty() {
                continue;
            }
            for found in process::scan(proc, filter).unwrap_or_default() {
                if known.insert((found.pid, found.start_ticks)) {
                    loaded.watch_running(&found, until)?;
                    attacher.look_at(found.pid);
                    if has_ring(&found) {
                        rings.push(found);
                    }
                }
            }
        }
        if known.len() == before {
            break;
        }
    }
    if options.everyone {
        for found in process::scan(proc, &Filter::default()).unwrap_or_default() {
            attacher.look_at(found.pid);
            if has_ring(&found) {
                rings.push(found);
            }
        }
    }
    Ok(rings)
}

/// The monotonic clock, the clock of the kernel object's records.
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
