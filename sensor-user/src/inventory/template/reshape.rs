//! Corrections of the tree: words that turn out to be values.
//!
//! Takes what [`super::judge`] decided. Gives moves of histories and nodes whose templates changed. Never loses a count.
//! Bounded by the tree; goes without recursion.

use super::node::{Edge, Node, NodeId, Values};
use super::segment::Segment;
use super::ways::{Via, Ways};
use super::{Move, NO_SLOT, Tree};

impl Tree {
    /// Makes words values of the place with this pattern.
    pub(super) fn fold(&mut self, parent: NodeId, pattern: &[u8], children: &[NodeId], sure: u8) {
        let Some(param) = self.adopt_value(parent, pattern) else {
            return;
        };
        self.admit_words(param, sure);
        for child in children {
            // Making room for the place may have taken one of them, and given its number away.
            let is_word = |node: &Node| node.parent == parent && matches!(node.edge, Edge::Literal(_));
            if self.node(*child).is_some_and(is_word) {
                self.detach(parent, *child);
                self.become_value(*child);
                self.merge(param, *child);
            }
        }
        self.touched.push(param);
    }

    /// From now on words are values there. By which value what is below was reached is not known.
    pub(super) fn admit_words(&mut self, param: NodeId, sure: u8) {
        let Some(values) = self.values_mut(param) else {
            return;
        };
        values.sure = values.sure.max(sure);
        if !std::mem::replace(&mut values.words, true) {
            let level = self.level(param);
            self.each_way(param, |ways| ways.insert(level, Via::Many));
        }
    }

    /// A word is a value from now on: whatever it led to was reached by it.
    fn become_value(&mut self, child: NodeId) {
        let Some(node) = self.node(child) else { return };
        let Edge::Literal(text) = node.edge.clone() else {
            return;
        };
        let visits = node.visits;
        let hash = self.hash(&text);
        if let Some(node) = self.nodes.get_mut(child.index()) {
            node.values = Some(Box::new(Values::of_word(hash, &text, visits)));
        }
        let level = self.level(child);
        self.each_way(child, |ways| ways.insert(level, Via::One(hash)));
    }

    /// How many places that take words are above a node.
    pub(super) fn level(&self, id: NodeId) -> usize {
        let mut level = 0;
        let mut at = self.node(id).map(|node| node.parent);
        while let Some(node) = at.and_then(|at| self.node(at)) {
            level += usize::from(node.takes_words());
            at = Some(node.parent);
        }
        level
    }

    /// Changes what is known of the ways to all that ends at a node or is below it.
    pub(super) fn each_way(&mut self, id: NodeId, change: impl Fn(&mut Ways)) {
        let mut open = vec![id];
        while let Some(at) = open.pop() {
            open.extend(self.children(at));
            let Some(node) = self.nodes.get_mut(at.index()) else {
                continue;
            };
            if at != id {
                change(&mut node.via);
            }
            node.ends.iter_mut().for_each(|end| change(&mut end.via));
        }
    }

    /// Puts all of `from` into `into`, and frees it.
    pub(super) fn merge(&mut self, into: NodeId, from: NodeId) {
        let mut pairs = vec![(into, from)];
        while let Some((into, from)) = pairs.pop() {
            let Some(node) = self.nodes.get_mut(from.index()) else {
                continue;
            };
            let empty = Node::new(node.parent, Edge::Free, 0);
            let taken = std::mem::replace(node, empty);
            self.free.push(from);
            self.merge_node(into, &taken);
            for (text, child) in taken.literals {
                match self.place_of_word(into, &text) {
                    Some(known) => {
                        if self.values_mut(known).is_some() {
                            self.become_value(child);
                        }
                        pairs.push((known, child));
                    }
                    None => self.attach(into, child),
                }
            }
            for child in taken.params {
                match self.place_like(into, child) {
                    Some(known) => {
                        self.admit_alike(known, child);
                        pairs.push((known, child));
                    }
                    None => self.attach(into, child),
                }
            }
            // Beyond what both had, it may have too many words now.
            if let Some(node) = self.nodes.get_mut(into.index()) {
                node.due = node.due.min(node.visits.saturating_add(1));
            }
        }
    }

