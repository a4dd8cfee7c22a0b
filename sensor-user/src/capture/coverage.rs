//! What the sensor sees on this host, and what it does not see and why: the `doctor` command's engine.
//!
//! Takes `/proc` under the same filters as `run`, and what was counted of each process; gives a [`Report`] for text or
//! JSON. Never shows command lines, environments or payload. Bounded by the number of processes that own sockets.

mod abilities;
mod activity;
mod attachments;
mod live;
mod render;
mod state;

use std::borrow::Cow;
use std::io;
use std::path::Path;

use serde::Serialize;

#[cfg(feature = "kernel")]
pub(super) use abilities::mount_of;
pub use abilities::{Abilities, Ability, Privilege};
pub use activity::Activity;
#[cfg(feature = "kernel")]
pub(super) use attachments::NO_RETURN;
pub use attachments::{Attachments, Placed};
pub use live::{Live, Observer};
pub use render::render;
pub use state::{Blindness, State};

use super::discover::Cache;
use super::discover::process::{self, Descriptors, Filter, MappedFile, Process, printable};
use super::discover::recognise::Recognised;
use super::discover::stacks::Coverage;

/// What this kernel allows and what each process with sockets offers.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The kernel and our privileges.
    pub host: Abilities,
    /// Seconds for which the sensor watched; `None` when it only looked.
    pub watched: Option<u64>,
    /// Processes that own sockets and pass the filter.
    pub processes: Vec<ProcessCoverage>,
    /// Processes that pass the filter and own no socket.
    pub without_sockets: usize,
    /// What was seen of processes that are not listed, where the sensor watched.
    pub others: Option<Activity>,
}

impl Report {
    /// Enters what a running sensor saw in so many seconds. Who moved nothing was idle.
    #[must_use]
    pub fn with(mut self, live: Live, seconds: u64) -> Self {
        let seen = |pid: u32| live.processes.iter().any(|process| process.pid == pid);
        self.processes.retain(|process| !seen(process.pid));
        for process in &mut self.processes {
            process.state = Some(State::Idle);
            process.activity = Some(Activity::default());
        }
        self.processes.extend(live.processes);
        self.processes
            .sort_by_key(|process| (process.state, process.ended, process.pid));
        self.watched = Some(seconds);
        self.others = Some(live.others);
        self
    }
}

/// One process.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ProcessCoverage {
    /// Process id.
    pub pid: u32,
    /// Task name.
    pub comm: String,
    /// Executable, as the process sees it.
    pub exe: Option<String>,
    /// Sockets it owns.
    pub sockets: usize,
    /// What its files promise.
    pub verdict: Verdict,
    /// What became of it, where the sensor watched.
    pub state: Option<State>,
    /// What of it is not seen, and what the operator can do.
    pub blind: Vec<Blindness>,
    /// What was seen of it, where the sensor watched.
    pub activity: Option<Activity>,
    /// It ended while it was watched.
    pub ended: bool,
    /// It has an `io_uring`.
    #[serde(skip)]
    has_io_uring: bool,
    /// Each TLS stack it has mapped.
    pub stacks: Vec<StackCoverage>,
    /// What could not be looked at.
    pub unread: Vec<Unread>,
}

/// What of a process's traffic is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Each TLS stack is covered, plain sockets too.
    Covered,
    /// Some TLS stacks are covered, others are not.
    Partly,
    /// It has TLS, none of it covered; plain sockets are.
    Blind,
    /// No TLS stack found; plain sockets are covered.
    PlainOnly,
    /// It could not be looked at.
    Unknown,
}

/// One TLS stack in one file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StackCoverage {
    /// Name of the stack.
    pub stack: &'static str,
    /// Its version, where the file says it.
    pub version: Option<String>,
    /// File it is in, as the process sees it.
    pub file: String,
    /// Functions that can be probed; 0 when blind.
    pub functions: usize,
    /// Probes in place, where the sensor watched.
    pub probes: Option<usize>,
    /// Why it is not covered.
    pub reason: Option<Cow<'static, str>>,
    /// What the operator can do.
    pub remedy: Option<&'static str>,
}

/// Something that could not be looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Unread {
    /// The file, as the process sees it, or what of the process.
    pub what: String,
    /// Why.
    pub reason: String,
    /// What the operator can do.
    pub remedy: &'static str,
}

