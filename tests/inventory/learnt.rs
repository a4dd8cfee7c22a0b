//! What the sensor learnt of the clinic, held against the clinic's own log and document.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use sensor_tests::judges::{self, Judge};
use sensor_tests::programs;
use serde_json::Value as Json;

use crate::clinic::{Answered, Clinic, Operation, REFUSED, operations};
use crate::sensor::{Sensor, command, lines, root_command};

/// What is known after the sensor ended.
struct Learnt {
    /// Lines of `api-sensor inventory --json`.
    inventory: Vec<Json>,
    /// `api-sensor openapi`.
    document: Json,
}

impl Learnt {
    /// Asks the commands that a user asks.
    fn of(sensor: &Sensor) -> Self {
        let said = |name: &str, more: &[&str]| {
            let mut command: Command = command(name, &[]).unwrap();
            command.arg(name).args(more);
            command
                .arg("--store")
                .arg(sensor.state_directory().join("store.sqlite3"));
            let output = command.output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {errors}");
            String::from_utf8(output.stdout).unwrap()
        };
        Self {
            inventory: lines(&said("inventory", &["--json"])),
            document: serde_json::from_str(&said("openapi", &[])).unwrap(),
        }
    }

    /// What the inventory calls an endpoint: what has no confidence is kept for findings only.
    fn endpoints(&self) -> BTreeSet<Operation> {
        let endpoints = self.inventory.iter().filter(|line| !line["confidence"].is_null());
        endpoints
            .map(|line| {
                let text = |name: &str| line[name].as_str().unwrap();
                Operation::new(text("http.request.method"), text("url.template"))
            })
            .collect()
    }
}

/// What the learner of templates gets wrong here: each is still so, or the test fails.
const KNOWN: &[Known] = &[];

/// One of these.
enum Known {
    /// Values at this path are taken for words of it.
    Split(&'static str, &'static str),
    /// An operation that is none.
    Invented(&'static str, &'static str, &'static str),
}

impl Known {
    /// Whether it is why an operation was invented.
    fn explains(&self, invented: &Operation) -> bool {
        match self {
            Self::Split(path, _) => is_one_of(&invented.path, path),
            Self::Invented(method, path, _) => invented.method == *method && invented.path == *path,
        }
    }

    /// Whether calls of this operation went elsewhere.
    fn splits(&self, wanted: &Operation) -> bool {
        matches!(self, Self::Split(path, _) if *path == wanted.path)
    }

