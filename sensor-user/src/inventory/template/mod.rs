//! Path templates, learnt online: a tree whose branches are words of the API and places of values.
//!
//! Takes paths that the server answered as existing. Gives a node that stands for the template, and moves when it was
//! corrected. Never keeps what could be a value, but for words. Bounded by the number of nodes; a known path allocates
//! nothing. The law is in `docs/decisions/templates.md`.

mod grow;
mod judge;
mod node;
mod reshape;
mod segment;
mod show;
mod split;
mod state;
mod ways;
mod weigh;
mod words;

use smallvec::SmallVec;

pub(crate) use node::NodeId;
use node::{Edge, End, Node};
use segment::Segment;
pub use segment::ValueKind;
pub(in crate::inventory) use state::TreeState;
use ways::{Via, Ways};

/// Steps of a path; browsers and servers stop near 8 KiB, real APIs below twenty steps.
pub(super) const MAX_STEPS: usize = 32;
/// Words below one node; with more of them, all that do not behave in a way of their own are values.
const MAX_LITERALS: usize = 512;
/// Patterns of values below one node; a further one is taken for a plain value.
const MAX_PATTERNS: usize = 64;
/// Visits of a node before its children are judged for the first time.
const FIRST_JUDGEMENT: u32 = 6;
/// Visits before what a node stands for is believed, and before it is never given up to make room.
pub(super) const CONFIRMED: u32 = 3;
/// Nodes looked at to find what answers with words taken for values: two ways at each of a few steps.
const WAYS: usize = 64;
/// No history yet.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// A value in a path, as found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathValue {
    /// Number of the step, from 0.
    pub step: u16,
    /// Number of the value within the step, from 0.
    pub number: u16,
    /// Where it is in the path: first byte and length.
    pub start: u16,
    /// Bytes.
    pub length: u16,
    /// What it looks like.
    pub kind: ValueKind,
}

/// Values of a path; more than these are not told.
pub type PathValues = SmallVec<[PathValue; 6]>;

/// Two histories became one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Move {
    pub(super) from: u32,
    pub(super) into: u32,
}

/// Way of a path through the tree: nodes, and the hash of the value by which each was reached.
type Trail = SmallVec<[(NodeId, u32); 16]>;

/// Whether the path of an exchange says what is called.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Steps {
    /// It does.
    #[default]
    All,
    /// Something else does, and says all of it.
    None,
}

/// Templates of all hosts.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    /// Nodes at most.
    limit: usize,
    /// Where making room goes on.
    hand: usize,
    /// Observations.
    now: u32,
    /// Of hashes.
    seed: u64,
    trail: Trail,
    steps: Steps,
    /// Histories that became one, since last taken.
    pub(super) moves: Vec<Move>,
    /// Nodes below which templates changed, since last taken.
    pub(super) touched: Vec<NodeId>,
}

impl Tree {
    pub(super) fn new(limit: usize, seed: u64) -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            limit: limit.max(1),
            hand: 0,
            now: 0,
            seed,
            trail: Trail::new(),
            steps: Steps::default(),
            moves: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// The first node of a further host.
    pub(super) fn plant(&mut self) -> Option<NodeId> {
        self.add(NodeId(u32::MAX), Edge::Root)
    }

    /// The node of a path that is known; learns nothing. Without steps it is the first one.
    pub(super) fn find(&mut self, root: NodeId, path: &[u8], steps: Steps) -> Option<NodeId> {
        self.trail.clear();
        self.trail.push((root, 0));
        self.steps = steps;
        if steps == Steps::None {
            return Some(root);
        }
        let mut trail = std::mem::take(&mut self.trail);
        let found = self.walk(root, path, &mut trail);
        self.trail = trail;
        found
    }

