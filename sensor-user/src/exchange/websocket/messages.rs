//! Frames of one direction to messages: fragments joined, masks removed, compression undone.
//!
//! Takes heads, pieces and holes from the frame parser. Gives messages. Never keeps more of one than the limit of a
//! body; a message whose place or window was lost says so.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::capture::GapReason;
use crate::exchange::{Body, BodyPiece, BodyState};
use crate::protocol::Anomaly;
use crate::protocol::websocket::deflate::{Failure, Inflater};
use crate::protocol::websocket::handshake::Window;
use crate::protocol::websocket::{Frame, Message, Opcode, unmask};

/// Bytes unmasked at a time when they go on to be inflated.
const STRETCH: usize = 1024;

/// A message that ended.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) text: bool,
    pub(super) body: Body,
    pub(super) since_ns: u64,
    pub(super) anomalies: SmallVec<[Anomaly; 2]>,
}

#[derive(Debug)]
pub(super) struct Messages {
    inflater: Option<Inflater>,
    open: Option<Open>,
    frame: Under,
    /// At most two: one under way is cut by the next that is empty.
    done: VecDeque<Done>,
    /// Of frames that belong to no message, each kind once.
    blame: SmallVec<[Anomaly; 2]>,
    /// The last hole says why what refers to it cannot be read.
    reason: GapReason,
    /// Bytes kept of a body.
    limit: usize,
}

/// A message under way.
struct Open {
    text: bool,
    compressed: bool,
    /// An extension that is not read changed it.
    foreign: bool,
    since_ns: u64,
    /// Of one frame that came whole.
    whole: Bytes,
    joined: BytesMut,
    total: u64,
    state: BodyState,
    anomalies: SmallVec<[Anomaly; 2]>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[message, {} bytes]", self.total)
    }
}

/// Whose payload is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Under {
    /// Nothing's, or nothing that matters.
    Nothing,
    Data {
        fin: bool,
        /// The message is this frame.
        only: bool,
    },
    /// Of a close frame: the code's first byte, once it is there.
    Close(Option<u8>),
}

impl Messages {
    pub(super) fn new(window: Option<Window>, limit: usize) -> Self {
        Self {
            inflater: window.map(Inflater::new),
            open: None,
            frame: Under::Nothing,
            done: VecDeque::new(),
            blame: SmallVec::new(),
            reason: GapReason::Lost,
            limit,
        }
    }

    /// Memory of the message under way, and of the window.
    pub(super) fn held_bytes(&self) -> usize {
        let window = self.inflater.as_ref().map_or(0, Inflater::held_bytes);
        window + self.open.as_ref().map_or(0, |open| open.joined.capacity())
    }

    pub(super) fn take_done(&mut self) -> Option<Done> {
        self.done.pop_front()
    }

    pub(super) fn take_blame(&mut self) -> SmallVec<[Anomaly; 2]> {
        std::mem::take(&mut self.blame)
    }

    /// An anomaly of the message under way, or of none.
    pub(super) fn blame(&mut self, anomaly: Anomaly) {
        let list = self
            .open
            .as_mut()
            .map_or(&mut self.blame, |open| &mut open.anomalies);
        if !list.contains(&anomaly) {
            list.push(anomaly);
        }
    }

    /// Takes what the parser found. Gives the bytes of it that were a head.
    pub(super) fn take(&mut self, message: Message, raw: &Bytes, since_ns: u64, anomalies: &mut u64) -> u64 {
        match message {
            Message::Frame(frame) => {
                *anomalies += frame.anomalies.len() as u64;
                self.begin_frame(&frame, since_ns);
                if frame.length == 0 {
                    *anomalies += u64::from(self.end_frame());
                }
                raw.len() as u64
            }
            Message::Piece { piece, key, last } => {
                let bytes = raw.slice(piece.range());
                *anomalies += u64::from(self.piece(&bytes, key, last));
                if last {
                    *anomalies += u64::from(self.end_frame());
                }
                0
            }
            Message::End { .. } => 0,
        }
    }

