//! gRPC and gRPC-Web: which messages carry them, their method, frames and status.
//!
//! Takes heads, bodies and trailers as HTTP gave them. Gives names, [`Frame`]s and [`Status`]. Never decodes what a
//! frame holds. Bounded by [`MAX_MESSAGE`] and [`MAX_TRAILERS`].
//!
//! Rules: PROTOCOL-HTTP2.md and PROTOCOL-WEB.md in `grpc/grpc`, folder `doc`.

mod base64;
mod framing;
mod unframe;

pub use base64::Decoder;
pub use framing::{Event, Frame, Framer, HEADER_BYTES};
pub use unframe::{Fault, Unframer};

/// Bytes of one message above which the peers' own libraries refuse it unless told otherwise: 4 MiB in grpc-go,
/// grpc-java and the C core.
pub const MAX_MESSAGE: u32 = 4 * 1024 * 1024;

/// Bytes of the trailers in a gRPC-Web body that are kept: what common servers accept of a head at most is 8 to 16 KiB.
pub const MAX_TRAILERS: usize = 16 * 1024;

/// Codes of a status (statuscodes.md); the last is `UNAUTHENTICATED`.
const LAST_CODE: u32 = 16;

/// Which protocol a message speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Media {
    /// How its frames travel.
    pub carrier: Carrier,
    /// What they hold.
    pub format: Format,
}

/// How frames travel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// gRPC over HTTP/2: status in the trailers.
    Grpc,
    /// gRPC-Web: status in the body's last frame.
    Web,
    /// gRPC-Web with its body in base64.
    WebText,
}

/// What messages are written in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// Protobuf, which is also the default.
    Protobuf,
    /// JSON.
    Json,
    /// Something else.
    Other,
}

impl Media {
    /// By a `Content-Type` value; `None` when it is neither gRPC nor gRPC-Web.
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let media = content_type.trim_ascii_start();
        // One letter behind `application/` tells nearly all other types.
        if !matches!(media.get(12), Some(b'g' | b'G')) {
            return None;
        }
        let end = memchr::memchr(b';', media).unwrap_or(media.len());
        let media = media.get(..end)?.trim_ascii_end();
        // The longest first: each begins with the next.
        let known: [(&[u8], Carrier); 3] = [
            (b"application/grpc-web-text", Carrier::WebText),
            (b"application/grpc-web", Carrier::Web),
            (b"application/grpc", Carrier::Grpc),
        ];
        known.iter().find_map(|(name, carrier)| {
            let (front, back) = media.split_at_checked(name.len())?;
            let format = Format::of_suffix(back)?;
            front.eq_ignore_ascii_case(name).then_some(Self {
                carrier: *carrier,
                format,
            })
        })
    }
}

impl Format {
    fn of_suffix(suffix: &[u8]) -> Option<Self> {
        match suffix.split_first() {
            None => Some(Self::Protobuf),
            Some((b'+', name)) if name.eq_ignore_ascii_case(b"proto") => Some(Self::Protobuf),
            Some((b'+', name)) if name.eq_ignore_ascii_case(b"json") => Some(Self::Json),
            Some((b'+', _)) => Some(Self::Other),
            Some(_) => None,
        }
    }
}

/// `package.Service/Method` of a request's path; `None` when it names no method.
pub fn method(target: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b'?', target).unwrap_or(target.len());
    let path = target.get(..end)?.strip_prefix(b"/")?;
    let slash = memchr::memrchr(b'/', path)?;
    let (service, method) = (path.get(..slash)?, path.get(slash + 1..)?);
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/');
    let right =
        !service.is_empty() && !method.is_empty() && service.iter().all(letter) && method.iter().all(letter);
    right.then_some(path)
}

/// What came of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// `OK`.
    Ok,
    /// Another code.
    Failed(u32),
    /// `grpc-status` is no code.
    Bad,
}

impl Status {
    /// Reads a `grpc-status` value. Codes above 16 are not defined, and clients take them for `UNKNOWN`.
    pub fn of(value: &[u8]) -> Self {
        let value = value.trim_ascii();
        if value.is_empty() || value.len() > 2 || !value.iter().all(u8::is_ascii_digit) {
            return Self::Bad;
        }
        match value
            .iter()
            .fold(0, |code, digit| code * 10 + u32::from(digit & 0x0f))
        {
            0 => Self::Ok,
            code @ 1..=LAST_CODE => Self::Failed(code),
            _ => Self::Bad,
        }
    }

    /// What a client makes of an answer without `grpc-status`, by its HTTP status (http-grpc-status-mapping.md).
    pub const fn of_http(status: u16) -> Self {
        Self::Failed(match status {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502 | 503 | 504 => 14,
            _ => 2,
        })
    }
}

/// Fields of the trailers in a gRPC-Web body: lines as in HTTP/1, without an empty one at the end.
pub fn trailers(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    block.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = (
            line.get(..colon)?.trim_ascii(),
            line.get(colon + 1..)?.trim_ascii(),
        );
        (!name.is_empty()).then_some((name, value))
    })
}

/// Fuzz entry: however the bytes are divided, the frames are the same.
pub fn fuzz(bytes: &[u8]) {
    let whole = framing::told(bytes, bytes.len().max(1));
    let single = framing::told(bytes, 1);
    assert_eq!(whole, single, "frames depend on how the bytes were divided");
    let decoded = |step: usize| {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        let good = bytes
            .chunks(step.max(1))
            .all(|piece| decoder.feed(piece, &mut out).is_ok());
        (good && decoder.finish().is_ok(), out)
    };
    assert_eq!(
        decoded(bytes.len()),
        decoded(1),
        "base64 depends on how the bytes were divided"
    );
    let _method = method(bytes);
    let _media = Media::of(bytes);
    let _fields = trailers(bytes).count();
}

#[cfg(test)]
mod tests;
