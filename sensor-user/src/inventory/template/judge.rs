//! Whether words that stand beside each other are branches of the API or values.
//!
//! Takes the children of a node. Gives corrections by [`super::reshape`]. Never reads a clock or chance: the same
//! observations give the same tree. Bounded: each node is judged when its visits have grown by half.

use rustc_hash::FxHashMap;

use super::node::{Edge, Node, NodeId, Values};
use super::segment::{Pattern, ValueKind};
use super::weigh::{Common, Features, float, narrow, score, wide};
use super::{CONFIRMED, Tree, words};

/// Children below which words are never taken for values: two are an alternative.
const FEWEST: usize = 2;
/// How much more is asked for after one visit; it falls with their root. Tried from 0 to 10.
const CAUTION: f32 = 3.0;
/// Words beside each other, most of them seen once or twice, that are a flood.
const FLOOD: usize = 64;
/// Steps below a child that are compared.
const DEPTH: usize = 3;
/// Endings beside each other, each with values, from which endings belong to the values.
const ENDINGS: usize = 3;

impl Tree {
    /// Judges the children of a node, if it is time.
    pub(super) fn judge_if_due(&mut self, id: NodeId) -> bool {
        let Some(node) = self.nodes.get_mut(id.index()) else {
            return false;
        };
        if node.visits < node.due {
            return false;
        }
        node.due = node.visits.saturating_add(node.visits / 2).saturating_add(1);
        let literal_judged = self.judge(id);
        let endings = self.judge_endings(id);
        self.judge_ways(id) || literal_judged || endings
    }

    /// Judges the words below a node; whether something changed.
    pub(super) fn judge(&mut self, id: NodeId) -> bool {
        let mut changed = false;
        for (pattern, children) in self.groups(id) {
            let place = self.node(id).and_then(|node| self.param(node, &pattern));
            if children.len() < FEWEST && place.is_none() {
                continue;
            }
            let (common, all) = self.features(&children, place);
            let least = least(common.visits);
            self.spare(&children, &all, &common);
            let scores = all.iter().map(|features| score(features, &common));
            let values: Vec<(NodeId, f32)> = std::iter::zip(children.iter().copied(), scores)
                .filter(|(child, score)| *score > least && self.node(*child).is_some_and(|node| !node.own))
                .collect();
            let takes_words = place
                .and_then(|place| self.node(place))
                .is_some_and(Node::takes_words);
            let enough = if takes_words { 1 } else { FEWEST };
            if values.len() < enough {
                continue;
            }
            let mean = values.iter().map(|(_, score)| score).sum::<f32>() / float(values.len());
            let sure = 50.0 + 49.0 * (1.0 - (-mean).exp());
            let values: Vec<NodeId> = values.into_iter().map(|(child, _)| child).collect();
            self.fold(id, &pattern, &values, percent(sure));
            changed = true;
        }
        changed
    }

    /// Words that were believed before a flood of others came beside them stay branches: what the others say of the place
    /// says nothing of those that read like an interface's own.
    fn spare(&mut self, children: &[NodeId], all: &[Features], common: &Common) {
        if children.len() < FLOOD || common.rare < 0.5 {
            return;
        }
        for (child, features) in std::iter::zip(children, all) {
            if features.visits >= CONFIRMED
                && features.reads <= words::OWN
                && let Some(node) = self.nodes.get_mut(child.index())
            {
                node.own = true;
            }
        }
    }

    /// Words below a node by their ending.
    fn groups(&self, id: NodeId) -> Vec<(Pattern, Vec<NodeId>)> {
        let mut groups: Vec<(Pattern, Vec<NodeId>)> = Vec::new();
        let Some(node) = self.node(id) else { return groups };
        for (text, child) in &node.literals {
            // Versions stand beside each other with the same below them, and are none of them values.
            let own = self.node(*child).is_some_and(|node| node.own);
            if own || text.is_empty() || super::segment::is_version(text) {
                continue;
            }
            let pattern = Self::pattern_of(text);
            match groups.iter_mut().find(|(known, _)| *known == pattern) {
                Some((_, children)) => children.push(*child),
                None => groups.push((pattern, vec![*child])),
            }
        }
        groups
    }

