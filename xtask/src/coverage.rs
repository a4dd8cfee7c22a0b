//! `cargo xtask coverage`: measures of which programs every byte is seen and writes the matrix, docs/COVERAGE.md.

use std::fmt::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{setup, shell};

/// Where the matrix is written.
const FILE: &str = "docs/COVERAGE.md";

const HEAD: &str = "# Coverage\n\n\
    Written by `cargo xtask coverage`; every row was measured by running the program. A captured row sent and received \
    bodies of 1, 16,385 and 100,000 bytes on a connection of its own, and each was the same, byte for byte; a server with no answers but its own was \
    asked three times. *Peer* \
    says whether the sensor named the other end's port, and *evidence* how it knew the socket: `set_fd` (the program \
    named the descriptor), `nested_syscall` (a socket call inside the TLS call), `inferred` (record lengths of socket \
    calls next to the TLS calls), `runtime_conn` (the runtime's own connection object). `opaque` rows are not captured; the reason is what the \
    sensor itself said of the running program.\n\n\
    | runtime | TLS stack | role | bytes | peer | evidence | kernel |\n| --- | --- | --- | --- | --- | --- | --- |\n";

/// Measures and writes.
pub(crate) fn coverage() -> Result<()> {
    setup::toolchain()?;
    for (what, reason) in setup::test_programs() {
        println!("SKIPPED {what}: {reason}");
    }
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace", "--test", "live_coverage", "--"]);
    cargo.args(["--ignored", "--nocapture"]).stderr(Stdio::inherit());
    let output = cargo.output().context("cannot start cargo test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text
        .lines()
        .filter(|line| line.contains("COVERAGE") || line.contains("SKIPPED"))
    {
        println!("{line}");
    }
    if !output.status.success() {
        bail!("a row failed; {FILE} was left as it was");
    }
    let table = table(&text);
    std::fs::write(shell::root().join(FILE), table).with_context(|| format!("cannot write {FILE}"))
}

fn table(output: &str) -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let series: Vec<&str> = kernel.trim().split('.').take(2).collect();
    let mut text = HEAD.to_owned();
    let rows = output
        .lines()
        .filter_map(|line| line.split_once("COVERAGE ")?.1.parse::<Value>().ok());
    for row in rows {
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let cells = ["runtime", "stack", "role", "bytes", "peer", "evidence"]
            .map(word)
            .join(" | ");
        // Writing to a String cannot fail.
        writeln!(text, "| {cells} | {} |", series.join(".")).ok();
    }
    text
}
