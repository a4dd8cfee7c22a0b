//! How things stand with the OTLP receiver: whether it answers, and what waits for it.
//!
//! Takes answers, and what waits whenever that changes. Gives both, of each signal. Bounded: a few numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::contact::Line;

/// The state, shared by reference.
#[derive(Default, Debug)]
pub struct Receiver {
    /// Of log records.
    pub logs: Signal,
    /// Of spans.
    pub traces: Signal,
    /// Of metrics.
    pub metrics: Signal,
}

impl Receiver {
    /// Each signal by its name in OTLP.
    pub const fn signals(&self) -> [(&'static str, &Signal); 3] {
        [
            ("logs", &self.logs),
            ("traces", &self.traces),
            ("metrics", &self.metrics),
        ]
    }
}

/// One signal. Each may have a receiver of its own.
#[derive(Default, Debug)]
pub struct Signal {
    /// Whether its receiver takes what it is sent; off where nothing is sent.
    pub line: Line,
    /// In memory, with what is on its way.
    pub queue: Waiting,
    /// On disk.
    pub spool: Waiting,
}

/// What waits in one place.
#[derive(Default, Debug)]
pub struct Waiting {
    bytes: AtomicU64,
    records: AtomicU64,
    /// Seconds since 1970; 0 where nothing waits.
    since_s: AtomicU64,
}

impl Waiting {
    /// Takes over what waits, and since when the oldest does.
    pub fn set(&self, bytes: u64, records: u64, since_s: Option<u64>) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.records.store(records, Ordering::Relaxed);
        self.since_s.store(since_s.unwrap_or(0), Ordering::Relaxed);
    }

    /// Bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Records, or batches of metrics.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Seconds that the oldest waits; 0 where nothing does.
    pub fn age_s(&self, now_s: u64) -> u64 {
        match self.since_s.load(Ordering::Relaxed) {
            0 => 0,
            since => now_s.saturating_sub(since),
        }
    }
}

/// Seconds since 1970: what is on disk waits over a restart.
#[expect(
    clippy::disallowed_methods,
    reason = "how long something waits is no matter of the traffic's clock"
)]
pub fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_grows_by_itself_and_is_none_of_nothing() {
        let waiting = Waiting::default();
        assert_eq!(waiting.age_s(1_000), 0);
        waiting.set(700, 2, Some(900));
        assert_eq!((waiting.bytes(), waiting.records()), (700, 2));
        assert_eq!((waiting.age_s(1_000), waiting.age_s(1_060)), (100, 160));
        assert_eq!(waiting.age_s(800), 0, "the clock was set back");
        waiting.set(0, 0, None);
        assert_eq!(waiting.age_s(1_000), 0);
    }
}