    pub(super) fn features(&self, children: &[NodeId], place: Option<NodeId>) -> (Common, Vec<Features>) {
        let below: Vec<Below> = children.iter().map(|child| self.below_of(*child)).collect();
        let beside = self.beside(children, &below, place);
        let all: Vec<Features> = std::iter::zip(children, &below)
            .filter_map(|(child, below)| self.features_of(*child, below, &beside))
            .collect();
        let values = place.and_then(|place| self.node(place)?.values.as_deref());
        (common(&all, &beside.led_to, &beside.answers, values), all)
    }

    fn beside(&self, children: &[NodeId], below: &[Below], place: Option<NodeId>) -> Beside {
        let mut ends: FxHashMap<u32, u32> = FxHashMap::default();
        for node in children.iter().filter_map(|child| self.node(*child)) {
            node.ends
                .iter()
                .for_each(|end| *ends.entry(end.key).or_default() += 1);
        }
        let value_ends = place.and_then(|place| self.node(place));
        Beside {
            children: children.len(),
            led_to: times(below, |below| &below.words),
            answers: times(below, |below| &below.ends),
            ends,
            of_values: place.map(|place| self.below_of(place)).unwrap_or_default(),
            value_ends: value_ends
                .map(|node| node.ends.iter().map(|end| end.key).collect())
                .unwrap_or_default(),
        }
    }

    fn features_of(&self, child: NodeId, below: &Below, beside: &Beside) -> Option<Features> {
        let node = self.node(child)?;
        let Edge::Literal(text) = &node.edge else {
            return None;
        };
        let of_values = &beside.of_values;
        let count = |known: &dyn Fn(&u64) -> bool| below.words.keys().filter(|word| known(word)).count();
        let shared = count(&|word| several(&beside.led_to, *word));
        let like = count(&|word| of_values.words.contains_key(word));
        let together = |end: &u64| several(&beside.answers, *end);
        let common_end = |key: u32| {
            let times = beside.ends.get(&key);
            times.is_some_and(|times| *times as usize * 2 > beside.children)
        };
        Some(Features {
            reads: words::weight(text),
            parts: float(text.iter().filter(|byte| matches!(byte, b'-' | b'_')).count()),
            shared: float(shared),
            own: float(below.words.len() - shared),
            answers: float(below.ends.len()),
            own_answers: float(below.ends.keys().filter(|end| !together(end)).count()),
            alone: 1.0 - below.share(together),
            visits: node.visits,
            same_ends: node.ends.iter().all(|end| common_end(end.key)),
            leaf: node.is_leaf(),
            reserved: words::is_reserved(text),
            like_values: float(like),
            unlike_values: float(below.words.len() - like),
            ends_like_values: node.ends.iter().all(|end| beside.value_ends.contains(&end.key)),
            answers_like_values: below.share(|end| of_values.ends.contains_key(end)),
            values_like_it: of_values.share(|end| below.ends.contains_key(end)),
        })
    }

    /// What is below a node, and what ends there.
    fn below_of(&self, id: NodeId) -> Below {
        let mut below = Below::default();
        let mut open = vec![(id, 0_u64, 0)];
        while let Some((id, way, depth)) = open.pop() {
            let Some(node) = self.node(id) else { continue };
            for end in &node.ends {
                let visits = below.ends.entry(mixed(way ^ 2, end.key)).or_default();
                *visits = visits.saturating_add(end.visits);
            }
            if depth >= DEPTH {
                continue;
            }
            for (text, child) in &node.literals {
                let way = mixed(way, self.hash(text));
                below.words.insert(way, 1);
                open.push((*child, way, depth + 1));
            }
            for child in &node.params {
                let Some(Edge::Value(pattern)) = self.node(*child).map(|node| &node.edge) else {
                    continue;
                };
                let way = mixed(way, self.hash(pattern) ^ 1);
                if **pattern != *super::segment::PLAIN {
                    below.words.insert(way, 1);
                }
                open.push((*child, way, depth + 1));
            }
        }
        below
    }

    /// Values with several endings at one place: the endings are theirs.
    fn judge_endings(&mut self, id: NodeId) -> bool {
        let Some(node) = self.node(id) else { return false };
        let dotted = |id: &NodeId| match self.node(*id).map(|node| &node.edge) {
            Some(Edge::Value(pattern)) => pattern.starts_with(b"{}."),
            _ => false,
        };
        let places: Vec<NodeId> = node.params.iter().copied().filter(dotted).collect();
        if places.len() < ENDINGS {
            return false;
        }
        self.join_endings(id, &places);
        true
    }
}

