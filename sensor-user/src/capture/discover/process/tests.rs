use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};

use super::*;

struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let mut command = Command::new("sleep");
        Self(command.arg("60").stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A proc file system of the test's own making.
fn proc() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn add(proc: &Path, pid: u32, parent: u32, comm: &str, cgroup: &str) {
    let directory = proc.join(pid.to_string());
    fs::create_dir_all(directory.join("fd")).unwrap();
    let stat = format!(
        "{pid} ({comm}) S {parent} 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {} 9 9",
        700 + pid
    );
    fs::write(directory.join("stat"), stat).unwrap();
    fs::write(directory.join("comm"), format!("{comm}\n")).unwrap();
    fs::write(directory.join("cgroup"), format!("4:cpu:/old\n0::{cgroup}\n")).unwrap();
    symlink(format!("/usr/bin/{comm}"), directory.join("exe")).unwrap();
}

fn pids(proc: &Path, filter: &Filter) -> Vec<u32> {
    scan(proc, filter)
        .unwrap()
        .iter()
        .map(|process| process.pid)
        .collect()
}

#[test]
fn conditions_are_alternatives_and_a_pid_brings_its_descendants() {
    let proc = proc();
    for (pid, parent, comm, cgroup) in [
        (1, 0, "init", "/"),
        (20, 1, "nginx", "/web/nginx"),
        // A child with a smaller id than its parent, as after the ids have wrapped.
        (7, 20, "worker) x", "/web/nginx"),
        (30, 7, "cgi", "/webby"),
        (40, 1, "curl", "/user"),
    ] {
        add(proc.path(), pid, parent, comm, cgroup);
    }
    fs::create_dir(proc.path().join("sys")).unwrap();
    let of = |filter: Filter| pids(proc.path(), &filter);
    assert_eq!(of(Filter::default()), [1, 7, 20, 30, 40]);
    assert_eq!(
        of(Filter {
            pids: vec![20],
            ..Filter::default()
        }),
        [7, 20, 30]
    );
    assert_eq!(
        of(Filter {
            comms: vec!["curl".into()],
            pids: vec![7],
            ..Filter::default()
        }),
        [7, 30, 40]
    );
    assert_eq!(
        of(Filter {
            exes: vec!["/usr/bin/nginx".into()],
            ..Filter::default()
        }),
        [20]
    );
    assert_eq!(
        of(Filter {
            cgroups: vec!["/web".into()],
            ..Filter::default()
        }),
        [7, 20]
    );
    assert_eq!(
        of(Filter {
            pids: vec![99],
            ..Filter::default()
        }),
        [] as [u32; 0]
    );
    let odd = read(proc.path(), 7).unwrap();
    assert_eq!(
        (odd.parent, odd.start_ticks, odd.comm.to_string().as_str()),
        (20, 707, "worker)?x")
    );
}

#[test]
fn executable_mappings_of_files_are_listed_once() {
    let proc = proc();
    add(proc.path(), 5, 1, "x", "/");
    let maps = "\
55d0-55d1 r--p 00000000 fe:01 10 /usr/bin/x
55d1-55d2 r-xp 00001000 fe:01 10                         /usr/bin/x
55d2-55d3 r-xp 00002000 fe:01 10                         /usr/bin/x
7f00-7f01 r-xp 00000000 00:2a 77 /a dir/lib\\012ssl.so (deleted)
7f02-7f03 rwxp 00000000 00:00 0
7f04-7f05 r-xp 00000000 00:00 0 [vdso]
7f06-7f07 r-xp 00000000 00:01 9 anon_inode:x
broken line";
    fs::write(proc.path().join("5/maps"), maps).unwrap();
    let files = mapped_files(proc.path(), 5).unwrap();
    let seen: Vec<_> = files
        .iter()
        .map(|file| (file.device, file.inode, printable(&file.path), file.deleted))
        .collect();
    let expected = [
        ((0xfe, 1), 10, "/usr/bin/x".to_owned(), false),
        ((0, 0x2a), 77, "/a dir/lib?ssl.so".to_owned(), true),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn another_file_under_the_mapped_name_is_not_opened() {
    let proc = proc();
    add(proc.path(), 5, 1, "x", "/");
    let root = proc.path().join("5/root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("lib.so"), "new").unwrap();
    let inode = fs::metadata(root.join("lib.so")).unwrap().ino();
    let mapped = |inode, major| MappedFile {
        device: (major, 1),
        inode,
        path: "/lib.so".into(),
        deleted: false,
        range: "1000-2000".to_owned(),
    };
    assert!(mapped(inode, 0xfe).open(proc.path(), 5).is_ok());
    assert!(mapped(inode + 1, 0xfe).open(proc.path(), 5).is_err());
    assert!(mapped(inode + 1, 0).open(proc.path(), 5).is_ok());
}

#[test]
fn only_regular_files_are_opened() {
    let directory = proc();
    assert!(open_regular(directory.path()).is_err());
    assert!(open_regular(Path::new("/dev/null")).is_err());
    assert!(open_regular(&directory.path().join("none")).is_err());
}

#[test]
fn sockets_are_told_from_other_descriptors() {
    let proc = proc();
    add(proc.path(), 5, 1, "x", "/");
    for (fd, link) in [
        (0, "/dev/null"),
        (1, "socket:[41]"),
        (2, "socket:[41]"),
        (3, "pipe:[42]"),
        (4, "socket:[43]"),
        (5, "anon_inode:[eventpoll]"),
    ] {
        symlink(link, proc.path().join(format!("5/fd/{fd}"))).unwrap();
    }
    let found = descriptors(proc.path(), 5).unwrap();
    assert_eq!((found.sockets, found.io_uring), (HashSet::from([41, 43]), false));
    symlink("anon_inode:[io_uring]", proc.path().join("5/fd/6")).unwrap();
    assert!(descriptors(proc.path(), 5).unwrap().io_uring);
}

#[test]
fn a_running_process_is_read_and_its_files_open() {
    let sleeper = Sleeper::start();
    let (proc, pid) = (Path::new("/proc"), sleeper.0.id());
    let filter = Filter {
        pids: vec![std::process::id()],
        ..Filter::default()
    };
    let found = scan(proc, &filter)
        .unwrap()
        .into_iter()
        .find(|process| process.pid == pid)
        .unwrap();
    assert_eq!(found.parent, std::process::id());
    assert!(found.start_ticks > 0);
    // Until its exec the child is still a copy of this test.
    let files = mapped_files(proc, pid).unwrap();
    assert!(!files.is_empty());
    assert!(files.iter().all(|file| file.open(proc, pid).is_ok()), "{files:?}");
    assert_eq!(
        descriptors(proc, u32::MAX).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
}
