//! What the live source is asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::capture::attach::Backend;
use crate::capture::beyond::Beyond;
use crate::capture::calls::Calls;
use crate::config::WatchedPods;
use crate::kubernetes::Directory;

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
    /// Beginnings of ids of containers to watch.
    pub containers: Vec<String>,
    /// Labels of containers to watch, as `key=value` or `key`.
    pub labels: Vec<String>,
    /// Whom to leave alone whatever else is asked for.
    pub exclude: Exclude,
    /// What is known of pods, where that decides who is watched.
    pub pods: Option<Arc<Directory>>,
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
    /// Where to hook system calls.
    pub calls: Calls,
    /// What to attach beside the system calls.
    pub beyond: Beyond,
    /// How long a probed file stays probed after the last process that maps it ended.
    pub release_after: Duration,
}

impl Options {
    /// What decides on pods; `None` where nothing does.
    pub(in crate::capture) fn deciding(&self) -> Option<&Arc<Directory>> {
        let decides = |pods: &&Arc<Directory>| pods.watched() != WatchedPods::Regardless;
        self.pods.as_ref().filter(decides)
    }

    /// Whether only pods whose annotation asks for it are watched.
    pub(in crate::capture) fn wants_pods(&self) -> bool {
        self.deciding()
            .is_some_and(|pods| pods.watched() == WatchedPods::Annotated)
    }
}

/// Whom to leave alone.
#[derive(Clone, Default, Debug)]
pub struct Exclude {
    /// Task names.
    pub comms: Vec<String>,
    /// Executables.
    pub exes: Vec<PathBuf>,
    /// Directories of cgroups, with what is below them.
    pub cgroups: Vec<PathBuf>,
    /// Beginnings of ids of containers.
    pub containers: Vec<String>,
    /// Labels of containers, as `key=value` or `key`.
    pub labels: Vec<String>,
}

impl Exclude {
    /// Whether it excludes nobody.
    pub fn is_empty(&self) -> bool {
        self.comms.is_empty() && self.exes.is_empty() && self.cgroups.is_empty() && !self.has_places()
    }

    /// Whether it speaks of containers.
    pub const fn has_places(&self) -> bool {
        !self.containers.is_empty() || !self.labels.is_empty()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pids: Vec::new(),
            comms: Vec::new(),
            exes: Vec::new(),
            cgroups: Vec::new(),
            containers: Vec::new(),
            labels: Vec::new(),
            exclude: Exclude::default(),
            pods: None,
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
            calls: Calls::Auto,
            beyond: Beyond::Auto,
            // Long enough for a program that is started every minute.
            release_after: Duration::from_mins(2),
        }
    }
}
