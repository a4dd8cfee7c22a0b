//! `application/x-www-form-urlencoded`, query strings and cookies: pairs of name and value.
//!
//! Takes bytes. Gives pairs as written, and their decoded form on request. Never allocates unless an escape is
//! there to undo, and then only in the buffer handed in. Bounded by the input: decoding never lengthens.

/// Pairs of a query string or form body, as written; a part without `=` has an empty value.
pub fn pairs(input: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    input
        .split(|byte| *byte == b'&')
        .filter(|part| !part.is_empty())
        .map(split_pair)
}

/// Pairs of a `Cookie` field (RFC 6265, 4.2.1), or of the parts of a `Set-Cookie` field, quotes removed.
pub fn cookies(input: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    input
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = split_pair(part);
            let inner = value
                .strip_prefix(b"\"")
                .and_then(|value| value.strip_suffix(b"\""));
            (name, inner.unwrap_or(value))
        })
}

/// Whether `+` stands for a space: in queries and forms, not in paths and cookies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plus {
    /// It does.
    Space,
    /// It does not.
    Literal,
}

/// Undoes percent-encoding (RFC 3986, 2.1). What is no escape stays as written. `scratch` is used only when there
/// is something to undo.
pub fn decode<'a>(raw: &'a [u8], plus: Plus, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let escaped = match plus {
        Plus::Space => memchr::memchr2(b'%', b'+', raw),
        Plus::Literal => memchr::memchr(b'%', raw),
    };
    let Some(first) = escaped else {
        return raw;
    };
    scratch.clear();
    let (plain, mut rest) = raw.split_at_checked(first).unwrap_or_default();
    scratch.extend_from_slice(plain);
    while let Some((byte, after)) = rest.split_first() {
        let decoded = if *byte == b'%' { hex2(after) } else { None };
        if let Some(value) = decoded {
            scratch.push(value);
            rest = after.get(2..).unwrap_or_default();
        } else {
            let space = *byte == b'+' && plus == Plus::Space;
            scratch.push(if space { b' ' } else { *byte });
            rest = after;
        }
    }
    scratch
}

fn split_pair(part: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', part) {
        Some(at) => (
            part.get(..at).unwrap_or_default(),
            part.get(at + 1..).unwrap_or_default(),
        ),
        None => (part, &[]),
    }
}

fn hex2(digits: &[u8]) -> Option<u8> {
    let high = char::from(*digits.first()?).to_digit(16)?;
    let low = char::from(*digits.get(1)?).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(raw: &[u8], plus: Plus) -> Vec<u8> {
        decode(raw, plus, &mut Vec::new()).to_vec()
    }

    #[test]
    fn pairs_are_split_at_the_first_equals_sign() {
        let all: Vec<_> = pairs(b"a=1&b=x=y&&flag&=v").collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b"x=y"), (b"flag", b""), (b"", b"v")];
        assert_eq!(all, expected);
    }

    #[test]
    fn cookies_lose_spaces_and_quotes() {
        let all: Vec<_> = cookies(b"sid=abc; theme=\"dark\";  q=\"open ;").collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"sid", b"abc"), (b"theme", b"dark"), (b"q", b"\"open")];
        assert_eq!(all, expected);
    }

    #[test]
    fn escapes_are_undone_and_broken_ones_kept() {
        assert_eq!(decoded(b"a%40b.c+d", Plus::Space), b"a@b.c d");
        assert_eq!(decoded(b"+49%zz%4", Plus::Literal), b"+49%zz%4");
        assert_eq!(decoded(b"%2B49", Plus::Space), b"+49");
    }

    #[test]
    fn nothing_is_copied_without_an_escape() {
        let mut scratch = Vec::new();
        assert_eq!(decode(b"plain", Plus::Space, &mut scratch), b"plain");
        assert_eq!(scratch.capacity(), 0);
    }

    proptest! {
        #[test]
        fn decoding_never_lengthens(raw in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(decoded(&raw, Plus::Space).len() <= raw.len());
        }
    }
}
