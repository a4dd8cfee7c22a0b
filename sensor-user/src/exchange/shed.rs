//! How much may wait on the connections of a shard together, and what gives way.
//!
//! Takes what each connection holds, as its reader says. Gives the exchanges of connections that are shed, as far as they
//! are known. Each connection is bounded by itself; this bounds their sum, which thousands of slow ones could raise. Those
//! that hold most are shed first, whole: what waits on them is told as lost for a limit, and they are joined anew in
//! their middle, so that a connection which lives for days is not blind for good. Bounded by `Limits::waiting_bytes`.

use std::cmp::Reverse;

use super::Exchange;
use super::conversation::Talk;
use super::conversations::Conversations;
use super::prefix::{Holes, Prefixes};
use super::reader::Context;
use crate::capture::{Direction, GapReason, StreamKey};
use crate::telemetry::Metric;

/// One part in so many is made room for at once: looking for the largest costs a look at every connection.
const SPARE: usize = 8;

/// How much is missing where a connection is joined anew: nobody knows, but something is.
const SOMETHING: u64 = 1;

impl Conversations {
    /// Counts what a connection holds now; sheds some if it is too much.
    pub(super) fn weigh(&mut self, stream: &StreamKey, time_ns: u64, out: &mut Vec<Exchange>) {
        let Some(conversation) = self.table.get_mut(stream) else {
            return;
        };
        let held = conversation.held_bytes();
        let before = std::mem::replace(&mut conversation.held, held);
        self.held = (self.held + held).saturating_sub(before);
        if self.held > self.limits.waiting_bytes {
            self.shed_largest(time_ns, out);
        }
    }

    fn shed_largest(&mut self, time_ns: u64, out: &mut Vec<Exchange>) {
        let holding = self
            .table
            .iter()
            .filter(|(_, conversation)| conversation.held > 0);
        let mut largest: Vec<(usize, StreamKey)> = holding
            .map(|(stream, conversation)| (conversation.held, *stream))
            .collect();
        // By name as well, so that the same happens each time.
        largest.sort_unstable_by_key(|(held, stream)| {
            let process = (stream.process.pid, stream.process.start_ns);
            Reverse((*held, process, stream.id, stream.generation))
        });
        let enough = self.limits.waiting_bytes - self.limits.waiting_bytes / SPARE;
        for (_, stream) in largest {
            if self.held <= enough {
                return;
            }
            self.shed(&stream, time_ns, out);
            self.counters.add(Metric::ConnectionsShed, 1);
        }
    }

    fn shed(&mut self, stream: &StreamKey, time_ns: u64, out: &mut Vec<Exchange>) {
        let from = out.len();
        let Some(conversation) = self.table.get_mut(stream) else {
            return;
        };
        self.held = self.held.saturating_sub(std::mem::take(&mut conversation.held));
        if let Talk::Known(reader) = &mut conversation.talk {
            let mut context = Context {
                limits: &self.limits,
                key: &self.key,
                connection: &conversation.connection,
                out,
            };
            reader.give_up(time_ns, GapReason::Limit, &mut context);
        }
        conversation.enter(&self.counters);
        conversation.end(&self.counters);
        let both = [Direction::Read, Direction::Write];
        let holes = both.map(|direction| (direction, SOMETHING, GapReason::Limit));
        conversation.talk = Talk::Unrecognised(Prefixes::within(Holes::from_iter(holes)));
        self.sign(stream, out, from);
    }
}

#[cfg(test)]
mod tests;
