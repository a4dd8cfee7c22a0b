//! `cargo xtask conformance`: the third-party suites, and how many of their cases passed.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// Arguments of `cargo xtask conformance`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory of the third-party suites.
    #[arg(long, default_value = "../shared/corpora")]
    corpora: PathBuf,
    /// One line of JSON per suite instead of a table.
    #[arg(long)]
    json: bool,
    /// Part of a suite's test name.
    #[arg(last = true)]
    filter: Vec<String>,
}

/// Runs the suites and shows their counts; fails when one failed.
pub(crate) fn conformance(arguments: &Arguments) -> Result<()> {
    for (what, why) in sensor_tests::crates::install() {
        println!("SKIPPED {what}: {why}");
    }
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace", "--test", "conformance", "--"]);
    cargo
        .arg("--nocapture")
        .args(&arguments.filter)
        .stderr(Stdio::inherit());
    let corpora = std::path::absolute(shell::root().join(&arguments.corpora))?;
    let output = cargo
        .env("API_SENSOR_CORPORA", corpora)
        .output()
        .context("cannot start cargo test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !arguments.json {
        println!(
            "{:<28}{:>8}{:>8}{:>10}{:>9}{:>8}",
            "suite", "cases", "passed", "excepted", "skipped", "failed"
        );
    }
    for line in text.lines() {
        let Some((_, counts)) = line.split_once("SUITE ") else {
            if !arguments.json
                && !line.starts_with("test ")
                && !line.starts_with("running ")
                && !line.is_empty()
            {
                println!("{line}");
            }
            continue;
        };
        if arguments.json {
            println!("{counts}");
            continue;
        }
        let counts: Value = counts.parse().context("a suite's counts are no JSON")?;
        let count = |name: &str| counts[name].as_u64().unwrap_or_default();
        println!(
            "{:<28}{:>8}{:>8}{:>10}{:>9}{:>8}",
            counts["suite"].as_str().unwrap_or_default(),
            count("cases"),
            count("passed"),
            count("excepted"),
            count("skipped"),
            count("failed")
        );
    }
    if !output.status.success() {
        bail!("a suite failed");
    }
    Ok(())
}
