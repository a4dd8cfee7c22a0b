//! The JSON around a call: members by which GraphQL over HTTP and JSON-RPC 2.0 are known, of one call or a batch.
//!
//! Takes what a walk tells ([`Visitor`]). Gives each call or answer as an [`Envelope`], one after the other. Never keeps
//! more of a document than the members below: of variables their paths only. Bounded by the walk's token limit,
//! [`MAX_ID`] and [`MAX_PATHS`].

mod member;
mod paths;

use super::name::{Name, NameSet};
use super::walk::{Container, Scalar, Text, Visitor};
use member::Member;
use paths::Paths;

/// Bytes of a request's id that are compared. Ids are counters, UUIDs or ULIDs.
pub const MAX_ID: usize = 64;

/// Paths of variables that are kept of one call.
pub const MAX_PATHS: usize = 32;

/// Kind of a member's value.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Value {
    /// There is no such member.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// Text.
    String,
    /// A number or `true` or `false`.
    Plain,
    /// An object.
    Object,
    /// An array without elements, or one that was cut before the first.
    Empty,
    /// An array.
    Array,
}

/// One call, or the answer to one. Prints none of it.
#[derive(Clone, Default)]
pub struct Envelope {
    /// `jsonrpc`, and whether it is `2.0`.
    pub jsonrpc: Option<bool>,
    /// `method` of JSON-RPC.
    pub method: Option<Name>,
    /// `type` of a message on a WebSocket.
    pub kind: Option<Name>,
    /// `id` as written, after a quote when it is text; a longer one is cut.
    pub id: Option<Name>,
    /// `result` of JSON-RPC.
    pub result: Value,
    /// `error` of JSON-RPC.
    pub error: Value,
    /// `code` in it.
    pub code: i64,
    /// `query` of GraphQL.
    pub query: Value,
    /// Its text, when it is text.
    pub document: Vec<u8>,
    /// The text is longer than the walk's token limit, or was cut.
    pub document_cut: bool,
    /// `operationName` of GraphQL.
    pub operation: Option<Name>,
    /// `variables` of GraphQL.
    pub variables: Value,
    /// Paths in it, such as `input.email`.
    pub variable_paths: NameSet,
    /// `extensions.persistedQuery.sha256Hash`: the document is known to the server.
    pub persisted: bool,
    /// `documentId`: the same.
    pub document_id: Option<Name>,
    /// `data` of a GraphQL response.
    pub data: Value,
    /// `errors` of a GraphQL response.
    pub errors: Value,
    /// Members that neither has.
    pub others: u32,
    /// It ended before its end was seen.
    pub cut: bool,
}

impl Envelope {
    /// Ready for the next; keeps the memory of the document.
    fn clear(&mut self) {
        let mut document = std::mem::take(&mut self.document);
        document.clear();
        *self = Self {
            document,
            ..Self::default()
        };
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[envelope]")
    }
}

/// What envelopes are wrapped in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrap {
    /// Nothing, as over HTTP.
    Bare,
    /// A message of `graphql-transport-ws` or `graphql-ws`: the envelope's members are in its `payload`, `type` and `id`
    /// beside it. Messages without one are envelopes themselves.
    Message,
}

/// Where in an envelope the walk is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Inside {
    /// Between its members.
    #[default]
    Itself,
    /// In `error` of JSON-RPC.
    Error,
    /// In `errors` or another array of which only the first element matters.
    Array(Member),
    /// In `extensions`.
    Extensions,
    /// In `extensions.persistedQuery`.
    Persisted,
    /// In `variables`.
    Variables,
    /// Elsewhere.
    Other,
}

/// Tells envelopes to `each`.
pub struct Envelopes<'a, F> {
    envelope: &'a mut Envelope,
    each: F,
    /// Containers that are open.
    depth: u32,
    /// Depth of an envelope's members: 1, or 2 in a batch. 0 outside of one.
    level: u32,
    inside: Inside,
    /// Depth at which what `inside` says ends.
    ends: u32,
    member: Member,
    paths: Paths,
    /// What each envelope is wrapped in.
    wrap: Wrap,
    /// The walk is in the wrap's `payload`.
    wrapped: bool,
    /// The document is an array.
    is_batch: bool,
    /// Elements of a batch that are no envelope.
    strays: u32,
    scratch: Vec<u8>,
}

impl<'a, F: FnMut(&mut Envelope)> Envelopes<'a, F> {
    /// Uses the memory of `envelope`.
    pub fn new(envelope: &'a mut Envelope, wrap: Wrap, each: F) -> Self {
        envelope.clear();
        Self {
            envelope,
            each,
            depth: 0,
            level: 0,
            inside: Inside::Itself,
            ends: 0,
            member: Member::Other,
            paths: Paths::default(),
            wrap,
            wrapped: false,
            is_batch: false,
            strays: 0,
            scratch: Vec::new(),
        }
    }

