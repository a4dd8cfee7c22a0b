//! Cgroups of the unified hierarchy: from the number that records carry to the path that names a container.
//!
//! Takes a number. Gives a path, also when every process of the cgroup has ended, as long as the cgroup is there. Needs
//! `CAP_DAC_READ_SEARCH`; without it, or without the hierarchy, there is no path. Bounded by one open per call.
#![expect(unsafe_code, reason = "no safe wrapper of open_by_handle_at is in the tree")]

use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// `FILEID_KERNFS` (Linux 5.5, `include/linux/exportfs.h`): the handle is the node's 64-bit number, which is the
/// cgroup's id.
const FILEID_KERNFS: i32 = 0xfe;

/// `struct file_handle` with room for such a handle.
#[repr(C)]
struct Handle {
    handle_bytes: u32,
    handle_type: i32,
    id: u64,
}

/// The root of the hierarchy, and where it is mounted.
struct Root {
    directory: File,
    path: PathBuf,
}

fn root() -> Option<&'static Root> {
    static ROOT: OnceLock<Option<Root>> = OnceLock::new();
    let found = ROOT.get_or_init(|| {
        let path = mounts().ok()?.into_iter().next()?;
        let directory = File::open(&path).ok()?;
        Some(Root { directory, path })
    });
    found.as_ref()
}

/// Where the unified hierarchy is mounted (proc(5), `mountinfo`: the fifth field).
fn mounts() -> std::io::Result<Vec<PathBuf>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let unified = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
    Ok(unified
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .collect())
}

/// A cgroup's directory, links resolved, and its path below the root of the unified hierarchy; the latter is `None`
/// for what is outside of it.
pub fn below_root(directory: &Path) -> std::io::Result<(PathBuf, Option<PathBuf>)> {
    let directory = directory.canonicalize()?;
    let below = mounts()?
        .iter()
        .find_map(|root| directory.strip_prefix(root).ok().map(Path::to_path_buf));
    Ok((directory, below))
}

/// Path of a cgroup below the root of the unified hierarchy, with a leading `/`.
pub fn path(id: u64) -> Option<String> {
    let root = root()?;
    let mut handle = Handle {
        handle_bytes: 8,
        handle_type: FILEID_KERNFS,
        id,
    };
    // SAFETY: `handle` is laid out as `struct file_handle` with 8 bytes behind it, and lives during the call.
    let fd = unsafe {
        libc::open_by_handle_at(
            root.directory.as_raw_fd(),
            (&raw mut handle).cast(),
            libc::O_PATH | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return None;
    }
    // SAFETY: the call gave a descriptor that nobody else owns.
    let cgroup = unsafe { OwnedFd::from_raw_fd(fd) };
    let named = std::fs::read_link(format!("/proc/self/fd/{}", cgroup.as_raw_fd())).ok()?;
    Some(format!("/{}", named.strip_prefix(&root.path).ok()?.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_cgroup_is_found_by_its_number() {
        let Some(root) = root() else {
            println!("SKIPPED cgroup numbers: no unified hierarchy here");
            return;
        };
        let made = root.path.join(format!("api-sensor-test-{}", std::process::id()));
        if std::fs::create_dir(&made).is_err() {
            println!("SKIPPED cgroup numbers: no cgroup can be made here");
            return;
        }
        let id = std::fs::metadata(&made).unwrap().ino();
        let found = path(id);
        std::fs::remove_dir(&made).unwrap();
        let name = format!("/{}", made.file_name().unwrap().display());
        assert_eq!(found.as_deref(), Some(name.as_str()));
        assert_eq!(path(id), None, "a cgroup that is gone");
        assert_eq!(path(u64::MAX), None);
    }
}
