//! Which capability is behind an error of the kernel.
//!
//! Takes the error and what this process holds. Gives names. The table of docs/PRIVILEGES.md, measured, is its source.

use std::fs;

use super::attach::AttachError;
use super::btf::Btf;
use super::coverage::{Abilities, Privilege};
use super::kernel::KernelError;
use super::load::{BTF_PATH, LoadError};

/// What the sensor needs everywhere; more is asked for by kernels before 6.6.
pub const ALWAYS: [&str; 4] = ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"];

/// Those of [`ALWAYS`] that this process lacks.
pub fn lacking() -> Vec<Privilege> {
    let mut privileges = Abilities::read().privileges;
    privileges.retain(|privilege| !privilege.held && ALWAYS.contains(&privilege.name));
    privileges
}

/// The highest `kernel.perf_event_paranoid` with which `CAP_PERFMON` opens perf events. Debian and Ubuntu added values
/// above it, with which only `CAP_SYS_ADMIN` does, and Debian starts with 3.
const USUAL_PARANOIA: i32 = 2;

impl KernelError {
    /// Capabilities that would have prevented this error and that this process lacks.
    pub fn lacks(&self) -> Vec<&'static str> {
        let host = Abilities::read();
        let (first, then) = wanted(self, host.tracefs.is_some());
        let lacks = |names: &[&'static str]| -> Vec<&'static str> {
            let held = |name: &str| host.privileges.iter().any(|one| one.name == name && one.held);
            names.iter().filter(|name| !held(name)).copied().collect()
        };
        let lacking = lacks(first);
        if lacking.is_empty() { lacks(then) } else { lacking }
    }

    /// What to do for want of privileges; nothing when every capability is there, and no list of system calls in the way.
    pub fn advice(&self) -> Option<String> {
        let refused = refused_calls();
        if !refused.is_empty() {
            return Some(format!(
                "the list of system calls (seccomp) of this process refuses {}: give it one that allows them, such as deploy/seccomp.json (Helm: seccomp.localhostProfile), or CAP_SYS_ADMIN beside CAP_BPF and CAP_PERFMON, to which runtimes allow them",
                refused.join(", ")
            ));
        }
        let mut names = self.lacks();
        for privilege in lacking() {
            if !names.contains(&privilege.name) {
                names.push(privilege.name);
            }
        }
        if names.is_empty() {
            return None;
        }
        let host = Abilities::read();
        let paranoia = host.perf_event_paranoid.unwrap_or(USUAL_PARANOIA);
        Some(advise(names, paranoia > USUAL_PARANOIA, has_links_for_many()))
    }
}

/// What the kernel object and its probes take.
const LOADING: [&str; 2] = ["CAP_BPF", "CAP_PERFMON"];

/// How to come by these capabilities.
fn advise(mut names: Vec<&'static str>, is_paranoid: bool, links_for_many: bool) -> String {
    let is_loading = names.iter().any(|name| LOADING.contains(name));
    // Whatever else is held: single probes take it, and it stands for both.
    if is_loading && !links_for_many {
        names.retain(|name| !LOADING.contains(name) && *name != ADMIN);
        names.insert(0, ADMIN);
    }
    let mut text = format!(
        "run as root, or grant what this process lacks: {}",
        names.join(", ")
    );
    if is_paranoid && links_for_many {
        text.push_str(if names.contains(&ADMIN) {
            "; or in place of CAP_SYS_ADMIN `sysctl kernel.perf_event_paranoid=2`"
        } else if is_loading {
            ", and `sysctl kernel.perf_event_paranoid=2`; or CAP_SYS_ADMIN in place of CAP_BPF, CAP_PERFMON and that"
        } else {
            ""
        });
    }
    text + "; `api-sensor doctor` says what each is for"
}

/// Calls that the sensor lives by and that a list of system calls refuses. Of a process without the capabilities for them it
/// is not told apart what refuses them, and nothing is said.
pub(super) fn refused_calls() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    let lacks = lacking();
    let lacks = |name: &str| lacks.iter().any(|privilege| privilege.name == name);
    if mode.is_none_or(|mode| mode.trim() != FILTERED) {
        return Vec::new();
    }
    let calls = [
        ("bpf", "CAP_BPF", libc::SYS_bpf),
        ("perf_event_open", "CAP_PERFMON", libc::SYS_perf_event_open),
    ];
    let refused = calls
        .into_iter()
        .filter(|(_, capability, call)| !lacks(capability) && is_refused(*call));
    refused.map(|(name, ..)| name).collect()
}

