//! Which response answers which request (RFC 9112, 9.3.2: in order).
//!
//! Takes heads, ends and holes of both directions in the order they were seen. Gives exchanges. Never pairs across a
//! hole unless one pairing only is possible: a wrong answer is worse than none, so requests whose answer cannot be told
//! become [`Outcome::Lost`]. Bounded by `Limits::pending` and, of answers that wait for proof, [`HELD`].
//!
//! How many requests are out is known to be between `least` and `most`; without a hole they are the same. Behind a hole
//! that may hide messages pairs are in doubt: supposed as if the client took turns, and held. They are given when it is
//! proven that nothing is out any more, for then the last answer belongs to the last request, the one before it to the
//! one before, as far back as the hole:
//!
//! - every answer that could be out has come (`most` is 0), or
//! - nothing moved for a while, and every request had its answer, or
//! - the client, which took [`CERTAIN_TURNS`] turns in full view and never sent a request before it had the answer to
//!   the last, sends its next request.
//!
//! Holes are noticed late, when the next bytes of their direction come. So the proof is a request with nothing missing
//! before it, and then an answer with nothing missing before it. What contradicts a supposed pair (an answer too many,
//! another hole, the end) makes it lost.

use std::collections::VecDeque;

use super::{Exchange, Outcome, Response};
use crate::protocol::http1::Answering;
use lost::Known;
pub(super) use lost::{Began, Hole, Traits};
use out::Out;

mod lost;
mod out;
mod queue;

/// Turns of one request and one answer in full view, after which a client that never did otherwise is believed to
/// take turns. Clients that pipeline do so from the first request on, or from the second, when the first answer was
/// one of HTTP/1.1; eight leaves room for one that is slow at first.
const CERTAIN_TURNS: u8 = 8;

/// Supposed pairs that are held; of more the oldest is lost. Between two pauses a client seldom asks more often, and
/// each may hold the front of two bodies.
const HELD: usize = 16;

/// What is known when a request begins.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Arrival {
    /// Nothing moved for so long that no answer is under way, and nothing that came after that is missing.
    pub(super) quiet: bool,
    /// The chunk that its first byte came in began with another request: it was sent without waiting.
    pub(super) shares_chunk: bool,
    /// Bytes before it that were not understood.
    pub(super) passed: u64,
    /// What it says of its answer.
    pub(super) traits: Traits,
}

/// Bytes of the requests that wait on one connection, beside the one under way: as many as of the streams of HTTP/2.
const MAX_BYTES: usize = 4 * 1024 * 1024;

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the connection, and any of them may hold beside any other"
)]
#[derive(Debug)]
pub(super) struct Turns {
    /// In boxes, because a queue keeps its memory and most are empty.
    queue: VecDeque<Box<Open>>,
    limit: usize,
    /// The response under way.
    current: Current,
    /// A request began before the answer to an earlier one was complete.
    overlapped: bool,
    /// Turns taken in full view.
    taken: u8,
    /// A request was seen.
    begun: bool,
    /// Requests were lost since the last one seen.
    lost: bool,
    /// Answers since the last request.
    answers: u32,
    /// Of those, or lost, to requests that were not seen.
    orphans: u32,
    /// The last request began before the answer under way ended, unless its end is missing.
    early: bool,
    /// Requests that are out, at least if the client takes turns.
    least: u32,
    /// Requests that may be out.
    out: Out,
    /// Answers to come first, to requests that were given up or not seen.
    owed: usize,
    known: Known,
    /// Holes, until it is known how far they reach.
    lost_requests: Option<Hole>,
    lost_answers: Option<Hole>,
    /// Which request the next answer belongs to is not known.
    doubt: bool,
    /// The pairs that are supposed are right, unless the next answer comes behind a hole.
    proven: bool,
    /// Nothing was out, and no answer came since: a hole that is noticed now may lie before that.
    fresh: bool,
    /// A hole in the answers, and no answer since.
    hole: bool,
    /// Responses without a request, for the accounts.
    pub(super) unpaired: u64,
}

/// A request that is not done with.
#[derive(Debug)]
struct Open {
    exchange: Exchange,
    /// More of the request is to come.
    incomplete: bool,
    fate: Fate,
    answering: Answering,
    /// The pair is to be proven.
    supposed: bool,
    /// Anomalies of the request alone.
    anomalies: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Waiting,
    Answering,
    Answered,
    GivenUp,
}

