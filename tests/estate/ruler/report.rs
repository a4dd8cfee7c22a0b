//! The measurement as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::clock::SECOND;
use super::super::truth::{Instance, Kind, Speed};
use super::super::world::World;
use super::table::ROWS;
use super::{Caught, Ruler, Tally};

/// Attacks of some kinds, and how many of them were found.
#[derive(Default)]
struct Found {
    all: usize,
    caught: usize,
    /// By speed: all and caught.
    speeds: [(usize, usize); Speed::ALL.len()],
    /// Of those found: exchanges and seconds until then, each in order.
    exchanges: Vec<u64>,
    seconds: Vec<u64>,
}

impl Found {
    fn add(&mut self, instance: &Instance, caught: Option<Caught>) {
        let speed = &mut self.speeds[instance.speed as usize];
        self.all += 1;
        speed.0 += 1;
        if let Some(caught) = caught {
            self.caught += 1;
            speed.1 += 1;
            self.exchanges.push(caught.exchanges.into());
            self.seconds.push(caught.after / SECOND);
        }
    }

    fn json(&mut self) -> Value {
        self.exchanges.sort_unstable();
        self.seconds.sort_unstable();
        let speeds: BTreeMap<_, _> = Speed::ALL
            .iter()
            .map(|speed| {
                let (all, caught) = self.speeds[*speed as usize];
                (
                    speed.name(),
                    json!({"attacks": all, "found": caught, "recall": share(caught, all)}),
                )
            })
            .collect();
        json!({
            "attacks": self.all,
            "found": self.caught,
            "recall": share(self.caught, self.all),
            "speeds": speeds,
            "time_to_detect": {
                "exchanges": {"median": at(&self.exchanges, 50), "p90": at(&self.exchanges, 90)},
                "seconds": {"median": at(&self.seconds, 50), "p90": at(&self.seconds, 90)},
            },
        })
    }
}

/// `None` of nothing.
fn share(part: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| (part as f64 / of as f64 * 1e4).round() / 1e4)
}

fn at(sorted: &[u64], percent: usize) -> Option<u64> {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
}

/// Everything that was measured. Depends on seed and sensor alone.
pub(crate) fn measure(world: &World, ruler: &Ruler) -> Value {
    let attacks = || {
        let all = world.truth.instances.iter().zip(&ruler.seen).enumerate();
        all.filter(|(_, one)| one.0.exchanges > 0)
    };
    let mut all = Found::default();
    let mut kinds = serde_json::Map::new();
    for kind in Kind::ALL {
        let mut found = Found::default();
        for (_, (instance, seen)) in attacks().filter(|(_, one)| one.0.kind == *kind) {
            let first = seen.caught.values().min_by_key(|caught| caught.after).copied();
            found.add(instance, first);
            all.add(instance, first);
        }
        kinds.insert(kind.name().to_owned(), found.json());
    }
    let mut sum = Tally::default();
    ruler.tallies.values().for_each(|tally| sum.add(tally));
    let mut overall = all.json();
    merge(&mut overall, precision(&sum, all.caught, world.truth.benign));
    json!({
        "seed": world.seed,
        "exchanges": exchanges(world, ruler),
        "overall": overall,
        "rules": rules(world, ruler),
        "kinds": kinds,
        "false_causes": causes(ruler),
        "attacks": attacks().map(|(id, (instance, seen))| attack(id, instance, seen)).collect::<Vec<_>>(),
    })
}

fn exchanges(world: &World, ruler: &Ruler) -> Value {
    let truth = &world.truth;
    let patterns: BTreeMap<_, _> = truth
        .patterns
        .iter()
        .map(|(pattern, count)| (pattern.name(), count))
        .collect();
    json!({
        "made": truth.benign + truth.attacking,
        "told": ruler.told,
        "told_unknown": ruler.unknown,
        "records_lost": world.net.lost,
        "benign": truth.benign,
        "attacking": truth.attacking,
        "benign_share": share(truth.benign as usize, (truth.benign + truth.attacking) as usize),
        "patterns": patterns,
    })
}

/// Each rule by the attacks that it is there for.
fn rules(world: &World, ruler: &Ruler) -> serde_json::Map<String, Value> {
    let mut rules = serde_json::Map::new();
    for (rule, tally) in &ruler.tallies {
        let mut found = Found::default();
        let row = ROWS.iter().find(|row| row.rule == *rule);
        let finds = row.map_or(&[][..], |row| row.finds);
        for (instance, seen) in world.truth.instances.iter().zip(&ruler.seen) {
            if instance.exchanges > 0 && finds.contains(&instance.kind) {
                found.add(instance, seen.caught.get(rule).copied());
            }
        }
        let mut value = found.json();
        merge(&mut value, precision(tally, found.caught, world.truth.benign));
        rules.insert((*rule).to_owned(), value);
    }
    rules
}

