//! The parser of one direction.
//!
//! Takes bytes in any pieces, and holes. Gives heads, pieces of bodies and what else frames say. Never holds a body,
//! and believes no frame that it cannot place. Bounded by the largest frame allowed, `Limits::head_bytes` and
//! `MAX_WAITS`.

mod blocks;
mod holes;

use std::num::NonZeroUsize;

use blocks::{Open, begun};

use super::frame::{self, Frame, HEADER, Kind, number};
use super::front::{self, Front};
use super::hpack::{self, Block, Decoder};
use super::{Anomaly, Limits, MAX_FIELDS, Message, PREFACE, Resync, Span, Step, StreamParser};

/// Largest frame while it is not known what the reader of them announced: Go's servers allow 1 MiB, others less.
const UNKNOWN_MAX: u32 = 1 << 20;

/// Streams that a hole may have hidden. Beyond, an id read behind it is taken for no id.
const HIDDEN_STREAMS: u32 = 20_000;

/// Waiting for what may follow a likely header costs memory and a copy: after so many disappointments only the start of
/// an input is waited for.
const MAX_WAITS: u8 = 16;

/// SETTINGS longer than a frame's default are refused by every peer.
const MAX_SETTINGS: u32 = frame::DEFAULT_MAX;

/// One direction of a connection.
#[derive(Debug)]
pub struct Parser {
    state: State,
    decoder: Decoder,
    limits: Limits,
    /// The block being decoded; kept for its memory.
    block: Block,
    /// A header block whose end is to come.
    open: Option<Open>,
    /// The frame at the front of the input, which is not whole yet.
    waiting: Option<Frame>,
    max_frame: u32,
    highest: u32,
    /// The next byte is the first of an input.
    fresh: bool,
    /// Places in the middle of inputs that looked like a frame and were waited for in vain, since the place was lost.
    waits: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The connection begins, if what comes looks like it.
    Start,
    /// A frame begins.
    Frame,
    /// So many bytes of a body, and then of padding.
    Body {
        stream: u32,
        left: u32,
        padding: u32,
        last: bool,
    },
    /// So many bytes of nothing.
    Skip(u32),
    /// The place is lost.
    Searching,
}

impl Parser {
    /// A direction seen from its beginning; if it does not begin like one, it is taken for [`Self::joined`].
    pub fn new(limits: Limits) -> Self {
        Self::with(limits, State::Start)
    }

    /// A direction that may be anywhere.
    pub fn searching(limits: Limits) -> Self {
        let mut parser = Self::with(limits, State::Searching);
        parser.join();
        parser
    }

    /// Whether its place among the frames is not known.
    pub fn is_searching(&self) -> bool {
        self.state == State::Searching
    }

    /// A direction joined at the beginning of a frame.
    pub fn joined(limits: Limits) -> Self {
        let mut parser = Self::searching(limits);
        parser.state = State::Frame;
        parser
    }

    fn with(limits: Limits, state: State) -> Self {
        let unfolded = hpack::Limits {
            bytes: limits.head_bytes,
            fields: MAX_FIELDS,
        };
        Self {
            state,
            decoder: Decoder::new(unfolded),
            limits,
            block: Block::default(),
            open: None,
            waiting: None,
            max_frame: frame::DEFAULT_MAX,
            highest: 0,
            fresh: true,
            waits: 0,
        }
    }

    fn join(&mut self) {
        let unfolded = hpack::Limits {
            bytes: self.limits.head_bytes,
            fields: MAX_FIELDS,
        };
        self.decoder = Decoder::joined(unfolded);
        self.max_frame = UNKNOWN_MAX;
        self.state = State::Searching;
    }

    /// No bytes are at hand: what is kept for the next block is given back. Ten thousand idle connections would keep it.
    pub fn rest(&mut self) {
        self.block = Block::default();
    }

    /// The other direction said how large frames may be.
    pub fn allow_frame(&mut self, length: u32) {
        // What was allowed before may be under way.
        self.max_frame = self.max_frame.max(length);
    }

    /// The other direction said how large the table may become.
    pub fn allow_table(&mut self, size: u32) {
        self.decoder.allow_table(size);
    }

