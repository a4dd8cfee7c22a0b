//! One file per kind of data: each validator takes bytes around a candidate and says whether it is one.

pub(super) mod card;
pub(super) mod email;
pub(super) mod iban;
pub(super) mod jwt;
pub(super) mod phone;
pub(super) mod ssn;
pub(super) mod token;

use super::{Confidence, DataKind};

/// A value found inside a longer one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hit {
    /// Kind.
    pub(super) kind: DataKind,
    /// How sure.
    pub(super) confidence: Confidence,
    /// First byte.
    pub(super) start: usize,
    /// Bytes.
    pub(super) len: usize,
}

/// The byte before `at`.
pub(super) fn before(value: &[u8], at: usize) -> Option<u8> {
    value.get(at.checked_sub(1)?).copied()
}

/// Length of the front of `bytes` whose every byte satisfies `accept`.
pub(super) fn run(bytes: &[u8], accept: impl Fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .position(|byte| !accept(*byte))
        .unwrap_or(bytes.len())
}

/// Alphabet of base64url (RFC 4648, 5).
pub(super) const fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