/// Hashes of what is below a node, each with its way from there: words, and what ends there with its visits.
#[derive(Default)]
struct Below {
    words: FxHashMap<u64, u32>,
    ends: FxHashMap<u64, u32>,
}

impl Below {
    /// Share of the visits to what ends here that go to what is known.
    fn share(&self, known: impl Fn(&u64) -> bool) -> f32 {
        let all: f64 = self.ends.values().map(|visits| f64::from(*visits)).sum();
        let some = self.ends.iter().filter(|(end, _)| known(end));
        let some: f64 = some.map(|(_, visits)| f64::from(*visits)).sum();
        narrow(some / all.max(1.0))
    }
}

/// What the children of a node have together, and the place of values beside them.
struct Beside {
    children: usize,
    /// Words below them and what ends there: how many lead to each, and how often.
    led_to: FxHashMap<u64, (u32, u32)>,
    answers: FxHashMap<u64, (u32, u32)>,
    /// What ends at the children themselves, and at how many.
    ends: FxHashMap<u32, u32>,
    of_values: Below,
    value_ends: Vec<u32>,
}

/// More than one child leads there.
fn several(known: &FxHashMap<u64, (u32, u32)>, what: u64) -> bool {
    known.get(&what).is_some_and(|(times, _)| *times > 1)
}

/// How many lead to each thing below, and how often.
fn times(below: &[Below], which: impl Fn(&Below) -> &FxHashMap<u64, u32>) -> FxHashMap<u64, (u32, u32)> {
    let mut times: FxHashMap<u64, (u32, u32)> = FxHashMap::default();
    for (what, visits) in below.iter().flat_map(&which) {
        let known = times.entry(*what).or_default();
        *known = (known.0 + 1, known.1.saturating_add(*visits));
    }
    times
}

fn common(
    all: &[Features],
    led_to: &FxHashMap<u64, (u32, u32)>,
    answers: &FxHashMap<u64, (u32, u32)>,
    place: Option<&Values>,
) -> Common {
    let count = float(all.len().max(1));
    let times = |known: &FxHashMap<u64, (u32, u32)>| -> f32 {
        let times: u32 = known.values().map(|(times, _)| times).sum();
        narrow(f64::from(times)) / float(known.len()).max(1.0)
    };
    let visits = |least: u32| -> f64 {
        let several = answers.values().filter(|(times, _)| *times >= least);
        several.map(|(_, visits)| f64::from(*visits)).sum()
    };
    let odd = place.map_or(0.0, |values| {
        let odd =
            values.count(ValueKind::Mixed) + values.count(ValueKind::Slug) + values.count(ValueKind::Text);
        narrow(f64::from(odd) / wide(values.total().max(1)))
    });
    Common {
        children: all.len(),
        visits: all.iter().map(|features| features.visits).sum(),
        rare: all
            .iter()
            .map(|features| 1.0 / narrow(f64::from(features.visits.max(1))))
            .sum::<f32>()
            / count,
        reads: all.iter().map(|features| features.reads).sum::<f32>() / count,
        parts: all.iter().map(|features| features.parts).sum::<f32>() / count,
        shared_by: times(led_to),
        below: float(led_to.len()),
        answers: float(answers.len()),
        answered_by: times(answers) / count,
        together: narrow(visits(2) / visits(0).max(1.0)),
        odd,
        values: place.is_some(),
        takes_words: place.is_some_and(|values| values.words),
        distinct: place.map_or(0.0, |values| narrow(wide(values.distinct()))),
        value_visits: place.map_or(0.0, |values| narrow(wide(values.total()))),
        leaves: float(all.iter().filter(|features| features.leaf).count()) / count,
    }
}

/// Score from which words become values. With few visits more is asked for: what was folded is hard to take apart.
fn least(visits: u32) -> f32 {
    CAUTION / narrow(f64::from(visits.max(1))).sqrt()
}

fn mixed(way: u64, step: u32) -> u64 {
    (way.rotate_left(5) ^ u64::from(step)).wrapping_mul(0x517c_c1b7_2722_0a95)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 99"
)]
fn percent(value: f32) -> u8 {
    value.clamp(0.0, 99.0) as u8
}
