//! GraphQL and JSON-RPC: requests and answers in JSON, or in the pairs of a query string or form.
//!
//! Takes bodies, queries and forms of a request, and the answer's body. Gives calls and their outcomes. Never walks a
//! body in which no sign of a call stands. Bounded by `TOKEN_BYTES` of a text and the calls that one exchange may
//! have.

use aho_corasick::packed;
use memchr::memmem;

use super::super::Response;
use super::super::call::{Call, CallKind, CallOutcome, Detail};
use super::{Found, graphql};
use crate::protocol::Anomaly;
use crate::protocol::envelope::{Envelope, Envelopes, Value, Wrap};
use crate::protocol::form::{self, Plus};
use crate::protocol::json::Walker;
use crate::protocol::name::Name;
use crate::protocol::walk::{Ending, Refusal};

/// Bytes of one text that are handed out: a GraphQL document, which is in a body of at most as many.
const TOKEN_BYTES: usize = 64 * 1024;

/// One of these is in every body that holds a call; the last in those that write a name with escapes.
const SIGNS: [&[u8]; 5] = [
    b"\"query\"",
    b"\"jsonrpc\"",
    b"\"persistedQuery\"",
    b"\"documentId\"",
    b"\\u00",
];

/// Reads calls in JSON. Its buffers live from exchange to exchange.
pub(super) struct Json {
    walker: Walker,
    envelope: Envelope,
    decoded: Vec<u8>,
    signs: Signs,
}

impl Default for Json {
    fn default() -> Self {
        Self {
            walker: Walker::new(TOKEN_BYTES),
            envelope: Envelope::default(),
            decoded: Vec::new(),
            signs: Signs(packed::Searcher::new(SIGNS)),
        }
    }
}

/// Looks for all signs in one pass, where the processor can.
struct Signs(Option<packed::Searcher>);

impl Signs {
    fn are_in(&self, body: &[u8]) -> bool {
        match &self.0 {
            Some(searcher) => searcher.find(body).is_some(),
            None => SIGNS.iter().any(|sign| memmem::find(body, sign).is_some()),
        }
    }
}

/// Its buffers hold observed values.
impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[json]")
    }
}

impl Json {
    /// Calls in a JSON body, of which `whole` says that its end was seen.
    pub(super) fn calls(&mut self, body: &[u8], whole: bool) -> Found {
        if !self.signs.are_in(body) {
            return Found::default();
        }
        self.read(&[body], Wrap::Bare, whole)
    }

    /// Calls in a message on a WebSocket.
    pub(super) fn message(&mut self, text: &[u8]) -> Found {
        self.read(&[text], Wrap::Message, false)
    }

    fn read(&mut self, pieces: &[&[u8]], wrap: Wrap, whole: bool) -> Found {
        let mut found = Found::default();
        let mut count = 0_u32;
        let mut others = 0_u32;
        let walked = walk(&mut self.walker, &mut self.envelope, wrap, pieces, |envelope| {
            count = count.saturating_add(1);
            others = others.saturating_add(u32::from(!request(envelope, &mut found)));
        });
        if found.calls.is_empty() {
            return Found::default();
        }
        let is_rpc = found.calls.iter().any(|call| call.kind == CallKind::JsonRpc);
        // What is no JSON is answered with an error (JSON-RPC 2.0, 5.1), or read otherwise by the server.
        let is_broken = match walked.ending {
            Ending::Cut => whole,
            Ending::Refused(Refusal::Malformed) => true,
            Ending::Complete | Ending::Refused(Refusal::TooDeep) => false,
        };
        if is_rpc && (walked.strays > 0 || others > 0 || is_broken) {
            found.note(Anomaly::JsonRpcMalformed);
        }
        if walked.is_batch {
            found.batch = count.saturating_add(walked.strays);
        }
        for call in &mut found.calls {
            if let Some(Detail::Graphql(shape)) = call.detail.as_deref_mut() {
                shape.batch = found.batch;
            }
        }
        found
    }

    /// A document that is the whole body (`application/graphql`).
    pub(super) fn document(body: &[u8], whole: bool) -> Found {
        let mut found = Found::default();
        let mut envelope = Envelope {
            query: Value::String,
            document: body.to_vec(),
            document_cut: !whole,
            ..Envelope::default()
        };
        graphql::request(&mut envelope, &mut found);
        // The media type says what it is.
        found.doubtful = false;
        found
    }

    /// A request as pairs (GraphQL over HTTP, 6.1). Nothing is kept unless one of them is named as GraphQL's are.
    pub(super) fn pairs(&mut self, input: &[u8]) -> Found {
        let mut envelope = Envelope::default();
        let mut decoded = std::mem::take(&mut self.decoded);
        for (name, value) in form::pairs(input) {
            let mut name_buffer = Vec::new();
            match form::decode(name, Plus::Space, &mut name_buffer) {
                b"query" => {
                    let text = form::decode(value, Plus::Space, &mut decoded);
                    if crate::protocol::graphql::may_be_document(text) {
                        envelope.query = Value::String;
                        envelope.document = text.to_vec();
                    }
                }
                b"operationName" => {
                    envelope.operation = Some(Name::new(form::decode(value, Plus::Space, &mut decoded)));
                }
                b"documentId" => {
                    envelope.document_id = Some(Name::new(form::decode(value, Plus::Space, &mut decoded)));
                }
                b"variables" => {
                    let text = form::decode(value, Plus::Space, &mut decoded);
                    self.member(b"{\"variables\":", text, |part| {
                        envelope.variable_paths = std::mem::take(&mut part.variable_paths);
                    });
                }
                b"extensions" => {
                    let text = form::decode(value, Plus::Space, &mut decoded);
                    self.member(b"{\"extensions\":", text, |part| {
                        envelope.persisted = part.persisted;
                    });
                }
                _ => {}
            }
        }
        self.decoded = decoded;
        let mut found = Found::default();
        graphql::request(&mut envelope, &mut found);
        found
    }

