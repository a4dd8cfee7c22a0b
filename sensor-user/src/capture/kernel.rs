//! The live source: loads the kernel object, says whom to watch, attaches, and reads the rings.
//!
//! Takes [`Options`]. Gives [`Record`]s through [`KernelSource::poll`]. Never watches anybody who was not asked for:
//! the policy map is empty until the options are written into it, and the sensor itself is denied first.
//! Bounded by the sizes in the options. Dropping it detaches everything; nothing is pinned, so a killed sensor leaves
//! nothing behind either.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aya::programs::ProgramError;
use sensor_common::counter::Counter;
use sensor_common::policy::{Place, RULE_EXCLUDE, RULE_INCLUDE, RULE_NONE};
use sensor_common::record::ProcessBytes;

use super::accounts::AccountReader;
use super::adjacent::Adjacency;
use super::attach::AttachError;
pub use super::attacher::Effort;
use super::attacher::{Attacher, filter_of};
use super::beyond::Source;
use super::coverage::{Attachments, Privilege};
use super::descriptors::Talkers;
use super::discover::container;
use super::discover::process::{self, Filter, Process};
use super::load::{self, LoadError, Loaded};
use super::pods::{Answer, Waiting};
use super::privilege;
use super::ring::RingReader;
use super::scan::{self, exclude_what_runs, watch_what_runs};
use super::{Container, Notice, ProcessEvent, Record};
use crate::kubernetes::Pods;
use crate::telemetry::log::Repeat;
use crate::telemetry::{Counters, Metric};

mod options;

