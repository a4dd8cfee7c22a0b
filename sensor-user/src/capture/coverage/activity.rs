//! What was seen of a process, in the figures an operator asks for.

use sensor_common::account::Entry;
use serde::Serialize;

use crate::telemetry::ledger::{Account, Post};

/// What was seen of a process while the sensor watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Activity {
    /// Calls of its TLS libraries that moved bytes.
    pub tls_calls: u64,
    /// Bytes they moved.
    pub tls_bytes: u64,
    /// Nanoseconds since the last of them.
    pub tls_idle_ns: Option<u64>,
    /// Calls on sockets that moved bytes, outside of TLS calls.
    pub socket_calls: u64,
    /// Bytes of sockets that were recognised as a plaintext API.
    pub plain_bytes: u64,
    /// Bytes of sockets that carry TLS.
    pub cipher_bytes: u64,
    /// Bytes of sockets on which no API was recognised.
    pub unknown_bytes: u64,
    /// Nanoseconds since the last call on a socket.
    pub socket_idle_ns: Option<u64>,
    /// Bytes in datagrams sent since it was seen to speak QUIC.
    pub datagram_bytes: u64,
    /// Bytes captured.
    pub captured_bytes: u64,
    /// Bytes that should have been captured and were not.
    pub lost_bytes: u64,
    /// Of those, bytes for which the ring had no room.
    pub ring_full_bytes: u64,
    /// Bytes parsed as heads and bodies of messages.
    pub parsed_bytes: u64,
    /// Bytes captured in which nothing was recognised, or a protocol that is not read.
    pub unparsed_bytes: u64,
}

impl Activity {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (sum, value) in [
            (&mut self.tls_calls, other.tls_calls),
            (&mut self.tls_bytes, other.tls_bytes),
            (&mut self.socket_calls, other.socket_calls),
            (&mut self.plain_bytes, other.plain_bytes),
            (&mut self.cipher_bytes, other.cipher_bytes),
            (&mut self.unknown_bytes, other.unknown_bytes),
            (&mut self.datagram_bytes, other.datagram_bytes),
            (&mut self.captured_bytes, other.captured_bytes),
            (&mut self.lost_bytes, other.lost_bytes),
            (&mut self.ring_full_bytes, other.ring_full_bytes),
            (&mut self.parsed_bytes, other.parsed_bytes),
            (&mut self.unparsed_bytes, other.unparsed_bytes),
        ] {
            *sum = sum.saturating_add(value);
        }
        self.tls_idle_ns = sooner(self.tls_idle_ns, other.tls_idle_ns);
        self.socket_idle_ns = sooner(self.socket_idle_ns, other.socket_idle_ns);
        self
    }

    /// Of an account at a time of the monotonic clock.
    pub fn of(account: &Account, now_ns: u64) -> Self {
        let since = |entry| match account.kernel(entry) {
            0 => None,
            last => Some(now_ns.saturating_sub(last)),
        };
        let (cipher, unknown) = (
            account.kernel(Entry::CipherBytes),
            account.kernel(Entry::UnknownBytes),
        );
        let socket = account.kernel(Entry::SocketBytes);
        let parsed = account.parsed_bytes();
        Self {
            tls_calls: account.kernel(Entry::TlsCalls),
            tls_bytes: account.kernel(Entry::TlsBytes),
            tls_idle_ns: since(Entry::LastTlsNs),
            socket_calls: account.kernel(Entry::SocketCalls),
            plain_bytes: socket.saturating_sub(cipher).saturating_sub(unknown),
            cipher_bytes: cipher,
            unknown_bytes: unknown,
            socket_idle_ns: since(Entry::LastSocketNs),
            datagram_bytes: account.kernel(Entry::DatagramBytes),
            captured_bytes: account.kernel(Entry::SubmittedBytes),
            lost_bytes: account.lost_bytes(),
            ring_full_bytes: account.kernel(Entry::RingFullBytes),
            parsed_bytes: parsed,
            unparsed_bytes: account.user(Post::OrderedBytes).saturating_sub(parsed),
        }
    }
}

fn sooner(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}
