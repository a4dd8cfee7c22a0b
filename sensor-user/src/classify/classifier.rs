//! An exchange part by part: path, query, header fields, cookies and body of both halves.
//!
//! Takes an exchange whose codings are undone. Gives labels, and what could not be looked at. Never changes or keeps
//! an observed value. Bounded by [`Limits`]: labels, bytes of a value, depth.

mod messages;

use std::sync::Arc;

use super::body::{BodyVisitor, Scratch};
use super::calls;
use super::hint::Hint;
use super::names::{NameId, Names};
use super::outline::Media;
use super::outline::record::Recorder;
use super::scan::{Scanner, Value, is_worth_a_look};
use super::sink::Sink;
use super::validate::jwt;
use super::{BlindSpot, Confidence, DataKind, Half, Labels, Limits, Part, Types};
use crate::classify::validate::Hit;
use crate::exchange::credentials::{Collector, Handover, Role};
use crate::exchange::secret::HashKey;
use crate::exchange::value::ValueKey;
use crate::exchange::{Body, BodyPiece, Content, Exchange, Head, Request, Secret};
use crate::protocol::chars::Classes;
use crate::protocol::document::{Document, Documents, Format, Walked};
use crate::protocol::form::{self, Plus};
use crate::protocol::grpc;
use crate::protocol::inflate::Ended;
use crate::protocol::walk::Ending;

/// Finds sensitive data. Reused from exchange to exchange, so that nothing is allocated when nothing is found.
#[derive(Debug)]
pub struct Classifier {
    limits: Limits,
    scanner: Scanner,
    names: Names,
    documents: Documents,
    scratch: Scratch,
    /// A body other than JSON in more than one piece.
    joined: Joined,
    messages: messages::Messages,
    outline: Recorder,
    /// The exchange under way is a part of a longer one.
    is_part: bool,
    /// Which step of the path is under way.
    step: u8,
    /// Logins, where there is a key to hash them with.
    collector: Option<Collector>,
}

/// Holds observed bytes, so it prints nothing.
#[derive(Default)]
struct Joined(Vec<u8>);

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[joined]")
    }
}

/// Where a value is and what its name says.
#[derive(Clone, Copy)]
struct At {
    half: Half,
    part: Part,
    /// Shown; `*` when there is none.
    name: Option<NameId>,
    hint: Hint,
}

impl At {
    fn named(half: Half, part: Part, name: NameId) -> Self {
        Self {
            half,
            part,
            name: Some(name),
            hint: name.hint,
        }
    }

    const fn nameless(half: Half, part: Part) -> Self {
        Self {
            half,
            part,
            name: None,
            hint: Hint::NONE,
        }
    }
}

impl Classifier {
    /// Prepares the scanner.
    pub fn new(limits: Limits) -> Self {
        Self::with_schema(limits, Arc::default(), &HashKey::new([0; 32]))
    }

    /// Prepares the scanner; gRPC messages are named by these types, and values hashed with this key.
    pub fn with_schema(limits: Limits, types: Arc<Types>, key: &HashKey) -> Self {
        Self {
            limits,
            scanner: Scanner::new(),
            names: Names::new(),
            documents: Documents::new(limits.value_bytes),
            scratch: Scratch::default(),
            joined: Joined::default(),
            messages: messages::Messages::new(types),
            outline: Recorder::new(ValueKey::of(key)),
            is_part: false,
            step: 0,
            collector: None,
        }
    }

    /// Tells logins, too.
    #[must_use]
    pub fn keyed(self, key: HashKey) -> Self {
        Self {
            collector: Some(Collector::new(key)),
            ..self
        }
    }

    /// Who asked for tokens in the exchange last looked at, and what was handed out.
    pub fn take_handover(&mut self) -> Option<Box<Handover>> {
        self.collector.as_mut()?.take()
    }

