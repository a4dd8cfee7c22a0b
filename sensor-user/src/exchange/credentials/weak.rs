//! Secrets that people sign tokens with because a tutorial did.
//!
//! Takes a token signed with HMAC. Gives whether one of a short list of secrets signed it. Never guesses beyond the list:
//! this is a check for known defaults, not an attack. Bounded by the list and [`MAX_SIGNED`].

use sha2::{Digest, Sha256, Sha384, Sha512};

use super::basic::undo;
use super::claims::Algorithm;
use super::jwt::Parts;

/// Signed bytes of a token that is tried: as many compressions for each secret.
const MAX_SIGNED: usize = 4096;

/// Defaults of libraries, frameworks, tutorials and debuggers, and what people type first.
const SECRETS: &[&str] = &[
    "",
    "secret",
    "Secret",
    "SECRET",
    "secret123",
    "secretkey",
    "secret-key",
    "secret_key",
    "supersecret",
    "super-secret",
    "super_secret",
    "supersecretkey",
    "mysecret",
    "my-secret",
    "mysecretkey",
    "my-secret-key",
    "my_secret_key",
    "topsecret",
    "your-256-bit-secret",
    "your-384-bit-secret",
    "your-512-bit-secret",
    "a-string-secret-at-least-256-bits-long",
    "your-secret-key",
    "your_secret_key",
    "your-secret",
    "jwt",
    "jwtsecret",
    "jwt-secret",
    "jwt_secret",
    "jwt_secret_key",
    "JWT_SECRET",
    "key",
    "private",
    "privatekey",
    "password",
    "password1",
    "Password1",
    "passw0rd",
    "123456",
    "12345678",
    "123456789",
    "1234567890",
    "qwerty",
    "admin",
    "test",
    "testing",
    "example",
    "example_key",
    "changeme",
    "change-me",
    "default",
    "development",
    "shhhhh",
    "keyboard cat",
    "crapi",
    "random",
];

/// What trying the list on a token costs, in trials of a short one. A hash takes two blocks beside those that are
/// signed; a short token has five of 64 bytes.
pub(super) fn cost(parts: Parts<'_>) -> u32 {
    const SHORT: usize = 5 * 64;
    u32::try_from(parts.signed.len().min(MAX_SIGNED).div_ceil(SHORT))
        .unwrap_or(u32::MAX)
        .max(1)
}

/// Whether one of [`SECRETS`] signed it; `None` when that was not tried.
pub(super) fn is_guessable(parts: Parts<'_>, algorithm: Algorithm) -> Option<bool> {
    if parts.signed.len() > MAX_SIGNED || parts.signature.is_empty() {
        return None;
    }
    let mut signature = Vec::with_capacity(64);
    undo(parts.signature, &mut signature)?;
    let test: fn(&[u8], &[u8], &[u8]) -> bool = match algorithm {
        Algorithm::Hs256 => signs::<Sha256, 64>,
        Algorithm::Hs384 => signs::<Sha384, 128>,
        Algorithm::Hs512 => signs::<Sha512, 128>,
        _ => return None,
    };
    Some(
        SECRETS
            .iter()
            .any(|secret| test(secret.as_bytes(), parts.signed, &signature)),
    )
}

/// HMAC (RFC 2104) with a hash whose blocks have `BLOCK` bytes; no secret of the list is longer than one.
fn signs<D: Digest, const BLOCK: usize>(secret: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    let pad = |mask: u8| {
        let mut block = [mask; BLOCK];
        block.iter_mut().zip(secret).for_each(|(pad, byte)| *pad ^= byte);
        block
    };
    let inner = D::new().chain_update(pad(0x36)).chain_update(signed).finalize();
    let outer = D::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    outer.as_slice() == signature
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn the_hmac_is_one() {
        let signature = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
            0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        ];
        let message = b"what do ya want for nothing?";
        assert!(signs::<Sha256, 64>(b"Jefe", message, &signature));
        assert!(!signs::<Sha256, 64>(b"jefe", message, &signature));
    }

    #[test]
    fn no_secret_is_longer_than_a_block() {
        assert!(SECRETS.iter().all(|secret| secret.len() <= 64));
    }
}