    /// Says what it comes to; complains where it is so no more.
    fn tell(&self, what: &str, invented: &BTreeSet<Operation>) -> Option<String> {
        let count = invented
            .iter()
            .filter(|operation| self.explains(operation))
            .count();
        let (path, why) = match self {
            Self::Split(path, why) | Self::Invented(_, path, why) => (path, why),
        };
        println!("KNOWN {what}: {count} invented for {path}: {why}");
        (count == 0).then(|| format!("{what}: {path} is right now, and still in KNOWN"))
    }
}

/// Whether a path is one with words where the other has values.
fn is_one_of(path: &str, wanted: &str) -> bool {
    let fits = |(found, wanted): (&str, &str)| found == wanted || wanted == "{}";
    path != wanted
        && path.split('/').count() == wanted.split('/').count()
        && std::iter::zip(path.split('/'), wanted.split('/')).all(fits)
}

/// What is in one set and not in the other, beyond what is known. An operation of which all calls were taken for others
/// is not missing.
fn compare(
    what: &str,
    known: &[Known],
    found: &BTreeSet<Operation>,
    wanted: &BTreeSet<Operation>,
) -> Vec<String> {
    let tell =
        |word: &str, operation: &Operation| format!("{what}: {word} {} {}", operation.method, operation.path);
    let invented: BTreeSet<Operation> = found.difference(wanted).cloned().collect();
    let odd = invented
        .iter()
        .filter(|operation| !known.iter().any(|one| one.explains(operation)));
    let missing = wanted
        .difference(found)
        .filter(|operation| !known.iter().any(|one| one.splits(operation)));
    let right = known.iter().filter_map(|one| one.tell(what, &invented));
    right
        .chain(odd.map(|operation| tell("invented", operation)))
        .chain(missing.map(|operation| tell("missing", operation)))
        .collect()
}

/// The statuses of each operation in the document are those that were answered, all successes among them. What comes
/// before the first success of an operation, such as a 401, may be counted with what was asked in vain. Of what is known to
/// be split a part is there.
fn statuses(found: &BTreeMap<Operation, BTreeSet<u64>>, answered: &Answered) -> Vec<String> {
    let mut complaints = Vec::new();
    let whole = found
        .iter()
        .filter(|(operation, _)| !KNOWN.iter().any(|one| one.splits(operation)));
    for (operation, statuses) in whole {
        let Some(answers) = answered.operations.get(operation) else {
            continue;
        };
        let successes: BTreeSet<u64> = answers.iter().copied().filter(|status| *status < 300).collect();
        if !statuses.is_superset(&successes) || !statuses.is_subset(answers) {
            complaints.push(format!(
                "{operation:?} is described with {statuses:?} and answered {answers:?}"
            ));
        }
    }
    complaints
}

fn judged(document: &Json, judge: Result<Judge, String>) -> Option<String> {
    let judge = match judge {
        Ok(judge) => judge,
        Err(reason) => {
            programs::skipped("a judge of OpenAPI", &reason);
            return None;
        }
    };
    let complaint = judge.reads(&format!("{document:#}")).err()?;
    Some(format!("{complaint:#}"))
}

/// Calls the clinic under the sensor; nothing where there can be none. The clinic's own answers are checked in any case,
/// and first: each documented operation was reached, and the document is the application's own.
fn observe(what: &str, clinic: &Clinic) -> Option<(Answered, Learnt)> {
    let sensor = root_command(what, &[]).and_then(|mut command| {
        command.args(["run", "--output", "json", "--metrics-listen", "off"]);
        command.arg("--pid").arg(clinic.pid().to_string());
        command.arg("--library").arg(clinic.tls.libssl());
        Sensor::start(what, command, "")
    });
    let answered = clinic.call();
    let reached = |wanted: fn(u64) -> bool| -> BTreeSet<Operation> {
        let operations = answered.operations.iter();
        let reached = operations.filter(|(_, statuses)| statuses.iter().any(|status| wanted(*status)));
        reached.map(|(operation, _)| operation.clone()).collect()
    };
    let documented: BTreeSet<Operation> = operations(&Clinic::document()).into_keys().collect();
    assert_eq!(reached(|_| true), documented, "{what}: called, and documented");
    let succeeded = reached(|status| (200..300).contains(&status));
    assert_eq!(
        succeeded, documented,
        "{what}: answered with success, and documented"
    );
    let mut sensor = sensor?;
    clinic.tls.assert_mapped(clinic.pid()).unwrap();
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    let lines = lines(&sensor.stdout());
    let seen = lines.iter().filter(|line| line["type"] == "exchange").count();
    assert_eq!(seen, answered.exchanges + REFUSED, "{what}: exchanges");
    let learnt = Learnt::of(&sensor);
    Some((answered, learnt))
}

#[test]
fn what_was_called_is_in_the_inventory_and_in_a_valid_document() {
    let what = "an API called as its document says";
    let Some(clinic) = Clinic::start(what) else {
        return;
    };
    let Some((answered, learnt)) = observe(what, &clinic) else {
        return;
    };
    let called: BTreeSet<Operation> = answered.operations.keys().cloned().collect();
    let described = operations(&learnt.document);
    println!(
        "{} exchanges, {} operations called, {} endpoints, {} described",
        answered.exchanges,
        called.len(),
        learnt.endpoints().len(),
        described.len()
    );
    let mut complaints = compare("inventory", KNOWN, &learnt.endpoints(), &called);
    let names = described.keys().cloned().collect();
    complaints.extend(compare("document", KNOWN, &names, &called));
    complaints.extend(statuses(&described, &answered));
    complaints.extend(judged(&learnt.document, judges::openapi_spec_validator()));
    complaints.extend(judged(&learnt.document, judges::redocly()));
    let text = learnt.document.to_string().to_lowercase();
    let told = clinic
        .personal()
        .filter(|value| text.contains(&value.to_lowercase()));
    complaints.extend(told.map(|value| format!("the document holds {value:?}")));
    assert!(
        complaints.is_empty(),
        "{what}: {complaints:#?}\n{:#}",
        learnt.document
    );
}

#[test]
fn operations_are_compared_without_the_names_of_parameters() {
    let bare = |path| Operation::new("get", path).path;
    assert_eq!(bare("/owners/{owner}/patients"), "/owners/{}/patients");
    assert_eq!(bare("/exports/{name}.csv"), "/exports/{}.csv");
    assert_eq!(bare("/owners/me"), "/owners/me");
    let sets = |paths: &[&str]| paths.iter().map(|path| Operation::new("GET", path)).collect();
    let complaints = compare("it", &[], &sets(&["/a", "/b/7"]), &sets(&["/a", "/b/{}"]));
    assert_eq!(complaints, ["it: invented GET /b/7", "it: missing GET /b/{}"]);
    let known = [Known::Split("/b/{}", "why"), Known::Invented("GET", "/c", "why")];
    assert_eq!(
        compare(
            "it",
            &known,
            &sets(&["/a", "/b/7", "/b/7/x", "/c"]),
            &sets(&["/a", "/b/{}"])
        ),
        ["it: invented GET /b/7/x"]
    );
    assert_eq!(
        compare("it", &known, &sets(&["/b/{}"]), &sets(&["/b/{}"])),
        [
            "it: /b/{} is right now, and still in KNOWN",
            "it: /c is right now, and still in KNOWN"
        ]
    );
}
