//! `cargo xtask bench-pipeline`: throughput of the user side on one core, beside its floor.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// Arguments of `cargo xtask bench-pipeline`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark's own summary and prints it.
pub(crate) fn bench_pipeline(arguments: &Arguments) -> Result<()> {
    let mut cargo = shell::cargo();
    cargo.args([
        "bench",
        "--package",
        "sensor-user",
        "--bench",
        "pipeline",
        "--",
        "--summary",
    ]);
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo bench")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("the benchmark failed ({}):\n{text}", output.status);
    }
    let last = text.trim_end().lines().last().unwrap_or_default();
    let summary: Value = serde_json::from_str(last).context("the benchmark's last line is not JSON")?;
    println!("{}", table(&summary));
    if arguments.json {
        println!("{summary}");
    }
    Ok(())
}

const COLUMNS: [(&str, &str, f64); 3] = [
    ("exchanges/s", "exchanges_per_second", 1.0),
    ("MB/s", "megabytes_per_second", 1.0),
    ("% of floor", "share_of_floor", 100.0),
];

fn table(summary: &Value) -> String {
    let titles = COLUMNS.map(|(title, _, _)| format!("{title:>14}"));
    let mut lines = vec![format!("{:<8}{}", "size", titles.concat())];
    for size in ["small", "large"] {
        let cells = COLUMNS.map(|(_, key, factor)| match summary[size][key].as_f64() {
            Some(value) => format!("{:>14.1}", value * factor),
            None => format!("{:>14}", "-"),
        });
        lines.push(format!("{size:<8}{}", cells.concat()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_size() {
        let summary = serde_json::json!({
            "small": {"share_of_floor": 0.5, "exchanges_per_second": 100_000.0, "megabytes_per_second": 200.25},
            "large": {"share_of_floor": 0.41, "exchanges_per_second": 3000.0},
        });
        let text = table(&summary);
        assert!(text.contains("100000.0") && text.contains("50.0") && text.contains("41.0"));
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().nth(2).unwrap().contains('-'));
    }
}
