//! HTTP/1.0 and HTTP/1.1 (RFC 9112), requests and responses.
//!
//! Takes the bytes of one direction. Gives heads with spans of their parts, pieces of bodies without transfer
//! coding, trailers, and ends. Never guesses: what peers may read in two ways is read in one, and marked by an
//! [`Anomaly`]. Bounded by [`Limits`], [`MAX_HEADERS`] and [`CHUNK_LINE`].
//!
//! A head that `httparse` takes is taken as it says; any other is read by `odd.rs`. How long the body is stands in
//! `framing.rs`. What is left open besides, and how it is read:
//!
//! | seen | anomaly | read as |
//! | --- | --- | --- |
//! | a line that ends in LF alone | `BareLf` | a line end, everywhere |
//! | CR without LF | `BareCr` | a space in a head, a part of a chunk extension |
//! | a line that begins with white space, after a field | `ObsoleteFolding` | the value goes on; the line end stays in it |
//! | the same before the first field | `SpaceBeforeField` | the line is skipped |
//! | white space before the colon | `SpaceBeforeColon` | not part of the name |
//! | a name that is empty or no token; a control character in a value | `BadFieldName`, `BadFieldValue` | kept as it is |
//! | NUL in a head | `NulByte` | a byte like others |
//! | a line without colon | `FieldWithoutColon` | skipped |
//! | start line with tabs, several spaces, spaces at its end or in the target | `OddStartLine` | first word, last word, and what is between |
//! | another version than 1.0 and 1.1 | `UnknownVersion` | below 1.1 as 1.0, else as 1.1 |
//! | `GET /target` without version | `MissingVersion` | a head of HTTP/1.0: fields follow, to the empty line |
//! | target in none of the four forms, or with other than visible ASCII | `BadTarget` | kept as it is |
//! | a message behind one with `Connection: close`, or of HTTP/1.0 without `keep-alive` | `DataAfterClose` | a message like others |
//! | more fields than [`MAX_HEADERS`] | `TooManyHeaders` | the first ones are given, all count for the framing |
//! | a head, trailer section or chunk line beyond the limit | `HeadTooLong`, `ChunkLineTooLong` | lost, to the next start line |
//! | chunk size with sign, `0x`, space before it, or none | `BadChunkSize` | body cut; on to the next start line |
//! | chunk size above 63 bits | `ChunkTooBig` | the same |
//! | data that goes on where the chunk ended | `BadChunk` | the same |
//! | white space after the size | `SpaceAfterChunkSize` | skipped |
//! | an extension that is none | `BadChunkExtension` | skipped, to the LF |
//! | trailer that frames, routes or authorises | `ForbiddenTrailer` | kept among the trailers, without effect |
//! | a request line where the body was to come, see [`Parser::refused`] | `BodyNotSent` | a request; the body is empty |
//! | anything else | `MalformedHead` | lost, to the next start line |

mod body;
mod framing;
mod head;
mod odd;
pub(crate) mod start;
mod target;

use std::num::NonZeroUsize;

use smallvec::SmallVec;

use super::{Anomaly, Resync, Span, Step, StreamParser};
use body::{Part, Place};
use head::Kind;
pub use head::{Answering, Requests, Responses};
use start::Start;

/// Header fields of one message. Common servers stop at 100 (Apache httpd's `LimitRequestFields`, Tomcat); beyond
/// that a message is an attack or a mistake.
pub const MAX_HEADERS: usize = 128;

/// Bytes of a chunk-size line with its extensions; Go's net/http allows as many.
pub const CHUNK_LINE: usize = 4096;

/// Bounds of a parser.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one head, and of one trailer section. Below 4 GiB, so that spans can name them.
    pub head_bytes: usize,
}

/// Header fields in order: name and value, trimmed. Not inline: a head is moved a dozen times on its way.
pub type Headers = Vec<(Span, Span)>;

/// Anomalies of one head.
pub type Anomalies = SmallVec<[Anomaly; 2]>;

