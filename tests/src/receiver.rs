//! A real OTLP receiver: `rotel` from the Python Package Index, which prints every record it takes.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// A running receiver. Dropping it ends its process.
#[derive(Debug)]
pub struct Receiver {
    child: Child,
    log: PathBuf,
    /// Keeps the log and the receiver's own files.
    _directory: tempfile::TempDir,
    /// Address of OTLP/gRPC.
    pub grpc: SocketAddr,
    /// Address of OTLP/HTTP.
    pub http: SocketAddr,
}

/// The receiver, pinned: the tests read what it prints.
const PACKAGE: &str = "rotel==0.0.1a15";
/// Longest that its download may take, in seconds.
const PATIENCE: &str = "300";

/// Installs the receiver below `cache` if it is not there yet, and gives the path of its program.
pub fn install(cache: &Path) -> anyhow::Result<PathBuf> {
    let home = cache.join("rotel");
    let python = home.join("bin/python");
    if !python.exists() {
        quietly(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    }
    let where_is = "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))";
    let find = || -> anyhow::Result<PathBuf> {
        Ok(PathBuf::from(
            quietly(Command::new(&python).args(["-c", where_is]))?.trim(),
        ))
    };
    find().or_else(|_not_installed| {
        let mut pip = Command::new("timeout");
        pip.arg(PATIENCE).arg(&python);
        quietly(pip.args(["-m", "pip", "install", "--quiet", PACKAGE]))?;
        find()
    })
}

fn quietly(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A port of loopback that was free a moment ago.
fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

impl Receiver {
    /// Starts `program` on free ports and waits until it listens.
    pub fn start(program: &Path) -> anyhow::Result<Self> {
        Self::start_at(program, free_port()?, free_port()?)
    }

    /// Starts `program` on free ports, to take as much as it can: it prints nothing of what it takes.
    pub fn start_quiet(program: &Path) -> anyhow::Result<Self> {
        Self::start_with(program, free_port()?, free_port()?, &[])
    }

    /// Starts `program` at these addresses, where another one was, and waits until it listens.
    pub fn start_at(program: &Path, grpc: SocketAddr, http: SocketAddr) -> anyhow::Result<Self> {
        let arguments = ["--debug-log-verbosity", "detailed"].into_iter();
        let signals = ["logs", "metrics", "traces"].into_iter();
        let arguments = arguments.chain(signals.flat_map(|signal| ["--debug-log", signal]));
        Self::start_with(program, grpc, http, &arguments.collect::<Vec<_>>())
    }

    fn start_with(
        program: &Path,
        grpc: SocketAddr,
        http: SocketAddr,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let log = directory.path().join("log");
        let output = File::create(&log)?;
        let child = Command::new(program)
            .args(["start", "--exporter", "blackhole"])
            .args(arguments)
            .args([
                "--otlp-grpc-endpoint",
                &grpc.to_string(),
                "--otlp-http-endpoint",
                &http.to_string(),
            ])
            .arg("--pid-file")
            .arg(directory.path().join("pid"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()?;
        let receiver = Self {
            child,
            log,
            _directory: directory,
            grpc,
            http,
        };
        let ready = |address| TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_ok();
        within(Duration::from_secs(20), || {
            (ready(grpc) && ready(http)).then_some(())
        })
        .with_context(|| format!("the receiver does not listen: {}", receiver.printed()))?;
        Ok(receiver)
    }

    /// Everything it printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until every text was printed. The error names those that were not.
    pub fn wait_for(&self, texts: &[String]) -> anyhow::Result<()> {
        let missing = || {
            let printed = self.printed();
            texts
                .iter()
                .filter(|text| !printed.contains(*text))
                .cloned()
                .collect::<Vec<_>>()
        };
        within(Duration::from_secs(20), || missing().is_empty().then_some(()))
            .with_context(|| format!("not received: {:?}\n{}", missing(), self.printed()))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ended = self.child.kill().is_err();
        let _reaped = self.child.wait().is_ok();
    }
}

/// Asks until there is an answer or the time is up.
#[expect(clippy::disallowed_methods, reason = "a deadline for another process")]
fn within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if start.elapsed() > limit {
            bail!("no answer within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
