//! What the sensor says while the script plays, held against what the script says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sensor_tests::programs::Program;
use serde_json::Value as Json;

use crate::sensor::{Sensor, command, lines, root_command};
use crate::shop::{Played, Shop, Step, Twin};
use crate::table::{LANDED, Place, WEAKNESSES, Weakness};

/// A finding, as far as it is compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Found {
    rule: String,
    method: String,
    template: String,
    severity: String,
    evidence: String,
}

impl Found {
    fn read(line: &Json) -> Self {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        Self {
            rule: text("api_sensor.rule.id"),
            method: text("http.request.method"),
            template: text("url.template"),
            severity: text("api_sensor.severity"),
            evidence: text("api_sensor.evidence"),
        }
    }

    /// Whether it is at the endpoint of a request line. A place for a value stands for what the sensor has not folded
    /// too; a fixed segment stands for itself only.
    fn is_at(&self, request: &str) -> bool {
        let Some((method, path)) = request.split_once(' ') else {
            return false;
        };
        let (wanted, found): (Vec<_>, Vec<_>) =
            (path.split('/').collect(), self.template.split('/').collect());
        let fits = |(wanted, found): (&&str, &&str)| wanted == found || wanted.starts_with('{');
        method == self.method && wanted.len() == found.len() && wanted.iter().zip(&found).all(fits)
    }

    fn is_of(&self, weakness: &Weakness, steps: &[Step]) -> bool {
        let requests = steps
            .iter()
            .filter(|step| step.weakness == weakness.name)
            .flat_map(|step| &step.requests);
        LANDED.contains(&self.rule.as_str())
            && weakness.rules.contains(&self.rule.as_str())
            && self.evidence.contains(weakness.says)
            && (weakness.place == Place::Anywhere || requests.into_iter().any(|request| self.is_at(request)))
    }
}

/// The sensor's command line for a shop.
fn watching(mut command: Command, shop: &Shop) -> Command {
    command.arg("--pid").arg(shop.pid().to_string());
    command.arg("--library").arg(shop.tls.libssl());
    command
}

/// Everything is told: the script does in a minute what others do in a week.
const UNBOUND: &str = "[alerts]\nper_hour = 100000\n";

/// A key of an installation, another in each run: what is found depends on none. It is printed, so that a run that fails
/// can be replayed.
fn any_key() -> [u8; 32] {
    let mut key = [0; 32];
    let mut random = fs::File::open("/dev/urandom").unwrap();
    random.read_exact(&mut key).unwrap();
    println!("key of the installation: {key:02x?}");
    key
}

/// Plays against a twin under the sensor. Gives what the script did, and the findings unless there can be no sensor:
/// the shop's own answers are checked in any case, and first.
fn observe(what: &str, twin: Twin) -> Option<(Played, Vec<Found>)> {
    let shop = Shop::start(what, twin)?;
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&key)
        .unwrap();
    file.write_all(&any_key()).unwrap();
    let config = format!("{UNBOUND}[state]\nkey_file = {:?}\n", key.display().to_string());
    let sensor = root_command(what, &[]).and_then(|mut command| {
        command.args(["run", "--output", "json", "--metrics-listen", "off"]);
        Sensor::start(what, watching(command, &shop), &config)
    });
    let played = shop.play();
    played.assert_answers();
    let attacked: BTreeSet<_> = played.steps.iter().map(|step| step.weakness.as_str()).collect();
    let known: BTreeSet<_> = WEAKNESSES.iter().map(|weakness| weakness.name).collect();
    assert_eq!(
        attacked, known,
        "{what}: the attacks, and the table of weaknesses"
    );
    let mut sensor = sensor?;
    shop.tls.assert_mapped(shop.pid()).unwrap();
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    let lines = lines(&sensor.stdout());
    let of = |kind: &'static str| lines.iter().filter(move |line| line["type"] == kind);
    assert_eq!(
        of("exchange").count() as u64,
        played.exchanges,
        "{what}: exchanges"
    );
    let found: BTreeSet<_> = of("finding").map(Found::read).collect();
    Some((played, found.into_iter().collect()))
}

/// Says of each rule how many distinct findings there were.
fn print_rules(twin: Twin, found: &[Found]) {
    let mut rules: BTreeMap<&str, u32> = BTreeMap::new();
    for one in found {
        *rules.entry(&one.rule).or_default() += 1;
    }
    println!("{}: distinct findings by rule: {rules:?}", twin.name());
}

