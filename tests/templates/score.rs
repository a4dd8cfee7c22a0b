//! What was learnt against what is true.

use std::collections::{BTreeMap, BTreeSet};

/// Counts; sums of documents are sums of counts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Score {
    /// Operations that were called often enough.
    pub(crate) real: u64,
    /// Of them, learnt as they are.
    pub(crate) found: u64,
    /// Endpoints that were learnt, other than operations called too rarely.
    pub(crate) learnt: u64,
    /// Of them, operations of the document.
    pub(crate) right: u64,
    /// Operations that share an endpoint with another.
    pub(crate) merged: u64,
    /// Operations told as several endpoints.
    pub(crate) split: u64,
}

impl Score {
    pub(crate) fn add(&mut self, other: Self) {
        self.real += other.real;
        self.found += other.found;
        self.learnt += other.learnt;
        self.right += other.right;
        self.merged += other.merged;
        self.split += other.split;
    }

    pub(crate) fn precision(&self) -> f64 {
        self.right as f64 / self.learnt.max(1) as f64
    }

    pub(crate) fn recall(&self) -> f64 {
        self.found as f64 / self.real.max(1) as f64
    }

    pub(crate) fn json(&self, class: &str) -> serde_json::Value {
        let of = |count: u64| count as f64 / self.real.max(1) as f64;
        serde_json::json!({
            "class": class,
            "operations": self.real,
            "learnt": self.learnt,
            "precision": self.precision(),
            "recall": self.recall(),
            "over_merge": of(self.merged),
            "over_split": of(self.split),
        })
    }

    pub(crate) fn line(&self, name: &str) -> String {
        format!(
            "{name:<22}{:>9}{:>9}{:>10.4}{:>9.4}{:>9.4}{:>9.4}",
            self.real,
            self.learnt,
            self.precision(),
            self.recall(),
            self.merged as f64 / self.real.max(1) as f64,
            self.split as f64 / self.real.max(1) as f64,
        )
    }
}

/// A template whose parameters have no names.
pub(crate) fn normal(template: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((front, after)) = rest.split_once('{') {
        text.push_str(front);
        text.push_str("{}");
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    text + rest
}

/// Normal templates of which a node has both a word and a parameter below it.
pub(crate) fn siblings(templates: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut below: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    for template in templates {
        each_step(template, |front, step| {
            let place = below.entry(front.to_owned()).or_default();
            if step == "{}" {
                place.1 = true;
            } else {
                place.0 = true;
            }
        });
    }
    let mut found = BTreeSet::new();
    for template in templates {
        each_step(template, |front, _| {
            if below.get(front) == Some(&(true, true)) {
                found.insert((*template).to_owned());
            }
        });
    }
    found
}

fn each_step(template: &str, mut see: impl FnMut(&str, &str)) {
    let mut at = 0;
    for step in template.split('/') {
        see(&template[..at], step);
        at += step.len() + 1;
        at = at.min(template.len());
    }
}
