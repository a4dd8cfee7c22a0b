//! workerd in the matrix: its HTTP client and server speak TLS by rustls. `BoringSSL` is in it for cryptography only.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use sensor_tests::clients::Call;
use sensor_tests::servers::fixture;
use sensor_tests::wait::{self, DEADLINE, Deadline};
use sensor_tests::{Guard, testbed};

use crate::matrix::{Bench, Kind, Launch, Row, Server};
use crate::others::NotHere;

pub(crate) const ROWS: &[Row] = &[
    Row {
        runtime: "workerd",
        stack: STACK,
        kind: Kind::Client(client),
    },
    Row {
        runtime: "workerd",
        stack: STACK,
        kind: Kind::Server(server),
    },
];

const STACK: &str = "rustls 0.23 (static, symbols)";

/// In the language of workerd's configuration; the words in capitals are put in.
const CLIENT: &str = r#"
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [
  (name = "main", worker = .worker),
  (name = "api", external = (address = "127.0.0.1:PORT", https = (options = (), certificateHost = "localhost",
    tlsOptions = (trustedCertificates = [embed "certificate.pem"])))),
  (name = "files", disk = (path = "DIRECTORY", writable = true))]);
const worker :Workerd.Worker = (
  modules = [(name = "client.js", esModule = embed "client.js")],
  compatibilityDate = "2026-01-01",
  bindings = [(name = "API", service = "api"), (name = "FILES", service = "files"),
    (name = "TARGET", text = "ADDRESSED"), (name = "SENT", data = embed "sent")]);
"#;

const SERVER: &str = r#"
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "https", address = "127.0.0.1:PORT", service = "main", https = (options = (),
    tlsOptions = (keypair = (privateKey = embed "key.pem", certificateChain = embed "certificate.pem"))))]);
const worker :Workerd.Worker = (
  modules = [(name = "server.js", esModule = embed "server.js")],
  compatibilityDate = "2026-01-01");
"#;

fn program() -> Result<PathBuf> {
    testbed::binary("@cloudflare/workerd-linux-64", "bin/workerd")
        .map_err(|error| NotHere(format!("{error:#}")).into())
}

/// Writes the configuration and the worker into a directory. Paths in a configuration are relative to its file.
fn configure(directory: &Path, text: &str, worker: &str) -> Result<PathBuf> {
    let from = fixture(&format!("workerd/{worker}"));
    std::fs::copy(&from, directory.join(worker))
        .with_context(|| format!("cannot copy {}", from.display()))?;
    let file = directory.join("config.capnp");
    std::fs::write(&file, text)?;
    Ok(file)
}

/// `workerd test` runs a worker once and ends.
fn client(bench: &Bench, call: &Call, url: &str) -> Result<Launch> {
    let library = program()?;
    let sent = call.sent();
    let directory = sent.parent().context("no directory")?;
    std::fs::copy(bench.api.certificate(), directory.join("certificate.pem"))?;
    let port = bench.api.port().to_string();
    let target = url.split_once(&port).context("not the URL of the API")?.1;
    let text = CLIENT
        .replace("PORT", &port)
        .replace("DIRECTORY", &directory.display().to_string())
        .replace("ADDRESSED", target);
    let mut command = Command::new(&library);
    command.arg("test").arg(configure(directory, &text, "client.js")?);
    Ok(Launch { command, library })
}

fn server(bench: &Bench) -> Result<Server> {
    let library = program()?;
    let port = wait::free_port()?;
    let text = SERVER.replace("PORT", &port.to_string());
    let mut command = Command::new(&library);
    command
        .arg("serve")
        // Certificate and key are there.
        .arg(configure(bench.directory.path(), &text, "server.js")?);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    let guard = Guard::start(&mut command)?;
    wait::listening(port, Deadline::after(DEADLINE))?;
    Ok(Server { guard, port, library })
}
