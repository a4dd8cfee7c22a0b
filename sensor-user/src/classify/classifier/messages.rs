//! Bodies of gRPC and gRPC-Web: every message under its path, by name where the descriptors know it.
//!
//! Takes a body. Gives what its messages hold to the sink. Never copies a message that came in one piece. Bounded by
//! the body that was kept, and for compressed messages by the capped decompressor.

use std::sync::Arc;

use crate::classify::body::BodyVisitor;
use crate::classify::sink::Sink;
use crate::classify::{BlindSpot, Half, Types, outline};
use crate::exchange::{Exchange, Head};
use crate::protocol::Anomaly;
use crate::protocol::document::{Document, Format};
use crate::protocol::grpc::{self, Carrier, Event, Frame, Media, Unframer};
use crate::protocol::inflate::{self, Codings, Ended};
use crate::protocol::protobuf::Message;
use crate::protocol::walk::{Ending, Refusal};

use super::Classifier;

/// Buffers of messages, and what is known of their types.
#[derive(Default)]
pub(super) struct Messages {
    types: Arc<Types>,
    /// A message that came in more than one piece.
    joined: Vec<u8>,
    /// A message that was compressed.
    inflated: Vec<u8>,
}

/// Holds observed bytes, so it prints nothing.
impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[messages]")
    }
}

impl Messages {
    pub(super) fn new(types: Arc<Types>) -> Self {
        Self {
            types,
            joined: Vec::new(),
            inflated: Vec::new(),
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

impl Reading<'_> {
    /// What `grpc-encoding` names; one coding, as content codings are named.
    fn codings(&self) -> Option<Codings> {
        let value = self.head.header("grpc-encoding")?.expose();
        inflate::codings([value])
            .ok()
            .filter(|codings| codings.len() == 1)
    }
}

impl Classifier {
    /// The messages of a gRPC or gRPC-Web body.
    pub(super) fn grpc(&mut self, half: Half, exchange: &Exchange, media: Media, sink: &mut Sink) {
        let (head, body) = match (half, exchange.outcome.response()) {
            (Half::Request, _) => (&exchange.request.head, &exchange.request.body),
            (Half::Response, Some(response)) => (&response.head, &response.body),
            (Half::Response, None) => return,
        };
        let schema = self.messages.types.current();
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
        self.outline.body(half, media_of(media.format));
        let mut joined = std::mem::take(&mut self.messages.joined);
        joined.clear();
        let mut under_way = None;
        let mut unframer = Unframer::new(media.carrier);
        for piece in body.content() {
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
        if !frame.compressed {
            return self.content(reading, frame, content, whole, sink);
        }
        let Some(codings) = reading.codings() else {
            return sink.blind(BlindSpot::UnknownCoding);
        };
        let mut inflated = std::mem::take(&mut self.messages.inflated);
        let ended = inflate::decode(&codings, content, inflate::Limits::default(), &mut inflated);
        if let Some(anomaly) = ended.anomaly() {
            sink.odd(anomaly);
            sink.blind(if ended == Ended::Broken {
                BlindSpot::BadCoding
            } else {
                BlindSpot::DecodedLimit
            });
        }
        self.content(reading, frame, &inflated, ended == Ended::Whole, sink);
        self.messages.inflated = inflated;
    }

    fn content(&mut self, reading: Reading<'_>, frame: Frame, content: &[u8], whole: bool, sink: &mut Sink) {
        if frame.trailers && reading.media.carrier != Carrier::Grpc {
            for (name, value) in grpc::trailers(content) {
                self.field(reading.half, name, value, sink);
            }
            return;
        }
        match reading.media.format {
            grpc::Format::Protobuf => self.message(reading.half, reading.typed, content, whole, sink),
            grpc::Format::Json => {
                let document = Document {
                    format: Format::Json,
                    media: &[],
                    bytes: content,
                    cut: !whole,
                };
                self.document(reading.half, document, sink);
            }
            grpc::Format::Other => sink.blind(BlindSpot::UnreadEncoding),
        }
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
        let ending = self.documents.protobuf(bytes, whole, typed, &mut visitor);
        if ending != Ending::Complete {
            self.outline.cut();
        }
        if let Ending::Refused(refusal) = ending {
            sink.blind(BlindSpot::Malformed);
            if refusal == Refusal::TooDeep {
                sink.odd(Anomaly::BodyTooDeep);
            }
        }
    }
}

const fn media_of(format: grpc::Format) -> outline::Media {
    match format {
        grpc::Format::Protobuf => outline::Media::Protobuf,
        grpc::Format::Json => outline::Media::Json,
        grpc::Format::Other => outline::Media::Binary,
    }
}

fn length(frame: Option<Frame>) -> usize {
    frame.map_or(0, |frame| frame.length as usize)
}

#[cfg(test)]
mod tests;
