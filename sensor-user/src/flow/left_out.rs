//! Connections that are left out while the sensor is under strain.
//!
//! Takes the grade of [`Strain`](crate::telemetry::strain::Strain). Gives an end of what was known of a connection that
//! is left out, and a hole where it is read again. Every byte passed over is in its process's account.

use super::FlowEvent;
use super::stream::Tally;
use super::table::{FlowTable, Sink, announce};
use crate::capture::{Direction, GapReason, StreamKey};
use crate::telemetry::Metric;
use crate::telemetry::strain::Subject;

/// How much is missing where a connection is read again: the accounts have the sum, a parser needs to know of some.
const SOMETHING: u64 = 1;

/// A connection, as the strain goes by it.
pub fn subject(key: &StreamKey) -> Subject {
    Subject {
        process: key.process.spread(),
        connection: key.spread(),
    }
}

impl FlowTable {
    /// Whether a connection is read.
    pub(super) fn keeps(&self, key: &StreamKey) -> bool {
        self.grade == 0 || self.counters.strain().keeps(subject(key))
    }

    /// The strain has grown: lets go of what is known of connections that are left out from now on, also of those that
    /// are silent.
    pub(super) fn leave_out(&mut self, sink: Sink<'_>) {
        for slot in 0..self.entries.len() {
            let Some(Some(entry)) = self.entries.get(slot) else {
                continue;
            };
            if !entry.left_out
                && !self.keeps(&entry.stream.key)
                && let Ok(slot) = u32::try_from(slot)
            {
                self.turn(slot, false, sink);
            }
        }
    }

    /// Leaves a connection out from here on, or reads it again as one that is joined in its middle.
    pub(super) fn turn(&mut self, slot: u32, is_kept: bool, sink: Sink<'_>) {
        let (time_ns, mut tally) = (self.now_ns, Tally::default());
        let Some(entry) = self.at(Some(slot)) else { return };
        let key = entry.stream.key;
        entry.left_out = !is_kept;
        if is_kept {
            announce(&entry.stream, sink);
            for direction in [Direction::Read, Direction::Write] {
                sink(FlowEvent::Gap {
                    stream: key,
                    direction,
                    time_ns,
                    missing: SOMETHING,
                    reason: GapReason::Limit,
                });
            }
            return;
        }
        entry.stream.let_go(&mut tally);
        self.account(tally);
        self.counters.add(Metric::StreamsLeftOut, 1);
        sink(FlowEvent::Forgotten { stream: key, time_ns });
    }
}
