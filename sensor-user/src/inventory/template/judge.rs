//! Whether words that stand beside each other are branches of the API or values.
//!
//! Takes the children of a node. Gives corrections by [`super::reshape`]. Never reads a clock or chance: the same
//! observations give the same tree. Bounded: each node is judged when its visits have grown by half.

use std::collections::{HashMap, HashSet};

use super::node::{Edge, Node, NodeId, Values};
use super::segment::{Pattern, ValueKind};
use super::weigh::{Common, Features, float, narrow, score, wide};
use super::{Tree, words};

/// Children below which words are never taken for values: two are an alternative.
const FEWEST: usize = 2;
/// How much more is asked for after one visit; it falls with their root. Tried from 0 to 10.
const CAUTION: f32 = 3.0;
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
            let scores = all.iter().map(|features| score(features, &common));
            let values: Vec<(NodeId, f32)> = std::iter::zip(children.iter().copied(), scores)
                .filter(|(_, score)| *score > least)
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
        let below: Vec<Vec<u64>> = children.iter().map(|child| self.words_below(*child)).collect();
        let mut led_to: HashMap<u64, u32, rustc_hash::FxBuildHasher> = HashMap::default();
        below
            .iter()
            .flatten()
            .for_each(|word| *led_to.entry(*word).or_default() += 1);
        let of_values: HashSet<u64, rustc_hash::FxBuildHasher> = place
            .map(|place| self.words_below(place).into_iter().collect())
            .unwrap_or_default();
        let value_ends: Vec<u32> = place
            .and_then(|place| self.node(place))
            .map(|node| node.ends.iter().map(|end| end.key).collect())
            .unwrap_or_default();
        let mut ends: HashMap<u32, u32, rustc_hash::FxBuildHasher> = HashMap::default();
        for node in children.iter().filter_map(|child| self.node(*child)) {
            node.ends
                .iter()
                .for_each(|end| *ends.entry(end.key).or_default() += 1);
        }
        let mut all = Vec::with_capacity(children.len());
        for (child, below) in std::iter::zip(children, &below) {
            let Some(node) = self.node(*child) else { continue };
            let shared = below
                .iter()
                .filter(|word| led_to.get(word).is_some_and(|times| *times > 1))
                .count();
            let common_end = |key: u32| {
                ends.get(&key)
                    .is_some_and(|times| *times as usize * 2 > children.len())
            };
            let Edge::Literal(text) = &node.edge else { continue };
            all.push(Features {
                reads: words::weight(text),
                shared: float(shared),
                own: float(below.len() - shared),
                visits: node.visits,
                same_ends: node.ends.iter().all(|end| common_end(end.key)),
                leaf: node.is_leaf(),
                reserved: words::is_reserved(text),
                like_values: float(below.iter().filter(|word| of_values.contains(word)).count()),
                unlike_values: float(below.iter().filter(|word| !of_values.contains(word)).count()),
                ends_like_values: node.ends.iter().all(|end| value_ends.contains(&end.key)),
            });
        }
        let values = place.and_then(|place| self.node(place)?.values.as_deref());
        (common(&all, &led_to, values), all)
    }

    /// Hashes of the words below a node, with their way from there.
    fn words_below(&self, id: NodeId) -> Vec<u64> {
        let mut found = Vec::new();
        let mut open = vec![(id, 0_u64, 0)];
        while let Some((id, way, depth)) = open.pop() {
            let Some(node) = self.node(id).filter(|_| depth < DEPTH) else {
                continue;
            };
            for (text, child) in &node.literals {
                let way = mixed(way, self.hash(text));
                found.push(way);
                open.push((*child, way, depth + 1));
            }
            for child in &node.params {
                let Some(Edge::Value(pattern)) = self.node(*child).map(|node| &node.edge) else {
                    continue;
                };
                let way = mixed(way, self.hash(pattern) ^ 1);
                if **pattern != *super::segment::PLAIN {
                    found.push(way);
                }
                open.push((*child, way, depth + 1));
            }
        }
        found
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

fn common(
    all: &[Features],
    led_to: &HashMap<u64, u32, rustc_hash::FxBuildHasher>,
    place: Option<&Values>,
) -> Common {
    let count = float(all.len().max(1));
    let times: u32 = led_to.values().sum();
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
        shared_by: narrow(f64::from(times)) / float(led_to.len().max(1)),
        below: float(led_to.len()),
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
