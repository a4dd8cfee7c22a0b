//! Programs whose TLS cannot be seen: is nothing taken from them, and does the sensor say so, and why?

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sensor_common::counter::Counter;
use sensor_tests::guard::Guard;
use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Nginx, Site, Transport};
use sensor_tests::{PrivateTls, testbed, wait};
use sensor_user::capture::coverage::{self, Abilities, ProcessCoverage, Verdict};
use sensor_user::capture::discover::Cache;
use sensor_user::capture::discover::process::Filter;
use sensor_user::capture::kernel::Options;

use crate::watch::{Watch, able, options, soon};

/// The sensor's report on a process.
pub(crate) fn coverage_of(pid: u32) -> ProcessCoverage {
    let filter = Filter {
        pids: vec![pid],
        ..Filter::default()
    };
    let report = coverage::report(
        Path::new("/proc"),
        &filter,
        Abilities::read(),
        &mut Cache::default(),
    );
    let mut processes = report.unwrap().processes;
    let at = processes.iter().position(|process| process.pid == pid);
    processes.swap_remove(at.unwrap_or_else(|| panic!("no report on process {pid}")))
}

/// A runtime that carries its own TLS.
struct Runtime {
    name: &'static str,
    package: &'static str,
    path: &'static str,
    /// Arguments before the script.
    arguments: &'static [&'static str],
    stack: &'static str,
    /// Part of the reason that the sensor gives.
    reason: &'static str,
}

const RUNTIMES: [Runtime; 2] = [
    Runtime {
        name: "bun",
        package: "@oven/bun-linux-x64",
        path: "bin/bun",
        arguments: &["run"],
        stack: "openssl-stripped",
        reason: "stripped",
    },
    Runtime {
        name: "deno",
        package: "@deno/linux-x64-glibc",
        path: "deno",
        arguments: &[
            "run",
            "--no-config",
            "--no-prompt",
            "--allow-net",
            "--allow-read",
            "--allow-write",
            "--unsafely-ignore-certificate-errors",
        ],
        stack: "rustls",
        reason: "stripped",
    },
];

/// Calls the server, says so in a file, and stays, so that it can be looked at.
const SCRIPT: &str = r#"
const answer = await fetch(URL_OF_SERVER, { tls: { rejectUnauthorized: false } });
const text = await answer.text();
const { writeFileSync, renameSync } = await import("node:fs");
writeFileSync(SAID + ".part", text);
renameSync(SAID + ".part", SAID);
await new Promise((resolve) => setTimeout(resolve, 60000));
"#;

/// LESSONS 6: TLS that is stripped was not seen, without a word.
#[test]
fn runtimes_with_stripped_tls_give_nothing_and_the_report_says_why() {
    for runtime in &RUNTIMES {
        let what = format!("{} as a client", runtime.name);
        if !able(&what, &[Program::Nginx, Program::Openssl]) {
            return;
        }
        match testbed::binary(runtime.package, runtime.path) {
            Ok(program) => opaque_client(&what, runtime, program),
            Err(reason) => programs::skipped(&what, &reason),
        }
    }
}

fn opaque_client(what: &str, runtime: &Runtime, program: PathBuf) {
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let said = directory.path().join("said");
    let url = Transport::Tls.url(nginx.port(Transport::Tls), "/who/calls");
    let command = caller(runtime, program, &url, &said);
    let held = Held::new(&command).unwrap();
    let pid = held.pid();
    // Only the client: what the server's library shows is not the question.
    let only_client = Options {
        libraries: Vec::new(),
        ..options(&tls, &[pid])
    };
    let Some(mut watch) = Watch::start(what, &only_client) else {
        return;
    };
    let mut running = held.release().unwrap();
    let deadline = soon();
    while !said.exists() {
        assert!(
            !deadline.is_over() && !running.has_ended().unwrap(),
            "{what} got no answer"
        );
        watch.look();
    }
    watch.settle();
    let answer = std::fs::read_to_string(&said).unwrap();
    assert!(answer.contains("/who/calls"), "{what} called somebody else");
    assert!(
        watch.counter(Counter::SocketTlsBytes) > 0,
        "{what} is not watched"
    );
    assert_eq!(watch.tally.of_process(pid).end, 0, "{what}: {:?}", watch.tally);
    assert_opaque(&coverage_of(pid), runtime.stack, runtime.reason);
    running.kill().unwrap();
    assert!(
        watch.stop().is_empty(),
        "{what}: an exchange was made of ciphertext"
    );
}

/// The command that calls `url` and writes the answer to `said`.
fn caller(runtime: &Runtime, program: PathBuf, url: &str, said: &Path) -> Command {
    let home = said.parent().unwrap();
    let script = home.join("call.mjs");
    let text = SCRIPT
        .replace("URL_OF_SERVER", &format!("{url:?}"))
        .replace("SAID", &format!("'{}'", said.display()));
    std::fs::write(&script, text).unwrap();
    let mut command = Command::new(program);
    command.args(runtime.arguments).arg(&script);
    // Nothing of this user's is read, and nobody is called but the server.
    command.env("HOME", home).env("DENO_NO_UPDATE_CHECK", "1");
    command
        .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
        .env("NO_PROXY", "127.0.0.1");
    command
}

/// The report names the stack, why it is not seen, and what the operator can do.
pub(crate) fn assert_opaque(seen: &ProcessCoverage, name: &str, reason: &str) {
    assert_eq!(seen.verdict, Verdict::Blind, "{seen:#?}");
    let stack = seen.stacks.iter().find(|stack| stack.stack == name);
    let stack = stack.unwrap_or_else(|| panic!("{name} is not named: {seen:#?}"));
    assert_eq!(stack.functions, 0, "{seen:#?}");
    let said = stack.reason.as_deref();
    assert!(said.is_some_and(|said| said.contains(reason)), "{seen:#?}");
    assert!(stack.remedy.is_some_and(|remedy| !remedy.is_empty()), "{seen:#?}");
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

#[test]
fn a_java_virtual_machine_with_sockets_is_reported_as_opaque() {
    let what = "Java's own TLS";
    if !able(what, &[]) {
        return;
    }
    let Some(java) = sensor_tests::corpus::program("java") else {
        return programs::skipped(what, &"no java on this machine");
    };
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("Serve.java");
    std::fs::write(&source, JAVA).unwrap();
    let port = wait::free_port().unwrap();
    let mut command = Command::new(java);
    command.arg("-Xmx128m").arg(&source).arg(port.to_string());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    let server = Guard::start(&mut command).unwrap();
    wait::listening(port, soon()).unwrap();
    assert_opaque(&coverage_of(server.pid()), "jsse", "compiled Java code");
}
