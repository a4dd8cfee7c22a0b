//! One suite: its cases, the exceptions committed for it, and the line that `cargo xtask conformance` reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

/// Failures that are shown in full; all are counted.
const SHOWN: usize = 20;

/// A suite under way. [`Suite::finish`] judges it.
#[derive(Debug)]
pub(crate) struct Suite {
    name: &'static str,
    /// Case to reason, from `tests/conformance/exceptions/NAME.toml`.
    exceptions: BTreeMap<String, String>,
    excepted: Vec<String>,
    cases: usize,
    passed: usize,
    skipped: usize,
    failures: Vec<String>,
}

impl Suite {
    /// A suite of that name, which is also that of its file of exceptions; no file means no exceptions.
    pub(crate) fn open(name: &'static str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("conformance/exceptions/{name}.toml"));
        let text = std::fs::read_to_string(file).unwrap_or_default();
        Self {
            name,
            exceptions: toml::from_str(&text).unwrap(),
            excepted: Vec::new(),
            cases: 0,
            passed: 0,
            skipped: 0,
            failures: Vec::new(),
        }
    }

    /// One case and what came of it. An exception that passes is a failure: it is to be taken off the list.
    pub(crate) fn case(&mut self, id: &str, outcome: Result<(), String>) {
        self.cases += 1;
        match (outcome, self.exceptions.contains_key(id)) {
            (Ok(()), false) => self.passed += 1,
            (Err(_), true) => self.excepted.push(id.to_owned()),
            (Ok(()), true) => self
                .failures
                .push(format!("{id}: passes, and is listed as an exception")),
            (Err(why), false) => self.failures.push(format!("{id}: {why}")),
        }
    }

    /// A case that cannot be run here. Not for what fails.
    pub(crate) fn skip(&mut self, id: &str, reason: &str) {
        self.skipped += 1;
        println!("SKIPPED {} {id}: {reason}", self.name);
    }

    /// The whole suite cannot be had.
    pub(crate) fn absent(self, reason: &str) {
        println!("SKIPPED suite {}: {reason}", self.name);
    }

    /// Tells the counts; fails when a case failed, an exception was not met, or nothing was run.
    pub(crate) fn finish(self) {
        let counts = json!({
            "suite": self.name, "cases": self.cases, "passed": self.passed, "excepted": self.excepted.len(),
            "skipped": self.skipped, "failed": self.failures.len(),
        });
        println!("SUITE {counts}");
        for failure in self.failures.iter().take(SHOWN) {
            println!("{}: {failure}", self.name);
        }
        assert!(
            self.failures.is_empty(),
            "{}: {} of {} failed",
            self.name,
            self.failures.len(),
            self.cases
        );
        assert!(self.cases > 0, "{}: no case was run", self.name);
        let unmet: Vec<_> = self
            .exceptions
            .keys()
            .filter(|id| !self.excepted.contains(id))
            .collect();
        assert!(
            unmet.is_empty(),
            "{}: exceptions without a case: {unmet:?}",
            self.name
        );
    }
}

/// Third-party data: `API_SENSOR_CORPORA`, or `../shared/corpora` beside the project.
pub(crate) fn corpora() -> PathBuf {
    std::env::var_os("API_SENSOR_CORPORA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora"),
        PathBuf::from,
    )
}

/// Files of a folder of the corpora, by name; the suite is told when there are none.
pub(crate) fn files(suite: Suite, folder: &str) -> Option<(Suite, Vec<PathBuf>)> {
    let directory = corpora().join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort_unstable();
    if files.is_empty() {
        suite.absent(&format!(
            "{folder} is not in the corpora (API_SENSOR_CORPORA names their directory)"
        ));
        return None;
    }
    Some((suite, files))
}
