//! What a hole may have held, and what that says of the requests that are out.
//!
//! Takes holes with their lengths, and what messages show of whose answer they are. Gives an end of the doubt as soon as
//! one number of requests can be out only. Never takes what servers and clients may do otherwise for proof, but for what
//! is said in `docs/decisions/holes.md`. Bounded by [`RECENT`].

use super::{Exchange, Fate, Open, Out, Response, Turns};

/// Least request and least answer: `GET / HTTP/1.1` and `HTTP/1.1 200` with two empty lines (RFC 9112, 3 and 4, where
/// the reason may be left out).
const LEAST: u64 = 16;

/// Empty lines between messages (RFC 9112, 2.2): a hole of so few bytes may hold nothing else.
const BLANK: u64 = 4;

/// `HTTP/1.1 100 Continue`, to which servers add no field.
const INTERIM: u64 = 25;

/// Requests whose traits are remembered: a byte of a word each.
const RECENT: u8 = 8;

/// Bytes in which messages may have been lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::exchange) struct Hole {
    /// How many; nobody knows where bytes were given up on.
    pub(in crate::exchange) bytes: Option<u64>,
    pub(in crate::exchange) began: Began,
}

/// Where a hole began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::exchange) enum Began {
    /// Between two messages.
    Between,
    /// In the head of a message that is to be counted.
    Head,
    /// Somewhere in a message that is counted, of which the end is not known.
    Within,
}

impl Hole {
    pub(in crate::exchange) const UNKNOWN: Self = Self {
        bytes: None,
        began: Began::Within,
    };

    /// A second one, with nothing understood in between.
    pub(in crate::exchange) fn and(self, next: Self) -> Self {
        Self {
            bytes: self
                .bytes
                .zip(next.bytes)
                .map(|(one, other)| one.saturating_add(other)),
            began: self.began,
        }
    }

    pub(super) fn add(hole: &mut Option<Self>, next: Self) {
        *hole = Some(hole.map_or(next, |hole| hole.and(next)));
    }

    /// Bytes behind it that were not understood either.
    pub(super) fn reached(&mut self, bytes: u64) {
        self.bytes = self.bytes.map(|length| length.saturating_add(bytes));
    }

    /// Requests that began in it: so many at least, and at most when none is much shorter than the `shortest` seen.
    fn requests(self, shortest: u64) -> (u64, Option<u64>) {
        let least = match self.began {
            Began::Between => u64::from(self.bytes.is_none_or(|bytes| bytes > BLANK)),
            Began::Head => 1,
            Began::Within => 0,
        };
        let each = much_shorter(shortest).max(LEAST);
        // A single one may be as short as it likes.
        let most = |bytes: u64| (bytes / each).max(least).max(u64::from(bytes >= LEAST));
        (least, self.bytes.map(most))
    }

    /// Final answers that began in it: one surely when interim ones would be shorter, and none much shorter than the
    /// `shortest` was seen.
    fn answers(self, shortest: u64, interim: Option<u64>) -> (u64, Option<u64>) {
        let surely = match self.began {
            Began::Between => interim.zip(self.bytes).is_some_and(|(interim, bytes)| {
                bytes > interim && bytes >= much_shorter(shortest).max(LEAST)
            }),
            Began::Head => true,
            Began::Within => false,
        };
        let least = u64::from(surely);
        (least, self.bytes.map(|bytes| (bytes / LEAST).max(least)))
    }
}

/// Three fifths: two messages of about the length of the one that was lost are told from it, and requests to which a
/// client adds fields later are not twice as long.
const fn much_shorter(length: u64) -> u64 {
    if length < u64::MAX / 3 {
        length * 3 / 5
    } else {
        length
    }
}

/// What a request says of its answer.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::exchange) struct Traits {
    /// The answer has no body, whatever it says (RFC 9110, 9.3.2).
    pub(in crate::exchange) head: bool,
    /// The server may say that it wants the body (RFC 9110, 10.1.1; RFC 2616, 8.2.3 without being asked).
    pub(in crate::exchange) may_continue: bool,
}

/// What is known of the messages of a connection.
#[derive(Debug)]
pub(super) struct Known {
    /// The shortest request, but for its target, and the shortest head of a final answer.
    shortest: [u64; 2],
    /// An interim answer that nothing in a request announces.
    hinted: bool,
    /// Traits of the last requests, a byte each, the last one lowest.
    recent: u64,
    /// Requests since the last hole in them, as far as they are remembered.
    since_hole: u8,
    /// The last answer announced a body, and nobody knows whether one follows.
    promised: bool,
}

impl Known {
    pub(super) const fn new() -> Self {
        Self {
            shortest: [u64::MAX; 2],
            hinted: false,
            recent: 0,
            since_hole: 0,
            promised: false,
        }
    }

