//! Does a message start here? The search for a boundary and the recognition of the protocol share these answers.
//!
//! Takes the bytes from a candidate place on. Gives an answer that no further bytes would change. Bounded by
//! [`LINE`].

use std::num::NonZeroUsize;

/// What the bytes so far say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// A message starts here.
    Yes,
    /// None does.
    No,
    /// It depends on bytes to come.
    NeedMore(NonZeroUsize),
}

/// Bytes of a request line looked at: RFC 9112, 3 recommends to support 8000.
const LINE: usize = 8192;
/// Bytes of a method name; the longest registered one, UPDATEREDIRECTREF, has 17.
const METHOD: usize = 20;

/// A whole line `METHOD target HTTP/1.x`, the method in capital letters as all registered ones are.
pub(crate) fn request(input: &[u8]) -> Start {
    let method = input
        .iter()
        .take(METHOD + 1)
        .take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-')
        .count();
    match input.get(method) {
        None if method <= METHOD => return more(input),
        // Two letters at least: a single capital and a space begin many a text.
        Some(b' ') if (2..=METHOD).contains(&method) => {}
        _ => return Start::No,
    }
    match input.get(method + 1) {
        None => return more(input),
        // Origin, asterisk and absolute form (RFC 9112, 3.2); the authority form belongs to CONNECT alone.
        Some(b'/' | b'*' | b'h' | b'H') => {}
        Some(byte) if byte.is_ascii_graphic() && input.starts_with(b"CONNECT ") => {}
        Some(_) => return Start::No,
    }
    let looked_at = input.get(..LINE).unwrap_or(input);
    let Some(end) = memchr::memchr(b'\n', looked_at) else {
        return if input.len() < LINE {
            more(input)
        } else {
            Start::No
        };
    };
    let line = looked_at.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0") {
        Start::Yes
    } else {
        Start::No
    }
}

/// Methods of RFC 9110, 9, PATCH (RFC 5789) and QUERY. None is the end of another.
const METHODS: &[&[u8]] = &[
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
    b"QUERY ",
];

/// As [`request`], where the byte before is not known to end a line: what is left of `POST` behind a hole, `ST`, is no
/// method.
pub(crate) fn request_anywhere(input: &[u8]) -> Start {
    let begins = |method: &&[u8]| {
        let len = method.len().min(input.len());
        input.get(..len) == method.get(..len)
    };
    if METHODS.iter().any(begins) {
        request(input)
    } else {
        Start::No
    }
}

/// `HTTP/1.x NNN` and a delimiter.
pub(crate) fn response(input: &[u8]) -> Start {
    for index in 0..13 {
        let Some(byte) = input.get(index) else {
            return more(input);
        };
        let fits = match index {
            0..7 => b"HTTP/1.".get(index) == Some(byte),
            7 => matches!(byte, b'0' | b'1'),
            8 => *byte == b' ',
            9 => matches!(byte, b'1'..=b'9'),
            10 | 11 => byte.is_ascii_digit(),
            _ => matches!(byte, b' ' | b'\r' | b'\n'),
        };
        if !fits {
            return Start::No;
        }
    }
    Start::Yes
}

fn more(input: &[u8]) -> Start {
    Start::NeedMore(NonZeroUsize::MIN.saturating_add(input.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_are_told_from_text() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "M-SEARCH * HTTP/1.1\r\n",
            "CONNECT a.example:443 HTTP/1.0\n",
            "GET http://a.example/ HTTP/1.1\r\n",
        ] {
            assert_eq!(request(line.as_bytes()), Start::Yes, "{line}");
            for cut in 0..line.len() {
                assert!(
                    matches!(request(&line.as_bytes()[..cut]), Start::NeedMore(_)),
                    "{line} {cut}"
                );
            }
        }
        for text in [
            "GET /key\r\n",
            "A / HTTP/1.1\r\n",
            "get / HTTP/1.1\r\n",
            "EHLO example\r\n",
            "\x16\x03\x01",
            "GET / HTTP/2.0\r\n",
        ] {
            assert_eq!(request(text.as_bytes()), Start::No, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_method_is_none() {
        for method in METHODS {
            let line = [*method, b"/ HTTP/1.1\r\n"].concat();
            assert_eq!(request_anywhere(&line), Start::Yes);
            for cut in 1..method.len() {
                assert_eq!(request_anywhere(&line[cut..]), Start::No);
            }
        }
        assert_eq!(request_anywhere(b"SEARCH / HTTP/1.1\r\n"), Start::No);
    }

    #[test]
    fn status_lines_are_told_from_text() {
        for line in ["HTTP/1.1 200 OK", "HTTP/1.0 404\r", "HTTP/1.1 999\n"] {
            assert_eq!(response(line.as_bytes()), Start::Yes, "{line}");
            for cut in 0..13.min(line.len()) {
                assert!(
                    matches!(response(&line.as_bytes()[..cut]), Start::NeedMore(_)),
                    "{line} {cut}"
                );
            }
        }
        for text in [
            "HTTP/2 200 OK\r\n",
            "HTTP/1.1 2000\r\n",
            "HTTP/1.1 099 x",
            "http/1.1 200 ",
        ] {
            assert_eq!(response(text.as_bytes()), Start::No, "{text}");
        }
    }
}