    fn begin_frame(&mut self, frame: &Frame, since_ns: u64) {
        let begins = matches!(frame.opcode, Opcode::Text | Opcode::Binary);
        if begins {
            self.cut();
            self.open = Some(Open {
                text: frame.opcode == Opcode::Text,
                compressed: frame.compressed,
                foreign: frame.foreign,
                since_ns,
                whole: Bytes::new(),
                joined: BytesMut::new(),
                total: 0,
                state: BodyState::Whole,
                anomalies: SmallVec::new(),
            });
        }
        self.frame = match frame.opcode {
            Opcode::Text | Opcode::Binary | Opcode::Continuation => Under::Data {
                fin: frame.fin,
                only: begins && frame.fin,
            },
            Opcode::Close => Under::Close(None),
            Opcode::Ping | Opcode::Pong | Opcode::Reserved => Under::Nothing,
        };
        // RFC 6455, 7.4: a reason is preceded by a code of two bytes.
        if frame.opcode == Opcode::Close && frame.length == 1 {
            self.blame(Anomaly::WebSocketControl);
        }
        frame.anomalies.iter().for_each(|anomaly| self.blame(*anomaly));
    }

    /// Part of a payload. Gives whether it was an anomaly.
    fn piece(&mut self, bytes: &Bytes, key: [u8; 4], last: bool) -> bool {
        match self.frame {
            Under::Nothing => false,
            Under::Close(first) => self.close_code(first, bytes, key),
            Under::Data { only, .. } => {
                let Some(open) = &mut self.open else { return false };
                if open.foreign {
                    // What it was is not known, nor what later messages refer to.
                    self.inflater.iter_mut().for_each(Inflater::spoil);
                    open.total = open.total.saturating_add(bytes.len() as u64);
                    open.spoil(BodyState::Limited);
                    return false;
                }
                let limit = self.limit;
                match &mut self.inflater {
                    Some(inflater) if open.compressed => {
                        let result = open.inflate(inflater, bytes, key, limit);
                        self.judge(result)
                    }
                    _ => {
                        open.add(bytes, key, only && last, limit);
                        false
                    }
                }
            }
        }
    }

    /// RFC 6455, 7.4.2: 1000 to 4999, and some of those are never sent.
    fn close_code(&mut self, first: Option<u8>, bytes: &[u8], key: [u8; 4]) -> bool {
        let mut clear = SmallVec::<[u8; 2]>::new();
        unmask(bytes.get(..2).unwrap_or(bytes), key, &mut clear);
        let mut code = first.into_iter().chain(clear);
        let (Some(high), low) = (code.next(), code.next()) else {
            return false;
        };
        let Some(low) = low else {
            self.frame = Under::Close(Some(high));
            return false;
        };
        self.frame = Under::Nothing;
        let code = u16::from_be_bytes([high, low]);
        let bad = !(1000..5000).contains(&code) || matches!(code, 1004..=1006 | 1015);
        if bad {
            self.blame(Anomaly::WebSocketControl);
        }
        bad
    }

    /// What inflating came to. Gives whether it was an anomaly.
    fn judge(&mut self, result: Result<(), Failure>) -> bool {
        let Some(open) = &mut self.open else { return false };
        match result {
            Ok(()) => return false,
            Err(Failure::Unseen) => open.spoil(BodyState::Holed(self.reason)),
            Err(Failure::Bad(anomaly)) => {
                open.spoil(match anomaly {
                    Anomaly::WebSocketInflated => BodyState::Limited,
                    _ => BodyState::Cut,
                });
                self.blame(anomaly);
                return true;
            }
        }
        false
    }

    /// The payload under way ended. Gives whether that showed an anomaly.
    fn end_frame(&mut self) -> bool {
        let frame = std::mem::replace(&mut self.frame, Under::Nothing);
        matches!(frame, Under::Data { fin: true, .. }) && self.end_message()
    }

    fn end_message(&mut self) -> bool {
        let mut bad = false;
        if let (Some(open), Some(inflater)) = (&mut self.open, &mut self.inflater)
            && open.compressed
        {
            let result = inflater.finish(&mut |piece| open.inflated(piece, self.limit));
            bad = self.judge(result);
        }
        let Some(mut open) = self.open.take() else {
            return bad;
        };
        if open.is_bad_text() {
            open.anomalies.push(Anomaly::WebSocketText);
            bad = true;
        }
        self.done.push_back(open.done());
        bad
    }

