//! A connection that goes on in HTTP/2 (`Upgrade: h2c`, RFC 7540, 3.2; RFC 9113 dropped it, servers have it still).
//!
//! Takes the 101, or what shows that a hole held it: the client sends nothing behind its request before the answer, so
//! the preface there is proof of a 101. Gives the [`Turn`], the request as that of stream 1. Never takes a refusal for an
//! upgrade. Bounded by the one hole it remembers.

use super::super::prefix::Holes;
use super::super::reader::{Context, Next};
use super::super::turns::Hole;
use super::super::upgrade;
use super::super::{Exchange, Outcome};
use super::Http1;
use crate::capture::GapReason;
use crate::protocol::detect::{Verdict, detect};
use crate::protocol::http1::Rest;

/// A hole in the answers while a request for HTTP/2 waited for its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsure {
    missing: u64,
    reason: GapReason,
    /// It began inside a response.
    inside: bool,
    hole: Hole,
}

impl Http1 {
    /// The server answered that it goes on in HTTP/2.
    pub(super) fn http2(&mut self, context: &mut Context<'_>) -> Option<Next> {
        self.unsure = None;
        let parser = &self.requests.parser;
        let first = match self.turns.current_mut() {
            Some(asked) if parser.is_waiting() && upgrade::names_http2(&asked.request.head) => {
                self.turns.take_current()
            }
            // The request was not seen. The server's word is enough: frames that do not follow are not made up.
            None if parser.is_between() || parser.is_waiting() => None,
            // Not asked for, or within the request: nobody knows what follows.
            Some(_) | None => return None,
        };
        Some(self.go_on_in_http2(first, None, context))
    }

    /// A hole in the answers. Whether it may have held the 101 to the one request that waits; the pairing then waits for
    /// what comes next.
    pub(super) fn may_be_http2(&mut self, missing: u64, inside: bool, hole: Hole) -> bool {
        let waits = self.requests.parser.is_waiting() && self.missing_in_wait == 0;
        let asked = self.turns.only_waiting().filter(|_| waits);
        if !asked.is_some_and(|asked| upgrade::names_http2(&asked.request.head)) {
            self.unsure = None;
            return false;
        }
        let before = self.unsure.map_or(0, |unsure| unsure.missing);
        let hole = self.unsure.map_or(hole, |unsure| unsure.hole.and(hole));
        self.unsure = Some(Unsure {
            missing: missing.saturating_add(before),
            reason: self.reason,
            inside,
            hole,
        });
        true
    }

    /// What the client sends behind the hole tells what was in it.
    pub(super) fn look_for_preface(&mut self, time_ns: u64, context: &mut Context<'_>) {
        let Some(unsure) = self.unsure.filter(|_| self.requests.parser.is_waiting()) else {
            return;
        };
        match detect(self.requests.unread()) {
            Verdict::Http2 => self.turn_behind(unsure, context),
            Verdict::NeedMore(_) => {}
            _ => {
                self.stay(context);
                self.requests.parser.resolve(false);
                self.requests.retry();
                self.read_requests(time_ns, context);
            }
        }
    }

    /// The server's first frames may come before the client's.
    pub(super) fn look_for_settings(&mut self, context: &mut Context<'_>) {
        if let Some(unsure) = self.unsure
            && matches!(
                detect(self.responses.unread()),
                Verdict::Http2Server | Verdict::Http2Responses
            )
        {
            self.turn_behind(unsure, context);
        }
    }

    /// It goes on in HTTP/1: the hole is one like any other.
    pub(super) fn stay(&mut self, context: &mut Context<'_>) {
        if let Some(unsure) = self.unsure.take() {
            self.turns.response_hole(unsure.inside, unsure.hole, context.out);
        }
    }

    /// A response begins. The request that follows one whose answer was lost came before it, and is read before it.
    pub(super) fn before_answer(
        &mut self,
        is_http2: bool,
        rest: Rest,
        time_ns: u64,
        context: &mut Context<'_>,
    ) {
        if !is_http2 {
            self.stay(context);
        }
        if self.requests.parser.is_waiting() && !self.turns.is_waiting() && rest != Rest::Tunnel {
            self.requests.parser.resolve(false);
            self.requests.retry();
            self.read_requests(time_ns, context);
        }
    }

    fn turn_behind(&mut self, unsure: Unsure, context: &mut Context<'_>) {
        self.unsure = None;
        let first = self.turns.take_waiting();
        let next = self.go_on_in_http2(first, Some(unsure.reason), context);
        self.turn_into(next);
        let answers = self.requests_travel.opposite();
        if let Some(turn) = &mut self.turn {
            turn.holes
                .extend(Holes::from_iter([(answers, unsure.missing, unsure.reason)]));
        }
    }

    fn go_on_in_http2(
        &mut self,
        mut first: Option<Exchange>,
        hole: Option<GapReason>,
        context: &mut Context<'_>,
    ) -> Next {
        // Nothing else waits, unless holes made it so.
        self.turns.turned(context.out);
        self.turns.finish(context.out);
        if let Some(first) = &mut first {
            first.outcome = Outcome::Unanswered;
        }
        let (reader, anomalies) = upgrade::http2(first, self.requests_travel, hole, context.limits);
        self.anomalies += anomalies;
        Next::Read(Box::new(reader))
    }
}

#[cfg(test)]
mod tests;
