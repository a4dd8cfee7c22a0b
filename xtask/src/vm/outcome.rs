//! What the guest's tests said, read from its serial line.

use std::collections::BTreeMap;

/// The line that the guest's first program writes last, before its code.
pub(crate) const END: &str = "GUEST-END ";

/// How one test ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It passed.
    Pass,
    /// It failed.
    Fail,
    /// It, or a part of it, said why it did not run.
    Skipped,
}

impl Verdict {
    /// As shown in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Skipped => "SKIPPED",
        }
    }
}

/// Everything one guest said.
#[derive(Default, Debug)]
pub(crate) struct Outcome {
    /// `uname -r` of the guest.
    pub(crate) release: String,
    /// Verdicts by test.
    pub(crate) tests: BTreeMap<String, Verdict>,
    /// SKIPPED lines.
    pub(crate) skipped: Vec<String>,
    /// Lines that begin `SEEN `: what a test found and wants told, such as the backend in use.
    pub(crate) seen: Vec<String>,
    /// Rows of measured tables: lines that begin `ROW `.
    pub(crate) rows: Vec<String>,
    /// Why the run as a whole is a failure.
    pub(crate) problem: Option<String>,
}

impl Outcome {
    /// Reads the log: lines of the standard test program, and the guest's own.
    pub(crate) fn read(log: &str) -> Self {
        let mut outcome = Self::default();
        let mut section: Option<String> = None;
        let mut code = None;
        for line in log.lines().map(|line| line.trim_end_matches('\r')) {
            if let Some(rest) = line.strip_prefix("test ") {
                outcome.verdict(rest);
            } else if let Some(rest) = line.strip_prefix("---- ") {
                section = rest.strip_suffix(" stdout ----").map(str::to_owned);
            } else if let Some(rest) = line.strip_prefix("SKIPPED ") {
                outcome.skipped.push(rest.to_owned());
                if let Some(name) = &section
                    && outcome.tests.get(name) == Some(&Verdict::Pass)
                {
                    outcome.tests.insert(name.clone(), Verdict::Skipped);
                }
            } else if let Some(rest) = line.strip_prefix("SEEN ") {
                outcome.seen.push(rest.to_owned());
            } else if let Some(rest) = line.strip_prefix("ROW ") {
                outcome.rows.push(rest.to_owned());
            } else if let Some(rest) = line.strip_prefix("GUEST-KERNEL ") {
                rest.clone_into(&mut outcome.release);
            } else if let Some(rest) = line.strip_prefix(END) {
                code = rest.trim().parse::<i32>().ok();
            }
        }
        outcome.problem = match code {
            None => Some("the guest ended without a word: its kernel did not boot or panicked".to_owned()),
            Some(0) if outcome.tests.is_empty() => Some("no test ran".to_owned()),
            Some(0) => None,
            Some(code) => Some(format!("the tests ended with {code}")),
        };
        outcome
    }

    /// `NAME ... ok`, `NAME ... FAILED`, `NAME ... ignored`.
    fn verdict(&mut self, rest: &str) {
        let Some((name, verdict)) = rest.split_once(" ... ") else {
            return;
        };
        let verdict = match verdict.split_whitespace().next() {
            Some("ok") => Verdict::Pass,
            Some("FAILED") => Verdict::Fail,
            _ => return,
        };
        self.tests.insert(name.to_owned(), verdict);
    }

    /// Whether everything that ran passed and the run came to its end.
    pub(crate) fn is_good(&self) -> bool {
        self.problem.is_none() && self.tests.values().all(|verdict| *verdict != Verdict::Fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "GUEST-KERNEL 6.1.0-56-cloud-amd64\r\n\
        test loads ... ok\r\n\
        test sees ... ok\r\n\
        ---- sees stdout ----\r\n\
        SKIPPED nginx: not here\r\n\
        SEEN backend perf\r\n";

    #[test]
    fn verdicts_and_notes_are_read_and_a_skip_is_no_pass() {
        let outcome = Outcome::read(&format!("{LOG}GUEST-END 0\r\n"));
        assert!(outcome.is_good());
        assert_eq!(outcome.release, "6.1.0-56-cloud-amd64");
        assert_eq!(outcome.tests["loads"], Verdict::Pass);
        assert_eq!(outcome.tests["sees"], Verdict::Skipped);
        assert_eq!(outcome.seen, ["backend perf"]);
    }

    #[test]
    fn a_guest_that_never_said_its_last_word_failed() {
        assert!(!Outcome::read(LOG).is_good());
        assert!(!Outcome::read("").is_good());
        assert!(!Outcome::read("GUEST-END 0\n").is_good(), "nothing ran");
        assert!(!Outcome::read(&format!("{LOG}GUEST-END 101\n")).is_good());
        let failed = LOG.replace("sees ... ok", "sees ... FAILED");
        assert!(!Outcome::read(&format!("{failed}GUEST-END 0\n")).is_good());
    }
}
