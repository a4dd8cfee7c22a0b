//! Header blocks: one HEADERS or `PUSH_PROMISE` frame, or one and its CONTINUATION frames (RFC 9113, 4.3).
//!
//! Takes their frames in order. Gives heads, or that one is lost. Never keeps more of a block than `Limits::head_bytes`,
//! nor more frames than [`MAX_CONTINUATIONS`].

use super::super::frame::{self, Frame, HEADER, Kind};
use super::super::{Anomaly, MAX_CONTINUATIONS, Message, Step, head};
use super::{Parser, State, advance, odd};

/// A header block without its end.
pub(super) struct Open {
    pub(super) stream: u32,
    promised: Option<u32>,
    last: bool,
    /// What came of it; `None` when a part is lost.
    pub(super) fragments: Option<Vec<u8>>,
    continuations: u32,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[open block]")
    }
}

impl Open {
    pub(super) fn lost(&self, anomaly: Option<Anomaly>) -> Message {
        Message::HeadLost {
            stream: self.stream,
            promise: self.promised.is_some(),
            last: self.last,
            anomaly,
        }
    }
}

impl Parser {
    pub(super) fn header_block(&mut self, frame: Frame, input: &[u8]) -> Step<Message> {
        let held = self
            .open
            .as_ref()
            .and_then(|open| open.fragments.as_ref())
            .map_or(0, Vec::len);
        if frame.kind == Kind::Continuation && self.open.is_none() {
            self.decoder.lose();
            self.state = State::Skip(frame.length);
            // Joined, or lost the place, between the frames of a block: nobody's fault.
            return advance(HEADER, Some(Message::Other));
        }
        if held + frame.length as usize > self.limits.head_bytes {
            return self.too_long(frame);
        }
        let Some(payload) = input.get(HEADER..frame.total()) else {
            return self.wait(frame, frame.total());
        };
        let message = if frame.kind == Kind::Continuation {
            self.continuation(frame, payload)
        } else {
            self.first_fragment(frame, payload)
        };
        advance(frame.total(), Some(message))
    }

    /// The front of a block would fill the memory; the rest of it is skipped.
    fn too_long(&mut self, frame: Frame) -> Step<Message> {
        self.decoder.lose();
        self.state = State::Skip(frame.length);
        let mut open = self.open.take().unwrap_or_else(|| begun(frame, 0));
        let told = open.fragments.take().is_none();
        let lost = open.lost(Some(Anomaly::HeadTooLong));
        if !frame.has(frame::END_HEADERS) {
            self.open = Some(open);
        }
        advance(HEADER, Some(if told { Message::Other } else { lost }))
    }

    fn first_fragment(&mut self, frame: Frame, payload: &[u8]) -> Message {
        let Some((fragment, promised)) = frame.fragment(payload) else {
            self.decoder.lose();
            return odd(frame);
        };
        let mut open = begun(frame, promised);
        if frame.has(frame::END_HEADERS) {
            return self.decode(&open, fragment);
        }
        open.fragments = Some(fragment.to_vec());
        self.open = Some(open);
        Message::Other
    }

    fn continuation(&mut self, frame: Frame, payload: &[u8]) -> Message {
        let Some(mut open) = self.open.take() else {
            return Message::Other;
        };
        open.continuations += 1;
        let over = open.continuations > MAX_CONTINUATIONS;
        let ends = frame.has(frame::END_HEADERS);
        let message = match &mut open.fragments {
            None => Message::Other,
            Some(_) if over => {
                self.decoder.lose();
                open.fragments = None;
                open.lost(Some(Anomaly::Http2ContinuationFlood))
            }
            Some(fragments) => {
                fragments.extend_from_slice(payload);
                if ends {
                    let block = std::mem::take(fragments);
                    return self.decode(&open, &block);
                }
                Message::Other
            }
        };
        if !ends {
            self.open = Some(open);
        }
        message
    }

    fn decode(&mut self, open: &Open, wire: &[u8]) -> Message {
        self.block.clear();
        if self.decoder.decode(wire, &mut self.block).is_err() {
            return open.lost(Some(Anomaly::Http2BadCompression));
        }
        let head = Box::new(head::write(&self.block));
        self.block.shrink();
        Message::Head {
            stream: open.stream,
            promised: open.promised,
            head,
            last: open.last,
        }
    }
}

pub(super) fn begun(frame: Frame, promised: u32) -> Open {
    let promise = frame.kind == Kind::PushPromise;
    Open {
        stream: frame.stream,
        promised: promise.then_some(promised),
        last: !promise && frame.has(frame::END_STREAM),
        fragments: Some(Vec::new()),
        continuations: 0,
    }
}
