//! `doctor`: what this kernel and these privileges allow, and what of each process is covered.

use std::io::Write;
use std::path::Path;

use super::Error;
use super::live::options;
use crate::capture::attach::seccomp::Verdict;
use crate::capture::attach::trial;
use crate::capture::attacher::filter_of;
use crate::capture::coverage::{self, Abilities, Ability, Report};
use crate::capture::discover::Cache;
use crate::capture::kernel::Options;
use crate::capture::load;
use crate::config::Config;

/// Rings for trying only.
const TRIAL_RING: u32 = 64 << 10;

/// Looks at the host and at the processes that the filters select. Tries to load and to attach to itself; watches
/// nobody.
pub fn doctor(config: &Config, json: bool) -> Result<(), Error> {
    let report = examine(config)?;
    let mut out = std::io::stdout().lock();
    let text = if json {
        serde_json::to_string(&report).unwrap_or_default() + "\n"
    } else {
        coverage::render(&report)
    };
    match out.write_all(text.as_bytes()) {
        // The reader has what it wants.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::Start {
            what: "writing to standard output",
            source: error,
        }),
        _ => Ok(()),
    }
}

fn examine(config: &Config) -> Result<Report, Error> {
    let filter = filter_of(&options(config));
    let host = Abilities::read().tried(tried());
    let proc = Path::new("/proc");
    coverage::report(proc, &filter, host, &mut Cache::default()).map_err(|source| Error::Proc {
        path: proc.to_owned(),
        source,
    })
}

fn tried() -> Vec<Ability> {
    let trial = Options {
        ring_bytes: TRIAL_RING,
        control_ring_bytes: TRIAL_RING,
        ..Options::default()
    };
    let loaded = match load::load(&trial) {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::warn!(error = %trial::chain(&error), "the kernel object cannot be loaded");
            return vec![ability(
                "kernel object",
                false,
                "run as root, or with CAP_BPF and CAP_PERFMON",
            )];
        }
    };
    let mut found = vec![
        ability("kernel object", true, ""),
        ability(
            "bpf_loop",
            load::has_bpf_loop(),
            "without it (Linux 5.17) a call is captured up to 128 KiB",
        ),
    ];
    let tracepoints = loaded.attach_tracepoints();
    if let Err(error) = &tracepoints {
        tracing::warn!(error = %trial::chain(error), "system call tracepoints do not work");
    }
    found.push(ability(
        "system call tracepoints",
        tracepoints.is_ok(),
        "without them sockets are not seen: check CONFIG_FTRACE_SYSCALLS and perf_event_paranoid",
    ));
    found.extend(ways_to_attach(&loaded));
    found
}

fn ways_to_attach(loaded: &load::Loaded) -> Vec<Ability> {
    let mut found = Vec::new();
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
