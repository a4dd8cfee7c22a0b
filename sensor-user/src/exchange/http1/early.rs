//! A final answer that comes before its request is complete.
//!
//! Takes the answer's head. A refusal changes nothing: the request goes on to its end, unless it asked for leave to send
//! its body, was not given it, and the next request stands in its place. A switch of protocols waits: the client can not
//! change the protocol within a message (RFC 9110, 7.8), so what the server says behind its 101 is kept until the request
//! is complete. Never keeps more of that than a head may have, and never switches behind a hole that hides the end of
//! the request.

use super::super::reader::Context;
use super::Http1;
use crate::protocol::http1::Rest;

/// A 101 within a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch {
    is_http2: bool,
    /// Bytes missing of what the server said behind it.
    pub(super) missing: u64,
}

impl Http1 {
    /// Whether a response that begins switches within the request that it answers, which asked for that.
    pub(super) fn is_early(&self, rest: Rest) -> bool {
        rest == Rest::Tunnel && self.requests.parser.will_wait() && self.turns.is_early()
    }

    pub(super) fn switch_later(&mut self, is_http2: bool) {
        self.switch = Some(Switch { is_http2, missing: 0 });
        self.responses.parser.wait();
    }

    /// A response begins that does not switch. One that comes instead of 100, before any of the body, may keep the
    /// client from sending it.
    pub(super) fn look_for_refusal(&mut self) {
        if self.told_to_go_on || !self.turns.is_early() || self.requests.waiting_bytes() > 0 {
            return;
        }
        let Some(exchange) = self.turns.current_mut() else {
            return;
        };
        let request = &exchange.request;
        let asked = request.head.header("expect").is_some_and(|value| {
            let value = value.expose().trim_ascii();
            value.eq_ignore_ascii_case(b"100-continue")
        });
        if asked && request.version == 11 && request.body.total == 0 {
            self.requests.parser.refused();
        }
    }

    /// The request may be complete now.
    pub(super) fn switch(&mut self, time_ns: u64, context: &mut Context<'_>) {
        let Some(switch) = self.switch.filter(|_| self.requests.parser.is_waiting()) else {
            return;
        };
        let next = if switch.is_http2 {
            self.http2(context)
        } else {
            self.begin_rest(Rest::Tunnel, context)
        };
        self.turns.close_response(context.out);
        match next {
            Some(next) => {
                self.turns.turned(context.out);
                self.turn_into(next);
            }
            None => self.give_up_switch(context),
        }
        self.read_responses(time_ns, context);
    }

    /// Nobody reads what the connection goes on in.
    pub(super) fn give_up_switch(&mut self, context: &mut Context<'_>) {
        if self.switch.take().is_none() {
            return;
        }
        self.turns.close_response(context.out);
        self.responses.parser.tunnel();
        self.responses.retry();
        if self.requests.parser.is_between() || self.requests.parser.is_waiting() {
            self.requests.parser.tunnel();
            self.requests.retry();
        }
    }

    /// What the server says behind its switch is bounded. The request is read to its end all the same.
    pub(super) fn bound_switch(&mut self, context: &mut Context<'_>) {
        if self.switch.is_some() && self.responses.waiting_bytes() > context.limits.head_bytes {
            self.give_up_switch(context);
            // Skips what waited; there are no messages in a tunnel.
            while self.responses.next().is_some() {}
        }
    }

    /// Whether a hole in the answers is one in what the server said behind its switch. It then lies before what is still
    /// to come, and what was kept is void.
    pub(super) fn is_missing_behind_switch(&mut self, missing: u64) -> bool {
        let waited = self.responses.waiting_bytes() as u64;
        let Some(switch) = &mut self.switch else {
            return false;
        };
        switch.missing = switch.missing.saturating_add(missing).saturating_add(waited);
        // Nothing is under way that could end in it.
        let _exact = self.responses.gap(missing);
        true
    }
}
