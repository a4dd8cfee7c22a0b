//! The outside of a JSON message: its type, id and method.
//!
//! Takes a body. Gives the few members that name it. Never looks at values of others. Bounded by [`TOKEN`].

use smallvec::SmallVec;

use crate::exchange::Body;
use crate::exchange::call::{Call, CallKind, CallName, MAX_NAME};
use crate::protocol::json::Walker;
use crate::protocol::walk::{Container, Scalar, Text, Visitor};

/// Bytes looked at of one token: of a GraphQL document the front, where its operation is named.
const TOKEN: usize = 1024;

/// Levels that matter: the message, its payload or error, and what is in there.
const LEVELS: u32 = 3;

/// Short bytes of a peer.
type Short = SmallVec<[u8; 32]>;

/// What names a message. Holds no more than names and ids.
#[derive(Default)]
pub(super) struct Envelope {
    pub(super) kind: Short,
    pub(super) id: Short,
    pub(super) method: Short,
    pub(super) is_json_rpc: bool,
    pub(super) has_result: bool,
    pub(super) has_errors: bool,
    /// Code of an error; 0 when it has none.
    pub(super) error: Option<i64>,
    operation_name: Short,
    operation: Option<(CallKind, Short)>,
}

impl Envelope {
    /// Of an object in JSON, or of each in an array (a batch, JSON-RPC 2.0, 6), as they end. Gives whether it is one.
    pub(super) fn each(body: &Body, each: impl FnMut(Self)) -> Shape {
        let front = body.pieces.first().map(|piece| piece.0.trim_ascii_start());
        let shape = match front.and_then(|front| front.first()) {
            Some(b'{') => Shape::One,
            Some(b'[') => Shape::Batch,
            Some(_) | None => return Shape::Other,
        };
        let mut walker = Walker::new(TOKEN);
        let mut reading = Reading {
            envelope: Self::default(),
            each,
            outside: u32::from(shape == Shape::Batch),
            depth: 0,
            path: [Member::Other; LEVELS as usize],
            scratch: Vec::new(),
        };
        // What is broken names nothing behind the fault; what is cut nothing behind the cut.
        for piece in &body.pieces {
            if walker.feed(&piece.0, &mut reading).is_err() {
                break;
            }
        }
        reading.give();
        shape
    }

    /// The GraphQL operation that is asked for.
    pub(super) fn operation(&self) -> Call {
        let (kind, name) = match &self.operation {
            Some((kind, name)) => (*kind, name.as_slice()),
            None => (CallKind::GraphqlQuery, &[][..]),
        };
        let name = if self.operation_name.is_empty() {
            name
        } else {
            &self.operation_name
        };
        Call::new(kind, CallName::new(name))
    }
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    One,
    Batch,
    Other,
}

struct Reading<F> {
    envelope: Envelope,
    each: F,
    /// Levels outside of an envelope: that of a batch.
    outside: u32,
    /// Levels within it.
    depth: u32,
    /// Names of the members under way, outermost first.
    path: [Member; LEVELS as usize],
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Member {
    #[default]
    Other,
    Kind,
    Id,
    Method,
    Version,
    Result,
    Error,
    Code,
    Payload,
    Errors,
    Query,
    OperationName,
}

impl Member {
    fn of(name: &[u8]) -> Self {
        match name {
            b"type" => Self::Kind,
            b"id" => Self::Id,
            b"method" => Self::Method,
            b"jsonrpc" => Self::Version,
            b"result" => Self::Result,
            b"error" => Self::Error,
            b"code" => Self::Code,
            b"payload" => Self::Payload,
            b"errors" => Self::Errors,
            b"query" => Self::Query,
            b"operationName" => Self::OperationName,
            _ => Self::Other,
        }
    }
}

impl<F: FnMut(Envelope)> Reading<F> {
    /// The envelope under way ends, or gets no further.
    fn give(&mut self) {
        if std::mem::take(&mut self.depth) > 0 {
            (self.each)(std::mem::take(&mut self.envelope));
        }
    }

    fn place(&mut self) -> Option<&mut Member> {
        let level = usize::try_from(self.depth.checked_sub(1)?).ok()?;
        self.path.get_mut(level)
    }

