//! The clinic, and schemathesis, which calls it as its document says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use sensor_tests::programs::{self, Program};
use sensor_tests::servers::Certificate;
use sensor_tests::wait::Deadline;
use sensor_tests::{Guard, PrivateTls, apps, guard, testbed};
use serde_json::Value as Json;
use tempfile::TempDir;

/// It takes ten seconds alone on two cores.
const CALLING: Duration = Duration::from_mins(2);

/// Examples of each operation in the random phase: few values for each template, as in the first minutes of an API.
const EXAMPLES: &str = "25";

/// What the clinic's answers are held to, so that its document is a true one. The other checks are of taste.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// Method and path; parameters have no names: `GET /api/v1/owners/{}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
}

impl Operation {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let mut bare = String::new();
        let mut rest = path;
        while let Some((before, (_, after))) = rest
            .split_once('{')
            .and_then(|(before, inside)| Some((before, inside.split_once('}')?)))
        {
            bare.push_str(before);
            bare.push_str("{}");
            rest = after;
        }
        Self {
            method: method.to_ascii_uppercase(),
            path: bare + rest,
        }
    }
}

/// Those of a document of `OpenAPI`, each with the status codes that it names.
pub(crate) fn operations(document: &Json) -> BTreeMap<Operation, BTreeSet<u64>> {
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let members = item.as_object().unwrap().iter();
        for (method, operation) in members.filter(|(name, _)| *name != "parameters") {
            let responses = operation["responses"].as_object().unwrap();
            let statuses = responses.keys().filter_map(|status| status.parse().ok());
            found.insert(Operation::new(method, path), statuses.collect());
        }
    }
    found
}

/// What schemathesis sends first, to learn what its client and the server let through: a field of one NUL. uvicorn answers
/// it with 400 before the application hears of it.
pub(crate) const REFUSED: usize = 1;

/// A running clinic.
pub(crate) struct Clinic {
    guard: Guard,
    certificate: Certificate,
    said: Json,
    pub(crate) tls: PrivateTls,
    directory: TempDir,
}

/// What the clinic answered, by its own log.
pub(crate) struct Answered {
    /// All of it.
    pub(crate) exchanges: usize,
    /// What its framework matched, each with the status codes of the answers.
    pub(crate) operations: BTreeMap<Operation, BTreeSet<u64>>,
}

impl Clinic {
    /// Starts it; skips, aloud, when something is missing.
    pub(crate) fn start(what: &str) -> Option<Self> {
        let driver = testbed::schemathesis().join("schemathesis");
        let absent = (!driver.is_dir()).then(|| "no schemathesis; cargo xtask test installs it".to_owned());
        if let Some(reason) = apps::missing().or(absent) {
            programs::skipped(what, &reason);
            return None;
        }
        let tls = PrivateTls::new().unwrap();
        let directory = TempDir::with_prefix("api-sensor-clinic-").unwrap();
        let certificate = Certificate::create(directory.path()).unwrap();
        let mut command = apps::python("clinic").unwrap();
        command
            .arg(directory.path().join("log"))
            .arg(&certificate.certificate)
            .arg(&certificate.key);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut guard = Guard::start(tls.apply(&mut command)).unwrap();
        let line = guard.first_line().unwrap();
        let said = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{what}: {error} in {line:?}"));
        Some(Self {
            guard,
            certificate,
            said,
            tls,
            directory,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Values of persons that it holds: in no description of it.
    pub(crate) fn personal(&self) -> impl Iterator<Item = &str> {
        self.said["personal"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_str().unwrap())
    }

    /// Its document, written by hand.
    pub(crate) fn document() -> Json {
        let text = fs::read_to_string(apps::directory().join("clinic/openapi.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Calls everything that is documented: by example, at the limits of each value and beyond, at random from a fixed
    /// seed, and along the links. Its Python uses the system's own TLS library, which nobody observes.
    pub(crate) fn call(&self) -> Answered {
        let mut command = Command::new(Program::Python.find().unwrap());
        command
            .args(["-m", "schemathesis.cli", "run", "--no-color"])
            .arg(apps::directory().join("clinic/openapi.json"))
            .args(["--url", &format!("https://127.0.0.1:{}", self.said["port"])])
            .arg("--tls-verify")
            .arg(&self.certificate.certificate);
        let token = self.said["token"].as_str().unwrap();
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
        command.args(["--generation-deterministic", "--max-examples", EXAMPLES]);
        command.args([
            "--phases",
            "examples,coverage,fuzzing,stateful",
            "--checks",
            CHECKS,
        ]);
        command
            .env("PYTHONPATH", testbed::schemathesis())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(self.directory.path());
        let said = guard::run(&mut command, Deadline::after(CALLING)).unwrap();
        for line in said.lines().filter(|line| line.contains(" generated, ")) {
            println!("schemathesis: {}", line.trim());
        }
        self.answered()
    }

    fn answered(&self) -> Answered {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap();
        let lines: Vec<Json> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut operations: BTreeMap<Operation, BTreeSet<u64>> = BTreeMap::new();
        for line in &lines {
            if let Some(route) = line["route"].as_str() {
                let operation = Operation::new(line["method"].as_str().unwrap(), route);
                let statuses = operations.entry(operation).or_default();
                statuses.insert(line["status"].as_u64().unwrap());
            }
        }
        Answered {
            exchanges: lines.len(),
            operations,
        }
    }
}
