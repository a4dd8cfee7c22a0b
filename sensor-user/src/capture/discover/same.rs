//! Whether two open files are one file underneath.
//!
//! Takes two files; gives a [`Verdict`]. Stacked file systems give one file several devices and inode numbers: two
//! containers of one image see the library of their common layer through two overlays. A probe belongs to the inode
//! below, so probing both names would trap every call twice. Neither `stat` nor `/proc/PID/maps` tells (since
//! Linux 6.8 both show the overlay's inode), and directories of layers are named in another mount namespace. What does
//! tell is the page cache, which belongs to the inode below: the first page of both, mapped at once, is one page frame.
//! Never writes. Bounded by two pages.
#![expect(unsafe_code, reason = "a mapping and its page frame have no safe interface")]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// What the comparison found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// One inode below.
    Same,
    /// Two.
    Different,
    /// Page frames are shown to `CAP_SYS_ADMIN` only (`fs/proc/task_mmu.c`, `pagemap_open`).
    Unknown,
}

/// `Documentation/admin-guide/mm/pagemap.rst`: bit 63 is "present", bits 0 to 54 are the page frame number.
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// Compares.
pub fn same(one: &File, other: &File) -> Verdict {
    let (Some(one), Some(other)) = (FirstPage::of(one), FirstPage::of(other)) else {
        return Verdict::Unknown;
    };
    // Both stay mapped while the frames are read, so neither frame can go to somebody else in between but by reclaim:
    // then the entry is not present any more, and nothing is said.
    match (one.frame(), other.frame()) {
        (Some(one), Some(other)) if one == other => Verdict::Same,
        (Some(_), Some(_)) => Verdict::Different,
        _ => Verdict::Unknown,
    }
}

/// The first page of a file, mapped for reading.
struct FirstPage {
    address: *mut libc::c_void,
    length: usize,
}

impl FirstPage {
    fn of(file: &File) -> Option<Self> {
        let length = rustix::param::page_size();
        // SAFETY: a fresh mapping at an address of the kernel's choice; the descriptor is open.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        (address != libc::MAP_FAILED).then_some(Self { address, length })
    }

    fn frame(&self) -> Option<u64> {
        // Brings the page in. A file that was cut to nothing would end the process at a plain access, so the kernel
        // is asked to do it and says EFAULT instead (MADV_POPULATE_READ, Linux 5.14; before, readahead has it mostly).
        // SAFETY: the range is the mapping that this value owns.
        unsafe {
            libc::madvise(self.address, self.length, libc::MADV_POPULATE_READ);
        }
        let pagemap = File::open("/proc/self/pagemap").ok()?;
        let mut entry = [0; 8];
        let page = self.address as u64 / self.length as u64;
        pagemap.read_exact_at(&mut entry, page * 8).ok()?;
        let entry = u64::from_le_bytes(entry);
        (entry & PRESENT != 0 && entry & FRAME != 0).then_some(entry & FRAME)
    }
}

impl Drop for FirstPage {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own and nothing refers to it.
        unsafe {
            libc::munmap(self.address, self.length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_link_is_the_same_file_and_a_copy_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let name = |name| directory.path().join(name);
        File::create(name("one")).unwrap().write_all(&[7; 8192]).unwrap();
        std::fs::hard_link(name("one"), name("link")).unwrap();
        std::fs::copy(name("one"), name("copy")).unwrap();
        let open = |path| File::open(name(path)).unwrap();
        let linked = same(&open("one"), &open("link"));
        let copied = same(&open("one"), &open("copy"));
        // Without CAP_SYS_ADMIN nothing is said.
        assert!(matches!(linked, Verdict::Same | Verdict::Unknown), "{linked:?}");
        assert!(
            matches!(copied, Verdict::Different | Verdict::Unknown),
            "{copied:?}"
        );
        assert_eq!(linked == Verdict::Unknown, copied == Verdict::Unknown);
    }

    #[test]
    fn an_empty_file_harms_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let empty = File::create_new(directory.path().join("empty")).unwrap();
        assert_eq!(same(&empty, &empty), Verdict::Unknown);
    }
}
