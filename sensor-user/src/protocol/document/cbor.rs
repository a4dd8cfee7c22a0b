//! CBOR (RFC 8949, 3).

use super::binary::{Found, Item, Items, Stop, bytes, number};

/// The format.
pub(super) struct Cbor;

impl Items for Cbor {
    fn next(input: &[u8]) -> Result<Found<'_>, Stop<'_>> {
        let first = *input.first().ok_or(Stop::Cut(None))?;
        let (major, low) = (first >> 5, first & 0x1f);
        // The argument (RFC 8949, 3): in the first byte, behind it, or none.
        let (argument, length) = match low {
            0..=23 => (Some(u64::from(low)), 1),
            24..=27 => {
                let wide = 1 << (low - 24);
                (Some(number(input, wide)?), 1 + wide)
            }
            31 => (None, 1),
            _ => return Err(Stop::Malformed),
        };
        let found = |item| Ok(Found { item, length });
        match (major, argument) {
            (0, Some(value)) => found(Item::Integer(i128::from(value))),
            (1, Some(value)) => found(Item::Integer(-1 - i128::from(value))),
            (2, Some(value)) => bytes(input, length, value, Item::Bytes),
            (3, Some(value)) => bytes(input, length, value, Item::Text),
            // A string of unknown length is told as the array of its chunks (RFC 8949, 3.2.3).
            (2 | 3, None) => found(Item::Array(None)),
            (4, count) => found(Item::Array(count)),
            (5, count) => found(Item::Map(count)),
            (6, Some(_)) => found(Item::Tag),
            (7, None) => found(Item::Break),
            (7, Some(value)) => found(simple(low, value)),
            _ => Err(Stop::Malformed),
        }
    }
}

/// Floating-point numbers and simple values (RFC 8949, 3.3).
fn simple(low: u8, value: u64) -> Item<'static> {
    let bits = u32::try_from(value).unwrap_or_default();
    match (low, value) {
        (25, _) => Item::Float(half(bits)),
        (26, _) => Item::Float(f64::from(f32::from_bits(bits))),
        (27, _) => Item::Float(f64::from_bits(value)),
        (_, 20 | 21) => Item::Bool(value == 21),
        // Undefined, and values that nobody has given a meaning.
        _ => Item::Null,
    }
}

/// A number of sixteen bits (RFC 8949, appendix D).
fn half(bits: u32) -> f64 {
    let fraction = f64::from(bits & 0x03ff);
    let size = match bits >> 10 & 0x1f {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (fraction + 1024.0) * 2_f64.powi(exponent.cast_signed() - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}
