//! One walk over a body of any format that is read.
//!
//! Takes a body, content coding undone, and its media type. Gives a [`Visitor`] everything up to the body's end, a cut or
//! a mistake; the rest of a mistake is told as text where the format goes on behind it.
//! Never builds a tree. Bounded by the input, [`MAX_DEPTH`](super::walk::MAX_DEPTH) and each format's limits.

mod binary;
mod cbor;
mod format;
mod lines;
mod msgpack;
#[cfg(test)]
pub(in crate::protocol) mod tests;

pub use format::Format;

use super::walk::{Container, Ending, Notes, Refusal, Scalar, Text, Visitor};
use super::{Anomaly, form, json, multipart, xml};

/// A body and what its head says of it.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    /// How to read it.
    pub format: Format,
    /// Its `Content-Type`; empty when there is none.
    pub media: &'a [u8],
    /// Its bytes.
    pub bytes: &'a [u8],
    /// More bytes followed that are not here.
    pub cut: bool,
}

/// Its bytes are observed.
impl std::fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{:?} of {} bytes]", self.format, self.bytes.len())
    }
}

/// What came of a walk.
#[derive(Clone, Debug)]
#[must_use]
pub struct Walked {
    /// How it ended.
    pub ending: Ending,
    /// Of a refused document: bytes before the mistake. What is behind was told to nobody.
    pub accepted: usize,
    /// What was odd.
    pub notes: Notes,
}

/// Walks bodies; keeps its buffers from one to the next.
#[derive(Debug)]
pub struct Documents {
    json: json::Walker,
    /// A document that is not UTF-8, made readable.
    readable: Readable,
}

/// Holds observed bytes, so it prints nothing.
#[derive(Default)]
struct Readable(String);

impl std::fmt::Debug for Readable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[readable]")
    }
}

impl Documents {
    /// A walk that hands out at most `token_bytes` of one token of JSON.
    pub fn new(token_bytes: usize) -> Self {
        Self {
            json: json::Walker::new(token_bytes),
            readable: Readable::default(),
        }
    }

    /// Walks a body that is in one piece.
    pub fn walk(&mut self, document: Document<'_>, visitor: &mut impl Visitor) -> Walked {
        let mut notes = Notes::default();
        let (ending, accepted) = match document.format {
            Format::Multipart => self.multipart(document, visitor, &mut notes),
            _ => self.single(document, visitor, &mut notes),
        };
        if ending == Ending::Refused(Refusal::TooDeep) {
            notes.add(Anomaly::BodyTooDeep);
        }
        Walked {
            ending,
            accepted,
            notes,
        }
    }

