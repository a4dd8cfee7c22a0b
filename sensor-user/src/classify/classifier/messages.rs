//! Bodies of gRPC, gRPC-Web and protobuf: every message under its path, by name where the descriptors know it.
//!
//! Takes a body. Gives what its messages hold to the sink. Never copies a message that came in one piece. Bounded by
//! the body that was kept, and for compressed messages by the capped decompressor.

use crate::classify::body::JsonBody;
use crate::classify::sink::Sink;
use crate::classify::{BlindSpot, Half};
use crate::exchange::{Body, Exchange, Head};
use crate::protocol::chars::Classes;
use crate::protocol::grpc::{self, Carrier, Event, Frame, Media, Unframer};
use crate::protocol::protobuf::{Message, Schema};
use crate::protocol::walk::{Container, Ending, Scalar, Text, Visitor};

use super::Classifier;

/// Buffers of messages, and what is known of their types.
#[derive(Default)]
pub(super) struct Messages {
    schema: std::sync::Arc<Schema>,
    /// A message that came in more than one piece.
    joined: Vec<u8>,
}

/// Holds observed bytes, so it prints nothing.
impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[messages]")
    }
}

impl Messages {
    pub(super) fn new(schema: std::sync::Arc<Schema>) -> Self {
        Self {
            schema,
            joined: Vec::new(),
        }
    }
}

/// How the messages of one body are read.
#[derive(Clone, Copy)]
struct Reading<'a> {
    half: Half,
    media: Media,
    head: &'a Head,
    typed: Option<Message<'a>>,
}

impl Classifier {
    /// The messages of a gRPC or gRPC-Web body.
    pub(super) fn grpc(&mut self, half: Half, exchange: &Exchange, media: Media, sink: &mut Sink) {
        let (head, body) = match (half, exchange.outcome.response()) {
            (Half::Request, _) => (&exchange.request.head, &exchange.request.body),
            (Half::Response, Some(response)) => (&response.head, &response.body),
            (Half::Response, None) => return,
        };
        let schema = std::sync::Arc::clone(&self.messages.schema);
        let method = grpc::method(exchange.request.target().expose()).and_then(|name| schema.method(name));
        let typed = method.and_then(|method| match half {
            Half::Request => method.request,
            Half::Response => method.response,
        });
        let reading = Reading {
            half,
            media,
            head,
            typed,
        };
        let mut joined = std::mem::take(&mut self.messages.joined);
        joined.clear();
        let mut under_way = None;
        let mut unframer = Unframer::new(media.carrier);
        for piece in &body.pieces {
            let fed = unframer.feed(&piece.0, &mut |event| match event {
                Event::Begin(frame) => {
                    joined.clear();
                    under_way = Some(frame);
                }
                Event::Content(part) if joined.is_empty() && part.len() == length(under_way) => {
                    self.frame(reading, under_way, part, true, sink);
                    under_way = None;
                }
                Event::Content(part) => joined.extend_from_slice(part),
                Event::End(_) if !joined.is_empty() => {
                    self.frame(reading, under_way, &joined, true, sink);
                    joined.clear();
                    under_way = None;
                }
                Event::End(_) => under_way = None,
            });
            if fed.is_err() {
                sink.blind(BlindSpot::Malformed);
                break;
            }
        }
        if !joined.is_empty() {
            self.frame(reading, under_way, &joined, false, sink);
        }
        joined.clear();
        self.messages.joined = joined;
    }

    /// The content of one frame, or the front of it.
    fn frame(
        &mut self,
        reading: Reading<'_>,
        frame: Option<Frame>,
        content: &[u8],
        whole: bool,
        sink: &mut Sink,
    ) {
        let Some(frame) = frame else { return };
        if frame.compressed {
            return sink.blind(BlindSpot::UnreadEncoding);
        }
        if frame.trailers && reading.media.carrier != Carrier::Grpc {
            for (name, value) in grpc::trailers(content) {
                self.field(reading.half, name, value, sink);
            }
            return;
        }
        match reading.media.format {
            grpc::Format::Protobuf => self.message(reading.half, reading.typed, content, whole, sink),
            grpc::Format::Json => self.text_of_one(reading.half, content, sink),
            grpc::Format::Other => sink.blind(BlindSpot::UnreadEncoding),
        }
    }

    /// A body that is one protobuf message of unknown type.
    pub(super) fn protobuf(&mut self, half: Half, body: &Body, sink: &mut Sink) {
        let whole = body.is_whole();
        self.joined(body, 0, |this, bytes| {
            this.message(half, None, bytes, whole, sink)
        });
    }

    fn message(
        &mut self,
        half: Half,
        typed: Option<Message<'_>>,
        bytes: &[u8],
        whole: bool,
        sink: &mut Sink,
    ) {
        self.scratch.trail.clear();
        let mut visitor = Numbered(JsonBody {
            scanner: &self.scanner,
            names: &mut self.names,
            scratch: &mut self.scratch,
            sink,
            limits: self.limits,
            half,
        });
        let ending = self.protobuf.walk(bytes, whole, typed, &mut visitor);
        if matches!(ending, Ending::Refused(_)) {
            sink.blind(BlindSpot::Malformed);
        }
    }

    /// A JSON message in a frame.
    fn text_of_one(&mut self, half: Half, bytes: &[u8], sink: &mut Sink) {
        self.walker.restart();
        self.scratch.trail.clear();
        let mut visitor = JsonBody {
            scanner: &self.scanner,
            names: &mut self.names,
            scratch: &mut self.scratch,
            sink,
            limits: self.limits,
            half,
        };
        // What is refused shows in the ending.
        let fed = self.walker.feed(bytes, &mut visitor);
        if fed.is_err() || self.walker.finish(&mut visitor) != Ending::Complete {
            sink.blind(BlindSpot::Malformed);
        }
    }
}

fn length(frame: Option<Frame>) -> usize {
    frame.map_or(0, |frame| frame.length as usize)
}

/// Members named by field number, unless the descriptors had a name.
struct Numbered<'a>(JsonBody<'a>);

impl Visitor for Numbered<'_> {
    #[inline]
    fn open(&mut self, container: Container) {
        self.0.open(container);
    }

    #[inline]
    fn close(&mut self) {
        self.0.close();
    }

    #[inline]
    fn key(&mut self, text: Text<'_>) {
        if text.raw.first().is_some_and(u8::is_ascii_digit) {
            let number = self.0.names.look_up_number(text.raw);
            self.0.scratch.trail.name(number);
        } else {
            // The name of a declaration is no value.
            let classes = Classes::NONE;
            self.0.key(Text { classes, ..text });
        }
    }

    #[inline]
    fn scalar(&mut self, kind: Scalar, text: Text<'_>) {
        self.0.scalar(kind, text);
    }
}

#[cfg(test)]
mod tests;
