//! What the parts share: a program of one release, a sensor that watches one end.

use std::path::{Path, PathBuf};
use std::process::Command;

use sensor_tests::golang::{GoApi, Release, Symbols};
use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_user::capture::kernel::Options;

use crate::watch::{Watch, able};

/// The program, or nothing, said aloud, where it cannot be had here.
pub(crate) fn program(what: &str, release: Release, symbols: Symbols) -> Option<PathBuf> {
    if !able(what, &[Program::Openssl]) {
        return None;
    }
    match release.build(symbols) {
        Ok(binary) => Some(binary),
        Err(reason) if is_absent(release) => {
            programs::skipped(what, &reason);
            None
        }
        Err(error) => panic!("{what}: {error:#}"),
    }
}

/// Whether there is no such Go here; a build that fails is a failure.
fn is_absent(release: Release) -> bool {
    !release.is_here()
}

/// The program is probed before it runs.
pub(crate) fn options(binary: &Path, pids: &[u32]) -> Options {
    Options {
        pids: pids.to_vec(),
        libraries: vec![binary.to_owned()],
        ring_bytes: 32 * 1024 * 1024,
        message_limit: u64::MAX,
        ..Options::default()
    }
}

/// The program as a client, not yet running.
pub(crate) fn client(binary: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Held {
    let mut command = Command::new(binary);
    command.args(arguments).envs(environment.iter().copied());
    Held::new(&command).unwrap()
}

/// Which end is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Server,
    Client,
}

/// Lets the client go while one end is watched; gives the sensor when the client has ended well, and the id of the
/// process watched.
pub(crate) fn observe(
    what: &str,
    end: End,
    options: impl FnOnce(&[u32]) -> Options,
    server: &GoApi,
    client: Held,
) -> Option<(Watch, u32)> {
    let pid = match end {
        End::Server => server.pid(),
        End::Client => client.pid(),
    };
    let mut watch = Watch::start(what, &options(&[pid]))?;
    let output = watch.follow(client.release().unwrap());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: the client failed: {errors}");
    Some((watch, pid))
}
