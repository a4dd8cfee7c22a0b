//! The calls of an API inside an exchange: GraphQL, JSON-RPC, SOAP, XML-RPC, known by their content on any path.
//!
//! Takes a completed exchange and looks at it once, cheapest signs first. Gives its calls, what came of them, and
//! anomalies. Never allocates for plain REST beyond buffers that are kept. Bounded by [`MAX_CALLS`], by the bodies'
//! own limit, and by what the readers in `protocol` say.

mod graphql;
mod json;
mod parts;
mod xml;

use smallvec::SmallVec;

use super::call::{Call, CallKind, Calls, MAX_CALLS};
use super::grpc::{self, Reading};
use super::{Body, Exchange, Head};
use crate::protocol::name::Name;
use crate::protocol::{Anomaly, form};
use json::Json;

/// Looks at exchanges. One for each shard, so that its buffers are.
#[derive(Debug, Default)]
pub(super) struct CallFinder {
    json: Json,
    request: Joined,
    response: Joined,
}

/// A body in one piece. Holds observed bytes, so it prints nothing.
#[derive(Default)]
struct Joined(Vec<u8>);

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[joined]")
    }
}

/// What was found in an exchange, or in one message of a longer talk.
#[derive(Default, Debug)]
pub(super) struct Found {
    /// Calls.
    pub(super) calls: Calls,
    /// Ids by which answers find the calls of JSON-RPC and of GraphQL over WebSocket; one for each call, `None` for none.
    pub(super) ids: SmallVec<[Option<Name>; 1]>,
    /// What is odd about them.
    pub(super) anomalies: SmallVec<[Anomaly; 2]>,
    /// Only an answer of the right form makes it sure that there are calls at all.
    doubtful: bool,
    /// Requests in the batch; 0 when it was none.
    batch: u32,
}

impl Found {
    fn add(&mut self, call: Call, id: Option<Name>) {
        if self.calls.len() >= MAX_CALLS {
            return self.note(Anomaly::TooManyCalls);
        }
        self.calls.push(call);
        self.ids.push(id);
    }

    fn note(&mut self, anomaly: Anomaly) {
        if !self.anomalies.contains(&anomaly) {
            self.anomalies.push(anomaly);
        }
    }

    fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.anomalies.is_empty()
    }
}

impl CallFinder {
    /// Fills in the calls of an exchange that has none yet.
    pub(super) fn look(&mut self, exchange: &mut Exchange) {
        if !exchange.calls.is_empty() {
            return;
        }
        let found = match grpc::read(exchange) {
            Some(Reading { call, anomalies }) => Found {
                calls: Calls::from_iter([call]),
                anomalies,
                ..Found::default()
            },
            None => self.find(exchange),
        };
        if found.is_empty() {
            return;
        }
        exchange.calls = found.calls;
        for anomaly in found.anomalies {
            if !exchange.anomalies.contains(&anomaly) {
                exchange.anomalies.push(anomaly);
            }
        }
    }

    fn find(&mut self, exchange: &Exchange) -> Found {
        let request = &exchange.request;
        let mut buffer = std::mem::take(&mut self.request);
        let body = plain(&request.head, &request.body, &mut buffer.0);
        let mut found = body.map_or_else(Found::default, |body| {
            self.in_body(&request.head, body, request.body.is_content_whole())
        });
        self.request = buffer;
        if found.is_empty() {
            let target = request.target().expose();
            if let Some(at) = memchr::memchr(b'?', target) {
                let query = target.get(at + 1..).unwrap_or_default();
                found = self.json.pairs(query);
            }
        }
        if !found.calls.is_empty() {
            self.answer(exchange, &mut found);
        }
        found
    }

    /// By the body's first byte, then by its media type.
    fn in_body(&mut self, head: &Head, body: &[u8], whole: bool) -> Found {
        let media = media(head);
        if let Some(text) = utf_16(body) {
            return xml::calls(head, text.trim_start().as_bytes(), whole);
        }
        let text = body
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(body)
            .trim_ascii_start();
        match text.first() {
            Some(b'{' | b'[') if !is(media, b"application/graphql") => self.json.calls(text, whole),
            Some(b'<') => xml::calls(head, text, whole),
            Some(b'-') if starts(media, b"multipart/") => self.in_parts(head, media, text, whole),
            Some(_) if is(media, b"application/graphql") => Json::document(text, whole),
            Some(_) if is(media, b"application/x-www-form-urlencoded") => self.json.pairs(text),
            Some(_) | None => Found::default(),
        }
    }

