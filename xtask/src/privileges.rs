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

/// Arguments of `cargo xtask privileges`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measure this kernel of kernels.toml only and keep what the page says of the others; may be given several times.
    #[arg(long)]
    kernel: Vec<String>,
}

/// Measures everywhere, or on the kernels named, and writes the page.
pub(crate) fn privileges(arguments: &Arguments) -> Result<()> {
    setup::toolchain()?;
    let page = shell::root().join(PAGE);
    let mut rows = if arguments.kernel.is_empty() {
        here()?
    } else {
        let before = fs::read_to_string(&page).with_context(|| format!("cannot read {PAGE}"))?;
        let mut kept = privileges::rows(&before);
        kept.retain(|row| !arguments.kernel.contains(&privileges::series(&row.kernel)));
        kept
    };
    for line in vm::rows(TEST, &arguments.kernel)? {
        rows.extend(Row::parse(&line));
    }
    fs::write(page, privileges::page(&rows)).with_context(|| format!("cannot write {PAGE}"))?;
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
