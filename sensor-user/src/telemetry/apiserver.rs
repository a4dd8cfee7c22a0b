//! How things stand with the API server of Kubernetes.
//!
//! Takes answers and failures. Gives a state and since when it holds. Bounded: four numbers.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// State of the watch.
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
pub struct ApiServer {
    start: Instant,
    contact: AtomicU8,
    since_ms: AtomicU64,
    pods: AtomicU64,
}

impl Default for ApiServer {
    #[expect(
        clippy::disallowed_methods,
        reason = "since when a server is away is no matter of the traffic's clock"
    )]
    fn default() -> Self {
        Self {
            start: Instant::now(),
            contact: AtomicU8::new(Contact::Off as u8),
            since_ms: AtomicU64::new(0),
            pods: AtomicU64::new(0),
        }
    }
}

impl ApiServer {
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

    /// Whether what is not known yet may come to be known.
    pub fn may_answer(&self) -> bool {
        matches!(self.contact(), Contact::Starting | Contact::InTouch)
    }

    /// Pods that are known.
    pub fn pods(&self, known: u64) {
        self.pods.store(known, Ordering::Relaxed);
    }

    /// Pods that are known.
    pub fn known_pods(&self) -> u64 {
        self.pods.load(Ordering::Relaxed)
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
        let server = ApiServer::default();
        assert_eq!(server.contact(), Contact::Off);
        assert!(server.set(Contact::Starting) && server.may_answer());
        assert!(server.set(Contact::Lost) && !server.may_answer());
        assert!(!server.set(Contact::Lost), "the same again");
        assert_eq!(server.contact(), Contact::Lost);
        assert!(server.set(Contact::InTouch) && server.may_answer());
    }
}
