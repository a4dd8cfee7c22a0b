//! Which protocol does a stream speak?
//!
//! Takes a prefix of one direction's bytes. Gives a verdict that no further bytes change, cheapest check first, and
//! says so when nothing is recognised. Never guesses: a false verdict costs a connection, a missing one is looked for
//! again at the next call's bytes. Bounded by the length of a request line and of a frame.

use std::num::NonZeroUsize;

use super::http1::start::{self, Start};
use super::http2::PREFACE as HTTP2_PREFACE;
use super::http2::front::{self, Beginning};

/// What a prefix is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// HTTP/1 request: this direction goes to the server.
    Http1Request,
    /// HTTP/1 response: this direction goes to the client.
    Http1Response,
    /// HTTP/2 with prior knowledge or by ALPN: the client's preface (RFC 9113, 3.4).
    Http2,
    /// HTTP/2 from the server's first frame on.
    Http2Server,
    /// HTTP/2 joined at a frame of the client.
    Http2Requests,
    /// HTTP/2 joined at a frame of the server.
    Http2Responses,
    /// TLS records (RFC 8446, 5.1): ciphertext.
    Tls,
    /// Call again once this many bytes are there.
    NeedMore(NonZeroUsize),
    /// None of these.
    Unknown,
}

/// Looks at the first bytes of a direction.
pub fn detect(prefix: &[u8]) -> Verdict {
    match prefix.first() {
        None => Verdict::NeedMore(NonZeroUsize::MIN),
        Some(0x14..=0x17) => tls(prefix),
        Some(b'P') if HTTP2_PREFACE.starts_with(prefix.get(..HTTP2_PREFACE.len()).unwrap_or(prefix)) => {
            if prefix.len() >= HTTP2_PREFACE.len() {
                Verdict::Http2
            } else {
                more(prefix)
            }
        }
        Some(b'H') => match start::response(prefix) {
            Start::Yes => Verdict::Http1Response,
            Start::No => request(prefix),
            Start::NeedMore(at_least) => Verdict::NeedMore(at_least),
        },
        Some(b'A'..=b'Z') => request(prefix),
        Some(0) => frames(prefix),
        Some(_) => Verdict::Unknown,
    }
}

fn request(prefix: &[u8]) -> Verdict {
    match start::request(prefix) {
        Start::Yes => Verdict::Http1Request,
        Start::No => Verdict::Unknown,
        Start::NeedMore(at_least) => Verdict::NeedMore(at_least),
    }
}

/// Frames of less than 64 KiB begin with a zero.
fn frames(prefix: &[u8]) -> Verdict {
    match front::begins(prefix) {
        Beginning::Server => Verdict::Http2Server,
        Beginning::Requests => Verdict::Http2Requests,
        Beginning::Responses => Verdict::Http2Responses,
        Beginning::NeedMore(at_least) => Verdict::NeedMore(at_least),
        Beginning::No => Verdict::Unknown,
    }
}

/// Content types 20 to 23 and a legacy version of 0x0300 to 0x0304.
fn tls(prefix: &[u8]) -> Verdict {
    match prefix {
        [_] | [_, 3] => more(prefix),
        [_, 3, 0..=4, ..] => Verdict::Tls,
        _ => Verdict::Unknown,
    }
}

fn more(prefix: &[u8]) -> Verdict {
    Verdict::NeedMore(NonZeroUsize::MIN.saturating_add(prefix.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &[(&[u8], Verdict)] = &[
        (b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", Verdict::Http1Request),
        (b"HEAD /a HTTP/1.1\r\n", Verdict::Http1Request),
        (b"HTTP/1.1 200 OK\r\n", Verdict::Http1Response),
        (HTTP2_PREFACE, Verdict::Http2),
        (b"PROPFIND / HTTP/1.1\r\n", Verdict::Http1Request),
        (b"\x16\x03\x01\x02\x00", Verdict::Tls),
        (b"\x17\x03\x03\x40\x00", Verdict::Tls),
        (b"\x16\x04", Verdict::Unknown),
        (b"SSH-2.0-OpenSSH\r\n", Verdict::Unknown),
        (b"*1\r\n$4\r\nPING\r\n", Verdict::Unknown),
        (b"GET /redis-key\r\n", Verdict::Unknown),
        (b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x80", Verdict::Http2Server),
        // Settings that nobody registered, and an odd length.
        (b"\0\0\x06\x04\0\0\0\0\0\x71\x03\0\0\0\x80", Verdict::Unknown),
        (b"\0\0\x13\x04\0\0\0\0\0", Verdict::Unknown),
        (b"\0\0\x03\x01\x05\0\0\0\x07\x82\x87\x84", Verdict::Http2Requests),
        // An even stream is no client's.
        (b"\0\0\x03\x01\x05\0\0\0\x08\x82\x87\x84", Verdict::Unknown),
        (
            b"\0\0\x01\x01\x04\0\0\0\x07\x88\0\0\x02\0\x01\0\0\0\x07",
            Verdict::Http2Responses,
        ),
        (b"\0\0\x01\x01\x04\0\0\0\x07\x88{\"a\":1}  ", Verdict::Unknown),
        // Big-endian numbers of four bytes.
        (
            b"\0\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x03",
            Verdict::Unknown,
        ),
    ];

    #[test]
    fn protocols_are_recognised() {
        for (prefix, verdict) in CASES {
            assert_eq!(
                detect(prefix),
                *verdict,
                "{:?}",
                prefix.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn a_shorter_prefix_never_says_otherwise() {
        for (prefix, verdict) in CASES {
            for cut in 0..prefix.len() {
                let early = detect(&prefix[..cut]);
                assert!(
                    early == *verdict || matches!(early, Verdict::NeedMore(n) if n.get() > cut),
                    "{:?} {cut} {early:?}",
                    prefix.escape_ascii().to_string()
                );
            }
        }
    }
}
