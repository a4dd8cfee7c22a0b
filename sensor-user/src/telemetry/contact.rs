//! Whether somebody who is asked over the network answers.
//!
//! Takes answers and failures. Gives a state and since when it holds. Bounded: three numbers.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// State of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Contact {
    /// Nobody asks.
    Off,
    /// It was asked and has not answered yet.
    Starting,
    /// Its last answer was a good one.
    InTouch,
    /// It did not answer, or refused.
    Lost,
}

/// The state, shared by reference.
#[derive(Debug)]
pub struct Line {
    start: Instant,
    contact: AtomicU8,
    since_ms: AtomicU64,
}

impl Default for Line {
    #[expect(
        clippy::disallowed_methods,
        reason = "since when somebody is away is no matter of the traffic's clock"
    )]
    fn default() -> Self {
        Self {
            start: Instant::now(),
            contact: AtomicU8::new(Contact::Off as u8),
            since_ms: AtomicU64::new(0),
        }
    }
}

impl Line {
    /// Takes the state over; whether it is another than before.
    pub fn set(&self, contact: Contact) -> bool {
        let changed = self.contact.swap(contact as u8, Ordering::AcqRel) != contact as u8;
        if changed {
            self.since_ms.store(self.now_ms(), Ordering::Relaxed);
        }
        changed
    }

    /// The state.
    pub fn contact(&self) -> Contact {
        let state = self.contact.load(Ordering::Acquire);
        let all = [Contact::Off, Contact::Starting, Contact::InTouch, Contact::Lost];
        all.into_iter()
            .find(|contact| *contact as u8 == state)
            .unwrap_or(Contact::Off)
    }

    /// How long it holds.
    pub fn since(&self) -> Duration {
        Duration::from_millis(
            self.now_ms()
                .saturating_sub(self.since_ms.load(Ordering::Relaxed)),
        )
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_holds_until_another_is_told() {
        let line = Line::default();
        assert_eq!(line.contact(), Contact::Off);
        assert!(line.set(Contact::Starting) && line.set(Contact::Lost));
        assert!(!line.set(Contact::Lost), "the same again");
        assert_eq!(line.contact(), Contact::Lost);
        assert!(line.set(Contact::InTouch));
        assert_eq!(line.contact(), Contact::InTouch);
    }
}
