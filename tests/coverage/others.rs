//! Rows of programs that send what they are told or answer what they like: tools of TLS libraries, rustls, uvicorn.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use sensor_tests::clients::Call;
use sensor_tests::copies::Copies;
use sensor_tests::held::Held;
use sensor_tests::payload;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Calls, Layer, RustlsProgram, Transport, uvicorn};
use sensor_tests::tools::{Fed, Serving, Tstclnt};

use crate::matrix::{Bench, Found, LENGTHS, start_with, take};
use crate::servers::script;

/// A row that measures itself.
pub(crate) struct Other {
    pub(crate) runtime: &'static str,
    pub(crate) stack: &'static str,
    pub(crate) role: &'static str,
    pub(crate) measure: fn(&Bench) -> Result<Seen>,
}

/// What became of a row.
pub(crate) enum Seen {
    Captured(Found),
    /// Why not, in the sensor's words.
    Opaque(String),
}

/// A program of the testbed is not on this machine.
#[derive(Debug)]
pub(crate) struct NotHere(pub(crate) String);

impl fmt::Display for NotHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotHere {}

const OPENSSL: &str = "OpenSSL (shared)";
const GNUTLS: &str = "GnuTLS (shared)";
const NSS: &str = "NSS (shared)";
const RUSTLS: &str = "rustls 0.23 (static, symbols)";

pub(crate) const ROWS: &[Other] = &[
    row("openssl s_client", OPENSSL, "client", s_client),
    row("gnutls-cli", GNUTLS, "client", gnutls_cli),
    row("tstclnt", NSS, "client", tstclnt),
    row("tokio-rustls", RUSTLS, "client", |bench| {
        rust_client(bench, RustlsProgram::new("rustls-023"))
    }),
    row("tokio-native-tls", OPENSSL, "client", |bench| {
        rust_client(
            bench,
            RustlsProgram::new("native-tls").map(|made| made.on(&bench.tls)),
        )
    }),
    row(
        "openssl s_server -www",
        "OpenSSL (shared, BIO_f_ssl)",
        "server",
        |bench| {
            let copies = Copies::of(&["libssl.so.3", "libcrypto.so.3"])?;
            let server = Serving::openssl(&copies, &["-www"])?;
            // The functions behind the BIO are in the one, their table in the other.
            let libraries = vec![copies.path("libssl.so.3"), copies.path("libcrypto.so.3")];
            page(bench, server.pid(), server.port(), libraries, "GET")
        },
    ),
    row("gnutls-serv", GNUTLS, "server", |bench| {
        let copies = Copies::of(&["libgnutls.so.30"])?;
        let server = Serving::gnutls(&copies, &[])?;
        page(
            bench,
            server.pid(),
            server.port(),
            vec![copies.path("libgnutls.so.30")],
            "GET",
        )
    }),
    row("selfserv", NSS, "server", |bench| {
        let copies = Copies::of(&NSS_FILES)?;
        let server = Serving::nss(&copies)?;
        page(bench, server.pid(), server.port(), nss_files(&copies), "GET")
    }),
    row("tokio-rustls", RUSTLS, "server", |bench| {
        rust_server(bench, RustlsProgram::new("rustls-023"))
    }),
    row("tokio-native-tls", OPENSSL, "server", |bench| {
        rust_server(
            bench,
            RustlsProgram::new("native-tls").map(|made| made.on(&bench.tls)),
        )
    }),
    row(
        "uvicorn (asyncio)",
        "OpenSSL (shared, memory BIO)",
        "server",
        |bench| {
            let mut command = Command::new(Program::Python.find()?);
            command.arg(uvicorn().ok_or_else(|| NotHere("no uvicorn below target/testbed".to_owned()))?);
            let server = script(bench, command, bench.tls.libssl())?;
            page(
                bench,
                server.guard.pid(),
                server.port,
                vec![server.library],
                "POST",
            )
        },
    ),
];

pub(crate) const fn row(
    runtime: &'static str,
    stack: &'static str,
    role: &'static str,
    measure: fn(&Bench) -> Result<Seen>,
) -> Other {
    Other {
        runtime,
        stack,
        role,
        measure,
    }
}

const NSS_FILES: [&str; 2] = ["libssl3.so", "libnspr4.so"];

fn nss_files(copies: &Copies) -> Vec<PathBuf> {
    NSS_FILES.map(|file| copies.path(file)).to_vec()
}

/// One call of the echo API as bytes.
struct Raw {
    path: String,
    sent: Vec<u8>,
    answer: Vec<u8>,
    request: Vec<u8>,
}

impl Raw {
    fn new(length: usize) -> Self {
        let (sent, answer) = (payload::body(11, length), payload::body(5, length));
        let path = format!("/echo?seed=5&length={length}");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        let request = [head.as_bytes(), &sent].concat();
        Self {
            path,
            sent,
            answer,
            request,
        }
    }
}

/// Runs a client against a server on `port` under a watch of its own.
fn client(
    bench: &Bench,
    found: &mut Found,
    command: &Command,
    libraries: Vec<PathBuf>,
    (port, raw): (u16, &Raw),
) -> Result<()> {
    let held = Held::new(command)?;
    let mut watch = start_with(bench, vec![held.pid()], libraries)?;
    // How it ends says little: some tools call it an error that the server closes without TLS's own goodbye.
    watch.follow(held.release()?);
    watch.settle();
    take(
        found,
        &watch.stop(),
        &raw.path,
        &raw.sent,
        &raw.answer,
        |observed| {
            observed
                .exchange
                .connection
                .remote
                .map(|(_, remote)| remote == port)
        },
    )
}

