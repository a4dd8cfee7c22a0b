//! What servers and clients run on: a private OpenSSL, a private Node.js, packages of the testbed.

use std::path::Path;
use std::process::{Command, Stdio};

use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Certificate, PrivateNode, fixture};
use sensor_tests::{Guard, PrivateTls, clients, testbed, wait};
use tempfile::TempDir;

use crate::watch::{Watch, able, options, soon};

/// A place for one test's programs.
pub(crate) struct Stage {
    what: String,
    pub(crate) tls: PrivateTls,
    node: Option<PrivateNode>,
    directory: TempDir,
}

/// A server that listens.
pub(crate) struct Server {
    guard: Guard,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }
}

/// A client that ran to its end.
pub(crate) struct Ran {
    pub(crate) pid: u32,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Stage {
    /// Skips, aloud, when a program or a package is missing; packages are named `python/NAME` or `node/NAME`.
    pub(crate) fn new(what: &str, programs: &[Program], packages: &[&str]) -> Option<Self> {
        let needed: Vec<_> = programs.iter().copied().chain([Program::Openssl]).collect();
        if !able(what, &needed) {
            return None;
        }
        let place = |package: &str| match package.split_once('/') {
            Some(("node", name)) => testbed::node_modules().join(name),
            Some((_, name)) => testbed::python_peers().join(name),
            None => testbed::python().join(package),
        };
        if let Some(absent) = packages.iter().find(|package| !place(package).is_dir()) {
            programs::skipped(what, &format_args!("no {absent}; cargo xtask test installs it"));
            return None;
        }
        let node = programs.contains(&Program::Node);
        Some(Self {
            what: what.to_owned(),
            tls: PrivateTls::new().unwrap(),
            node: node.then(|| PrivateNode::new().unwrap()),
            directory: TempDir::with_prefix("api-sensor-peers-").unwrap(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A self-signed certificate for this machine.
    pub(crate) fn certificate(&self) -> Certificate {
        Certificate::create(self.path()).unwrap()
    }

    /// A file with that content.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> std::path::PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A script of the peers, in Python.
    pub(crate) fn python(&self, script: &str) -> Command {
        let mut command = clients::python(&format!("peers/{script}"), &self.tls).unwrap();
        let path = std::env::join_paths([testbed::python_peers(), testbed::python()]).unwrap();
        command.env("PYTHONPATH", path);
        command
    }

    /// A script of the peers, in JavaScript.
    pub(crate) fn node(&self, script: &str) -> Command {
        let node = self.node.as_ref().unwrap();
        let mut command = node.command(&format!("peers/{script}"), &self.tls);
        command.env("NODE_PATH", testbed::node_modules());
        // The fixtures are below a directory of modules of their own.
        assert!(fixture(&format!("peers/{script}")).is_file());
        command
    }

    /// A program of this machine, on the private OpenSSL.
    pub(crate) fn program(&self, program: Program) -> Command {
        let mut command = Command::new(program.find().unwrap());
        self.tls.apply(&mut command);
        command
    }

    /// Starts a server that prints its port.
    pub(crate) fn serve(&self, watch: &mut Watch, command: &mut Command) -> Server {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut guard = Guard::start(command).unwrap();
        let line = guard.first_line().unwrap();
        let port = line.trim().parse();
        let port = port.unwrap_or_else(|_| panic!("{}: the server did not say its port", self.what));
        watch.also(guard.pid());
        Server { guard, port }
    }

    /// Starts a server that was told its port.
    pub(crate) fn serve_on(watch: &mut Watch, port: u16, command: &mut Command) -> Server {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let guard = Guard::start(command).unwrap();
        wait::listening(port, soon()).unwrap();
        watch.also(guard.pid());
        Server { guard, port }
    }

    /// A sensor; servers are told to it as they start. One for all of a file's tests: to load one takes seconds.
    pub(crate) fn watch(&self) -> Option<Watch> {
        let mut options = options(&self.tls, &[]);
        options
            .libraries
            .extend(self.node.as_ref().map(PrivateNode::executable));
        Watch::start(&self.what, &options)
    }

    /// Runs a client under the sensor's eyes to its end; it must succeed.
    pub(crate) fn run(&self, watch: &mut Watch, command: &Command) -> Ran {
        let held = Held::new(command).unwrap();
        let pid = held.pid();
        watch.also(pid);
        let output = watch.follow(held.release().unwrap());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{}: the client failed: {errors}",
            self.what
        );
        Ran {
            pid,
            output: String::from_utf8(output.stdout).unwrap(),
            errors,
        }
    }
}
