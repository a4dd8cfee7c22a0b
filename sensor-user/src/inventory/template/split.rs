//! Corrections of the tree: words that were taken for values, and go their own ways.
//!
//! Takes a place of values some of which are words. Gives branches, each with all that only it led to. Never loses a
//! count. Bounded by the words that are counted there; goes without recursion.
//!
//! A fold is a guess. What tests it is where the words lead: every value of a place leads to the same endpoints sooner or
//! later, words of an API each to their own. So each end below knows whether one word alone led to it.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Tree;
use super::node::{Frequent, NodeId};
use super::ways::{Via, Ways};
use super::weigh::{narrow, wide};

/// Visits of a word among values before it may become a branch.
const SPLIT_VISITS: u32 = 12;
/// Visits of an end before who led there says anything: the first is always alone.
const TOLD_VISITS: u32 = 4;
/// How unlikely it must be that a value went alone where it did, as a natural logarithm.
const UNLIKELY: f32 = 10.0;
/// Percent of its visits that went where no other value did.
const OWN_SHARE: u64 = 50;
/// Percent of all visits that went where several values did, up to which a word may be the most frequent one.
const SHARED: u64 = 30;

/// One value of the place at a level.
#[derive(Clone, Copy)]
struct Only(usize, u32);

impl Only {
    fn led(self, ways: &Ways) -> bool {
        ways.at(self.0) == Via::One(self.1)
    }
}

/// Where the values of a place lead.
#[derive(Default)]
struct Leads {
    /// By word: visits of ends to which it alone led, and of those the ones after the first.
    own: FxHashMap<u32, (u64, u64)>,
    /// Visits of ends to which several led, and of all.
    shared: u64,
    all: u64,
}

impl Leads {
    fn add(&mut self, via: Via, visits: u32) {
        if visits < TOLD_VISITS {
            return;
        }
        self.all += u64::from(visits);
        match via {
            Via::One(hash) => {
                let (own, more) = self.own.entry(hash).or_default();
                *own += u64::from(visits);
                *more += u64::from(visits - 1);
            }
            Via::Many => self.shared += u64::from(visits),
            Via::Nobody => {}
        }
    }

    /// Whether a word leads elsewhere than values do.
    fn is_own(&self, word: &Frequent, total: u64) -> bool {
        let (own, more) = self.own.get(&word.hash).copied().unwrap_or_default();
        let count = u64::from(word.count);
        let share = narrow(wide(count) / wide(total.max(count)));
        // Each visit after the first would have been another value's as often as others come.
        let surprise = narrow(wide(more)) * -share.min(0.999).ln();
        let apart = self.shared * 100 <= self.all * SHARED;
        word.count >= SPLIT_VISITS
            && own * 100 >= count * OWN_SHARE
            && surprise >= UNLIKELY
            && (share <= 0.5 || apart)
    }
}

impl Tree {
    /// Makes branches of the words among values that go their own ways; whether there were any.
    pub(super) fn judge_ways(&mut self, id: NodeId) -> bool {
        let Some(values) = self.node(id).and_then(|node| node.values.as_deref()) else {
            return false;
        };
        if !values.words || values.frequent.iter().all(|word| word.count < SPLIT_VISITS) {
            return false;
        }
        let level = self.level(id);
        let (leads, total) = (self.leads(id, level), values.total());
        let mut own: Vec<Frequent> = values
            .frequent
            .iter()
            .filter(|word| leads.is_own(word, total))
            .cloned()
            .collect();
        own.sort_by_key(|word| (std::cmp::Reverse(word.count), word.hash));
        let branches: Vec<NodeId> = own
            .iter()
            .filter_map(|word| self.split(id, word, level))
            .collect();
        if let Some(first) = branches.first() {
            self.dissolve(id, *first, total, level);
        }
        !branches.is_empty()
    }

    fn leads(&self, id: NodeId, level: usize) -> Leads {
        let mut leads = Leads::default();
        let mut open = vec![id];
        while let Some(at) = open.pop() {
            let Some(node) = self.node(at) else { continue };
            node.ends
                .iter()
                .for_each(|end| leads.add(end.via.at(level), end.visits));
            open.extend(self.children(at));
        }
        leads
    }

