//! A private copy of OpenSSL: probes on it trap nobody but the programs that were started with it.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

const FILES: [&str; 2] = ["libssl.so.3", "libcrypto.so.3"];

/// `libssl` and `libcrypto` copied into a directory of their own, which goes with this value.
#[derive(Debug)]
pub struct PrivateTls {
    directory: TempDir,
}

impl PrivateTls {
    /// Copies the libraries of this machine.
    pub fn new() -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-tls-")?;
        for file in FILES {
            let source = system(file).with_context(|| format!("no {file} on this machine"))?;
            fs::copy(&source, directory.path().join(file))
                .with_context(|| format!("cannot copy {}", source.display()))?;
        }
        Ok(Self { directory })
    }

    /// The copy of `libssl`.
    pub fn libssl(&self) -> PathBuf {
        self.directory.path().join("libssl.so.3")
    }

    /// The directory, for `LD_LIBRARY_PATH`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Makes `command` load the copy.
    pub fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("LD_LIBRARY_PATH", self.directory.path())
    }

    /// Whether the process has mapped the copy.
    pub fn is_mapped_by(&self, pid: u32) -> Result<bool> {
        Ok(!self.mappings(pid)?.is_empty())
    }

    /// Fails unless the copy, and no other `libssl`, is what the process uses.
    pub fn assert_mapped(&self, pid: u32) -> Result<()> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let ours = self.libssl().to_string_lossy().into_owned();
        let all: Vec<_> = maps
            .lines()
            .filter_map(|line| line.split_whitespace().nth(5))
            .collect();
        let foreign = all
            .iter()
            .find(|path| path.contains("libssl.so") && **path != ours);
        ensure!(
            foreign.is_none(),
            "process {pid} uses another library: {foreign:?}"
        );
        ensure!(
            all.contains(&ours.as_str()),
            "process {pid} has not mapped the private libssl"
        );
        Ok(())
    }

    /// Bytes in which the process's mapped code of `libssl` differs from the file: one per probe that is in place.
    /// The kernel writes a breakpoint into the process's own page, so what is left behind can be seen.
    pub fn probes_in(&self, pid: u32) -> Result<usize> {
        let file = fs::read(self.libssl())?;
        let memory = fs::File::open(format!("/proc/{pid}/mem"))?;
        let mut different = 0;
        for (start, end, offset) in self.mappings(pid)? {
            let mut mapped = vec![0; usize::try_from(end - start)?];
            memory.read_exact_at(&mut mapped, start)?;
            let from_file = file.get(usize::try_from(offset)?..).unwrap_or_default();
            different += mapped
                .iter()
                .zip(from_file)
                .filter(|(one, other)| one != other)
                .count();
        }
        Ok(different)
    }

    /// Executable mappings of the copy: start, end, offset in the file.
    fn mappings(&self, pid: u32) -> Result<Vec<(u64, u64, u64)>> {
        let path = format!("/proc/{pid}/maps");
        let maps = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let libssl = self.libssl();
        let ours = |line: &&str| {
            line.split_whitespace()
                .nth(5)
                .is_some_and(|path| Path::new(path) == libssl)
        };
        Ok(maps.lines().filter(ours).filter_map(executable).collect())
    }
}

/// `start-end perms offset ...`, addresses in hexadecimal (proc(5)).
fn executable(line: &str) -> Option<(u64, u64, u64)> {
    let mut columns = line.split_whitespace();
    let (start, end) = columns.next()?.split_once('-')?;
    let permissions = columns.next()?;
    let offset = columns.next()?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    permissions
        .contains('x')
        .then_some((number(start)?, number(end)?, number(offset)?))
}

/// Where the loader finds a library: Debian's directories, then those of other distributions.
pub(crate) fn system(file: &str) -> Option<PathBuf> {
    let arch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    [arch.as_str(), "/usr/lib64", "/usr/lib"]
        .iter()
        .map(|directory| Path::new(directory).join(file))
        .find(|path| path.is_file())
}
