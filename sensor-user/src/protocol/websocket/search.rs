//! Where a frame begins, behind a hole that took a head.
//!
//! Takes bytes from somewhere on. Gives the first place at which frames explain them well enough. A head alone proves
//! little, as one random pair of bytes in forty looks like one; so evidence is added up, in bits, and anything a frame
//! could not be followed by refutes it. Never looks further than [`SEARCH_BYTES`] for evidence of one place.

use super::frame::{self, Decoded, Head, Opcode};
use super::{MAX_CONTROL, Rules, Travel};

/// Bytes kept while one place is in question: most messages of an API are shorter.
pub const SEARCH_BYTES: usize = 4096;

/// Bits of evidence that make a place: one in 260,000 random places has as many by chance.
const ENOUGH: u32 = 18;
/// A head of the kind that may come here: of 65,536 pairs of bytes about 1,700.
const HEAD: u32 = 5;
/// It is the first byte of a chunk: programs write whole frames, mostly.
const CHUNK_START: u32 = 7;
/// Behind it comes another head, or the chunk's end: one random length in sixty leads there. Whatever speaks for the
/// later frames speaks for their places, not for this one.
const FOLLOWED: u32 = 6;
/// Bytes of text that count, a bit each (a random byte is printable ASCII in 37 of 100 cases).
const TEXT: usize = 16;
/// Frames that are followed: each may refute the first.
const CHAIN: usize = 4;
/// Most payload of a control frame that may be the first one found. Pings carry a number, if anything.
const SHORT_CONTROL: u64 = 8;

pub(super) enum Found {
    /// At the front of the input.
    Here,
    /// Not in so many bytes from the front.
    Later(usize),
    /// The front may be one.
    NeedMore(usize),
}

enum Judgement {
    Yes,
    No,
    /// Not refuted; so many bytes say more.
    Perhaps(usize),
}

pub(super) fn find(input: &[u8], travel: Travel, rules: Rules, at_start: bool) -> Found {
    // A place that was waited for in vain. What came meanwhile is no longer known to begin a chunk, so any place in it
    // would be waited for in vain as well, and the search would stay that far behind for good: only proof counts in it.
    let mut in_vain = false;
    for place in 0..input.len() {
        let Some(tail) = input.get(place..) else { break };
        let judgement = judge(tail, travel, rules, at_start && place == 0, || {
            inside_text(input, place)
        });
        match judgement {
            Judgement::No => {}
            Judgement::Yes if place == 0 => return Found::Here,
            Judgement::Perhaps(at_least) if place == 0 => {
                if tail.len() < SEARCH_BYTES {
                    return Found::NeedMore(at_least.clamp(tail.len() + 1, SEARCH_BYTES.max(tail.len() + 1)));
                }
                in_vain = true;
            }
            Judgement::Yes | Judgement::Perhaps(_) => {
                // A place that can only be judged with more bytes has to wait at the front.
                if matches!(judgement, Judgement::Yes) || (!in_vain && tail.len() < SEARCH_BYTES) {
                    return Found::Later(place);
                }
            }
        }
    }
    Found::Later(input.len())
}

/// Adds up what speaks for a frame at the front of `tail`.
fn judge(
    tail: &[u8],
    travel: Travel,
    rules: Rules,
    chunk_start: bool,
    inside_text: impl FnOnce() -> bool,
) -> Judgement {
    let mut bits = HEAD + if chunk_start { CHUNK_START } else { 0 };
    let mut rest = tail;
    for link in 0..CHAIN {
        let head = match frame::decode(rest) {
            Decoded::Head(head) => head,
            Decoded::TooLong => return Judgement::No,
            Decoded::NeedMore(at_least) => {
                let refuted = rest
                    .first()
                    .is_some_and(|first| !may_begin(*first, rules, link == 0));
                let at_least = tail.len() - rest.len() + at_least;
                return if refuted {
                    Judgement::No
                } else {
                    verdict(bits, at_least)
                };
            }
        };
        if !plausible(&head, travel, rules, link == 0) {
            return Judgement::No;
        }
        let payload = rest.get(head.len..).unwrap_or_default();
        match text(&head, payload) {
            Payload::Text(seen) if link == 0 => bits += seen,
            Payload::Wrong => return Judgement::No,
            Payload::Text(_) | Payload::Any => {}
        }
        if link == 1 {
            bits += FOLLOWED;
        }
        let length = usize::try_from(head.length).unwrap_or(usize::MAX);
        let Some(behind) = payload.get(length..) else {
            // Nothing behind it can refute it, so a piece of text must not pass for a frame.
            if link == 0 && !chunk_start && inside_text() {
                bits = bits.saturating_sub(ENOUGH);
            }
            let end = (tail.len() - rest.len())
                .saturating_add(head.len)
                .saturating_add(length);
            return verdict(bits, end);
        };
        rest = behind;
        if rest.is_empty() {
            let bits = if link == 0 { bits + FOLLOWED } else { bits };
            return verdict(bits, tail.len() + 2);
        }
    }
    verdict(bits, tail.len() + 1)
}

