//! Bodies: known length, chunked (RFC 9112, 7.1), and everything until the connection ends.
//!
//! Takes a place in a body and the bytes from there on. Gives the next place. Never accepts a bare line feed in
//! chunked framing: recipients disagree about it, which is what request smuggling lives on.

use std::num::NonZeroUsize;

use super::{Anomaly, CHUNK_LINE, Span};

/// Where in a body the next byte is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// So many bytes to the end.
    Fixed(u64),
    /// A chunk-size line, after the line end of the previous chunk's data unless it is the first.
    ChunkLine { first: bool },
    /// So many bytes to the end of the chunk.
    Chunk(u64),
    /// The trailer section, of which so many bytes are consumed.
    Trailers(usize),
    /// The connection's end is the body's end.
    UntilClose,
}

/// A step forward. `place` is `None` at the end of the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    pub(super) consumed: NonZeroUsize,
    pub(super) place: Option<Place>,
    pub(super) piece: Option<Span>,
}

/// Why there is no step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    NeedMore,
    Broken(Anomaly),
}

/// What a hole does to a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Skip {
    Inside(Place),
    ToEnd,
    PastEnd { lost: u64 },
    Lost,
}

pub(super) fn step(place: Place, input: &[u8], trailer_limit: usize) -> Result<Progress, Stop> {
    match place {
        Place::Fixed(remaining) => {
            let (piece, left) = take(input, remaining)?;
            piece.to(if left == 0 { None } else { Some(Place::Fixed(left)) })
        }
        Place::Chunk(remaining) => {
            let (piece, left) = take(input, remaining)?;
            piece.to(Some(if left == 0 {
                Place::ChunkLine { first: false }
            } else {
                Place::Chunk(left)
            }))
        }
        Place::UntilClose => {
            let (piece, _) = take(input, u64::MAX)?;
            piece.to(Some(Place::UntilClose))
        }
        Place::ChunkLine { first } => chunk_line(first, input),
        Place::Trailers(used) => trailer(used, input, trailer_limit),
    }
}

pub(super) fn skip(place: Place, missing: u64) -> Skip {
    match place {
        // Nothing is missing: the caller gave up on what is there.
        _ if missing == 0 => Skip::Lost,
        Place::UntilClose => Skip::Inside(place),
        Place::Fixed(remaining) if missing < remaining => Skip::Inside(Place::Fixed(remaining - missing)),
        Place::Fixed(remaining) if missing == remaining => Skip::ToEnd,
        Place::Fixed(remaining) => Skip::PastEnd { lost: remaining },
        Place::Chunk(remaining) if missing < remaining => Skip::Inside(Place::Chunk(remaining - missing)),
        Place::Chunk(remaining) if missing == remaining => Skip::Inside(Place::ChunkLine { first: false }),
        Place::Chunk(_) | Place::ChunkLine { .. } | Place::Trailers(_) => Skip::Lost,
    }
}

/// Bytes at the front of the input that belong to the body.
struct Piece(NonZeroUsize);

impl Piece {
    #[expect(clippy::unnecessary_wraps, reason = "the shape of every arm of `step`")]
    fn to(self, place: Option<Place>) -> Result<Progress, Stop> {
        let len = u32::try_from(self.0.get()).unwrap_or(u32::MAX);
        Ok(Progress {
            consumed: self.0,
            place,
            piece: Some(Span { start: 0, len }),
        })
    }
}

fn take(input: &[u8], remaining: u64) -> Result<(Piece, u64), Stop> {
    // Spans are 32 bits wide; more than that comes in two steps.
    let most = remaining.min(u64::from(u32::MAX));
    let len = input.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    let piece = NonZeroUsize::new(len).ok_or(Stop::NeedMore)?;
    Ok((Piece(piece), remaining - len as u64))
}

fn chunk_line(first: bool, input: &[u8]) -> Result<Progress, Stop> {
    const BROKEN: Result<Progress, Stop> = Err(Stop::Broken(Anomaly::BadChunk));
    let line = match (first, input) {
        (true, line) | (false, [b'\r', b'\n', line @ ..]) => line,
        (false, [b'\r'] | []) => return Err(Stop::NeedMore),
        (false, _) => return BROKEN,
    };
    let Some(end) = memchr::memchr(b'\n', line.get(..CHUNK_LINE).unwrap_or(line)) else {
        let hopeless = line.len() >= CHUNK_LINE || !begins_with_size(line);
        return if hopeless { BROKEN } else { Err(Stop::NeedMore) };
    };
    let Some(size) = line
        .get(..end)
        .and_then(|line| line.strip_suffix(b"\r"))
        .and_then(size)
    else {
        return BROKEN;
    };
    let consumed = input.len() - line.len() + end + 1;
    let place = if size == 0 {
        Place::Trailers(0)
    } else {
        Place::Chunk(size)
    };
    Ok(Progress {
        consumed: NonZeroUsize::MIN.saturating_add(consumed - 1),
        place: Some(place),
        piece: None,
    })
}

/// Early verdict on a line whose end is not in sight; says no only where [`size`] would.
fn begins_with_size(line: &[u8]) -> bool {
    line.first().is_none_or(u8::is_ascii_hexdigit)
}

/// `chunk-size [ chunk-ext ]` (RFC 9112, 7.1); white space before an extension is tolerated as in 7.1.1.
fn size(line: &[u8]) -> Option<u64> {
    // 16 hexadecimal digits are 64 bits.
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if !(1..=16).contains(&digits) {
        return None;
    }
    let (digits, extension) = line.split_at_checked(digits)?;
    let blank = extension
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    match extension.get(blank) {
        None => {}
        Some(b';') if !extension.contains(&b'\r') => {}
        Some(_) => return None,
    }
    let size = digits.iter().filter_map(|digit| (*digit as char).to_digit(16));
    Some(size.fold(0, |size, digit| size << 4 | u64::from(digit)))
}

fn trailer(used: usize, input: &[u8], limit: usize) -> Result<Progress, Stop> {
    let left = limit.saturating_sub(used);
    let Some(end) = memchr::memchr(b'\n', input.get(..left).unwrap_or(input)) else {
        return Err(if input.len() >= left {
            Stop::Broken(Anomaly::HeadTooLong)
        } else {
            Stop::NeedMore
        });
    };
    let line = input.get(..end).unwrap_or_default();
    let Some(line) = line.strip_suffix(b"\r") else {
        return Err(Stop::Broken(Anomaly::BadChunk));
    };
    let place = if line.is_empty() {
        None
    } else {
        Some(Place::Trailers(used + end + 1))
    };
    Ok(Progress {
        consumed: NonZeroUsize::MIN.saturating_add(end),
        place,
        piece: None,
    })
}
