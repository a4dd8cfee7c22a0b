//! Which response answers which request (RFC 9112, 9.3.2: in order).
//!
//! Takes heads, ends and holes of both directions in the order they were seen. Gives exchanges. Never pairs across a
//! hole unless only one pairing is possible: a wrong answer is worse than none, so requests whose answer cannot be
//! told become [`Outcome::Lost`], and pairing resumes where it is certain again. Bounded by `Limits::pending`.
//!
//! What is certain: a client that does not pipeline sends its next request after the answer to the last. Of a
//! pipelining one ("overlapped") nothing is certain after a hole until every answer owed has come or the connection
//! was quiet. A client is believed not to pipeline until it is seen to.

use std::collections::VecDeque;

use super::{Exchange, Outcome, Response};
use crate::protocol::http1::Answering;

/// Turns of one request and one answer after which a client that was never seen pipelining is believed not to.
const CERTAIN_TURNS: u8 = 4;

/// Bytes of the requests that wait on one connection, beside the one under way: as many as of the streams of HTTP/2.
const MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Turns {
    /// In boxes, because a queue keeps its memory and most are empty.
    queue: VecDeque<Box<Open>>,
    limit: usize,
    /// The response under way.
    current: Current,
    /// A request began before the answer to an earlier one was complete.
    overlapped: bool,
    /// Requests lost since the last one seen.
    lost: LostRequests,
    /// Answers since the last request to requests that were not seen.
    orphans: u32,
    /// A hole in the answers; the one request kept may or may not have been answered in it.
    kept_over_hole: bool,
    /// A hole in the answers, and no answer since.
    hole: bool,
    doubt: Option<Doubt>,
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
    /// An unknown number of requests was lost before this one, and their answers were not seen yet.
    after_hole: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Waiting,
    Answering,
    Answered,
    GivenUp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Current {
    None,
    /// Of the first request that is being answered.
    Answer,
    /// Of a request that was not seen or was given up.
    Orphan,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum LostRequests {
    None,
    Maybe,
    Surely,
}

/// Answers that may come for requests given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owed {
    /// One for each.
    Each,
    /// Also some for requests that were not seen.
    Unknown,
}

/// Answers cannot be told apart.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// Answers at most to come for requests given up; `None` when that is unknown.
    owed: Option<u32>,
    turns: u8,
}

