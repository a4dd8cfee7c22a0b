//! Bodies: known length, chunked (RFC 9112, 7.1), and everything until the connection ends.
//!
//! Takes a place in a body and the bytes from there on. Gives the next place. Bounded by [`CHUNK_LINE`] and the limit
//! of a trailer section. Never guesses a size: what follows a chunk size that is none is lost, while what lenient
//! recipients agree on (line ends, white space, extensions) is read and marked.

use std::num::NonZeroUsize;

use super::framing::MOST;
use super::odd::{self, note};
use super::{Anomalies, Anomaly, CHUNK_LINE, Span, Trailers, head};

/// Where in a body the next byte is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// So many bytes to the end.
    Fixed(u64),
    /// A chunk-size line, after the line end of the previous chunk's data unless it is the first.
    ChunkLine { first: bool },
    /// So many bytes to the end of the chunk.
    Chunk(u64),
    /// The trailer section.
    Trailers,
    /// The connection's end is the body's end.
    UntilClose,
}

/// A step forward. `place` is `None` at the end of the body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    pub(super) consumed: NonZeroUsize,
    pub(super) place: Option<Place>,
    pub(super) part: Part,
}

/// What was stepped over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Piece(Span),
    /// A chunk line, or the end of the body, and what was odd about it.
    Line(Anomalies),
    /// Trailer fields, with which the body ends.
    Trailers(Box<Trailers>),
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

/// `scanned` bytes of the input are known not to hold the end of the trailer section.
pub(super) fn step(
    place: Place,
    input: &[u8],
    scanned: usize,
    trailer_limit: usize,
) -> Result<Progress, Stop> {
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
        Place::Trailers => trailers(input, scanned, trailer_limit),
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
        Place::Chunk(_) | Place::ChunkLine { .. } | Place::Trailers => Skip::Lost,
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
            part: Part::Piece(Span { start: 0, len }),
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
    let mut odd = Anomalies::new();
    let line = match (first, input) {
        (true, line) | (false, [b'\r', b'\n', line @ ..]) => line,
        (false, [b'\n', line @ ..]) => {
            note(&mut odd, Anomaly::BareLf);
            line
        }
        (false, [b'\r'] | []) => return Err(Stop::NeedMore),
        (false, _) => return Err(Stop::Broken(Anomaly::BadChunk)),
    };
    let Some(end) = memchr::memchr(b'\n', line.get(..CHUNK_LINE).unwrap_or(line)) else {
        if line.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
            return Err(Stop::Broken(Anomaly::BadChunkSize));
        }
        return Err(if line.len() >= CHUNK_LINE {
            Stop::Broken(Anomaly::ChunkLineTooLong)
        } else {
            Stop::NeedMore
        });
    };
    let size = size(line.get(..end).unwrap_or_default(), &mut odd).map_err(Stop::Broken)?;
    let consumed = input.len() - line.len() + end + 1;
    Ok(Progress {
        consumed: NonZeroUsize::MIN.saturating_add(consumed - 1),
        place: Some(if size == 0 {
            Place::Trailers
        } else {
            Place::Chunk(size)
        }),
        part: Part::Line(odd),
    })
}

/// `chunk-size [ chunk-ext ]` (RFC 9112, 7.1) and the CR behind it.
fn size(line: &[u8], odd: &mut Anomalies) -> Result<u64, Anomaly> {
    let line = line.strip_suffix(b"\r").unwrap_or_else(|| {
        note(odd, Anomaly::BareLf);
        line
    });
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at_checked(digits).ok_or(Anomaly::BadChunkSize)?;
    let blank = extension
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    if blank > 0 {
        note(odd, Anomaly::SpaceAfterChunkSize);
    }
    match extension.get(blank..).unwrap_or_default() {
        [] => {}
        [b';', extension @ ..] => check_extension(extension, odd),
        _ => return Err(Anomaly::BadChunkSize),
    }
    if digits.is_empty() {
        return Err(Anomaly::BadChunkSize);
    }
    digits
        .iter()
        .filter_map(|digit| (*digit as char).to_digit(16))
        .try_fold(0_u64, |size, digit| {
            let size = size.checked_mul(16)? | u64::from(digit);
            (size <= MOST).then_some(size)
        })
        .ok_or(Anomaly::ChunkTooBig)
}

/// `*( name [ "=" ( token / quoted-string ) ] ";" )` (RFC 9112, 7.1.1), in which it changes nothing: recipients skip
/// extensions they do not know.
fn check_extension(mut rest: &[u8], odd: &mut Anomalies) {
    if rest.contains(&b'\r') {
        note(odd, Anomaly::BareCr);
    }
    if rest.contains(&0) {
        note(odd, Anomaly::NulByte);
    }
    loop {
        let Some(next) = one_extension(rest) else {
            return note(odd, Anomaly::BadChunkExtension);
        };
        match next {
            [] => return,
            [b';', next @ ..] => rest = next,
            _ => return note(odd, Anomaly::BadChunkExtension),
        }
    }
}

/// What follows one extension; `None` when it is none.
fn one_extension(rest: &[u8]) -> Option<&[u8]> {
    let rest = token(rest)?;
    let [b'=', value @ ..] = rest else {
        return Some(rest);
    };
    let [b'"', quoted @ ..] = value.trim_ascii_start() else {
        return token(value);
    };
    let mut at = 0;
    loop {
        match quoted.get(at)? {
            b'"' => return Some(quoted.get(at + 1..)?.trim_ascii_start()),
            // RFC 9110, 5.6.4: a backslash takes a byte with it.
            b'\\' => {
                quoted.get(at + 1).filter(|byte| is_text(**byte))?;
                at += 2;
            }
            byte if is_text(*byte) => at += 1,
            _ => return None,
        }
    }
}

const fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// What follows a token of at least one byte and the white space around it.
fn token(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.trim_ascii_start();
    let len = rest.iter().take_while(|byte| odd::is_token(**byte)).count();
    (len > 0).then_some(rest.get(len..)?.trim_ascii_start())
}

fn trailers(input: &[u8], scanned: usize, limit: usize) -> Result<Progress, Stop> {
    let done = |len: usize, part| Progress {
        consumed: NonZeroUsize::MIN.saturating_add(len - 1),
        place: None,
        part,
    };
    match input {
        [b'\r', b'\n', ..] => return Ok(done(2, Part::Line(Anomalies::new()))),
        [b'\n', ..] => return Ok(done(1, Part::Line([Anomaly::BareLf].into_iter().collect()))),
        _ => {}
    }
    let Some(end) = head::end(input, scanned, limit) else {
        return Err(if input.len() >= limit {
            Stop::Broken(Anomaly::HeadTooLong)
        } else {
            Stop::NeedMore
        });
    };
    let reading = odd::trailers(input.get(..end).unwrap_or_default());
    let trailers = Trailers {
        headers: reading.headers,
        anomalies: reading.anomalies,
    };
    Ok(done(end, Part::Trailers(Box::new(trailers))))
}
