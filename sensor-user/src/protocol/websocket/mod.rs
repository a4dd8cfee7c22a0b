//! WebSocket (RFC 6455), one direction.
//!
//! Takes the bytes behind the handshake. Gives heads of frames and pieces of payloads, still masked. Never guesses from
//! nothing: behind a hole that took a head, a frame is looked for that explains what follows (`search.rs`). Holds no
//! payload; bounded by a head's 14 bytes and, while searching, [`SEARCH_BYTES`].

pub mod deflate;
mod frame;
pub mod fuzz;
pub mod handshake;
mod search;

use std::num::NonZeroUsize;

use smallvec::SmallVec;

use super::{Anomaly, Resync, Span, Step, StreamParser};
use frame::{Decoded, Head};
pub use frame::{MAX_CONTROL, Opcode, unmask};
pub use search::SEARCH_BYTES;

/// Which way the frames travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Travel {
    /// From the client: every frame is masked (RFC 6455, 5.1).
    ToServer,
    /// From the server: none is.
    ToClient,
}

/// What the handshake agreed on, as far as frames are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Rules {
    /// RSV1 marks compressed messages (RFC 7692, 6).
    pub deflate: bool,
    /// An extension that is not read gives reserved bits a meaning.
    pub foreign: bool,
}

/// What a parser gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// A frame begins.
    Frame(Frame),
    /// Part of its payload.
    Piece {
        /// Where, in what the step consumed.
        piece: Span,
        /// To [`unmask`] it with; zero when there is no mask.
        key: [u8; 4],
        /// The payload ends here.
        last: bool,
    },
    /// The payload under way ended within a hole.
    End {
        /// Bytes of it that fell into the hole.
        lost: u64,
    },
}

/// Head of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What it is for.
    pub opcode: Opcode,
    /// The last of its message.
    pub fin: bool,
    /// Begins a compressed message.
    pub compressed: bool,
    /// An extension that is not read may have changed the payload.
    pub foreign: bool,
    /// Bytes of payload.
    pub length: u64,
    /// Departures from the protocol.
    pub anomalies: SmallVec<[Anomaly; 2]>,
}

/// One direction of a WebSocket.
#[derive(Debug)]
pub struct Parser {
    travel: Travel,
    rules: Rules,
    state: State,
    open: Open,
    /// Searching: the input begins where a chunk of the caller's did.
    at_start: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Head,
    Payload { remaining: u64, key: [u8; 4] },
    Search,
}

/// Whether a message is under way between frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Open {
    No,
    Yes,
    /// Behind a hole.
    Unknown,
}

impl Parser {
    /// A parser at the first frame.
    pub const fn new(travel: Travel, rules: Rules) -> Self {
        Self {
            travel,
            rules,
            state: State::Head,
            open: Open::No,
            at_start: false,
        }
    }

    /// Whether the place is lost and no frame was found yet.
    pub fn is_searching(&self) -> bool {
        self.state == State::Search
    }

    fn head(&mut self, input: &[u8]) -> Step<Message> {
        let head = match frame::decode(input) {
            Decoded::Head(head) => head,
            Decoded::NeedMore(at_least) => return need(at_least),
            Decoded::TooLong => return Step::Reject(Anomaly::WebSocketLength),
        };
        let anomalies = self.judge(&head);
        // One mistake is a peer's; two in one head are no WebSocket.
        if anomalies.len() > 1 {
            return Step::Reject(Anomaly::WebSocketFrame);
        }
        if !head.opcode.is_control() && head.opcode != Opcode::Reserved {
            self.open = match (head.bits.fin(), head.opcode) {
                (true, _) => Open::No,
                (false, Opcode::Continuation) => self.open,
                (false, _) => Open::Yes,
            };
        }
        if head.length > 0 {
            self.state = State::Payload {
                remaining: head.length,
                key: head.mask.unwrap_or_default(),
            };
        }
        let begins = matches!(head.opcode, Opcode::Text | Opcode::Binary);
        let frame = Frame {
            opcode: head.opcode,
            fin: head.bits.fin(),
            compressed: begins && head.bits.rsv1() && self.rules.deflate,
            foreign: head.bits.rsv23() || (head.bits.rsv1() && !(begins && self.rules.deflate)),
            length: head.length,
            anomalies,
        };
        advance(head.len, Some(Message::Frame(frame)))
    }

