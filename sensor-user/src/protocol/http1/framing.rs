//! How long is a body? RFC 9112, 6.3, and the one way in which what it leaves open is decided here:
//!
//! | seen | anomaly | parsed as |
//! | --- | --- | --- |
//! | `Transfer-Encoding` and `Content-Length` | `LengthAndChunked` | transfer coding wins |
//! | `Transfer-Encoding` in HTTP/1.0 | `CodingInHttp10` | as in HTTP/1.1 |
//! | chunked named twice, or several `Transfer-Encoding` fields | `RepeatedTransferCoding` | one list; chunked once |
//! | a coding that is not registered, chunked with parameters | `UnknownTransferCoding` | only its place in the list counts |
//! | request whose last coding is not chunked | `BadTransferEncoding` | end unknowable: skipped to the next start line |
//! | response whose last coding is not chunked | none | until the connection ends |
//! | `Content-Length` not a number (sign, base, empty), or above 63 bits, which many take for negative | `BadContentLength` | end unknowable |
//! | several `Content-Length` that differ | `ConflictingLengths` | end unknowable |
//! | several equal `Content-Length` | `RepeatedLength` | that length |
//! | `Content-Length` with leading zeros | none | decimal |
//! | any of them in a 1xx, a 204, or the answer that opens a tunnel | `FramingNotAllowed` | no body |

use super::odd::{note, trim};
use super::{Anomalies, Anomaly};

/// Whether a name, of a known one's length, is that one. Most differ in the first byte.
fn is(name: &[u8], known: &[u8]) -> bool {
    name.first().map(u8::to_ascii_lowercase) == known.first().copied() && name.eq_ignore_ascii_case(known)
}

/// What the fields say about the body, and about the message as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is something that a field said, and no state"
)]
pub(super) struct Fields {
    pub(super) length: Length,
    /// More than one length was given.
    repeated_length: bool,
    pub(super) coding: Coding,
    /// More than one coding field, or chunked applied twice.
    repeated_coding: bool,
    unknown_coding: bool,
    /// The message has an `Upgrade` field.
    pub(super) upgrade: bool,
    /// `Connection` says that it is the last one, or that it is not.
    close: bool,
    keep_alive: bool,
    hosts: u8,
    /// A field that must not be among trailers.
    pub(super) forbids_trailer: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Length {
    #[default]
    Absent,
    Known(u64),
    Bad,
    Conflict,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Coding {
    #[default]
    Absent,
    /// Chunked is the last coding.
    Chunked,
    /// Something else is the last coding.
    Other,
}

/// What the fields amount to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// No field says anything.
    Unsaid,
    Length(u64),
    Chunked,
    /// A transfer coding that is not chunked.
    Coded,
    Unknowable,
}

impl Fields {
    /// Takes the next field.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        // Told by length first: most fields are none of these.
        match name.len() {
            4 if is(name, b"host") => {
                self.hosts = self.hosts.saturating_add(1);
                self.forbids_trailer = true;
            }
            7 if is(name, b"upgrade") => self.upgrade = true,
            10 if is(name, b"connection") => {
                // What nearly all say.
                if value == b"keep-alive" {
                    self.keep_alive = true;
                    return;
                }
                for option in value.split(|byte| *byte == b',').map(trim) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            13 if is(name, b"authorization") => self.forbids_trailer = true,
            14 if is(name, b"content-length") => {
                self.add_lengths(value);
                self.forbids_trailer = true;
            }
            17 if is(name, b"transfer-encoding") => {
                self.add_codings(value);
                self.forbids_trailer = true;
            }
            _ => {}
        }
    }

    /// The framing, and what is odd about it and the rest.
    pub(super) fn framing(&self, version: u8, anomalies: &mut Anomalies) -> Framing {
        if self.hosts > 1 {
            note(anomalies, Anomaly::RepeatedHost);
        }
        if self.coding == Coding::Absent {
            return self.by_length(anomalies);
        }
        if self.length != Length::Absent {
            note(anomalies, Anomaly::LengthAndChunked);
        }
        if self.repeated_coding {
            note(anomalies, Anomaly::RepeatedTransferCoding);
        }
        if self.unknown_coding {
            note(anomalies, Anomaly::UnknownTransferCoding);
        }
        if version == 10 {
            note(anomalies, Anomaly::CodingInHttp10);
        }
        if self.coding == Coding::Other {
            Framing::Coded
        } else {
            Framing::Chunked
        }
    }

    /// Whether the message is the last one on its connection (RFC 9112, 9.3).
    pub(super) fn closes(&self, version: u8) -> bool {
        self.close || (version == 10 && !self.keep_alive)
    }

    /// Whether a body is announced; a length of nothing announces none.
    pub(super) fn announces_body(&self) -> bool {
        self.coding != Coding::Absent || !matches!(self.length, Length::Absent | Length::Known(0))
    }

    fn by_length(&self, anomalies: &mut Anomalies) -> Framing {
        match self.length {
            Length::Absent => Framing::Unsaid,
            Length::Known(length) => {
                if self.repeated_length {
                    note(anomalies, Anomaly::RepeatedLength);
                }
                Framing::Length(length)
            }
            Length::Bad => {
                note(anomalies, Anomaly::BadContentLength);
                Framing::Unknowable
            }
            Length::Conflict => {
                note(anomalies, Anomaly::ConflictingLengths);
                Framing::Unknowable
            }
        }
    }

    fn add_lengths(&mut self, value: &[u8]) {
        for item in value.split(|byte| *byte == b',') {
            self.repeated_length |= self.length != Length::Absent;
            self.length = match (self.length, number(trim(item))) {
                (Length::Absent, Some(length)) => Length::Known(length),
                (Length::Known(known), Some(length)) if known == length => Length::Known(known),
                (Length::Known(_) | Length::Conflict, Some(_)) => Length::Conflict,
                _ => Length::Bad,
            };
        }
    }

