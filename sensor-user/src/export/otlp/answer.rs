//! What a receiver answers, and what follows from it.
//!
//! Takes status codes and bytes of a receiver, which may be anything. Gives an [`Answer`]. Bounded by [`LONGEST`].

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hyper::HeaderMap;
use prost::Message;

use crate::export::wording;

/// Bytes of an answer that are read; what a receiver has to say is shorter.
pub(super) const LONGEST: usize = 64 << 10;
/// Characters of a receiver's own words that are shown.
const WORDS: usize = 200;
/// Longest that a receiver may ask to be left alone.
const PATIENCE: Duration = Duration::from_mins(5);

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Taken, but for so many records.
    Taken {
        /// Records that the receiver refused, and why by its own words.
        rejected: u64,
        why: String,
    },
    /// To be sent again, not before so much time.
    Later { after: Option<Duration>, why: String },
    /// Not to be sent again.
    Refused { why: String },
}

/// `Export…ServiceResponse`: the same shape for each signal.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial: Option<Partial>,
}

#[derive(Clone, PartialEq, Message)]
struct Partial {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    message: String,
}

/// `google.rpc.Status`, as far as it is of use here.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Codes of gRPC that are sent again (OTLP specification, Failures). `RESOURCE_EXHAUSTED` only if the receiver says when.
const AGAIN: [u32; 6] = [1, 4, 10, 11, 14, 15];
const RESOURCE_EXHAUSTED: u32 = 8;

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Of HTTP: 429, 502, 503 and 504 are sent again (OTLP specification, Retryable Response Codes).
pub(super) fn of_http(status: u16, headers: &HeaderMap, body: &[u8]) -> Answer {
    match status {
        200..=299 => taken(body),
        429 | 502 | 503 | 504 => Answer::Later {
            after: retry_after(headers),
            why: format!("HTTP status {status}"),
        },
        _ => Answer::Refused {
            why: format!("HTTP status {status}"),
        },
    }
}

/// Of gRPC: the fields that hold the status (trailers, or the head of an answer without a body) and the messages.
pub(super) fn of_grpc(http: u16, fields: &HeaderMap, body: &[u8]) -> Answer {
    let code = fields.get("grpc-status").and_then(|code| code.to_str().ok());
    let Some(code) = code.and_then(|code| code.parse::<u32>().ok()) else {
        // No gRPC spoke (a proxy, say): gRPC's mapping of HTTP's codes has these to be unavailable.
        return match http {
            429 | 502 | 503 | 504 => later(None, format!("HTTP status {http} and no gRPC status")),
            _ => Answer::Refused {
                why: format!("HTTP status {http} and no gRPC status"),
            },
        };
    };
    if code == 0 {
        // One message: a byte that says whether it is compressed, which was not asked for, and four of its length.
        return taken(body.get(5..).unwrap_or_default());
    }
    let details = fields.get("grpc-status-details-bin").and_then(|text| {
        let bytes = STANDARD_NO_PAD
            .decode(text.as_bytes().trim_ascii_end().trim_suffix_of(b'='))
            .ok()?;
        Status::decode(bytes.as_slice()).ok()
    });
    let delay = details.as_ref().and_then(delay);
    let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    let said = fields.get("grpc-message").and_then(|said| said.to_str().ok());
    let why = format!(
        "gRPC status {} {}",
        name.unwrap_or(&"of no known name"),
        words(said.unwrap_or_default())
    );
    let why = why.trim_end().to_owned();
    if AGAIN.contains(&code) || code == RESOURCE_EXHAUSTED && delay.is_some() {
        later(delay, why)
    } else {
        Answer::Refused { why }
    }
}

const fn later(after: Option<Duration>, why: String) -> Answer {
    Answer::Later { after, why }
}

fn taken(body: &[u8]) -> Answer {
    let partial = Response::decode(body)
        .ok()
        .and_then(|response| response.partial)
        .unwrap_or_default();
    Answer::Taken {
        rejected: u64::try_from(partial.rejected).unwrap_or(0),
        why: words(&partial.message),
    }
}

