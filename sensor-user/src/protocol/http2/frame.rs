//! HTTP/2's frames (RFC 9113, 4.1 and 6).
//!
//! Takes the front of a frame. Gives its kind, flags, stream and length, what is wrong with them, and whether bytes that
//! were found anywhere may be one. Never looks behind a header. Bounded by nine bytes.

/// Bytes of a header (4.1).
pub const HEADER: usize = 9;

/// Largest payload before a peer allows more (6.5.2).
pub const DEFAULT_MAX: u32 = 16_384;

// Flags: END_STREAM of DATA and HEADERS; ACK of SETTINGS and PING.
pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITY: u8 = 0x20;

/// Kinds of frames by their numbers (RFC 9113, 11.2; RFC 7838, 4; RFC 8336, 2; RFC 9218, 7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// 0.
    Data,
    /// 1.
    Headers,
    /// 2.
    Priority,
    /// 3.
    RstStream,
    /// 4.
    Settings,
    /// 5.
    PushPromise,
    /// 6.
    Ping,
    /// 7.
    Goaway,
    /// 8.
    WindowUpdate,
    /// 9.
    Continuation,
    /// An extension or what is none; skipped (5.5).
    Other(u8),
}

impl Kind {
    const fn of(number: u8) -> Self {
        match number {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::RstStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::Goaway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            other => Self::Other(other),
        }
    }

    /// Flags that mean something.
    const fn flags(self) -> u8 {
        match self {
            Self::Data => END_STREAM | PADDED,
            Self::Headers => END_STREAM | END_HEADERS | PADDED | PRIORITY,
            Self::Settings | Self::Ping => ACK,
            Self::PushPromise => END_HEADERS | PADDED,
            Self::Continuation => END_HEADERS,
            Self::Priority | Self::RstStream | Self::Goaway | Self::WindowUpdate | Self::Other(_) => 0,
        }
    }
}

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Bytes of the payload.
    pub length: u32,
    /// What it is.
    pub kind: Kind,
    /// Its flags as sent.
    pub flags: u8,
    /// The stream; 0 is the connection.
    pub stream: u32,
    reserved: bool,
}

impl Frame {
    /// Reads a header; `None` when there are too few bytes.
    pub fn parse(input: &[u8]) -> Option<Self> {
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4, ..] = *input else {
            return None;
        };
        let stream = u32::from_be_bytes([s1, s2, s3, s4]);
        Some(Self {
            length: u32::from_be_bytes([0, l1, l2, l3]),
            kind: Kind::of(kind),
            flags,
            stream: stream & STREAM,
            reserved: stream > STREAM,
        })
    }

    /// Bytes of header and payload.
    pub const fn total(&self) -> usize {
        HEADER + self.length as usize
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether length and stream are what section 6 demands of the kind.
    pub const fn is_lawful(&self) -> bool {
        let on_stream = self.stream != 0;
        match self.kind {
            Kind::Data | Kind::Headers | Kind::PushPromise => on_stream && self.length >= self.least(),
            Kind::Priority => on_stream && self.length == 5,
            Kind::RstStream => on_stream && self.length == 4,
            Kind::Settings => {
                !on_stream && self.length.is_multiple_of(6) && (!self.has(ACK) || self.length == 0)
            }
            Kind::Ping => !on_stream && self.length == 8,
            Kind::Goaway => !on_stream && self.length >= 8,
            Kind::WindowUpdate => self.length == 4,
            Kind::Continuation => on_stream,
            Kind::Other(_) => true,
        }
    }

    /// The part of a payload that is of the header block, and the promised stream or 0 (6.2, 6.6, 6.10); `None` when
    /// padding does not fit, or the promised stream is none that a server may open.
    pub fn fragment<'a>(&self, payload: &'a [u8]) -> Option<(&'a [u8], u32)> {
        let mut rest = payload;
        if self.kind != Kind::Continuation && self.has(PADDED) {
            let (padding, behind) = rest.split_first()?;
            rest = behind.get(..behind.len().checked_sub(usize::from(*padding))?)?;
        }
        match self.kind {
            Kind::PushPromise => {
                let promised = number(rest)? & STREAM;
                // 5.1.1: a server's streams are even.
                (promised != 0 && promised.is_multiple_of(2)).then_some((rest.get(4..)?, promised))
            }
            Kind::Headers if self.has(PRIORITY) => Some((rest.get(5..)?, 0)),
            _ => Some((rest, 0)),
        }
    }

    /// Bytes that its fixed fields need.
    const fn least(&self) -> u32 {
        let padding = if self.has(PADDED) { 1 } else { 0 };
        let fixed = match self.kind {
            Kind::Headers if self.has(PRIORITY) => 5,
            Kind::PushPromise => 4,
            _ => 0,
        };
        padding + fixed
    }

    /// Whether nine bytes from anywhere are likely a header: lawful, no flag without meaning, no reserved bit, and of a
    /// stream that the connection may have reached. Of nine random bytes one in 2^30 is.
    pub const fn is_plausible(&self, max: u32, highest: u32) -> bool {
        self.is_lawful()
            && !self.reserved
            && self.length <= max
            && self.stream <= highest
            && self.flags & !self.kind.flags() == 0
            && match self.kind {
                // Known extensions are rare; what is short says least.
                Kind::Other(_) => false,
                Kind::Settings => self.length <= MOST_SETTINGS,
                Kind::Data | Kind::Continuation => self.length > 0 || self.flags != 0,
                Kind::Headers => self.length > 0,
                _ => true,
            }
    }
}

/// The first four bytes of a payload.
pub(super) fn number(payload: &[u8]) -> Option<u32> {
    payload.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Streams have 31 bits.
const STREAM: u32 = 0x7fff_ffff;

/// Bytes of SETTINGS that are written: 7 settings are registered beside those of RFC 9113, and peers send two or three
/// of no meaning.
const MOST_SETTINGS: u32 = 6 * 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(wire: &[u8]) -> Frame {
        Frame::parse(wire).unwrap()
    }

    #[test]
    fn a_header_is_read() {
        let read = frame(b"\x01\x02\x03\x01\x25\x80\x00\x00\x05rest");
        assert_eq!(
            (read.length, read.kind, read.flags, read.stream),
            (0x10203, Kind::Headers, 0x25, 5)
        );
        assert!(!read.is_plausible(1 << 20, u32::MAX));
        assert_eq!(Frame::parse(b"\0\0\0\0\0\0\0\0"), None);
    }

    #[test]
    fn plausible_headers_are_lawful_and_say_nothing_odd() {
        let cases: [(&[u8; 9], bool); 10] = [
            (b"\0\0\x0c\x04\0\0\0\0\0", true),
            (b"\0\0\x0d\x04\0\0\0\0\0", false),
            (b"\0\0\x06\x04\x01\0\0\0\0", false),
            (b"\0\0\x04\x08\0\0\0\0\0", true),
            (b"\0\0\x08\x06\x01\0\0\0\0", true),
            (b"\0\0\x05\x01\x24\0\0\0\x01", true),
            (b"\0\0\x04\x01\x24\0\0\0\x01", false),
            (b"\0\0\x05\x01\x02\0\0\0\x01", false),
            (b"\0\0\0\0\0\0\0\0\x01", false),
            (b"\0\0\0\0\x01\0\0\0\x01", true),
        ];
        for (wire, plausible) in cases {
            assert_eq!(
                frame(wire).is_plausible(DEFAULT_MAX, 1000),
                plausible,
                "{wire:x?}"
            );
        }
    }
}
