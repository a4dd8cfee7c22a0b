//! What follows a response's head: a body, events that are told as they come, or another protocol.
//!
//! Takes pieces, holes and ends of the response under way. Gives events' exchanges, and the [`Turn`] of an upgrade. Never
//! keeps a body of events. Bounded as its parts are.

use bytes::Bytes;
use smallvec::SmallVec;

use super::super::events::Events;
use super::super::prefix::Holes;
use super::super::reader::{Chunk, Context, Next, Turn};
use super::super::turns::{Began, Hole};
use super::super::upgrade;
use super::{Http1, cut, note};
use crate::capture::GapReason;
use crate::protocol::Resync;
use crate::protocol::http1::Message;
use crate::protocol::http1::Rest;

impl Http1 {
    /// What follows a response's head, where it is more than a body.
    pub(super) fn begin_rest(&mut self, rest: Rest, context: &Context<'_>) -> Option<Next> {
        self.events = None;
        self.turns.response_mut()?;
        let is_waiting = self.requests.parser.is_waiting();
        // Events are told at once, so it must be known whose they are.
        let is_certain = self.turns.is_certain();
        let exchange = self.turns.answered_mut()?;
        match rest {
            Rest::Body if !is_certain => {}
            Rest::Body => self.events = Events::of(exchange, context.limits.body_bytes).map(Box::new),
            Rest::Tunnel if is_waiting => {
                let before = exchange.anomalies.len();
                let next = upgrade::next(exchange, self.requests_travel, context.limits);
                self.anomalies += (exchange.anomalies.len() - before) as u64;
                return next;
            }
            Rest::Nothing | Rest::Cut | Rest::Tunnel => {}
        }
        None
    }

    pub(super) fn response_piece(&mut self, piece: Bytes, time_ns: u64, context: &mut Context<'_>) {
        let Some(response) = self.turns.response_mut() else {
            return;
        };
        response.time_ns.1 = time_ns;
        match &mut self.events {
            None => response.body.add(piece, context.limits.body_bytes),
            // Each event has its own exchange, so this one only counts them.
            Some(events) => {
                self.anomalies += events.piece(&piece, time_ns, context.out);
                response.body.told(piece.len());
                let fault = events.take_fault();
                self.anomalies += note(self.turns.current_mut(), fault);
            }
        }
    }

    pub(super) fn end_events(&mut self, time_ns: u64, context: &mut Context<'_>) {
        if let Some(mut events) = self.events.take() {
            self.anomalies += events.finish(time_ns, context.out);
            self.anomalies += note(self.turns.current_mut(), events.take_fault());
        }
    }

    /// HTTP ends here, and another protocol begins: hands over what came of it already.
    pub(super) fn turn_into(&mut self, next: Next) {
        let mut seen = SmallVec::new();
        let both = [
            (self.requests_travel, self.requests.take_unread(), self.early),
            (
                self.requests_travel.opposite(),
                self.responses.take_unread(),
                false,
            ),
        ];
        for (direction, (bytes, time_ns), early) in both {
            if !bytes.is_empty() {
                seen.push(Chunk {
                    direction,
                    time_ns,
                    early,
                    bytes,
                });
            }
        }
        let mut holes = Holes::new();
        if self.missing_in_wait > 0 {
            holes.push((self.requests_travel, self.missing_in_wait, self.reason));
        }
        if let Some(switch) = self.switch.take().filter(|switch| switch.missing > 0) {
            holes.push((self.requests_travel.opposite(), switch.missing, self.reason));
        }
        self.turn = Some(Turn { next, holes, seen });
    }

    pub(super) fn cut_response(&mut self, hole: Option<GapReason>, context: &mut Context<'_>) {
        if let (Some(events), Some(reason)) = (&mut self.events, hole) {
            self.anomalies += events.gap(reason, self.last_ns, context.out);
        }
        self.end_events(self.last_ns, context);
        if let Some(response) = self.turns.response_mut() {
            cut(&mut response.body, hole);
        }
        self.turns.close_response(context.out);
    }

    pub(super) fn response_gap(&mut self, missing: u64, context: &mut Context<'_>) {
        let reason = self.reason;
        if self.is_missing_behind_switch(missing) {
            return;
        }
        let inside = !self.responses.parser.is_between();
        self.turns.excuse();
        let unread = self.responses.unread();
        let spoilt = unread.len() as u64;
        let mut hole = Hole {
            bytes: (missing > 0).then_some(missing.saturating_add(spoilt)),
            began: match () {
                () if inside || self.responses.has_passed() || self.last_ns == 0 => Began::Within,
                // `HTTP/1.1 2`: a final answer, which a part of its first line shows.
                () if unread.get(9).is_some_and(|digit| (b'2'..=b'9').contains(digit)) => Began::Head,
                () => Began::Between,
            },
        };
        let (message, lost_place) = match self.responses.gap(missing) {
            Resync::Exact(message) => (message, false),
            Resync::Searching(message) => (message, true),
        };
        match message {
            None if !lost_place => {
                if let Some(events) = &mut self.events {
                    self.anomalies += events.gap(reason, self.last_ns, context.out);
                }
                if let Some(response) = self.turns.response_mut() {
                    response.body.hole(missing, reason);
                }
            }
            Some(Message::End { lost }) => {
                hole = Hole {
                    bytes: hole.bytes.map(|bytes| bytes.saturating_sub(lost)),
                    began: Began::Between,
                };
                if let Some(response) = self.turns.response_mut() {
                    response.body.hole(lost, reason);
                }
                if let Some(mut events) = self.events.take() {
                    self.anomalies += events.gap(reason, self.last_ns, context.out);
                }
                self.turns.close_response(context.out);
            }
            Some(Message::Cut) => self.cut_response(Some(reason), context),
            Some(_) | None => {}
        }
        if lost_place && !self.may_be_http2(missing, inside, hole) {
            self.turns.response_hole(inside, hole, context.out);
        }
    }
}
