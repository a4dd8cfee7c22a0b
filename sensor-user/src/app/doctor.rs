//! `doctor`: what this kernel and these privileges allow, and what of each process is covered; with `--watch`, what of
//! it is seen.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::live::{options, source};
use super::{Error, outputs, settings};
use crate::capture::attach::seccomp::Verdict;
use crate::capture::attach::trial;
use crate::capture::attacher::filter_of;
use crate::capture::beyond::{Beyond, Source};
use crate::capture::calls::Calls;
use crate::capture::coverage::{self, Abilities, Ability, Live, Observer, Report};
use crate::capture::discover::Cache;
use crate::capture::kernel::{Options, monotonic_ns};
use crate::capture::{load, tracefs};
use crate::config::{Config, Interval};
use crate::exchange::secret::HashKey;
use crate::export::ClockOffset;
use crate::kubernetes;
use crate::pipeline::Shard;
use crate::telemetry::Accounts;

/// Rings for trying only.
const TRIAL_RING: u32 = 64 << 10;

/// How long one look at the rings lasts at most.
const LOOK: Duration = Duration::from_millis(5);

/// How often accounts are read while watching: processes that end must be known by name.
const REFRESH_NS: u64 = 200_000_000;

/// Looks at the host and at the processes that the filters select. Tries to load and to attach to itself. Watches
/// nobody, unless for `watch`: then it attaches as `run` does and tells what has fired, and nothing of what it saw.
pub fn doctor(config: &Config, json: bool, watch: Option<Interval>) -> Result<(), Error> {
    let mut report = examine(config)?;
    if let Some(Interval(duration)) = watch {
        report = report.with(watched(config, duration)?, duration.as_secs());
    }
    let text = if json {
        serde_json::to_string(&report).unwrap_or_default() + "\n"
    } else {
        coverage::render(&report)
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // The reader has what it wants.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::Start {
            what: "writing to standard output",
            source: error,
        }),
        _ => Ok(()),
    }
}

fn examine(config: &Config) -> Result<Report, Error> {
    let filter = filter_of(&options(config, None));
    let host = Abilities::read().tried(tried());
    let proc = Path::new("/proc");
    coverage::report(proc, &filter, host, &mut Cache::default()).map_err(|source| Error::Proc {
        path: proc.to_owned(),
        source,
    })
}

/// Captures and parses as `run` does, on this thread, and keeps nothing but the accounts.
fn watched(config: &Config, duration: Duration) -> Result<Live, Error> {
    let accounts = Accounts::default();
    // Callers' hashes are made and dropped: no installation's key is needed.
    let settings = settings(
        config,
        &accounts.sensor,
        HashKey::new([0; 32]),
        ClockOffset::RECORDED,
    )?;
    // Whose annotation forbids it is not watched here either.
    let runtime = outputs::runtime()?;
    let pods = kubernetes::start(&config.kubernetes, runtime.handle(), &accounts);
    let mut source = source(config, pods.as_ref(), &accounts)?;
    let (reader, ledger) = (source.account_reader(), accounts.sensor.ledger());
    let mut observer = Observer::new(source.attachments(), source.rings());
    let mut shard = Shard::new(&settings);
    let (mut records, mut dropped) = (Vec::new(), Vec::new());
    let end = monotonic_ns().saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let mut next_refresh = 0;
    while monotonic_ns() < end {
        source.poll(LOOK, &mut records);
        parse(&mut shard, &mut records, &mut dropped);
        shard.tick(monotonic_ns(), &mut dropped);
        if monotonic_ns() >= next_refresh {
            next_refresh = monotonic_ns().saturating_add(REFRESH_NS);
            reader.refresh(ledger);
            // Files of processes that will have ended by the end of the watch.
            observer.report(Path::new("/proc"), ledger, monotonic_ns());
        }
    }
    let now_ns = monotonic_ns();
    reader.refresh(ledger);
    observer.report(Path::new("/proc"), ledger, now_ns);
    source.detach();
    while source.drain_rest(&mut records) > 0 {
        parse(&mut shard, &mut records, &mut dropped);
    }
    shard.finish(&mut dropped);
    reader.refresh(ledger);
    if let Some(imbalance) = ledger.unbalanced() {
        tracing::error!(%imbalance, "the accounts do not add up: a fault of the sensor");
    }
    Ok(observer.report(Path::new("/proc"), ledger, now_ns))
}