/// What a parser gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<H> {
    /// A message begins; the step consumed its head, and spans point into it.
    Head(H),
    /// A part of the body.
    Body {
        /// Where, in what the step consumed.
        piece: Span,
        /// The message ends here.
        last: bool,
    },
    /// The message ends.
    End {
        /// Bytes of its body that fell into the hole that ended it.
        lost: u64,
    },
    /// The message ends, with these fields in what the step consumed (RFC 9110, 6.5).
    Trailers(Box<Trailers>),
    /// Between two pieces of the body, or at its end, stood something odd. The message goes on.
    Odd {
        /// What.
        anomalies: Anomalies,
        /// The message ends here.
        last: bool,
    },
    /// The message goes on, but where it ends is lost.
    Cut,
}

/// Fields behind a body. There are few, so they are not in the way of other messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trailers {
    /// Fields.
    pub headers: Headers,
    /// What is odd about them.
    pub anomalies: Anomalies,
}

/// What follows a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    /// Nothing: the message is complete.
    Nothing,
    /// A body.
    Body,
    /// A body whose end cannot be known: it is skipped and counts as cut.
    Cut,
    /// No HTTP any more in this direction: the protocol was upgraded, or a tunnel begins.
    Tunnel,
}

/// Front of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHead {
    /// Method.
    pub method: Span,
    /// Target as sent.
    pub target: Span,
    /// HTTP version: 10 or 11.
    pub version: u8,
    /// Fields.
    pub headers: Headers,
    /// What follows.
    pub rest: Rest,
    /// It asks for an upgrade or a tunnel: once it is complete the parser waits for the answer, see
    /// [`Parser::resolve`].
    pub asks_for_tunnel: bool,
    /// Departures from the protocol.
    pub anomalies: Anomalies,
}

/// Front of a response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResponseHead {
    /// Status code.
    pub status: u16,
    /// HTTP version: 10 or 11.
    pub version: u8,
    /// Fields.
    pub headers: Headers,
    /// What follows.
    pub rest: Rest,
    /// Departures from the protocol.
    pub anomalies: Anomalies,
}

impl ResponseHead {
    /// Whether the final response is still to come (RFC 9110, 15.2). 101 is final: HTTP ends with it.
    pub const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// Parser of the client's direction.
pub type RequestParser = Parser<Requests>;
/// Parser of the server's direction.
pub type ResponseParser = Parser<Responses>;

/// One direction of an HTTP/1 connection.
#[derive(Debug)]
pub struct Parser<K> {
    kind: K,
    limits: Limits,
    state: State,
    /// Bytes at the front of the input known not to hold the end of the head, or of the trailer section.
    scanned: usize,
    /// While searching: the input begins a line.
    line_start: bool,
    /// When the message under way ends, wait for [`Parser::resolve`].
    wait_after: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// A message begins here.
    Start,
    /// Inside a body.
    Body(Place),
    /// The place is lost: look for a message.
    Search,
    /// A request asked for a tunnel and the answer is not known; or the answer is, and the request is not complete.
    Waiting,
    /// No HTTP any more.
    Tunnel,
}

impl<K: Kind> Parser<K> {
    /// A parser at the start of a message.
    pub fn new(limits: Limits) -> Self {
        Self {
            kind: K::default(),
            limits,
            state: State::Start,
            scanned: 0,
            line_start: false,
            wait_after: false,
        }
    }

    /// A parser somewhere in the middle, which begins by looking for a message.
    pub fn searching(limits: Limits) -> Self {
        Self {
            state: State::Search,
            ..Self::new(limits)
        }
    }

    /// Whether the place is lost and no message was found yet.
    pub fn is_searching(&self) -> bool {
        self.state == State::Search
    }