    /// Looks at every value of both halves.
    pub fn classify(&mut self, exchange: &Exchange) -> Labels {
        let mut sink = Sink::new(self.limits.labels);
        let request = &exchange.request;
        let status = exchange.outcome.response().map_or(0, |response| response.status);
        self.outline.begin(status);
        self.is_part = exchange.part.is_some();
        if let Some(collector) = &mut self.collector {
            let host = request.head.header("host").map(Secret::expose);
            collector.begin(host.unwrap_or_default(), request.target().expose());
        }
        // What began a part is judged once, with the exchange that it is a part of.
        if exchange.part.is_none() {
            self.target(request, &mut sink);
        }
        self.head(Half::Request, &request.head, &mut sink);
        self.body(Half::Request, exchange, &request.head, &request.body, &mut sink);
        self.head(Half::Request, &request.trailers, &mut sink);
        if let Some(response) = exchange.outcome.response() {
            self.head(Half::Response, &response.head, &mut sink);
            self.body(
                Half::Response,
                exchange,
                &response.head,
                &response.body,
                &mut sink,
            );
            self.head(Half::Response, &response.trailers, &mut sink);
        }
        let mut labels = sink.into_labels();
        labels.outline = self.outline.finish();
        let calls = exchange.calls.iter();
        labels
            .calls
            .extend(calls.map(|call| calls::show(call, &mut self.names)));
        labels
    }

    fn target(&mut self, request: &Request, sink: &mut Sink) {
        let target = request.target().expose();
        let (path, query) = match memchr::memchr(b'?', target) {
            Some(at) => (target.get(..at), target.get(at + 1..)),
            None => (Some(target), None),
        };
        let mut at = At::nameless(Half::Request, Part::Path);
        let path = path.unwrap_or_default();
        let path = path.strip_prefix(b"/").unwrap_or(path);
        self.step = 0;
        for segment in path.split(|byte| *byte == b'/') {
            self.decoded(at, segment, Plus::Literal, sink);
            // A segment has no name; the word before it says where it is, and what digits in it count.
            let word = segment.first().is_some_and(u8::is_ascii_alphabetic);
            let name = word.then(|| self.names.look_up(segment));
            at.hint = name.map_or(Hint::NONE, |name| name.hint.context());
            at.name = name;
            // Steps behind the 255th share its place: they are looked at all the same.
            self.step = self.step.saturating_add(1);
        }
        self.pairs(Half::Request, Part::Query, query.unwrap_or_default(), sink);
    }

    fn pairs(&mut self, half: Half, part: Part, input: &[u8], sink: &mut Sink) {
        let mut name_scratch = std::mem::take(&mut self.scratch.name);
        for (name, value) in form::pairs(input) {
            let name = form::decode(name, Plus::Space, &mut name_scratch);
            if self.names.look_up(name).hint.has(Hint::VALUE_LIKE) {
                self.value(At::nameless(half, part), name, sink);
            }
            let at = At::named(half, part, self.names.look_up(name));
            if at.hint.has(Hint::ASKS)
                && let (Some(collector), Some(role)) = (&mut self.collector, Role::of(name))
            {
                collector.asked(role, form::decode(value, Plus::Space, &mut self.scratch.decoded));
            }
            self.decoded(at, value, Plus::Space, sink);
        }
        self.scratch.name = name_scratch;
    }

    fn head(&mut self, half: Half, head: &Head, sink: &mut Sink) {
        for (name, value) in head.fields() {
            self.field(half, name, value.expose(), sink);
        }
    }

    fn field(&mut self, half: Half, name: &[u8], value: &[u8], sink: &mut Sink) {
        let id = self.names.look_up(name);
        if id.hint.has(Hint::PLUMBING) {
            return;
        }
        if half == Half::Response
            && let Some(collector) = &mut self.collector
        {
            collector.answered_field(name, value);
        }
        let at = At::named(half, Part::Header, id);
        if name.eq_ignore_ascii_case(b"cookie") {
            form::cookies(value).for_each(|(name, value)| self.cookie(half, name, value, sink));
        } else if name.eq_ignore_ascii_case(b"set-cookie") {
            // Attributes follow the first pair (RFC 6265, 4.1.1).
            form::cookies(value)
                .take(1)
                .for_each(|(name, value)| self.cookie(half, name, value, sink));
        } else if name.eq_ignore_ascii_case(b"authorization")
            || name.eq_ignore_ascii_case(b"proxy-authorization")
        {
            self.authorization(at, value, sink);
        } else if name.eq_ignore_ascii_case(b"grpc-message") {
            // Percent-encoded (PROTOCOL-HTTP2.md, Status-Message).
            self.decoded(at, value, Plus::Literal, sink);
        } else {
            self.value(at, value, sink);
        }
    }

    fn cookie(&mut self, half: Half, name: &[u8], value: &[u8], sink: &mut Sink) {
        let at = At::named(half, Part::Cookie, self.names.look_up(name));
        self.decoded(at, value, Plus::Literal, sink);
    }

