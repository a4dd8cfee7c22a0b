//! The shop, and the script that plays against it.

use std::process::Stdio;
use std::time::Duration;

use sensor_tests::programs;
use sensor_tests::servers::Certificate;
use sensor_tests::wait::Deadline;
use sensor_tests::{Guard, PrivateTls, apps, guard};
use serde_json::Value as Json;
use tempfile::TempDir;

/// The script stops itself after 300 s; it takes some fifty where two cores are busy.
const PLAYING: Duration = Duration::from_secs(320);

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Twin {
    Weak,
    Repaired,
}

impl Twin {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Repaired => "repaired",
        }
    }
}

/// A running shop.
pub(crate) struct Shop {
    twin: Twin,
    guard: Guard,
    certificate: Certificate,
    /// What it said at its start: ports, and a token of last week.
    said: Json,
    pub(crate) tls: PrivateTls,
    _directory: TempDir,
}

/// What the script did.
pub(crate) struct Played {
    /// Exchanges of both phases, those that met nobody left out.
    pub(crate) exchanges: u64,
    pub(crate) steps: Vec<Step>,
    /// The script's own lines.
    pub(crate) lines: String,
}

/// One attack and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) weakness: String,
    /// Request lines with names in place of values.
    pub(crate) requests: Vec<String>,
    /// Whether the harm was done, as this twin should have it.
    pub(crate) is_as_expected: bool,
    line: String,
}

impl Shop {
    /// Starts a twin; skips, aloud, when something is missing.
    pub(crate) fn start(what: &str, twin: Twin) -> Option<Self> {
        if let Some(reason) = apps::missing() {
            programs::skipped(what, &reason);
            return None;
        }
        let tls = PrivateTls::new().unwrap();
        let directory = TempDir::with_prefix("api-sensor-shop-").unwrap();
        let certificate = Certificate::create(directory.path()).unwrap();
        let mut command = apps::python("shop").unwrap();
        command
            .arg(directory.path())
            .arg(&certificate.certificate)
            .arg(&certificate.key);
        command.args((twin == Twin::Repaired).then_some("--repaired"));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut guard = Guard::start(tls.apply(&mut command)).unwrap();
        let line = guard.first_line().unwrap();
        let said = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{what}: {error} in {line:?}"));
        Some(Self {
            twin,
            guard,
            certificate,
            said,
            tls,
            _directory: directory,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Plays ordinary use and every attack. The script's Python uses the system's own library, which nobody observes.
    pub(crate) fn play(&self) -> Played {
        let mut command = apps::python("traffic").unwrap();
        for port in ["tls", "plain"] {
            command.arg(format!("--{port}")).arg(self.said[port].to_string());
        }
        command.arg("--kept").arg(self.said["kept"].as_str().unwrap());
        command.arg("--authority").arg(&self.certificate.certificate);
        let lines = guard::run(&mut command, Deadline::after(PLAYING)).unwrap();
        let all: Vec<Json> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let end = all.iter().find(|line| line["phase"] == "end").unwrap();
        let steps = all.iter().filter(|line| line["phase"] == "attack");
        let unanswered = steps.clone().filter(|line| line["status"] == 0).count() as u64;
        println!("{}: {end}", self.twin.name());
        Played {
            exchanges: end["exchanges"].as_u64().unwrap() - unanswered,
            steps: steps.map(|line| Step::read(line, self.twin)).collect(),
            lines,
        }
    }
}

impl Step {
    fn read(line: &Json, twin: Twin) -> Self {
        let class = line["status"].as_u64().unwrap() / 100;
        let harm = line["effect"].as_bool();
        let requests = line["requests"].as_array().unwrap();
        Self {
            weakness: line["weakness"].as_str().unwrap().to_owned(),
            requests: requests
                .iter()
                .map(|request| request.as_str().unwrap().to_owned())
                .collect(),
            is_as_expected: line["expected"][twin.name()] == class
                && harm.is_none_or(|harm| harm == (twin == Twin::Weak)),
            line: line.to_string(),
        }
    }
}

impl Played {
    /// Whatever the sensor sees: the weak twin gives way, the repaired one does not.
    pub(crate) fn assert_answers(&self) {
        let odd: Vec<_> = self.steps.iter().filter(|step| !step.is_as_expected).collect();
        let odd: Vec<_> = odd.iter().map(|step| &step.line).collect();
        assert!(odd.is_empty(), "the shop itself is not as written: {odd:#?}");
    }
}
