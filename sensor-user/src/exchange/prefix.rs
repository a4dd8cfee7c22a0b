//! The beginning of a connection: kept until a protocol is recognised in it.
//!
//! Takes the first bytes of both directions. Gives what they are, and the holes before them. Bounded by what
//! [`detect`] and [`proxy::front`] ask for: a request line, an HTTP/2 frame and a PROXY header.

use bytes::{Buf as _, Bytes, BytesMut};
use smallvec::SmallVec;

use super::http2;
use crate::capture::{Direction, Endpoint, GapReason};
use crate::protocol::detect::{Verdict, detect};
use crate::protocol::proxy;

/// What is missing before the first bytes of a protocol: so many of a direction, and why.
pub(super) type Holes = SmallVec<[(Direction, u64, GapReason); 2]>;

#[derive(Default, Debug)]
pub(super) struct Prefixes {
    read: Prefix,
    write: Prefix,
    /// A PROXY header that was just found.
    pub(super) proxied: Option<Proxied>,
    /// Holes before anything was recognised: a message may have been in them, so pairing must know.
    pub(super) holes: Holes,
}

/// Bytes of an application, which never print.
#[derive(Default)]
struct Prefix {
    bytes: BytesMut,
    /// Bytes were looked at that are no PROXY header, or behind one: none can come any more.
    begun: bool,
}

impl std::fmt::Debug for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.bytes.len())
    }
}

/// What a PROXY header said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proxied {
    pub(super) length: usize,
    pub(super) client: Endpoint,
}

/// What the bytes of a connection without protocol turn out to be.
pub(super) enum Seen {
    /// The beginning of something.
    Prefix,
    /// So many bytes of nothing known.
    Nothing(u64),
    /// A protocol that is not read, and so many bytes of it.
    Opaque(u64),
    /// A protocol that is read, from these bytes on.
    Known {
        protocol: Protocol,
        /// The way requests take.
        requests_travel: Direction,
        bytes: Bytes,
    },
}

/// Protocols that are read from a connection's first bytes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Http1,
    Http2(http2::Joined),
}

impl Seen {
    fn http2(requests_travel: Direction, joined: http2::Joined, bytes: Bytes) -> Self {
        Self::Known {
            protocol: Protocol::Http2(joined),
            requests_travel,
            bytes,
        }
    }
}

impl Prefixes {
    /// Of a connection within a tunnel. What a PROXY header would say in there is said by the client itself.
    pub(super) fn within(holes: Holes) -> Self {
        let begun = || Prefix {
            bytes: BytesMut::new(),
            begun: true,
        };
        Self {
            read: begun(),
            write: begun(),
            proxied: None,
            holes,
        }
    }

    pub(super) fn recognise(&mut self, direction: Direction, bytes: Bytes) -> Seen {
        let kept = self.of(direction);
        let mut bytes = if kept.bytes.is_empty() {
            bytes
        } else {
            kept.bytes.extend_from_slice(&bytes);
            std::mem::take(&mut kept.bytes).freeze()
        };
        let mut proxied = None;
        if !kept.begun {
            match proxy::front(&bytes) {
                proxy::Front::Header { length, client } => {
                    let length = length.get().min(bytes.len());
                    bytes.advance(length);
                    proxied = Some(Proxied { length, client });
                }
                proxy::Front::NeedMore(_) if !bytes.is_empty() => {
                    kept.bytes.extend_from_slice(&bytes);
                    return Seen::Prefix;
                }
                proxy::Front::NeedMore(_) | proxy::Front::Other => {}
            }
            kept.begun = true;
        }
        self.proxied = proxied;
        let kept = self.of(direction);
        match detect(&bytes) {
            Verdict::NeedMore(_) => {
                kept.bytes.extend_from_slice(&bytes);
                Seen::Prefix
            }
            Verdict::Http1Request => Seen::Known {
                protocol: Protocol::Http1,
                requests_travel: direction,
                bytes,
            },
            Verdict::Http1Response => Seen::Known {
                protocol: Protocol::Http1,
                requests_travel: direction.opposite(),
                bytes,
            },
            Verdict::Http2 => Seen::http2(direction, http2::Joined::No, bytes),
            Verdict::Http2Server => Seen::http2(direction.opposite(), http2::Joined::No, bytes),
            Verdict::Http2Requests => Seen::http2(direction, http2::Joined::At(direction), bytes),
            Verdict::Http2Responses => Seen::http2(direction.opposite(), http2::Joined::At(direction), bytes),
            // Only a handshake's beginning tells: in the middle of a body any three bytes may look like a record.
            Verdict::Tls if matches!(*bytes, [0x16, _, _, _, _, 1 | 2, ..]) => {
                Seen::Opaque(bytes.len() as u64)
            }
            Verdict::Tls | Verdict::Unknown => Seen::Nothing(bytes.len() as u64),
        }
    }

    /// Bytes behind a hole that were not understood may have held as much as the hole itself.
    pub(super) fn unread(&mut self, direction: Direction, len: u64) {
        if let Some((_, length, _)) = self.holes.iter_mut().find(|(known, ..)| *known == direction) {
            *length = length.saturating_add(len);
        }
    }

    pub(super) fn forget(&mut self, direction: Direction) -> u64 {
        let kept = self.of(direction);
        kept.begun = true;
        let len = std::mem::take(&mut kept.bytes).len() as u64;
        self.unread(direction, len);
        len
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.read.bytes.len() + self.write.bytes.len()
    }

    fn of(&mut self, direction: Direction) -> &mut Prefix {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}