const fn verdict(bits: u32, at_least: usize) -> Judgement {
    if bits >= ENOUGH {
        Judgement::Yes
    } else {
        Judgement::Perhaps(at_least)
    }
}

fn may_begin(first: u8, rules: Rules, front: bool) -> bool {
    let head = [first, 0];
    match frame::decode(&head) {
        Decoded::Head(head) => bits_and_opcode(&head, rules, front),
        Decoded::NeedMore(_) | Decoded::TooLong => true,
    }
}

fn bits_and_opcode(head: &Head, rules: Rules, front: bool) -> bool {
    let begins = matches!(head.opcode, Opcode::Text | Opcode::Binary);
    head.opcode != Opcode::Reserved
        && (rules.foreign || (!head.bits.rsv23() && (!head.bits.rsv1() || (rules.deflate && begins))))
        // A message's middle is of no use, and zeroes look like nothing else.
        && !(front && head.opcode == Opcode::Continuation)
}

fn plausible(head: &Head, travel: Travel, rules: Rules, front: bool) -> bool {
    bits_and_opcode(head, rules, front)
        && head.mask.is_some() == (travel == Travel::ToServer)
        && !head.padded
        && !(head.opcode.is_control() && (!head.bits.fin() || head.length > MAX_CONTROL))
        && (head.bits.fin() || head.length > 0)
        && !(front && head.opcode.is_control() && head.length > SHORT_CONTROL)
        // 64 MiB: larger frames exist, but not as a way to find one's place again.
        && head.length <= 64 << 20
}

/// What the payload says for its frame.
enum Payload {
    /// So many bits: it is text, as announced.
    Text(u32),
    /// It is not what was announced.
    Wrong,
    /// It may be anything.
    Any,
}

fn text(head: &Head, payload: &[u8]) -> Payload {
    if head.opcode != Opcode::Text || head.bits.rsv1() {
        return Payload::Any;
    }
    let length = usize::try_from(head.length).unwrap_or(usize::MAX);
    let seen = payload.get(..length.min(2 * TEXT)).unwrap_or(payload);
    let mut clear = smallvec::SmallVec::<[u8; 2 * TEXT]>::new();
    super::unmask(
        seen.get(..2 * TEXT).unwrap_or(seen),
        head.mask.unwrap_or_default(),
        &mut clear,
    );
    let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
    let is_text = match std::str::from_utf8(&clear) {
        Ok(_) => true,
        // The front of a character at the end of what is seen.
        Err(error) => error.error_len().is_none() && clear.len() < length,
    };
    if !is_text || clear.iter().any(control) {
        return Payload::Wrong;
    }
    Payload::Text(u32::try_from(clear.len().min(TEXT)).unwrap_or(0))
}

/// Whether the byte at `place` goes on with a character of UTF-8 that began before it.
fn inside_text(input: &[u8], place: usize) -> bool {
    let before = |back: usize| place.checked_sub(back).and_then(|at| input.get(at)).copied();
    let continues = input.get(place).is_some_and(|byte| byte & 0xc0 == 0x80);
    continues
        && (before(1).is_none_or(|byte| byte >= 0xc2)
            || before(2).is_some_and(|byte| byte >= 0xe0)
            || before(3).is_some_and(|byte| byte >= 0xf0))
}