    /// Walks a JSON body in several pieces, which is the one format that is never copied into one.
    pub fn json<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        visitor: &mut impl Visitor,
    ) -> Walked {
        let mut notes = Notes::default();
        let (ending, accepted) = self.json_pieces(pieces, visitor);
        if ending == Ending::Refused(Refusal::TooDeep) {
            notes.add(Anomaly::BodyTooDeep);
        }
        Walked {
            ending,
            accepted,
            notes,
        }
    }

    fn json_pieces<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        visitor: &mut impl Visitor,
    ) -> (Ending, usize) {
        /// Byte order mark: RFC 8259, 8.1 forbids sending and allows ignoring it.
        const MARK: &[u8] = b"\xef\xbb\xbf";
        self.json.restart();
        let mut mark = 0;
        for (number, piece) in pieces.into_iter().enumerate() {
            let marked = piece.strip_prefix(MARK).filter(|_| number == 0);
            if marked.is_some() {
                mark = MARK.len();
            }
            if self.json.feed(marked.unwrap_or(piece), visitor).is_err() {
                break;
            }
        }
        let ending = self.json.finish(visitor);
        (ending, self.json.accepted() + mark)
    }

    /// A body without parts. A part of a multipart body that is multipart itself is told as text, as no API sends any.
    fn single(
        &mut self,
        document: Document<'_>,
        visitor: &mut impl Visitor,
        notes: &mut Notes,
    ) -> (Ending, usize) {
        let bytes = document.bytes;
        match document.format {
            Format::Json => self.json_pieces([bytes], visitor),
            Format::JsonLines => (lines::walk(&mut self.json, bytes, visitor), bytes.len()),
            Format::EventStream => (lines::events(&mut self.json, bytes, visitor), bytes.len()),
            Format::Form => (form::walk(bytes, document.cut, visitor), bytes.len()),
            Format::Xml => {
                let text = xml::readable(bytes, &mut self.readable.0);
                xml::walk(text, visitor, notes)
            }
            Format::MessagePack => binary::walk::<msgpack::MessagePack>(bytes, visitor),
            Format::Cbor => binary::walk::<cbor::Cbor>(bytes, visitor),
            Format::Multipart | Format::Text => {
                let text = Text {
                    cut: document.cut,
                    ..Text::plain(bytes)
                };
                visitor.scalar(Scalar::String, text);
                (Ending::Complete, bytes.len())
            }
            Format::Binary => {
                visitor.scalar(Scalar::Bytes, Text::plain(bytes));
                (Ending::Complete, bytes.len())
            }
        }
    }

    /// Each part under its name; with a file name, as an object of `filename` and `content`.
    fn multipart(
        &mut self,
        document: Document<'_>,
        visitor: &mut impl Visitor,
        notes: &mut Notes,
    ) -> (Ending, usize) {
        let Document { media, bytes, .. } = document;
        let Some(boundary) = multipart::boundary(media, bytes, notes) else {
            return (Ending::Refused(Refusal::Malformed), 0);
        };
        visitor.open(Container::Object);
        let (mut broken, mut told) = (false, false);
        let end = multipart::parts(boundary, bytes, notes, |part, notes| {
            told = true;
            let mut name = part.name.unwrap_or(b"part");
            if let Some(filename) = part.filename {
                visitor.key(Text::plain(name));
                visitor.open(Container::Object);
                visitor.key(Text::plain(b"filename"));
                visitor.scalar(Scalar::String, Text::plain(filename));
                name = b"content";
            }
            broken |= self.part(name, part, visitor, notes) != Ending::Complete && !part.cut;
            if part.filename.is_some() {
                visitor.close();
            }
        });
        visitor.close();
        match end {
            multipart::End::Closed if broken => (Ending::Refused(Refusal::Malformed), bytes.len()),
            multipart::End::Closed => (Ending::Complete, bytes.len()),
            multipart::End::Open => (Ending::Cut, bytes.len()),
            multipart::End::Refused => {
                let accepted = if told { bytes.len() } else { 0 };
                (Ending::Refused(Refusal::Malformed), accepted)
            }
        }
    }

    /// The content of a part, in whatever format it is. What of a part is not what it says is told as text.
    fn part(
        &mut self,
        name: &[u8],
        part: multipart::Part<'_>,
        visitor: &mut impl Visitor,
        notes: &mut Notes,
    ) -> Ending {
        visitor.key(Text::plain(name));
        let document = Document {
            // A form's fields have no type, and most are words (RFC 7578, 4.4).
            format: part
                .media
                .map_or(Format::Text, |media| Format::of(media, part.content)),
            media: part.media.unwrap_or_default(),
            bytes: part.content,
            cut: part.cut,
        };
        let mut within = Balanced { visitor, depth: 0 };
        let (ending, accepted) = self.single(document, &mut within, notes);
        within.close_all();
        if let Ending::Refused(_) = ending {
            let rest = part.content.get(accepted..).unwrap_or_default();
            visitor.key(Text::plain(name));
            visitor.scalar(Scalar::String, Text::plain(rest));
        }
        ending
    }
}

/// Closes what a document that ended early left open, so that its neighbours keep their paths.
struct Balanced<'v, V> {
    visitor: &'v mut V,
    depth: u32,
}

impl<V: Visitor> Balanced<'_, V> {
    fn close_all(&mut self) {
        for _ in 0..std::mem::take(&mut self.depth) {
            self.visitor.close();
        }
    }
}

impl<V: Visitor> Visitor for Balanced<'_, V> {
    fn open(&mut self, container: Container) {
        self.depth += 1;
        self.visitor.open(container);
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.visitor.close();
    }

    fn key(&mut self, text: Text<'_>) {
        self.visitor.key(text);
    }

    fn scalar(&mut self, kind: Scalar, text: Text<'_>) {
        self.visitor.scalar(kind, text);
    }
}
