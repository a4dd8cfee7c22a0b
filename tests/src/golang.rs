//! Go programs of several releases, built here: a small API over TLS and its client.
//!
//! Takes a release of Go and whether to strip. Gives a program below `target/testbed`, private by its place.
//! Never downloads: what the build needs is the release's own library.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::guard::{self, Guard};
use crate::programs::{Absent, Program};
use crate::servers::Certificate;
use crate::testbed;
use crate::wait::Deadline;

/// How long a build may take when nothing is cached and the machine is busy.
const BUILD: Duration = Duration::from_mins(10);

/// A release of Go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    /// Debian 12's, 1.19.
    Debian,
    /// Of Debian's backports, 1.23.
    Middle,
    /// The newest, 1.27.
    Newest,
}

/// Whether a program keeps its symbol table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Symbols {
    /// It does.
    Kept,
    /// `-ldflags "-s -w"`.
    Stripped,
    /// Stripped, position-independent, and linked by the system's linker with C code in it.
    StrippedExternalPie,
}

impl Release {
    /// The `go` command, and the root it belongs to where it cannot tell by itself.
    fn command(self) -> Result<(PathBuf, Option<PathBuf>)> {
        let (program, root) = match self {
            Self::Debian => return Ok((Program::Go.find()?, None)),
            Self::Middle => {
                let root = testbed::middle_go().join("usr/lib/go-1.23");
                (root.join("bin/go"), root)
            }
            Self::Newest => {
                let root = testbed::newest_go().join("go");
                (root.join("bin/go"), root)
            }
        };
        if !program.is_file() {
            // As a program of Debian that is not installed: a reason to skip.
            let absent = Err(Absent(Program::Go));
            return absent.context(format!(
                "Go {self:?} is not in target/testbed; cargo xtask test installs it"
            ));
        }
        Ok((program, Some(root)))
    }

    /// Whether it is here.
    pub fn is_here(self) -> bool {
        self.command().is_ok()
    }

    /// What the version of its programs begins with.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Debian => "go1.19",
            Self::Middle => "go1.23",
            Self::Newest => "go1.27",
        }
    }

    /// Builds the program among the fixtures; the error is a reason to skip or a failed build.
    pub fn build(self, symbols: Symbols) -> Result<PathBuf> {
        let (program, root) = self.command()?;
        let testbed = testbed::directory();
        std::fs::create_dir_all(testbed.join("go"))?;
        let testbed = testbed.canonicalize()?;
        let binary = testbed.join(format!("go/{}-{symbols:?}", self.version()));
        let mut go = Command::new(program);
        go.args(["build", "-o"]).arg(&binary);
        match symbols {
            Symbols::Kept => &mut go,
            Symbols::Stripped => go.args(["-ldflags", "-s -w"]),
            Symbols::StrippedExternalPie => {
                go.args(["-buildmode=pie", "-ldflags", "-s -w -linkmode=external"])
            }
        };
        go.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/go/api.go"));
        if let Some(root) = root {
            go.env("GOROOT", root.canonicalize()?);
        }
        go.env("GOFLAGS", "-mod=mod")
            .env("GOPROXY", "off")
            .env("GOTOOLCHAIN", "local");
        go.env("GOCACHE", testbed.join("go/cache"))
            .env("GOPATH", testbed.join("go/path"));
        guard::run(&mut go, Deadline::after(BUILD))?;
        Ok(binary)
    }
}

/// The program as a server.
#[derive(Debug)]
pub struct GoApi {
    guard: Guard,
    port: u16,
    doubled: u16,
    _directory: TempDir,
}

impl GoApi {
    /// Starts one and waits until it says its ports.
    pub fn start(binary: &Path, environment: &[(&str, &str)]) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-go-")?;
        let certificate = Certificate::create(directory.path())?;
        let mut command = Command::new(binary);
        command
            .arg("server")
            .arg(&certificate.certificate)
            .arg(&certificate.key);
        command.envs(environment.iter().copied());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut guard = Guard::start(&mut command)?;

        let line = guard.first_line()?;
        let mut ports = line.split_whitespace().map(str::parse);
        let mut port = || -> Result<u16> { Ok(ports.next().context("the server did not say its ports")??) };
        Ok(Self {
            port: port()?,
            doubled: port()?,
            guard,
            _directory: directory,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Port of TLS.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Port of TLS inside TLS.
    pub const fn doubled_port(&self) -> u16 {
        self.doubled
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.guard.ended()?.is_some())
    }
}
