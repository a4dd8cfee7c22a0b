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

/// Key of an executable: the file behind `mm->exe_file`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExeKey {
    /// Inode number.
    pub inode: u64,
    /// The kernel's `dev_t` of the file system: major << 20 | minor.
    pub device: u64,
}

/// A cgroup of the unified hierarchy whose members and descendants are watched.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CgroupFilter {
    /// Inode number of the cgroup's directory; 0 marks an unused slot.
    pub id: u64,
    /// Depth below the root of the hierarchy, for `bpf_get_current_ancestor_cgroup_id`.
    pub level: u32,
    /// Zero.
    pub reserved: u32,
}

/// Cgroup filters at most: the kernel walks all of them at each `exec`.
pub const MAX_CGROUP_FILTERS: u32 = 8;

const _: () = {
    assert!(size_of::<ExeKey>() == 16);
    assert!(size_of::<CgroupFilter>() == 16);
};
