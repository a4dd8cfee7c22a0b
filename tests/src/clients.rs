//! Clients: curl, Python's `requests`, and scripts that misbehave.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::private::PrivateTls;
use crate::programs::{self, Program};
use crate::servers::fixture;
use crate::testbed;

/// One call: a body to send, and the place where the answer's body goes.
#[derive(Debug)]
pub struct Call {
    directory: TempDir,
    method: String,
    url: String,
}

impl Call {
    /// Prepares a call.
    pub fn new(method: &str, url: &str, body: &[u8]) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-call-")?;
        std::fs::write(directory.path().join("sent"), body)?;
        Ok(Self {
            directory,
            method: method.to_owned(),
            url: url.to_owned(),
        })
    }

    /// The file with the body to send.
    pub fn sent(&self) -> PathBuf {
        self.directory.path().join("sent")
    }

    /// The file for the answer's body.
    pub fn answer(&self) -> PathBuf {
        self.directory.path().join("answer")
    }

    /// The body of the answer. Call after the client ended.
    pub fn received(&self) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.answer())?)
    }

    /// curl's command line for it.
    pub fn curl(&self, tls: &PrivateTls) -> Result<Command> {
        let mut curl = Command::new(Program::Curl.find()?);
        // No Expect: it would wait a second for a server that does not answer it.
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--insecure",
            "--http1.1",
            "--max-time",
            "20",
        ]);
        curl.args([
            "--noproxy",
            "*",
            "-H",
            "Expect:",
            "-H",
            "Content-Type: text/plain",
            "-X",
            &self.method,
        ]);
        if self.method != "GET" {
            curl.arg("--data-binary").arg(at(&self.sent()));
        }
        curl.arg("--output").arg(self.answer()).arg(&self.url);
        tls.apply(&mut curl);
        Ok(curl)
    }

    /// The same with Python's `requests`.
    pub fn requests(&self, tls: &PrivateTls) -> Result<Command> {
        if !programs::has_requests() {
            bail!(
                "no Python module requests (Debian package {})",
                programs::REQUESTS_PACKAGE
            );
        }
        let mut python = python("requests_client.py", tls)?;
        python
            .arg(&self.method)
            .arg(&self.url)
            .arg(self.sent())
            .arg(self.answer());
        Ok(python)
    }

    /// The same with a script of those conventions, whose modules are below `target/testbed`.
    pub fn script(&self, script: &str, tls: &PrivateTls) -> Result<Command> {
        let mut python = python(script, tls)?;
        python.env("PYTHONPATH", testbed::python());
        python
            .arg(&self.method)
            .arg(&self.url)
            .arg(self.sent())
            .arg(self.answer());
        Ok(python)
    }

    /// A client that meets `SSL_ERROR_WANT_WRITE`, for a URL on `port` with `path`.
    pub fn want_write(&self, port: u16, path: &str, tls: &PrivateTls) -> Result<Command> {
        let mut python = python("want_write.py", tls)?;
        python.arg(port.to_string()).arg(path).arg(self.sent());
        Ok(python)
    }
}

/// Command line of a script among the fixtures, on the private TLS library.
pub fn python(script: &str, tls: &PrivateTls) -> Result<Command> {
    let mut python = Command::new(Program::Python.find()?);
    python.arg(fixture(script));
    tls.apply(&mut python);
    // A proxy of the environment would take the traffic off loopback.
    for name in [
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ] {
        python.env_remove(name);
    }
    python.env("NO_PROXY", "*");
    Ok(python)
}

/// curl's way to say "from this file".
fn at(path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("@");
    argument.push::<&OsStr>(path.as_ref());
    argument
}
