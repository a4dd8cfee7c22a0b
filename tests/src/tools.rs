//! Test clients and servers of GnuTLS and NSS. A client's standard output, which is what it received, goes to a file:
//! nobody reads its pipes before it ends.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::copies::Copies;
use crate::guard::{self, Guard};
use crate::programs::Program;
use crate::servers::Certificate;
use crate::wait::{self, DEADLINE, Deadline};

/// A client that sends what it reads from its standard input, which stays open until this value goes: one whose
/// input ends says goodbye before it hears the answer.
#[derive(Debug)]
pub struct Fed {
    directory: TempDir,
    open: Option<Sender<()>>,
}

/// Runs the arguments after the first two with those as standard input and output.
const REDIRECTED: &str = "input=$1; output=$2; shift 2; exec \"$@\" <\"$input\" >\"$output\"";

impl Fed {
    /// Prepares the input.
    pub fn new(input: &[u8]) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-fed-")?;
        let pipe = directory.path().join("input");
        guard::run(Command::new("mkfifo").arg(&pipe), Deadline::after(DEADLINE))?;
        let (open, closed) = channel::<()>();
        let input = input.to_vec();
        std::thread::spawn(move || -> Result<()> {
            // Opens when the client does.
            let mut pipe = OpenOptions::new().write(true).open(pipe)?;
            pipe.write_all(&input)?;
            closed.recv().ok();
            Ok(())
        });
        Ok(Self {
            directory,
            open: Some(open),
        })
    }

    /// The command line of a program that is fed.
    pub fn command(&self, program: Program) -> Result<Command> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", REDIRECTED, "sh"])
            .arg(self.directory.path().join("input"))
            .arg(self.directory.path().join("output"))
            .arg(program.find()?);
        Ok(command)
    }

    /// `gnutls-cli` for a port of this machine.
    pub fn gnutls_cli(&self, port: u16, copies: &Copies) -> Result<Command> {
        let mut command = self.command(Program::GnutlsCli)?;
        command
            .arg("--no-ca-verification")
            .arg("--logfile")
            .arg(self.directory.path().join("log"))
            .args(["--port", &port.to_string(), "127.0.0.1"]);
        copies.apply(&mut command);
        Ok(command)
    }

    /// A file beside the input.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Ends the input.
    pub fn end(&mut self) {
        self.open.take();
    }

    /// What it received. Call after it ended.
    pub fn received(&self) -> Result<Vec<u8>> {
        Ok(fs::read(self.directory.path().join("output"))?)
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.end();
    }
}

/// A server's process.
#[derive(Debug)]
pub struct Serving {
    guard: Guard,
    port: u16,
    _directory: TempDir,
}

impl Serving {
    /// `gnutls-serv --http`, which answers with a page about the connection.
    pub fn gnutls(copies: &Copies, more: &[&str]) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-gnutls-serv-")?;
        let made = Certificate::create(directory.path())?;
        let mut command = Command::new(Program::GnutlsServ.find()?);
        command
            .args(["--http", "--quiet", "--x509certfile"])
            .arg(made.certificate);
        command.arg("--x509keyfile").arg(made.key).args(more);
        Self::start(command, "--port", copies, directory)
    }

    /// `selfserv`, which answers with the request.
    pub fn nss(copies: &Copies) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-selfserv-")?;
        let database = key_database(directory.path())?;
        let mut command = Command::new(Program::Selfserv.find()?);
        command.args([
            "-n",
            "server",
            "-e",
            "server",
            "-V",
            "tls1.2:tls1.3",
            "-d",
            &database,
        ]);
        Self::start(command, "-p", copies, directory)
    }

    /// `openssl s_server` that takes early data and prints what it receives, or what else the options say.
    pub fn openssl(copies: &Copies, options: &[&str]) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-s_server-")?;
        let made = Certificate::create(directory.path())?;
        let mut command = Command::new(Program::Openssl.find()?);
        command
            .args(["s_server", "-cert"])
            .arg(made.certificate)
            .arg("-key")
            .arg(made.key);
        command.args(options);
        Self::start(command, "-port", copies, directory)
    }

    fn start(mut command: Command, port_option: &str, copies: &Copies, directory: TempDir) -> Result<Self> {
        let port = wait::free_port()?;
        command
            .args([port_option, &port.to_string()])
            // Open and silent: `s_server` ends a connection when its input ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let guard = Guard::start(copies.apply(&mut command))?;
        wait::listening(port, Deadline::after(DEADLINE))?;
        Ok(Self {
            guard,
            port,
            _directory: directory,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// `tstclnt` with a request from a file.
#[derive(Debug)]
pub struct Tstclnt {
    directory: TempDir,
}

impl Tstclnt {
    /// Prepares a request.
    pub fn new(request: &[u8]) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-tstclnt-")?;
        fs::write(directory.path().join("request"), request)?;
        Ok(Self { directory })
    }

    /// Its command line for a port of this machine.
    pub fn command(&self, port: u16, copies: &Copies) -> Result<Command> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", REDIRECTED, "sh", "/dev/null"])
            .arg(self.directory.path().join("output"))
            .arg(Program::Tstclnt.find()?)
            .args(["-o", "-D", "-h", "127.0.0.1", "-p", &port.to_string(), "-A"])
            .arg(self.directory.path().join("request"));
        copies.apply(&mut command);
        Ok(command)
    }

    /// What it received. Call after it ended.
    pub fn received(&self) -> Result<Vec<u8>> {
        Ok(fs::read(self.directory.path().join("output"))?)
    }
}

/// NSS's database with a certificate `server`; gives the name of it.
fn key_database(directory: &Path) -> Result<String> {
    let made = Certificate::create(directory)?;
    let bundle: PathBuf = directory.join("server.p12");
    let mut openssl = Command::new(Program::Openssl.find()?);
    openssl.args(["pkcs12", "-export", "-name", "server", "-passout", "pass:", "-in"]);
    openssl
        .arg(made.certificate)
        .arg("-inkey")
        .arg(made.key)
        .arg("-out")
        .arg(&bundle);
    let database = format!("sql:{}", directory.to_str().context("a path of no text")?);
    let mut create = Command::new(Program::Certutil.find()?);
    create.args(["-N", "-d", &database, "--empty-password"]);
    let mut import = Command::new(Program::Pk12util.find()?);
    import.args(["-d", &database, "-W", "", "-i"]).arg(&bundle);
    for step in [&mut openssl, &mut create, &mut import] {
        guard::run(step, Deadline::after(DEADLINE))?;
    }
    Ok(database)
}
