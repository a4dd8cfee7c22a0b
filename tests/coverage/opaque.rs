//! Rows that are not captured: nothing may be taken from them, and the running sensor itself must say why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use sensor_tests::clients::Call;
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Transport, fixture};
use sensor_tests::wait::{self, DEADLINE, Deadline};
use sensor_tests::{Guard, payload, testbed};
use sensor_user::capture::coverage::State;
use sensor_user::capture::kernel::monotonic_ns;

use crate::matrix::{Bench, start_with};
use crate::others::{NotHere, Other, Seen, row};
use crate::servers::script;
use crate::watch::Watch;

const STRIPPED: &str = "BoringSSL (static, stripped)";
const DENO_STACK: &str = "rustls (static, stripped)";

pub(crate) const ROWS: &[Other] = &[
    row("bun", STRIPPED, "client", |bench| client(bench, &BUN)),
    row("bun", STRIPPED, "server", |bench| server(bench, &BUN)),
    row("deno", DENO_STACK, "client", |bench| client(bench, &DENO)),
    row("deno", DENO_STACK, "server", |bench| server(bench, &DENO)),
    row("Python grpcio", STRIPPED, "client", |bench| client(bench, &GRPC)),
    row("Python grpcio", STRIPPED, "server", |bench| server(bench, &GRPC)),
    row("OpenJDK", "JSSE", "client", |bench| client(bench, &JAVA)),
    row("OpenJDK", "JSSE", "server", |bench| server(bench, &JAVA)),
];

/// A program whose TLS the sensor cannot read.
struct Sealed {
    /// The sensor's name for its TLS stack.
    stack: &'static str,
    /// Its command line up to the script.
    command: fn(&Bench) -> Result<Command>,
    /// Script that calls a URL, writes what it received into a file and stays.
    call: &'static str,
    /// Script of a server that takes certificate and key, prints its port and answers with [`ANSWER`] bytes.
    serve: &'static str,
    /// It calls and is called by nothing but itself.
    alone: bool,
}

/// Bytes of an answer.
const ANSWER: usize = 1000;

/// How long one may take to start, call and write: Java compiles its script first, for seconds on a busy machine.
const PATIENCE: u32 = 3;

const BUN: Sealed = Sealed {
    stack: "openssl-stripped",
    command: |bench| {
        let mut bun = home(bench, npm("@oven/bun-linux-x64", "bin/bun")?)?;
        bun.arg("run");
        Ok(bun)
    },
    call: "opaque/call.mjs",
    serve: "opaque/serve.mjs",
    alone: false,
};

const DENO: Sealed = Sealed {
    stack: "rustls",
    command: |bench| {
        let mut deno = home(bench, npm("@deno/linux-x64-glibc", "deno")?)?;
        deno.args(["run", "--no-config", "--no-prompt", "--allow-net", "--allow-read"]);
        deno.args(["--allow-write", "--unsafely-ignore-certificate-errors"]);
        Ok(deno)
    },
    ..BUN
};

const GRPC: Sealed = Sealed {
    stack: "openssl-stripped",
    command: |bench| {
        if !testbed::python().join("grpc").is_dir() {
            return Err(NotHere("no grpcio below target/testbed".to_owned()).into());
        }
        let mut python = home(bench, Program::Python.find()?)?;
        python.env("PYTHONPATH", testbed::python());
        Ok(python)
    },
    call: "opaque/grpc_call.py",
    serve: "opaque/grpc_serve.py",
    alone: true,
};

const JAVA: Sealed = Sealed {
    stack: "jsse",
    command: |bench| {
        let java = sensor_tests::corpus::program("java");
        let java = java.ok_or_else(|| NotHere("no java on this machine".to_owned()))?;
        let mut java = home(bench, java)?;
        java.arg("-Xmx128m");
        Ok(java)
    },
    // Java runs a source file (JEP 330).
    call: "opaque/Call.java",
    serve: "opaque/Serve.java",
    alone: false,
};

fn npm(package: &str, path: &str) -> Result<PathBuf> {
    testbed::binary(package, path).map_err(|error| NotHere(format!("{error:#}")).into())
}

/// A program that reads nothing of this user's, calls nobody but the server, and loads no library of this machine that
/// would be probed.
fn home(bench: &Bench, program: PathBuf) -> Result<Command> {
    let home = bench.directory.path().join("home");
    fs::create_dir_all(&home)?;
    let mut command = Command::new(program);
    command.env("HOME", &home).env("DENO_NO_UPDATE_CHECK", "1");
    command
        .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
        .env("NO_PROXY", "127.0.0.1");
    bench.tls.apply(&mut command);
    Ok(command)
}

