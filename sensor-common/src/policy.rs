//! Whom to watch: keys and values of the policy maps.
//!
//! The kernel object denies by default: a process without an entry, and without the [`EVERYONE`] entry, is left
//! alone before anything is read from it.

/// Key of the entry that stands for every process without one of its own. No process has id 0 in user space.
pub const EVERYONE: u32 = 0;

/// Leave the process alone.
pub const DENY: u32 = 0;
/// Watch the process.
pub const ALLOW: u32 = 1;
/// With [`ALLOW`]: stays in force over `exec` (a process given by id, and its descendants). Without it `exec`
/// decides anew by command, executable and cgroup.
pub const KEEP_OVER_EXEC: u32 = 1 << 1;

/// An exclusion holds: left alone whatever else is asked for, until `exec` decides anew.
pub const EXCLUDED: u32 = 1 << 2;
/// The process is in a place that user space has not judged yet: left alone until it has.
pub const PENDING: u32 = 1 << 3;
/// With [`PENDING`]: to be watched unless the place is excluded.
pub const WANTED: u32 = 1 << 4;

/// Value of a rule (name, executable, cgroup, place): watch.
pub const RULE_INCLUDE: u32 = 1;
/// Value of a rule: leave alone. Wins over every [`RULE_INCLUDE`].
pub const RULE_EXCLUDE: u32 = 1 << 1;
/// Value of a place that no rule speaks of.
pub const RULE_NONE: u32 = 1 << 2;

/// Where a process runs, as far as it tells containers apart: on hosts with cgroups v1 alone the cgroup is the same
/// for all, and the mount namespace is not. Within the host's mount namespace it is the other way round.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// Id of the cgroup in the unified hierarchy.
    pub cgroup: u64,
    /// Inode number of the mount namespace, 0 where the kernel's layout is unknown.
    pub mounts: u64,
}

/// Key of an executable: the file behind `mm->exe_file`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExeKey {
    /// Inode number.
    pub inode: u64,
    /// The kernel's `dev_t` of the file system: major << 20 | minor.
    pub device: u64,
}

/// A cgroup of the unified hierarchy whose members and descendants a rule speaks of.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CgroupFilter {
    /// Inode number of the cgroup's directory; 0 marks an unused slot.
    pub id: u64,
    /// Depth below the root of the hierarchy, for `bpf_get_current_ancestor_cgroup_id`.
    pub level: u32,
    /// `RULE_INCLUDE` or `RULE_EXCLUDE`.
    pub rule: u32,
}

/// Cgroup filters at most, of either kind: the kernel walks all of them at each `exec`.
pub const MAX_CGROUP_FILTERS: u32 = 8;
/// Slots for them: those that include, then those that exclude.
pub const CGROUP_SLOTS: u32 = 2 * MAX_CGROUP_FILTERS;

const _: () = {
    assert!(size_of::<ExeKey>() == 16);
    assert!(size_of::<CgroupFilter>() == 16);
    assert!(size_of::<Place>() == 16);
};
