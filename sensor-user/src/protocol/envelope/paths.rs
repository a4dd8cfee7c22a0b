//! Paths in the variables of a GraphQL request: `input.items[].price`.

use super::super::name::{MAX_NAME, NameSet};
use super::super::walk::Container;
use super::MAX_PATHS;

/// Levels that are named; deeper ones end the path.
const MAX_LEVELS: usize = 16;

/// The path of the current variable.
#[derive(Default)]
pub(super) struct Paths {
    path: Vec<u8>,
    /// Length of the path before each container that is open.
    levels: Vec<usize>,
    /// Containers beyond [`MAX_LEVELS`].
    deeper: u32,
    /// Length of the path of the innermost container.
    base: usize,
}

impl Paths {
    pub(super) fn clear(&mut self) {
        self.path.clear();
        self.levels.clear();
        self.deeper = 0;
        self.base = 0;
    }

    pub(super) fn key(&mut self, name: &[u8]) {
        if self.deeper > 0 {
            return;
        }
        self.path.truncate(self.base);
        if !self.path.is_empty() {
            self.path.push(b'.');
        }
        self.path.extend_from_slice(name.get(..MAX_NAME).unwrap_or(name));
    }

    pub(super) fn open(&mut self, container: Container) {
        if self.levels.len() >= MAX_LEVELS || self.path.len() >= MAX_NAME {
            self.deeper = self.deeper.saturating_add(1);
            return;
        }
        self.levels.push(self.base);
        if container == Container::Array {
            self.path.extend_from_slice(b"[]");
        }
        self.base = self.path.len();
    }

    pub(super) fn close(&mut self, names: &mut NameSet) {
        if self.deeper > 0 {
            self.deeper -= 1;
            self.leaf(names);
            return;
        }
        // Nothing is open when the variables themselves end.
        if let Some(base) = self.levels.pop() {
            self.path.truncate(self.base);
            self.base = base;
        }
    }

    /// A value without members.
    pub(super) fn leaf(&self, names: &mut NameSet) {
        if !self.path.is_empty() {
            names.add(&self.path, MAX_PATHS);
        }
    }
}