    pub(super) fn request(&mut self, traits: Traits) {
        let byte = u64::from(traits.head) | u64::from(traits.may_continue) << 1;
        self.recent = self.recent << 8 | byte;
        self.since_hole = self.since_hole.saturating_add(1).min(RECENT);
    }

    pub(super) fn measure_request(&mut self, exchange: &Exchange) {
        let request = &exchange.request;
        let head = request
            .head
            .raw
            .len()
            .saturating_sub(request.target().expose().len());
        let [shortest, _] = &mut self.shortest;
        *shortest = (*shortest).min((head as u64).saturating_add(request.body.total));
    }

    pub(super) fn measure_answer(&mut self, response: &Response) {
        let [_, shortest] = &mut self.shortest;
        *shortest = (*shortest).min(response.head.raw.len() as u64);
    }

    pub(super) fn requests_lost(&mut self) {
        (self.since_hole, self.promised) = (0, false);
    }

    pub(super) fn answers_lost(&mut self) {
        self.promised = false;
    }

    /// Of the request so many from the last, which is 1.
    fn traits(&self, back: usize) -> Option<Traits> {
        let back = u8::try_from(back)
            .ok()
            .filter(|back| (1..=self.since_hole).contains(back))?;
        let byte = self.recent >> (8 * (back - 1));
        Some(Traits {
            head: byte & 1 != 0,
            may_continue: byte & 2 != 0,
        })
    }

    /// Bytes of interim answers to requests that are out, unless there may be any.
    fn interim(&self, out: Out) -> Option<u64> {
        let most = out.most().filter(|_| !self.hinted)?;
        (1..=most).try_fold(0, |sum: u64, back| {
            let traits = self.traits(back)?;
            Some(sum + if traits.may_continue { INTERIM } else { 0 })
        })
    }
}

impl Turns {
    /// A request came whole, or gets no further: what is missing before it can be judged.
    pub(super) fn judge_requests(&mut self) {
        let [shortest, _] = self.known.shortest;
        let Some(hole) = self.lost_requests.take() else {
            return;
        };
        let (least, most) = hole.requests(shortest);
        self.out.more(least, most);
        // It cannot be answered yet.
        self.out.at_least(1);
        self.resolve();
        if self.doubt && self.overlapped {
            self.give_up(Open::is_supposed);
        }
    }

    /// An answer begins, behind what was not understood.
    pub(super) fn judge_answers(&mut self) {
        let Some(hole) = self.lost_answers.take() else {
            return;
        };
        let [_, shortest] = self.known.shortest;
        let (least, most) = hole.answers(shortest, self.known.interim(self.out));
        self.out.fewer(least, most);
    }

    /// An interim answer: to whom it may be tells whom the next one is for.
    pub(in crate::exchange) fn interim(&mut self, status: u16, passed: u64) {
        if let Some(hole) = &mut self.lost_answers {
            hole.reached(passed);
        }
        self.judge_answers();
        if status != 100 {
            self.known.hinted = true;
        } else if self.doubt {
            let known = &self.known;
            self.out
                .refute(|out| known.traits(out).is_some_and(|traits| !traits.may_continue));
        }
    }

    /// The answer that began announces a body, which is there unless it answers HEAD.
    pub(in crate::exchange) fn promise_body(&mut self) {
        self.known.promised = self.doubt;
    }

    /// What was announced came, or did not.
    pub(in crate::exchange) fn body_came(&mut self, came: bool) {
        if std::mem::take(&mut self.known.promised) && self.doubt {
            let known = &self.known;
            self.out
                .refute(|out| known.traits(out + 1).is_some_and(|traits| traits.head == came));
            self.resolve();
        }
    }

    /// Ends the doubt when one number of requests can be out only.
    pub(super) fn resolve(&mut self) {
        let missing = self.lost_requests.is_some() || self.lost_answers.is_some() || self.hole;
        let is_mixed = || {
            let mut waiting = self.queue.iter().filter(|open| open.fate == Fate::Waiting);
            waiting.any(|open| !open.supposed)
        };
        let Some(out) = self.out.only().filter(|_| self.doubt && !missing && !is_mixed()) else {
            return;
        };
        let waiting = self.waiting();
        if out != waiting {
            self.give_up(|open| open.is_supposed() && (open.fate != Fate::Waiting || out < waiting));
        }
        for open in &mut self.queue {
            open.supposed = false;
        }
        self.owed = out.saturating_sub(waiting);
        self.least = u32::try_from(out).unwrap_or(u32::MAX);
        (self.doubt, self.proven) = (false, false);
    }

    /// Pairs were supposed of a client that takes turns, and this one does not, or an answer is missing.
    pub(super) fn contradict(&mut self) {
        let skipped = |open: &Open| open.is_supposed() && open.fate == Fate::Waiting;
        if self.queue.iter().any(|open| skipped(open)) {
            self.give_up(Open::is_supposed);
        }
    }
}
