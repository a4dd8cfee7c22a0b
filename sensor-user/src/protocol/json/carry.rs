//! The front of a token that the end of a slice interrupted.

use crate::protocol::chars::Classes;
use crate::protocol::walk::{Coding, Text};

/// Holds observed bytes, so it prints their number only.
#[derive(Default)]
pub(super) struct Carry {
    /// Invariant: at most the token limit.
    bytes: Vec<u8>,
    classes: Classes,
    overlong: bool,
}

impl std::fmt::Debug for Carry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.bytes.len())
    }
}

impl Carry {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a part; what is beyond `limit` is dropped and marked.
    pub(super) fn push(&mut self, part: &[u8], classes: Classes, limit: usize) {
        let room = limit.saturating_sub(self.bytes.len());
        self.overlong |= part.len() > room;
        self.bytes.extend_from_slice(part.get(..room).unwrap_or(part));
        self.classes = self.classes.and(classes);
    }

    /// The token so far.
    pub(super) fn text(&self, cut: bool) -> Text<'_> {
        Text {
            coding: Coding::Json,
            raw: &self.bytes,
            classes: self.classes,
            cut: cut || self.overlong,
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.classes = Classes::NONE;
        self.overlong = false;
    }
}
