//! Which format a body is of.

use smallvec::SmallVec;

/// How a body is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// JSON (RFC 8259).
    Json,
    /// JSON texts one after the other: a line each, or each behind a record separator (RFC 7464).
    JsonLines,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Multipart (RFC 2046, 5.1).
    Multipart,
    /// XML, but not the kinds that people look at (XHTML, SVG).
    Xml,
    /// Server-sent events.
    EventStream,
    /// `MessagePack`.
    MessagePack,
    /// CBOR (RFC 8949).
    Cbor,
    /// Text of no known structure.
    Text,
    /// Binary: not read.
    Binary,
}

/// Bytes of a media type that are looked at: the longest registered one has 83 before its parameters.
const LONGEST_MEDIA: usize = 96;

impl Format {
    /// By the media type; where it says nothing, by the first bytes.
    pub fn of(media: &[u8], front: &[u8]) -> Self {
        Self::of_media(media).unwrap_or_else(|| Self::sniff(front))
    }

    /// By a `Content-Type`. Nothing when it does not tell.
    pub fn of_media(media: &[u8]) -> Option<Self> {
        let end = memchr::memchr(b';', media).unwrap_or(media.len());
        let media = media.get(..end)?.trim_ascii();
        let media: SmallVec<[u8; LONGEST_MEDIA]> = media
            .iter()
            .take(LONGEST_MEDIA)
            .map(u8::to_ascii_lowercase)
            .collect();
        let media = media.as_slice();
        let (kind, name) = media.split_at_checked(memchr::memchr(b'/', media)?)?;
        let name = name.get(1..)?;
        // The structured suffix (RFC 6838, 4.2.8) tells what `vnd.acme.order+json` is.
        let suffix = name.rsplit(|byte| *byte == b'+').next()?;
        match (kind, name, suffix) {
            (b"multipart", ..) => Some(Self::Multipart),
            (_, b"x-www-form-urlencoded", _) => Some(Self::Form),
            (_, b"event-stream", _) => Some(Self::EventStream),
            (_, _, b"json-seq")
            | (
                _,
                b"x-ndjson" | b"ndjson" | b"jsonl" | b"x-jsonl" | b"jsonlines" | b"x-jsonlines"
                | b"json-lines" | b"x-json-stream" | b"stream+json",
                _,
            ) => Some(Self::JsonLines),
            (_, b"msgpack" | b"x-msgpack" | b"vnd.msgpack", _) | (_, _, b"msgpack") => {
                Some(Self::MessagePack)
            }
            (_, _, b"cbor") => Some(Self::Cbor),
            (b"image", b"svg+xml", _) | (_, b"xhtml+xml", _) => Some(Self::Text),
            (_, _, b"xml") => Some(Self::Xml),
            _ if suffix.ends_with(b"json") => Some(Self::Json),
            (b"text", ..) | (_, b"javascript" | b"x-javascript" | b"graphql", _) => Some(Self::Text),
            _ if name.ends_with(b"yaml") => Some(Self::Text),
            (b"image" | b"audio" | b"video" | b"font", ..) => Some(Self::Binary),
            _ => None,
        }
    }

    /// By the first bytes.
    pub fn sniff(front: &[u8]) -> Self {
        // What decides binary from text shows within the first bytes; 64 are one cache line.
        let sample = front.get(..64).unwrap_or(front);
        let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
        let text = front.trim_ascii_start();
        match text.first() {
            Some(b'{' | b'[') => Self::Json,
            _ if sample.iter().any(control) => Self::Binary,
            Some(b'<') if text.starts_with(b"<?xml") => Self::Xml,
            _ => Self::Text,
        }
    }
}