    /// Makes a branch of a word, with all that only it led to.
    fn split(&mut self, param: NodeId, word: &Frequent, level: usize) -> Option<NodeId> {
        let parent = self.node(param)?.parent;
        let is_branch = |(known, _): &(Box<[u8]>, NodeId)| **known == *word.text;
        if self.node(parent)?.literals.iter().any(is_branch) {
            // A place that was merged brought it along; what it led to keeps its history where it is.
            return None;
        }
        let id = self.adopt_word(parent, &word.text)?;
        self.move_own(param, id, Only(level, word.hash));
        let node = self.nodes.get_mut(param.index())?;
        node.visits = node.visits.saturating_sub(word.count);
        if let Some(values) = &mut node.values {
            values.leave(word);
        }
        let now = self.now;
        let node = self.nodes.get_mut(id.index())?;
        (node.visits, node.used, node.own) = (word.count, now, true);
        node.due = word.count.saturating_mul(2);
        self.each_way(id, |ways| ways.remove(level));
        self.touched.push(id);
        self.touched.push(param);
        Some(id)
    }

    /// Moves what only one value led to from below one node to below another; what stands between is there twice then.
    fn move_own(&mut self, from: NodeId, into: NodeId, only: Only) {
        let leading = self.leading(from, only);
        let mut open = vec![(from, into)];
        while let Some((from, into)) = open.pop() {
            self.move_ends(from, into, only);
            for child in self.children(from) {
                // Making room for a copy may have taken it.
                let Some(node) = self.node(child).filter(|node| node.parent == from) else {
                    continue;
                };
                if only.led(&node.via) {
                    self.detach(from, child);
                    self.attach(into, child);
                } else if leading.contains(&child) {
                    let (edge, values, via) = (node.edge.clone(), node.values.clone(), node.via);
                    let Some(copy) = self.add(into, edge) else { return };
                    if let Some(node) = self.nodes.get_mut(copy.index()) {
                        (node.values, node.via) = (values, via);
                    }
                    self.attach(into, copy);
                    open.push((child, copy));
                }
            }
        }
    }

    fn move_ends(&mut self, from: NodeId, into: NodeId, only: Only) {
        let Some(node) = self.nodes.get_mut(from.index()) else {
            return;
        };
        let ends: Vec<_> = node
            .ends
            .iter()
            .copied()
            .filter(|end| only.led(&end.via))
            .collect();
        node.ends.retain(|end| !only.led(&end.via));
        if let Some(node) = self.nodes.get_mut(into.index()) {
            node.visits = ends
                .iter()
                .fold(node.visits, |sum, end| sum.saturating_add(end.visits));
            node.ends.extend(ends);
        }
    }

    /// Nodes that more than one value led to, with something below that only this one did.
    fn leading(&self, top: NodeId, only: Only) -> FxHashSet<NodeId> {
        let mut leading = FxHashSet::default();
        let mut open = vec![top];
        while let Some(id) = open.pop() {
            let Some(node) = self.node(id) else { continue };
            let ends = node.ends.iter().any(|end| only.led(&end.via));
            if only.led(&node.via) && id != top || ends {
                self.mark(id, top, &mut leading);
            }
            if !only.led(&node.via) || id == top {
                open.extend(self.children(id));
            }
        }
        leading
    }

    /// A node and those above it.
    fn mark(&self, id: NodeId, top: NodeId, leading: &mut FxHashSet<NodeId>) {
        let mut at = id;
        while at != top && leading.insert(at) {
            let Some(node) = self.node(at) else { return };
            at = node.parent;
        }
    }

    /// A place whose words all became branches stands for nothing: what they shared goes to the most frequent one.
    fn dissolve(&mut self, param: NodeId, first: NodeId, before: u64, level: usize) {
        let Some(node) = self.node(param) else { return };
        let parent = node.parent;
        let left = node.values.as_deref().map_or(0, super::node::Values::total);
        if left * 10 > before {
            return;
        }
        self.detach(parent, param);
        if let Some(node) = self.nodes.get_mut(param.index()) {
            node.values = None;
        }
        self.each_way(param, |ways| ways.remove(level));
        self.merge(first, param);
        self.touched.push(first);
    }
}