    /// Reads the value of one member that stands alone.
    fn member(&mut self, front: &[u8], text: &[u8], each: impl FnMut(&mut Envelope)) {
        walk(
            &mut self.walker,
            &mut self.envelope,
            Wrap::Bare,
            &[front, text, b"}"],
            each,
        );
    }

    /// What came of the calls. An answer of another form says that there was no GraphQL.
    pub(super) fn answer(&mut self, response: &Response, body: &[u8], found: &mut Found) {
        let is_graphql = found.calls.first().is_some_and(|call| call.graphql().is_some());
        let success = (200..300).contains(&response.status);
        let mut index = 0_usize;
        let mut fits = false;
        let mut foreign = false;
        let whole = response.body.is_content_whole();
        let mut answered = vec![false; found.calls.len()];
        let batch = found.batch > 0;
        let calls = &mut found.calls;
        let ids = &found.ids;
        let mut unpaired = false;
        walk(
            &mut self.walker,
            &mut self.envelope,
            Wrap::Bare,
            &[body],
            |answer| {
                if is_graphql {
                    fits |= graphql::is_answer(answer);
                    foreign |=
                        answer.data == Value::Absent && answer.errors == Value::Absent && answer.others > 0;
                    let outcome = graphql::outcome(answer);
                    // Several operations outside of a batch have one answer.
                    let first = if batch { index } else { 0 };
                    let most = if batch { 1 } else { usize::MAX };
                    calls
                        .iter_mut()
                        .skip(first)
                        .take(most)
                        .for_each(|call| call.outcome = outcome);
                } else {
                    unpaired |= !pair(answer, calls, ids, &mut answered);
                }
                index += 1;
            },
        );
        if unpaired {
            found.note(Anomaly::JsonRpcUnpaired);
        }
        found.doubtful &= !fits;
        if is_graphql && foreign && !fits && success && whole {
            *found = Found::default();
        }
    }
}

/// What a walk says beside the envelopes.
struct Walked {
    is_batch: bool,
    /// Parts of a batch that are none.
    strays: u32,
    ending: Ending,
}

/// Walks a document in pieces.
fn walk(
    walker: &mut Walker,
    envelope: &mut Envelope,
    wrap: Wrap,
    pieces: &[&[u8]],
    each: impl FnMut(&mut Envelope),
) -> Walked {
    walker.restart();
    let mut envelopes = Envelopes::new(envelope, wrap, each);
    for piece in pieces {
        if walker.feed(piece, &mut envelopes).is_err() {
            break;
        }
    }
    // A document that was cut or refused gave what is before.
    let ending = walker.finish(&mut envelopes);
    let (is_batch, strays) = envelopes.finish();
    Walked {
        is_batch,
        strays,
        ending,
    }
}

/// Adds the calls of one request. Returns whether it is a call, or an answer that the client gives.
fn request(envelope: &mut Envelope, found: &mut Found) -> bool {
    let Some(is_2) = envelope.jsonrpc else {
        return graphql::request(envelope, found);
    };
    let method = envelope.method.take();
    let is_answer = envelope.result != Value::Absent || envelope.error != Value::Absent;
    if method.is_none() && (is_answer || envelope.cut) {
        return true;
    }
    if !is_2 || method.is_none() {
        found.note(Anomaly::JsonRpcMalformed);
    }
    found.add(
        Call::new(CallKind::JsonRpc, method.unwrap_or_default()),
        envelope.id.take(),
    );
    true
}

/// Gives an answer of JSON-RPC to its call (JSON-RPC 2.0, 5). `false` when there is none.
fn pair(answer: &Envelope, calls: &mut [Call], ids: &[Option<Name>], answered: &mut [bool]) -> bool {
    let outcome = match (answer.error, answer.result) {
        (Value::Object, _) => CallOutcome::Failure(answer.code),
        (_, Value::Absent) => return true,
        _ => CallOutcome::Success,
    };
    let Some(id) = &answer.id else {
        return answer.cut;
    };
    let mut waiting = calls.iter_mut().zip(ids).zip(answered);
    let own = waiting.find(|((_, of), answered)| !**answered && of.as_ref() == Some(id));
    if let Some(((call, _), answered)) = own {
        (call.outcome, *answered) = (outcome, true);
        return true;
    }
    // An error about a request whose id could not be read has a null id (5).
    id.expose() == b"null" && matches!(outcome, CallOutcome::Failure(_))
}
