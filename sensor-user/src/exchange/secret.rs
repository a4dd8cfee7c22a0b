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

impl CallerHash {
    /// Of random bytes: the first eight of them, to choose a place in a table by.
    pub fn front(self) -> u64 {
        self.0.first_chunk().map_or(0, |front| u64::from_le_bytes(*front))
    }
}

/// Keyed hash of a value under the installation's key and, while keys are being changed, under the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyedHash {
    /// Under the key in force.
    pub now: CallerHash,
    /// Under the key before it, if that is known.
    pub before: Option<CallerHash>,
}

/// What is hashed: equal bytes of different meaning are different hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Domain {
    /// A token, session or key, wherever it was.
    Secret = 1,
    /// The name that somebody logs in with.
    Login = 2,
    /// Issuer and subject of a token.
    Subject = 3,
    /// An application: client id of OAuth.
    Client = 4,
    /// Who issued a token.
    Issuer = 5,
    /// Whom a token is for.
    Audience = 6,
    /// A role, group or scope.
    Attribute = 7,
    /// A tenant.
    Tenant = 8,
    /// A client's address.
    Address = 9,
    /// The key of [`super::value::ValueKey`] for values.
    Values = 10,
    /// The key of [`super::value::ValueKey`] for names.
    Names = 11,
    /// Nothing: tells one key from another.
    Installation = 12,
}

/// The installation's key, and the one before it while keys are being changed.
#[derive(Clone)]
pub struct HashKey {
    key: [u8; 32],
    previous: Option<[u8; 32]>,
}

impl HashKey {
    /// Takes 32 random bytes.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key, previous: None }
    }

    /// Takes the key in force and the one before it, whose hashes are still to be recognised.
    pub const fn rotated(key: [u8; 32], previous: [u8; 32]) -> Self {
        Self {
            key,
            previous: Some(previous),
        }
    }

    /// A seed for hashes that stay inside: nobody without the key can make values that share one.
    pub fn seed(&self, purpose: &[u8]) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(purpose);
        let mut out = [0; 8];
        hasher.finalize_xof().fill(&mut out);
        u64::from_le_bytes(out)
    }

    /// What tells this key, and the one before it, from others; says nothing of the key.
    pub fn print(&self) -> KeyedHash {
        self.hash(Domain::Installation, Secret::new(b""), Secret::new(b""))
    }

    /// Hashes a value within its scope, such as the service that a login name belongs to.
    pub fn hash(&self, domain: Domain, scope: Secret<'_>, value: Secret<'_>) -> KeyedHash {
        let under = |key| keyed(key, domain, scope, value);
        KeyedHash {
            now: under(&self.key),
            before: self.previous.as_ref().map(under),
        }
    }
}

/// Keyed BLAKE3, cut to 128 bits.
fn keyed(key: &[u8; 32], domain: Domain, scope: Secret<'_>, value: Secret<'_>) -> CallerHash {
    let mut hasher = blake3::Hasher::new_keyed(key);
    // Lengths in front, so that scope and value cannot be taken for each other.
    let length = scope.expose().len() as u64;
    hasher.update(&[domain as u8]);
    hasher.update(&length.to_le_bytes());
    hasher.update(scope.expose());
    hasher.update(value.expose());
    let mut out = [0; 16];
    hasher.finalize_xof().fill(&mut out);
    CallerHash(out)
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key withheld]")
    }
}
