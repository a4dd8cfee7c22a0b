//! `cargo xtask evaluate-authorization`: what the rules find and miss in a simulated estate, and what they make up.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Arguments of `cargo xtask evaluate-authorization`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The estate's seed: below 1000 to tune rules with, from 1000 on to evaluate them.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Thirty thousand exchanges instead of a million, in a debug build.
    #[arg(long)]
    small: bool,
    /// The least severity of a finding that counts as an alarm.
    #[arg(long, default_value = "medium", value_parser = ["info", "low", "medium", "high", "critical"])]
    from_severity: String,
    /// One JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// Runs the simulation and prints its measurement.
pub(crate) fn evaluate_authorization(arguments: &Arguments) -> Result<()> {
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace", "--test", "estate"]);
    if arguments.small {
        cargo.env("API_SENSOR_ESTATE_SMALL", "1");
    } else {
        cargo.arg("--release");
    }
    cargo.args([
        "--",
        "--ignored",
        "--exact",
        "estate::evaluate::evaluate",
        "--nocapture",
    ]);
    cargo.env("API_SENSOR_ESTATE_SEED", arguments.seed.to_string());
    cargo.env("API_SENSOR_ESTATE_FLOOR", &arguments.from_severity);
    let mut child = cargo
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo test")?;
    let mut measured = None;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some((_, json)) = line.split_once("ESTATE ") {
                measured = Some(json.to_owned());
            } else if !arguments.json && !of_test_program(&line) {
                println!("{line}");
            }
        }
    }
    let status = child.wait()?;
    let Some(measured) = measured.filter(|_| status.success()) else {
        bail!("the evaluation failed ({status})");
    };
    if arguments.json {
        println!("{measured}");
    }
    Ok(())
}

/// What the standard test program says around the test.
fn of_test_program(line: &str) -> bool {
    line.starts_with("running ") || line.starts_with("test ") || line.is_empty()
}