impl Sealed {
    /// Command line of a call, and the file for what it receives.
    fn caller(&self, bench: &Bench, port: u16) -> Result<(Command, PathBuf)> {
        let said = bench.directory.path().join(format!("said-{port}"));
        // Another program may have called the same server.
        fs::remove_file(&said).ok();
        let mut command = (self.command)(bench)?;
        command
            .arg(fixture(self.call))
            .arg(Transport::Tls.url(port, &format!("/echo?seed=5&length={ANSWER}")))
            .arg(&said)
            .arg(&bench.certificate.certificate);
        Ok((command, said))
    }

    fn start(&self, bench: &Bench) -> Result<crate::matrix::Server> {
        let mut command = (self.command)(bench)?;
        command.arg(fixture(self.serve));
        script(bench, command, PathBuf::new())
    }
}

/// The program calls a server.
fn client(bench: &Bench, sealed: &Sealed) -> Result<Seen> {
    let own = sealed.alone.then(|| sealed.start(bench)).transpose()?;
    let port = own.as_ref().map_or(bench.api.port(), |own| own.port);
    let (command, said) = sealed.caller(bench, port)?;
    let held = Held::new(&command)?;
    let pid = held.pid();
    let mut watch = start_with(bench, vec![pid], Vec::new())?;
    let mut running = held.release()?;
    let deadline = Deadline::after(DEADLINE * PATIENCE);
    while !said.exists() {
        ensure!(!deadline.is_over() && !running.has_ended()?, "it got no answer");
        watch.look();
    }
    let received = fs::read(&said)?;
    ensure!(
        received.len() == ANSWER && (sealed.alone || received == payload::body(5, ANSWER)),
        "it received something else"
    );
    let seen = reported(watch, pid, sealed.stack);
    running.kill()?;
    seen
}

/// The program is called.
fn server(bench: &Bench, sealed: &Sealed) -> Result<Seen> {
    let server = sealed.start(bench)?;
    let pid = server.guard.pid();
    let mut watch = start_with(bench, vec![pid], Vec::new())?;
    let received = if sealed.alone {
        let (mut command, said) = sealed.caller(bench, server.port)?;
        let _caller = Guard::start(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
        wait::until("an answer", Deadline::after(DEADLINE * PATIENCE), || {
            watch.look();
            Ok(said.exists().then_some(()))
        })?;
        fs::read(&said)?
    } else {
        let call = Call::new("POST", &Transport::Tls.url(server.port, "/echo"), b"hidden")?;
        let output = watch.follow(Held::new(&call.curl(&bench.tls)?)?.release()?);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "curl failed: {errors}");
        call.received()?
    };
    ensure!(received.len() == ANSWER, "the caller received something else");
    reported(watch, pid, sealed.stack)
}

/// What the running sensor says of a process whose TLS passed and was not seen.
fn reported(mut watch: Watch, pid: u32, stack: &str) -> Result<Seen> {
    watch.settle();
    let live = watch
        .observer()
        .report(Path::new("/proc"), watch.ledger(), monotonic_ns());
    let process = live.processes.iter().find(|process| process.pid == pid);
    let process = process.context("the sensor does not report it")?;
    let activity = process.activity.as_ref().context("no activity")?;
    ensure!(
        activity.cipher_bytes > 0 && activity.tls_calls == 0,
        "it is not watched, or not opaque: {process:#?}"
    );
    ensure!(
        matches!(process.state, Some(State::Opaque | State::NeverFired)),
        "the state is {:?}",
        process.state
    );
    let of_stack = format!("{stack}: ");
    let blind = process
        .blind
        .iter()
        .find(|blind| blind.what == State::Opaque.name() && blind.reason.starts_with(&of_stack));
    let blind = blind.with_context(|| format!("no word about {stack}: {:#?}", process.blind))?;
    ensure!(!blind.remedy.is_empty(), "no remedy");
    ensure!(
        watch.tally.of_process(pid).end == 0,
        "bytes were taken: {:?}",
        watch.tally
    );
    let reason = blind.reason.clone().into_owned();
    ensure!(watch.stop().is_empty(), "an exchange was made of ciphertext");
    Ok(Seen::Opaque(reason))
}
