//! The kernel's tracing file system: where it is mounted, and where tracepoint records keep their fields.

use std::fs;
use std::path::{Path, PathBuf};

use super::coverage::mount_of;
use super::tracepoint;

/// Where tracefs is usually mounted.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Why tracepoints cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TracefsError {
    /// It cannot be read, be it for want of rights or of a mount, and could not be mounted.
    #[error(
        "cannot read or mount tracefs, without which no call on a socket is seen; where it is missing: mount -t tracefs nodev /sys/kernel/tracing"
    )]
    NotMounted(#[source] std::io::Error),
    /// It is there, and its directory is root's alone.
    #[error("cannot enter tracefs at {place}")]
    Closed {
        /// Where it is.
        place: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is mounted where nobody looks for it, and could not be mounted at its usual place.
    #[error(
        "tracefs is mounted at {} only; mount it where programs look for it: mount --bind {} /sys/kernel/tracing",
        place.display(),
        place.display()
    )]
    Elsewhere {
        /// Where it is.
        place: PathBuf,
        /// Why it could not be mounted.
        #[source]
        source: std::io::Error,
    },
    /// A format file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A record lacks a field.
    #[error("tracepoint {event} has no field {field}")]
    NoField {
        /// Tracepoint.
        event: &'static str,
        /// Field.
        field: &'static str,
    },
}

/// Finds tracefs; mounts it at its usual place when it is not mounted and we may.
pub fn find_or_mount() -> Result<PathBuf, TracefsError> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if let Some(closed) = closed() {
        return Err(closed);
    }
    let target = PLACES.first().copied().unwrap_or_default();
    let mounted = rustix::mount::mount(
        "nodev",
        target,
        "tracefs",
        rustix::mount::MountFlags::NOSUID
            | rustix::mount::MountFlags::NODEV
            | rustix::mount::MountFlags::NOEXEC,
        None,
    );
    mounted.map_err(|errno| {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        refused(mount_of(&mounts, "tracefs").map(PathBuf::from), errno.into())
    })?;
    tracing::info!(path = target, "mounted tracefs");
    find().ok_or_else(|| TracefsError::NotMounted(std::io::ErrorKind::NotFound.into()))
}

/// Where it is mounted and may not be entered: mounting there once more would not help.
fn closed() -> Option<TracefsError> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mounted = mount_of(&mounts, "tracefs")?;
    let place = PLACES.into_iter().find(|place| mounted == *place)?;
    let source = fs::metadata(Path::new(place).join("events")).err()?;
    let denied = source.kind() == std::io::ErrorKind::PermissionDenied;
    denied.then_some(TracefsError::Closed { place, source })
}

/// A mount elsewhere is of no use: the library that attaches tracepoints looks at the usual places, too.
fn refused(elsewhere: Option<PathBuf>, source: std::io::Error) -> TracefsError {
    match elsewhere {
        Some(place) if !PLACES.iter().any(|usual| place == Path::new(usual)) => {
            TracefsError::Elsewhere { place, source }
        }
        _ => TracefsError::NotMounted(source),
    }
}

/// Where tracefs is mounted and readable.
pub fn find() -> Option<PathBuf> {
    PLACES
        .iter()
        .map(PathBuf::from)
        .find(|place| place.join("events/syscalls").is_dir())
}

/// Whether the format of a tracepoint can be read: found, or mounted when it was not.
pub fn is_readable() -> bool {
    find_or_mount().is_ok_and(|place| field_offset(&place, "syscalls/sys_exit_read", "ret").is_ok())
}

/// Whether a tracepoint exists on this kernel.
pub fn has_event(tracefs: &Path, category: &str, name: &str) -> bool {
    tracefs.join("events").join(category).join(name).is_dir()
}

/// Offset of a field in the record of a tracepoint, `category/name`.
pub fn field_offset(tracefs: &Path, event: &'static str, field: &'static str) -> Result<u32, TracefsError> {
    let path = tracefs.join("events").join(event).join("format");
    let format = fs::read_to_string(&path).map_err(|source| TracefsError::Read { path, source })?;
    tracepoint::offset(&format, field).ok_or(TracefsError::NoField { event, field })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_at_another_place_is_named() {
        let denied = || std::io::ErrorKind::PermissionDenied.into();
        let mounts = "proc /proc proc rw 0 0\nnodev /my\\040trace tracefs rw 0 0\n";
        let elsewhere = mount_of(mounts, "tracefs").map(PathBuf::from);
        let said = refused(elsewhere, denied()).to_string();
        assert!(
            said.contains("/my trace only") && said.contains("mount --bind"),
            "{said}"
        );
        for usual in [None, Some(PathBuf::from("/sys/kernel/tracing"))] {
            assert!(refused(usual, denied()).to_string().contains("mount -t tracefs"));
        }
    }
}