impl Open {
    fn is_supposed(&self) -> bool {
        self.supposed && self.fate != Fate::GivenUp
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Current {
    None,
    /// Of the first request that is being answered.
    Answer,
    /// Of a request that was not seen or was given up.
    Orphan,
}

impl Turns {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            limit: limit.max(1),
            current: Current::None,
            overlapped: false,
            taken: 0,
            begun: false,
            lost: false,
            answers: 0,
            orphans: 0,
            early: false,
            least: 0,
            out: Out::NONE,
            owed: 0,
            known: Known::new(),
            lost_requests: None,
            lost_answers: None,
            doubt: false,
            proven: false,
            fresh: false,
            hole: false,
            unpaired: 0,
        }
    }

    /// A request begins.
    pub(super) fn request(
        &mut self,
        exchange: Exchange,
        answering: Answering,
        arrival: Arrival,
        out: &mut Vec<Exchange>,
    ) {
        self.close_request(out);
        self.causes(&arrival);
        self.weigh(arrival);
        if self.doubt {
            self.contradict();
        }
        // What comes behind the head of an answer to HEAD is not known to be none when the pair is in doubt.
        self.early = self
            .queue
            .iter()
            .any(|open| open.fate == Fate::Answering && open.answering != Answering::Head);
        (self.begun, self.lost, self.answers, self.orphans) = (true, false, 0, 0);
        self.least = self.least.saturating_add(1);
        self.out.request();
        self.known.request(arrival.traits);
        let fate = if self.doubt && self.overlapped && self.lost_requests.is_none() {
            Fate::GivenUp
        } else {
            Fate::Waiting
        };
        self.queue.push_back(Box::new(Open {
            anomalies: exchange.anomalies.len(),
            exchange,
            incomplete: true,
            fate,
            answering,
            supposed: self.doubt,
        }));
        self.make_room(out);
    }

    /// The request under way.
    pub(super) fn request_mut(&mut self) -> Option<&mut Exchange> {
        self.queue
            .back_mut()
            .filter(|open| open.incomplete)
            .map(|open| &mut open.exchange)
    }

    /// The request under way is complete, or will get no further.
    pub(super) fn close_request(&mut self, out: &mut Vec<Exchange>) {
        if let Some(open) = self.queue.back_mut().filter(|open| open.incomplete) {
            open.incomplete = false;
            self.known.measure_request(&open.exchange);
            self.judge_requests();
            self.settle(out);
        }
    }

    /// A request begins: the answers that were seen are to those before it.
    fn causes(&mut self, arrival: &Arrival) {
        if let Some(hole) = &mut self.lost_requests {
            hole.reached(arrival.passed);
        } else if self.begun {
            self.out.at_least(0);
            self.resolve();
        } else {
            self.out = Out::NONE;
        }
    }

    /// Requests may have been lost here: surely, unless the hole began inside one.
    pub(super) fn request_hole(&mut self, inside: bool, hole: Hole, out: &mut Vec<Exchange>) {
        Hole::add(&mut self.lost_requests, hole);
        self.known.requests_lost();
        // A second hole before the next request may lie in the same one, and the answer may have been seen.
        let answered = self.orphans > 0 || (self.doubt && self.answers > 0);
        let surely = !inside && !self.lost && !answered;
        self.least = self.least.saturating_add(u32::from(surely));
        (self.lost, self.doubt, self.proven) = (true, true, false);
        self.give_up(Open::is_supposed);
        self.settle(out);
    }

    /// What is known of the request that the next response answers.
    pub(super) fn next(&self) -> Answering {
        let waiting = self.queue.iter().find(|open| open.fate == Fate::Waiting);
        waiting
            .filter(|open| !open.supposed && self.owed == 0)
            .map_or(Answering::Unknown, |open| open.answering)
    }

