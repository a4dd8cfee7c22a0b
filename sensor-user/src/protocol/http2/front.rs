//! Where do frames begin?
//!
//! Takes bytes of a connection that is, or may be, one of HTTP/2 joined in the middle. Gives the place of a frame's
//! header, or that it is not known. Never takes one header for evidence, except at the start of an input of a connection
//! that is known for HTTP/2. Bounded by [`CHAIN`] headers a place, and [`JOIN_BYTES`].

use std::num::NonZeroUsize;

use super::frame::{self, Frame, HEADER, Kind};
use super::head::{self, Opening};
use super::hpack::{self, Block, Decoder};

/// Headers in a row that are believed in the middle of an input. Nine random bytes look like a header once in 2^30
/// places; bodies are not random, and may hold small numbers in a row.
const CHAIN: usize = 3;

/// At the start of an input, where calls begin.
const FRESH_CHAIN: usize = 2;

/// Where a header is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    /// Here.
    At(usize),
    /// Here, if what follows says so too, for which so many bytes of the input are needed.
    Perhaps {
        /// The place.
        at: usize,
        /// Bytes from the place on.
        wanted: usize,
    },
    /// Not in this input.
    Nowhere,
}

/// Looks for the first place where frames begin. `fresh`: the input's first byte is the first of a call, perhaps.
pub fn find(input: &[u8], fresh: bool, highest: u32) -> Front {
    // The first byte of a header is the upper one of the length, so zero.
    for at in memchr::memchr_iter(0, input) {
        let rest = input.get(at..).unwrap_or_default();
        let wanted = if fresh && at == 0 { FRESH_CHAIN } else { CHAIN };
        match chain(rest, wanted, highest) {
            Chain::Yes => return Front::At(at),
            Chain::Perhaps(wanted) => return Front::Perhaps { at, wanted },
            Chain::No => {}
        }
    }
    Front::Nowhere
}

/// Frames that are larger are allowed by some and written by few: what follows them is found instead.
const LARGEST: u32 = frame::DEFAULT_MAX;

enum Chain {
    Yes,
    /// So many bytes are needed to say.
    Perhaps(usize),
    No,
}

/// Bytes of a header that say whether it may be one: length, kind and flags.
const TELLING: usize = 5;

fn chain(input: &[u8], wanted: usize, highest: u32) -> Chain {
    let mut start = 0;
    for nth in 0..wanted {
        let rest = input.get(start..).unwrap_or_default();
        let Some(frame) = Frame::parse(rest) else {
            return match nth {
                // The end of an input is where calls end: a frame that ends exactly there was one.
                1.. if rest.is_empty() && start == input.len() => Chain::Yes,
                0 if rest.len() < TELLING => Chain::No,
                _ if may_begin(rest, highest) => Chain::Perhaps(start + HEADER),
                _ => Chain::No,
            };
        };
        if !frame.is_plausible(LARGEST, highest) {
            return Chain::No;
        }
        start += frame.total();
        if start > input.len() {
            // Enough for one more header, and no more than the largest frame.
            return if nth + 1 >= wanted {
                Chain::Yes
            } else {
                Chain::Perhaps(start + HEADER)
            };
        }
    }
    Chain::Yes
}

/// Whether the front of a header is plausible, zeros for the rest of it.
fn may_begin(front: &[u8], highest: u32) -> bool {
    let Some((first, _)) = front.split_first() else {
        return true;
    };
    if front.len() < TELLING {
        return *first == 0;
    }
    // Both kinds of streams are tried.
    [0, 1].iter().any(|stream| {
        let mut header = [0; HEADER];
        for (to, from) in header.iter_mut().zip(front) {
            *to = *from;
        }
        let [.., last] = &mut header;
        *last = *stream;
        Frame::parse(&header).is_some_and(|frame| {
            frame.is_plausible(LARGEST, if front.len() > TELLING { highest } else { u32::MAX })
        })
    })
}

/// What a connection's first bytes say.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Beginning {
    /// A server begins with SETTINGS (RFC 9113, 3.4).
    Server,
    /// Joined at a frame of the client.
    Requests,
    /// Joined at a frame of the server.
    Responses,
    /// So many bytes are needed to say.
    NeedMore(NonZeroUsize),
    /// No.
    No,
}

/// Bytes that are looked at before it is given up: a frame of default size and those around it.
const JOIN_BYTES: usize = 20_480;