/// `SECCOMP_MODE_FILTER`, as `/proc/PID/status` has it (`proc_pid_status(5)`).
const FILTERED: &str = "2";

/// Whether a call does not get to where its arguments are looked at, which are wrong: of bpf(2) the size, of
/// `perf_event_open`(2) address and flags.
#[expect(
    unsafe_code,
    reason = "calls without a wrapper, and arguments that none would take"
)]
fn is_refused(call: libc::c_long) -> bool {
    let wrong: libc::c_long = -1;
    // SAFETY: neither call reads or writes memory at an address that it refuses, and both refuse these arguments.
    let answer = unsafe { libc::syscall(call, 0, wrong, wrong, wrong, wrong) };
    let refusals = [libc::EPERM, libc::EACCES, libc::ENOSYS].map(Some);
    answer == -1 && refusals.contains(&std::io::Error::last_os_error().raw_os_error())
}

/// Whether the kernel attaches many probes by one link (Linux 6.6), as its types tell; nothing is said of a kernel whose
/// types cannot be read.
fn has_links_for_many() -> bool {
    let types = fs::read(BTF_PATH).unwrap_or_default();
    let found = Btf::parse(&types).and_then(|btf| btf.enumerator("BPF_LINK_TYPE_UPROBE_MULTI"));
    !matches!(found, Ok(None))
}

const ADMIN: &str = "CAP_SYS_ADMIN";

/// Capabilities that an error may be for want of, and those that it is for want of when all of these are held.
const fn wanted(
    error: &KernelError,
    tracefs_is_mounted: bool,
) -> (&'static [&'static str], &'static [&'static str]) {
    match error {
        // The directory belongs to root with mode 0700.
        KernelError::Load(LoadError::Tracefs(_)) if tracefs_is_mounted => (&["CAP_DAC_READ_SEARCH"], &[]),
        KernelError::Load(LoadError::Tracefs(_)) => (&[ADMIN], &[]),
        // Maps are charged to RLIMIT_MEMLOCK before Linux 5.11, and raising it takes the second.
        KernelError::Load(LoadError::Object(_)) => (&["CAP_BPF"], &["CAP_SYS_RESOURCE"]),
        KernelError::Load(LoadError::Filter { .. }) => (&["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"], &[]),
        // Single probes take the last since the fix of CVE-2025-38466; links for many (Linux 6.6) do not.
        KernelError::Load(LoadError::Program(..))
        | KernelError::Attach(AttachError::Load { .. } | AttachError::Link { .. }) => {
            (&["CAP_BPF", "CAP_PERFMON"], &[ADMIN])
        }
        KernelError::Library(_) => (&["CAP_DAC_READ_SEARCH"], &[]),
        _ => (&[], &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Held against docs/PRIVILEGES.md: 6.18 and 6.12 as the kernel starts, 6.12 as Debian starts it, 6.1.
    #[test]
    fn what_to_grant_is_what_was_measured_as_enough() {
        let said = |names: &[&'static str], paranoid, many| advise(names.to_vec(), paranoid, many);
        let both = ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"];
        let usual = said(&both, false, true);
        assert!(
            usual.contains("lacks: CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE;"),
            "{usual}"
        );
        assert!(!usual.contains("CAP_SYS_ADMIN"), "{usual}");
        let paranoid = said(&both, true, true);
        assert!(
            paranoid.contains("perf_event_paranoid=2`; or CAP_SYS_ADMIN"),
            "{paranoid}"
        );
        assert!(said(&[ADMIN], true, true).contains("in place of CAP_SYS_ADMIN `sysctl"));
        for paranoid in [false, true] {
            let older = said(&both, paranoid, false);
            assert!(older.contains("lacks: CAP_SYS_ADMIN, CAP_SYS_PTRACE;"), "{older}");
            assert!(!older.contains("paranoid"), "it would not help: {older}");
        }
        let other = said(&["CAP_SYS_PTRACE"], true, true);
        assert!(other.contains("lacks: CAP_SYS_PTRACE; `api"), "{other}");
    }
}
