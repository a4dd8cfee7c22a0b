//! JSON (RFC 8259) as events, without a tree.
//!
//! Takes a document in slices, however split. Gives each key and scalar, once and whole, with the kinds of its
//! characters. Never allocates except for the one token that straddles two slices. Bounded by [`MAX_DEPTH`] and the
//! token limit handed in. Strings need not be UTF-8: the sensor reads what the peer wrote.

mod carry;
mod number;
mod string;
mod unescape;
mod walker;

use crate::protocol::chars::Classes;

pub use unescape::unescape;
pub use walker::Walker;

/// Nesting that is followed. `serde_json` stops at the same depth; a `u128` holds one bit per level.
pub const MAX_DEPTH: u32 = 128;

/// What a document is told to.
pub trait Visitor {
    /// An object or array begins.
    fn open(&mut self, container: Container);
    /// The innermost container ends.
    fn close(&mut self);
    /// Name of the member that follows.
    fn key(&mut self, text: Text<'_>);
    /// A value that is no container.
    fn scalar(&mut self, kind: Scalar, text: Text<'_>);
}

/// Kind of container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Container {
    /// `{`.
    Object,
    /// `[`.
    Array,
}

/// Kind of scalar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scalar {
    /// A string.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
}

/// A token as written: of a string what is between the quotes, escapes not undone. Prints its length only.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    /// The bytes, at most as many as the token limit.
    pub raw: &'a [u8],
    /// Kinds of characters in the whole token; of a key only [`Classes::ESCAPE`], when an escape is in it.
    pub classes: Classes,
    /// The token is longer than the limit, or the input ended inside of it.
    pub cut: bool,
}

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes, cut: {}]", self.raw.len(), self.cut)
    }
}

/// Why a document was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It is not JSON.
    Malformed,
    /// It nests deeper than [`MAX_DEPTH`].
    TooDeep,
}

/// How a document ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Ending {
    /// One whole value.
    Complete,
    /// The input ended first; everything up to there was told.
    Cut,
    /// It was refused; everything up to there was told.
    Refused(Refusal),
}

#[cfg(test)]
mod tests;
