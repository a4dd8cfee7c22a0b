//! Debian's package, by cargo-deb.
//!
//! Takes a built sensor. Gives the file. What goes where stands in `sensor-user/Cargo.toml`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use sensor_tests::testbed;

use super::pages;
use crate::shell;

/// How much time goes into making the file small.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// For whoever downloads it.
    Small,
    /// For a check.
    Fast,
}

/// Puts the sensor, man pages and completions where cargo-deb takes built files from, and runs it.
pub(super) fn build(sensor: &Path, directory: &Path, compression: Compression) -> Result<PathBuf> {
    let program = testbed::cargo_deb().context("cannot build cargo-deb")?;
    let target = directory.join("deb");
    let built = target.join("release");
    // What an earlier build left would be packaged, too.
    fs::remove_dir_all(&built).ok();
    fs::create_dir_all(&built).with_context(|| format!("cannot make {}", built.display()))?;
    fs::copy(sensor, built.join("api-sensor"))
        .with_context(|| format!("cannot copy {}", sensor.display()))?;
    pages::write(&built)?;
    pack(&built.join("man"))?;
    let name = format!(
        "api-sensor_{}-1_{}.deb",
        env!("CARGO_PKG_VERSION"),
        architecture()?
    );
    let package = directory.join(name);
    let mut cargo_deb = shell::cargo();
    cargo_deb
        .args([
            "deb",
            "--no-build",
            // It leaves symbols where the profile asks for some, as ours does.
            "--strip",
            "--quiet",
            "--package",
            "sensor-user",
            "--output",
        ])
        .arg(&package)
        .args((compression == Compression::Fast).then_some("--fast"))
        // It says the path.
        .stdout(Stdio::null())
        .env("CARGO_TARGET_DIR", &target)
        .env("PATH", with_front(&program)?);
    shell::run(&mut cargo_deb)?;
    Ok(package)
}

/// As Debian calls it.
fn architecture() -> Result<String> {
    let mut dpkg = Command::new("dpkg");
    let output = dpkg
        .arg("--print-architecture")
        .output()
        .context("cannot start dpkg")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Debian's policy (12.1): pages are packed, and without time. cargo-deb leaves what stands below target/release as it is.
fn pack(pages: &Path) -> Result<()> {
    let mut gzip = Command::new("gzip");
    gzip.arg("-9n");
    for page in fs::read_dir(pages)? {
        gzip.arg(page?.path());
    }
    shell::run(&mut gzip)
}

/// `PATH` with a program's directory in front: cargo looks for `cargo-deb` there.
fn with_front(program: &Path) -> Result<std::ffi::OsString> {
    let front = program.parent().map(Path::to_owned);
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let all = front.into_iter().chain(std::env::split_paths(&rest));
    std::env::join_paths(all).context("a directory of PATH has a colon in its name")
}