    /// `operations` of the GraphQL multipart request specification, or the first part of SOAP with attachments.
    fn in_parts(&mut self, head: &Head, media: &[u8], body: &[u8], whole: bool) -> Found {
        for part in parts::of(media, body) {
            let text = part.body.trim_ascii_start();
            let found = match text.first() {
                Some(b'{' | b'[') if part.is_named(b"operations") => self.json.calls(text, whole),
                Some(b'<') if starts(media, b"multipart/related") => xml::calls(head, text, whole),
                _ => continue,
            };
            if !found.is_empty() {
                return found;
            }
        }
        Found::default()
    }

    /// Reads what came of the calls.
    fn answer(&mut self, exchange: &Exchange, found: &mut Found) {
        let response = exchange.outcome.response();
        let mut buffer = std::mem::take(&mut self.response);
        let body = response.and_then(|response| plain(&response.head, &response.body, &mut buffer.0));
        if let (Some(response), Some(body)) = (response, body) {
            let text = body
                .strip_prefix(b"\xef\xbb\xbf")
                .unwrap_or(body)
                .trim_ascii_start();
            match (text.first(), found.calls.first().map(|call| call.kind)) {
                (Some(b'<'), Some(CallKind::Soap | CallKind::XmlRpc)) => xml::answer(response, text, found),
                (Some(b'-'), Some(CallKind::Soap)) => {
                    let root = parts::of(media(&response.head), text).next();
                    if let Some(part) = root {
                        xml::answer(response, part.body.trim_ascii_start(), found);
                    }
                }
                (Some(b'{' | b'['), Some(_)) => self.json.answer(response, text, found),
                _ => {}
            }
        }
        self.response = buffer;
        if found.doubtful {
            *found = Found::default();
        }
    }
}

/// Calls in one message on a WebSocket: GraphQL in the `payload` of `graphql-transport-ws` or `graphql-ws`, or JSON-RPC.
/// Also takes such a payload by itself.
pub(super) fn message(text: &[u8]) -> Found {
    Json::default().message(text)
}

/// A body's content in one piece; `None` when it has none or it cannot be had. The one place where bodies come from.
fn plain<'a>(head: &Head, body: &'a Body, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    match body.content() {
        [] => None,
        [piece] => Some(&piece.0),
        pieces => {
            // Only what may be a call is worth copying.
            let front = pieces.first().map(|piece| piece.0.trim_ascii_start());
            let first = front.and_then(|front| front.first());
            let opens = matches!(first, None | Some(b'{' | b'[' | b'<' | b'-' | 0xef | 0xfe | 0xff));
            let named = is(media(head), b"application/graphql")
                || is(media(head), b"application/x-www-form-urlencoded");
            if !opens && !named {
                return None;
            }
            buffer.clear();
            for piece in pieces {
                buffer.extend_from_slice(&piece.0);
            }
            Some(buffer)
        }
    }
}

/// A document in UTF-16 with its byte order mark: XML may be (XML 1.0, 4.3.3), and filters that read bytes miss what is
/// in it.
fn utf_16(body: &[u8]) -> Option<String> {
    let unit: fn([u8; 2]) -> u16 = match body.get(..2)? {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return None,
    };
    let (units, _) = body.as_chunks();
    let text = char::decode_utf16(units.iter().skip(1).map(|pair| unit(*pair)));
    Some(
        text.map(|one| one.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
    )
}

/// The media type as written.
fn media(head: &Head) -> &[u8] {
    head.header("content-type")
        .map(|value| value.expose().trim_ascii())
        .unwrap_or_default()
}

/// Whether the media type is this one, whatever its parameters.
fn is(media: &[u8], wanted: &[u8]) -> bool {
    let next = media.get(wanted.len());
    starts(media, wanted) && next.is_none_or(|byte| matches!(byte, b';' | b' ' | b'\t'))
}

fn starts(media: &[u8], front: &[u8]) -> bool {
    media
        .get(..front.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(front))
}

/// A parameter of a media type (RFC 9110, 5.6.6), quotes removed.
fn parameter<'m>(media: &'m [u8], name: &[u8]) -> Option<&'m [u8]> {
    form::cookies(media)
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
