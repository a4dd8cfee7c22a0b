//! What the server made of the credentials.

use crate::exchange::call::CallOutcome;
use crate::exchange::{Exchange, Response, Secret};

/// What the server answered, as far as credentials go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Answer {
    /// It did what was asked.
    Accepted,
    /// It sent the client elsewhere (3xx).
    Redirected,
    /// It wants other credentials (401; 16 of gRPC).
    Unauthenticated,
    /// It knows the caller and refuses (403; 7 of gRPC), or wants other credentials without saying so.
    Forbidden,
    /// Nothing is known: an error of another kind, or no answer.
    #[default]
    Unknown,
}

impl Answer {
    /// Of an exchange.
    pub fn of(exchange: &Exchange) -> Self {
        let Some(response) = exchange.outcome.response() else {
            return Self::Unknown;
        };
        match response.status {
            401 => return Self::Unauthenticated,
            403 => return Self::Forbidden,
            300..=399 => return Self::Redirected,
            200..=299 => {}
            _ => return Self::Unknown,
        }
        if exchange.is_success() {
            return Self::Accepted;
        }
        // Status codes of gRPC (google.rpc.Code); JSON-RPC has negative ones of its own.
        let failed = |code| {
            exchange
                .calls
                .iter()
                .any(|call| call.outcome == CallOutcome::Failure(code))
        };
        if failed(16) {
            Self::Unauthenticated
        } else if failed(7) {
            Self::Forbidden
        } else {
            Self::Unknown
        }
    }

    /// The server refused.
    pub const fn is_refused(self) -> bool {
        matches!(self, Self::Unauthenticated | Self::Forbidden)
    }
}

/// Whether a redirect leads back to the form, or nowhere.
pub fn is_sent_back(response: &Response) -> bool {
    const BACK: [&[u8]; 5] = [b"error", b"fail", b"login", b"signin", b"denied"];
    let to = response.head.header("location").map(Secret::expose);
    let to = to.unwrap_or_default().to_ascii_lowercase();
    to.is_empty() || BACK.iter().any(|word| memchr::memmem::find(&to, word).is_some())
}
