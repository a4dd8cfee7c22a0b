//! Clients of the matrix.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use sensor_tests::clients::{self, Call};
use sensor_tests::programs::Program;
use sensor_tests::servers::fixture;

use crate::matrix::{Bench, Kind, Launch, Row};

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
fn with_call(mut command: Command, call: &Call, url: &str) -> Command {
    command.args(["POST", url]).arg(call.sent()).arg(call.answer());
    command
}
