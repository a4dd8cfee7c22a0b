//! What a length-delimited field holds when nobody says: a message, text, packed numbers or bytes.
//!
//! Takes the field's bytes. Gives the likeliest reading and how sure it is. Never looks into what lies deeper. Bounded
//! by the input, read at most twice.
//!
//! The evidence, and its weight in percent. Text is what reads as UTF-8 without control characters; a message is what
//! divides into fields to the last byte, as encoders write them: numbers that are not reserved, varints no longer than
//! need be, groups that close, one wire type for one number. Both happen at once: `hi` is also field 13 with the
//! varint 105. Then text is taken, unless a length-delimited field that ends where the message does says otherwise:
//! one text in a hundred has that byte there by chance, and messages begin so. The figures were set on
//! the samples of the tests, which print how often each class is met.

use super::wire::{Cursor, Stop, Value};

/// Groups within groups that a guess follows: they were given up with proto2.
const MAX_GROUPS: usize = 4;
/// Field numbers that are kept for the protocol itself.
const RESERVED: std::ops::RangeInclusive<u32> = 19_000..=19_999;
/// Largest field number that a guess believes: above it 99.9 % of published schemas have only extensions.
const LARGEST: u32 = 2_047;
/// Wire types are remembered for numbers below this: sixteen words of the stack.
const REMEMBERED: usize = 128;
/// Packed numbers fewer than these are as likely bytes.
const FEWEST_PACKED: usize = 3;
/// Least confidence of a nested message that is opened; what is below is told as bytes.
const LEAST: u8 = 60;

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Guessed {
    /// A nested message.
    Message,
    /// UTF-8.
    Text,
    /// Numbers, packed as varints.
    Packed,
    /// None of these, or nothing that is likely enough.
    Bytes,
}

/// A reading and how sure it is, in percent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guess {
    /// What it is taken for.
    pub kind: Guessed,
    /// 1 to 100.
    pub confidence: u8,
}

impl Guess {
    const fn new(kind: Guessed, confidence: u8) -> Self {
        Self { kind, confidence }
    }
}

/// Judges the content of a length-delimited field. `whole`: all of it is there.
pub fn guess(bytes: &[u8], whole: bool) -> Guess {
    if bytes.is_empty() {
        // Text, a message and bytes without content look alike; text claims least.
        return Guess::new(Guessed::Text, 34);
    }
    let text = Prose::of(bytes, whole);
    let fields = Fields::of(bytes, whole);
    match (text, fields) {
        (Prose::Printed | Prose::Broken, Some(fields)) => both(text, &fields, bytes),
        (Prose::Printed | Prose::Broken, None) => {
            Guess::new(Guessed::Text, if bytes.len() < 3 { 85 } else { 97 })
        }
        (Prose::No, Some(fields)) => alone(&fields, bytes),
        (Prose::No, None) => numbers(bytes, whole),
    }
}

/// Reads as text and as a message.
fn both(text: Prose, fields: &Fields, bytes: &[u8]) -> Guess {
    let length = bytes.len();
    // A length that is right to the byte, and in order: the chance of either in text is below one in a hundred.
    let framed = fields.delimited > 0 && fields.in_order && fields.inner * 2 >= length;
    match (text, framed) {
        // A line feed is the tag of field 1, so messages that are text begin with one, and text hardly ever does.
        (Prose::Broken, true) => Guess::new(Guessed::Message, 92),
        (_, true) => Guess::new(Guessed::Message, 70),
        // Field 1 of a message that was cut within it.
        (Prose::Broken, false) if fields.torn && bytes.starts_with(b"\n") => Guess::new(Guessed::Message, 65),
        (Prose::Broken, false) if fields.count > 1 && fields.in_order => Guess::new(Guessed::Message, 65),
        _ => Guess::new(Guessed::Text, if length < 6 { 75 } else { 88 }),
    }
}

/// Reads as a message and not as text.
fn alone(fields: &Fields, bytes: &[u8]) -> Guess {
    // Each is about what one byte in the right place proves against chance.
    let mut confidence = 66_u8;
    confidence += if fields.in_order { 12 } else { 0 };
    confidence += if fields.largest < 16 { 8 } else { 0 };
    confidence += if fields.delimited > 0 { 6 } else { 0 };
    confidence += if fields.count > 2 { 4 } else { 0 };
    // Out of order, with numbers that few schemas have: as bytes at random do.
    let strange = !fields.in_order && fields.largest >= 16 && fields.count < 4;
    confidence = confidence.saturating_sub(if strange { 26 } else { 0 });
    // Single numbers below 128 in a row are as well a message of varints.
    let small = bytes.len() >= FEWEST_PACKED && bytes.iter().all(|byte| *byte < 0x80);
    let climbing = bytes
        .windows(2)
        .all(|pair| matches!(pair, [one, two] if one <= two));
    if small && climbing && fields.delimited == 0 {
        return Guess::new(Guessed::Packed, 55);
    }
    if confidence < LEAST {
        return Guess::new(Guessed::Bytes, 100 - confidence);
    }
    Guess::new(Guessed::Message, confidence)
}