    /// Bytes of the payload under way are missing, and perhaps its end.
    pub(super) fn hole(&mut self, missing: u64, ended: bool, reason: GapReason) {
        self.reason = reason;
        if matches!(self.frame, Under::Data { .. })
            && let Some(open) = &mut self.open
        {
            open.total = open.total.saturating_add(missing);
            open.spoil(BodyState::Holed(reason));
            if open.compressed
                && let Some(inflater) = &mut self.inflater
            {
                inflater.spoil();
            }
        }
        if matches!(self.frame, Under::Close(_)) {
            self.frame = Under::Nothing;
        }
        if ended {
            self.end_frame();
        }
    }

    /// Frames are missing.
    pub(super) fn lose_place(&mut self, end: Option<&Message>, reason: GapReason) {
        if let Some(Message::End { lost }) = end {
            self.hole(*lost, true, reason);
        }
        self.reason = reason;
        self.interrupt(BodyState::Holed(reason));
        if let Some(inflater) = &mut self.inflater {
            inflater.forget();
        }
    }

    /// The message under way gets no further.
    pub(super) fn cut(&mut self) {
        self.interrupt(BodyState::Cut);
    }

    fn interrupt(&mut self, state: BodyState) {
        self.frame = Under::Nothing;
        let Some(open) = &mut self.open else { return };
        open.spoil(state);
        if open.compressed
            && let Some(inflater) = &mut self.inflater
        {
            inflater.spoil();
        }
        self.end_message();
    }
}

impl Open {
    fn spoil(&mut self, state: BodyState) {
        if self.state == BodyState::Whole {
            self.state = state;
        }
    }

    /// Uncompressed bytes.
    fn add(&mut self, bytes: &Bytes, key: [u8; 4], is_all: bool, limit: usize) {
        let len = bytes.len();
        let before = self.total;
        self.total = before.saturating_add(len as u64);
        if self.state != BodyState::Whole {
            return;
        }
        let room = limit.saturating_sub(usize::try_from(before).unwrap_or(usize::MAX));
        if len > room {
            self.state = BodyState::Limited;
        }
        let bytes = bytes.slice(..len.min(room));
        if is_all && before == 0 && key == [0; 4] {
            self.whole = bytes;
        } else {
            self.joined.reserve(bytes.len());
            unmask(&bytes, key, &mut self.joined);
        }
    }

    /// Compressed bytes.
    fn inflate(
        &mut self,
        inflater: &mut Inflater,
        bytes: &[u8],
        key: [u8; 4],
        limit: usize,
    ) -> Result<(), Failure> {
        let mut clear = SmallVec::<[u8; STRETCH]>::new();
        // The mask's key has four bytes, of which a stretch is a multiple.
        for stretch in bytes.chunks(STRETCH) {
            clear.clear();
            unmask(stretch, key, &mut clear);
            inflater.feed(&clear, &mut |piece| self.inflated(piece, limit))?;
            if self.state == BodyState::Limited && !inflater.takes_over() {
                inflater.spoil();
            }
        }
        Ok(())
    }

    fn inflated(&mut self, piece: &[u8], limit: usize) {
        self.total = self.total.saturating_add(piece.len() as u64);
        if self.state != BodyState::Whole {
            return;
        }
        let room = limit.saturating_sub(self.joined.len());
        let kept = piece.get(..room);
        self.joined.extend_from_slice(kept.unwrap_or(piece));
        if kept.is_some_and(|kept| kept.len() < piece.len()) {
            self.state = BodyState::Limited;
        }
    }

    fn is_bad_text(&self) -> bool {
        let text: &[u8] = if self.whole.is_empty() {
            &self.joined
        } else {
            &self.whole
        };
        self.text && self.state == BodyState::Whole && std::str::from_utf8(text).is_err()
    }

    fn done(self) -> Done {
        let bytes = if self.whole.is_empty() {
            self.joined.freeze()
        } else {
            self.whole
        };
        let state = match self.state {
            BodyState::Whole if self.total == 0 => BodyState::Empty,
            state => state,
        };
        let mut pieces = SmallVec::new();
        if !bytes.is_empty() {
            pieces.push(BodyPiece(bytes));
        }
        Done {
            text: self.text,
            body: Body {
                pieces,
                total: self.total,
                state,
                ..Body::default()
            },
            since_ns: self.since_ns,
            anomalies: self.anomalies,
        }
    }
}