    /// `Bearer` and `Basic` are known; another scheme's value is a secret as a whole (RFC 9110, 11.4).
    fn authorization(&mut self, at: At, value: &[u8], sink: &mut Sink) {
        let split = memchr::memchr(b' ', value).unwrap_or(value.len());
        let (scheme, credential) = value.split_at_checked(split).unwrap_or_default();
        let credential = credential.trim_ascii();
        let hint = Hint::SECRET;
        if scheme.eq_ignore_ascii_case(b"basic") {
            self.outline_parameter(At { hint, ..at }, credential);
            if jwt::is_basic(credential) {
                let hit = Hit {
                    kind: DataKind::Password,
                    confidence: Confidence(97),
                    start: 0,
                    len: credential.len(),
                };
                self.place(at);
                sink.add(at.half, at.part, &self.scratch.place, hit, credential);
            }
        } else if credential.is_empty() {
            self.value(At { hint, ..at }, scheme, sink);
        } else {
            self.value(At { hint, ..at }, credential, sink);
        }
    }

    fn body(&mut self, half: Half, exchange: &Exchange, head: &Head, body: &Body, sink: &mut Sink) {
        if !body.is_whole() {
            sink.blind(match half {
                Half::Request => BlindSpot::RequestBodyCut,
                Half::Response => BlindSpot::ResponseBodyCut,
            });
        }
        blind_to(&body.content, body.is_whole(), sink);
        let pieces = body.content();
        if pieces.iter().all(|piece| piece.0.is_empty()) {
            return;
        }
        let media = head.header("content-type");
        let media = media.map(Secret::expose).unwrap_or_default();
        let front = pieces.first().map(|piece| &*piece.0).unwrap_or_default();
        let cut = !body.is_content_whole();
        if let Some(media) = grpc::Media::of(media) {
            return self.grpc(half, exchange, media, sink);
        }
        let format = Format::of(media, front);
        self.outline.body(half, media_of(format));
        if cut {
            self.outline.cut();
        }
        match format {
            Format::Json => self.json(half, pieces, cut, sink),
            Format::Text => self.joined(pieces, 0, |this, text| {
                this.outline.plain(text);
                this.text(half, text, sink);
            }),
            Format::Binary => {
                self.outline.binary();
                sink.blind(BlindSpot::UnreadEncoding);
            }
            format => self.joined(pieces, 0, |this, bytes| {
                let document = Document {
                    format,
                    media,
                    bytes,
                    cut,
                };
                this.document(half, document, sink);
            }),
        }
    }

    fn json(&mut self, half: Half, pieces: &[BodyPiece], cut: bool, sink: &mut Sink) {
        self.scratch.trail.clear();
        let mut visitor = BodyVisitor {
            scanner: &self.scanner,
            names: &mut self.names,
            scratch: &mut self.scratch,
            sink,
            outline: &mut self.outline,
            limits: self.limits,
            half,
            collector: self.collector.as_mut(),
        };
        let walked = self
            .documents
            .json(pieces.iter().map(|piece| &*piece.0), &mut visitor);
        self.outline_end(&walked);
        if is_wrong(&walked, cut, sink) {
            self.joined(pieces, walked.accepted, |this, text| this.text(half, text, sink));
        }
    }

    /// A body of any other structure.
    fn document(&mut self, half: Half, document: Document<'_>, sink: &mut Sink) {
        self.scratch.trail.clear();
        let mut visitor = BodyVisitor {
            scanner: &self.scanner,
            names: &mut self.names,
            scratch: &mut self.scratch,
            sink,
            outline: &mut self.outline,
            limits: self.limits,
            half,
            collector: self.collector.as_mut(),
        };
        let walked = self.documents.walk(document, &mut visitor);
        self.outline_end(&walked);
        if is_wrong(&walked, document.cut, sink) {
            let rest = document.bytes.get(walked.accepted..).unwrap_or_default();
            self.text(half, rest, sink);
        }
    }

    /// Hands out a body from `skip` on as one slice; copies only a body in several pieces.
    fn joined(&mut self, pieces: &[BodyPiece], skip: usize, read: impl FnOnce(&mut Self, &[u8])) {
        if let [piece] = pieces {
            return read(self, piece.0.get(skip..).unwrap_or_default());
        }
        let mut joined = std::mem::take(&mut self.joined);
        joined.0.clear();
        for piece in pieces {
            joined.0.extend_from_slice(&piece.0);
        }
        read(self, joined.0.get(skip..).unwrap_or_default());
        self.joined = joined;
    }