    /// What is wrong with a head (RFC 6455, 5.2, 5.4 and 5.5; RFC 7692, 6.1).
    fn judge(&self, head: &Head) -> SmallVec<[Anomaly; 2]> {
        let begins = matches!(head.opcode, Opcode::Text | Opcode::Binary);
        let control = head.opcode.is_control();
        let marked = head.bits.rsv23() || (head.bits.rsv1() && !(self.rules.deflate && begins));
        let bad_order = match self.open {
            Open::No => head.opcode == Opcode::Continuation,
            Open::Yes => begins,
            Open::Unknown => false,
        };
        let checks = [
            (marked && !self.rules.foreign, Anomaly::WebSocketReservedBit),
            (head.opcode == Opcode::Reserved, Anomaly::WebSocketOpcode),
            (
                control && (!head.bits.fin() || head.length > MAX_CONTROL),
                Anomaly::WebSocketControl,
            ),
            (
                head.mask.is_some() != (self.travel == Travel::ToServer),
                Anomaly::WebSocketMask,
            ),
            (head.padded, Anomaly::WebSocketLength),
            (bad_order, Anomaly::WebSocketFragment),
        ];
        let bad = checks.into_iter().filter(|(bad, _)| *bad);
        bad.map(|(_, anomaly)| anomaly).collect()
    }

    fn payload(&mut self, remaining: u64, key: [u8; 4], input: &[u8]) -> Step<Message> {
        let len = usize::try_from(remaining).unwrap_or(usize::MAX).min(input.len());
        let len = len.min(u32::MAX as usize);
        let left = remaining - len as u64;
        self.state = if left == 0 {
            State::Head
        } else {
            State::Payload {
                remaining: left,
                key: frame::rotate(key, len as u64),
            }
        };
        let piece = Span {
            start: 0,
            len: u32::try_from(len).unwrap_or(u32::MAX),
        };
        let message = Message::Piece {
            piece,
            key,
            last: left == 0,
        };
        advance(len, Some(message))
    }

    fn search(&mut self, input: &[u8]) -> Step<Message> {
        match search::find(input, self.travel, self.rules, self.at_start) {
            search::Found::Here => {
                self.state = State::Head;
                self.head(input)
            }
            search::Found::Later(skip) => {
                self.at_start = skip >= input.len();
                advance(skip, None)
            }
            search::Found::NeedMore(at_least) => need(at_least),
        }
    }
}

impl StreamParser for Parser {
    type Message = Message;

    fn step(&mut self, input: &[u8]) -> Step<Message> {
        if input.is_empty() {
            return need(1);
        }
        match self.state {
            State::Head => self.head(input),
            State::Payload { remaining, key } => self.payload(remaining, key, input),
            State::Search => self.search(input),
        }
    }

    fn on_gap(&mut self, missing: u64) -> Resync<Message> {
        let mut end = None;
        if let State::Payload { remaining, key } = self.state {
            if missing < remaining {
                self.state = State::Payload {
                    remaining: remaining - missing,
                    key: frame::rotate(key, missing),
                };
                return Resync::Exact(None);
            }
            end = Some(Message::End { lost: remaining });
            if missing == remaining {
                self.state = State::Head;
                return Resync::Exact(end);
            }
        }
        self.state = State::Search;
        self.open = Open::Unknown;
        self.at_start = true;
        Resync::Searching(end)
    }

    /// What is under way is the caller's to end: a message may be open with no frame under way.
    fn on_end(&mut self) -> Option<Message> {
        let state = std::mem::replace(&mut self.state, State::Search);
        match state {
            State::Payload { .. } => Some(Message::End { lost: 0 }),
            State::Head | State::Search => None,
        }
    }
}

fn need<M>(at_least: usize) -> Step<M> {
    Step::NeedMore {
        at_least: NonZeroUsize::new(at_least).unwrap_or(NonZeroUsize::MIN),
    }
}

fn advance<M>(count: usize, message: Option<M>) -> Step<M> {
    NonZeroUsize::new(count).map_or_else(|| need(1), |consumed| Step::Advance { consumed, message })
}

#[cfg(test)]
mod tests;
