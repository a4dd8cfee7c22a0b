//! How things stand with the API server of Kubernetes.
//!
//! Takes answers and failures of the watch, and how many pods are known. Bounded: four numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::contact::{Contact, Line};

/// The state, shared by reference.
#[derive(Default, Debug)]
pub struct ApiServer {
    /// Whether it answers the watch.
    pub line: Line,
    pods: AtomicU64,
}

impl ApiServer {
    /// Whether what is not known yet may come to be known.
    pub fn may_answer(&self) -> bool {
        matches!(self.line.contact(), Contact::Starting | Contact::InTouch)
    }

    /// Pods that are known.
    pub fn pods(&self, known: u64) {
        self.pods.store(known, Ordering::Relaxed);
    }

    /// Pods that are known.
    pub fn known_pods(&self) -> u64 {
        self.pods.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_waited_for_while_it_is_away() {
        let server = ApiServer::default();
        assert!(!server.may_answer());
        for (contact, may) in [
            (Contact::Starting, true),
            (Contact::Lost, false),
            (Contact::InTouch, true),
        ] {
            server.line.set(contact);
            assert_eq!(server.may_answer(), may, "{contact:?}");
        }
    }
}
