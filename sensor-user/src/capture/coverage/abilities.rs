//! What this kernel and our privileges allow.
//!
//! Takes `/proc` and `/sys`; gives plain facts with remedies. Never tries anything: abilities that only trying
//! shows are added by the kernel source through [`Abilities::tried`]. Bounded by a dozen small files.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// The host as the sensor finds it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Abilities {
    /// Kernel release, such as `6.1.0-44-amd64`.
    pub kernel: String,
    /// Instruction set.
    pub machine: &'static str,
    /// Where tracefs is mounted.
    pub tracefs: Option<String>,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Option<i32>,
    /// Lockdown mode in force; `None` when the kernel has no lockdown.
    pub lockdown: Option<String>,
    /// Memory that may be locked: bytes or `unlimited`. Counts for maps before Linux 5.11.
    pub memlock: Option<String>,
    /// Capabilities that matter and whether we have them.
    pub privileges: Vec<Privilege>,
    /// What was looked at and what was tried.
    pub abilities: Vec<Ability>,
}

/// One capability.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Privilege {
    /// Its name.
    pub name: &'static str,
    /// Whether it is in the effective set.
    pub held: bool,
    /// What it is needed for.
    pub needed_for: &'static str,
}

/// One ability of the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Ability {
    /// Its name.
    pub name: &'static str,
    /// Whether it is there; `None` when it could not be told.
    pub available: Option<bool>,
    /// What is lost without it, or what to do.
    pub remedy: &'static str,
}

impl Abilities {
    /// Reads them from the running system.
    pub fn read() -> Self {
        Self::read_below(Path::new("/"))
    }

    /// Adds what was found by trying (map types, program types, attachment).
    #[must_use]
    pub fn tried(mut self, abilities: impl IntoIterator<Item = Ability>) -> Self {
        self.abilities.extend(abilities);
        self
    }

    /// Reads them from a tree that has `proc` and `sys` below `root`.
    pub(super) fn read_below(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).ok();
        let line = |path: &str| text(path).map(|text| text.trim().to_owned());
        let tracefs = text("proc/self/mounts").and_then(|mounts| mount_of(&mounts, "tracefs"));
        // Mounted elsewhere it is of no use: nobody looks there.
        let usual = tracefs.as_deref().is_some_and(|place| PLACES.contains(&place));
        let effective = text("proc/self/status").and_then(|status| effective_capabilities(&status));
        let abilities = vec![
            Ability {
                name: "kernel type information (BTF)",
                available: Some(root.join("sys/kernel/btf/vmlinux").exists()),
                remedy: "without it sockets are not recognised: use a kernel built with CONFIG_DEBUG_INFO_BTF",
            },
            Ability {
                name: "tracefs",
                available: Some(usual),
                remedy: "without it no call on a socket, no connection and no arriving library is seen, and the sensor \
                         does not start: mount -t tracefs tracefs /sys/kernel/tracing",
            },
            Ability {
                name: "uprobes",
                available: exists_if_readable(&root.join("sys/bus/event_source/devices"), "uprobe"),
                remedy: "without them TLS is not seen: use a kernel built with CONFIG_UPROBE_EVENTS",
            },
        ];
        Self {
            kernel: line("proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()),
            machine: std::env::consts::ARCH,
            tracefs,
            perf_event_paranoid: line("proc/sys/kernel/perf_event_paranoid")
                .and_then(|text| text.parse().ok()),
            lockdown: text("sys/kernel/security/lockdown").and_then(|text| chosen_word(&text)),
            memlock: text("proc/self/limits").and_then(|limits| memlock_limit(&limits)),
            privileges: privileges(effective.unwrap_or(0)),
            abilities,
        }
    }
}

/// Where programs look for tracefs.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Bit numbers of `linux/capability.h`. `CAP_SYS_ADMIN` stands for `CAP_BPF` and `CAP_PERFMON`, which Linux 5.8 split
/// off it.
const CAPABILITIES: &[(u32, &str, &str)] = &[
    (39, "CAP_BPF", "loading the kernel object"),
    (38, "CAP_PERFMON", "attaching probes and reading what they see"),
    (19, "CAP_SYS_PTRACE", "looking at other users' processes"),
    (
        2,
        "CAP_DAC_READ_SEARCH",
        "reading other users' libraries and executables",
    ),
    (
        40,
        "CAP_CHECKPOINT_RESTORE",
        "libraries that were replaced on disk while in use",
    ),
    (
        21,
        "CAP_SYS_ADMIN",
        "kernels that ask for it to attach single probes",
    ),
    (24, "CAP_SYS_RESOURCE", "map memory before Linux 5.11"),
];
const SYS_ADMIN: u32 = 21;
const SPLIT_FROM_SYS_ADMIN: [u32; 3] = [38, 39, 40];

fn privileges(effective: u64) -> Vec<Privilege> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    let privilege = |(bit, name, needed_for): &(u32, &'static str, &'static str)| Privilege {
        name,
        held: has(*bit) || (SPLIT_FROM_SYS_ADMIN.contains(bit) && has(SYS_ADMIN)),
        needed_for,
    };
    CAPABILITIES.iter().map(privilege).collect()
}

/// `CapEff:` of `/proc/self/status` (proc(5)), in hexadecimal.
fn effective_capabilities(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

/// First mount point of a type in `/proc/self/mounts` (fstab(5)); spaces in it are written as `\040`.
pub(in crate::capture) fn mount_of(mounts: &str, kind: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let place = fields.nth(1)?;
        (fields.next()? == kind).then(|| place.replace("\\040", " "))
    })
}

/// `none [integrity] confidentiality`: the word in brackets.
fn chosen_word(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// Soft limit of `Max locked memory` in `/proc/self/limits`.
fn memlock_limit(limits: &str) -> Option<String> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"))?;
    Some(line.split_ascii_whitespace().next()?.to_owned())
}

fn exists_if_readable(directory: &Path, name: &str) -> Option<bool> {
    directory.is_dir().then(|| directory.join(name).exists())
}
