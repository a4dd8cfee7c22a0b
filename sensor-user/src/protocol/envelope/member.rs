//! The members that matter.

use super::super::name::Name;
use super::super::walk::{Scalar, Text};
use super::{Envelope, MAX_ID, Value};

/// A member's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Member {
    JsonRpc,
    Method,
    Params,
    Id,
    Result,
    Error,
    Query,
    OperationName,
    Variables,
    Extensions,
    DocumentId,
    Data,
    Errors,
    /// `type` and `payload` of a message on a WebSocket.
    Type,
    Payload,
    /// `code`, in `error`.
    Code,
    /// `persistedQuery`, in `extensions`.
    Persisted,
    /// `sha256Hash`, in `persistedQuery`.
    Hash,
    Other,
}

impl Member {
    /// Of an envelope: JSON-RPC 2.0 (4, 5), GraphQL over HTTP (5.1, 7.1), Apollo's persisted queries, GraphQL over
    /// WebSocket.
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"jsonrpc" => Self::JsonRpc,
            b"method" => Self::Method,
            b"params" => Self::Params,
            b"id" => Self::Id,
            b"result" => Self::Result,
            b"error" => Self::Error,
            b"query" => Self::Query,
            b"operationName" => Self::OperationName,
            b"variables" => Self::Variables,
            b"extensions" => Self::Extensions,
            b"documentId" => Self::DocumentId,
            b"data" => Self::Data,
            b"errors" => Self::Errors,
            b"type" => Self::Type,
            b"payload" => Self::Payload,
            _ => Self::Other,
        }
    }

    /// Of a member's value.
    pub(super) fn within(name: &[u8]) -> Self {
        match name {
            b"code" => Self::Code,
            b"persistedQuery" => Self::Persisted,
            b"sha256Hash" => Self::Hash,
            _ => Self::Other,
        }
    }

    /// Notes what kind of value it has.
    pub(super) const fn set(self, envelope: &mut Envelope, value: Value) {
        match self {
            Self::Result => envelope.result = value,
            Self::Error => envelope.error = value,
            Self::Query => envelope.query = value,
            Self::Variables => envelope.variables = value,
            Self::Data => envelope.data = value,
            Self::Errors => envelope.errors = value,
            _ => {}
        }
    }
}

/// A member whose value is no container.
pub(super) fn take(
    member: Member,
    envelope: &mut Envelope,
    kind: Scalar,
    text: &Text<'_>,
    scratch: &mut Vec<u8>,
) {
    let value = match kind {
        Scalar::Null => Value::Null,
        Scalar::String | Scalar::Bytes => Value::String,
        Scalar::Number | Scalar::Bool => Value::Plain,
    };
    member.set(envelope, value);
    match (member, kind) {
        (Member::Id, _) => envelope.id = Some(id(kind, text)),
        (Member::JsonRpc, Scalar::String) => envelope.jsonrpc = Some(text.decode(scratch) == b"2.0"),
        (Member::Method, Scalar::String) => envelope.method = Some(Name::new(text.decode(scratch))),
        (Member::Type, Scalar::String) => envelope.kind = Some(Name::new(text.decode(scratch))),
        (Member::OperationName, Scalar::String) => envelope.operation = Some(Name::new(text.decode(scratch))),
        (Member::DocumentId, Scalar::String) => envelope.document_id = Some(Name::new(text.decode(scratch))),
        (Member::Query, Scalar::String) => {
            envelope.document.clear();
            envelope.document.extend_from_slice(text.decode(scratch));
            envelope.document_cut = text.cut;
        }
        _ => {}
    }
}

/// As written, so that `1` and `"1"` differ. Servers write an id back as they read it: numbers may come back in another
/// form, which then is not found.
fn id(kind: Scalar, text: &Text<'_>) -> Name {
    let front = text.raw.get(..MAX_ID).unwrap_or(text.raw);
    if kind == Scalar::String {
        let mut quoted = smallvec::SmallVec::<[u8; MAX_ID]>::from_slice(b"\"");
        quoted.extend_from_slice(front);
        return Name::new(&quoted);
    }
    Name::new(front)
}

/// A whole number, or 0.
pub(super) fn integer(text: &Text<'_>) -> i64 {
    let digits = std::str::from_utf8(text.raw).ok();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