/// Streams of a connection joined in the middle: its ids have three bytes. Peers that opened 8 million streams on one
/// connection are recognised where the next one begins.
const JOIN_STREAMS: u32 = 0xff_ffff;

/// Looks at the front of a direction of which nothing is known. Believed are SETTINGS with a value as the first frame,
/// and two plausible headers in a row of which one has a block that decodes and says which way it goes.
pub fn begins(input: &[u8]) -> Beginning {
    let (mut start, mut frames) = (0, 0);
    let mut way: Option<Way> = None;
    loop {
        let rest = input.get(start..).unwrap_or_default();
        let Some(frame) = Frame::parse(rest) else {
            return if may_begin(rest, JOIN_STREAMS) {
                more(start + HEADER)
            } else {
                Beginning::No
            };
        };
        if !frame.is_plausible(LARGEST, JOIN_STREAMS) {
            return Beginning::No;
        }
        frames += 1;
        if let Some(way) = way.filter(|_| frames > 1) {
            return way.beginning;
        }
        if frame.kind == Kind::Continuation && frames == 1 {
            return Beginning::No;
        }
        let Some(payload) = rest.get(HEADER..frame.total()) else {
            return more(start + frame.total());
        };
        match judge(frame, payload, frames == 1) {
            Judged::Sure(beginning) => return beginning,
            Judged::Way(found) if frames > 1 || found.is_sure() => return found.beginning,
            Judged::Way(found) => way = way.or(Some(found)),
            Judged::Fits => {}
            Judged::No => return Beginning::No,
        }
        start += frame.total();
    }
}

fn more(wanted: usize) -> Beginning {
    if wanted > JOIN_BYTES {
        return Beginning::No;
    }
    NonZeroUsize::new(wanted).map_or(Beginning::No, Beginning::NeedMore)
}

/// Which way a block goes, and how many of its pseudo-fields say so.
#[derive(Clone, Copy)]
struct Way {
    beginning: Beginning,
    fields: usize,
}

impl Way {
    /// `:method`, `:scheme` and perhaps more: enough without a second frame.
    const fn is_sure(self) -> bool {
        self.fields > 1
    }
}

enum Judged {
    Sure(Beginning),
    Way(Way),
    Fits,
    No,
}

fn judge(frame: Frame, payload: &[u8], first: bool) -> Judged {
    match frame.kind {
        Kind::Settings if first && !payload.is_empty() => {
            // 6.5.2 and what is registered beside it: ids below 256, or 0x0a0a and its like that mean nothing. 0xfe03 is
            // gRPC's own (GRPC_ALLOW_TRUE_BINARY_METADATA), which every server on its C core sends.
            let known = payload
                .as_chunks::<6>()
                .0
                .iter()
                .all(|[high, low, ..]| *high == 0 || low & 15 == 10 || (*high, *low) == (0xfe, 0x03));
            if known {
                Judged::Sure(Beginning::Server)
            } else {
                Judged::No
            }
        }
        Kind::Headers if frame.flags & frame::END_HEADERS != 0 => block(frame, payload),
        _ => Judged::Fits,
    }
}

fn block(frame: Frame, payload: &[u8]) -> Judged {
    let Some((fragment, _)) = frame.fragment(payload) else {
        return Judged::No;
    };
    let mut block = Block::default();
    let limits = hpack::Limits {
        bytes: JOIN_BYTES,
        fields: super::MAX_FIELDS,
    };
    if Decoder::joined(limits).decode(fragment, &mut block).is_err() {
        return Judged::No;
    }
    let pseudo = block
        .fields
        .iter()
        .filter_map(|field| field.name)
        .filter(|name| block.bytes(*name).first() == Some(&b':'));
    let fields = pseudo.count();
    match head::write(&block) {
        head if !head
            .anomalies
            .iter()
            .all(|anomaly| *anomaly == super::Anomaly::Http2UnknownFields) =>
        {
            Judged::No
        }
        head => match head.opening {
            // 5.1.1: a client's streams are odd.
            Opening::Request { .. } | Opening::UnknownRequest if frame.stream % 2 == 1 => Judged::Way(Way {
                beginning: Beginning::Requests,
                fields,
            }),
            Opening::Request { .. } | Opening::UnknownRequest => Judged::No,
            Opening::Response(_) => Judged::Way(Way {
                beginning: Beginning::Responses,
                fields,
            }),
            Opening::Trailers | Opening::Unknown => Judged::Fits,
        },
    }
}