    fn begin(&mut self, input: &[u8]) -> Step<Message> {
        if input.starts_with(PREFACE) {
            self.state = State::Frame;
            return advance(PREFACE.len(), Some(Message::Preface));
        }
        if PREFACE.starts_with(input) {
            return need(PREFACE.len());
        }
        let Some(frame) = Frame::parse(input) else {
            return need(HEADER);
        };
        if frame.kind == Kind::Settings && frame.is_lawful() && !frame.has(frame::ACK) {
            self.state = State::Frame;
        } else {
            self.join();
        }
        self.step(input)
    }

    fn search(&mut self, input: &[u8]) -> Step<Message> {
        let highest = self.highest.saturating_add(HIDDEN_STREAMS);
        match front::find(input, self.fresh, highest) {
            Front::At(0) => {
                self.state = State::Frame;
                self.waits = 0;
                self.frame(input)
            }
            Front::Perhaps { at: 0, wanted } if self.fresh => need(wanted),
            Front::Perhaps { at: 0, wanted } if self.waits < MAX_WAITS => {
                self.waits += 1;
                need(wanted)
            }
            Front::Perhaps { at: 0, .. } => advance(1, None),
            Front::At(at) | Front::Perhaps { at, .. } => {
                self.fresh = false;
                advance(at, None)
            }
            Front::Nowhere => {
                self.fresh = true;
                advance(input.len(), None)
            }
        }
    }

    fn frame(&mut self, input: &[u8]) -> Step<Message> {
        let Some(frame) = Frame::parse(input) else {
            return need(HEADER);
        };
        if frame.length > self.max_frame {
            return Step::Reject(Anomaly::Http2FrameTooLong);
        }
        if let Some(open) = &self.open
            && (frame.kind != Kind::Continuation || frame.stream != open.stream)
        {
            return self.interrupt(frame);
        }
        if !frame.is_lawful() {
            self.lose_table_of(frame);
            self.state = State::Skip(frame.length);
            return advance(HEADER, Some(odd(frame)));
        }
        self.highest = self.highest.max(frame.stream);
        match frame.kind {
            Kind::Data => self.data(frame, input),
            Kind::Headers | Kind::PushPromise | Kind::Continuation => self.header_block(frame, input),
            Kind::Settings => self.settings(frame, input),
            Kind::RstStream => self.whole(frame, input, |_| Message::Reset { stream: frame.stream }),
            Kind::WindowUpdate => self.whole(frame, input, |payload| match number(payload) {
                // 6.9: no window opens by nothing.
                Some(0) => odd(frame),
                _ => Message::Other,
            }),
            Kind::Goaway => self.goaway(frame, input),
            Kind::Priority | Kind::Ping | Kind::Other(_) => {
                self.state = State::Skip(frame.length);
                advance(HEADER, Some(Message::Other))
            }
        }
    }

    /// Another frame within a header block (6.10): neither can be read.
    fn interrupt(&mut self, frame: Frame) -> Step<Message> {
        let lost = self
            .open
            .take()
            .map(|open| open.lost(Some(Anomaly::Http2BrokenBlock)));
        self.decoder.lose();
        self.state = State::Skip(frame.length);
        advance(HEADER, lost)
    }

    /// A block that is skipped may have added entries.
    fn lose_table_of(&mut self, frame: Frame) {
        if matches!(frame.kind, Kind::Headers | Kind::PushPromise | Kind::Continuation) {
            self.decoder.lose();
        }
    }

    /// A frame whose payload must be there.
    fn whole(&mut self, frame: Frame, input: &[u8], read: impl FnOnce(&[u8]) -> Message) -> Step<Message> {
        let Some(payload) = input.get(HEADER..frame.total()) else {
            return self.wait(frame, frame.total());
        };
        advance(frame.total(), Some(read(payload)))
    }

    fn wait(&mut self, frame: Frame, wanted: usize) -> Step<Message> {
        self.waiting = Some(frame);
        need(wanted)
    }

    fn goaway(&mut self, frame: Frame, input: &[u8]) -> Step<Message> {
        let Some(last) = input.get(HEADER..HEADER + 8).and_then(number) else {
            return self.wait(frame, HEADER + 8);
        };
        self.state = State::Skip(frame.length.saturating_sub(8));
        advance(
            HEADER + 8,
            Some(Message::Goaway {
                last: last & 0x7fff_ffff,
            }),
        )
    }

