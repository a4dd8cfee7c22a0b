//! What is shown at the end: kernels across, tests down.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::outcome::Outcome;

/// One kernel's run.
pub(crate) struct Run {
    /// Its name in kernels.toml.
    pub(crate) kernel: String,
    /// What it said.
    pub(crate) outcome: Outcome,
    /// How long it took, from before the boot to after the end.
    pub(crate) seconds: u64,
}

/// Prints a log whole.
pub(crate) fn show(log: &Path) -> Result<()> {
    println!("---- {}", log.display());
    println!("{}", String::from_utf8_lossy(&fs::read(log)?));
    Ok(())
}

/// Prints the table, what was skipped and why, and what the tests want told.
pub(crate) fn table(runs: &[Run]) {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.outcome.tests.keys()).collect();
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0).max(6);
    println!();
    print!("{:width$}", "");
    for run in runs {
        print!(" {:>8}", run.kernel);
    }
    println!();
    for name in names {
        print!("{name:width$}");
        for run in runs {
            print!(
                " {:>8}",
                run.outcome.tests.get(name).map_or("-", |verdict| verdict.name())
            );
        }
        println!();
    }
    print!("{:width$}", "seconds");
    for run in runs {
        print!(" {:>8}", run.seconds);
    }
    println!();
    for run in runs {
        let Run { kernel, outcome, .. } = run;
        for line in &outcome.seen {
            println!("{kernel} ({}): {line}", outcome.release);
        }
        for line in &outcome.skipped {
            println!("SKIPPED on {kernel}: {line}");
        }
        if let Some(problem) = &outcome.problem {
            println!("FAIL on {kernel}: {problem}");
        }
    }
}