    /// Whether a message may begin here.
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Start | State::Search)
    }

    /// Whether everything to come is no HTTP.
    pub fn is_tunnel(&self) -> bool {
        self.state == State::Tunnel
    }

    /// Everything to come is no HTTP.
    pub fn tunnel(&mut self) {
        self.state = State::Tunnel;
    }

    fn head(&mut self, input: &[u8]) -> Step<Message<K::Head>> {
        // RFC 9112, 2.2: empty lines before a message are ignored.
        let blank = input
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        if let Some(consumed) = NonZeroUsize::new(blank) {
            return Step::Advance {
                consumed,
                message: None,
            };
        }
        if !K::may_begin(input) {
            return Step::Reject(Anomaly::MalformedHead);
        }
        // A head that came in pieces is parsed once, when its end is in sight.
        if self.scanned > 0 && head::end(input, self.scanned, self.limits.head_bytes).is_none() {
            return self.unfinished_head(input.len());
        }
        if let Some((len, head, next)) = self.kind.parse(input) {
            return self.accept(len, head, next);
        }
        // Judged only with the whole head in sight, so that splits do not matter.
        let Some(end) = head::end(input, 0, self.limits.head_bytes) else {
            return self.unfinished_head(input.len());
        };
        match self.kind.parse_odd(input.get(..end).unwrap_or_default()) {
            Ok((len, head, next)) => self.accept(len, head, next),
            Err(anomaly) => Step::Reject(anomaly),
        }
    }

    fn accept(&mut self, len: NonZeroUsize, head: K::Head, next: head::Next) -> Step<Message<K::Head>> {
        if len.get() > self.limits.head_bytes {
            return Step::Reject(Anomaly::HeadTooLong);
        }
        self.scanned = 0;
        self.wait_after = next.wait_after;
        match next.rest {
            head::After::Nothing => self.end_message(),
            head::After::Body(place) => self.state = State::Body(place),
            head::After::Unknowable => self.state = State::Search,
            head::After::Tunnel => self.state = State::Tunnel,
        }
        Step::Advance {
            consumed: len,
            message: Some(Message::Head(head)),
        }
    }

    fn unfinished_head(&mut self, len: usize) -> Step<Message<K::Head>> {
        if len >= self.limits.head_bytes {
            return Step::Reject(Anomaly::HeadTooLong);
        }
        self.scanned = len;
        need(len)
    }

    fn end_message(&mut self) {
        let waits = std::mem::take(&mut self.wait_after);
        self.state = if waits { State::Waiting } else { State::Start };
    }

    fn search(&mut self, input: &[u8]) -> Step<Message<K::Head>> {
        let starts = if self.line_start {
            K::starts(input)
        } else {
            K::starts_anywhere(input)
        };
        match starts {
            Start::Yes => {
                self.state = State::Start;
                self.line_start = false;
                return self.head(input);
            }
            Start::NeedMore(at_least) => return Step::NeedMore { at_least },
            Start::No => {}
        }
        let candidate = memchr::memchr_iter(b'\n', input)
            .map(|newline| newline + 1)
            .find(|next| {
                input
                    .get(*next..)
                    .is_some_and(|line| !line.is_empty() && K::starts(line) != Start::No)
            });
        self.line_start = candidate.is_some() || input.ends_with(b"\n");
        skip(candidate.unwrap_or(input.len()))
    }

    fn body(&mut self, place: Place, input: &[u8]) -> Step<Message<K::Head>> {
        if self.kind.doubts_body() {
            match K::starts(input) {
                Start::Yes => {
                    self.kind.message_instead();
                    self.state = State::Start;
                    return self.head(input);
                }
                Start::NeedMore(at_least) => return Step::NeedMore { at_least },
                Start::No => self.kind.trust_body(),
            }
        }
        match body::step(place, input, self.scanned, self.limits.head_bytes) {
            Ok(body::Progress {
                consumed,
                place,
                part,
            }) => {
                let last = place.is_none();
                self.scanned = 0;
                match place {
                    Some(place) => self.state = State::Body(place),
                    None => self.end_message(),
                }
                let message = match part {
                    Part::Piece(piece) => Some(Message::Body { piece, last }),
                    Part::Trailers(trailers) => Some(Message::Trailers(trailers)),
                    Part::Line(anomalies) if anomalies.is_empty() => last.then_some(Message::End { lost: 0 }),
                    Part::Line(anomalies) => Some(Message::Odd { anomalies, last }),
                };
                Step::Advance { consumed, message }
            }
            Err(body::Stop::NeedMore) => {
                self.scanned = input.len();
                need(input.len())
            }
            Err(body::Stop::Broken(anomaly)) => Step::Reject(anomaly),
        }
    }
}

