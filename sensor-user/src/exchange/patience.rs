//! Exchanges that are complete before it is known whom they were with.
//!
//! Takes exchanges and bindings. Gives the exchanges, those of a TLS stream without a socket at most [`WAIT_NS`] later.
//! Never waits for what is known, or for what nobody can find out twice. Bounded by [`WAITING`] and
//! [`WAITING_BYTES`].

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Connection, Exchange};

/// How long an exchange waits for its stream's socket. The last piece of evidence for it is the socket call that
/// carries the answer, microseconds after the call that wrote it; the rings are drained every 5 ms, and a loaded host
/// takes its time.
const WAIT_NS: u64 = 100_000_000;
/// Exchanges waiting at most; the oldest goes on as it is.
const WAITING: usize = 1024;
/// Bytes of them at most: 1,024 of a body at its limit each.
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Exchanges that wait.
#[derive(Debug, Default)]
pub struct Patience {
    waiting: VecDeque<(u64, Exchange)>,
    bytes: usize,
}

impl Patience {
    /// Takes those out of `fresh` whose peer may become known.
    pub fn hold(&mut self, fresh: &mut Vec<Exchange>, now_ns: u64) {
        let is_unbound =
            |exchange: &Exchange| exchange.connection.tls && exchange.connection.evidence.is_none();
        if !fresh.iter().any(is_unbound) {
            return;
        }
        let due_ns = now_ns.saturating_add(WAIT_NS);
        for exchange in fresh.extract_if(.., |exchange| is_unbound(exchange)) {
            self.bytes += exchange.held_bytes();
            self.waiting.push_back((due_ns, exchange));
        }
        while self.waiting.len() > WAITING || self.bytes > WAITING_BYTES {
            let Some(oldest) = self.pop() else { return };
            fresh.push(oldest);
        }
    }

    fn pop(&mut self) -> Option<Exchange> {
        let (_, exchange) = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(exchange.held_bytes());
        Some(exchange)
    }

    /// A connection's socket became known: what waited for it goes on.
    pub fn bound(&mut self, connection: &Arc<Connection>, out: &mut Vec<Exchange>) {
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        for (due_ns, mut exchange) in self.waiting.drain(..) {
            if exchange.connection.stream == connection.stream {
                self.bytes = self.bytes.saturating_sub(exchange.held_bytes());
                exchange.connection = Arc::clone(connection);
                out.push(exchange);
            } else {
                kept.push_back((due_ns, exchange));
            }
        }
        self.waiting = kept;
    }

    /// Lets time pass.
    pub fn tick(&mut self, now_ns: u64, out: &mut Vec<Exchange>) {
        while self.waiting.front().is_some_and(|(due_ns, _)| *due_ns <= now_ns) {
            out.extend(self.pop());
        }
    }

    /// Nothing more will become known.
    pub fn finish(&mut self, out: &mut Vec<Exchange>) {
        self.bytes = 0;
        out.extend(self.waiting.drain(..).map(|(_, exchange)| exchange));
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Evidence;
    use crate::exchange::test_support::Builder;

    fn unbound() -> Exchange {
        let mut exchange = Builder::get("/").build();
        let connection = Arc::make_mut(&mut exchange.connection);
        (connection.evidence, connection.local, connection.remote) = (None, None, None);
        exchange
    }

    #[test]
    fn an_exchange_of_a_known_peer_does_not_wait() {
        let mut fresh = vec![Builder::get("/").build()];
        let mut patience = Patience::default();
        patience.hold(&mut fresh, 0);
        assert_eq!(fresh.len(), 1);
        let mut plain = unbound();
        Arc::make_mut(&mut plain.connection).tls = false;
        patience.hold(&mut vec![plain], 0);
        assert!(patience.is_empty());
    }

    #[test]
    fn the_binding_that_comes_gives_the_peer() {
        let (mut patience, mut fresh, mut out) = (Patience::default(), vec![unbound()], Vec::new());
        patience.hold(&mut fresh, 0);
        assert!(fresh.is_empty());
        let mut known = (*unbound().connection).clone();
        known.evidence = Some(Evidence::Adjacent);
        patience.bound(&Arc::new(known), &mut out);
        assert_eq!(out[0].connection.evidence, Some(Evidence::Adjacent));
        assert!(patience.is_empty());
    }

    /// LESSONS 12: bytes that came before the record of their connection were dropped.
    #[test]
    fn an_exchange_waits_no_longer_than_said() {
        let (mut patience, mut out) = (Patience::default(), Vec::new());
        patience.hold(&mut vec![unbound()], 7);
        patience.tick(6 + WAIT_NS, &mut out);
        assert!(out.is_empty());
        patience.tick(7 + WAIT_NS, &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn more_than_fit_go_on_as_they_are() {
        let mut patience = Patience::default();
        let mut fresh: Vec<_> = (0..=WAITING).map(|_| unbound()).collect();
        patience.hold(&mut fresh, 0);
        assert_eq!(fresh.len(), 1);
    }

    #[test]
    fn heavy_ones_go_on_sooner() {
        let heavy = || {
            let mut exchange = unbound();
            exchange.request.head.raw = vec![b'x'; 1 << 20].into();
            exchange
        };
        let (mut patience, mut fresh) = (Patience::default(), Vec::new());
        for _ in 0..100 {
            fresh.push(heavy());
            let mut told = std::mem::take(&mut fresh);
            patience.hold(&mut told, 0);
        }
        assert!(patience.bytes <= WAITING_BYTES && patience.waiting.len() == 63);
        patience.tick(WAIT_NS, &mut fresh);
        assert_eq!((fresh.len(), patience.bytes), (63, 0));
    }
}
