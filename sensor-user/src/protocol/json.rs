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

pub use unescape::unescape;
pub use walker::Walker;

#[cfg(test)]
mod tests;