impl Turns {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            limit: limit.max(1),
            current: Current::None,
            overlapped: false,
            lost: LostRequests::None,
            orphans: 0,
            kept_over_hole: false,
            hole: false,
            doubt: None,
            unpaired: 0,
        }
    }

    /// A request begins. `quiet`: nothing moved for so long that no answer is under way.
    pub(super) fn request(
        &mut self,
        exchange: Exchange,
        answering: Answering,
        quiet: bool,
        out: &mut Vec<Exchange>,
    ) {
        self.close_request(out);
        self.overlapped |= self.queue.iter().any(|open| open.fate == Fate::Answering);
        self.weigh_doubt(quiet);
        if self.kept_over_hole {
            self.give_up(Owed::Each);
        }
        let after_hole = match std::mem::replace(&mut self.lost, LostRequests::None) {
            LostRequests::None => false,
            // Of one that does not pipeline, the answers to what was lost came before this request.
            LostRequests::Maybe => self.overlapped || !self.queue.is_empty(),
            LostRequests::Surely => self.overlapped || !self.queue.is_empty() || self.orphans == 0,
        };
        self.orphans = 0;
        let mut fate = Fate::Waiting;
        if let Some(doubt) = &mut self.doubt {
            doubt.owed = doubt.owed.map(|owed| owed.saturating_add(1));
            fate = Fate::GivenUp;
        }
        self.queue.push_back(Box::new(Open {
            exchange,
            incomplete: true,
            fate,
            answering,
            after_hole,
        }));
        if self.queue.len() > self.limit || self.is_heavy() {
            self.overflow(out);
        }
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
            self.settle(out);
        }
    }

    /// Requests may have been lost here: surely, unless the hole began inside one.
    pub(super) fn request_hole(&mut self, inside: bool) {
        let lost = if inside {
            LostRequests::Maybe
        } else {
            LostRequests::Surely
        };
        self.lost = self.lost.max(lost);
    }

    /// What is known of the request that the next response answers.
    pub(super) fn next(&self) -> Answering {
        let waiting = self.queue.iter().find(|open| open.fate == Fate::Waiting);
        waiting
            .filter(|open| !open.after_hole)
            .map_or(Answering::Unknown, |open| open.answering)
    }

    /// Whether any request waits for its answer.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting().next().is_some()
    }

    /// The request that is answered next, or is being answered.
    pub(super) fn answered_mut(&mut self) -> Option<&mut Exchange> {
        let mut open = self.queue.iter_mut();
        open.find(|open| matches!(open.fate, Fate::Answering | Fate::Waiting))
            .map(|open| &mut open.exchange)
    }

    /// A final response begins.
    pub(super) fn response(&mut self, response: Response, out: &mut Vec<Exchange>) {
        self.close_response(out);
        self.hole = false;
        self.kept_over_hole = false;
        let waiting = self.waiting().count();
        let Some(open) = self.queue.iter_mut().find(|open| open.fate == Fate::Waiting) else {
            self.orphans += 1;
            self.unpaired += 1;
            self.current = Current::Orphan;
            if let Some(doubt) = &mut self.doubt {
                doubt.owed = doubt.owed.map(|owed| owed.saturating_sub(1));
                // Two answers without a request in between: both requests were out at once.
                self.overlapped |= self.orphans > 1;
            }
            return;
        };
        if open.after_hole {
            // The answer to a lost request, after a later request: nothing is certain any more.
            self.overlapped = true;
            self.unpaired += 1;
            self.current = Current::Orphan;
            self.give_up(Owed::Unknown);
            return self.settle(out);
        }
        open.exchange.outcome = Outcome::Answered(Box::new(response));
        open.fate = Fate::Answering;
        self.current = Current::Answer;
        self.overlapped |= waiting > 1;
    }

    /// The exchange of the response under way, when it is paired.
    pub(super) fn current_mut(&mut self) -> Option<&mut Exchange> {
        if self.current != Current::Answer {
            return None;
        }
        let open = self.queue.iter_mut().find(|open| open.fate == Fate::Answering)?;
        Some(&mut open.exchange)
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
        let mut waiting = self.waiting();
        let open = waiting
            .next()
            .filter(|open| !open.incomplete && !open.after_hole)?;
        waiting.next().is_none().then_some(&open.exchange)
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
        self.settle(out);
    }

    /// Responses may have been lost here: surely the next one's beginning, unless the hole began inside one.
    pub(super) fn response_hole(&mut self, inside: bool, out: &mut Vec<Exchange>) {
        self.hole = true;
        if self.doubt.is_some() {
            return;
        }
        let overlapped = self.overlapped;
        let mut waiting = self.queue.iter_mut().filter(|open| open.fate == Fate::Waiting);
        match (waiting.next(), waiting.next(), waiting.next()) {
            (None, ..) => self.orphans += u32::from(!inside),
            // The answer to a client that pipelines may still come: perhaps only an interim one was lost.
            (Some(first), ..) if overlapped && first.after_hole => self.give_up(Owed::Unknown),
            (Some(_), None, _) if overlapped && inside => self.kept_over_hole = true,
            (Some(_), ..) if overlapped => self.give_up(Owed::Each),
            // Answers to lost requests were lost, too.
            (Some(first), None, _) if inside || first.after_hole => {
                first.after_hole = false;
                self.kept_over_hole = true;
            }
            (Some(first), None, _) => first.fate = Fate::GivenUp,
            // The first answer is gone, so the next to be seen is the second's: a client that does not pipeline had
            // all answers before it sent the second.
            (Some(first), Some(second), None) if !inside && !first.after_hole => {
                first.fate = Fate::GivenUp;
                second.after_hole = false;
                self.kept_over_hole = true;
            }
            (Some(first), ..) if first.after_hole => self.give_up(Owed::Unknown),
            (Some(_), ..) => self.give_up(Owed::Each),
        }
        self.settle(out);
    }

    /// The connection ended.
    pub(super) fn finish(&mut self, out: &mut Vec<Exchange>) {
        self.close_request(out);
        self.close_response(out);
        let lost = self.hole || self.doubt.is_some();
        for open in &mut self.queue {
            if open.fate == Fate::Waiting && !lost {
                open.exchange.outcome = Outcome::Unanswered;
                open.fate = Fate::Answered;
            } else if open.fate == Fate::Waiting {
                open.fate = Fate::GivenUp;
            }
        }
        self.settle(out);
    }

    /// Whether what waits is too much. A single request is bounded by its parser.
    fn is_heavy(&self) -> bool {
        let held = self.queue.iter().map(|open| open.exchange.held_bytes());
        self.queue.len() > 1 && held.sum::<usize>() > MAX_BYTES
    }

    fn waiting(&self) -> impl Iterator<Item = &Open> {
        self.queue
            .iter()
            .map(|open| &**open)
            .filter(|open| open.fate == Fate::Waiting)
    }

    /// Ends the doubt when every answer that could be owed has come, or the client proved to take turns.
    fn weigh_doubt(&mut self, quiet: bool) {
        let took_turns = self.orphans == 1 && !self.overlapped;
        let Some(doubt) = &mut self.doubt else { return };
        doubt.turns = if took_turns { doubt.turns + 1 } else { 0 };
        if quiet || doubt.owed == Some(0) || doubt.turns >= CERTAIN_TURNS {
            self.doubt = None;
        }
    }

    /// None of the waiting requests can be paired.
    fn give_up(&mut self, owed: Owed) {
        let mut given_up = 0_u32;
        for open in self.queue.iter_mut().filter(|open| open.fate == Fate::Waiting) {
            open.fate = Fate::GivenUp;
            given_up += 1;
        }
        self.kept_over_hole = false;
        let owed = (owed == Owed::Each).then_some(given_up);
        self.doubt = Some(Doubt { owed, turns: 0 });
    }

    /// More requests wait than the limit allows: the oldest makes room.
    fn overflow(&mut self, out: &mut Vec<Exchange>) {
        self.overlapped = true;
        self.give_up(Owed::Unknown);
        if let Some(open) = self.queue.front_mut() {
            if open.fate == Fate::Answering {
                self.current = Current::Orphan;
            }
            open.fate = Fate::GivenUp;
        }
        self.settle(out);
    }

    /// Hands on what is done with, in order.
    fn settle(&mut self, out: &mut Vec<Exchange>) {
        while let Some(open) = self.queue.front() {
            if open.incomplete || matches!(open.fate, Fate::Waiting | Fate::Answering) {
                return;
            }
            let Some(open) = self.queue.pop_front() else {
                return;
            };
            let mut exchange = open.exchange;
            if open.fate == Fate::GivenUp {
                exchange.outcome = Outcome::Lost;
            }
            out.push(exchange);
        }
    }
}

#[cfg(test)]
mod tests;