    fn text(&mut self, half: Half, text: &[u8], sink: &mut Sink) {
        self.value(At::nameless(half, Part::Body), text, sink);
    }

    fn decoded(&mut self, at: At, raw: &[u8], plus: Plus, sink: &mut Sink) {
        let mut scratch = std::mem::take(&mut self.scratch.decoded);
        self.value(at, form::decode(raw, plus, &mut scratch), sink);
        self.scratch.decoded = scratch;
    }

    fn value(&mut self, at: At, bytes: &[u8], sink: &mut Sink) {
        self.outline_parameter(at, bytes);
        let classes = Classes::of(bytes);
        if bytes.is_empty() || !(is_worth_a_look(classes, bytes.len()) || at.hint.has(Hint::ALWAYS)) {
            return;
        }
        let value = Value {
            bytes,
            classes,
            hint: at.hint,
            is_number: false,
        };
        self.scratch.hits.clear();
        self.scanner.scan(value, &mut self.scratch.hits);
        if self.scratch.hits.is_empty() {
            return;
        }
        self.place(at);
        for hit in &self.scratch.hits {
            self.outline.sensitive(hit.kind);
            sink.add(at.half, at.part, &self.scratch.place, *hit, bytes);
        }
    }

    /// Says of a body that was not walked to its end that what is missing may have been there.
    fn outline_end(&mut self, walked: &Walked) {
        if !matches!(walked.ending, Ending::Complete) {
            self.outline.cut();
        }
    }

    /// Parameters outside of bodies; what belongs to a longer exchange was recorded with that one.
    fn outline_parameter(&mut self, at: At, bytes: &[u8]) {
        if let Some(name) = at.name
            && matches!(at.part, Part::Query | Part::Header | Part::Cookie)
            && !self.is_part
        {
            let shown = self.names.shown(name);
            self.outline.parameter(at.half, at.part, shown, at.hint, bytes);
        } else if at.part == Part::Path {
            self.outline.segment(self.step, bytes);
        } else if at.part != Part::Body {
            self.outline.elsewhere();
        }
    }

    fn place(&mut self, at: At) {
        let shown = at.name.map_or(&b"*"[..], |name| self.names.shown(name));
        self.scratch.place.clear();
        self.scratch.place.extend_from_slice(shown);
        if at.part == Part::Header {
            // Field names are compared without case (RFC 9110, 5.1).
            self.scratch.place.make_ascii_lowercase();
        }
    }
}

/// As schemas tell bodies apart.
const fn media_of(format: Format) -> Media {
    match format {
        Format::Json => Media::Json,
        Format::JsonLines => Media::JsonLines,
        Format::Form => Media::Form,
        Format::Multipart => Media::Multipart,
        Format::Xml => Media::Xml,
        Format::EventStream => Media::EventStream,
        Format::MessagePack => Media::MessagePack,
        Format::Cbor => Media::Cbor,
        Format::Protobuf => Media::Protobuf,
        Format::Text => Media::Text,
        Format::Binary => Media::Binary,
    }
}

/// Notes why a body's content is not all there; that it was cut on the wire is noted already.
fn blind_to(content: &Content, whole: bool, sink: &mut Sink) {
    let ended = match content {
        Content::Plain => return,
        Content::Unread(_) => return sink.blind(BlindSpot::UnknownCoding),
        Content::Decoded { ended, .. } | Content::Forgotten { ended } => ended,
    };
    match ended {
        Ended::Whole => {}
        Ended::Cut if !whole => {}
        Ended::Cut | Ended::Broken => sink.blind(BlindSpot::BadCoding),
        Ended::TooLarge | Ended::Bomb => sink.blind(BlindSpot::DecodedLimit),
    }
}

/// Notes what a walk came to; whether there is a rest that it did not tell.
fn is_wrong(walked: &Walked, cut: bool, sink: &mut Sink) -> bool {
    walked.notes.all().iter().for_each(|anomaly| sink.odd(*anomaly));
    // A whole body that ends too early is as odd as one that goes on too long; a cut one is marked already.
    if walked.ending == Ending::Complete || (walked.ending == Ending::Cut && cut) {
        return false;
    }
    sink.blind(BlindSpot::Malformed);
    matches!(walked.ending, Ending::Refused(_))
}
