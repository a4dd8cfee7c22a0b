//! Names of what is called: fields, methods, operations.
//!
//! Takes bytes as the peer wrote them. Gives their front. Never prints them: a name may be a value in disguise, so whoever
//! shows one judges it first. Bounded by [`MAX_NAME`].

use smallvec::SmallVec;

/// Bytes of a name; what is longer is cut. Longer names of fields and methods are not written by people.
pub const MAX_NAME: usize = 128;

/// Name of what is called, at most [`MAX_NAME`] bytes, as the peer wrote it. Hostile, so it prints its length only.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Name(SmallVec<[u8; 32]>);

impl Name {
    /// The front of a name.
    pub fn new(name: &[u8]) -> Self {
        Self(SmallVec::from_slice(name.get(..MAX_NAME).unwrap_or(name)))
    }

    /// The bytes. Whoever shows them judges them first.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[name, {} bytes]", self.0.len())
    }
}

/// Names in the order they came, each once, at most as many as the limit; prints their number only.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct NameSet {
    names: Vec<Name>,
    /// There were more.
    more: bool,
}

impl NameSet {
    /// Adds a name unless it is there or `most` are. Returns whether there is room for more.
    pub fn add(&mut self, name: &[u8], most: usize) -> bool {
        let name = Name::new(name);
        if !self.names.contains(&name) {
            if self.names.len() >= most {
                self.more = true;
                return false;
            }
            self.names.push(name);
        }
        true
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.names.iter()
    }

    /// No name was added.
    pub const fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Says that names were left out.
    pub const fn mark_more(&mut self) {
        self.more = true;
    }
}

impl std::fmt::Debug for NameSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} names, more: {}]", self.names.len(), self.more)
    }
}
