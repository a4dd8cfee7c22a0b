//! The frames of one body, counted while it passes.
//!
//! Takes pieces, holes and the cut, in order, also beyond what is kept of the body. Gives how many messages there were,
//! the trailers of gRPC-Web, and what was wrong. Never keeps a message. Bounded by [`MAX_TRAILERS`].

use smallvec::SmallVec;

use crate::exchange::call::Count;
use crate::exchange::{Body, Head, Secret};
use crate::protocol::Anomaly;
use crate::protocol::grpc::{
    self, Carrier, Event, Fault, Frame, MAX_MESSAGE, MAX_TRAILERS, Media, Status, Unframer,
};
use crate::protocol::inflate::{self, Ended, Limits};

/// Inflated, trailers are bounded as they are otherwise.
const TRAILERS: Limits = Limits {
    output_bytes: MAX_TRAILERS,
    ratio: 200,
    free_bytes: MAX_TRAILERS,
};

/// Who sent the body. Only servers have trailers in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::exchange) enum Sender {
    Client,
    Server,
}

/// Frames of one body. Prints no content.
#[derive(Clone, Debug)]
pub struct Frames {
    unframer: Unframer,
    found: Found,
    /// How much of the body was seen.
    seen: Seen,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    /// Everything so far, or but for content of frames.
    All { holes: bool },
    /// From some byte on, frames may have gone by uncounted.
    Front,
}

/// What was found in frames.
#[derive(Clone, Debug)]
struct Found {
    carrier: Carrier,
    sender: Sender,
    /// The head names a coding of messages.
    encoded: bool,
    messages: u32,
    /// `None` when there was no such frame.
    trailers: Option<Block>,
    anomalies: SmallVec<[Anomaly; 2]>,
}

/// Trailers as they came in a body.
#[derive(Clone, Default)]
struct Block {
    bytes: Vec<u8>,
    compressed: bool,
    /// Part of it was not seen or not kept: what it says is not known.
    unread: bool,
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[trailers, {} bytes]", self.bytes.len())
    }
}

/// What a body's own trailers say of the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// This.
    Status(Status),
    /// There are trailers, and no status in them.
    Nothing,
    /// There are none.
    NoTrailers,
    /// They could not be read.
    Unread,
}

impl Frames {
    /// Of a message with that head; `None` when its body has no frames, or none before its content coding is undone.
    pub(in crate::exchange) fn of(head: &Head, sender: Sender) -> Option<Self> {
        let media = media(head)?;
        let plain = !is_coded(head, "content-encoding");
        plain.then(|| Self::new(media.carrier, head, sender))
    }

    /// Of a body of which only the content that was kept is left.
    pub(super) fn kept(carrier: Carrier, head: &Head, sender: Sender, body: &Body) -> Self {
        let mut frames = Self::new(carrier, head, sender);
        for piece in body.content() {
            frames.feed(&piece.0);
        }
        if !body.is_content_whole() {
            frames.cut();
        }
        frames
    }

    fn new(carrier: Carrier, head: &Head, sender: Sender) -> Self {
        Self {
            unframer: Unframer::new(carrier),
            found: Found {
                carrier,
                sender,
                encoded: is_coded(head, "grpc-encoding"),
                messages: 0,
                trailers: None,
                anomalies: SmallVec::new(),
            },
            seen: Seen::All { holes: false },
        }
    }

    /// The next bytes.
    pub(in crate::exchange) fn feed(&mut self, piece: &[u8]) {
        if self.seen == Seen::Front {
            return;
        }
        let found = &mut self.found;
        if let Err(fault) = self.unframer.feed(piece, &mut |event| found.take(event)) {
            found.note(anomaly(fault));
            self.lose();
        }
    }

    /// So many bytes were not seen; 0 when nobody knows how many.
    pub(in crate::exchange) fn hole(&mut self, missing: u64) {
        if self.seen == Seen::Front {
            return;
        }
        match self.unframer.skip(missing).filter(|_| missing > 0) {
            Some(frame) => {
                self.seen = Seen::All { holes: true };
                if let Some(block) = self.found.trailers.as_mut().filter(|_| frame.trailers) {
                    block.unread = true;
                }
            }
            None => self.lose(),
        }
    }

    /// What follows will never be seen.
    pub(in crate::exchange) fn cut(&mut self) {
        self.lose();
    }

    fn lose(&mut self) {
        self.seen = Seen::Front;
        if let Some(block) = &mut self.found.trailers {
            block.unread = true;
        }
    }