impl RequestParser {
    /// A request asked for an upgrade or a tunnel, and this is the answer. Without one the parser asks for more
    /// bytes for ever, and the caller decides how many it keeps.
    pub fn resolve(&mut self, tunnel: bool) {
        self.wait_after = false;
        if tunnel {
            self.state = State::Tunnel;
        } else if self.state == State::Waiting {
            self.state = State::Start;
        }
    }

    /// Whether the parser waits for [`Self::resolve`].
    pub fn is_waiting(&self) -> bool {
        self.state == State::Waiting
    }

    /// Whether it will, once the request under way is complete.
    pub fn will_wait(&self) -> bool {
        self.wait_after && matches!(self.state, State::Body(_))
    }

    /// The request under way asked for leave to send its body (`Expect: 100-continue`), and was answered without any.
    /// The client may send it all the same, or its next request in its place (RFC 9110, 10.1.1): the bytes tell. To be
    /// called when nothing of the body came.
    pub fn refused(&mut self) {
        if let State::Body(Place::Fixed(_) | Place::ChunkLine { first: true }) = self.state {
            self.kind.doubt_body();
        }
    }
}

impl ResponseParser {
    /// Says which request the next response answers, as far as it is known. To be called before each head.
    pub fn answering(&mut self, request: Answering) {
        self.kind.answering(request);
    }

    /// What follows is another protocol's, which begins when the request is complete: asks for more bytes for ever, as
    /// [`RequestParser::resolve`] says.
    pub fn wait(&mut self) {
        self.state = State::Waiting;
    }
}

impl<K: Kind> StreamParser for Parser<K> {
    type Message = Message<K::Head>;

    fn step(&mut self, input: &[u8]) -> Step<Self::Message> {
        if input.is_empty() {
            return need(0);
        }
        match self.state {
            State::Start => self.head(input),
            State::Body(place) => self.body(place, input),
            State::Search => self.search(input),
            State::Waiting => need(input.len()),
            State::Tunnel => skip(input.len()),
        }
    }

    fn on_gap(&mut self, missing: u64) -> Resync<Self::Message> {
        self.scanned = 0;
        self.line_start = false;
        let elsewhere = self.kind.may_be_elsewhere();
        self.kind.lost();
        let place = match self.state {
            State::Start | State::Search => {
                self.state = State::Search;
                return Resync::Searching(None);
            }
            State::Waiting | State::Tunnel => return Resync::Exact(None),
            State::Body(_) if elsewhere => {
                self.state = State::Search;
                return Resync::Searching(Some(Message::Cut));
            }
            State::Body(place) => place,
        };
        match body::skip(place, missing) {
            body::Skip::Inside(place) => {
                self.state = State::Body(place);
                Resync::Exact(None)
            }
            body::Skip::ToEnd => {
                self.end_message();
                Resync::Exact(Some(Message::End { lost: missing }))
            }
            body::Skip::PastEnd { lost } => {
                self.state = State::Search;
                Resync::Searching(Some(Message::End { lost }))
            }
            body::Skip::Lost => {
                self.state = State::Search;
                Resync::Searching(Some(Message::Cut))
            }
        }
    }

    fn on_end(&mut self) -> Option<Self::Message> {
        self.scanned = 0;
        let state = std::mem::replace(&mut self.state, State::Search);
        match state {
            State::Body(Place::UntilClose) => Some(Message::End { lost: 0 }),
            // None was sent.
            State::Body(_) if self.kind.may_be_elsewhere() => Some(Message::End { lost: 0 }),
            State::Body(_) => Some(Message::Cut),
            State::Start | State::Search | State::Waiting | State::Tunnel => None,
        }
    }
}

fn need<M>(have: usize) -> Step<M> {
    Step::NeedMore {
        at_least: NonZeroUsize::MIN.saturating_add(have),
    }
}

fn skip<M>(count: usize) -> Step<M> {
    NonZeroUsize::new(count).map_or_else(
        || need(0),
        |consumed| Step::Advance {
            consumed,
            message: None,
        },
    )
}

#[cfg(test)]
mod tests;
