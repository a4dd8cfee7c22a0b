//! Where in a structured body the walk is, and how that is shown.
//!
//! Takes containers and names as they open and close. Gives the place as text, such as `data[].card`. Never holds a
//! name that could be a value: those are `*`. Bounded by `MAX_PLACE` bytes.

use super::hint::Hint;
use super::names::{NameId, Names};
use crate::protocol::walk::Container;

/// Bytes of a place, about; what is deeper is shown as `*`.
const MAX_PLACE: usize = 160;

/// The containers around the current value. Holds only what may be shown, as ASCII.
#[derive(Default)]
pub(super) struct Trail {
    /// Place of the innermost container, such as `data[].card`.
    prefix: Vec<u8>,
    frames: Vec<Frame>,
    /// The current member.
    member: Option<NameId>,
    /// What the nearest name says; within an array, the array's name.
    hint: Hint,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Length of `prefix` before this container.
    outer: usize,
    /// What the name before this container said.
    hint: Hint,
}

impl Trail {
    /// Back to the start; keeps the memory.
    pub(super) fn clear(&mut self) {
        self.prefix.clear();
        self.frames.clear();
        self.member = None;
        self.hint = Hint::NONE;
    }

    /// A container begins. Containers deeper than `depth` are shown as `*`.
    #[inline]
    pub(super) fn open(&mut self, container: Container, names: &Names, depth: usize) {
        self.frames.push(Frame {
            outer: self.prefix.len(),
            hint: self.hint,
        });
        if self.frames.len() <= depth && self.prefix.len() < MAX_PLACE {
            push_member(&mut self.prefix, self.member, names);
            if container == Container::Array {
                self.prefix.extend_from_slice(b"[]");
            }
        } else if !self.prefix.ends_with(b"*") {
            self.prefix.extend_from_slice(b".*");
        }
        self.member = None;
        if container == Container::Object {
            self.hint = Hint::NONE;
        }
    }

    /// The innermost container ends.
    #[inline]
    pub(super) fn close(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.prefix.truncate(frame.outer);
            self.hint = frame.hint;
            self.member = None;
        }
    }

    /// The name of the next value.
    #[inline]
    pub(super) const fn name(&mut self, id: NameId) {
        self.member = Some(id);
        self.hint = id.hint;
    }

    /// What the nearest name says; within an array, the array's name.
    #[inline]
    pub(super) const fn hint(&self) -> Hint {
        self.hint
    }

    /// The name of the current value as it may be shown; empty when it has none, or is one of a list.
    pub(super) fn name_of_one<'n>(&self, names: &'n Names) -> Option<&'n [u8]> {
        let in_list = memchr::memmem::find(&self.prefix, b"[]").is_some();
        self.member.filter(|_| !in_list).map(|member| names.shown(member))
    }

    /// Writes the place of the current value, such as `data[].card.number`.
    pub(super) fn render(&self, names: &Names, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.prefix);
        push_member(out, self.member, names);
        if out.is_empty() {
            out.push(b'*');
        }
    }
}

fn push_member(out: &mut Vec<u8>, member: Option<NameId>, names: &Names) {
    let Some(member) = member else {
        return;
    };
    if !out.is_empty() {
        out.push(b'.');
    }
    out.extend_from_slice(names.shown(member));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_collapse_and_values_hide() {
        let mut names = Names::new();
        let mut trail = Trail::default();
        let rendered = |trail: &Trail, names: &Names| {
            let mut out = Vec::new();
            trail.render(names, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(rendered(&trail, &names), "*");
        trail.open(Container::Object, &names, 4);
        trail.name(names.look_up(b"data"));
        trail.open(Container::Array, &names, 4);
        trail.open(Container::Object, &names, 4);
        trail.name(names.look_up(b"alice@example.com"));
        assert_eq!(rendered(&trail, &names), "data[].*");
        trail.name(names.look_up(b"card"));
        assert_eq!(rendered(&trail, &names), "data[].card");
        trail.open(Container::Array, &names, 4);
        assert!(trail.hint().has(Hint::CARD));
        assert_eq!(rendered(&trail, &names), "data[].card[]");
        trail.open(Container::Array, &names, 4);
        assert_eq!(rendered(&trail, &names), "data[].card[].*");
        trail.close();
        trail.close();
        assert_eq!(rendered(&trail, &names), "data[]");
        trail.close();
        assert_eq!(rendered(&trail, &names), "data[]");
        trail.close();
        assert_eq!(rendered(&trail, &names), "*");
    }
}
