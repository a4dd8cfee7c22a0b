//! Which way a body is read, and JSON bodies: every key and scalar under its path.

use super::hint::Hint;
use super::names::{NameId, Names};
use super::place::Trail;
use super::scan::{Scanner, Value, is_worth_a_look};
use super::sink::Sink;
use super::validate::Hit;
use super::{BlindSpot, Half, Limits, Part};
use crate::exchange::{Body, Head};
use crate::protocol::chars::Classes;
use crate::protocol::grpc;
use crate::protocol::walk::{Coding, Container, Scalar, Text, Visitor};

/// How a body is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// As JSON.
    Json,
    /// As `application/x-www-form-urlencoded`.
    Form,
    /// As text of no known structure.
    Text,
    /// As frames of gRPC or gRPC-Web.
    Grpc(grpc::Media),
    /// As one protobuf message.
    Protobuf,
    /// Not: it is compressed or binary.
    Unread,
}

impl Format {
    /// By `Content-Encoding` and `Content-Type`; where they say nothing, by the first bytes.
    pub(super) fn of(head: &Head, body: &Body) -> Self {
        let coding = head
            .header("content-encoding")
            .map(|value| value.expose().trim_ascii());
        if coding.is_some_and(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")) {
            return Self::Unread;
        }
        let front = body.pieces.first().map(|piece| &*piece.0).unwrap_or_default();
        let typed = head
            .header("content-type")
            .and_then(|value| Self::of_type(value.expose()));
        typed.unwrap_or_else(|| Self::sniff(front))
    }

    fn of_type(media: &[u8]) -> Option<Self> {
        let end = media.iter().position(|byte| *byte == b';').unwrap_or(media.len());
        let media = media.get(..end)?.trim_ascii().to_ascii_lowercase_short();
        let media = media.as_slice();
        if media == b"application/x-www-form-urlencoded" {
            return Some(Self::Form);
        }
        if let Some(media) = grpc::Media::of(media) {
            return Some(Self::Grpc(media));
        }
        if PROTOBUF.contains(&media) || media.ends_with(b"+proto") || media.ends_with(b"+protobuf") {
            return Some(Self::Protobuf);
        }
        if media.ends_with(b"json") {
            return Some(Self::Json);
        }
        let text = [&b"text/"[..], b"multipart/"]
            .iter()
            .any(|front| media.starts_with(front))
            || [&b"xml"[..], b"javascript", b"yaml", b"ndjson", b"graphql"]
                .iter()
                .any(|back| media.ends_with(back));
        let binary = [&b"image/"[..], b"audio/", b"video/", b"font/"]
            .iter()
            .any(|front| media.starts_with(front));
        match (text, binary) {
            (true, _) => Some(Self::Text),
            (false, true) => Some(Self::Unread),
            (false, false) => None,
        }
    }

    fn sniff(front: &[u8]) -> Self {
        // What decides binary from text shows within the first bytes; 64 are one cache line.
        let sample = front.get(..64).unwrap_or(front);
        let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
        match front.trim_ascii_start().first() {
            Some(b'{' | b'[') => Self::Json,
            _ if sample.iter().any(control) => Self::Unread,
            _ => Self::Text,
        }
    }
}

/// Names that one protobuf message goes by; none is registered. `application/proto` is Connect's.
const PROTOBUF: [&[u8]; 5] = [
    b"application/protobuf",
    b"application/x-protobuf",
    b"application/x-google-protobuf",
    b"application/vnd.google.protobuf",
    b"application/proto",
];

/// Lower-cases a media type without allocating.
trait Short {
    fn to_ascii_lowercase_short(&self) -> smallvec::SmallVec<[u8; 64]>;
}

impl Short for [u8] {
    fn to_ascii_lowercase_short(&self) -> smallvec::SmallVec<[u8; 64]> {
        self.iter().take(64).map(u8::to_ascii_lowercase).collect()
    }
}

/// Buffers that live from exchange to exchange.
#[derive(Default)]
pub(super) struct Scratch {
    /// Decoded values.
    pub(super) decoded: Vec<u8>,
    /// Decoded names.
    pub(super) name: Vec<u8>,
    /// Hits of one value.
    pub(super) hits: Vec<Hit>,
    /// The place of a hit.
    pub(super) place: Vec<u8>,
    /// Containers around a JSON value.
    pub(super) trail: Trail,
}

/// Its buffers hold observed values.
impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[scratch]")
    }
}

/// Looks at the scalars and keys of one JSON body.
pub(super) struct JsonBody<'a> {
    pub(super) scanner: &'a Scanner,
    pub(super) names: &'a mut Names,
    pub(super) scratch: &'a mut Scratch,
    pub(super) sink: &'a mut Sink,
    pub(super) limits: Limits,
    pub(super) half: Half,
}

impl Visitor for JsonBody<'_> {
    #[inline]
    fn open(&mut self, container: Container) {
        self.scratch.trail.open(container, self.names, self.limits.depth);
    }

    #[inline]
    fn close(&mut self) {
        self.scratch.trail.close();
    }

    #[inline]
    fn key(&mut self, text: Text<'_>) {
        let name = if text.coding == Coding::Form || text.classes.has(Classes::ESCAPE) {
            self.coded_name(text)
        } else {
            self.names.look_up(text.raw)
        };
        self.scratch.trail.name(name);
        if name.hint.has(Hint::VALUE_LIKE) {
            self.name_as_value(text);
        }
    }

    #[inline]
    fn scalar(&mut self, kind: Scalar, text: Text<'_>) {
        let is_number = match kind {
            Scalar::String => false,
            // A number that the cut tore may be the front of a longer one.
            Scalar::Number if text.cut => return,
            Scalar::Number => true,
            // Bytes that are no text are read by nobody yet.
            Scalar::Bool | Scalar::Null | Scalar::Bytes => return,
        };
        let hint = self.scratch.trail.hint();
        // A number holds digits only: shorter ones than nine matter by name, and fractions never.
        let worth = if is_number {
            text.raw.len() >= 9 && !text.classes.has(Classes::FRACTION)
        } else {
            is_worth_a_look(text.classes, text.raw.len())
        };
        if worth || hint.has(Hint::ALWAYS) {
            self.look(text, hint, is_number);
        }
        if text.cut {
            self.sink.blind(BlindSpot::ValueCut);
        }
    }
}

impl JsonBody<'_> {
    #[cold]
    fn coded_name(&mut self, text: Text<'_>) -> NameId {
        self.names.look_up(text.decode(&mut self.scratch.name))
    }

    #[cold]
    fn name_as_value(&mut self, text: Text<'_>) {
        let classes = text.classes.and(Classes::of(text.raw));
        if is_worth_a_look(classes, text.raw.len()) {
            // The name is a value here, so it says nothing about itself.
            self.look(Text { classes, ..text }, Hint::NONE, false);
        }
    }

    #[inline(never)]
    fn look(&mut self, text: Text<'_>, hint: Hint, is_number: bool) {
        let mut value = Value {
            bytes: text.raw,
            classes: text.classes,
            hint,
            is_number,
        };
        let decoded = text.decode(&mut self.scratch.decoded);
        if !std::ptr::eq(decoded, text.raw) {
            value.bytes = decoded;
            value.classes = Classes::of(decoded);
        }
        self.scratch.hits.clear();
        self.scanner.scan(value, &mut self.scratch.hits);
        if self.scratch.hits.is_empty() {
            return;
        }
        self.scratch.trail.render(self.names, &mut self.scratch.place);
        for hit in &self.scratch.hits {
            self.sink
                .add(self.half, Part::Body, &self.scratch.place, *hit, value.bytes);
        }
    }
}
