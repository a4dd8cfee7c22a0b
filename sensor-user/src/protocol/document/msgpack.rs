//! `MessagePack`, as its specification lays it out ("Formats").

use super::binary::{Found, Item, Items, Stop, bytes, number};

/// The format.
pub(super) struct MessagePack;

impl Items for MessagePack {
    fn next(input: &[u8]) -> Result<Found<'_>, Stop<'_>> {
        let first = *input.first().ok_or(Stop::Cut(None))?;
        let found = |item, length| Ok(Found { item, length });
        // A number of 1, 2, 4 or 8 bytes follows the first, by its two lowest bits.
        let wide = 1 << (first & 3);
        match first {
            0x00..=0x7f => found(Item::Integer(i128::from(first)), 1),
            0x80..=0x8f => found(Item::Map(Some(u64::from(first & 0x0f))), 1),
            0x90..=0x9f => found(Item::Array(Some(u64::from(first & 0x0f))), 1),
            0xa0..=0xbf => bytes(input, 1, u64::from(first & 0x1f), Item::Text),
            0xc0 => found(Item::Null, 1),
            0xc1 => Err(Stop::Malformed),
            0xc2 | 0xc3 => found(Item::Bool(first == 0xc3), 1),
            0xc4..=0xc6 => bytes(input, 1 + wide, number(input, wide)?, Item::Bytes),
            // A type of one byte follows the length of an extension.
            0xc7..=0xc9 => {
                let wide = 1 << (first - 0xc7);
                bytes(input, 2 + wide, number(input, wide)?, Item::Bytes)
            }
            0xca => {
                let bits = u32::try_from(number(input, 4)?).unwrap_or_default();
                found(Item::Float(f64::from(f32::from_bits(bits))), 5)
            }
            0xcb => found(Item::Float(f64::from_bits(number(input, 8)?)), 9),
            0xcc..=0xcf => found(Item::Integer(i128::from(number(input, wide)?)), 1 + wide),
            0xd0..=0xd3 => {
                let unused = 64 - 8 * wide;
                let signed = number(input, wide)?.cast_signed() << unused >> unused;
                found(Item::Integer(i128::from(signed)), 1 + wide)
            }
            // An extension of 1, 2, 4, 8 or 16 bytes behind its type.
            0xd4..=0xd8 => bytes(input, 2, 1 << (first - 0xd4), Item::Bytes),
            0xd9..=0xdb => {
                let wide = 1 << (first - 0xd9);
                bytes(input, 1 + wide, number(input, wide)?, Item::Text)
            }
            0xdc | 0xdd => {
                let wide = 2 << (first - 0xdc);
                found(Item::Array(Some(number(input, wide)?)), 1 + wide)
            }
            0xde | 0xdf => {
                let wide = 2 << (first - 0xde);
                found(Item::Map(Some(number(input, wide)?)), 1 + wide)
            }
            0xe0..=0xff => found(Item::Integer(i128::from(first.cast_signed())), 1),
        }
    }
}
