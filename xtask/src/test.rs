//! `cargo xtask test`: every test, and at the end what passed, failed and was skipped, and why.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{setup, shell, vm};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also run the long suites: tests marked `#[ignore]`, and other kernels than those of `.ci/run`.
    #[arg(long)]
    long: bool,
}

/// What the test programs said.
#[derive(Default, Debug)]
struct Tally {
    passed: u32,
    failed: u32,
    /// What was skipped, with its reason and how often.
    skipped: BTreeMap<String, u32>,
    /// Tests that printed SKIPPED: they count as passed for the test program, and not here.
    skipping: BTreeSet<String>,
    /// The test whose output is being read.
    section: Option<String>,
    /// Tests that failed, each with the last lines that it printed.
    failures: BTreeMap<String, VecDeque<String>>,
    /// What is read now is the output of tests that passed.
    quiet: bool,
}

/// Lines of a failed test that are printed again at the end, where they are found.
const LINES_OF_FAILURE: usize = 40;

/// Runs everything; fails when a test failed.
#[expect(
    clippy::disallowed_methods,
    reason = "how long the tests took is told at the end"
)]
pub(crate) fn test(arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    setup::toolchain()?;
    let path = shell::target_dir().join("test.log");
    let mut log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("what the tests print goes to {}", path.display()));
    let mut tally = Tally::default();
    for (what, reason) in setup::test_programs() {
        *tally.skipped.entry(format!("{what}: {reason}")).or_insert(0) += 1;
    }
    // The live tests start the sensor's own binary, which cargo builds for its own package's tests only.
    shell::run(shell::cargo().args(["build", "--workspace", "--bins"]))?;
    let (live, others) = integration_tests()?;
    let mut suites = vec![suite(&["--lib", "--bins"], &others), suite(&["--doc"], &[])];
    // One after the other: each observes processes of its own, and all share two cores and the deadlines.
    suites.push(suite(&[], &live));
    let sequential = suites.len() - 1;
    for (index, mut cargo) in suites.into_iter().enumerate() {
        cargo.args(["--", "--show-output"]);
        if index == sequential {
            cargo.arg("--test-threads=1");
        }
        if arguments.long {
            cargo.arg("--include-ignored");
        }
        tally.run(cargo, &mut log)?;
    }
    if arguments.long {
        tally.kernels()?;
    }
    say(&format!("\ntests took {} s", started.elapsed().as_secs()));
    tally.report();
    if tally.failed > 0 {
        bail!("{} failed", tally.failed);
    }
    Ok(())
}

/// Names of the integration tests: those that observe the running kernel, and the others.
fn integration_tests() -> Result<(Vec<String>, Vec<String>)> {
    let mut cargo = shell::cargo();
    cargo
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit());
    let metadata: Value = serde_json::from_slice(&cargo.output()?.stdout).context("cargo metadata")?;
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let targets = array(&metadata["packages"])
        .into_iter()
        .flat_map(|package| array(&package["targets"]));
    let tests = targets.filter(|target| array(&target["kind"]).contains(&Value::from("test")));
    let names = tests.filter_map(|target| target["name"].as_str().map(str::to_owned));
    Ok(names.partition(|name| name.starts_with("live_")))
}

fn suite(targets: &[&str], tests: &[String]) -> Command {
    let mut cargo = shell::cargo();
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(targets);
    cargo.args(tests.iter().flat_map(|test| ["--test", test]));
    cargo
}