    fn settings(&mut self, frame: Frame, input: &[u8]) -> Step<Message> {
        if frame.length > MAX_SETTINGS {
            self.state = State::Skip(frame.length);
            return advance(HEADER, Some(odd(frame)));
        }
        if frame.has(frame::ACK) {
            return advance(HEADER, Some(Message::Other));
        }
        self.whole(frame, input, settings)
    }

    fn data(&mut self, frame: Frame, input: &[u8]) -> Step<Message> {
        let (front, padding) = if frame.has(frame::PADDED) {
            let Some(padding) = input.get(HEADER) else {
                return self.wait(frame, HEADER + 1);
            };
            (HEADER + 1, u32::from(*padding))
        } else {
            (HEADER, 0)
        };
        let length = frame.length - u32::from(front > HEADER);
        let last = frame.has(frame::END_STREAM);
        // 6.1: padding that does not fit.
        let Some(left) = length.checked_sub(padding) else {
            self.state = State::Skip(length);
            return advance(front, Some(odd(frame)));
        };
        self.state = State::Body {
            stream: frame.stream,
            left,
            padding,
            last,
        };
        self.body(input, front)
    }

    /// The body from `front` on; what is before is framing.
    fn body(&mut self, input: &[u8], front: usize) -> Step<Message> {
        let State::Body {
            stream,
            left,
            padding,
            last,
        } = self.state
        else {
            return need(1);
        };
        let there = input.len().saturating_sub(front);
        let taken = u32::try_from(there).unwrap_or(u32::MAX).min(left);
        let left = left - taken;
        self.state = match (left, padding) {
            (0, 0) => State::Frame,
            (0, padding) => State::Skip(padding),
            _ => State::Body {
                stream,
                left,
                padding,
                last,
            },
        };
        let piece = Span {
            start: u32::try_from(front).unwrap_or_default(),
            len: taken,
        };
        let message = Message::Body {
            stream,
            piece,
            last: last && left == 0,
        };
        advance(front + taken as usize, Some(message))
    }
}

impl StreamParser for Parser {
    type Message = Message;

    fn step(&mut self, input: &[u8]) -> Step<Message> {
        self.waiting = None;
        match self.state {
            State::Start => self.begin(input),
            State::Frame => self.frame(input),
            State::Body { .. } => self.body(input, 0),
            State::Skip(0) => {
                self.state = State::Frame;
                self.frame(input)
            }
            State::Skip(left) => {
                let taken = u32::try_from(input.len()).unwrap_or(u32::MAX).min(left);
                self.state = if taken == left {
                    State::Frame
                } else {
                    State::Skip(left - taken)
                };
                advance(taken as usize, Some(Message::Other))
            }
            State::Searching => self.search(input),
        }
    }

    fn on_gap(&mut self, missing: u64) -> Resync<Message> {
        self.hole(missing)
    }

    fn on_end(&mut self) -> Option<Message> {
        None
    }
}

fn advance(consumed: usize, message: Option<Message>) -> Step<Message> {
    Step::Advance {
        consumed: NonZeroUsize::new(consumed).unwrap_or(NonZeroUsize::MIN),
        message,
    }
}

fn need(at_least: usize) -> Step<Message> {
    Step::NeedMore {
        at_least: NonZeroUsize::new(at_least).unwrap_or(NonZeroUsize::MIN),
    }
}

fn odd(frame: Frame) -> Message {
    Message::Odd {
        stream: frame.stream,
        anomaly: Anomaly::Http2BadFrame,
    }
}

/// What the payload of SETTINGS says (RFC 9113, 6.5.2).
pub fn settings(payload: &[u8]) -> Message {
    let (mut table, mut largest) = (None, None);
    for setting in payload.as_chunks::<6>().0 {
        let [i1, i2, v1, v2, v3, v4] = *setting;
        let value = u32::from_be_bytes([v1, v2, v3, v4]);
        match u16::from_be_bytes([i1, i2]) {
            1 => table = Some(value),
            5 => largest = Some(value),
            _ => {}
        }
    }
    Message::Settings {
        table,
        frame: largest,
    }
}