/// Looks at every process that the filter lets pass.
pub fn report(proc: &Path, filter: &Filter, host: Abilities, cache: &mut Cache) -> io::Result<Report> {
    let mut report = Report {
        host,
        watched: None,
        processes: Vec::new(),
        without_sockets: 0,
        others: None,
    };
    for process in process::scan(proc, filter)? {
        match process::descriptors(proc, process.pid) {
            Ok(found) if found.sockets.is_empty() => report.without_sockets += 1,
            Ok(found) => report
                .processes
                .push(examine(proc, &process, &found, None, cache)),
            // It ended while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => report.processes.push(unreadable(&process, &error)),
        }
    }
    Ok(report)
}

/// Looks at one process; `attached` tells where probes are in place.
fn examine(
    proc: &Path,
    process: &Process,
    found: &Descriptors,
    attached: Option<&Attachments>,
    cache: &mut Cache,
) -> ProcessCoverage {
    let mut coverage = blank(process, found.sockets.len());
    coverage.has_io_uring = found.io_uring;
    match process::mapped_files(proc, process.pid) {
        Ok(files) => {
            for file in &files {
                examine_file((proc, process.pid), file, attached, cache, &mut coverage);
            }
        }
        Err(error) => coverage.unread.push(unread("mapped files", &error)),
    }
    coverage.verdict = verdict(&coverage);
    coverage.blind = state::blindness(&coverage);
    coverage
}

fn examine_file(
    (proc, pid): (&Path, u32),
    mapped: &MappedFile,
    attached: Option<&Attachments>,
    cache: &mut Cache,
    into: &mut ProcessCoverage,
) {
    let shown = printable(&mapped.path);
    match mapped.open(proc, pid).and_then(|file| cache.inspect(&file)) {
        Ok((identity, inspected)) => {
            for found in inspected.stacks.iter().filter(|found| found.stack.is_whole()) {
                let mut stack = stack_coverage(found, &shown);
                if let Some(attached) = attached.filter(|_| found.stack.is_covered()) {
                    attached.describe(identity, found.stack, &mut stack);
                }
                into.stacks.push(stack);
            }
            if let Some(error) = &inspected.error {
                into.unread.push(Unread {
                    what: shown,
                    reason: error.to_string(),
                    remedy: "nothing to do unless TLS traffic of this process is missing",
                });
            }
        }
        Err(error) => into.unread.push(unread(&shown, &error)),
    }
}

fn stack_coverage(found: &Recognised, file: &str) -> StackCoverage {
    let (reason, remedy) = match (&found.opaque, &found.stack.coverage) {
        (Some(opaque), _) => (Some(opaque.reason.clone().into()), Some(opaque.remedy)),
        (None, Coverage::Covered(_)) => (None, None),
        (None, Coverage::Blind { reason, remedy }) => (Some((*reason).into()), Some(*remedy)),
    };
    StackCoverage {
        stack: found.stack.name,
        version: found.version.clone(),
        file: file.to_owned(),
        functions: found.functions.len(),
        probes: None,
        reason,
        remedy,
    }
}

fn verdict(coverage: &ProcessCoverage) -> Verdict {
    let covered = coverage
        .stacks
        .iter()
        .filter(|stack| stack.reason.is_none())
        .count();
    match (covered, coverage.stacks.len() - covered) {
        (0, 0) if coverage.unread.is_empty() => Verdict::PlainOnly,
        (0, 0) => Verdict::Unknown,
        (0, _) => Verdict::Blind,
        (_, 0) => Verdict::Covered,
        (_, _) => Verdict::Partly,
    }
}

fn unreadable(process: &Process, error: &io::Error) -> ProcessCoverage {
    let mut coverage = blank(process, 0);
    coverage.unread.push(unread("descriptors", error));
    coverage
}

fn blank(process: &Process, sockets: usize) -> ProcessCoverage {
    ProcessCoverage {
        pid: process.pid,
        comm: process.comm.to_string(),
        exe: process.exe.as_deref().map(printable),
        sockets,
        verdict: Verdict::Unknown,
        state: None,
        blind: Vec::new(),
        activity: None,
        ended: false,
        has_io_uring: false,
        stacks: Vec::new(),
        unread: Vec::new(),
    }
}

fn unread(what: &str, error: &io::Error) -> Unread {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "run as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
        io::ErrorKind::NotFound => "restart the process: the file it runs was replaced or removed",
        _ => "see the reason",
    };
    Unread {
        what: what.to_owned(),
        reason: error.to_string(),
        remedy,
    }
}

#[cfg(test)]
mod tests;
