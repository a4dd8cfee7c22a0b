//! Where the running kernel keeps what the kernel object reads: offsets from its own type information.
//!
//! Takes BTF. Gives globals by name. Never guesses: a member that every kernel has and this one lacks is an error, one
//! that only some have is left out. Bounded by the tables.

use super::btf::{Btf, BtfError};

/// Kernel offsets by the name of the global that takes them: structure, member.
const OFFSETS: [(&str, &str, &str); 30] = [
    ("ICSK_ULP_OPS", "inet_connection_sock", "icsk_ulp_ops"),
    ("ULP_NAME", "tcp_ulp_ops", "name"),
    ("TASK_SIGNAL", "task_struct", "signal"),
    ("SIGNAL_LIVE", "signal_struct", "live"),
    ("TASK_STACK", "task_struct", "stack"),
    ("TASK_PID", "task_struct", "pid"),
    ("TASK_TGID", "task_struct", "tgid"),
    ("TASK_FILES", "task_struct", "files"),
    ("TASK_GROUP_LEADER", "task_struct", "group_leader"),
    ("TASK_START", "task_struct", "start_boottime"),
    ("TASK_MM", "task_struct", "mm"),
    ("MM_EXE_FILE", "mm_struct", "exe_file"),
    ("FILES_FDT", "files_struct", "fdt"),
    ("FDTABLE_FD", "fdtable", "fd"),
    ("FDTABLE_MAX", "fdtable", "max_fds"),
    ("FILE_INODE", "file", "f_inode"),
    ("FILE_PRIVATE", "file", "private_data"),
    ("INODE_MODE", "inode", "i_mode"),
    ("INODE_NUMBER", "inode", "i_ino"),
    ("INODE_SB", "inode", "i_sb"),
    ("SB_DEV", "super_block", "s_dev"),
    ("SOCKET_TYPE", "socket", "type"),
    ("SOCKET_SK", "socket", "sk"),
    ("SK_FAMILY", "sock_common", "skc_family"),
    ("SK_DPORT", "sock_common", "skc_dport"),
    ("SK_NUM", "sock_common", "skc_num"),
    ("SK_DADDR", "sock_common", "skc_daddr"),
    ("SK_RCV_SADDR", "sock_common", "skc_rcv_saddr"),
    ("SK_V6_DADDR", "sock_common", "skc_v6_daddr"),
    ("SK_V6_RCV_SADDR", "sock_common", "skc_v6_rcv_saddr"),
];

/// What the mount namespace of a task is read by. Without it containers are told apart by their cgroup alone.
const MOUNTS: [(&str, &str, &str); 4] = [
    ("TASK_NSPROXY", "task_struct", "nsproxy"),
    ("NSPROXY_MOUNTS", "nsproxy", "mnt_ns"),
    ("MOUNTS_COMMON", "mnt_namespace", "ns"),
    ("COMMON_INUM", "ns_common", "inum"),
];

/// Offsets that some kernels lack, and then have a helper instead.
const OLD_OFFSETS: [(&str, &str, &str); 4] = [
    ("TASK_CGROUPS", "task_struct", "cgroups"),
    ("CSS_SET_DFL_CGRP", "css_set", "dfl_cgrp"),
    ("CGROUP_LEVEL", "cgroup", "level"),
    ("CGROUP_ANCESTOR_IDS", "cgroup", "ancestor_ids"),
];

/// Globals by name.
pub(super) type Globals = Vec<(&'static str, u32)>;

/// Globals that hold offsets, and whether mount namespaces can be told apart.
pub(super) fn of(btf: &Btf<'_>) -> Result<(Globals, bool), BtfError> {
    let optional = |(global, structure, member): &(&'static str, &'static str, &'static str)| {
        Some((*global, btf.offset(structure, member).ok()?))
    };
    let mut globals: Globals = OFFSETS
        .iter()
        .map(|(global, structure, member)| Ok((*global, btf.offset(structure, member)?)))
        .collect::<Result<_, BtfError>>()?;
    globals.extend(OLD_OFFSETS.iter().filter_map(optional));
    let mounts: Option<Globals> = MOUNTS.iter().map(optional).collect();
    let has_mounts = mounts.is_some();
    globals.extend(mounts.unwrap_or_else(|| vec![("COMMON_INUM", u32::MAX)]));
    Ok((globals, has_mounts))
}
