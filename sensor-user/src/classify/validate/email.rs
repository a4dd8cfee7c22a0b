//! E-mail addresses in the shape of RFC 5321, 4.1.2, without quoted local parts and address literals.

use super::{before, run};

/// Longest local part (RFC 5321, 4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// Longest domain (RFC 1035, 2.3.4).
const MAX_DOMAIN: usize = 253;

/// The address around the `@` at `at`: first byte and length.
pub(in crate::classify) fn around(value: &[u8], at: usize) -> Option<(usize, usize)> {
    let (front, back) = value.split_at_checked(at)?;
    let domain = domain(back.get(1..)?)?;
    let reach = front.len().min(MAX_LOCAL + 1);
    let local = front
        .iter()
        .rev()
        .take(reach)
        .position(|byte| !is(*byte, LOCAL))
        .unwrap_or(reach);
    if local == 0 || local > MAX_LOCAL {
        return None;
    }
    let start = at - local;
    let text = value.get(start..at)?;
    if text.starts_with(b".") || text.ends_with(b".") || text == b"git" || is_user_of_url(value, start) {
        return None;
    }
    Some((start, local + 1 + domain))
}

/// `scheme://user@host` and `scheme://user:password@host` name a user of a host, not a mailbox.
fn is_user_of_url(value: &[u8], start: usize) -> bool {
    match before(value, start) {
        Some(b'/') => true,
        Some(b':') => {
            let front = value.get(..start).unwrap_or_default();
            let word = front
                .iter()
                .rposition(u8::is_ascii_whitespace)
                .map_or(0, |at| at + 1);
            memchr::memmem::find(front.get(word..).unwrap_or_default(), b"://").is_some()
        }
        _ => false,
    }
}

/// Length of the domain at the front: at least two labels, the last a plausible top-level domain.
fn domain(bytes: &[u8]) -> Option<usize> {
    let bytes = bytes.get(..MAX_DOMAIN).unwrap_or(bytes);
    let mut end = run(bytes, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
    });
    // A sentence may end right after the address.
    while matches!(before(bytes, end), Some(b'.' | b'-')) {
        end -= 1;
    }
    let text = bytes.get(..end)?;
    let dot = memchr::memrchr(b'.', text)?;
    let last = text.get(dot + 1..)?;
    (is_top_level(last) && labels_fit(text)).then_some(end)
}

/// Labels are neither empty nor longer than 63 (RFC 1035, 2.3.4), and dashes stand within them.
fn labels_fit(text: &[u8]) -> bool {
    let fits =
        |label: &[u8]| (1..=63).contains(&label.len()) && !label.starts_with(b"-") && !label.ends_with(b"-");
    text.split(|byte| *byte == b'.').all(fits)
}

/// Two letters or more (RFC 3696, 2), and no file extension as in `logo@2x.png`.
fn is_top_level(label: &[u8]) -> bool {
    if !label.iter().all(u8::is_ascii_alphabetic) {
        return label.len() > 4 && label.starts_with(b"xn--");
    }
    // The longest extension below has four letters.
    let mut lower = [0; 4];
    let Some(lower) = lower.get_mut(..label.len()) else {
        return true;
    };
    lower.copy_from_slice(label);
    lower.make_ascii_lowercase();
    let file = matches!(
        &*lower,
        b"png"
            | b"jpg"
            | b"jpeg"
            | b"gif"
            | b"svg"
            | b"webp"
            | b"css"
            | b"js"
            | b"json"
            | b"html"
            | b"ico"
            | b"map"
    );
    label.len() >= 2 && !file
}

/// `atext` of RFC 5322, 3.2.3 and the dot, without what separates values in practice (`=`, `&`, `/`, `'` and more).
const LOCAL: u8 = 1;
/// Letters, digits, dash and dot (RFC 1123, 2.1).
const DOMAIN: u8 = 2;

#[inline]
fn is(byte: u8, kind: u8) -> bool {
    KINDS
        .get(usize::from(byte))
        .is_some_and(|kinds| kinds & kind != 0)
}

static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        kinds[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => LOCAL | DOMAIN,
            b'_' | b'+' | b'%' | b'~' | b'!' => LOCAL,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&str> {
        let at = text.find('@')?;
        let (start, len) = around(text.as_bytes(), at)?;
        text.get(start..start + len)
    }

    #[test]
    fn addresses_are_found_in_text() {
        assert_eq!(found("alice@example.com"), Some("alice@example.com"));
        assert_eq!(
            found("to <a.b+c@mail.example.co.uk>."),
            Some("a.b+c@mail.example.co.uk")
        );
        assert_eq!(found("write to bob@example.org."), Some("bob@example.org"));
        assert_eq!(found("mailto:bob@example.org"), Some("bob@example.org"));
    }

    #[test]
    fn near_misses_are_none() {
        for text in [
            "alice@localhost",
            "@mention",
            "logo@2x.png",
            "pkg@1.2.3",
            "git@github.com:a/b",
            "https://bob@example.org/",
            "https://bob:pw@example.org/",
            "a@b.c",
            "x.@example.org",
            "a@-b.org",
            "a@b..org",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
