//! gzip (RFC 1952) and what is called deflate (RFC 1950, RFC 1951).

#![expect(clippy::disallowed_types, reason = "this is the door")]

use flate2::{Crc, Decompress};

use super::meter::Meter;
use super::stream::inflate;
use super::{Ended, MAX_MEMBERS};

/// Front of a member: identification, method, flags, time, extra flags, system (RFC 1952, 2.3).
const HEADER: usize = 10;
/// Checksum and length behind a member.
const TRAILER: usize = 8;

const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// Members one after the other (RFC 1952, 2.2).
pub(super) fn decode(input: &[u8], meter: &mut Meter<'_>) -> Ended {
    let mut stream = Decompress::new(false);
    let mut rest = input;
    for _ in 0..MAX_MEMBERS {
        match member(&mut stream, &mut rest, input.len(), meter) {
            Ended::Whole => {}
            ended => return ended,
        }
        if rest.is_empty() {
            return Ended::Whole;
        }
        // Tape and block devices pad with zeros, and gzip(1) lets them.
        if rest.iter().all(|byte| *byte == 0) {
            return Ended::Whole;
        }
        stream.reset(false);
    }
    Ended::Bomb
}

fn member(stream: &mut Decompress, rest: &mut &[u8], total: usize, meter: &mut Meter<'_>) -> Ended {
    let header = match header_length(rest) {
        Ok(header) => header,
        Err(ended) => return ended,
    };
    let body = rest.get(header..).unwrap_or_default();
    let from = meter.out.len();
    let (used, ended) = inflate(stream, body, total.saturating_sub(body.len()), meter);
    if ended != Ended::Whole {
        return ended;
    }
    let behind = body.get(used..).unwrap_or_default();
    let Some((trailer, after)) = behind.split_first_chunk::<TRAILER>() else {
        return Ended::Cut;
    };
    *rest = after;
    let mut crc = Crc::new();
    crc.update(meter.out.get(from..).unwrap_or_default());
    let [a, b, c, d, length @ ..] = *trailer;
    if (crc.sum(), crc.amount()) == (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(length)) {
        Ended::Whole
    } else {
        Ended::Broken
    }
}

/// Length of a member's header (RFC 1952, 2.3).
fn header_length(input: &[u8]) -> Result<usize, Ended> {
    const FRONT: [u8; 3] = [0x1f, 0x8b, 8];
    let known = input.len().min(FRONT.len());
    if input.get(..known) != FRONT.get(..known) {
        return Err(Ended::Broken);
    }
    let flags = *input.get(3).ok_or(Ended::Cut)?;
    if flags & RESERVED != 0 {
        return Err(Ended::Broken);
    }
    let mut at = HEADER;
    if flags & EXTRA != 0 {
        let length = input.get(at..at + 2).ok_or(Ended::Cut)?;
        let length = length
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | usize::from(*byte));
        at += 2 + length;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let zero = input.get(at..).and_then(|text| memchr::memchr(0, text));
            at += zero.ok_or(Ended::Cut)? + 1;
        }
    }
    if flags & HEADER_CRC != 0 {
        at += 2;
    }
    if at > input.len() {
        return Err(Ended::Cut);
    }
    Ok(at)
}

/// `deflate`, with zlib's frame or without: the first two bytes tell (RFC 1950, 2.2).
pub(super) fn decode_deflate(input: &[u8], meter: &mut Meter<'_>) -> Ended {
    let zlib = match input {
        [method, flags, ..] => method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31),
        [method] => method & 0x0f == 8,
        [] => false,
    };
    match inflate(&mut Decompress::new(zlib), input, 0, meter) {
        // Something behind the end is not of the coding.
        (used, Ended::Whole) if used < input.len() => Ended::Broken,
        (_, ended) => ended,
    }
}
