//! Roles, groups and scopes.
//!
//! Takes what tokens say. Gives ids, and names that may be shown. Bounded by [`MAX_NAMES`]: ids need no memory.

use rustc_hash::FxHashMap;

use crate::classify::shape::Shape;
use crate::exchange::credentials::{Attribute, AttributeKind};

/// Names that are remembered to be shown. Applications have dozens of roles and some hundred scopes.
const MAX_NAMES: usize = 4096;
/// Letters of a name that are shown.
const MAX_SHOWN: usize = 64;

/// A role, group or scope: the front of its keyed hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AttributeId(pub u64);

impl AttributeId {
    pub(super) fn of(attribute: &Attribute) -> Self {
        Self(attribute.hash.front())
    }
}

/// A role, group or scope as it may be shown: `*` where a piece of its name could be a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownAttribute {
    /// Which.
    pub kind: AttributeKind,
    /// Its name.
    pub name: Box<str>,
}

/// Names seen so far.
#[derive(Default, Debug)]
pub(super) struct Names(FxHashMap<AttributeId, ShownAttribute>);

impl Names {
    pub(super) fn learn(&mut self, attribute: &Attribute) {
        let id = AttributeId::of(attribute);
        if self.0.len() < MAX_NAMES && !self.0.contains_key(&id) {
            let shown = ShownAttribute {
                kind: attribute.kind,
                name: show(attribute.name.expose()),
            };
            self.0.insert(id, shown);
        }
    }

    pub(super) fn shown(&self, id: AttributeId) -> Option<&ShownAttribute> {
        self.0.get(&id)
    }

    pub(super) fn restore(&mut self, id: AttributeId, shown: ShownAttribute) {
        if self.0.len() < MAX_NAMES {
            self.0.insert(id, shown);
        }
    }

    /// Everything, by id.
    pub(super) fn all(&self) -> Vec<(AttributeId, &ShownAttribute)> {
        let mut all: Vec<_> = self.0.iter().map(|(id, shown)| (*id, shown)).collect();
        all.sort_by_key(|(id, _)| *id);
        all
    }
}

/// Piece by piece: `orders:read`, `ROLE_ADMIN`, `https://graph.example/User.Read`.
fn show(name: &[u8]) -> Box<str> {
    let is_mark = |byte: &u8| matches!(byte, b':' | b'/' | b'.' | b'*' | b'#');
    let mut shown = String::new();
    for piece in name.split_inclusive(is_mark) {
        let (word, mark) = match piece.split_last() {
            Some((mark, word)) if is_mark(mark) => (word, Some(*mark)),
            _ => (piece, None),
        };
        let safe = Shape::of(word) == Shape::Word;
        match std::str::from_utf8(word) {
            Ok(text) if safe => shown.push_str(text),
            _ if word.is_empty() => {}
            _ => shown.push('*'),
        }
        shown.extend(mark.map(char::from));
        if shown.len() > MAX_SHOWN {
            shown.truncate(MAX_SHOWN);
            break;
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_roles_are_shown_and_values_are_not() {
        for (name, shown) in [
            ("admin", "admin"),
            ("ROLE_ADMIN", "ROLE_ADMIN"),
            ("orders:read", "orders:read"),
            (
                "https://graph.example/User.Read",
                "https://graph.example/User.Read",
            ),
            ("alice@example.com", "*.com"),
            ("user:12345", "user:*"),
            ("550e8400-e29b-41d4-a716-446655440000", "*"),
            ("a b\u{1b}[31m", "*"),
            ("", ""),
        ] {
            assert_eq!(&*show(name.as_bytes()), shown, "{name}");
        }
    }
}