fn parse(
    shard: &mut Shard,
    records: &mut Vec<crate::capture::Record>,
    dropped: &mut Vec<crate::pipeline::Observed>,
) {
    for record in records.drain(..) {
        shard.push(record, dropped);
        dropped.clear();
    }
}

fn tried() -> Vec<Ability> {
    let trial = Options {
        ring_bytes: TRIAL_RING,
        control_ring_bytes: TRIAL_RING,
        ..Options::default()
    };
    let mut found = vec![ability(
        "tracepoint formats",
        tracefs::is_readable(),
        "mount tracefs; its directory is root's alone, so a user needs CAP_DAC_READ_SEARCH",
    )];
    let loaded = match load::load_for_trial(&trial) {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::warn!(error = %trial::chain(&error), "the kernel object cannot be loaded");
            found.push(ability(
                "kernel object",
                false,
                "run as root, or with CAP_BPF, and before Linux 5.11 CAP_SYS_RESOURCE",
            ));
            return found;
        }
    };
    found.push(ability("kernel object", true, ""));
    found.push(ability(
        "bpf_loop",
        load::has_bpf_loop(),
        "without it (Linux 5.17) a call is captured up to 128 KiB",
    ));
    if let Err(error) = tracefs::find_or_mount() {
        tracing::warn!(error = %trial::chain(&error), "no tracefs");
    }
    found.extend(hooks_of_calls(&loaded));
    let (inside, refused) = loaded.attach_beyond(Beyond::Auto);
    for why in refused {
        tracing::info!(
            source = inside.name(),
            why,
            "a source inside the kernel's TCP does not work"
        );
    }
    found.push(ability(
        "hooks inside the kernel's TCP",
        matches!(inside, Source::Fentry | Source::Kprobe),
        "without fentry or kprobes what io_uring moves is not seen; since Linux 6.3 it is counted",
    ));
    loaded.detach_calls();
    found.extend(ways_to_attach(&loaded));
    found
}

fn hooks_of_calls(loaded: &load::Loaded) -> [Ability; 2] {
    let calls = loaded.attach_calls(Calls::Auto);
    if let Err(error) = &calls {
        tracing::warn!(error = %trial::chain(error), "system calls cannot be hooked");
    }
    [
        ability(
            "hooks of system calls",
            calls.is_ok(),
            "without them sockets are not seen: check CONFIG_FTRACE_SYSCALLS and perf_event_paranoid",
        ),
        ability(
            "every run of those hooks",
            calls.is_ok() && loaded.sees_every_run(),
            "this kernel leaves runs of programs at tracepoints out and refuses kprobe_multi links (CONFIG_FPROBE); \
         hook_runs_skipped counts them",
        ),
    ]
}

fn ways_to_attach(loaded: &load::Loaded) -> Vec<Ability> {
    let mut found = Vec::new();
    let rings =
        tracefs::find().is_some_and(|found| tracefs::has_event(&found, "io_uring", "io_uring_create"));
    found.push(ability(
        "io_uring notices",
        rings,
        "without the tracepoint io_uring_create a ring that is made while the sensor runs is not noticed",
    ));
    for (backend, outcome) in trial::survey(loaded) {
        if let Err(error) = &outcome {
            tracing::warn!(backend, error = %trial::chain(error), "this way to attach does not work");
        }
        let (name, returns, remedy) = match backend {
            "uprobe_multi" => (
                "uprobe_multi links",
                "return probes of uprobe_multi links under seccomp",
                "without them (Linux 6.6) probes are attached one by one",
            ),
            _ => (
                "perf uprobes",
                "return probes of perf uprobes under seccomp",
                "they need CAP_SYS_ADMIN on kernels since July 2025; multi links do not",
            ),
        };
        found.push(ability(name, outcome.is_ok(), remedy));
        if let Ok(verdict) = outcome {
            found.push(ability(
                returns,
                verdict == Verdict::Safe,
                "this kernel's end the process, so none is used; a newer kernel of its series has the repair",
            ));
        }
    }
    found
}

const fn ability(name: &'static str, available: bool, remedy: &'static str) -> Ability {
    Ability {
        name,
        available: Some(available),
        remedy,
    }
}
