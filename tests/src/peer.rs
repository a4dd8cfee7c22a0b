//! A client and a server in C, one connection each, compiled against a TLS library that no program uses here.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::copies::Copies;
use crate::guard::{self, Guard};
use crate::programs::Program;
use crate::servers::{Certificate, fixture};
use crate::wait::Deadline;

/// How long a compiler may take on a busy machine.
const COMPILING: std::time::Duration = std::time::Duration::from_mins(1);

/// The compiled program, with a certificate to serve by.
#[derive(Debug)]
pub struct Peer {
    directory: TempDir,
    certificate: Certificate,
}

impl Peer {
    /// Compiles `peer.c` with these arguments of the compiler: a macro and libraries.
    pub fn compile(arguments: &[&str]) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-peer-")?;
        let certificate = Certificate::create(directory.path())?;
        compile(&directory.path().join("peer"), &fixture("peer.c"), arguments)?;
        Ok(Self {
            directory,
            certificate,
        })
    }

    /// The program.
    pub fn program(&self) -> PathBuf {
        self.directory.path().join("peer")
    }

    /// Starts a server that answers with `answer` once it has read `bytes` bytes.
    pub fn server(&self, copies: &Copies, bytes: usize, answer: &[u8]) -> Result<Server> {
        let path = self.directory.path().join("to-answer");
        std::fs::write(&path, answer)?;
        let mut command = Command::new(self.program());
        command
            .arg("server")
            .arg(&self.certificate.certificate)
            .arg(&self.certificate.key)
            .arg(bytes.to_string())
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut guard = Guard::start(copies.apply(&mut command))?;

        // It prints its port once it listens, or ends; either way there is something to read.
        let line = guard.first_line()?;
        let port = line.trim().parse().context("the server did not say its port")?;
        Ok(Server { guard, port })
    }

    /// A client that sends `request` to a port and keeps what comes back.
    pub fn client(&self, copies: &Copies, port: u16, request: &[u8]) -> Result<Command> {
        let path = self.directory.path().join("to-send");
        std::fs::write(&path, request)?;
        let mut command = Command::new(self.program());
        command
            .arg("client")
            .arg(port.to_string())
            .arg(path)
            .arg(self.directory.path().join("received"));
        copies.apply(&mut command);
        Ok(command)
    }

    /// What came back to the client.
    pub fn received(&self) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.directory.path().join("received"))?)
    }
}

/// Compiles C.
pub fn compile(to: &Path, source: &Path, arguments: &[&str]) -> Result<()> {
    let mut cc = Command::new(Program::Cc.find()?);
    cc.args(["-O1", "-o"]).arg(to).arg(source).args(arguments);
    guard::run(&mut cc, Deadline::after(COMPILING)).map(drop)
}

/// The server's process.
#[derive(Debug)]
pub struct Server {
    guard: Guard,
    port: u16,
}

impl Server {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }
}