fn attack(id: usize, instance: &Instance, seen: &super::Seen) -> Value {
    json!({
        "id": id,
        "kind": instance.kind.name(),
        "speed": instance.speed.name(),
        "cover": instance.cover.name(),
        "target": instance.target,
        "exchanges": instance.exchanges,
        "actors": instance.actors.len(),
        "begin_s": instance.begin / SECOND,
        "end_s": instance.end / SECOND,
        "endpoints": seen.endpoints.iter().map(super::place).collect::<Vec<_>>(),
        "found_by": seen.caught.keys().collect::<Vec<_>>(),
    })
}

/// `precision` is that of findings; a rule that says the same of one attack a thousand times has much of it. So there is
/// another, of attacks found against different false findings.
fn precision(tally: &Tally, caught: usize, benign: u64) -> Value {
    let told = (tally.right + tally.wrong) as usize;
    json!({
        "true_findings": tally.right,
        "beside_findings": tally.beside,
        "false_findings": tally.wrong,
        "minor_findings": tally.minor,
        "distinct_false_findings": tally.distinct,
        "precision": share(tally.right as usize, told),
        "precision_distinct": share(caught, caught + tally.distinct as usize),
        "false_per_million": (tally.wrong as f64 * 1e8 / benign.max(1) as f64).round() / 100.0,
    })
}

fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

/// False findings by rule, cause and endpoint, the most frequent first.
fn causes(ruler: &Ruler) -> Vec<Value> {
    let mut causes: Vec<_> = ruler.causes.iter().collect();
    causes.sort_by_key(|one| std::cmp::Reverse(one.1));
    causes
        .into_iter()
        .map(|((rule, cause, endpoint), count)| {
            json!({"rule": rule, "cause": cause, "endpoint": endpoint, "findings": count})
        })
        .collect()
}

/// Columns of the table: title and where the value is.
const OF_RULE: &[(&str, &str)] = &[
    ("true", "/true_findings"),
    ("beside", "/beside_findings"),
    ("false", "/false_findings"),
    ("minor", "/minor_findings"),
    ("precision", "/precision"),
    ("distinct", "/precision_distinct"),
    ("false/M", "/false_per_million"),
    ("attacks", "/attacks"),
    ("recall", "/recall"),
    ("fast", "/speeds/fast/recall"),
    ("ordinary", "/speeds/ordinary/recall"),
    ("slow", "/speeds/slow/recall"),
    ("exch. 50%", "/time_to_detect/exchanges/median"),
    ("90%", "/time_to_detect/exchanges/p90"),
    ("sec. 50%", "/time_to_detect/seconds/median"),
    ("90%", "/time_to_detect/seconds/p90"),
];
const OF_KIND: &[(&str, &str)] = &[
    ("attacks", "/attacks"),
    ("found", "/found"),
    ("recall", "/recall"),
    ("fast", "/speeds/fast/recall"),
    ("ordinary", "/speeds/ordinary/recall"),
    ("slow", "/speeds/slow/recall"),
];
/// Causes of false findings that are shown.
const CAUSES: usize = 20;

/// For people.
pub(crate) fn table(measured: &Value) -> String {
    let mut out = String::new();
    let exchanges = &measured["exchanges"];
    let _fits = writeln!(
        out,
        "seed {}: {} exchanges, {} of attacks; {} told; benign share {}\n",
        measured["seed"],
        exchanges["made"],
        exchanges["attacking"],
        exchanges["told"],
        exchanges["benign_share"]
    );
    head(&mut out, "rule", OF_RULE);
    for (rule, value) in measured["rules"].as_object().into_iter().flatten() {
        row(&mut out, rule, value, OF_RULE);
    }
    row(&mut out, "overall", &measured["overall"], OF_RULE);
    out.push('\n');
    head(&mut out, "attack", OF_KIND);
    for (kind, value) in measured["kinds"].as_object().into_iter().flatten() {
        row(&mut out, kind, value, OF_KIND);
    }
    let causes = measured["false_causes"].as_array();
    for cause in causes.into_iter().flatten().take(CAUSES) {
        let text = |name: &str| cause[name].as_str().unwrap_or_default();
        let (rule, why, place) = (text("rule"), text("cause"), text("endpoint"));
        let _fits = writeln!(out, "false: {} x {rule} by {why} at {place}", cause["findings"]);
    }
    out
}

fn head(out: &mut String, name: &str, columns: &[(&str, &str)]) {
    line(out, name, columns.iter().map(|(title, _)| (*title).to_owned()));
}

fn row(out: &mut String, name: &str, value: &Value, columns: &[(&str, &str)]) {
    line(
        out,
        name,
        columns.iter().map(|(_, path)| cell(value.pointer(path))),
    );
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(value) => value.to_string(),
    }
}

fn line(out: &mut String, name: &str, cells: impl Iterator<Item = String>) {
    let _fits = write!(out, "{name:<32}");
    for cell in cells {
        let _fits = write!(out, "{cell:>10}");
    }
    out.push('\n');
}
