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

impl KernelError {
    /// Capabilities that would have prevented this error and that this process lacks.
    pub fn lacks(&self) -> Vec<&'static str> {
        let host = Abilities::read();
        let wanted = wanted(self, host.tracefs.is_some());
        let lacks = |name: &&&str| {
            let held = |privilege: &Privilege| privilege.name == **name && privilege.held;
            !host.privileges.iter().any(held)
        };
        wanted.iter().filter(lacks).copied().collect()
    }

    /// What to grant: what this error is about, and what would be missed next.
    pub fn to_grant(&self) -> Vec<&'static str> {
        let mut names = self.lacks();
        for privilege in lacking() {
            if !names.contains(&privilege.name) {
                names.push(privilege.name);
            }
        }
        names
    }
}

/// Capabilities that an error may be for want of.
const fn wanted(error: &KernelError, tracefs_is_mounted: bool) -> &'static [&'static str] {
    match error {
        // The directory belongs to root with mode 0700.
        KernelError::Load(LoadError::Tracefs(_)) if tracefs_is_mounted => &["CAP_DAC_READ_SEARCH"],
        KernelError::Load(LoadError::Tracefs(_)) => &["CAP_SYS_ADMIN"],
        // Maps are charged to RLIMIT_MEMLOCK before Linux 5.11, and raising it takes the second.
        KernelError::Load(LoadError::Object(_)) => &["CAP_BPF", "CAP_SYS_RESOURCE"],
        KernelError::Load(LoadError::Program(..)) => &["CAP_BPF", "CAP_PERFMON"],
        KernelError::Load(LoadError::Filter { .. }) => &["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"],
        KernelError::Attach(AttachError::Load { .. }) => &["CAP_BPF", "CAP_PERFMON"],
        // Single probes: CAP_SYS_ADMIN since the fix of CVE-2025-38466; links for many (Linux 6.6) take CAP_PERFMON.
        KernelError::Attach(AttachError::Link { .. }) => &["CAP_PERFMON", "CAP_SYS_ADMIN"],
        KernelError::Library(_) => &["CAP_DAC_READ_SEARCH"],
        _ => &[],
    }
}
