//! The one door through which compressed bytes are read: gzip, deflate, br and zstd, one over the other.
//!
//! Takes a whole body or the front of one. Gives everything up to its end, a cut, a mistake or a limit, and says which.
//! Never calls a decompressor without a cap; nobody else calls one at all (`clippy.toml`).
//! Bounded by [`Limits`], [`MAX_LAYERS`], [`MAX_MEMBERS`] and [`MAX_WINDOW`].

mod brotli;
mod flow;
mod gzip;
mod meter;
mod stream;
#[cfg(test)]
mod tests;
mod zstd;

use smallvec::SmallVec;

use super::Anomaly;
#[cfg(test)]
pub(crate) use flow::tests::encode as flushed;
pub use flow::{Flow, STATE_BYTES};
use meter::Meter;
pub use stream::Stream;

/// Codings laid over each other that are undone. RFC 9110, 8.4 sets no limit; curl stops at five, and nobody who means
/// well uses more than two.
pub const MAX_LAYERS: usize = 4;

/// Members of one gzip body, and frames of one zstd body. `bgzip` begins one for every 64 KiB of content, so this is
/// sixteen times [`Limits::output_bytes`]; each begins with a fresh window, which is what a body of empty ones wastes.
pub const MAX_MEMBERS: usize = 256;

/// Memory that a zstd frame may ask for: what RFC 9659, 3 grants to senders of `Content-Encoding: zstd`. Brotli's
/// window is 16 MiB at most (RFC 7932, 9.1) and grows only as far as content does, deflate's is 32 KiB.
pub const MAX_WINDOW: u64 = 8 * 1024 * 1024;

/// Bounds of what comes out.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes at most.
    pub output_bytes: usize,
    /// Bytes out for each byte in, at most, once `free_bytes` are out.
    pub ratio: usize,
    /// Bytes that may come out at any ratio.
    pub free_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Sixteen times what is kept of a body on the wire: JSON shrinks to a tenth or so.
            output_bytes: 1024 * 1024,
            // Lists of thousands of records that differ in one number shrink to a hundredth, and a bomb to a thousandth
            // (deflate cannot do better) or less.
            ratio: 200,
            // A short body of one repeated character is no attack: this much costs nothing.
            free_bytes: 128 * 1024,
        }
    }
}

/// A content coding (RFC 9110, 8.4.1; RFC 7932; RFC 8878).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Coding {
    /// `gzip` or `x-gzip` (RFC 1952), of any number of members.
    Gzip,
    /// `deflate`: zlib (RFC 1950), or bare deflate (RFC 1951) from those who took the name at its word.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

impl Coding {
    /// The coding of that name, compared without case.
    pub fn named(name: &[u8]) -> Option<Self> {
        const NAMES: [(&[u8], Coding); 5] = [
            (b"gzip", Coding::Gzip),
            (b"x-gzip", Coding::Gzip),
            (b"deflate", Coding::Deflate),
            (b"br", Coding::Brotli),
            (b"zstd", Coding::Zstd),
        ];
        let known = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        known.map(|(_, coding)| *coding)
    }
}

/// Codings in the order they were applied.
pub type Codings = SmallVec<[Coding; MAX_LAYERS]>;

/// Why a list of codings cannot be undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// One of them is not known.
    Unknown,
    /// There are more than [`MAX_LAYERS`].
    TooMany,
}

/// Reads a `Content-Encoding` value (RFC 9110, 8.4); `identity` says nothing.
pub fn codings<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Codings, Unreadable> {
    let mut codings = Codings::new();
    let names = values
        .into_iter()
        .flat_map(|value| value.split(|byte| *byte == b','));
    for name in names.map(<[u8]>::trim_ascii) {
        if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
            continue;
        }
        if codings.len() == MAX_LAYERS {
            return Err(Unreadable::TooMany);
        }
        codings.push(Coding::named(name).ok_or(Unreadable::Unknown)?);
    }
    Ok(codings)
}

/// How decoding ended. What came out before is given in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Ended {
    /// Everything was decoded.
    Whole,
    /// The input ended first.
    Cut,
    /// The rest is not of the coding, or its checksum is wrong.
    Broken,
    /// More would come out than [`Limits::output_bytes`], or more came in than a [`Flow`] holds.
    TooLarge,
    /// It is out of all proportion to the input, or asks for more memory or members than anybody needs.
    Bomb,
}

impl Ended {
    /// What it says of the peer. A cut is none of the peer's doing, as far as is known here.
    pub const fn anomaly(self) -> Option<Anomaly> {
        match self {
            Self::Whole | Self::Cut => None,
            Self::Broken => Some(Anomaly::BadContentCoding),
            Self::TooLarge => Some(Anomaly::DecodedTooLarge),
            Self::Bomb => Some(Anomaly::DecompressionBomb),
        }
    }
}

/// Undoes `codings`, the last applied first. `out` is overwritten.
pub fn decode(codings: &[Coding], input: &[u8], limits: Limits, out: &mut Vec<u8>) -> Ended {
    let mut layers = codings.iter().rev();
    out.clear();
    let Some(outermost) = layers.next() else {
        out.extend_from_slice(input);
        return Ended::Whole;
    };
    let mut ended = decode_one(*outermost, input, limits, out);
    let mut between = Vec::new();
    for layer in layers {
        std::mem::swap(&mut between, out);
        out.clear();
        let inner = decode_one(*layer, &between, limits, out);
        // A layer that was cut short cuts the one inside of it: the outer reason is the true one.
        if ended == Ended::Whole {
            ended = inner;
        }
    }
    ended
}

/// Undoes one coding; appends to `out`, which is empty.
fn decode_one(coding: Coding, input: &[u8], limits: Limits, out: &mut Vec<u8>) -> Ended {
    // Nothing sent is nothing meant: an empty body with a coding is common in answers to HEAD and in 304.
    if input.is_empty() {
        return Ended::Cut;
    }
    let mut meter = Meter::new(limits, out);
    let ended = match coding {
        Coding::Gzip => gzip::decode(input, &mut meter),
        Coding::Deflate => gzip::decode_deflate(input, &mut meter),
        Coding::Brotli => brotli::decode(input, &mut meter),
        Coding::Zstd => zstd::decode(input, &mut meter),
    };
    meter.finish(ended)
}
