//! Clients of the matrix.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use sensor_tests::clients::{self, Call};
use sensor_tests::copies::Copies;
use sensor_tests::golang::{Release, Symbols};
use sensor_tests::programs::Program;
use sensor_tests::servers::fixture;
use sensor_tests::testbed;

use crate::matrix::{Bench, Kind, Launch, Row};
use crate::servers::GO;

const OPENSSL: &str = "OpenSSL (shared)";

pub(crate) const ROWS: &[Row] = &[
    row("curl", OPENSSL, |bench, call, _| {
        Ok(private(bench, call.curl(&bench.tls)?))
    }),
    row("Python requests", OPENSSL, |bench, call, _| {
        Ok(private(bench, call.requests(&bench.tls)?))
    }),
    row(
        "Python asyncio",
        "OpenSSL (shared, memory BIO)",
        |bench, call, url| {
            let python = clients::python("clients/client_async.py", &bench.tls)?;
            Ok(private(bench, with_call(python, call, url)))
        },
    ),
    row("PHP", OPENSSL, |bench, call, url| {
        script(bench, Program::Php, "clients/client.php", call, url)
    }),
    row("Ruby", OPENSSL, |bench, call, url| {
        script(bench, Program::Ruby, "clients/client.rb", call, url)
    }),
    row("Go 1.19", GO, |_, call, url| {
        go(Release::Debian, Symbols::Kept, call, url)
    }),
    row("Go 1.19 stripped", GO, |_, call, url| {
        go(Release::Debian, Symbols::Stripped, call, url)
    }),
    row("Go 1.23", GO, |_, call, url| {
        go(Release::Middle, Symbols::Kept, call, url)
    }),
    row("Go 1.23 stripped", GO, |_, call, url| {
        go(Release::Middle, Symbols::Stripped, call, url)
    }),
    row("Go 1.27", GO, |_, call, url| {
        go(Release::Newest, Symbols::Kept, call, url)
    }),
    row("Go 1.27 stripped", GO, |_, call, url| {
        go(Release::Newest, Symbols::Stripped, call, url)
    }),
    row(
        "Node.js",
        "OpenSSL (static, exported, memory BIO)",
        |bench, call, url| {
            let library = node(bench)?;
            let mut command = Command::new(&library);
            command.arg(fixture("clients/client.js"));
            Ok(Launch {
                command: with_call(command, call, url),
                library,
            })
        },
    ),
];

/// Clients of the other C libraries.
pub(crate) const OTHER_ROWS: &[Row] = &[
    row("wget", "GnuTLS (shared)", |bench, call, url| {
        let library = shared(bench, "libgnutls.so.30")?;
        let mut wget = Command::new(Program::Wget.find()?);
        wget.args(["--quiet", "--no-proxy", "--no-config", "--no-check-certificate"]);
        wget.arg("--header=Content-Type: text/plain");
        wget.arg("--post-file").arg(call.sent());
        wget.arg("--output-document").arg(call.answer()).arg(url);
        if let Some(directory) = library.parent() {
            wget.env("LD_LIBRARY_PATH", directory);
        }
        Ok(Launch {
            command: wget,
            library,
        })
    }),
    row(
        "Python curl_cffi",
        "BoringSSL (static, symbols)",
        |bench, call, _| wheel(bench, call, "cffi_client.py", "curl_cffi/_wrapper.abi3.so"),
    ),
    row("Python awscrt", "s2n-tls (static, exported)", |bench, call, _| {
        wheel(bench, call, "crt_client.py", "_awscrt.abi3.so")
    }),
];

/// A script on a wheel below `target/testbed`, whose file is nobody else's.
fn wheel(bench: &Bench, call: &Call, script: &str, file: &str) -> Result<Launch> {
    let library = testbed::python().join(file);
    ensure!(library.is_file(), "its wheel is not installed");
    Ok(Launch {
        command: call.script(script, &bench.tls)?,
        library,
    })
}

/// A copy of a library of the machine under the name that programs load it by.
fn shared(bench: &Bench, file: &str) -> Result<PathBuf> {
    let directory = bench.directory.path().join("libraries");
    std::fs::create_dir_all(&directory)?;
    let copy = directory.join(file);
    if !copy.exists() {
        std::fs::copy(Copies::of(&[file])?.path(file), &copy)?;
    }
    Ok(copy)
}

const fn row(
    runtime: &'static str,
    stack: &'static str,
    launch: fn(&Bench, &Call, &str) -> Result<Launch>,
) -> Row {
    Row {
        runtime,
        stack,
        kind: Kind::Client(launch),
    }
}

/// A private copy of Node.
pub(crate) fn node(bench: &Bench) -> Result<PathBuf> {
    bench.copy_of(&Program::Node.find()?.to_string_lossy())
}

fn private(bench: &Bench, command: Command) -> Launch {
    Launch {
        command,
        library: bench.tls.libssl(),
    }
}

fn script(bench: &Bench, program: Program, script: &str, call: &Call, url: &str) -> Result<Launch> {
    let mut command = Command::new(program.find()?);
    command.arg(fixture(script));
    bench.tls.apply(&mut command);
    Ok(private(bench, with_call(command, call, url)))
}

/// The arguments of every script: method, URL, file to send, file for the answer.
fn go(release: Release, symbols: Symbols, call: &Call, url: &str) -> Result<Launch> {
    let library = release.build(symbols)?;
    let mut command = Command::new(&library);
    command.arg("call");
    let command = with_call(command, call, url);
    Ok(Launch { command, library })
}

fn with_call(mut command: Command, call: &Call, url: &str) -> Command {
    command.args(["POST", url]).arg(call.sent()).arg(call.answer());
    command
}
