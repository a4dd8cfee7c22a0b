//! Strings with escapes, or interrupted (RFC 8259, 7).

use crate::protocol::chars::{self, Classes};
use crate::protocol::walk::Refusal;

/// Where in a string the walk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StringStep {
    Plain,
    Escape,
    Hex(u8),
}

/// Finds the closing quote; `None` when the slice ends first.
pub(super) fn scan(
    bytes: &[u8],
    step: &mut StringStep,
    classes: &mut Classes,
) -> Result<Option<usize>, Refusal> {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        *step = match (*step, byte) {
            (StringStep::Plain, b'"') => return Ok(Some(at - 1)),
            (StringStep::Plain, b'\\') => {
                *classes = classes.and(Classes::ESCAPE);
                StringStep::Escape
            }
            (StringStep::Plain, 0..0x20) => return Err(Refusal::Malformed),
            (StringStep::Plain, _) => {
                let (run, seen) = chars::plain_run(bytes.get(at - 1..).unwrap_or_default());
                *classes = classes.and(seen);
                at = at - 1 + run;
                StringStep::Plain
            }
            (StringStep::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => StringStep::Plain,
            (StringStep::Escape, b'u') => StringStep::Hex(4),
            (StringStep::Hex(left), digit) if digit.is_ascii_hexdigit() => match left {
                0 | 1 => StringStep::Plain,
                _ => StringStep::Hex(left - 1),
            },
            (StringStep::Escape | StringStep::Hex(_), _) => return Err(Refusal::Malformed),
        };
    }
    Ok(None)
}
