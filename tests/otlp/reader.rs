//! A second receiver, of which no code is the sensor's: grpcio and opentelemetry-proto. It keeps each record before it
//! answers, so that being killed costs nothing that it said it took.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use sensor_tests::guard::Guard;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Certificate, fixture};
use sensor_tests::testbed;
use serde_json::Value as Json;
use tempfile::TempDir;

/// A running receiver, or one that was killed.
#[derive(Debug)]
pub(crate) struct Reader {
    directory: TempDir,
    certificate: Option<Certificate>,
    guard: Option<Guard>,
    pub(crate) port: u16,
}

impl Reader {
    /// Starts it, with mTLS if it is asked for: one certificate is the server's, the client's and the authority.
    pub(crate) fn start(tls: bool) -> Result<Self> {
        if !testbed::python().join("opentelemetry/proto").is_dir() {
            bail!("no opentelemetry-proto from PyPI; cargo xtask test installs it");
        }
        let directory = tempfile::tempdir()?;
        let certificate = tls.then(|| Certificate::create(directory.path())).transpose()?;
        let mut reader = Self {
            directory,
            certificate,
            guard: None,
            port: 0,
        };
        reader.again()?;
        Ok(reader)
    }

    /// Starts it again at the port that it had.
    pub(crate) fn again(&mut self) -> Result<()> {
        let mut command = Command::new(Program::Python.find()?);
        command
            .env("PYTHONPATH", testbed::python())
            .arg(fixture("otlp_reader.py"))
            .arg(self.port.to_string())
            .arg(self.file())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(Certificate { certificate, key }) = &self.certificate {
            command.args([certificate, key, certificate]);
        }
        let mut guard = Guard::start(&mut command)?;
        self.port = guard
            .first_line()?
            .trim()
            .parse()
            .context("it did not say its port")?;
        self.guard = Some(guard);
        Ok(())
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) -> Result<()> {
        match self.guard.take() {
            Some(mut guard) => guard.kill(),
            None => bail!("it does not run"),
        }
    }

    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("records")
    }

    /// What it kept of a signal.
    pub(crate) fn records(&self, signal: &str) -> Result<Vec<Json>> {
        let text = read(&self.file())?;
        // A line that a kill cut short was not answered.
        let whole = text
            .rfind('\n')
            .map_or("", |end| text.get(..end).unwrap_or_default());
        let records = whole.lines().map(serde_json::from_str::<Json>);
        let records: Vec<Json> = records.collect::<Result<_, _>>()?;
        Ok(records
            .into_iter()
            .filter(|record| record["signal"] == signal)
            .collect())
    }
}

fn read(path: &Path) -> Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => Ok(read?),
    }
}