fn delay(status: &Status) -> Option<Duration> {
    let detail = status
        .details
        .iter()
        .find(|detail| detail.kind.ends_with("google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(detail.value.as_slice()).ok()?.delay?;
    let seconds = u64::try_from(delay.seconds).ok()?;
    let nanos = u32::try_from(delay.nanos).ok()?.min(999_999_999);
    Some(Duration::new(seconds, nanos).min(PATIENCE))
}

/// `Retry-After` as seconds or as a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    let seconds = text.parse().map(Duration::from_secs).ok();
    let date = || {
        let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(until.duration_since(jiff::Timestamp::now())).ok()
    };
    seconds.or_else(date).map(|delay| delay.min(PATIENCE))
}

/// Somebody else's words, fit to be shown.
fn words(text: &str) -> String {
    let front: String = text.chars().take(WORDS).collect();
    wording::clean(&front).into_owned()
}

/// Base64 in trailers comes with padding and without.
trait TrimSuffix {
    fn trim_suffix_of(&self, byte: u8) -> &[u8];
}

impl TrimSuffix for [u8] {
    fn trim_suffix_of(&self, byte: u8) -> &[u8] {
        let end = self.iter().rposition(|one| *one != byte).map_or(0, |at| at + 1);
        self.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        fields.iter().map(field).collect()
    }

    fn is_later(answer: &Answer) -> bool {
        matches!(answer, Answer::Later { .. })
    }

    #[test]
    fn what_the_specification_lets_be_sent_again_is() {
        for status in [400, 401, 403, 404, 405, 413, 415, 500, 501, 505] {
            assert!(!is_later(&of_http(status, &HeaderMap::new(), b"")), "{status}");
        }
        for status in [429, 502, 503, 504] {
            assert!(is_later(&of_http(status, &HeaderMap::new(), b"")), "{status}");
        }
        for (code, name) in (0_u32..).zip(NAMES).skip(1) {
            let again = [
                "CANCELLED",
                "DEADLINE_EXCEEDED",
                "ABORTED",
                "OUT_OF_RANGE",
                "UNAVAILABLE",
                "DATA_LOSS",
            ];
            let answer = of_grpc(200, &headers(&[("grpc-status", &code.to_string())]), b"");
            assert_eq!(is_later(&answer), again.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_receiver_says_when() {
        let after = |value: &str| match of_http(503, &headers(&[("retry-after", value)]), b"") {
            Answer::Later { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("70000000"), Some(PATIENCE));
        assert_eq!(after("soon"), None);
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), None, "that is over");
        assert!(after("Wed, 21 Oct 2099 07:28:00 GMT").is_some());
        let info = RetryInfo {
            delay: Some(Delay {
                seconds: 3,
                nanos: 500_000_000,
            }),
        };
        let detail = Detail {
            kind: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: info.encode_to_vec(),
        };
        let status = Status {
            message: String::new(),
            details: vec![detail],
        };
        for engine in [&base64::engine::general_purpose::STANDARD, &STANDARD_NO_PAD] {
            let text = engine.encode(status.encode_to_vec());
            let answer = of_grpc(
                200,
                &headers(&[("grpc-status", "8"), ("grpc-status-details-bin", &text)]),
                b"",
            );
            assert!(
                matches!(&answer, Answer::Later { after: Some(after), .. } if after.as_millis() == 3_500),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn what_was_taken_in_part_is_told() {
        let partial = Partial {
            rejected: 3,
            message: "too\nmany".to_owned(),
        };
        let body = Response {
            partial: Some(partial),
        }
        .encode_to_vec();
        let expected = Answer::Taken {
            rejected: 3,
            why: "too?many".to_owned(),
        };
        assert_eq!(of_http(200, &HeaderMap::new(), &body), expected);
        let mut framed = vec![0, 0, 0, 0, u8::try_from(body.len()).unwrap()];
        framed.extend(body);
        assert_eq!(of_grpc(200, &headers(&[("grpc-status", "0")]), &framed), expected);
        assert_eq!(
            of_http(204, &HeaderMap::new(), b""),
            Answer::Taken {
                rejected: 0,
                why: String::new()
            }
        );
    }

    #[test]
    fn a_proxy_in_between_is_no_receiver() {
        assert!(is_later(&of_grpc(503, &HeaderMap::new(), b"<html>")));
        assert!(matches!(
            of_grpc(404, &HeaderMap::new(), b"<html>"),
            Answer::Refused { .. }
        ));
    }

    proptest! {
        #[test]
        fn any_answer_is_no_fault(status: u16, body: Vec<u8>, code in "[ -~]{0,4}", details in "[ -~]{0,60}") {
            let fields = headers(&[("grpc-status", &code), ("grpc-status-details-bin", &details), ("retry-after", &details)]);
            of_http(status, &fields, &body);
            of_grpc(status, &fields, &body);
        }
    }
}
