//! The tree as plain data, and back.
//!
//! Takes and gives nodes in the order of their numbers. What comes back is checked: each node has one parent, which knows
//! it, and each chain of parents ends at the first node of a host. Bounded by the tree's limit.

use super::node::{Edge, Node, NodeId};
use super::{MAX_STEPS, Tree};
use crate::inventory::StateError;

/// What is hashed to tell one seed from another: no step of a path.
const PRINTED: &[u8] = b"/print";

/// Nodes with their counts.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::inventory) struct TreeState {
    nodes: Vec<Node>,
    /// Of nothing, with the seed: tells whether other hashes are of this one.
    print: u32,
}

impl Tree {
    pub(in crate::inventory) const fn seed(&self) -> u64 {
        self.seed
    }

    pub(in crate::inventory) fn snapshot(&self) -> TreeState {
        let mut nodes = self.nodes.clone();
        // Observations are counted anew.
        for node in &mut nodes {
            node.used = 0;
        }
        TreeState {
            nodes,
            print: self.hash(PRINTED),
        }
    }

    pub(in crate::inventory) fn restore(
        &mut self,
        state: TreeState,
        roots: &[NodeId],
    ) -> Result<(), StateError> {
        if state.nodes.len() > self.limit {
            return Err(StateError::TooLarge);
        }
        self.nodes = state.nodes;
        let mut reached = vec![false; self.nodes.len()];
        for root in roots {
            self.check(*root, &mut reached)?;
        }
        for (number, (node, reached)) in self.nodes.iter().zip(&reached).enumerate() {
            match (&node.edge, reached) {
                (Edge::Free, false) => self.free.push(NodeId(u32::try_from(number).unwrap_or_default())),
                (Edge::Free, true) | (_, false) => {
                    return Err(StateError::Damaged("a node that belongs to no host"));
                }
                (_, true) => {}
            }
        }
        if state.print != self.hash(PRINTED) {
            self.forget_hashes();
        }
        Ok(())
    }

    /// Hashes of another key say nothing. Counts, words and what was concluded stay; values are told apart anew.
    fn forget_hashes(&mut self) {
        let mut nodes = std::mem::take(&mut self.nodes);
        for node in &mut nodes {
            node.via.forget_hashes();
            node.ends.iter_mut().for_each(|end| end.via.forget_hashes());
            if let Some(values) = &mut node.values {
                values.forget_hashes(|text| self.hash(text));
            }
        }
        self.nodes = nodes;
    }

    /// Everything below a first node is reached once, by a parent that is its own.
    fn check(&self, root: NodeId, reached: &mut [bool]) -> Result<(), StateError> {
        let mut open = vec![(root, 0)];
        while let Some((id, depth)) = open.pop() {
            let seen = reached
                .get_mut(id.index())
                .ok_or(StateError::Damaged("a node that is not there"))?;
            if std::mem::replace(seen, true) || depth > MAX_STEPS + 1 {
                return Err(StateError::Damaged("a node with two parents"));
            }
            let node = self
                .node(id)
                .ok_or(StateError::Damaged("a node that is not there"))?;
            let sorted = node.literals.is_sorted_by(|(one, _), (other, _)| one < other)
                && node.ends.is_sorted_by(|one, other| one.key < other.key);
            if !sorted {
                return Err(StateError::Damaged("a node out of order"));
            }
            for child in self.children(id) {
                if self.node(child).is_none_or(|node| node.parent != id) {
                    return Err(StateError::Damaged("a child of another"));
                }
                open.push((child, depth + 1));
            }
        }
        Ok(())
    }
}
