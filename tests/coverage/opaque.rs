//! Rows that are not captured: nothing may be taken from them, and the sensor itself must say why.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use sensor_common::counter::Counter;
use sensor_tests::held::Held;
use sensor_tests::servers::Transport;
use sensor_tests::wait::{self, DEADLINE, Deadline};
use sensor_tests::{Guard, testbed};
use sensor_user::capture::coverage::{self, Abilities, Verdict};
use sensor_user::capture::discover::Cache;
use sensor_user::capture::discover::process::Filter;

use crate::matrix::{Bench, start_with};
use crate::others::{NotHere, Seen};

/// Package, program, arguments before the script.
const RUNTIMES: [(&str, &str, &[&str]); 2] = [
    ("@oven/bun-linux-x64", "bin/bun", &["run"]),
    (
        "@deno/linux-x64-glibc",
        "deno",
        &[
            "run",
            "--no-config",
            "--no-prompt",
            "--allow-net",
            "--allow-read",
            "--allow-write",
            "--unsafely-ignore-certificate-errors",
        ],
    ),
];

/// Calls the server, says so in a file, and stays, so that it can be looked at.
const SCRIPT: &str = r#"
const answer = await fetch(URL_OF_SERVER, { tls: { rejectUnauthorized: false } });
await answer.text();
const { writeFileSync } = await import("node:fs");
writeFileSync(SAID, "done");
await new Promise((resolve) => setTimeout(resolve, 60000));
"#;

/// A JavaScript runtime with TLS of its own, as a client.
pub(crate) fn runtime(bench: &Bench, number: usize) -> Result<Seen> {
    let (package, path, arguments) = RUNTIMES.get(number).context("no such runtime")?;
    let program = testbed::binary(package, path).map_err(|error| NotHere(format!("{error:#}")))?;
    let home = bench.directory.path().join(format!("runtime-{number}"));
    std::fs::create_dir_all(&home)?;
    let (said, file) = (home.join("said"), home.join("call.mjs"));
    let url = Transport::Tls.url(bench.api.port(), "/echo?seed=5&length=1000");
    let text = SCRIPT
        .replace("URL_OF_SERVER", &format!("{url:?}"))
        .replace("SAID", &format!("'{}'", said.display()));
    std::fs::write(&file, text)?;
    let mut command = Command::new(program);
    command.args(*arguments).arg(&file);
    // Nothing of this user's is read, and nobody is called but the server.
    command.env("HOME", &home).env("DENO_NO_UPDATE_CHECK", "1");
    command
        .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
        .env("NO_PROXY", "127.0.0.1");
    let held = Held::new(&command)?;
    let pid = held.pid();
    let mut watch = start_with(bench, vec![pid], Vec::new())?;
    let mut running = held.release()?;
    let deadline = Deadline::after(DEADLINE);
    while !said.exists() {
        ensure!(!deadline.is_over() && !running.has_ended()?, "it got no answer");
        watch.look();
    }
    watch.settle();
    ensure!(watch.counter(Counter::SocketTlsBytes) > 0, "it is not watched");
    let reason = reason_of(pid)?;
    running.kill()?;
    ensure!(watch.stop().is_empty(), "an exchange was made of ciphertext");
    Ok(Seen::Opaque(reason))
}

/// A server of the virtual machine's own, without a class file: Java runs a source file (JEP 330).
const JAVA: &str = r#"
import com.sun.net.httpserver.HttpsServer;
import java.net.InetSocketAddress;
public class Serve {
    public static void main(String[] arguments) throws Exception {
        HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 0);
        server.start();
    }
}
"#;

/// A Java virtual machine with an HTTPS server.
pub(crate) fn java(bench: &Bench) -> Result<Seen> {
    let Some(java) = sensor_tests::corpus::program("java") else {
        return Err(NotHere("no java on this machine".to_owned()).into());
    };
    let source = bench.directory.path().join("Serve.java");
    std::fs::write(&source, JAVA)?;
    let port = wait::free_port()?;
    let mut command = Command::new(java);
    command.arg("-Xmx128m").arg(&source).arg(port.to_string());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    let server = Guard::start(&mut command)?;
    wait::listening(port, Deadline::after(DEADLINE))?;
    Ok(Seen::Opaque(reason_of(server.pid())?))
}

/// What the sensor says of a running process whose TLS it cannot see.
fn reason_of(pid: u32) -> Result<String> {
    let filter = Filter {
        pids: vec![pid],
        ..Filter::default()
    };
    let report = coverage::report(
        Path::new("/proc"),
        &filter,
        Abilities::read(),
        &mut Cache::default(),
    )?;
    let process = report.processes.iter().find(|process| process.pid == pid);
    let process = process.context("no report")?;
    ensure!(
        process.verdict == Verdict::Blind,
        "the verdict is {:?}",
        process.verdict
    );
    let reason = process.stacks.iter().find_map(|stack| stack.reason.as_deref());
    Ok(reason.context("no reason")?.to_owned())
}
