//! What is installed: man pages, completions and Debian's package, below `target/package`.
//!
//! Takes a built sensor. Gives files, and what is wrong with them. Never installs any.

mod deb;
mod inspect;
mod pages;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

pub(crate) use deb::Compression;
pub(crate) use inspect::Checked;

use crate::{setup, shell};

/// Arguments of `cargo xtask deb`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A built api-sensor to package, instead of a release build made now.
    #[arg(long, value_name = "PATH")]
    sensor: Option<PathBuf>,
}

fn directory() -> PathBuf {
    shell::target_dir().join("package")
}

/// Writes man pages and completions.
pub(crate) fn man() -> Result<()> {
    let directory = directory();
    let written = pages::write(&directory)?;
    println!("{written} files in {}", directory.display());
    Ok(())
}

/// Builds the package and checks it.
pub(crate) fn deb(arguments: &Arguments) -> Result<()> {
    let sensor = setup::sensor(arguments.sensor.as_deref())?;
    setup::lintian();
    let (package, checks) = packaged(&sensor, Compression::Small)?;
    let mut mistakes = 0;
    for (what, found) in checks {
        mistakes += tell(what, &found).len();
    }
    if mistakes > 0 {
        bail!("{} has {mistakes} mistakes", package.display());
    }
    println!("{}", package.display());
    Ok(())
}

/// The package of a built sensor, and what was checked of it.
pub(crate) fn packaged(sensor: &Path, compression: Compression) -> Result<(PathBuf, Vec<Checked>)> {
    let package = deb::build(sensor, &directory(), compression)?;
    let checks = inspect::inspect(&package)?;
    Ok((package, checks))
}

/// Prints a check; gives what it found wrong.
pub(crate) fn tell(what: &str, found: &Result<Vec<String>, String>) -> Vec<String> {
    match found {
        Ok(problems) => {
            println!("{:<6} {what}", if problems.is_empty() { "ok" } else { "FAILED" });
            for problem in problems {
                println!("       {problem}");
            }
            problems.clone()
        }
        Err(reason) => {
            println!("SKIPPED {what}: {reason}");
            Vec::new()
        }
    }
}
