//! The rings' reader: drains both, copies payload out once, and gives records in an order the stages can use.
//!
//! Takes ring bytes. Gives [`Record`]s. Never parses payload or waits while something is there.
//! Bounded by [`BATCH_BYTES`] per call.
//!
//! Two rings have no common order. A binding must not come after the data it explains, and a close not before the
//! data it ends; so data is drained first and control second, control goes out first, and a close or exit waits until
//! a drain of the data ring that began [`SETTLE_NS`] after it.

use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Record;
use super::decode::decode;
use crate::telemetry::{Counters, Metric};

/// Payload bytes copied in one call at most; the rest stays in the ring, whose fill the kernel object watches.
const BATCH_BYTES: usize = 4 << 20;

/// A record's time is taken a few microseconds before it is in the ring; two milliseconds cover a preemption.
const SETTLE_NS: u64 = 2_000_000;

/// Reads both rings.
pub(super) struct RingReader {
    data: RingBuf<MapData>,
    control: RingBuf<MapData>,
    fresh: Vec<Record>,
    held: Vec<Record>,
}

impl std::fmt::Debug for RingReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingReader")
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl RingReader {
    /// Takes the rings.
    pub(super) fn new(data: RingBuf<MapData>, control: RingBuf<MapData>) -> Self {
        Self {
            data,
            control,
            fresh: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Waits up to `timeout` for a wake-up from either ring.
    pub(super) fn wait(&self, timeout: Duration) {
        let mut fds = [
            PollFd::new(&self.data, PollFlags::IN),
            PollFd::new(&self.control, PollFlags::IN),
        ];
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        // An interrupted or failed poll only means looking at the rings now.
        poll(&mut fds, Some(&timeout)).ok();
    }

    /// Appends what is in the rings. `now_ns` is the monotonic clock before the call.
    pub(super) fn drain(&mut self, now_ns: u64, counters: &Counters, out: &mut Vec<Record>) {
        let mut copied = 0;
        while copied < BATCH_BYTES {
            let Some(item) = self.data.next() else { break };
            copied += item.len();
            self.fresh.extend(take(&item, counters));
        }
        let caught_up = copied < BATCH_BYTES;
        while let Some(item) = self.control.next() {
            match take(&item, counters) {
                Some(record @ (Record::Close { .. } | Record::Exit(_))) => self.held.push(record),
                Some(record) => out.push(record),
                None => {}
            }
        }
        // Behind, only what is older than the last data read is settled: the ring keeps the order of time.
        let reached_ns = if caught_up {
            now_ns
        } else {
            self.fresh.last().map_or(0, |record| record.origin().time_ns)
        };
        // At the end nothing is at rest before everything is.
        if now_ns != u64::MAX {
            counters.ledger().emptied(reached_ns);
        }
        out.append(&mut self.fresh);
        let settled = reached_ns.saturating_sub(SETTLE_NS);
        let ready = self
            .held
            .iter()
            .take_while(|record| record.origin().time_ns <= settled)
            .count();
        out.extend(self.held.drain(..ready));
    }
}

/// Each payload gets an allocation of its own: a shared block would be kept whole by any one slice of it, and an idle
/// connection keeps its last head.
fn take(item: &[u8], counters: &Counters) -> Option<Record> {
    counters.add(Metric::Records, 1);
    let decoded = decode(item, Bytes::copy_from_slice);
    if decoded.is_err() {
        counters.add(Metric::RecordsMalformed, 1);
    }
    decoded.ok()
}
