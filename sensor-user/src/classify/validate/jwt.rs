//! JSON Web Tokens: three segments (JWS, RFC 7515, 7.1) or five (JWE, RFC 7516, 7.1), the first a JSON object with
//! an `alg` member.

use super::{is_base64url, run};
use crate::protocol::json::Walker;
use crate::protocol::walk::{Container, Ending, Scalar, Text, Visitor};

/// Bytes of a header segment that are decoded; headers with certificate chains are longer and are read up to here.
const HEADER_BYTES: usize = 768;

/// Length of the token at the front of `bytes`.
pub(in crate::classify) fn at_front(bytes: &[u8]) -> Option<usize> {
    let header = run(bytes, is_base64url);
    if !has_algorithm(bytes.get(..header)?) {
        return None;
    }
    let mut used = header;
    let mut dots = 0;
    while dots < 4 && bytes.get(used) == Some(&b'.') {
        let segment = run(bytes.get(used + 1..)?, is_base64url);
        if segment == 0 && dots == 0 {
            return None;
        }
        used += 1 + segment;
        dots += 1;
    }
    matches!(dots, 2 | 4).then_some(used)
}

fn has_algorithm(segment: &[u8]) -> bool {
    let mut decoded = [0; HEADER_BYTES];
    let Some(length) = decode(segment, &mut decoded) else {
        return false;
    };
    let mut search = Search::default();
    let mut walker = Walker::new(32);
    let fed = walker.feed(decoded.get(..length).unwrap_or_default(), &mut search);
    let whole = walker.finish(&mut search) == Ending::Complete;
    fed.is_ok() && search.found && (whole || length == HEADER_BYTES)
}

/// Looks for `alg` in the outermost object.
#[derive(Default)]
struct Search {
    depth: u32,
    found: bool,
}

impl Visitor for Search {
    fn open(&mut self, _container: Container) {
        self.depth += 1;
    }
    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
    fn key(&mut self, text: Text<'_>) {
        self.found |= self.depth == 1 && text.raw == b"alg";
    }
    fn scalar(&mut self, _kind: Scalar, _text: Text<'_>) {}
}

/// Decodes base64url without padding (RFC 4648, 5) until `out` is full; gives the bytes written.
fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut bits = 0_u32;
    let mut held = 0;
    let mut written = 0;
    for byte in text {
        bits = bits << 6 | sextet(*byte)?;
        held += 6;
        if held >= 8 {
            held -= 8;
            let Some(slot) = out.get_mut(written) else {
                return Some(written);
            };
            *slot = (bits >> held & 0xff).try_into().unwrap_or_default();
            written += 1;
        }
    }
    Some(written)
}

const fn sextet(byte: u8) -> Option<u32> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' | b'+' => 62,
        b'_' | b'/' => 63,
        _ => return None,
    } as u32)
}

/// Whether standard base64 text holds `user:password` (RFC 7617, 2).
pub(in crate::classify) fn is_basic(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    let text = text.split(|byte| *byte == b'=').next().unwrap_or_default();
    let mut decoded = [0; HEADER_BYTES];
    decode(text, &mut decoded)
        .is_some_and(|length| memchr::memchr(b':', decoded.get(..length).unwrap_or_default()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"alg":"HS256","typ":"JWT"}`, `{"sub":"1"}`, a made-up signature.
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";

    #[test]
    fn tokens_are_found() {
        assert_eq!(at_front(TOKEN.as_bytes()), Some(TOKEN.len()));
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.";
        assert_eq!(at_front(unsigned.as_bytes()), Some(unsigned.len()));
        let followed = format!("{TOKEN}, expires");
        assert_eq!(at_front(followed.as_bytes()), Some(TOKEN.len()));
    }

    #[test]
    fn near_misses_are_none() {
        for text in [
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0",
            "eyJ0eXAiOiJKV1QifQ.eyJzdWIiOiIxIn0.c2ln",
            "eyJhbGciOiJIUzI1Ni.eyJzdWIiOiIxIn0.c2ln",
            "eyJhbGciOiJub25lIn0..",
            "eyJ",
        ] {
            assert_eq!(at_front(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn basic_credentials_hold_a_colon() {
        assert!(is_basic(b"dXNlcjpwYXNz"));
        assert!(!is_basic(b"dXNlcg=="));
        assert!(!is_basic(b"***"));
    }
}