fn s_client(bench: &Bench) -> Result<Seen> {
    let mut found = Found::default();
    for length in LENGTHS {
        let raw = Raw::new(length);
        let fed = Fed::new(&raw.request)?;
        let mut command = fed.command(Program::Openssl)?;
        command.args([
            "s_client",
            "-quiet",
            "-connect",
            &format!("127.0.0.1:{}", bench.api.port()),
        ]);
        client(
            bench,
            &mut found,
            bench.tls.apply(&mut command),
            vec![bench.tls.libssl()],
            (bench.api.port(), &raw),
        )?;
        ensure!(
            fed.received()?.ends_with(&raw.answer),
            "s_client received something else"
        );
    }
    Ok(Seen::Captured(found))
}

fn gnutls_cli(bench: &Bench) -> Result<Seen> {
    let copies = Copies::of(&["libgnutls.so.30"])?;
    let mut found = Found::default();
    for length in LENGTHS {
        let raw = Raw::new(length);
        let fed = Fed::new(&raw.request)?;
        let command = fed.gnutls_cli(bench.api.port(), &copies)?;
        client(
            bench,
            &mut found,
            &command,
            vec![copies.path("libgnutls.so.30")],
            (bench.api.port(), &raw),
        )?;
        ensure!(
            fed.received()?.ends_with(&raw.answer),
            "gnutls-cli received something else"
        );
    }
    Ok(Seen::Captured(found))
}

fn tstclnt(bench: &Bench) -> Result<Seen> {
    let copies = Copies::of(&NSS_FILES)?;
    let mut found = Found::default();
    for length in LENGTHS {
        let raw = Raw::new(length);
        let tool = Tstclnt::new(&raw.request)?;
        let command = tool.command(bench.api.port(), &copies)?;
        client(
            bench,
            &mut found,
            &command,
            nss_files(&copies),
            (bench.api.port(), &raw),
        )?;
        ensure!(
            tool.received()?.ends_with(&raw.answer),
            "tstclnt received something else"
        );
    }
    Ok(Seen::Captured(found))
}

/// The program, or that the testbed has none.
fn built(program: Result<RustlsProgram>) -> Result<RustlsProgram> {
    program.map_err(|error| NotHere(format!("{error:#}")).into())
}

/// What is probed: the program itself, or the private OpenSSL that it loads.
fn probed(bench: &Bench, program: &RustlsProgram) -> Vec<PathBuf> {
    vec![program.path(), bench.tls.libssl()]
}

/// Its server, which nobody watches, answers with the body reversed.
fn rust_client(bench: &Bench, program: Result<RustlsProgram>) -> Result<Seen> {
    let program = built(program)?;
    let server = program.serve(Layer::Hyper)?;
    let mut found = Found::default();
    for length in LENGTHS {
        let raw = Raw::new(length);
        let raw = Raw {
            path: "/who/0/0".to_owned(),
            answer: raw.sent.iter().rev().copied().collect(),
            ..raw
        };
        let calls = Calls {
            connections: 1,
            requests: 1,
            body: &raw.sent,
        };
        let command = program.call(Layer::Hyper, server.port(), &calls)?;
        let at = (server.port(), &raw);
        client(bench, &mut found, &command, probed(bench, &program), at)?;
        ensure!(
            program.answer()? == raw.answer,
            "the client received something else"
        );
    }
    Ok(Seen::Captured(found))
}

fn rust_server(bench: &Bench, program: Result<RustlsProgram>) -> Result<Seen> {
    let program = built(program)?;
    let server = program.serve(Layer::Hyper)?;
    page(
        bench,
        server.pid(),
        server.port(),
        probed(bench, &program),
        "POST",
    )
}

/// A server that answers what it likes: what curl received is what must have been seen. The first call is not judged:
/// a server that was waiting for a connection when the sensor began had begun it.
fn page(bench: &Bench, pid: u32, port: u16, libraries: Vec<PathBuf>, method: &str) -> Result<Seen> {
    let mut watch = start_with(bench, vec![pid], libraries)?;
    let mut calls = Vec::new();
    for length in [&[1], LENGTHS.as_slice()].concat() {
        let path = format!("/echo?page={}-{length}", calls.len());
        let sent = if method == "POST" {
            payload::body(11, length)
        } else {
            Vec::new()
        };
        let call = Call::new(method, &Transport::Tls.url(port, &path), &sent)?;
        let mut curl = call.curl(&bench.tls)?;
        curl.args(["--write-out", "%{local_port}"]);
        let output = watch.follow(Held::new(&curl)?.release()?);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "curl failed: {errors}");
        let client: u16 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
        calls.push((path, sent, call.received()?, client));
    }
    watch.settle();
    let observed = watch.stop();
    let mut found = Found::default();
    for (path, sent, received, client) in calls.iter().skip(1) {
        take(&mut found, &observed, path, sent, received, |observed| {
            observed
                .exchange
                .connection
                .remote
                .map(|(_, remote)| remote == *client)
        })?;
    }
    Ok(Seen::Captured(found))
}