/// Neither text nor a message.
fn numbers(bytes: &[u8], whole: bool) -> Guess {
    let Some(packed) = Packed::of(bytes, whole) else {
        return Guess::new(Guessed::Bytes, 90);
    };
    // Bytes at random end a varint every second time, at any length; numbers of one list are of like length.
    let even = packed.longest - packed.shortest <= 1;
    let small = packed.longest <= 2 && packed.count * 3 >= bytes.len() * 2;
    match (packed.count >= FEWEST_PACKED, even, small) {
        (true, true, true) => Guess::new(Guessed::Packed, 85),
        (true, true, false) if packed.count >= 4 => Guess::new(Guessed::Packed, 75),
        (true, false, true) => Guess::new(Guessed::Packed, 65),
        _ => Guess::new(Guessed::Bytes, 70),
    }
}

/// Whether bytes read as text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Prose {
    No,
    /// Without any control character.
    Printed,
    /// With line breaks or tabs.
    Broken,
}

impl Prose {
    fn of(bytes: &[u8], whole: bool) -> Self {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            // A character that the cut tore.
            Err(error) if !whole && error.error_len().is_none() && error.valid_up_to() > 0 => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                std::str::from_utf8(valid).unwrap_or_default()
            }
            Err(_) => return Self::No,
        };
        let mut prose = Self::Printed;
        for byte in text.bytes() {
            match byte {
                b'\n' | b'\r' | b'\t' => prose = Self::Broken,
                0..0x20 | 0x7f => return Self::No,
                _ => {}
            }
        }
        prose
    }
}

/// How bytes divide into fields.
#[derive(Clone, Copy, Debug)]
struct Fields {
    count: usize,
    /// Length-delimited ones that are not empty.
    delimited: usize,
    /// Bytes within them.
    inner: usize,
    /// The last one goes on behind the cut.
    torn: bool,
    largest: u32,
    /// Numbers never fall, as every official encoder writes them.
    in_order: bool,
}

impl Fields {
    /// `None` when they do not, to the last byte.
    fn of(bytes: &[u8], whole: bool) -> Option<Self> {
        let mut found = Self {
            count: 0,
            delimited: 0,
            inner: 0,
            torn: false,
            largest: 0,
            in_order: true,
        };
        let mut kinds = [u8::MAX; REMEMBERED];
        let mut groups: smallvec::SmallVec<[u32; MAX_GROUPS]> = smallvec::SmallVec::new();
        let mut before = 0;
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let field = match cursor.field() {
                Ok(field) => field,
                Err(Stop::Cut) if !whole && found.count > 0 => return Some(found),
                Err(Stop::Cut | Stop::Malformed) => return None,
            };
            if field.number > LARGEST || RESERVED.contains(&field.number) || cursor.padded {
                return None;
            }
            match field.value {
                Value::StartGroup if groups.len() == MAX_GROUPS => return None,
                Value::StartGroup => {
                    groups.push(field.number);
                    before = 0;
                    continue;
                }
                Value::EndGroup if groups.pop() == Some(field.number) => {
                    before = field.number;
                    continue;
                }
                Value::EndGroup => return None,
                Value::Bytes { missing, .. } if missing > 0 && whole => return None,
                // Where it ends is not known, so its length proves nothing.
                Value::Bytes { missing: 1.., .. } => found.torn = true,
                Value::Bytes { bytes, .. } => {
                    found.delimited += usize::from(!bytes.is_empty());
                    found.inner += bytes.len();
                }
                Value::Varint(_) | Value::Fixed32(_) | Value::Fixed64(_) => {}
            }
            if groups.is_empty()
                && let Some(kind) = kinds.get_mut(field.number as usize)
            {
                if *kind != u8::MAX && *kind != field.value.kind() {
                    return None;
                }
                *kind = field.value.kind();
            }
            found.count += 1;
            found.largest = found.largest.max(field.number);
            found.in_order &= field.number >= before;
            before = field.number;
        }
        (groups.is_empty() && found.count > 0).then_some(found)
    }
}

/// How bytes divide into varints.
#[derive(Clone, Copy, Debug)]
struct Packed {
    count: usize,
    shortest: usize,
    longest: usize,
}

impl Packed {
    fn of(bytes: &[u8], whole: bool) -> Option<Self> {
        let mut found = Self {
            count: 0,
            shortest: usize::MAX,
            longest: 0,
        };
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let before = cursor.rest().len();
            match cursor.varint() {
                Ok(_) if cursor.padded => return None,
                Ok(_) => {}
                Err(Stop::Cut) if !whole && found.count > 0 => break,
                Err(Stop::Cut | Stop::Malformed) => return None,
            }
            let length = before - cursor.rest().len();
            found.count += 1;
            found.shortest = found.shortest.min(length);
            found.longest = found.longest.max(length);
        }
        Some(found)
    }
}
