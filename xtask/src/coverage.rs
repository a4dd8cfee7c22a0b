//! `cargo xtask coverage`: measures of which programs every byte is seen and writes the matrix, docs/COVERAGE.md.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{setup, shell};

/// Where the matrix is written.
const FILE: &str = "docs/COVERAGE.md";

const HEAD: &str = "# Coverage\n\n\
    Written by `cargo xtask coverage`; every row was measured by running the program. A captured row sent and received \
    bodies of 1, 16,385 and 100,000 bytes on a connection of its own, and the BLAKE3 digest of what the sensor took for \
    each body is that of the bytes at both ends; a server with no answers but its own was asked three times. *Peer* says \
    whether the sensor named the other end's port, and *evidence* how it knew the socket: `set_fd` (the program named the \
    descriptor), `set_bio` (it named a BIO made of the descriptor), `nested_syscall` (a socket call inside the TLS call), \
    `inferred` (record lengths of socket calls next to the TLS calls), `runtime_conn` (the runtime's own connection \
    object). `opaque` rows are not captured: their TLS passed, nothing was taken from it, and the reason is what the \
    running sensor said of the process: its name for the TLS stack, and why.\n\n\
    | runtime | TLS stack | role | bytes | peer | evidence | kernel |\n| --- | --- | --- | --- | --- | --- | --- |\n";

/// Rows without which the table is not written: runtime and role.
const REQUIRED: [(&str, &str); 48] = [
    ("curl", "client"),
    ("wget", "client"),
    ("openssl s_client", "client"),
    ("openssl s_server -www", "server"),
    ("gnutls-cli", "client"),
    ("gnutls-serv", "server"),
    ("tstclnt", "client"),
    ("selfserv", "server"),
    ("nginx", "server"),
    ("Apache httpd", "server"),
    ("HAProxy", "server"),
    ("Python requests", "client"),
    ("Python asyncio", "client"),
    ("Python ssl", "server"),
    ("uvicorn (asyncio)", "server"),
    ("Python curl_cffi", "client"),
    ("Python awscrt", "client"),
    ("Python grpcio", "client"),
    ("Python grpcio", "server"),
    ("Node.js", "client"),
    ("Node.js", "server"),
    ("PHP", "client"),
    ("Ruby", "client"),
    ("Ruby", "server"),
    ("Go 1.19", "client"),
    ("Go 1.19", "server"),
    ("Go 1.19 stripped", "client"),
    ("Go 1.19 stripped", "server"),
    ("Go 1.23", "client"),
    ("Go 1.23", "server"),
    ("Go 1.23 stripped", "client"),
    ("Go 1.23 stripped", "server"),
    ("Go 1.27", "client"),
    ("Go 1.27", "server"),
    ("Go 1.27 stripped", "client"),
    ("Go 1.27 stripped", "server"),
    ("tokio-rustls", "client"),
    ("tokio-rustls", "server"),
    ("tokio-native-tls", "client"),
    ("tokio-native-tls", "server"),
    ("workerd", "client"),
    ("workerd", "server"),
    ("OpenJDK", "client"),
    ("OpenJDK", "server"),
    ("bun", "client"),
    ("bun", "server"),
    ("deno", "client"),
    ("deno", "server"),
];

/// Measures and writes.
pub(crate) fn coverage() -> Result<()> {
    setup::toolchain()?;
    for (what, reason) in setup::test_programs() {
        println!("SKIPPED {what}: {reason}");
    }
    let (text, passed) = measure()?;
    let rows = rows(&text);
    let wrong = wrong(&rows);
    if !passed || !wrong.is_empty() {
        bail!(
            "{FILE} was left as it was; {} rows were measured\n  {}",
            rows.len(),
            wrong.join("\n  ")
        );
    }
    std::fs::write(shell::root().join(FILE), table(&rows)).with_context(|| format!("cannot write {FILE}"))?;
    println!("{FILE}: {} rows", rows.len());
    Ok(())
}

