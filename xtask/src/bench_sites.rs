//! `cargo xtask bench-sites`: what one TLS write and read cost by where the probes stand, as ratios of one run;
//! writes docs/COSTS.md.

use std::fmt::Write as _;
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

/// Where the table is written.
const FILE: &str = "docs/COSTS.md";

const HEAD: &str = "# What probes cost\n\n\
    Written by `cargo xtask bench-sites`: both ends of one TLS connection over memory in one process, 1 KiB a call; what is \
    measured is one write and one read with the capture of both. Ratios are of one run, each the median of five rounds; \
    the absolute times are of a virtual machine inside another, where a trap into the kernel is several times dearer \
    than elsewhere.\n\n\
    | program | probes | microseconds | times bare |\n| --- | --- | --- | --- |\n";

/// Builds, measures, prints and writes.
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
    let mut page = HEAD.to_owned();
    for line in &lines {
        let word = |name: &str| line[name].as_str().unwrap_or_default();
        // Writing to a String cannot fail.
        let _written = writeln!(
            page,
            "| {} | {} | {} | {} |",
            word("subject"),
            word("strategy"),
            line["microseconds"],
            line["times_bare"]
        );
        if arguments.json {
            println!("{line}");
        } else {
            println!(
                "{:8} {:48} {:>8} us {:>7} x",
                word("subject"),
                word("strategy"),
                line["microseconds"].to_string(),
                line["times_bare"].to_string()
            );
        }
    }
    std::fs::write(shell::root().join(FILE), page).with_context(|| format!("cannot write {FILE}"))
}
