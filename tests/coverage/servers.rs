//! Servers of the matrix. Those that have no programs of their own stand in front of the plain API.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use sensor_tests::Guard;
use sensor_tests::golang::{Release, Symbols};
use sensor_tests::programs::Program;
use sensor_tests::servers::fixture;
use sensor_tests::wait::{self, DEADLINE, Deadline};

use crate::clients::node;
use crate::matrix::{Bench, Kind, Row, Server};

const OPENSSL: &str = "OpenSSL (shared)";
pub(crate) const GO: &str = "crypto/tls";

pub(crate) const ROWS: &[Row] = &[
    row("nginx", OPENSSL, nginx),
    row("Apache httpd", OPENSSL, apache),
    row("HAProxy", OPENSSL, haproxy),
    row("Python ssl", OPENSSL, |bench| {
        let mut command = Command::new(Program::Python.find()?);
        command.arg(fixture("api.py"));
        script(bench, command, bench.tls.libssl())
    }),
    row("Ruby", OPENSSL, |bench| {
        let mut command = Command::new(Program::Ruby.find()?);
        command.arg(fixture("servers/server.rb"));
        script(bench, command, bench.tls.libssl())
    }),
    row("Go 1.19", GO, |bench| go(bench, Release::Debian, Symbols::Kept)),
    row("Go 1.19 stripped", GO, |bench| {
        go(bench, Release::Debian, Symbols::Stripped)
    }),
    row("Go 1.23", GO, |bench| go(bench, Release::Middle, Symbols::Kept)),
    row("Go 1.23 stripped", GO, |bench| {
        go(bench, Release::Middle, Symbols::Stripped)
    }),
    row("Go 1.27", GO, |bench| go(bench, Release::Newest, Symbols::Kept)),
    row("Go 1.27 stripped", GO, |bench| {
        go(bench, Release::Newest, Symbols::Stripped)
    }),
    row("Node.js", "OpenSSL (static, exported, memory BIO)", |bench| {
        let library = node(bench)?;
        let mut command = Command::new(&library);
        command.arg(fixture("servers/server.js"));
        script(bench, command, library)
    }),
];

const fn row(runtime: &'static str, stack: &'static str, start: fn(&Bench) -> Result<Server>) -> Row {
    Row {
        runtime,
        stack,
        kind: Kind::Server(start),
    }
}

fn go(bench: &Bench, release: Release, symbols: Symbols) -> Result<Server> {
    let binary = release.build(symbols)?;
    let mut command = Command::new(&binary);
    command.arg("server");
    script(bench, command, binary)
}

/// A program that takes certificate and key and prints its port.
pub(crate) fn script(bench: &Bench, mut command: Command, library: PathBuf) -> Result<Server> {
    command
        .arg(&bench.certificate.certificate)
        .arg(&bench.certificate.key);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let mut guard = Guard::start(bench.tls.apply(&mut command))?;

    // The script prints its port once it listens, or ends; either way there is something to read.
    let line = guard.first_line()?;
    // More ports may follow.
    let port = line.split_whitespace().next().unwrap_or_default();
    let port = port.parse().context("the script did not say its port")?;
    Ok(Server { guard, port, library })
}

/// A server of which the configuration is a file; waits until it listens.
fn configured(
    bench: &Bench,
    program: &Path,
    name: &str,
    text: &str,
    port: u16,
    arguments: &[&str],
) -> Result<Server> {
    let file = bench.directory.path().join(name);
    std::fs::write(&file, text)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(&file)
        .current_dir(bench.directory.path());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    let guard = Guard::start(bench.tls.apply(&mut command))?;
    wait::listening(port, Deadline::after(DEADLINE))?;
    Ok(Server {
        guard,
        port,
        library: bench.tls.libssl(),
    })
}

fn nginx(bench: &Bench) -> Result<Server> {
    let (port, root) = (wait::free_port()?, bench.directory.path().display());
    let (certificate, key) = (
        bench.certificate.certificate.display(),
        bench.certificate.key.display(),
    );
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|part| format!("{part}_temp_path {root}/nginx-{part};"))
        .concat();
    let text = format!(
        "user root; daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/nginx.log;\n\
         events {{}}\nhttp {{ access_log off; client_max_body_size 0; {temporary}\n\
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};\n\
         location / {{ proxy_pass http://127.0.0.1:{}; }} }} }}\n",
        bench.backend.port()
    );
    let error_log = format!("{root}/nginx.log");
    configured(
        bench,
        &Program::Nginx.find()?,
        "nginx.conf",
        &text,
        port,
        &["-e", &error_log, "-c"],
    )
}

fn apache(bench: &Bench) -> Result<Server> {
    let (port, root) = (wait::free_port()?, bench.directory.path().display());
    let (certificate, key) = (
        bench.certificate.certificate.display(),
        bench.certificate.key.display(),
    );
    let modules: String = ["mpm_event", "authz_core", "ssl", "proxy", "proxy_http"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let text = format!(
        "{modules}ServerRoot {root}\nDefaultRuntimeDir {root}\nPidFile {root}/apache.pid\n\
         ErrorLog {root}/apache.log\nServerName localhost\nListen 127.0.0.1:{port}\nStartServers 1\n\
         SSLEngine on\nSSLCertificateFile {certificate}\nSSLCertificateKeyFile {key}\nMutex posixsem\n\
         ProxyPass / http://127.0.0.1:{}/\n",
        bench.backend.port()
    );
    configured(
        bench,
        &Program::Apache.find()?,
        "apache.conf",
        &text,
        port,
        &["-D", "FOREGROUND", "-f"],
    )
}

fn haproxy(bench: &Bench) -> Result<Server> {
    let (port, root) = (wait::free_port()?, bench.directory.path());
    let both = root.join("haproxy.pem");
    let mut pem = std::fs::read(&bench.certificate.certificate)?;
    pem.extend(std::fs::read(&bench.certificate.key)?);
    std::fs::write(&both, pem)?;
    let text = format!(
        "global\n  nbthread 2\ndefaults\n  mode http\n  timeout connect 10s\n  timeout client 10s\n  timeout server 10s\n\
         frontend f\n  bind 127.0.0.1:{port} ssl crt {}\n  default_backend b\n\
         backend b\n  server s 127.0.0.1:{}\n",
        both.display(),
        bench.backend.port()
    );
    configured(
        bench,
        &Program::Haproxy.find()?,
        "haproxy.cfg",
        &text,
        port,
        &["-db", "-f"],
    )
}
