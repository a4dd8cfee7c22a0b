//! Loading the kernel object: globals, maps and hooks.
//!
//! Takes options and what the running kernel's BTF says. Gives the object with its own process denied. Never attaches
//! before that. Bounded by the sizes that the options give the maps.

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aya::maps::{HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{ProgramError, ProgramType, RawTracePoint};
use aya::{Ebpf, EbpfLoader, Pod, include_bytes_aligned};
use aya_obj::generated::bpf_func_id;
use sensor_common::counter::Counter;
use sensor_common::policy::DENY;
use sensor_common::record::ProcessBytes;

use super::accounts::AccountReader;
use super::attach::Programs;
use super::beyond::{self, Beyond, Source};
use super::btf::{Btf, BtfError};
use super::calls::{self, Attached, Calls};
use super::kernel::Options;
use super::offsets;
use super::skipped::SkippedReader;
use super::tracefs::{self, TracefsError};

/// The compiled kernel object.
pub static OBJECT: &[u8] = include_bytes_aligned!(env!("SENSOR_EBPF_OBJECT"));

/// `PROC_PID_INIT_INO` of the kernel, `include/linux/proc_ns.h`.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

pub(super) const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// Why the kernel object could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No BTF.
    #[error(
        "cannot read {BTF_PATH}; the kernel must be built with CONFIG_DEBUG_INFO_BTF (every Debian, Ubuntu, Fedora and RHEL kernel since 5.8 is)"
    )]
    NoBtf(#[source] io::Error),
    /// A structure is not as expected.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// Tracepoints cannot be used.
    #[error(transparent)]
    Tracefs(#[from] TracefsError),
    /// Maps could not be made.
    #[error("the kernel refused the sensor's maps")]
    Object(#[source] Box<aya::EbpfError>),
    /// A map could not be used.
    #[error("cannot use map {0}")]
    Map(&'static str, #[source] Box<aya::maps::MapError>),
    /// A program was refused.
    #[error("the kernel refused program {0}")]
    Program(String, #[source] Box<ProgramError>),
    /// The functions of system calls cannot be hooked, which was asked for.
    #[error("cannot hook the functions of system calls")]
    Functions(#[source] Box<super::attach::AttachError>),
    /// A filter names something that is not there.
    #[error("cannot watch {what} {}", path.display())]
    Filter {
        /// Kind of filter.
        what: &'static str,
        /// Its value.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Process ids of this namespace are not those of the kernel.
    #[error(
        "the sensor runs in a process id namespace of its own, where ids are not the kernel's; start it in the host's (hostPID: true, or --pid=host)"
    )]
    PidNamespace,
    /// A cgroup filter is outside of the unified hierarchy or there are too many.
    #[error("cannot watch cgroup {}: {problem}", path.display())]
    Cgroup {
        /// Its directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Life of processes: raw tracepoint, program. Raw, because closing an ordinary one takes 40 ms.
const LIFE: [(&str, &str); 3] = [
    ("sched_process_exec", "process_exec"),
    ("sched_process_fork", "process_fork"),
    ("sched_process_exit", "process_exit"),
];

/// Ways out of sight: raw tracepoint, program. A kernel without `io_uring` has nothing to tell.
const OPTIONAL: [(&str, &str); 1] = [("io_uring_create", "io_uring_create")];

/// The loaded object. Shared, because perf attachment needs it from the attaching thread.
#[derive(Debug)]
pub struct Loaded {
    ebpf: Arc<Mutex<Ebpf>>,
    pub(super) policy: HashMap<MapData, u32, u32>,
    pub(super) settled: HashMap<MapData, [u64; 3], [u64; 2]>,
    counters: CounterReader,
    accounts: AccountReader,
    helpers: Helpers,
    /// Whether the kernel object tells mount namespaces apart.
    pub(super) has_mounts: bool,
    calls: Mutex<Attached>,
    /// Whether programs at system call tracepoints are left out at times.
    loses_runs: bool,
    beyond: Mutex<Vec<beyond::Link>>,
    process_bytes: HashMap<MapData, u32, ProcessBytesPod>,
}

#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
struct ProcessBytesPod(ProcessBytes);

#[expect(unsafe_code, reason = "aya's marker for plain data")]
// SAFETY: repr(C) of integers without padding (asserted in sensor-common).
unsafe impl Pod for ProcessBytesPod {}
/// Helpers by name, and whether they are used.
pub type Helpers = [(&'static str, bool); 4];

/// Reads the kernel-side counters.
#[derive(Clone)]
pub struct CounterReader(Arc<PerCpuArray<MapData, u64>>);

impl std::fmt::Debug for CounterReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CounterReader")
    }
}

impl CounterReader {
    /// Sum over CPUs.
    pub fn value(&self, counter: Counter) -> u64 {
        self.0
            .get(&(counter as u32), 0)
            .map_or(0, |values| values.iter().sum())
    }
}

/// Globals that say which kinds of rules there are, so that the verifier drops the code for the others.
fn rules(options: &Options) -> [(&'static str, u32); 4] {
    let wants_places = !options.containers.is_empty() || !options.labels.is_empty() || options.wants_pods();
    let by_pods = options.deciding().is_some();
    let has_places = wants_places || options.exclude.has_places() || by_pods;
    [
        ("HAS_EVERYONE", u32::from(options.everyone)),
        (
            "HAS_EXCLUSIONS",
            u32::from(!options.exclude.is_empty() || by_pods),
        ),
        ("HAS_PLACES", u32::from(has_places)),
        ("HAS_WANTED_PLACES", u32::from(wants_places)),
    ]
}

/// Makes maps and globals; nothing runs yet.
pub fn load(options: &Options) -> Result<Loaded, LoadError> {
    let tracefs = tracefs::find_or_mount()?;
    let result = tracefs::field_offset(&tracefs, "syscalls/sys_exit_read", "ret")?;
    load_knowing(options, result)
}

/// As [`load`] without a look at tracefs, for trying what else works. Its tracepoints are not to be relied on.
pub fn load_for_trial(options: &Options) -> Result<Loaded, LoadError> {
    load_knowing(options, USUAL_RESULT)
}

/// Offset of the result in the records of `sys_exit_*` on every kernel seen.
const USUAL_RESULT: u32 = 16;

fn load_knowing(options: &Options, result: u32) -> Result<Loaded, LoadError> {
    if std::fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name != Path::new(INITIAL_PID_NAMESPACE)) {
        return Err(LoadError::PidNamespace);
    }
    let btf = std::fs::read(BTF_PATH).map_err(LoadError::NoBtf)?;
    let btf = Btf::parse(&btf)?;
    let (mut globals, has_mounts) = offsets::of(&btf)?;
    globals.extend(rules(options));
    globals.extend(beyond::offsets(&btf)?);
    globals.push(("SYS_EXIT_RET", result));
    let helpers = helpers(options);
    let loses_runs = calls::loses_runs(&btf)?;
    let mut ebpf = object(options, globals, beyond::one_reference(&btf), helpers)?;
    let policy = take(&mut ebpf, "POLICY")?;
    let counters: PerCpuArray<MapData, u64> = take(&mut ebpf, "COUNTERS")?;
    let process_bytes = take(&mut ebpf, "PROCESS_BYTES")?;
    let settled = take(&mut ebpf, "SETTLED")?;
    let accounts = AccountReader::new(take(&mut ebpf, "ACCOUNTS")?)?;
    let mut loaded = Loaded {
        policy,
        settled,
        counters: CounterReader(Arc::new(counters)),
        accounts,
        helpers,
        has_mounts,
        calls: Mutex::default(),
        loses_runs,
        beyond: Mutex::default(),
        process_bytes,
        ebpf: Arc::new(Mutex::new(ebpf)),
    };
    // Before anything is attached: the sensor's own traffic is never captured.
    loaded.set(std::process::id(), DENY)?;
    Ok(loaded)
}

/// The kernel object with its globals and the sizes of its maps.
fn object(
    options: &Options,
    mut globals: Vec<(&'static str, u32)>,
    one_reference: u64,
    helpers: Helpers,
) -> Result<Ebpf, LoadError> {
    let [(_, has_cookie), (_, has_regs), _, (_, has_ancestor)] = helpers;
    globals.extend([
        ("HAS_COOKIE", u32::from(has_cookie)),
        ("HAS_TASK_REGS", u32::from(has_regs)),
        ("HAS_ANCESTOR_CGROUP", u32::from(has_ancestor)),
    ]);
    // A wake-up interrupts the observed program's processor; below a quarter the reader's own timer is in time.
    let wake = u64::from(options.ring_bytes / 4);
    let mut loader = EbpfLoader::new();
    for (name, value) in &globals {
        loader.override_global(name, value, true);
    }
    loader
        .override_global("FILE_COUNT_ONE", &one_reference, true)
        .override_global("MESSAGE_LIMIT", &options.message_limit, true)
        .override_global("CALL_LIMIT", &options.call_limit, true)
        .override_global("WAKE_BYTES", &wake, true)
        .map_max_entries("DATA", options.ring_bytes)
        .map_max_entries("CONTROL", options.control_ring_bytes)
        .map_max_entries("STREAMS", options.streams)
        .map_max_entries("GO_CALLS", options.streams);
    loader
        .load(OBJECT)
        .map_err(|error| LoadError::Object(Box::new(error)))
}

fn helpers(options: &Options) -> Helpers {
    [
        ("bpf_get_attach_cookie", has_attach_cookie()),
        ("bpf_task_pt_regs", has_helper(bpf_func_id::BPF_FUNC_task_pt_regs)),
        ("bpf_loop", options.use_bpf_loop && has_bpf_loop()),
        ("bpf_get_current_ancestor_cgroup_id", has_ancestor_cgroup()),
    ]
}

/// Whether the kernel has `bpf_loop` (Linux 5.17), by asking it.
pub fn has_bpf_loop() -> bool {
    has_helper(bpf_func_id::BPF_FUNC_loop)
}

/// Whether the kernel tells a probe its cookie (`bpf_get_attach_cookie`, Linux 5.15), by asking it.
fn has_attach_cookie() -> bool {
    aya::sys::is_helper_supported(ProgramType::KProbe, bpf_func_id::BPF_FUNC_get_attach_cookie)
        .unwrap_or(false)
}

fn has_ancestor_cgroup() -> bool {
    let helper = bpf_func_id::BPF_FUNC_get_current_ancestor_cgroup_id;
    aya::sys::is_helper_supported(ProgramType::RawTracePoint, helper).unwrap_or(false)
}

fn has_helper(helper: bpf_func_id) -> bool {
    aya::sys::is_helper_supported(ProgramType::TracePoint, helper).unwrap_or(false)
}

pub(super) fn take<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, LoadError>
where
    M: TryFrom<Map, Error = aya::maps::MapError>,
{
    let absent = || {
        LoadError::Map(
            name,
            Box::new(aya::maps::MapError::InvalidName {
                name: name.to_owned(),
            }),
        )
    };
    // Maps are cloned by descriptor, so that the object keeps its own for relocating programs.
    let map = ebpf.map(name).ok_or_else(absent)?;
    let copy = duplicate(map)
        .map_err(|error| LoadError::Map(name, Box::new(error)))?
        .ok_or_else(absent)?;
    M::try_from(copy).map_err(|error| LoadError::Map(name, Box::new(error)))
}

fn duplicate(map: &Map) -> Result<Option<Map>, aya::maps::MapError> {
    let copy = |data: &MapData| -> Result<MapData, aya::maps::MapError> {
        let fd = data
            .fd()
            .as_fd()
            .try_clone_to_owned()
            .map_err(aya::maps::MapError::IoError)?;
        MapData::from_fd(fd)
    };
    Ok(Some(match map {
        Map::Array(data) => Map::Array(copy(data)?),
        Map::PerCpuArray(data) => Map::PerCpuArray(copy(data)?),
        Map::HashMap(data) => Map::HashMap(copy(data)?),
        Map::LruHashMap(data) => Map::LruHashMap(copy(data)?),
        Map::RingBuf(data) => Map::RingBuf(copy(data)?),
        _ => return Ok(None),
    }))
}

impl Loaded {
    /// The payload ring.
    pub fn take_data_ring(&mut self) -> Result<RingBuf<MapData>, LoadError> {
        take(&mut self.object(), "DATA")
    }

    /// The control ring.
    pub fn take_control_ring(&mut self) -> Result<RingBuf<MapData>, LoadError> {
        take(&mut self.object(), "CONTROL")
    }

    /// aya's object, for attaching.
    pub fn shared(&self) -> Arc<Mutex<Ebpf>> {
        Arc::clone(&self.ebpf)
    }

    /// Reader of the kernel object's log lines. Takes their ring out of the object, so it comes after the programs.
    #[cfg(feature = "kernel-log")]
    pub(super) fn kernel_log(&self) -> Option<aya_log::EbpfLogger<super::kernel_log::ToTracing>> {
        super::kernel_log::open(&mut self.object())
    }

    pub(super) fn object(&self) -> MutexGuard<'_, Ebpf> {
        self.ebpf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this kernel has of the helpers that older ones lack; where one is absent, its fall-back is in use.
    pub const fn helpers(&self) -> Helpers {
        self.helpers
    }

    /// Whether a probe can ask which function it is at.
    pub(super) const fn has_cookie(&self) -> bool {
        let [(_, has), ..] = self.helpers;
        has
    }

    const fn has_loop(&self) -> bool {
        let [_, _, (_, has), _] = self.helpers;
        has
    }

    /// Names of the TLS programs that fit this kernel, in the order of `Hook::ALL`.
    pub const fn tls_programs(&self) -> Programs {
        if self.has_loop() {
            [
                "tls_enter",
                "tls_return_loop",
                "tls_return_site_loop",
                "go_call_loop",
            ]
        } else {
            ["tls_enter", "tls_return", "tls_return_site", "go_call"]
        }
    }

    /// Loads and attaches the hooks of system calls and of the life of processes.
    pub fn attach_calls(&self, wanted: Calls) -> Result<(), LoadError> {
        let mut object = self.object();
        *self.hooks() = self.hook_calls(&mut object, wanted)?;
        for (tracepoint, program) in LIFE {
            attach_life(&mut object, program, tracepoint)?;
        }
        for (tracepoint, program) in OPTIONAL {
            if let Err(error) = attach_life(&mut object, program, tracepoint) {
                tracing::info!(error = %super::attach::trial::chain(&error), "not noticed on this kernel: {tracepoint}");
            }
        }
        Ok(())
    }

    fn hook_calls(&self, object: &mut Ebpf, wanted: Calls) -> Result<Attached, LoadError> {
        let has_loop = self.has_loop();
        if wanted == Calls::Functions || (wanted == Calls::Auto && self.loses_runs) {
            match calls::at_functions(object, has_loop) {
                Ok(attached) => return Ok(attached),
                Err(error) if wanted == Calls::Functions => {
                    return Err(LoadError::Functions(Box::new(error)));
                }
                Err(error) => {
                    let error = super::attach::trial::chain(&error);
                    tracing::warn!(%error, "runs of hooks are left out at times: see hook_runs_skipped");
                }
            }
        }
        calls::at_tracepoints(object, has_loop)
    }

    /// Where system calls are hooked; empty before they are.
    pub fn calls_place(&self) -> &'static str {
        self.hooks().place
    }

    /// Whether the hooks of system calls are where the kernel leaves none of their runs out as a matter of course.
    pub fn sees_every_run(&self) -> bool {
        !self.loses_runs || self.calls_place() == calls::AT_FUNCTIONS
    }

    /// Attaches what sees more than the system calls. Gives what it is, and why nothing better: never fails, because
    /// all of it is extra.
    pub fn attach_beyond(&self, wanted: Beyond) -> (Source, Vec<String>) {
        let (source, links, refused) = beyond::attach(&mut self.object(), wanted, self.has_loop());
        *self.beyond.lock().unwrap_or_else(PoisonError::into_inner) = links;
        let chain = |error| super::attach::trial::chain(error);
        (source, refused.iter().map(|error| chain(error)).collect())
    }

    /// What a process moved on TCP sockets; `None` when nothing was counted.
    pub fn process_bytes(&self, pid: u32) -> Option<ProcessBytes> {
        self.process_bytes.get(&pid, 0).ok().map(|bytes| bytes.0)
    }

    /// Takes the hooks of system calls out. Each close waits for two grace periods of the kernel (36 ms each where this was
    /// measured), of which only one is under a lock: threads halve the time.
    pub fn detach_calls(&self) {
        let links = std::mem::take(&mut self.hooks().links);
        let beyond = std::mem::take(&mut *self.beyond.lock().unwrap_or_else(PoisonError::into_inner));
        std::thread::scope(|scope| {
            for link in beyond {
                scope.spawn(move || drop(link));
            }
            for link in links {
                scope.spawn(move || drop(link));
            }
        });
    }

    fn hooks(&self) -> MutexGuard<'_, Attached> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sum over CPUs.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters.value(counter)
    }

    /// The accounts of processes, for another thread.
    pub fn account_reader(&self) -> AccountReader {
        self.accounts.clone()
    }

    /// Runs of programs that the kernel left out, for another thread.
    pub fn skipped_reader(&self) -> SkippedReader {
        SkippedReader::new(&self.object(), &self.hooks().programs)
    }

    /// For another thread.
    pub fn counter_reader(&self) -> CounterReader {
        self.counters.clone()
    }
}

fn attach_life(object: &mut Ebpf, program: &str, tracepoint: &str) -> Result<(), LoadError> {
    let refused = |error| LoadError::Program(format!("{program} at {tracepoint}"), Box::new(error));
    let found = object
        .program_mut(program)
        .ok_or(ProgramError::NotLoaded)
        .map_err(refused)?;
    let loaded: &mut RawTracePoint = found.try_into().map_err(refused)?;
    loaded.load().map_err(refused)?;
    loaded.attach(tracepoint).map(drop).map_err(refused)
}