    fn add_codings(&mut self, value: &[u8]) {
        self.repeated_coding |= self.coding != Coding::Absent;
        for item in value.split(|byte| *byte == b',') {
            let name = trim(item.split(|byte| *byte == b';').next().unwrap_or_default());
            if name.is_empty() {
                continue;
            }
            if name.eq_ignore_ascii_case(b"chunked") {
                self.repeated_coding |= self.coding == Coding::Chunked;
                self.unknown_coding |= item.contains(&b';');
                self.coding = Coding::Chunked;
            } else {
                self.unknown_coding |= !is_registered(name);
                self.coding = Coding::Other;
            }
        }
        // An empty list names no coding, yet the field is there: no recipient agrees with another about it.
        if self.coding == Coding::Absent {
            self.coding = Coding::Other;
            self.unknown_coding = true;
        }
    }
}

/// `1*DIGIT` that fits into 63 bits; no sign, no base.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        let number = number.checked_mul(10)?.checked_add(digit)?;
        (number <= MOST).then_some(number)
    })
}

/// Lengths above this are negative, or none, to recipients that count in signed numbers.
pub(super) const MOST: u64 = i64::MAX as u64;

/// Codings of RFC 9112, 7.2, beside chunked; `identity` was taken back (RFC 7230, A.2).
fn is_registered(name: &[u8]) -> bool {
    [&b"gzip"[..], b"deflate", b"compress", b"x-gzip", b"x-compress"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(headers: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in headers {
            fields.add(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    #[test]
    fn lengths() {
        let length = |value| fields(&[("Content-Length", value)]).length;
        assert_eq!(length("0"), Length::Known(0));
        assert_eq!(length("007"), Length::Known(7));
        assert_eq!(length("9223372036854775807"), Length::Known(MOST));
        assert_eq!(length("7, 7"), Length::Known(7));
        assert_eq!(length("7,8"), Length::Conflict);
        for bad in [
            "",
            "+7",
            "-7",
            "0x7",
            "7 7",
            "7\r\n 7",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "7;",
            "7,",
            "\u{660}",
        ] {
            assert_eq!(length(bad), Length::Bad, "{bad}");
        }
        let twice = |a, b| fields(&[("content-length", a), ("CONTENT-LENGTH", b)]).length;
        assert_eq!(twice("7", "07"), Length::Known(7));
        assert_eq!(twice("7", "8"), Length::Conflict);
        assert_eq!(twice("x", "7"), Length::Bad);
    }

    #[test]
    fn codings() {
        let coding = |value| fields(&[("Transfer-Encoding", value)]).coding;
        for chunked in [
            "Chunked",
            "gzip , chunked",
            "chunked, chunked",
            "\r\n chunked",
            "chunked;a=b",
        ] {
            assert_eq!(coding(chunked), Coding::Chunked, "{chunked}");
        }
        for other in [
            "",
            "identity",
            "chunked, gzip",
            "xchunked",
            "chunked\u{b}",
            "\u{c}chunked",
        ] {
            assert_eq!(coding(other), Coding::Other, "{other}");
        }
    }

    /// Fields, version, and what they come to.
    type Case = (
        &'static [(&'static str, &'static str)],
        u8,
        Framing,
        &'static [Anomaly],
    );

    fn cases() -> Vec<Case> {
        use Anomaly::{
            BadContentLength, CodingInHttp10, ConflictingLengths, LengthAndChunked, RepeatedHost,
            RepeatedLength, RepeatedTransferCoding, UnknownTransferCoding,
        };
        const LENGTH: (&str, &str) = ("Content-Length", "5");
        const CHUNKED: (&str, &str) = ("Transfer-Encoding", "chunked");
        vec![
            (&[LENGTH, CHUNKED], 11, Framing::Chunked, &[LengthAndChunked]),
            (&[CHUNKED], 10, Framing::Chunked, &[CodingInHttp10]),
            (
                &[("Content-Length", "x")],
                11,
                Framing::Unknowable,
                &[BadContentLength],
            ),
            (&[LENGTH, LENGTH], 11, Framing::Length(5), &[RepeatedLength]),
            (
                &[LENGTH, ("Content-Length", "6")],
                11,
                Framing::Unknowable,
                &[ConflictingLengths],
            ),
            (
                &[CHUNKED, CHUNKED],
                11,
                Framing::Chunked,
                &[RepeatedTransferCoding],
            ),
            (
                &[("Transfer-Encoding", "chunked, chunked")],
                11,
                Framing::Chunked,
                &[RepeatedTransferCoding],
            ),
            (
                &[("Transfer-Encoding", "x, chunked")],
                11,
                Framing::Chunked,
                &[UnknownTransferCoding],
            ),
            (
                &[("Transfer-Encoding", "xchunked")],
                11,
                Framing::Coded,
                &[UnknownTransferCoding],
            ),
            (
                &[("Host", "a"), ("host", "a")],
                11,
                Framing::Unsaid,
                &[RepeatedHost],
            ),
            (&[], 11, Framing::Unsaid, &[]),
        ]
    }

    #[test]
    fn disagreements_are_marked() {
        for (headers, version, framing, expected) in cases() {
            let mut anomalies = Anomalies::new();
            assert_eq!(
                fields(headers).framing(version, &mut anomalies),
                framing,
                "{headers:?}"
            );
            assert_eq!(anomalies.as_slice(), expected, "{headers:?}");
        }
    }
}
