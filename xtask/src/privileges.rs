//! `cargo xtask privileges`: measures which capabilities the sensor needs, here and on other kernels, and writes
//! docs/PRIVILEGES.md.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use sensor_tests::privileges::{self, MARK, Row};

use crate::{setup, shell, vm};

/// The test that measures.
const TEST: &str = "live_privileges";

/// Where the page is.
const PAGE: &str = "docs/PRIVILEGES.md";

/// Measures everywhere and writes the page.
pub(crate) fn privileges() -> Result<()> {
    setup::toolchain()?;
    let mut rows = here()?;
    for line in vm::rows(TEST)? {
        rows.extend(Row::parse(&line));
    }
    fs::write(shell::root().join(PAGE), privileges::page(&rows))
        .with_context(|| format!("cannot write {PAGE}"))?;
    println!("{PAGE}: {} rows", rows.len());
    Ok(())
}

/// Rows of the running kernel. The page may say otherwise, which fails the test and is the reason to be here.
fn here() -> Result<Vec<Row>> {
    shell::run(shell::cargo().args(["build", "--package", "sensor-user", "--bin", "api-sensor"]))?;
    let mut cargo = shell::cargo();
    cargo.args([
        "test",
        "--package",
        "sensor-tests",
        "--test",
        TEST,
        "--",
        "--nocapture",
    ]);
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    let rows: Vec<Row> = text
        .lines()
        .filter_map(|line| Row::parse(line.strip_prefix(MARK)?))
        .collect();
    if rows.is_empty() {
        bail!("nothing was measured on the running kernel");
    }
    Ok(rows)
}