#[test]
fn every_weakness_of_the_shop_is_found() {
    let what = "a weak shop";
    let Some((played, found)) = observe(what, Twin::Weak) else {
        return;
    };
    print_rules(Twin::Weak, &found);
    let (due, later): (Vec<&Weakness>, Vec<&Weakness>) =
        WEAKNESSES.iter().partition(|weakness| weakness.is_due());
    for weakness in &later {
        let rules = weakness.rules.join(" or ");
        println!("NOT YET {} ({rules}): no rule is switched on", weakness.name);
    }
    let missed: Vec<_> = due
        .iter()
        .filter(|weakness| !found.iter().any(|one| one.is_of(weakness, &played.steps)))
        .map(|weakness| weakness.name)
        .collect();
    println!(
        "weaknesses: {} found, {} without a rule, {} missed",
        due.len() - missed.len(),
        later.len(),
        missed.len()
    );
    assert!(missed.is_empty(), "{what}: missed {missed:?}; found: {found:#?}");
}

/// What a service that withstands an attack may be told of: that there was one, and which data it holds.
const INFORMATION: &str = "info";

/// Nothing above information, whatever the rule and wherever it is.
#[test]
fn nothing_is_told_of_the_repaired_shop() {
    let what = "a repaired shop";
    let Some((_, found)) = observe(what, Twin::Repaired) else {
        return;
    };
    print_rules(Twin::Repaired, &found);
    let (information, told): (Vec<_>, Vec<_>) = found.iter().partition(|one| one.severity == INFORMATION);
    for one in information {
        println!(
            "information: {} at {} {}: {}",
            one.rule, one.method, one.template, one.evidence
        );
    }
    assert!(told.is_empty(), "{what}: {told:#?}");
}

/// The table speaks of rules that are.
#[test]
fn rules_that_are_switched_on_exist() {
    let what = "the table of weaknesses";
    let Some(mut command) = command(what, &[]) else {
        return;
    };
    let output = command.args(["rules", "--json"]).output().unwrap();
    let rules: Json = serde_json::from_slice(&output.stdout).unwrap();
    let rules: Vec<&str> = rules
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|rule| rule["id"].as_str())
        .collect();
    let gone: Vec<_> = LANDED.iter().filter(|rule| !rules.contains(rule)).collect();
    assert!(gone.is_empty(), "no such rule: {gone:?}, of {rules:?}");
    for rule in rules.iter().filter(|rule| !LANDED.contains(rule)) {
        println!("rule {rule} exists and is not switched on in LANDED");
    }
}

#[test]
fn endpoints_are_compared_segment_by_segment() {
    let found = |template: &str| Found {
        rule: String::new(),
        method: "GET".to_owned(),
        template: template.to_owned(),
        severity: String::new(),
        evidence: String::new(),
    };
    for template in ["/api/orders/{id}", "/api/orders/7", "/api/orders/{orderId}"] {
        assert!(found(template).is_at("GET /api/orders/{id}"), "{template}");
    }
    for template in ["/api/orders", "/api/orders/{id}/tracking", "/api/{id}/7"] {
        assert!(!found(template).is_at("GET /api/orders/{id}"), "{template}");
    }
    assert!(!found("/api/orders/{id}").is_at("PUT /api/orders/{id}"));
}

/// Where recordings go: they hold made-up values only.
fn recordings() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("authorization")
}

#[test]
#[ignore = "writes recordings of both twins, for tuning rules by replay"]
fn recordings_of_both_twins() {
    let what = "recordings of the shop";
    fs::create_dir_all(recordings()).unwrap();
    for twin in [Twin::Weak, Twin::Repaired] {
        let Some(shop) = Shop::start(what, twin) else {
            return;
        };
        let Some(mut recorder) = root_command(what, &[Program::Openssl]) else {
            return;
        };
        let file = recordings().join(format!("{}.pcapng", twin.name()));
        fs::remove_file(&file).ok();
        recorder.arg("record").arg(&file);
        recorder.args(["--plaintext", "--i-understand-this-file-holds-secrets"]);
        let Some(mut recorder) = Sensor::start(what, watching(recorder, &shop), "") else {
            return;
        };
        let played = shop.play();
        assert_eq!(recorder.stop().code(), Some(0), "{}", recorder.stderr());
        fs::write(file.with_extension("jsonl"), &played.lines).unwrap();
        replayed(what, &file, &played);
        println!("{what}: {}", file.display());
    }
}

/// A replay has the same exchanges, and with the same key says the same to the byte.
fn replayed(what: &str, file: &Path, played: &Played) {
    let directory = tempfile::tempdir().unwrap();
    let once = || {
        let mut replay = command(what, &[]).unwrap();
        replay.arg("replay").arg(file).args(["--output", "json"]);
        replay.arg("--state-dir").arg(directory.path().join("state"));
        let output = replay.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}, replayed: {errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    let said = once();
    let exchanges = lines(&said)
        .iter()
        .filter(|line| line["type"] == "exchange")
        .count();
    assert_eq!(exchanges as u64, played.exchanges, "{what}, replayed");
    assert!(said == once(), "{what}: replayed again, something else is said");
}