    /// Whether any request waits for its answer.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting() > 0
    }

    /// The request that is answered next, or is being answered.
    pub(super) fn answered_mut(&mut self) -> Option<&mut Exchange> {
        let mut open = self.queue.iter_mut();
        open.find(|open| matches!(open.fate, Fate::Answering | Fate::Waiting))
            .map(|open| &mut open.exchange)
    }

    /// A final response begins.
    pub(super) fn response(&mut self, response: Response, passed: u64, out: &mut Vec<Exchange>) {
        self.body_came(false);
        self.close_response(out);
        self.known.measure_answer(&response);
        if let Some(open) = self.queue.back().filter(|open| open.incomplete) {
            self.known.measure_request(&open.exchange);
            self.judge_requests();
        }
        if self.hole {
            // Up to here nothing was understood: the hole may as well have been right before this answer.
            self.supposed_lost(true, out);
            self.hole = false;
        }
        if let Some(hole) = &mut self.lost_answers {
            hole.reached(passed);
        }
        self.judge_answers();
        self.fresh = false;
        self.resolve();
        self.answers = self.answers.saturating_add(1);
        if std::mem::take(&mut self.proven) {
            self.confirm();
        }
        if self.least > 1 {
            self.overlap();
        }
        self.least = self.least.saturating_sub(1);
        // An answer to nothing: a request is missing, unless the connection was joined here.
        self.doubt |= self.begun && self.out.most() == Some(0);
        self.out.answer();
        let is_owed = self.owed > 0;
        self.owed = self.owed.saturating_sub(1);
        let mut waiting = self.queue.iter_mut().filter(|open| open.fate == Fate::Waiting);
        if let Some(open) = waiting.next().filter(|_| !is_owed) {
            open.anomalies = open.exchange.anomalies.len();
            open.exchange.outcome = Outcome::Answered(Box::new(response));
            open.fate = Fate::Answering;
            self.current = Current::Answer;
        } else {
            self.unpaired += 1;
            self.current = Current::Orphan;
            if !is_owed {
                self.orphans = self.orphans.saturating_add(1);
                // One answer too many: what was supposed of those before it is wrong, or cannot be told.
                self.give_up(Open::is_supposed);
            }
        }
        self.resolve();
        self.settle(out);
    }

    /// The exchange of the response under way, when it is paired.
    pub(super) fn current_mut(&mut self) -> Option<&mut Exchange> {
        if self.current != Current::Answer {
            return None;
        }
        let open = self.queue.iter_mut().find(|open| open.fate == Fate::Answering)?;
        Some(&mut open.exchange)
    }

    /// Whether the response under way answers the request under way.
    pub(super) fn is_early(&self) -> bool {
        let last = self.queue.back();
        self.current == Current::Answer
            && last.is_some_and(|open| open.incomplete && open.fate == Fate::Answering)
    }

    /// Whether the response under way is paired, and that is known to be right.
    pub(super) fn is_certain(&self) -> bool {
        let answering = self.queue.iter().find(|open| open.fate == Fate::Answering);
        self.current == Current::Answer && answering.is_some_and(|open| !open.supposed)
    }

    /// The response under way, when it is paired.
    pub(super) fn response_mut(&mut self) -> Option<&mut Response> {
        match &mut self.current_mut()?.outcome {
            Outcome::Answered(response) => Some(response),
            Outcome::Unanswered | Outcome::Lost => None,
        }
    }

    /// The request that waits for its answer, when it is complete and no other waits.
    pub(super) fn only_waiting(&self) -> Option<&Exchange> {
        let mut waiting = self.queue.iter().filter(|open| open.fate == Fate::Waiting);
        let open = waiting.next().filter(|open| !open.incomplete && !open.supposed)?;
        (waiting.next().is_none() && self.owed == 0).then_some(&open.exchange)
    }

    /// Takes the exchange of [`Self::only_waiting`]: it is answered elsewhere.
    pub(super) fn take_waiting(&mut self) -> Option<Exchange> {
        self.take(Fate::Waiting)
    }

    /// Takes the exchange of the response under way: it is answered elsewhere.
    pub(super) fn take_current(&mut self) -> Option<Exchange> {
        match std::mem::replace(&mut self.current, Current::None) {
            Current::Answer => self.take(Fate::Answering),
            Current::None | Current::Orphan => None,
        }
    }

    fn take(&mut self, fate: Fate) -> Option<Exchange> {
        let at = self.queue.iter().position(|open| open.fate == fate)?;
        self.queue.remove(at).map(|open| open.exchange)
    }

    /// The response under way is complete, or will get no further.
    pub(super) fn close_response(&mut self, out: &mut Vec<Exchange>) {
        if std::mem::replace(&mut self.current, Current::None) != Current::Answer {
            return;
        }
        if let Some(open) = self.queue.iter_mut().find(|open| open.fate == Fate::Answering) {
            open.fate = Fate::Answered;
        }
        if std::mem::take(&mut self.early) {
            self.overlap();
        }
        self.settle(out);
    }

    /// Bytes of the responses are missing: the end of the one under way may have come before the last request.
    pub(super) fn excuse(&mut self) {
        self.early = false;
        self.known.answers_lost();
    }

    /// Responses may have been lost here: surely the next one's beginning, unless the hole began inside one.
    pub(super) fn response_hole(&mut self, inside: bool, hole: Hole, out: &mut Vec<Exchange>) {
        let began = if self.fresh { Began::Within } else { hole.began };
        Hole::add(&mut self.lost_answers, Hole { began, ..hole });
        self.known.answers_lost();
        self.supposed_lost(inside, out);
    }

    fn supposed_lost(&mut self, inside: bool, out: &mut Vec<Exchange>) {
        // What was proven is so of pairs before the hole, which go, and not of those that are supposed from here on.
        (self.hole, self.early, self.proven) = (true, false, false);
        self.give_up(|open| open.is_supposed() && open.fate != Fate::Waiting);
        let out_before = std::mem::replace(&mut self.least, 0);
        let waiting = self.waiting();
        if waiting == 0 && self.owed == 0 {
            self.orphans += u32::from(!inside);
            return self.settle(out);
        }
        (self.doubt, self.owed) = (true, 0);
        // The hole is noticed when the next answer comes, after the next request of one that takes turns: that answer
        // may be the last request's.
        let keep_last = !self.overlapped && !self.lost && (inside || out_before > 1);
        let gone = waiting.saturating_sub(usize::from(keep_last));
        let open = self.queue.iter_mut().filter(|open| open.fate == Fate::Waiting);
        for (index, open) in open.enumerate() {
            if index < gone {
                open.fate = Fate::GivenUp;
            } else {
                open.supposed = true;
            }
        }
        self.settle(out);
    }

    /// The connection goes on in another protocol, so that nothing is out.
    pub(super) fn turned(&mut self, out: &mut Vec<Exchange>) {
        self.confirm();
        self.settle(out);
    }

    /// The connection ended. Nobody knows what is missing before that.
    pub(super) fn finish(&mut self, out: &mut Vec<Exchange>) {
        self.close_request(out);
        self.close_response(out);
        let lost = self.hole || self.doubt;
        self.give_up(|open| open.is_supposed() || (lost && open.fate == Fate::Waiting));
        for open in self.queue.iter_mut().filter(|open| open.fate == Fate::Waiting) {
            open.exchange.outcome = Outcome::Unanswered;
            open.fate = Fate::Answered;
        }
        self.settle(out);
    }

    fn waiting(&self) -> usize {
        let waiting = self.queue.iter().filter(|open| open.fate == Fate::Waiting);
        waiting.count()
    }

    /// A request begins: learns whether the client takes turns, and ends the doubt when nothing can be out.
    fn weigh(&mut self, arrival: Arrival) {
        // Two answers in between: both requests were out at once.
        if arrival.shares_chunk || (self.begun && !self.lost && self.answers > 1) {
            self.overlap();
        }
        if !self.doubt {
            let took_turn = self.begun && self.least == 0 && self.answers == 1;
            self.taken = self.taken.saturating_add(u8::from(took_turn));
            return;
        }
        let takes_turns = !self.overlapped && self.taken >= CERTAIN_TURNS;
        let is_idle = || {
            let mut open = self.queue.iter();
            !open.any(|open| matches!(open.fate, Fate::Waiting | Fate::Answering))
        };
        let after_pause = arrival.quiet && is_idle();
        let is_judged = self.lost_requests.is_none() && self.lost_answers.is_none();
        let may_be_none = !is_judged || self.out.may_be_none();
        if self.least == 0 && may_be_none && (takes_turns || after_pause) {
            self.give_up(|open| open.is_supposed() && open.fate == Fate::Waiting);
            (self.doubt, self.least, self.out, self.owed) = (false, 0, Out::NONE, 0);
            (self.lost_requests, self.lost_answers) = (None, None);
            (self.proven, self.fresh) = (true, true);
        }
    }
}

#[cfg(test)]
mod tests;