/// Runs the test, tells of each row as it comes, and gives what was printed and whether every row was measured.
fn measure() -> Result<(String, bool)> {
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace", "--test", "live_coverage", "--"]);
    cargo.args(["--ignored", "--nocapture"]);
    cargo.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut running = cargo.spawn().context("cannot start cargo test")?;
    let output = running.stdout.take().context("no output")?;
    let mut text = String::new();
    for line in BufReader::new(output).lines() {
        let line = line.context("cannot read what cargo test prints")?;
        if ["COVERAGE", "SKIPPED", "MEASURING"]
            .iter()
            .any(|word| line.contains(word))
        {
            println!("{line}");
        }
        text.push_str(&line);
        text.push('\n');
    }
    let status = running.wait().context("cannot wait for cargo test")?;
    Ok((text, status.success()))
}

/// The measured rows among the lines.
fn rows(output: &str) -> Vec<Value> {
    output
        .lines()
        .filter_map(|line| line.split_once("COVERAGE ")?.1.parse::<Value>().ok())
        .collect()
}

fn word<'row>(row: &'row Value, name: &str) -> &'row str {
    row[name].as_str().unwrap_or_default()
}

/// What keeps the table from being written: required rows that are not there, and rows that are neither exact with the
/// right peer nor opaque for a reason.
fn wrong(rows: &[Value]) -> Vec<String> {
    let is_there = |(runtime, role): &(&str, &str)| {
        rows.iter()
            .any(|row| word(row, "runtime") == *runtime && word(row, "role") == *role)
    };
    let missing = REQUIRED
        .iter()
        .filter(|row| !is_there(row))
        .map(|(runtime, role)| format!("no row for {runtime} as {role}"));
    let is_known = |evidence: &str| !evidence.is_empty() && !evidence.contains("unknown");
    let is_right = |row: &&Value| {
        let captured = word(row, "bytes") == "exact" && word(row, "peer") == "right";
        let reason = word(row, "bytes").strip_prefix("opaque: ").unwrap_or_default();
        (captured && is_known(word(row, "evidence"))) || !reason.is_empty()
    };
    let others = rows
        .iter()
        .filter(|row| !is_right(row))
        .map(|row| format!("not right: {row}"));
    missing.chain(others).collect()
}

fn table(rows: &[Value]) -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let series: Vec<&str> = kernel.trim().split('.').take(2).collect();
    let mut text = HEAD.to_owned();
    for row in rows {
        let cells =
            ["runtime", "stack", "role", "bytes", "peer", "evidence"].map(|name| word(row, name).to_owned());
        // Writing to a String cannot fail.
        writeln!(text, "| {} | {} |", cells.join(" | "), series.join(".")).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_row() -> Vec<Value> {
        let row = |(runtime, role): &(&str, &str)| {
            serde_json::json!({
                "runtime": runtime, "role": role, "bytes": "exact", "peer": "right", "evidence": "set_fd",
            })
        };
        REQUIRED.iter().map(row).collect()
    }

    #[test]
    fn a_required_row_that_is_missing_keeps_the_table_from_being_written() {
        let mut rows = every_row();
        assert_eq!(wrong(&rows), Vec::<String>::new());
        rows.pop();
        assert_eq!(wrong(&rows), ["no row for deno as server"]);
        assert_eq!(wrong(&[]).len(), REQUIRED.len());
    }

    #[test]
    fn a_row_is_exact_with_the_right_peer_or_says_why_it_is_opaque() {
        for (name, value, right) in [
            ("bytes", "missing", false),
            ("peer", "unknown", false),
            ("evidence", "nested_syscall, unknown", false),
            ("bytes", "opaque: ", false),
            ("bytes", "opaque: stripped", true),
        ] {
            let mut rows = every_row();
            rows[0][name] = value.into();
            assert_eq!(wrong(&rows).is_empty(), right, "{name} {value}");
        }
    }

    #[test]
    fn only_what_was_measured_becomes_a_row() {
        let output =
            "MEASURING 1 of 2: x\nCOVERAGE {\"runtime\":\"x\"}\nCOVERAGE FAILED y: z\nSKIPPED a: b\n";
        assert_eq!(rows(output), [serde_json::json!({"runtime": "x"})]);
    }
}
