//! Programs on rustls, each test with a copy of its own: probes trap every process that runs the file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::Certificate;
use crate::guard::Guard;
use crate::private::PrivateTls;
use crate::testbed;
use crate::wait::{self, DEADLINE, Deadline};

/// What stands between the program's bytes and its TLS stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// hyper.
    Hyper,
    /// Nothing: tokio's own reads and writes.
    Raw,
}

impl Layer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Hyper, Self::Raw];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Hyper => "",
            Self::Raw => "-raw",
        }
    }
}

/// A private copy of one of the programs.
#[derive(Debug)]
pub struct RustlsProgram {
    directory: TempDir,
    /// Where the loader is to look for libraries first.
    libraries: Option<PathBuf>,
}

/// A running server; a GET is answered with its process id, the client's port and the target, a POST with its body
/// reversed.
#[derive(Debug)]
pub struct RustlsServer {
    guard: Guard,
    port: u16,
}

/// Calls to make: so many connections at once, with so many requests one after the other on each.
#[derive(Clone, Copy, Debug)]
pub struct Calls<'a> {
    /// Connections.
    pub connections: usize,
    /// Requests on each.
    pub requests: usize,
    /// Body of each; GETs when empty.
    pub body: &'a [u8],
}

impl RustlsProgram {
    /// Copies `rustls-021`, `rustls-022`, `rustls-023` or `native-tls`.
    pub fn new(name: &str) -> Result<Self> {
        Self::copy(&testbed::rustls_peer(name)?)
    }

    /// Copies a program.
    pub fn copy(program: &Path) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-rustls-")?;
        std::fs::copy(program, directory.path().join("peer"))
            .with_context(|| format!("cannot copy {}", program.display()))?;
        Certificate::create(directory.path())?;
        Ok(Self {
            directory,
            libraries: None,
        })
    }

    /// Lets it run on a private copy of OpenSSL.
    #[must_use]
    pub fn on(self, tls: &PrivateTls) -> Self {
        Self {
            libraries: Some(tls.directory().to_owned()),
            ..self
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.path());
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// The copy.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("peer")
    }

    /// Starts a server and waits until it listens.
    pub fn serve(&self, layer: Layer) -> Result<RustlsServer> {
        let port = wait::free_port()?;
        let mut command = self.command();
        command
            .arg(format!("serve{}", layer.suffix()))
            .arg(port.to_string());
        command.arg(self.directory.path().join("certificate.pem"));
        command.arg(self.directory.path().join("key.pem"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        let guard = Guard::start(&mut command)?;
        wait::listening(port, Deadline::after(DEADLINE))?;
        Ok(RustlsServer { guard, port })
    }

    /// Command line of a client.
    pub fn call(&self, layer: Layer, port: u16, calls: &Calls<'_>) -> Result<Command> {
        let sent = self.directory.path().join("sent");
        std::fs::write(&sent, calls.body)?;
        let mut command = self.command();
        command
            .arg(format!("call{}", layer.suffix()))
            .arg(port.to_string());
        command
            .arg(calls.connections.to_string())
            .arg(calls.requests.to_string());
        command.arg(sent).arg(self.directory.path().join("answer"));
        Ok(command)
    }

    /// Body of the last answer that the client had.
    pub fn answer(&self) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.directory.path().join("answer"))?)
    }
}

impl RustlsServer {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}
