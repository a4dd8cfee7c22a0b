//! Numbers: the grammar of RFC 8259, 6, one byte at a time.

use crate::protocol::chars::Classes;
use crate::protocol::walk::Refusal;

/// Where in a number the walk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NumberStep {
    Start,
    Minus,
    Zero,
    Int,
    Dot,
    Frac,
    Exp,
    ExpSign,
    ExpDigits,
}

impl NumberStep {
    /// Whether a number may end here.
    pub(super) const fn accepts(self) -> bool {
        matches!(self, Self::Zero | Self::Int | Self::Frac | Self::ExpDigits)
    }

    const fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Start, b'-') => Self::Minus,
            (Self::Start | Self::Minus, b'0') => Self::Zero,
            (Self::Start | Self::Minus, b'1'..=b'9') | (Self::Int, b'0'..=b'9') => Self::Int,
            (Self::Zero | Self::Int, b'.') => Self::Dot,
            (Self::Dot | Self::Frac, b'0'..=b'9') => Self::Frac,
            (Self::Zero | Self::Int | Self::Frac, b'e' | b'E') => Self::Exp,
            (Self::Exp, b'+' | b'-') => Self::ExpSign,
            (Self::Exp | Self::ExpSign | Self::ExpDigits, b'0'..=b'9') => Self::ExpDigits,
            _ => return None,
        })
    }
}

/// Finds the end of a number; `None` when the slice ends first.
#[inline]
pub(super) fn scan(
    bytes: &[u8],
    step: &mut NumberStep,
    classes: &mut Classes,
) -> Result<Option<usize>, Refusal> {
    if *step == NumberStep::Start
        && let Some((length, seen)) = plain(bytes)
    {
        *classes = seen;
        return Ok(Some(length));
    }
    scan_any(bytes, step, classes)
}

/// The most frequent numbers: digits, perhaps a point and digits, and what cannot go on a number after them.
#[inline]
fn plain(bytes: &[u8]) -> Option<(usize, Classes)> {
    let whole = digits(bytes);
    let (first, next) = (*bytes.first()?, *bytes.get(whole)?);
    if whole == 0 || (first == b'0' && whole > 1) {
        return None;
    }
    if !goes_on(next) {
        return Some((whole, Classes::of_digits(whole)));
    }
    let part = digits(bytes.get(whole + 1..)?);
    let end = whole + 1 + part;
    let fraction = next == b'.' && part > 0 && !goes_on(*bytes.get(end)?);
    fraction.then(|| (end, Classes::of_digits(whole + part).and(Classes::FRACTION)))
}

fn digits(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(bytes.len())
}

const fn goes_on(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
}

fn scan_any(bytes: &[u8], step: &mut NumberStep, classes: &mut Classes) -> Result<Option<usize>, Refusal> {
    let mut seen = *classes;
    for (at, byte) in bytes.iter().enumerate() {
        if let Some(next) = step.next(*byte) {
            seen = match byte {
                b'.' | b'e' | b'E' => seen.and(Classes::FRACTION),
                b'0'..=b'9' => seen.and(Classes::of_digits(1)),
                _ => seen,
            };
            *step = next;
            continue;
        }
        *classes = seen;
        // A digit after a leading zero, a second point and the like are no end of a number.
        let ends = step.accepts() && !goes_on(*byte);
        return if ends {
            Ok(Some(at))
        } else {
            Err(Refusal::Malformed)
        };
    }
    *classes = seen;
    Ok(None)
}
