//! `cargo xtask bench-sites`: what one TLS write and read cost by where the probes stand, as ratios of one run.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{setup, shell};

/// Arguments of `cargo xtask bench-sites`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One JSON object per line instead of a table
    #[arg(long)]
    json: bool,
}

/// Builds, measures and prints.
pub(crate) fn bench_sites(arguments: &Arguments) -> Result<()> {
    setup::toolchain()?;
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace", "--test", "live_costs", "--"]);
    cargo.args(["--ignored", "--nocapture"]).stderr(Stdio::inherit());
    let output = cargo.output().context("cannot start cargo test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("the measurement failed:\n{text}");
    }
    let lines: Vec<Value> = text
        .lines()
        .filter_map(|line| line.split_once("COST ")?.1.parse().ok())
        .collect();
    if lines.is_empty() {
        bail!("nothing was measured:\n{text}");
    }
    for line in &lines {
        if arguments.json {
            println!("{line}");
        } else {
            let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            println!(
                "{:8} {:48} {:>8} us {:>7} x",
                word("subject"),
                word("strategy"),
                line["microseconds"].to_string(),
                line["times_bare"].to_string()
            );
        }
    }
    Ok(())
}
