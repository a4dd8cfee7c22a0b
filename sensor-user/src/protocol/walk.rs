//! One walk for every structured body: JSON, XML, forms, multipart, protobuf and the rest tell the same visitor.
//!
//! Takes nothing itself: each parser drives a [`Visitor`] with containers, names and scalars in document order, without
//! a tree and without an allocation per value. A body that was cut gives everything up to the cut. Bounded by
//! [`MAX_DEPTH`] and the parser's own token limit.

use smallvec::SmallVec;

use super::chars::Classes;
use super::form::{self, Plus};
use super::{Anomaly, json, xml};

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
    /// Named members; a name may come more than once.
    Object,
    /// Values without names.
    Array,
}

/// Kind of scalar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scalar {
    /// Text, or a value of a format that knows nothing else.
    String,
    /// A number, as decimal text.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
    /// Bytes that are no text.
    Bytes,
}

/// How a token's bytes stand for its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Coding {
    /// As they are.
    #[default]
    Plain,
    /// With JSON's escapes (RFC 8259, 7), when [`Classes::ESCAPE`] is set.
    Json,
    /// Percent-encoded, `+` for a space (WHATWG URL, 5.1).
    Form,
    /// XML's character data with references, sections or comments (XML 1.0, 2.4), when [`Classes::ESCAPE`] is set.
    Xml,
}

/// A token as written: of a JSON string what is between the quotes, escapes not undone. Prints its length only.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    /// The bytes, of JSON at most as many as the walker's token limit.
    pub raw: &'a [u8],
    /// Kinds of characters in the whole token as written; of a key only [`Classes::ESCAPE`], when one is in it.
    pub classes: Classes,
    /// How `raw` stands for the value.
    pub coding: Coding,
    /// The token is longer than the limit, or the input ended inside of it.
    pub cut: bool,
}

impl<'a> Text<'a> {
    /// A whole token that stands for itself.
    pub fn plain(raw: &'a [u8]) -> Self {
        Self {
            raw,
            classes: Classes::of(raw),
            coding: Coding::Plain,
            cut: false,
        }
    }

    /// The value. `scratch` is used, and overwritten, only when there is something to undo.
    pub fn decode<'s>(&self, scratch: &'s mut Vec<u8>) -> &'s [u8]
    where
        'a: 's,
    {
        match self.coding {
            Coding::Plain => self.raw,
            Coding::Json if !self.classes.has(Classes::ESCAPE) => self.raw,
            Coding::Json => {
                scratch.clear();
                json::unescape(self.raw, scratch);
                scratch
            }
            Coding::Form => form::decode(self.raw, Plus::Space, scratch),
            Coding::Xml => {
                scratch.clear();
                xml::undo(self.raw, scratch);
                scratch
            }
        }
    }
}

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes, cut: {}]", self.raw.len(), self.cut)
    }
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

/// Why a document was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It is not of the format.
    Malformed,
    /// It nests deeper than [`MAX_DEPTH`].
    TooDeep,
}

/// Anomalies met on a walk, each once.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Notes(SmallVec<[Anomaly; 2]>);

impl Notes {
    /// Notes one.
    pub fn add(&mut self, anomaly: Anomaly) {
        if !self.0.contains(&anomaly) {
            self.0.push(anomaly);
        }
    }

    /// What was noted, in order.
    pub fn all(&self) -> &[Anomaly] {
        &self.0
    }
}