    /// Where something of that key ends when words of the path are taken for values; learns nothing. A server asks its
    /// route of values when no route of the word fits. Without any, the path that was found last stays so.
    pub(super) fn find_as_values(&mut self, root: NodeId, path: &[u8], key: u32) -> Option<NodeId> {
        let steps: SmallVec<[&[u8]; 16]> = path.split(|byte| *byte == b'/').take(MAX_STEPS + 1).collect();
        if self.steps == Steps::None || steps.len() > MAX_STEPS {
            return None;
        }
        let mut trail = Trail::new();
        let mut open = vec![(root, 0, 0)];
        for _ in 0..WAYS {
            let (id, hash, depth) = open.pop()?;
            trail.truncate(depth);
            trail.push((id, hash));
            let Some(step) = steps.get(depth) else {
                if self.slot(id, key).is_some() {
                    self.trail = trail;
                    return Some(id);
                }
                continue;
            };
            let Some(node) = self.node(id) else { continue };
            let segment = Segment::of(step);
            let place = self.param(node, &segment.pattern).filter(|_| !step.is_empty());
            open.extend(place.map(|place| (place, self.hash(segment.text), depth + 1)));
            let known = self
                .child(node, step, depth)
                .filter(|(child, _)| place != Some(*child));
            open.extend(known.map(|(child, hash)| (child, hash, depth + 1)));
        }
        None
    }

    /// What was found last, after a correction.
    pub(super) fn find_again(&mut self, path: &[u8]) -> Option<NodeId> {
        let root = self.trail.first().map(|(root, _)| *root)?;
        self.find(root, path, self.steps)
    }

    /// Histories or names changed and were not taken yet.
    pub(super) fn is_corrected(&self) -> bool {
        !self.moves.is_empty() || !self.touched.is_empty()
    }

    /// Whose history it is that ends at a node.
    pub(super) fn slot(&self, id: NodeId, key: u32) -> Option<u32> {
        let ends = &self.node(id)?.ends;
        let at = ends.binary_search_by_key(&key, |end| end.key).ok()?;
        ends.get(at).map(|end| end.slot)
    }

    /// Nothing of that key ends at a node any more.
    pub(super) fn forget(&mut self, id: NodeId, key: u32) {
        if let Some(node) = self.nodes.get_mut(id.index()) {
            node.ends.retain(|end| end.key != key);
        }
    }

    fn walk(&self, root: NodeId, path: &[u8], trail: &mut Trail) -> Option<NodeId> {
        let mut at = root;
        for (number, step) in path.split(|byte| *byte == b'/').enumerate() {
            let node = self.node(at)?;
            if matches!(node.edge, Edge::Rest) {
                break;
            }
            let (next, hash) = self.child(node, step, number)?;
            trail.push((next, hash));
            at = next;
        }
        Some(at)
    }

    fn child(&self, node: &Node, step: &[u8], number: usize) -> Option<(NodeId, u32)> {
        if number >= MAX_STEPS {
            let rest = |id: &&NodeId| self.node(**id).is_some_and(|node| node.edge == Edge::Rest);
            return node.params.iter().find(rest).map(|id| (*id, 0));
        }
        if let Ok(at) = node.literals.binary_search_by(|(text, _)| (**text).cmp(step)) {
            return node.literals.get(at).map(|(_, id)| (*id, 0));
        }
        let may_differ = !node.params.is_empty() || memchr::memchr(b';', step).is_some();
        if step.is_empty() || !may_differ {
            return None;
        }
        let segment = Segment::of(step);
        if segment.text.len() != step.len()
            && let Ok(at) = node
                .literals
                .binary_search_by(|(text, _)| (**text).cmp(segment.text))
        {
            return node.literals.get(at).map(|(_, id)| (*id, 0));
        }
        let param = self.param(node, &segment.pattern)?;
        let hash = self.hash(segment.text);
        let values = self.node(param)?.values.as_deref()?;
        let is_value = !segment.is_word()
            || values.words
                && (!words::is_own(segment.text) || values.frequent.iter().any(|word| word.hash == hash));
        is_value.then_some((param, hash))
    }

