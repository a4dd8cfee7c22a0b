//! Node.js on a private copy of its executable, which holds its own OpenSSL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Certificate, Transport, fixture};
use crate::guard::Guard;
use crate::private::PrivateTls;
use crate::programs::Program;

/// A copy of the executable: probes on it trap nobody else.
#[derive(Debug)]
pub struct PrivateNode {
    directory: TempDir,
}

impl PrivateNode {
    /// Copies Node.js of this machine.
    pub fn new() -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-node-")?;
        let node = fs::canonicalize(Program::Node.find()?)?;
        fs::copy(&node, directory.path().join("node"))
            .with_context(|| format!("cannot copy {}", node.display()))?;
        Ok(Self { directory })
    }

    /// The copy.
    pub fn executable(&self) -> PathBuf {
        self.directory.path().join("node")
    }

    /// Command line of a script among the fixtures. A build that uses the system's OpenSSL gets the private one.
    pub fn command(&self, script: &str, tls: &PrivateTls) -> Command {
        self.command_with(&[], script, tls)
    }

    /// As [`PrivateNode::command`], with flags of Node.js.
    pub fn command_with(&self, flags: &[&str], script: &str, tls: &PrivateTls) -> Command {
        let mut command = Command::new(self.executable());
        command.args(flags).arg(fixture(script));
        tls.apply(&mut command);
        command
    }
}

/// A small API: every path answers with the process id, the client's port and the path.
#[derive(Debug)]
pub struct NodeApi {
    guard: Guard,
    ports: Vec<u16>,
    _directory: TempDir,
}

impl NodeApi {
    /// Starts one and waits until it says its port.
    pub fn start(node: &PrivateNode, tls: &PrivateTls, transport: Transport) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-node-api-")?;
        let mut command = node.command("node_api.js", tls);
        if transport == Transport::Tls {
            let certificate = Certificate::create(directory.path())?;
            command.arg(&certificate.certificate).arg(&certificate.key);
        }
        Self::listening(&mut command, directory)
    }

    /// Starts one over TLS that has `count` threads, each with an event loop and a port of its own.
    pub fn with_threads(node: &PrivateNode, tls: &PrivateTls, count: usize) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-node-api-")?;
        let certificate = Certificate::create(directory.path())?;
        let mut command = node.command("node_workers.js", tls);
        command.arg(&certificate.certificate).arg(&certificate.key);
        Self::listening(command.arg(count.to_string()), directory)
    }

    /// Starts a server that prints its ports once it listens, or ends; either way there is something to read.
    fn listening(command: &mut Command, directory: TempDir) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut guard = Guard::start(command)?;

        let line = guard.first_line()?;
        let ports: Result<Vec<u16>, _> = line.split_whitespace().map(str::parse).collect();
        Ok(Self {
            guard,
            ports: ports.context("the script did not say its ports")?,
            _directory: directory,
        })
    }

    /// The server process.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// The port it listens on, the first when there are several.
    pub fn port(&self) -> u16 {
        self.ports.first().copied().unwrap_or(0)
    }

    /// Every port.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }
}

/// The script of uvicorn, for [`PythonApi::start_script`](super::PythonApi::start_script).
pub fn uvicorn() -> Option<PathBuf> {
    crate::testbed::python()
        .join("uvicorn")
        .is_dir()
        .then(|| fixture("uvicorn_api.py"))
        .filter(|path: &PathBuf| Path::new(path).is_file())
}
