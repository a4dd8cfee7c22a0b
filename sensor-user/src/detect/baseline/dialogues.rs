//! Who logs in by messages of a longer exchange, such as a WebSocket.
//!
//! Takes parts of exchanges. Says whether a message to the server carried a password or secret shortly before on the same
//! connection, so that a token in the answer is what a login is for. Never keeps a value. Bounded by [`MAX_UNDER_WAY`].

use rustc_hash::FxHashMap;

use crate::capture::StreamKey;
use crate::classify::{DataKind, Half};
use crate::detect::Observation;
use crate::exchange::PartKind;

/// Connections on which somebody logs in at the same time. When more do, new ones are not remembered, and their answers
/// are told as any other.
const MAX_UNDER_WAY: usize = 1024;
/// A login is answered within a minute.
const PATIENCE_S: u32 = 60;

/// Logins under way, by connection.
#[derive(Debug, Default)]
pub(super) struct Dialogues(FxHashMap<StreamKey, u32>);

impl Dialogues {
    /// Whether somebody logs in on the connection.
    pub(super) fn observe(&mut self, seen: &Observation<'_>, now_s: u32) -> bool {
        let stream = seen.exchange.connection.stream;
        match seen.exchange.part {
            Some(PartKind::MessageToServer) => {
                if brings_secret(seen) && self.has_room(now_s) {
                    self.0.insert(stream, now_s);
                }
                false
            }
            Some(PartKind::MessageToClient | PartKind::Event) => {
                let since = self.0.get(&stream);
                since.is_some_and(|since| now_s.saturating_sub(*since) <= PATIENCE_S)
            }
            None => false,
        }
    }

    fn has_room(&mut self, now_s: u32) -> bool {
        if self.0.len() >= MAX_UNDER_WAY {
            self.0
                .retain(|_, since| now_s.saturating_sub(*since) <= PATIENCE_S);
        }
        self.0.len() < MAX_UNDER_WAY
    }
}

fn brings_secret(seen: &Observation<'_>) -> bool {
    seen.labels.found.iter().any(|label| {
        label.place.half == Half::Request
            && matches!(
                label.kind,
                DataKind::Password | DataKind::SecretField | DataKind::Jwt
            )
    })
}
