//! The connection as a [`Reader`].

use super::super::reader::{Chunk, Context, Reader, ReaderTally};
use super::{Http2, Side};
use crate::capture::{Direction, GapReason};
use crate::telemetry::ledger::{Post, Tally as Books};

impl Reader for Http2 {
    fn chunk(&mut self, chunk: Chunk, context: &mut Context<'_>) -> bool {
        let Chunk {
            direction,
            time_ns,
            early,
            bytes,
        } = chunk;
        let side = self.side(direction);
        match side {
            Side::Requests => {
                self.early = early || (self.early && self.requests.waiting_bytes() > 0);
                self.requests.push(bytes, time_ns);
            }
            Side::Responses => self.responses.push(bytes, time_ns),
        }
        self.read(direction, time_ns, context);
        match self.side(direction) {
            Side::Requests => self.requests.parser.rest(),
            Side::Responses => self.responses.parser.rest(),
        }
        true
    }

    fn gap(&mut self, direction: Direction, missing: u64, reason: GapReason, context: &mut Context<'_>) {
        self.reason = reason;
        self.hole(self.side(direction), missing, context);
    }

    fn end(&mut self, _direction: Direction, _time_ns: u64, _context: &mut Context<'_>) {
        // Streams end by themselves; what did not is told when the connection ends.
    }

    fn finish(&mut self, _time_ns: u64, context: &mut Context<'_>) {
        if self.responses.parser.is_searching() {
            self.streams.responses_lost(self.reason, context.out);
        }
        self.streams.finish(context.out);
    }

    fn give_up(&mut self, _time_ns: u64, reason: GapReason, context: &mut Context<'_>) {
        self.streams.requests_lost(reason, context.out);
        self.streams.responses_lost(reason, context.out);
        self.streams.finish(context.out);
    }

    fn take_fates(&mut self, books: &Books) -> u64 {
        let halves = [&mut self.requests, &mut self.responses];
        let entered = halves.map(|half| std::mem::take(&mut half.fates).enter(books, Post::SkippedBytes));
        entered.iter().sum()
    }

    fn waiting_bytes(&self) -> usize {
        self.requests.waiting_bytes() + self.responses.waiting_bytes()
    }

    fn held_bytes(&self) -> usize {
        self.waiting_bytes() + self.streams.held_bytes()
    }

    fn take_tally(&mut self) -> ReaderTally {
        ReaderTally {
            anomalies: std::mem::take(&mut self.anomalies) + std::mem::take(&mut self.streams.anomalies),
            unpaired: std::mem::take(&mut self.streams.unpaired),
        }
    }
}