impl Tally {
    /// Runs one cargo, reading its output as it comes. All of it goes into `log`; what tests that passed print is not
    /// shown.
    fn run(&mut self, mut cargo: Command, log: &mut dyn Write) -> Result<()> {
        say(&format!("\n$ {}", shell::line(&cargo)));
        let mut child = cargo
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo test")?;
        let failed_before = self.failed;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).split(b'\n') {
                let line = String::from_utf8_lossy(&line?).into_owned();
                if self.read(&line) {
                    say(&line);
                }
                writeln!(log, "{line}").context("cannot write test.log")?;
            }
        }
        let status = child.wait()?;
        if !status.success() && self.failed == failed_before {
            // No test program counted it: a build that failed, or a test program that died.
            self.failed += 1;
            let line = shell::line(&cargo);
            self.failures.insert(format!("{line}: {status}"), VecDeque::new());
        }
        Ok(())
    }

    /// Lines of the standard test program: `---- NAME stdout ----` before the output of a test,
    /// `test NAME ... ignored, REASON`, and `test result: ok. 3 passed; 0 failed; ...`. Whether a person wants to see it
    /// is given.
    fn read(&mut self, line: &str) -> bool {
        if let Some(rest) = line.strip_prefix("---- ") {
            self.section = rest.strip_suffix(" stdout ----").map(str::to_owned);
            return !self.quiet;
        }
        if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.insert(name.to_owned(), VecDeque::new());
            return true;
        }
        if matches!(line, "failures:" | "successes:") || line.starts_with("test result: ") {
            self.section = None;
            self.quiet = line == "successes:";
        }
        if let Some(lines) = self
            .section
            .as_ref()
            .and_then(|section| self.failures.get_mut(section))
        {
            lines.push_back(line.to_owned());
            if lines.len() > LINES_OF_FAILURE {
                lines.pop_front();
            }
        }
        self.count(line);
        !self.quiet
    }

    fn count(&mut self, line: &str) {
        if let Some(skip) = line.strip_prefix("SKIPPED ") {
            *self.skipped.entry(skip.to_owned()).or_insert(0) += 1;
            if let Some(section) = &self.section {
                self.skipping.insert(section.clone());
            }
        } else if let Some(rest) = line.strip_prefix("test result: ") {
            self.passed += count(rest, "passed");
            self.failed += count(rest, "failed");
            let skipping = u32::try_from(std::mem::take(&mut self.skipping).len()).unwrap_or(u32::MAX);
            self.passed = self.passed.saturating_sub(skipping);
            self.section = None;
        } else if let Some((name, reason)) = ignored(line) {
            let reason = if reason.is_empty() {
                "ignored; --long runs it"
            } else {
                reason
            };
            *self.skipped.entry(format!("{name}: {reason}")).or_insert(0) += 1;
        }
    }

    /// Boots the kernels that `.ci/run` leaves out.
    fn kernels(&mut self) -> Result<()> {
        let (passed, failed, skipped) = vm::long()?;
        self.passed += passed;
        self.failed += failed;
        for what in skipped {
            *self.skipped.entry(what).or_insert(0) += 1;
        }
        Ok(())
    }

    fn report(&self) {
        for (what, times) in &self.skipped {
            let times = if *times > 1 {
                format!(" ({times} times)")
            } else {
                String::new()
            };
            say(&format!("SKIPPED {what}{times}"));
        }
        for (name, lines) in &self.failures {
            say(&format!("\nFAILED {name}"));
            for line in lines {
                say(&format!("    {line}"));
            }
        }
        say(&self.summary());
    }

    fn summary(&self) -> String {
        let skipped: u32 = self.skipped.values().sum();
        format!(
            "{} passed, {} failed, {skipped} skipped",
            self.passed, self.failed
        )
    }
}

/// Prints a line. A program that was started with this one's terminal or pipe may have made it non-blocking (Node.js
/// does); then it is full now and then, and `println!` would end the run.
fn say(line: &str) {
    let text = format!("{line}\n");
    let Ok(descriptor) = std::io::stdout().as_fd().try_clone_to_owned() else {
        return;
    };
    let mut out = File::from(descriptor);
    let mut rest = text.as_bytes();
    let mut patience = 6000_u32;
    while !rest.is_empty() && patience > 0 {
        match out.write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                patience -= 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            // Nobody reads: the tests go on, and the exit code tells.
            Err(_) => return,
        }
    }
}

/// The number before a word: `3 passed`.
fn count(text: &str, word: &str) -> u32 {
    let mut before = "";
    for this in text.split_whitespace() {
        if this.trim_end_matches(';') == word {
            return before.parse().unwrap_or(0);
        }
        before = this;
    }
    0
}

fn ignored(line: &str) -> Option<(&str, &str)> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let reason = verdict.strip_prefix("ignored")?;
    Some((name, reason.trim_start_matches(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_a_test_that_skipped_as_skipped_and_not_as_passed() {
        let mut tally = Tally::default();
        let output = "running 4 tests\n\
            test a ... ok\n\
            test b ... ok\n\
            test c ... FAILED\n\
            test d ... ignored, takes an hour\n\
            \n\
            successes:\n\
            \n\
            ---- b stdout ----\n\
            SKIPPED nginx: not installed\n\
            \n\
            failures:\n\
            \n\
            ---- c stdout ----\n\
            thread panicked\n\
            \n\
            test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        for line in output.lines() {
            tally.read(line);
        }
        assert_eq!(tally.summary(), "8 passed, 1 failed, 2 skipped");
        assert!(tally.skipped.contains_key("nginx: not installed"));
        assert!(tally.skipped.contains_key("d: takes an hour"));
        let failures: Vec<_> = tally.failures.into_iter().collect();
        assert_eq!(
            failures,
            [(
                "c".to_owned(),
                VecDeque::from(["thread panicked".to_owned(), String::new()])
            )]
        );
    }

    #[test]
    fn a_test_that_skips_two_parts_is_one_test_and_two_skips() {
        let mut tally = Tally::default();
        let output =
            "---- b stdout ----\nSKIPPED x: no\nSKIPPED y: no\ntest result: ok. 1 passed; 0 failed;\n";
        for line in output.lines() {
            tally.read(line);
        }
        assert_eq!(tally.summary(), "0 passed, 0 failed, 2 skipped");
    }

    #[test]
    fn a_cargo_that_fails_without_a_test_is_a_failure() {
        let mut tally = Tally::default();
        tally.run(Command::new("false"), &mut Vec::new()).unwrap();
        assert_eq!(tally.summary(), "0 passed, 1 failed, 0 skipped");
    }
}