    /// The document ended; an envelope that was not whole is told as cut. Gives whether it was a batch, and how many of
    /// its elements are no envelope.
    pub fn finish(mut self) -> (bool, u32) {
        if self.level > 0 {
            self.envelope.cut = true;
            self.tell();
        }
        (self.is_batch, self.strays)
    }

    fn tell(&mut self) {
        (self.each)(self.envelope);
        self.envelope.clear();
        self.paths.clear();
        self.level = 0;
        self.wrapped = false;
        self.inside = Inside::Itself;
        self.member = Member::Other;
    }

    /// The current member's value begins a container.
    fn open_member(&mut self, container: Container) {
        if self.wrap == Wrap::Message && !self.wrapped && self.member == Member::Payload {
            if container == Container::Object {
                self.wrapped = true;
                self.level += 1;
            } else {
                // Errors of `graphql-transport-ws` are the payload itself.
                self.envelope.errors = Value::Array;
            }
            self.ends = self.depth;
            self.inside = if self.wrapped {
                Inside::Itself
            } else {
                Inside::Other
            };
            return;
        }
        let value = match container {
            Container::Object => Value::Object,
            Container::Array => Value::Empty,
        };
        self.member.set(self.envelope, value);
        self.ends = self.depth;
        self.inside = match (self.member, container) {
            (Member::Error, Container::Object) => Inside::Error,
            (Member::Extensions, Container::Object) => Inside::Extensions,
            (Member::Variables, _) => Inside::Variables,
            (member, Container::Array) => Inside::Array(member),
            _ => Inside::Other,
        };
    }

    /// An element begins where the walk stands: an array is not empty.
    fn element(&mut self) {
        if let Inside::Array(member) = self.inside {
            member.set(self.envelope, Value::Array);
            self.inside = Inside::Other;
        }
    }

    fn scalar_within(&mut self, kind: Scalar, text: &Text<'_>) {
        match self.inside {
            Inside::Itself => member::take(self.member, self.envelope, kind, text, &mut self.scratch),
            Inside::Error if self.member == Member::Code && self.depth == self.ends + 1 => {
                self.envelope.code = member::integer(text);
            }
            Inside::Persisted if self.member == Member::Hash && self.depth == self.ends + 2 => {
                self.envelope.persisted = kind == Scalar::String;
            }
            Inside::Variables => self.paths.leaf(&mut self.envelope.variable_paths),
            Inside::Array(_) => self.element(),
            _ => {}
        }
    }
}

impl<F: FnMut(&mut Envelope)> Visitor for Envelopes<'_, F> {
    fn open(&mut self, container: Container) {
        match (self.level, self.depth, container) {
            (0, 0, Container::Array) => self.is_batch = true,
            (0, 0, Container::Object) => self.level = 1,
            (0, 1, Container::Object) if self.is_batch => self.level = 2,
            (0, 1, Container::Array) if self.is_batch => self.strays = self.strays.saturating_add(1),
            (level, depth, _) if level > 0 && depth == level => self.open_member(container),
            (level, depth, _) if level > 0 && depth > level => self.open_within(container),
            _ => {}
        }
        self.depth = self.depth.saturating_add(1);
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.level > 0 && self.depth + 1 == self.level {
            if self.wrapped {
                self.wrapped = false;
                self.level -= 1;
                self.inside = Inside::Itself;
                return;
            }
            self.tell();
            return;
        }
        if self.inside == Inside::Variables {
            self.paths.close(&mut self.envelope.variable_paths);
        }
        if self.inside == Inside::Persisted && self.depth == self.ends + 1 {
            self.inside = Inside::Extensions;
        }
        if self.inside != Inside::Itself && self.depth == self.ends {
            self.inside = Inside::Itself;
        }
    }

    fn key(&mut self, text: Text<'_>) {
        if self.level == 0 || self.depth < self.level {
            return;
        }
        let name = text.decode(&mut self.scratch);
        match self.inside {
            Inside::Itself => {
                self.member = Member::of(name);
                if self.member == Member::Other {
                    self.envelope.others = self.envelope.others.saturating_add(1);
                }
            }
            Inside::Variables => self.paths.key(name),
            Inside::Error | Inside::Extensions | Inside::Persisted => self.member = Member::within(name),
            Inside::Array(_) | Inside::Other => {}
        }
    }

    fn scalar(&mut self, kind: Scalar, text: Text<'_>) {
        if self.level > 0 && self.depth >= self.level {
            self.scalar_within(kind, &text);
        } else if self.depth == 1 {
            self.strays = self.strays.saturating_add(1);
        }
    }
}

impl<F: FnMut(&mut Envelope)> Envelopes<'_, F> {
    /// A container within a member's value begins.
    fn open_within(&mut self, container: Container) {
        match self.inside {
            Inside::Variables => self.paths.open(container),
            Inside::Extensions if self.member == Member::Persisted && self.depth == self.ends + 1 => {
                self.inside = Inside::Persisted;
            }
            Inside::Array(_) => self.element(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
