//! What is added to the tree, and what gives room for it.
//!
//! Takes paths that the server answered as existing. Gives nodes. Never gives up what was confirmed. Bounded by the
//! tree's limit.

use super::node::{Edge, Node, NodeId};
use super::segment::{self, Segment};
use super::{CONFIRMED, MAX_LITERALS, MAX_PATTERNS, MAX_STEPS, Move, NO_SLOT, Tree, words};

/// Nodes looked at to make room for one.
const SWEEP: usize = 64;

/// Words beside values that take words, at which all are judged before it is time, and again at twice as many: among random
/// paths some are words of interfaces, and get a branch each.
const BESIDE: usize = 8;

impl Tree {
    /// Adds what is missing of a path that was not found, as far as there is room. Then it can be found.
    pub(in crate::inventory) fn grow(&mut self, root: NodeId, path: &[u8]) -> bool {
        let mut at = root;
        for (number, step) in path.split(|byte| *byte == b'/').enumerate() {
            let Some(node) = self.node(at) else { return false };
            if node.edge == Edge::Rest {
                break;
            }
            let known = self.child(node, step, number).map(|(id, _)| id);
            let Some(next) = known.or_else(|| self.adopt(at, step, number)) else {
                return false;
            };
            at = next;
        }
        true
    }

    /// A new child for a step.
    fn adopt(&mut self, parent: NodeId, step: &[u8], number: usize) -> Option<NodeId> {
        if number >= MAX_STEPS {
            let id = self.add(parent, Edge::Rest)?;
            self.nodes.get_mut(parent.index())?.params.push(id);
            return Some(id);
        }
        let segment = Segment::of(step);
        if segment.is_word() || step.is_empty() {
            if self.node(parent)?.literals.len() >= MAX_LITERALS {
                // Not at every further word: judging looks at all of them.
                self.judge_if_due(parent);
                // Now it has a place among values, or there is none.
                return self.child(self.node(parent)?, step, number).map(|(id, _)| id);
            }
            // `name:verb` where names stand without a verb, too.
            let verb = !segment.is_plain() && !words::is_own(segment.text);
            if !(verb && self.plain_takes_words(parent)) {
                return self.adopt_word(parent, segment.text);
            }
            let id = self.adopt_value(parent, &segment.pattern)?;
            self.admit_words(id, 80);
            return Some(id);
        }
        let crowded = self.node(parent)?.params.len() >= MAX_PATTERNS;
        let pattern = if crowded { segment::PLAIN } else { &segment.pattern };
        self.adopt_value(parent, pattern)
    }

    fn plain_takes_words(&self, parent: NodeId) -> bool {
        let place = self
            .node(parent)
            .and_then(|node| self.param(node, segment::PLAIN));
        let values = place.and_then(|place| self.node(place)?.values.as_deref());
        values.is_some_and(|values| values.words)
    }

    pub(super) fn adopt_word(&mut self, parent: NodeId, text: &[u8]) -> Option<NodeId> {
        let known = |node: &Node| node.literals.binary_search_by(|(known, _)| (**known).cmp(text));
        if let Ok(at) = known(self.node(parent)?) {
            return self.node(parent)?.literals.get(at).map(|(_, id)| *id);
        }
        let beside = self.plain_takes_words(parent);
        let id = self.add(parent, Edge::Literal(text.into()))?;
        // Making room may have taken siblings.
        let node = self.nodes.get_mut(parent.index())?;
        let at = known(node).unwrap_or_else(|at| at);
        node.literals.insert(at, (text.into(), id));
        let words = node.literals.len();
        if beside && words >= BESIDE && words.is_power_of_two() {
            node.due = node.visits;
        }
        Some(id)
    }

    pub(super) fn adopt_value(&mut self, parent: NodeId, pattern: &[u8]) -> Option<NodeId> {
        let known = self.param(self.node(parent)?, pattern);
        if known.is_some() {
            return known;
        }
        let id = self.add(parent, Edge::Value(pattern.into()))?;
        if let Some(node) = self.nodes.get_mut(id.index()) {
            node.values = Some(Box::default());
        }
        self.nodes.get_mut(parent.index())?.params.push(id);
        Some(id)
    }

    pub(super) fn add(&mut self, parent: NodeId, edge: Edge) -> Option<NodeId> {
        let node = Node::new(parent, edge, self.now);
        if self.free.is_empty() && self.nodes.len() >= self.limit {
            self.make_room();
        }
        if let Some(id) = self.free.pop() {
            *self.nodes.get_mut(id.index())? = node;
            return Some(id);
        }
        if self.nodes.len() >= self.limit {
            return None;
        }
        let id = NodeId(u32::try_from(self.nodes.len()).ok()?);
        self.nodes.push(node);
        Some(id)
    }

    /// Gives up leaves that were hardly ever seen, and not of late. What was confirmed stays.
    fn make_room(&mut self) {
        for _ in 0..SWEEP.min(self.nodes.len()) {
            self.hand = (self.hand + 1) % self.nodes.len().max(1);
            let id = NodeId(u32::try_from(self.hand).unwrap_or_default());
            let Some(node) = self.node(id) else { continue };
            let recent = self.now.wrapping_sub(node.used) < u32::try_from(SWEEP).unwrap_or_default();
            let kept = matches!(node.edge, Edge::Root | Edge::Free);
            if kept || recent || node.visits >= CONFIRMED || !node.is_leaf() {
                continue;
            }
            let parent = node.parent;
            for end in node.ends.clone() {
                self.moves.push(Move {
                    from: end.slot,
                    into: NO_SLOT,
                });
            }
            self.detach(parent, id);
            self.release(id);
        }
    }

    pub(super) fn detach(&mut self, parent: NodeId, child: NodeId) {
        if let Some(node) = self.nodes.get_mut(parent.index()) {
            node.literals.retain(|(_, id)| *id != child);
            node.params.retain(|id| *id != child);
        }
    }

    pub(super) fn release(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(id.index()) {
            *node = Node::new(NodeId(u32::MAX), Edge::Free, 0);
            self.free.push(id);
        }
    }

    pub(in crate::inventory) fn set_slot(&mut self, id: NodeId, key: u32, slot: u32) {
        let ends = self.nodes.get_mut(id.index()).map(|node| &mut node.ends);
        if let Some(end) = ends.into_iter().flatten().find(|end| end.key == key) {
            end.slot = slot;
        }
    }
}
