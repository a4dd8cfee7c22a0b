//! Private copies of libraries: probes on them trap nobody but the programs that were started with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::private::system;

/// Libraries in a directory of their own, which goes with this value.
#[derive(Debug)]
pub struct Copies {
    directory: TempDir,
}

impl Copies {
    /// Copies libraries of this machine, by the names that programs load them by.
    pub fn of(files: &[&str]) -> Result<Self> {
        let copies = Self::empty()?;
        for file in files {
            let source = system(file).with_context(|| format!("no {file} on this machine"))?;
            fs::copy(&source, copies.path(file))
                .with_context(|| format!("cannot copy {}", source.display()))?;
        }
        Ok(copies)
    }

    /// A directory to put files into.
    pub fn empty() -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-copies-")?;
        Ok(Self { directory })
    }

    /// A file in the directory.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Makes `command` load the copies.
    pub fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("LD_LIBRARY_PATH", self.directory.path())
    }

    /// Fails unless the process has mapped the copy of `file`.
    pub fn assert_mapped(&self, pid: u32, file: &str) -> Result<()> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let ours = self.path(file);
        let is_ours = |line: &str| {
            line.split_whitespace()
                .nth(5)
                .is_some_and(|path| Path::new(path) == ours)
        };
        ensure!(
            maps.lines().any(is_ours),
            "process {pid} has not mapped {}",
            ours.display()
        );
        Ok(())
    }
}
