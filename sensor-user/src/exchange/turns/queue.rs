//! The requests that are not done with: those that are given up, and those that are handed on in order.
//!
//! Takes the queue of [`Turns`]. Gives exchanges as soon as nothing about them is open. Never pairs. Bounded by
//! `Limits::pending`, [`HELD`] and [`MAX_BYTES`].

use super::{Current, Exchange, Fate, HELD, MAX_BYTES, Open, Outcome, Turns};

impl Turns {
    /// Memory of the requests that wait.
    pub(in crate::exchange) fn held_bytes(&self) -> usize {
        self.queue.iter().map(|open| open.exchange.held_bytes()).sum()
    }

    /// Whether what waits is too much. A single request is bounded by its parser.
    fn is_heavy(&self) -> bool {
        self.queue.len() > 1 && self.held_bytes() > MAX_BYTES
    }

    /// The client does not wait for answers.
    pub(super) fn overlap(&mut self) {
        self.overlapped = true;
        self.give_up(Open::is_supposed);
    }

    /// The supposed pairs since the last hole are right, and each was a turn.
    pub(super) fn confirm(&mut self) {
        for open in self.queue.iter_mut().filter(|open| open.is_supposed()) {
            open.supposed = false;
            self.taken = self.taken.saturating_add(1);
        }
    }

    /// Those requests cannot be paired.
    pub(super) fn give_up(&mut self, which: impl Fn(&Open) -> bool) {
        self.give_up_first(usize::MAX, which);
    }

    /// The same, among so many from the oldest on.
    pub(super) fn give_up_first(&mut self, among: usize, which: impl Fn(&Open) -> bool) {
        for open in self.queue.iter_mut().take(among).filter(|open| which(open)) {
            if open.fate == Fate::Answering {
                self.current = Current::Orphan;
            }
            if matches!(open.fate, Fate::Answering | Fate::Answered) {
                self.unpaired += 1;
                open.exchange.anomalies.truncate(open.anomalies);
            }
            open.fate = Fate::GivenUp;
        }
    }

    /// More requests wait than the limit allows: nobody's answer is told until all have come. Of supposed pairs the
    /// oldest makes room.
    pub(super) fn make_room(&mut self, out: &mut Vec<Exchange>) {
        let held = self.queue.iter().filter(|open| open.is_supposed()).count();
        if held > HELD {
            let oldest = self.queue.iter().position(|open| open.is_supposed());
            self.give_up_first(oldest.map_or(0, |oldest| oldest + 1), Open::is_supposed);
        }
        self.settle(out);
        while self.queue.len() > self.limit || self.is_heavy() {
            self.overlap();
            let Some(open) = self.queue.front_mut() else {
                return;
            };
            match std::mem::replace(&mut open.fate, Fate::GivenUp) {
                Fate::Answering => self.current = Current::Orphan,
                Fate::Waiting => self.owed += 1,
                Fate::Answered | Fate::GivenUp => {}
            }
            self.settle(out);
        }
    }

    /// Hands on what is done with, in order.
    pub(super) fn settle(&mut self, out: &mut Vec<Exchange>) {
        while let Some(open) = self.queue.front() {
            if open.incomplete || open.is_supposed() || matches!(open.fate, Fate::Waiting | Fate::Answering) {
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