    /// Bytes kept.
    pub(in crate::exchange) fn bytes(&self) -> usize {
        self.found.trailers.as_ref().map_or(0, |block| block.bytes.len())
    }

    /// The body ended, if it was seen so far.
    pub(super) fn finish(&mut self) {
        let Seen::All { holes } = self.seen else { return };
        if let Err(fault) = self.unframer.finish() {
            if !holes {
                self.found.note(anomaly(fault));
            }
            if let Some(block) = &mut self.found.trailers {
                block.unread = true;
            }
        }
    }

    /// Messages that began.
    pub(super) fn count(&self) -> Count {
        Count {
            seen: self.found.messages,
            more: self.seen == Seen::Front,
        }
    }

    /// Whether no byte is missing.
    pub(super) fn is_all_seen(&self) -> bool {
        self.seen == Seen::All { holes: false }
    }

    pub(super) fn has_trailers(&self) -> bool {
        self.found.trailers.is_some()
    }

    pub(super) fn anomalies(&self) -> &[Anomaly] {
        &self.found.anomalies
    }

    /// What the trailers say; `head` names their coding.
    pub(super) fn status(&mut self, head: &Head, name: &str) -> Said {
        let Some(block) = &self.found.trailers else {
            return Said::NoTrailers;
        };
        if block.unread {
            return Said::Unread;
        }
        let said = |bytes: &[u8]| {
            let found = grpc::trailers(bytes).find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
            found.map_or(Said::Nothing, |(_, value)| Said::Status(Status::of(value)))
        };
        if !block.compressed {
            return said(&block.bytes);
        }
        let value = head.header("grpc-encoding").map(Secret::expose);
        let Ok(codings) = inflate::codings(value) else {
            return Said::Unread;
        };
        // No coding to undo is noted where the frame begins.
        let [coding] = codings.as_slice() else {
            return Said::Unread;
        };
        let mut plain = Vec::new();
        let ended = inflate::decode(&[*coding], &block.bytes, TRAILERS, &mut plain);
        if let Some(anomaly) = ended.anomaly() {
            self.found.note(anomaly);
        }
        if ended == Ended::Whole {
            said(&plain)
        } else {
            Said::Unread
        }
    }
}

impl Found {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Begin(frame) => self.begin(frame),
            Event::Content(part) => {
                if let (Some(block), Sender::Server) = (&mut self.trailers, self.sender) {
                    block.add(part);
                }
            }
            Event::End(_) => {}
        }
    }

    fn begin(&mut self, frame: Frame) {
        if self.trailers.is_some() {
            self.note(Anomaly::GrpcAfterTrailers);
        }
        if frame.compressed && !self.encoded {
            self.note(Anomaly::GrpcNoEncoding);
        }
        if frame.length > MAX_MESSAGE {
            self.note(Anomaly::GrpcMessageTooLong);
        }
        if !frame.trailers {
            self.messages = self.messages.saturating_add(1);
        } else if self.carrier == Carrier::Grpc {
            self.note(Anomaly::GrpcBadFrame);
        } else if let Some(block) = &mut self.trailers {
            // Which of the two a client believes is not known.
            block.unread = true;
        } else {
            self.trailers = Some(Block {
                bytes: Vec::new(),
                compressed: frame.compressed,
                unread: false,
            });
        }
    }

    /// Each kind once: one broken peer repeats itself.
    fn note(&mut self, anomaly: Anomaly) {
        if !self.anomalies.contains(&anomaly) {
            self.anomalies.push(anomaly);
        }
    }
}

impl Block {
    fn add(&mut self, part: &[u8]) {
        let room = MAX_TRAILERS.saturating_sub(self.bytes.len());
        match part.get(..room) {
            Some(front) if front.len() < part.len() => {
                self.bytes.extend_from_slice(front);
                self.unread = true;
            }
            Some(_) | None => self.bytes.extend_from_slice(part),
        }
    }
}

/// What the media type of a head says.
pub(super) fn media(head: &Head) -> Option<Media> {
    Media::of(head.header("content-type")?.expose())
}

/// Whether a field names a coding other than `identity`.
fn is_coded(head: &Head, name: &str) -> bool {
    let value = head.header(name).map(|value| value.expose().trim_ascii());
    value.is_some_and(|value| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity"))
}

const fn anomaly(fault: Fault) -> Anomaly {
    match fault {
        Fault::Frame => Anomaly::GrpcBadFrame,
        Fault::Base64 => Anomaly::GrpcBadBase64,
    }
}