    /// Two places that become one take words both or neither.
    fn admit_alike(&mut self, one: NodeId, other: NodeId) {
        let takes = |id| self.node(id).is_some_and(Node::takes_words);
        match (takes(one), takes(other)) {
            (true, false) => self.admit_words(other, 0),
            (false, true) => self.admit_words(one, 0),
            _ => {}
        }
    }

    /// Counts, ends and values of one node.
    fn merge_node(&mut self, into: NodeId, taken: &Node) {
        let Some(target) = self.nodes.get_mut(into.index()) else {
            return;
        };
        target.visits = target.visits.saturating_add(taken.visits);
        target.used = target.used.max(taken.used);
        target.own |= taken.own;
        target.via.and(taken.via);
        if let (Some(values), Some(more)) = (&mut target.values, &taken.values) {
            values.merge(more);
        }
        for end in &taken.ends {
            let at = match target.ends.binary_search_by_key(&end.key, |known| known.key) {
                Ok(at) => at,
                Err(at) => {
                    target.ends.insert(at, *end);
                    continue;
                }
            };
            let Some(known) = target.ends.get_mut(at) else {
                continue;
            };
            known.visits = known.visits.saturating_add(end.visits);
            known.via.and(end.via);
            match (known.slot, end.slot) {
                (_, NO_SLOT) => {}
                (NO_SLOT, slot) => known.slot = slot,
                (into, from) => self.moves.push(Move { from, into }),
            }
        }
    }

    /// Where a word goes among the children of a node: to the same word, or to values that take words.
    fn place_of_word(&self, parent: NodeId, text: &[u8]) -> Option<NodeId> {
        let node = self.node(parent)?;
        self.child(node, text, 0).map(|(id, _)| id)
    }

    /// The child of a node that stands for the same values.
    fn place_like(&self, parent: NodeId, child: NodeId) -> Option<NodeId> {
        let edge = &self.node(child)?.edge;
        let params = &self.node(parent)?.params;
        params
            .iter()
            .copied()
            .find(|id| self.node(*id).is_some_and(|node| node.edge == *edge))
    }

    pub(super) fn attach(&mut self, parent: NodeId, child: NodeId) {
        let Some(node) = self.nodes.get_mut(child.index()) else {
            return;
        };
        node.parent = parent;
        let edge = node.edge.clone();
        let Some(node) = self.nodes.get_mut(parent.index()) else {
            return;
        };
        match edge {
            Edge::Literal(text) => {
                let at = node
                    .literals
                    .binary_search_by(|(known, _)| known.cmp(&text))
                    .unwrap_or_else(|at| at);
                node.literals.insert(at, (text, child));
            }
            _ => node.params.push(child),
        }
    }

    /// Makes one place of values of those that differ in their endings only.
    pub(super) fn join_endings(&mut self, parent: NodeId, places: &[NodeId]) {
        let Some(param) = self.adopt_value(parent, super::segment::PLAIN) else {
            return;
        };
        for place in places.iter().filter(|place| **place != param) {
            self.admit_alike(param, *place);
            self.detach(parent, *place);
            self.merge(param, *place);
        }
        if let Some(values) = self.values_mut(param) {
            values.any_ending = true;
        }
        self.touched.push(param);
    }

    pub(super) fn children(&self, id: NodeId) -> Vec<NodeId> {
        let Some(node) = self.node(id) else {
            return Vec::new();
        };
        let words = node.literals.iter().map(|(_, id)| *id);
        words.chain(node.params.iter().copied()).collect()
    }

    pub(super) fn values_mut(&mut self, id: NodeId) -> Option<&mut Values> {
        self.nodes.get_mut(id.index())?.values.as_deref_mut()
    }

    /// Slots of everything at and below a node, with the node.
    pub(in crate::inventory) fn below(&self, id: NodeId, found: &mut Vec<(NodeId, u32)>) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let Some(node) = self.node(id) else { continue };
            found.extend(node.ends.iter().map(|end| (id, end.slot)));
            open.extend(self.children(id));
        }
    }

    /// Pattern that a word has with its ending.
    pub(super) fn pattern_of(text: &[u8]) -> super::segment::Pattern {
        Segment::of(text).pattern
    }
}
