//! Where in a structured body the walk is, and how that is shown.

use super::names::Hint;
use super::shape::Shape;
use crate::protocol::json::Container;

/// Bytes of one name that are kept; a longer one is shown as `*` anyway.
const MAX_NAME: usize = 64;
/// Bytes of a place; what is deeper is shown as `*`.
const MAX_PLACE: usize = 160;

/// The containers around the current value. Holds raw names, so it prints nothing.
#[derive(Default)]
pub(super) struct Trail {
    /// Names of the members on the way, one after the other.
    names: Vec<u8>,
    frames: Vec<Frame>,
    /// What the current member's name says.
    hint: Hint,
}

#[derive(Clone, Copy)]
struct Frame {
    /// Where this container's current name begins in `names`.
    base: usize,
    container: Container,
    /// What the name before this container said.
    outer: Hint,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} levels]", self.frames.len())
    }
}

impl Trail {
    /// Back to the start; keeps the memory.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.frames.clear();
        self.hint = Hint::NONE;
    }

    #[inline]
    pub(super) fn open(&mut self, container: Container) {
        self.frames.push(Frame {
            base: self.names.len(),
            container,
            outer: self.hint,
        });
        if container == Container::Object {
            self.hint = Hint::NONE;
        }
    }

    #[inline]
    pub(super) fn close(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.names.truncate(frame.base);
            self.hint = frame.outer;
        }
    }

    #[inline]
    pub(super) fn name(&mut self, name: &[u8], hint: Hint) {
        let base = self.frames.last().map_or(0, |frame| frame.base);
        self.names.truncate(base);
        self.names.extend_from_slice(name.get(..MAX_NAME).unwrap_or(name));
        self.hint = hint;
    }

    /// What the nearest name says; within an array, the array's name.
    #[inline]
    pub(super) const fn hint(&self) -> Hint {
        self.hint
    }

    /// Writes the place, such as `data[].card.number`.
    pub(super) fn render(&self, depth: usize, out: &mut String) {
        out.clear();
        for (level, frame) in self.frames.iter().enumerate() {
            if level >= depth || out.len() > MAX_PLACE {
                out.push_str(".*");
                break;
            }
            if frame.container == Container::Array {
                out.push_str("[]");
                continue;
            }
            let end = self
                .frames
                .get(level + 1)
                .map_or(self.names.len(), |next| next.base);
            if !out.is_empty() {
                out.push('.');
            }
            push_safe(self.names.get(frame.base..end).unwrap_or_default(), out);
        }
        if out.is_empty() {
            out.push('*');
        }
    }
}

/// Appends a name if it is an identifier that cannot be a value, else `*`.
pub(super) fn push_safe(name: &[u8], out: &mut String) {
    let text = std::str::from_utf8(name).ok();
    match text.filter(|_| name.len() < MAX_NAME && Shape::of(name) == Shape::Word) {
        Some(text) => out.push_str(text),
        None => out.push('*'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(trail: &Trail) -> String {
        let mut out = String::new();
        trail.render(4, &mut out);
        out
    }

    #[test]
    fn arrays_collapse_and_values_hide() {
        let mut trail = Trail::default();
        assert_eq!(rendered(&trail), "*");
        trail.open(Container::Object);
        trail.name(b"data", Hint::NONE);
        trail.open(Container::Array);
        trail.open(Container::Object);
        trail.name(b"alice@example.com", Hint::NONE);
        assert_eq!(rendered(&trail), "data[].*");
        trail.name(b"card", Hint::CARD);
        assert_eq!(rendered(&trail), "data[].card");
        trail.open(Container::Array);
        assert!(trail.hint().has(Hint::CARD));
        assert_eq!(rendered(&trail), "data[].card[]");
        trail.open(Container::Array);
        assert_eq!(rendered(&trail), "data[].card[].*");
        trail.close();
        trail.close();
        trail.close();
        assert_eq!(rendered(&trail), "data[]");
    }
}
