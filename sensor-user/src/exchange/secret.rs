//! The redaction boundary: a value of the observed application that can be neither printed nor serialised.

use std::fmt;

/// Bytes of an observed application. `Debug` gives the length; there is no `Display`, `Serialize` or `Deref`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'a>(&'a [u8]);

impl<'a> Secret<'a> {
    /// Wraps a value.
    pub const fn new(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// The bytes, for matching and hashing. Whatever leaves the sensor is made from a label, never from these.
    pub const fn expose(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes withheld]", self.0.len())
    }
}

/// Keyed hash of a credential: equal for equal credentials of one installation, useless elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerHash(pub [u8; 16]);

impl fmt::Display for CallerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CallerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The installation's key.
#[derive(Clone)]
pub struct HashKey([u8; 32]);

impl HashKey {
    /// Takes 32 random bytes.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Keyed BLAKE3, cut to 128 bits; `domain` keeps kinds of credentials apart.
    pub fn hash(&self, domain: u8, value: Secret<'_>) -> CallerHash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[domain]);
        hasher.update(value.expose());
        let mut out = [0; 16];
        hasher.finalize_xof().fill(&mut out);
        CallerHash(out)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key withheld]")
    }
}
