//! The guest's file system: busybox, the test programs, what they observe, and every library those need.
//!
//! Takes paths of this machine. Gives a cpio archive, not compressed: the emulated processor would spend seconds on it.
//! Programs stand at the same paths as here, so that tests find them as they do here.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sensor_tests::programs::Program;

use crate::shell;

/// Programs that are observed or observe, where they are installed.
pub(super) const PROGRAMS: [Program; 5] = [
    Program::Curl,
    Program::Nginx,
    Program::Openssl,
    Program::Python,
    Program::Setpriv,
];

/// Libraries that programs load by name, below the machine's library directory.
const LOADED_BY_NAME: [&str; 3] = ["libssl.so.3", "libcrypto.so.3", "libnss_files.so.2"];

/// Files and directories that programs read.
const READ: [&str; 4] = [
    "/etc/ld.so.conf",
    "/etc/ssl/openssl.cnf",
    "/usr/lib/ssl/openssl.cnf",
    "/etc/nginx/mime.types",
];

/// Parts of Python's library that no observed script imports, by name.
const UNUSED_PYTHON: [&str; 9] = [
    "test",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "pydoc_data",
    "tkinter",
    "distutils",
    "turtledemo",
    "unittest",
];

/// A directory that becomes the guest's root.
pub(crate) struct Guest {
    root: PathBuf,
}

impl Guest {
    /// Fills an empty directory with what every guest has.
    pub(crate) fn create(root: &Path) -> Result<Self> {
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        let guest = Self {
            root: root.to_owned(),
        };
        for directory in [
            "usr/bin",
            "usr/sbin",
            "usr/lib",
            "usr/lib64",
            "proc",
            "sys",
            "dev",
            "tmp",
            "run",
            "var/log/nginx",
            "var/lib/nginx",
            "etc",
            "root",
            "home",
        ] {
            fs::create_dir_all(root.join(directory))?;
        }
        // As on this machine: one directory under two names, so that a library is there once.
        for directory in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{directory}"), root.join(directory))?;
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        for (file, content) in [
            (
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n",
            ),
            ("etc/group", "root:x:0:\nnogroup:x:65534:\nwww-data:x:33:\n"),
            ("etc/hosts", "127.0.0.1 localhost\n"),
        ] {
            fs::write(root.join(file), content)?;
        }
        guest.file(Path::new("/bin/busybox"), Path::new("/bin/busybox"))?;
        symlink("busybox", root.join("usr/bin/sh"))?;
        for program in PROGRAMS {
            guest.program(&program.find()?)?;
        }
        let libraries = PathBuf::from(format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH));
        for name in LOADED_BY_NAME {
            guest.program(&libraries.join(name))?;
        }
        for path in READ.map(Path::new) {
            if path.exists() {
                guest.file(path, path)?;
            }
        }
        guest.tree(Path::new("/etc/ld.so.conf.d"), &[])?;
        guest.python()?;
        Ok(guest)
    }

    /// Python's library without what no script here uses.
    fn python(&self) -> Result<()> {
        let version = Command::new(Program::Python.find()?)
            .args(["-c", "import sys; print('python%d.%d' % sys.version_info[:2])"])
            .output()?;
        let name = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        let library = Path::new("/usr/lib").join(name);
        self.tree(&library, &UNUSED_PYTHON)?;
        for entry in fs::read_dir(library.join("lib-dynload"))? {
            self.libraries_of(&entry?.path())?;
        }
        Ok(())
    }

    /// Copies a directory and what is below it, except entries of these names.
    pub(crate) fn tree(&self, from: &Path, without: &[&str]) -> Result<()> {
        for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            if without.iter().any(|other| name.as_os_str() == *other) {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                self.tree(&path, without)?;
            } else if path.is_file() {
                self.file(&path, &path)?;
            }
        }
        Ok(())
    }

    /// Copies a program or library to where it is here, and every library it needs.
    pub(crate) fn program(&self, path: &Path) -> Result<()> {
        self.file(path, path)?;
        self.libraries_of(path)
    }

    fn libraries_of(&self, path: &Path) -> Result<()> {
        let output = Command::new("ldd").arg(path).stdin(Stdio::null()).output()?;
        for library in needed(&String::from_utf8_lossy(&output.stdout)) {
            self.file(&library, &library)?;
        }
        Ok(())
    }

    /// Copies a test program without its debugging information, which is most of it.
    pub(crate) fn stripped(&self, from: &Path, to: &Path) -> Result<()> {
        let target = self.place(to)?;
        shell::run(
            Command::new("strip")
                .args(["--strip-debug", "-o"])
                .arg(&target)
                .arg(from),
        )?;
        self.libraries_of(from)
    }

    /// Writes a file.
    pub(crate) fn text(&self, to: &Path, text: &str) -> Result<()> {
        fs::write(self.place(to)?, text)?;
        Ok(())
    }

    /// Copies a file.
    pub(crate) fn file(&self, from: &Path, to: &Path) -> Result<()> {
        let target = self.place(to)?;
        if !target.exists() {
            fs::copy(from, &target).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        Ok(())
    }

    /// Writes a script.
    pub(crate) fn script(&self, to: &Path, text: &str) -> Result<()> {
        self.text(to, text)?;
        let target = self.place(to)?;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    fn place(&self, path: &Path) -> Result<PathBuf> {
        let target = self.root.join(path.strip_prefix("/").unwrap_or(path));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(target)
    }

    /// Packs everything into an archive that the kernel unpacks as its first file system.
    pub(crate) fn pack(&self, archive: &Path) -> Result<()> {
        let mut names = BTreeSet::new();
        collect(&self.root, Path::new(""), &mut names)?;
        let mut list = String::new();
        for name in &names {
            list.push_str(&name.to_string_lossy());
            list.push('\n');
        }
        let listed = archive.with_extension("list");
        fs::write(&listed, list)?;
        let status = Command::new("cpio")
            .args(["--create", "--format=newc", "--quiet", "--owner=0:0"])
            .current_dir(&self.root)
            .stdin(fs::File::open(&listed)?)
            .stdout(fs::File::create(archive)?)
            .status()
            .context("cannot start cpio")?;
        if !status.success() {
            bail!("cpio failed ({status})");
        }
        Ok(())
    }
}

/// Every path below a directory, directories before what is in them.
fn collect(root: &Path, below: &Path, names: &mut BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(root, &name, names)?;
        }
        names.insert(name);
    }
    Ok(())
}

/// Paths in the output of ldd: `libc.so.6 => /lib/... (0x...)` and `/lib64/ld-linux-x86-64.so.2 (0x...)`.
fn needed(ldd: &str) -> Vec<PathBuf> {
    ldd.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tlibgone.so => not found\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(needed(ldd), expected.map(PathBuf::from));
    }
}
