//! GraphQL: an envelope's document to calls.

use super::super::call::{Call, CallKind, CallOutcome, Detail, GraphqlShape, MAX_CALLS};
use super::Found;
use crate::protocol::Anomaly;
use crate::protocol::envelope::{Envelope, Value};
use crate::protocol::graphql::{self, Document, Faults, OperationKind, Shape};
use crate::protocol::name::Name;

/// Adds the calls of a request. What looks like a document but is none needs an answer of GraphQL's to be one; so does
/// an id of a document, which plain REST has as well. Returns whether it is a request of GraphQL.
pub(super) fn request(envelope: &mut Envelope, found: &mut Found) -> bool {
    if envelope.query == Value::String && graphql::may_be_document(&envelope.document) {
        return document(envelope, found);
    }
    let known = envelope.persisted || envelope.document_id.is_some();
    if !known || !matches!(envelope.query, Value::Absent | Value::Null) {
        return false;
    }
    if !envelope.persisted {
        found.doubtful = true;
    }
    let name = envelope.operation.take().unwrap_or_default();
    let shape = GraphqlShape {
        persisted: true,
        ..shape_of(envelope, Shape::default())
    };
    found.add(call(CallKind::GraphqlQuery, name, shape), envelope.id.take());
    true
}

fn document(envelope: &mut Envelope, found: &mut Found) -> bool {
    let text = String::from_utf8_lossy(&envelope.document);
    let Document {
        mut operations,
        has_types,
        mut faults,
        ..
    } = graphql::read(&text, MAX_CALLS + 1);
    faults.malformed |= matches!(text, std::borrow::Cow::Owned(_)) || operations.is_empty() || has_types;
    let cut = envelope.document_cut || envelope.cut;
    if !faults.is_readable() && !cut {
        found.doubtful = true;
    }
    if operations.is_empty() && !cut {
        return false;
    }
    note(faults, cut, found);
    // Of several operations the request names the one to run (6.1.1).
    let chosen = envelope
        .operation
        .as_ref()
        .filter(|chosen| operations.iter().any(|operation| operation.name == **chosen));
    if let Some(chosen) = chosen {
        operations.retain(|operation| operation.name == *chosen);
        operations.truncate(1);
    }
    let partial = cut || !faults.is_readable();
    for operation in operations {
        let kind = match operation.kind {
            OperationKind::Query => CallKind::GraphqlQuery,
            OperationKind::Mutation => CallKind::GraphqlMutation,
            OperationKind::Subscription => CallKind::GraphqlSubscription,
        };
        let shape = GraphqlShape {
            partial,
            ..shape_of(envelope, operation.shape)
        };
        found.add(call(kind, operation.name, shape), envelope.id.clone());
    }
    true
}

/// Of a cut document only the limits are the peer's doing.
fn note(faults: Faults, cut: bool, found: &mut Found) {
    let seen = [
        (faults.too_deep, Anomaly::GraphqlTooDeep),
        (faults.too_long, Anomaly::GraphqlTooLong),
        (faults.cyclic, Anomaly::GraphqlFragmentCycle),
        (
            (faults.malformed || faults.fragments) && !cut && !faults.too_deep && !faults.too_long,
            Anomaly::GraphqlMalformed,
        ),
    ];
    for (_, anomaly) in seen.into_iter().filter(|(seen, _)| *seen) {
        found.note(anomaly);
    }
}

fn shape_of(envelope: &mut Envelope, document: Shape) -> GraphqlShape {
    GraphqlShape {
        document,
        variables: envelope.variable_paths.clone(),
        batch: 0,
        persisted: envelope.persisted,
        partial: false,
    }
}

fn call(kind: CallKind, name: Name, shape: GraphqlShape) -> Call {
    Call {
        detail: Some(Box::new(Detail::Graphql(shape))),
        ..Call::new(kind, name)
    }
}

/// What an answer says (7.1): errors with or without data are failures, data alone is success.
pub(super) fn outcome(answer: &Envelope) -> CallOutcome {
    match (answer.errors, answer.data) {
        (Value::Array, _) => CallOutcome::Failure(0),
        // Errors may follow what was seen.
        _ if answer.cut => CallOutcome::Unknown,
        (_, Value::Object | Value::Null) => CallOutcome::Success,
        _ => CallOutcome::Unknown,
    }
}

/// Whether an answer has the form of GraphQL's.
pub(super) fn is_answer(answer: &Envelope) -> bool {
    answer.others == 0 && (answer.errors == Value::Array || answer.data != Value::Absent)
}
