//! One document: its traffic learnt, and what was learnt compared with it.

use std::collections::{BTreeMap, BTreeSet};

use super::document::Operation;
use super::random::hash;
use super::score::{Score, normal, siblings};
use super::traffic::{Call, FEW_WORDS, Traffic};

/// What is evaluated.
pub(crate) trait Learner {
    fn see(&mut self, call: &Call);
    /// Endpoints it is sure of: method and template.
    fn known(&self) -> Vec<(String, String)>;
    /// Where a call would go now.
    fn resolve(&mut self, call: &Call) -> Option<String>;
}

/// How much traffic there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) per_operation: usize,
    pub(crate) fewest: usize,
    pub(crate) noise: f64,
    pub(crate) seed: u64,
}

/// Calls from which an operation counts.
const EXERCISED: u32 = 5;
/// Calls kept of each operation, to see where they go in the end.
const KEPT: usize = 12;

/// Scores by class; `all` is the whole and `siblings` those beside a parameter.
pub(crate) type Scores = BTreeMap<String, Score>;

/// Where calls go in the end, and which templates they are calls of.
type Went<'a> = BTreeMap<(String, String), BTreeSet<&'a str>>;

#[derive(Default)]
struct Seen {
    calls: u32,
    kept: Vec<Call>,
    class: &'static str,
}

pub(crate) fn evaluate(
    name: &str,
    operations: &[Operation],
    learner: &mut dyn Learner,
    extent: Extent,
    tell: &mut dyn FnMut(String),
) -> Scores {
    let mut traffic = Traffic::new(operations, extent.seed ^ hash(name), extent.noise);
    let mut seen: BTreeMap<(&str, String), Seen> = BTreeMap::new();
    for _ in 0..extent.fewest.max(operations.len() * extent.per_operation) {
        let call = traffic.next();
        learner.see(&call);
        let Some(number) = call.truth else { continue };
        let operation = &operations[number];
        let entry = seen
            .entry((operation.method, normal(&operation.template)))
            .or_default();
        entry.class = traffic.class(operation);
        entry.calls += u32::from(call.status < 400);
        if entry.kept.len() < KEPT {
            entry.kept.push(call);
        }
    }
    compare(&seen, learner, tell)
}

fn compare(
    seen: &BTreeMap<(&str, String), Seen>,
    learner: &mut dyn Learner,
    tell: &mut dyn FnMut(String),
) -> Scores {
    let templates: BTreeSet<&str> = seen.keys().map(|(_, template)| template.as_str()).collect();
    let beside = siblings(&templates);
    let known: BTreeSet<(String, String)> = learner
        .known()
        .into_iter()
        .map(|(method, template)| (method, normal(&template)))
        .collect();
    let mut scores = Scores::new();
    let mut went = Went::new();
    for ((method, template), entry) in seen {
        for call in &entry.kept {
            if let Some(target) = learner.resolve(call) {
                went.entry(((*method).to_owned(), normal(&target)))
                    .or_default()
                    .insert(template);
            }
        }
    }
    for ((method, template), entry) in seen {
        if entry.calls < EXERCISED {
            continue;
        }
        let found = known.contains(&((*method).to_owned(), template.clone()));
        let mine: Vec<_> = went
            .iter()
            .filter(|((m, _), from)| m == method && from.contains(template.as_str()))
            .collect();
        let score = Score {
            real: 1,
            found: u64::from(found),
            learnt: 0,
            right: 0,
            merged: u64::from(mine.iter().any(|(_, from)| from.len() > 1)),
            split: u64::from(mine.len() > 1),
        };
        if !found {
            tell(format!(
                "MISSED {} {method} {template} calls {} e.g. {}",
                entry.class, entry.calls, entry.kept[0].path
            ));
        }
        let mut add = |name: &str| scores.entry(name.to_owned()).or_default().add(score);
        add("all");
        add(entry.class);
        if entry.class != FEW_WORDS {
            add("told_apart");
        }
        if beside.contains(template) {
            add("siblings");
        }
    }
    add_known(seen, &known, &beside, &went, &mut scores, tell);
    scores
}

/// Counts what was learnt, right or not.
fn add_known(
    seen: &BTreeMap<(&str, String), Seen>,
    known: &BTreeSet<(String, String)>,
    beside: &BTreeSet<String>,
    went: &Went<'_>,
    scores: &mut Scores,
    tell: &mut dyn FnMut(String),
) {
    let class_of = |method: &str, template: &str| {
        let operation = seen.iter().find(|((m, t), _)| *m == method && t == template);
        operation.map_or("none", |(_, entry)| entry.class)
    };
    for (method, template) in known {
        let truth = seen.iter().find(|((m, t), _)| m == method && t == template);
        if truth.is_some_and(|(_, entry)| entry.calls < EXERCISED) {
            continue;
        }
        let score = Score {
            learnt: 1,
            right: u64::from(truth.is_some()),
            ..Score::default()
        };
        let from = went.get(&(method.clone(), template.clone()));
        let class = match (truth, from.and_then(|from| from.first())) {
            (Some((_, entry)), _) => entry.class,
            (None, Some(operation)) => class_of(method, operation),
            (None, None) => "none",
        };
        let mut names = vec!["all", class];
        if class != FEW_WORDS {
            names.push("told_apart");
        }
        if beside.contains(template) {
            names.push("siblings");
        }
        if truth.is_none() {
            tell(format!("INVENTED {class} {method} {template}"));
        }
        for name in names {
            scores.entry(name.to_owned()).or_default().add(score);
        }
    }
}
