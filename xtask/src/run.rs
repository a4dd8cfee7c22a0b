//! `cargo xtask run`: build the sensor and become it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{setup, shell};

/// Arguments of `cargo xtask run`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Arguments for `api-sensor run`.
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// Does not return when all goes well: signals and the exit code are the sensor's own.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    setup::toolchain()?;
    let sensor = shell::build_sensor()?;
    let error = Command::new(&sensor).arg("run").args(arguments.arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", sensor.display()))
}