    /// The place of values within these words.
    fn param(&self, node: &Node, pattern: &[u8]) -> Option<NodeId> {
        let mut plain = None;
        for id in &node.params {
            match self.node(*id).map(|node| &node.edge) {
                Some(Edge::Value(known)) if **known == *pattern => return Some(*id),
                Some(Edge::Value(known)) if **known == *segment::PLAIN => plain = Some(*id),
                Some(Edge::Rest) => return Some(*id),
                _ => {}
            }
        }
        // A place that took values with several endings takes them with any.
        let any = |id: &NodeId| {
            self.node(*id)
                .and_then(|node| node.values.as_deref())
                .is_some_and(|values| values.any_ending)
        };
        plain.filter(any)
    }

    /// Counts a visit of the path that was found last.
    pub(super) fn count(&mut self, path: &[u8], key: u32) -> Option<u32> {
        self.now = self.now.wrapping_add(1);
        let trail = std::mem::take(&mut self.trail);
        let mut steps = path.split(|byte| *byte == b'/');
        let (mut came_by, mut level) = (Ways::default(), 0);
        for (number, (id, hash)) in trail.iter().enumerate() {
            let step = if number == 0 { None } else { steps.next() };
            if self.pass(*id, *hash, step, came_by) {
                came_by.set(level, Via::One(*hash));
                level += 1;
            }
        }
        let last = trail.last().map(|(id, _)| *id);
        let slot = last.and_then(|last| self.end(last, key, came_by));
        self.trail = trail;
        slot
    }

    /// One node was passed; whether by a value of a place that takes words.
    fn pass(&mut self, id: NodeId, hash: u32, step: Option<&[u8]>, came_by: Ways) -> bool {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(id.index()) else {
            return false;
        };
        node.visits = node.visits.saturating_add(1);
        node.used = now;
        node.via.and(came_by);
        let (Some(values), Some(step)) = (&mut node.values, step) else {
            return false;
        };
        if values.take(step, hash) {
            self.touched.push(id);
        }
        values.words
    }

    fn end(&mut self, id: NodeId, key: u32, came_by: Ways) -> Option<u32> {
        let node = self.nodes.get_mut(id.index())?;
        let at = match node.ends.binary_search_by_key(&key, |end| end.key) {
            Ok(at) => at,
            Err(at) => {
                let end = End {
                    key,
                    slot: NO_SLOT,
                    visits: 0,
                    via: Ways::default(),
                };
                node.ends.insert(at, end);
                at
            }
        };
        let end = node.ends.get_mut(at)?;
        end.visits = end.visits.saturating_add(1);
        end.via.and(came_by);
        Some(end.slot)
    }
}

/// Looking.
impl Tree {
    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())
    }

    /// Nodes in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Bytes it holds, itself included.
    pub(super) fn held_bytes(&self) -> usize {
        let beside: usize = self.nodes.iter().map(Node::bytes_beside).sum();
        size_of::<Self>()
            + self.nodes.capacity() * size_of::<Node>()
            + self.free.capacity() * size_of::<NodeId>()
            + self.moves.capacity() * size_of::<Move>()
            + self.touched.capacity() * size_of::<NodeId>()
            + beside
    }

    fn hash(&self, value: &[u8]) -> u32 {
        use std::hash::{BuildHasher, Hasher};
        let mut hasher = rustc_hash::FxSeededState::with_seed(usize::try_from(self.seed).unwrap_or_default())
            .build_hasher();
        hasher.write(value);
        let hash = hasher.finish();
        u32::try_from(hash >> 32 ^ hash & u64::from(u32::MAX)).unwrap_or_default()
    }
}

/// Judging.
impl Tree {
    /// Judges what is due on the way of the path that was counted last; whether something changed.
    pub(super) fn settle(&mut self) -> bool {
        let trail = std::mem::take(&mut self.trail);
        let mut changed = false;
        for (id, _) in &trail {
            changed |= self.judge_if_due(*id);
        }
        self.trail = trail;
        changed
    }
}
