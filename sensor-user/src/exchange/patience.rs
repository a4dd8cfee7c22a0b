//! Exchanges that are complete before it is known whom they were with.
//!
//! Takes exchanges and bindings. Gives the exchanges, those of a TLS stream without a socket at most [`WAIT_NS`] later.
//! Never waits for what is known, or for what nobody can find out twice. Bounded by [`WAITING`].

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Connection, Exchange};

/// How long an exchange waits for its stream's socket. The last piece of evidence for it is the socket call that
/// carries the answer, microseconds after the call that wrote it; the rings are drained every 5 ms, and a loaded host
/// takes its time.
const WAIT_NS: u64 = 100_000_000;
/// Exchanges waiting at most; the oldest goes on as it is.
const WAITING: usize = 1024;

/// Exchanges that wait.
#[derive(Debug, Default)]
pub struct Patience(VecDeque<(u64, Exchange)>);

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
            self.0.push_back((due_ns, exchange));
        }
        let excess = self.0.len().saturating_sub(WAITING);
        fresh.extend(self.0.drain(..excess).map(|(_, exchange)| exchange));
    }

    /// A connection's socket became known: what waited for it goes on.
    pub fn bound(&mut self, connection: &Arc<Connection>, out: &mut Vec<Exchange>) {
        let mut kept = VecDeque::with_capacity(self.0.len());
        for (due_ns, mut exchange) in self.0.drain(..) {
            if exchange.connection.stream == connection.stream {
                exchange.connection = Arc::clone(connection);
                out.push(exchange);
            } else {
                kept.push_back((due_ns, exchange));
            }
        }
        self.0 = kept;
    }

    /// Lets time pass.
    pub fn tick(&mut self, now_ns: u64, out: &mut Vec<Exchange>) {
        while self.0.front().is_some_and(|(due_ns, _)| *due_ns <= now_ns) {
            out.extend(self.0.pop_front().map(|(_, exchange)| exchange));
        }
    }

    /// Nothing more will become known.
    pub fn finish(&mut self, out: &mut Vec<Exchange>) {
        out.extend(self.0.drain(..).map(|(_, exchange)| exchange));
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
}