    /// A member has a value, whatever it is.
    fn present(&mut self, null: bool) {
        match (self.depth, self.path) {
            (1, [Member::Result, ..]) => self.envelope.has_result = true,
            (1, [Member::Error, ..]) if !null => {
                self.envelope.error.get_or_insert(0);
            }
            (2, [Member::Payload, Member::Errors, _]) if !null => self.envelope.has_errors = true,
            _ => {}
        }
    }
}

impl<F: FnMut(Envelope)> Visitor for Reading<F> {
    fn open(&mut self, _: Container) {
        if let Some(inside) = self.outside.checked_sub(1) {
            self.outside = inside;
            return;
        }
        self.present(false);
        self.depth += 1;
        if let Some(member) = self.place() {
            *member = Member::Other;
        }
    }

    fn close(&mut self) {
        match self.depth {
            0 | 1 => self.give(),
            _ => self.depth -= 1,
        }
    }

    fn key(&mut self, text: Text<'_>) {
        let member = Member::of(text.decode(&mut self.scratch));
        if let Some(place) = self.place() {
            *place = member;
        }
    }

    fn scalar(&mut self, kind: Scalar, text: Text<'_>) {
        self.present(kind == Scalar::Null);
        let mut scratch = std::mem::take(&mut self.scratch);
        let value = text.decode(&mut scratch);
        let short = || Short::from_slice(value.get(..MAX_NAME).unwrap_or(value));
        let is_text = kind == Scalar::String;
        let envelope = &mut self.envelope;
        match (self.depth, self.path) {
            (1, [Member::Kind, ..]) if is_text => envelope.kind = short(),
            (1, [Member::Method, ..]) if is_text => envelope.method = short(),
            (1, [Member::Version, ..]) => envelope.is_json_rpc = is_text && value == b"2.0",
            // JSON-RPC, 4: a string or a number; they differ though their digits are the same.
            (1, [Member::Id, ..]) if kind == Scalar::Number => {
                envelope.id = short();
                envelope.id.insert(0, b'#');
            }
            (1, [Member::Id, ..]) if is_text => {
                envelope.id = short();
                envelope.id.insert(0, b'"');
            }
            (2, [Member::Error, Member::Code, _]) if kind == Scalar::Number => {
                let code = std::str::from_utf8(value).ok().and_then(|code| code.parse().ok());
                envelope.error = Some(code.unwrap_or(0));
            }
            (2, [Member::Payload, Member::Query, _]) if is_text => {
                envelope.operation = Some(operation(value));
            }
            (2, [Member::Payload, Member::OperationName, _]) if is_text => envelope.operation_name = short(),
            _ => {}
        }
        self.scratch = scratch;
    }
}

/// Kind and name of a document's first operation (GraphQL, 2.3), by its first words.
fn operation(document: &[u8]) -> (CallKind, Short) {
    let mut words = Words(document);
    let kind = match words.next() {
        Some(b"mutation") => CallKind::GraphqlMutation,
        Some(b"subscription") => CallKind::GraphqlSubscription,
        Some(b"query") => CallKind::GraphqlQuery,
        // The short form, and documents that begin with a fragment.
        _ => return (CallKind::GraphqlQuery, Short::new()),
    };
    let name = words.next().unwrap_or_default();
    (kind, Short::from_slice(name.get(..MAX_NAME).unwrap_or(name)))
}

/// Names at the front of a GraphQL document; ends at the first thing that is none.
struct Words<'a>(&'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            // GraphQL, 2.1: white space, line ends, commas and comments mean nothing.
            let ignored = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',');
            let at = self.0.iter().position(|byte| !ignored(byte))?;
            let rest = self.0.get(at..)?;
            if rest.first() != Some(&b'#') {
                let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                let end = rest.iter().position(|byte| !is_name(byte)).unwrap_or(rest.len());
                let (name, rest) = rest.split_at_checked(end)?;
                self.0 = rest;
                return (!name.is_empty()).then_some(name);
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
            self.0 = rest.get(end..)?;
        }
    }
}
