//! How long is a body? RFC 9112, 6.3, and the one way in which what it leaves open is decided here:
//!
//! | seen | anomaly | parsed as |
//! | --- | --- | --- |
//! | `Transfer-Encoding` and `Content-Length` | `LengthAndChunked` | transfer coding wins |
//! | `Transfer-Encoding` in HTTP/1.0, or chunked named twice | `BadTransferEncoding` | chunked |
//! | request whose last coding is not chunked | `BadTransferEncoding` | end unknowable: skipped to the next start line |
//! | response whose last coding is not chunked | none | until the connection ends |
//! | `Content-Length` not a number, too big, or several that differ | `BadContentLength` | end unknowable |
//! | several equal `Content-Length` | none | that length |

use httparse::Header;

use super::{Anomalies, Anomaly};

/// What the fields say about the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Fields {
    pub(super) length: Length,
    pub(super) coding: Coding,
    /// The message has an `Upgrade` field.
    pub(super) upgrade: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Length {
    #[default]
    Absent,
    Known(u64),
    Bad,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Coding {
    #[default]
    Absent,
    /// Chunked is the last coding.
    Chunked,
    /// Chunked is the last coding and was applied before as well.
    ChunkedTwice,
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
    pub(super) fn of(headers: &[Header<'_>]) -> Self {
        let mut fields = Self::default();
        for header in headers {
            // By length first: most fields are dismissed without comparing a byte.
            match header.name.len() {
                7 if header.name.eq_ignore_ascii_case("upgrade") => fields.upgrade = true,
                14 if header.name.eq_ignore_ascii_case("content-length") => fields.length.add(header.value),
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    fields.coding.add(header.value);
                }
                _ => {}
            }
        }
        fields
    }

    pub(super) fn framing(self, version: u8, anomalies: &mut Anomalies) -> Framing {
        let twice = self.coding == Coding::ChunkedTwice;
        match (self.coding, self.length) {
            (Coding::Absent, Length::Absent) => return Framing::Unsaid,
            (Coding::Absent, Length::Known(length)) => return Framing::Length(length),
            (Coding::Absent, Length::Bad) => {
                anomalies.push(Anomaly::BadContentLength);
                return Framing::Unknowable;
            }
            (_, Length::Absent) => {}
            (_, Length::Known(_) | Length::Bad) => anomalies.push(Anomaly::LengthAndChunked),
        }
        // RFC 9112, 6.1: HTTP/1.0 has no transfer codings.
        if twice || version == 10 {
            anomalies.push(Anomaly::BadTransferEncoding);
        }
        if self.coding == Coding::Other {
            Framing::Coded
        } else {
            Framing::Chunked
        }
    }
}

impl Length {
    fn add(&mut self, value: &[u8]) {
        for item in value.split(|byte| *byte == b',') {
            *self = match (*self, number(item.trim_ascii())) {
                (Self::Absent, Some(length)) => Self::Known(length),
                (Self::Known(known), Some(length)) if known == length => Self::Known(known),
                _ => Self::Bad,
            };
        }
    }
}

/// `1*DIGIT` that fits into 64 bits; no sign, no base.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

impl Coding {
    fn add(&mut self, value: &[u8]) {
        for item in value.split(|byte| *byte == b',') {
            let name = item
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default()
                .trim_ascii();
            if name.is_empty() {
                continue;
            }
            let chunked = name.eq_ignore_ascii_case(b"chunked");
            *self = match (*self, chunked) {
                (Self::Chunked | Self::ChunkedTwice, true) => Self::ChunkedTwice,
                (_, true) => Self::Chunked,
                (_, false) => Self::Other,
            };
        }
        // An empty list names no coding, yet the field is there: no recipient agrees with another about it.
        if *self == Self::Absent {
            *self = Self::Other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(headers: &[(&'static str, &'static str)]) -> Fields {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        Fields::of(&headers)
    }

    #[test]
    fn lengths() {
        let length = |value| fields(&[("Content-Length", value)]).length;
        assert_eq!(length("0"), Length::Known(0));
        assert_eq!(length("18446744073709551615"), Length::Known(u64::MAX));
        assert_eq!(length("7, 7"), Length::Known(7));
        for bad in [
            "",
            "+7",
            "-7",
            "0x7",
            "7 7",
            "7,8",
            "18446744073709551616",
            "7;",
            "\u{660}",
        ] {
            assert_eq!(length(bad), Length::Bad, "{bad}");
        }
        let twice = |a, b| fields(&[("content-length", a), ("CONTENT-LENGTH", b)]).length;
        assert_eq!(twice("7", "07"), Length::Known(7));
        assert_eq!(twice("7", "8"), Length::Bad);
        assert_eq!(twice("x", "7"), Length::Bad);
    }

    #[test]
    fn codings() {
        let coding = |value| fields(&[("Transfer-Encoding", value)]).coding;
        assert_eq!(coding("Chunked"), Coding::Chunked);
        assert_eq!(coding("gzip , chunked"), Coding::Chunked);
        assert_eq!(coding("chunked, chunked"), Coding::ChunkedTwice);
        for other in ["", "identity", "chunked, gzip", "xchunked", "chunked\u{b}"] {
            assert_eq!(coding(other), Coding::Other, "{other}");
        }
    }

    #[test]
    fn disagreements_are_marked() {
        let judge = |headers, version| {
            let mut anomalies = Anomalies::new();
            let framing = fields(headers).framing(version, &mut anomalies);
            (framing, anomalies.to_vec())
        };
        let both: &[_] = &[("Content-Length", "5"), ("Transfer-Encoding", "chunked")];
        assert_eq!(
            judge(both, 11),
            (Framing::Chunked, vec![Anomaly::LengthAndChunked])
        );
        assert_eq!(
            judge(&both[1..], 10),
            (Framing::Chunked, vec![Anomaly::BadTransferEncoding])
        );
        assert_eq!(
            judge(&[("Content-Length", "x")], 11),
            (Framing::Unknowable, vec![Anomaly::BadContentLength])
        );
        assert_eq!(judge(&[], 11), (Framing::Unsaid, vec![]));
    }
}
