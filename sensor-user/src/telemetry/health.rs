//! Whether the sensor works: what `/healthz` and `/readyz` answer.
//!
//! Takes signs of life of the thread through which everything passes. Gives a state. Bounded: two numbers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Without a sign of life for so long the sensor stands still. A flush of the store or a full queue delays one by
/// seconds.
pub const STILL: Duration = Duration::from_mins(1);

/// State of the sensor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Probes are not attached yet.
    Starting,
    /// It sees and judges.
    Ready,
    /// No sign of life for so long.
    Still(Duration),
}

/// Signs of life.
#[derive(Debug)]
pub struct Health {
    start: Instant,
    /// Milliseconds from the start to the last sign.
    sign_ms: AtomicU64,
    ready: AtomicBool,
}

impl Default for Health {
    #[expect(
        clippy::disallowed_methods,
        reason = "whether a thread still runs is no matter of the traffic's clock"
    )]
    fn default() -> Self {
        Self {
            start: Instant::now(),
            sign_ms: AtomicU64::new(0),
            ready: AtomicBool::new(false),
        }
    }
}

impl Health {
    /// Probes are attached and threads run.
    pub fn ready(&self) {
        self.sign();
        self.ready.store(true, Ordering::Release);
    }

    /// A sign of life.
    pub fn sign(&self) {
        self.sign_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.state_at(self.now_ms())
    }

    fn state_at(&self, now_ms: u64) -> State {
        if !self.ready.load(Ordering::Acquire) {
            return State::Starting;
        }
        let silent = Duration::from_millis(now_ms.saturating_sub(self.sign_ms.load(Ordering::Relaxed)));
        if silent > STILL {
            State::Still(silent)
        } else {
            State::Ready
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensor_starts_is_ready_and_may_stand_still() {
        let health = Health::default();
        assert_eq!(health.state_at(500_000), State::Starting, "loading may take long");
        health.ready();
        assert_eq!(health.state(), State::Ready);
        assert_eq!(health.state_at(59_000), State::Ready);
        assert!(matches!(health.state_at(70_000), State::Still(silent) if silent > STILL));
    }
}
