//! Which capability is behind an error of the kernel.
//!
//! Takes the error and what this process holds. Gives names. The table of docs/PRIVILEGES.md, measured, is its source.

use super::attach::AttachError;
use super::coverage::{Abilities, Privilege};
use super::kernel::KernelError;
use super::load::LoadError;

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

    /// What to do for want of privileges; nothing when every capability is there.
    pub fn advice(&self) -> Option<String> {
        let mut names = self.lacks();
        for privilege in lacking() {
            if !names.contains(&privilege.name) {
                names.push(privilege.name);
            }
        }
        if names.is_empty() {
            return None;
        }
        let mut text = format!(
            "run as root, or grant what this process lacks: {}",
            names.join(", ")
        );
        let paranoia = Abilities::read().perf_event_paranoid.unwrap_or(USUAL_PARANOIA);
        if names.contains(&ADMIN) && paranoia > USUAL_PARANOIA {
            text.push_str("; or in place of the last `sysctl kernel.perf_event_paranoid=2`");
        }
        Some(text + "; `api-sensor doctor` says what each is for")
    }
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
