//! JSON Web Tokens (RFC 7519): claims written as an identity service does, signed or not.

use std::fmt::Write as _;

use super::ids::{self, Of};
use super::sha256;

/// How a token is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signed {
    /// By a key that nobody here has: 256 bytes that look like a signature.
    Rs256,
    /// By a secret anybody would guess.
    Guessable,
    /// By the public key as if it were a secret (the algorithm is confused).
    Confused,
    /// Not at all.
    None,
}

/// Secrets of tutorials.
const GUESSABLE: &[u8] = b"secret";
/// Stands for the bytes of the public key.
const PUBLIC_KEY: &[u8] =
    b"-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----\n";

/// Appends the token of these claims, a JSON object.
pub(crate) fn write(claims: &str, signed: Signed, seed: u64, number: u64, out: &mut String) {
    let header = match signed {
        Signed::Rs256 => r#"{"alg":"RS256","kid":"2026-a","typ":"JWT"}"#,
        Signed::Guessable | Signed::Confused => r#"{"alg":"HS256","typ":"JWT"}"#,
        Signed::None => r#"{"alg":"none","typ":"JWT"}"#,
    };
    let start = out.len();
    base64url(header.as_bytes(), out);
    out.push('.');
    base64url(claims.as_bytes(), out);
    let mac = |key: &[u8], out: &str| sha256::hmac(key, &out.as_bytes()[start..]);
    let signature = match signed {
        Signed::Rs256 => None,
        Signed::Guessable => Some(mac(GUESSABLE, out).to_vec()),
        Signed::Confused => Some(mac(PUBLIC_KEY, out).to_vec()),
        Signed::None => Some(Vec::new()),
    };
    out.push('.');
    match signature {
        Some(bytes) => base64url(&bytes, out),
        // 256 bytes are 342 digits.
        None => {
            let _fits = write!(out, "{}", ids::token(seed, Of::Signature, number, 342));
        }
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Without padding (RFC 7515, 2).
fn base64url(bytes: &[u8], out: &mut String) {
    digits(bytes, DIGITS, out);
}

/// With padding, as Basic credentials are written (RFC 7617).
pub(crate) fn base64(bytes: &[u8], out: &mut String) {
    digits(bytes, STANDARD, out);
    (0..(3 - bytes.len() % 3) % 3).for_each(|_| out.push('='));
}

fn digits(bytes: &[u8], alphabet: &[u8; 64], out: &mut String) {
    for three in bytes.chunks(3) {
        let value = three
            .iter()
            .fold(0_u32, |value, byte| value << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            out.push(alphabet[(value >> (18 - 6 * place) & 63) as usize] as char);
        }
    }
}

#[test]
fn a_token_is_that_of_the_rfc() {
    // RFC 7617, 2, and what Python's `hmac` says.
    let mut out = String::new();
    base64(b"Aladdin:open sesame", &mut out);
    assert_eq!(out, "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let mut token = String::new();
    write(r#"{"sub":"1"}"#, Signed::None, 1, 1, &mut token);
    assert_eq!(token, "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiIxIn0.");
    let mut signed = String::new();
    write(r#"{"sub":"1"}"#, Signed::Guessable, 1, 1, &mut signed);
    assert_eq!(signed, GUESSED);
}

const GUESSED: &str =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.8qZF8vbN3UpcanXFc-mPXJkOPN01-bRch8XX3rToP1U";