pub use options::{Exclude, Options};

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
        if !privilege::refused_calls().is_empty() {
            return true;
        }
        // The verifier refuses with the same number, but what it says is about the program.
        if matches!(self, Self::Attach(AttachError::Load { .. })) {
            let lacks = self.lacks();
            // The last resort says nothing: it would help against no word of the verifier.
            return !lacks.is_empty() && lacks != ["CAP_SYS_ADMIN"];
        }
        if let Self::Load(LoadError::Program(_, source)) = self
            && let ProgramError::LoadError { verifier_log, .. } = &**source
            && !verifier_log.to_string().is_empty()
        {
            return false;
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

/// The running capture.
#[derive(Debug)]
pub struct KernelSource {
    attacher: Option<Attacher>,
    reader: RingReader,
    adjacency: Adjacency,
    loaded: Loaded,
    filter: Filter,
    /// Where pods decide.
    waiting: Option<Waiting>,
    counters: Arc<Counters>,
    beyond: Source,
    beyond_refused: Vec<String>,
    talkers: Talkers,
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
        let filter = filter_of(options);
        // Subscribed before scanned, and excluded before anybody is let in: a program that starts in between is judged
        // by the kernel object, one that ran before by the scan, and nobody falls between them.
        loaded.write_rules(options)?;
        loaded.attach_calls(options.calls)?;
        let (beyond, beyond_refused) = loaded.attach_beyond(options.beyond);
        for why in &beyond_refused {
            tracing::debug!(source = beyond.name(), why, "a better source is not available");
        }
        let waiting = options.deciding().map(|pods| {
            let mut waiting = Waiting::new(Arc::clone(pods));
            waiting.begin(scan::pods(), monotonic_ns());
            waiting
        });
        let at_start = without_unknown_pods(&filter, waiting.is_some());
        exclude_what_runs(&mut loaded, &at_start)?;
        loaded.watch(options, &at_start)?;
        let rings = watch_what_runs(&mut loaded, &attacher, &at_start, options.everyone)?;
        attacher.settle();
        give_back();
        Ok(Self {
            rings,
            attacher: Some(attacher),
            reader,
            adjacency: Adjacency::default(),
            #[cfg(feature = "kernel-log")]
            log: Logger(loaded.kernel_log()),
            loaded,
            filter,
            waiting,
            counters,
            beyond,
            beyond_refused,
            talkers: Talkers::default(),
        })
    }

    /// Watches one more process, with its descendants.
    pub fn watch(&mut self, pid: u32) -> Result<(), KernelError> {
        self.loaded.watch_process(pid, &self.filter)?;
        self.look_at(pid);
        Ok(())
    }

    /// Name of the backend in use.
    pub fn backend(&self) -> &'static str {
        self.attacher.as_ref().map_or("none", Attacher::backend)
    }

    /// Where system calls are hooked: `tracepoints` or `functions`.
    pub fn calls_place(&self) -> &'static str {
        self.loaded.calls_place()
    }

    /// What sees, or counts, that which comes past the system call hooks.
    pub const fn beyond(&self) -> Source {
        self.beyond
    }

    /// Why no better source than [`Self::beyond`] is in use.
    pub fn beyond_refused(&self) -> &[String] {
        &self.beyond_refused
    }

    /// What a process that lives moved on TCP sockets, where [`Source::Lengths`] is in use.
    pub fn process_bytes(&self, pid: u32) -> Option<ProcessBytes> {
        self.loaded.process_bytes(pid)
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
        self.drain(monotonic_ns(), out);
        self.notice(out, before);
        self.follow_pods();
        self.talkers.follow(out, before);
        out.len() - before
    }

    /// Takes what is in the rings, and concludes from it which sockets carry the streams that never call theirs.
    fn drain(&mut self, now_ns: u64, out: &mut Vec<Record>) {
        let before = out.len();
        self.reader.drain(now_ns, &self.counters, out);
        self.adjacency.push(out, before);
        for found in self.adjacency.take_found() {
            self.loaded.settle(&found);
        }
        let concluded = self.adjacency.take_conclusions();
        self.counters.add(Metric::SocketsInferred, concluded.inferred);
        self.counters
            .add(Metric::SocketsContradicted, concluded.contradicted);
    }

    /// A kernel-side counter, summed over CPUs.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.loaded.counter(counter)
    }

    /// A reader of the accounts of processes for another thread.
    pub fn account_reader(&self) -> AccountReader {
        self.loaded.account_reader()
    }

    /// Runs of programs that the kernel left out, for another thread.
    pub fn skipped_reader(&self) -> super::skipped::SkippedReader {
        self.loaded.skipped_reader()
    }

    /// A reader of the kernel-side counters for another thread.
    pub fn counter_reader(&self) -> load::CounterReader {
        self.loaded.counter_reader()
    }

    /// Does what records about processes ask for.
    fn notice(&mut self, out: &mut Vec<Record>, from: usize) {
        let mut undecided = Vec::new();
        for record in out.iter().skip(from) {
            if let Record::Exec(event) | Record::Exit(event) | Record::Notice(event, _) = record {
                let ledger = self.counters.ledger();
                ledger.name(event.origin.process.into(), event.comm.0);
            }
            match record {
                Record::Notice(event, notice) => tell(event, *notice),
                Record::Exec(event) | Record::Map(event) | Record::Unhooked(event) => {
                    self.look_at(event.origin.process.pid);
                }
                Record::Exit(event) => {
                    if let Some(attacher) = &self.attacher {
                        attacher.gone(event.origin.process.pid);
                    }
                }
                Record::Undecided(event) => undecided.push(*event),
                _ => {}
            }
        }
        if undecided.is_empty() {
            return;
        }
        out.retain(|record| !matches!(record, Record::Undecided(_)));
        for event in undecided {
            self.decide(&event, Ask::First);
        }
    }

    /// Judges the container of a process that waits for it.
    fn decide(&mut self, event: &ProcessEvent, ask: Ask) {
        let proc = Path::new("/proc");
        let pid = event.origin.process.pid;
        // Ended meanwhile: the next process there asks again.
        let Ok(container) = container::read(proc, pid) else {
            return;
        };
        if let Some(waiting) = self.waiting.as_mut().filter(|_| ask == Ask::First)
            && let Some(uid) = container
                .as_deref()
                .and_then(|container| container.pod.as_deref())
            && waiting.ask(event, uid, monotonic_ns()) == Answer::Wait
        {
            return;
        }
        let mounts = if self.loaded.has_mounts {
            let Some(mounts) = process::mount_namespace(proc, pid) else {
                return;
            };
            mounts
        } else {
            0
        };
        let place = Place {
            cgroup: event.origin.cgroup,
            mounts,
        };
        if self.judge(place, container.as_ref()) != RULE_EXCLUDE {
            self.look_at(pid);
        }
    }

    /// Tells the kernel object what the rules make of a place, and gives it.
    fn judge(&mut self, place: Place, container: Option<&Arc<Container>>) -> u32 {
        let named = |filter: &Filter| {
            container.is_some_and(|container| filter.has_container(Path::new("/proc"), container))
        };
        let rule = if self.filter.exclude.as_deref().is_some_and(named) {
            RULE_EXCLUDE
        } else if named(&self.filter) {
            RULE_INCLUDE
        } else {
            RULE_NONE
        };
        if let (Some(waiting), Some(container)) = (&mut self.waiting, container) {
            waiting.judged(place, container);
        }
        if let Err(error) = self.loaded.judge_place(place, rule) {
            tracing::warn!(%error, "a container's processes stay unwatched");
            return RULE_EXCLUDE;
        }
        rule
    }

    /// Judges who waited for a pod to be known, and those of whose pods other things are said now.
    fn follow_pods(&mut self) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let due = waiting.due(monotonic_ns());
        for event in due.starts {
            self.decide(&event, Ask::Again);
        }
        for (place, container) in due.places {
            self.judge(place, Some(&container));
        }
        if due.pods.is_empty() {
            return;
        }
        let attacher = self.attacher.as_ref();
        if let Err(error) = scan::judge_anew(&mut self.loaded, attacher, &self.filter, &due.pods) {
            tracing::warn!(%error, "processes of pods are not judged anew");
        }
    }

    /// What cannot be probed at present and why; it is tried again.
    pub fn failing(&self) -> Vec<String> {
        self.attacher.as_ref().map(Attacher::failing).unwrap_or_default()
    }

    /// What attaching has cost so far.
    pub fn effort(&self) -> Effort {
        self.attacher.as_ref().map(Attacher::effort).unwrap_or_default()
    }

    /// Id of the thread that attaches, once it runs.
    pub fn attaching_thread(&self) -> Option<i32> {
        self.attacher.as_ref().and_then(Attacher::thread)
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
            self.loaded.detach_calls();
        });
    }

    /// Appends what is left in the rings after [`detach`](Self::detach). Gives how many; 0 when there is no more.
    pub fn drain_rest(&mut self, out: &mut Vec<Record>) -> usize {
        let before = out.len();
        self.drain(u64::MAX, out);
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

/// Whether the start of a program is judged for the first time, or waited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    First,
    Again,
}

/// At the start, who is in a pod that is not known yet is left alone until it is.
fn without_unknown_pods(filter: &Filter, waits: bool) -> Filter {
    let mut filter = filter.clone();
    if let Some(exclude) = filter.exclude.as_deref_mut().filter(|_| waits) {
        exclude.pods = exclude.pods.as_ref().map(Pods::or_unknown);
    }
    filter
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

/// Gives freed memory back to the system: after the start, which reads the kernel's types and takes tens of megabytes
/// once, and when much was let go of.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the allocator's own function has no safe wrapper")]
pub(crate) fn give_back() {
    // SAFETY: malloc_trim takes a number and may be called at any time.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
pub(crate) const fn give_back() {}

/// The monotonic clock, the clock of the kernel object's records.
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
