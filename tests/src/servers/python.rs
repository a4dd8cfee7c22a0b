//! A small API in Python, with the `ssl` module or plain.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Certificate, Transport};
use crate::guard::Guard;
use crate::private::PrivateTls;
use crate::programs::Program;

/// The script: one thread per connection, keep-alive.
pub(super) const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/programs/api.py");

/// `POST /echo?seed=S&length=N` answers with that body and the SHA-256 of what it received in `X-Received`;
/// `POST /early` answers before it reads; `POST /slow` reads in small steps from a small buffer.
#[derive(Debug)]
pub struct PythonApi {
    guard: Guard,
    port: u16,
    directory: TempDir,
}

impl PythonApi {
    /// Starts one and waits until it says its port.
    pub fn start(tls: &PrivateTls, transport: Transport) -> Result<Self> {
        Self::start_script(tls, transport, Path::new(SCRIPT))
    }

    /// As [`PythonApi::start`] with another script of the same conventions.
    pub fn start_script(tls: &PrivateTls, transport: Transport, script: &Path) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-python-")?;
        let mut command = Command::new(Program::Python.find()?);
        command.arg(script);
        if transport == Transport::Tls {
            let certificate = Certificate::create(directory.path())?;
            command.arg(&certificate.certificate).arg(&certificate.key);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut guard = Guard::start(tls.apply(&mut command))?;

        // The script prints its port once it listens, or ends; either way there is something to read.
        let line = guard.first_line()?;
        let port = line.trim().parse().context("the script did not say its port")?;
        Ok(Self {
            guard,
            port,
            directory,
        })
    }

    /// The server process.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Its certificate, where it speaks TLS.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// A script of this directory.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/programs")
        .join(name)
}
