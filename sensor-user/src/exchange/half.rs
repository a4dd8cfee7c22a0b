//! One direction of a conversation: a parser and the bytes it has not consumed.
//!
//! Takes chunks and holes. Gives what the parser makes of them, each with the bytes it was made of as a slice of the
//! chunk. Never copies, except what a message head leaves at the end of a chunk. Bounded by what the parser asks for.

use bytes::{Buf, Bytes, BytesMut};

use crate::protocol::{Anomaly, Resync, Span, Step, StreamParser};
use crate::telemetry::ledger::{Post, Tally as Books};

/// What may be kept of a record beside a part of it that is shorter still: a message of a kilobyte with its head is kept
/// as it came.
const SPARE: usize = 1024;

#[derive(Debug)]
pub(super) struct Half<P> {
    pub(super) parser: P,
    /// What is being parsed. Empty while `rest` is not.
    input: Withheld<Bytes>,
    /// What the parser could not use without more behind it.
    rest: Withheld<BytesMut>,
    /// Bytes of the allocation that `input` is a part of.
    record: usize,
    /// Length at which the parser wants to see `rest` again.
    wanted: usize,
    /// When the first byte not consumed yet came, and when the last one came.
    since_ns: u64,
    now_ns: u64,
    /// The next byte to be consumed is the first of its chunk, but for an empty line.
    at_front: bool,
    /// The message last taken, or what was skipped, began so.
    pub(super) began_chunk: bool,
    /// Bytes passed over since it was last asked for.
    passed: u64,
    /// What became of the bytes since it was last asked for.
    pub(super) fates: Fates,
}

/// What became of bytes that a parser was shown.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Fates {
    /// In messages.
    pub(super) messages: u64,
    /// Of those, in heads.
    pub(super) heads: u64,
    /// Between messages, or not understood behind a hole.
    pub(super) skipped: u64,
    /// Broke the protocol.
    pub(super) rejected: u64,
    /// Waited for a rest that is missing.
    pub(super) cut: u64,
}

impl Fates {
    /// Enters them, what was skipped under the post given; gives the number of bytes.
    pub(super) fn enter(self, books: &Books, skipped: Post) -> u64 {
        books.add(Post::HeadBytes, self.heads);
        books.add(Post::BodyBytes, self.messages.saturating_sub(self.heads));
        books.add(skipped, self.skipped);
        books.add(Post::RejectedBytes, self.rejected);
        books.add(Post::CutBytes, self.cut);
        self.messages + self.skipped + self.rejected + self.cut
    }
}

/// Bytes of an application, which never print.
#[derive(Default)]
struct Withheld<B>(B);

impl<B: AsRef<[u8]>> std::fmt::Debug for Withheld<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.0.as_ref().len())
    }
}

/// What the parser made of the front of the input.
pub(super) enum Taken<M> {
    Message { message: M, raw: Bytes, since_ns: u64 },
    Rejected(Anomaly),
}

impl<P: StreamParser> Half<P> {
    pub(super) fn new(parser: P) -> Self {
        Self {
            parser,
            input: Withheld::default(),
            rest: Withheld::default(),
            record: 0,
            wanted: 0,
            since_ns: 0,
            now_ns: 0,
            at_front: true,
            began_chunk: true,
            passed: 0,
            fates: Fates::default(),
        }
    }

    /// Takes the next bytes. [`Self::next`] is to be called until it gives nothing.
    pub(super) fn push(&mut self, chunk: Bytes, time_ns: u64) {
        debug_assert!(self.input.0.is_empty());
        self.now_ns = time_ns;
        if self.rest.0.is_empty() {
            self.since_ns = time_ns;
            self.at_front = true;
            self.record = chunk.len();
            self.input.0 = chunk;
        } else {
            self.rest.0.extend_from_slice(&chunk);
        }
    }

    /// The next thing the parser finds.
    pub(super) fn next(&mut self) -> Option<Taken<P::Message>> {
        loop {
            let (consumed, message) = match self.step()? {
                Step::Advance { consumed, message } => (consumed.get(), message),
                Step::Reject(anomaly) => {
                    self.fates.rejected += self.input.0.len() as u64;
                    self.input.0.clear();
                    return Some(Taken::Rejected(anomaly));
                }
                Step::NeedMore { .. } => return None,
            };
            let since_ns = std::mem::replace(&mut self.since_ns, self.now_ns);
            let consumed = consumed.min(self.input.0.len());
            // RFC 9112, 2.2: some clients send a line end too many.
            let is_blank = message.is_none() && consumed <= 2;
            self.began_chunk = self.at_front;
            self.at_front &= is_blank;
            let Some(message) = message else {
                self.fates.skipped += consumed as u64;
                self.passed += consumed as u64;
                self.input.0.advance(consumed);
                continue;
            };
            self.fates.messages += consumed as u64;
            let raw = self.input.0.split_to(consumed);
            return Some(Taken::Message {
                message,
                raw,
                since_ns,
            });
        }
    }

    /// Shows the parser what there is; keeps what it cannot use yet.
    fn step(&mut self) -> Option<Step<P::Message>> {
        if self.rest.0.is_empty() {
            if self.input.0.is_empty() {
                return None;
            }
            let step = self.parser.step(&self.input.0);
            if let Step::NeedMore { at_least } = step {
                self.wanted = at_least.get();
                self.rest.0.extend_from_slice(&self.input.0);
                self.input.0.clear();
            }
            return Some(step);
        }
        if self.rest.0.len() < self.wanted {
            return None;
        }
        let step = self.parser.step(&self.rest.0);
        if let Step::NeedMore { at_least } = step {
            self.wanted = at_least.get();
        } else {
            self.record = self.rest.0.capacity();
            self.input.0 = std::mem::take(&mut self.rest.0).freeze();
        }
        Some(step)
    }

    /// Bytes passed over before what was just taken.
    pub(super) fn take_passed(&mut self) -> u64 {
        std::mem::take(&mut self.passed)
    }

    /// Whether there are any.
    pub(super) fn has_passed(&self) -> bool {
        self.passed > 0
    }

    /// A part of what was just taken, to be kept: by itself when it is little of its record, which would be kept with it.
    pub(super) fn keep(&self, raw: &Bytes, part: Span) -> Bytes {
        self.keep_all(raw.slice(part.range()))
    }

    /// All of what was just taken.
    pub(super) fn keep_all(&self, part: Bytes) -> Bytes {
        if self.record.saturating_sub(part.len()) > part.len().max(SPARE) {
            Bytes::copy_from_slice(&part)
        } else {
            part
        }
    }

    /// Bytes are missing, and with them the sense of those that wait.
    pub(super) fn gap(&mut self, missing: u64) -> Resync<P::Message> {
        let spoilt = self.rest.0.len() as u64;
        self.fates.cut += spoilt;
        self.rest.0.clear();
        self.parser.on_gap(missing.saturating_add(spoilt))
    }

    /// The parser's answer changed without new bytes.
    pub(super) fn retry(&mut self) {
        self.wanted = 0;
    }

    /// What was not consumed.
    pub(super) fn unread(&self) -> &[u8] {
        if self.rest.0.is_empty() {
            &self.input.0
        } else {
            &self.rest.0
        }
    }

    /// Takes what was not consumed, and when the first of it came: another protocol's.
    pub(super) fn take_unread(&mut self) -> (Bytes, u64) {
        let bytes = if self.rest.0.is_empty() {
            std::mem::take(&mut self.input.0)
        } else {
            std::mem::take(&mut self.rest.0).freeze()
        };
        (bytes, self.since_ns)
    }

    /// Bytes that wait for more.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.rest.0.len()
    }
}
