//! Which kinds of characters a value has, found in the pass that finds its end: most values need no further look.
//!
//! Takes bytes. Gives [`Classes`]. Never allocates. Bounded by the input.

/// Set of character kinds that validators ask for, and how many digits there are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Classes {
    kinds: u8,
    digits: u16,
}

impl Classes {
    /// Nothing.
    pub const NONE: Self = Self::kind(0);
    /// `0` to `9`. The lowest bit, so that digits can be counted by adding kinds.
    pub const DIGIT: Self = Self::kind(1);
    /// What tokens with a published prefix have: `A` to `Z`, `-` and `_`; also `[`, `]` and `^`, because one range
    /// is cheaper than two.
    pub const MARK: Self = Self::kind(1 << 1);
    /// `@`.
    pub const AT: Self = Self::kind(1 << 2);
    /// A JSON escape was in the string.
    pub const ESCAPE: Self = Self::kind(1 << 3);
    /// The JSON number has a fraction or an exponent.
    pub const FRACTION: Self = Self::kind(1 << 4);

    const fn kind(kinds: u8) -> Self {
        Self { kinds, digits: 0 }
    }

    /// So many digits.
    #[inline]
    pub fn of_digits(count: usize) -> Self {
        Self {
            digits: u16::try_from(count).unwrap_or(u16::MAX),
            ..Self::DIGIT
        }
    }

    /// Both sets, and the digits of both.
    #[inline]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            kinds: self.kinds | other.kinds,
            digits: self.digits.saturating_add(other.digits),
        }
    }

    /// Whether any kind of `other` is in this set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.kinds & other.kinds != 0
    }

    /// Only whether there was an escape.
    #[must_use]
    pub const fn escape(self) -> Self {
        Self::kind(self.kinds & Self::ESCAPE.kinds)
    }

    /// Digits, counted up to 65,535.
    #[inline]
    pub const fn digits(self) -> u16 {
        self.digits
    }

    /// Kinds of all bytes of a value.
    pub fn of(bytes: &[u8]) -> Self {
        let mut seen = Self::NONE;
        let mut rest = bytes;
        loop {
            let (plain, kinds) = plain_run(rest);
            seen = seen.and(kinds);
            match rest.get(plain + 1..) {
                Some(after) => rest = after,
                None => return seen,
            }
        }
    }
}

/// Bit of bytes below 0x20, `"` and `\`: where a JSON string ends, escapes or breaks (RFC 8259, 7).
const STOP: u8 = 1 << 7;
/// One bit in each byte of a word.
const ONES: u64 = u64::from_ne_bytes([1; 8]);

/// Kinds of one byte as bits.
#[inline]
const fn bits(byte: u8) -> u8 {
    // No branches, so that the compiler judges sixteen bytes with vector instructions.
    (byte.wrapping_sub(b'0') < 10) as u8
        | ((byte.wrapping_sub(b'A') <= b'_' - b'A') as u8 | (byte == b'-') as u8) << 1
        | ((byte == b'@') as u8) << 2
        | ((byte < 0x20) as u8 | (byte == b'"') as u8 | (byte == b'\\') as u8) << 7
}

/// Kinds of one byte that is no stop.
#[inline]
const fn class(byte: u8) -> Classes {
    let kinds = bits(byte);
    Classes {
        kinds,
        digits: (kinds & Classes::DIGIT.kinds) as u16,
    }
}

/// Bytes before the first that ends, escapes or breaks a JSON string: [`plain_run`] where kinds do not matter.
#[inline]
pub fn plain_length(bytes: &[u8]) -> usize {
    const HIGH: u64 = ONES << 7;
    let mut at = 0;
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*word);
        // A borrow spoils only bytes above the first hit, and the first is what counts.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zero(word ^ (ONES * b'"' as u64));
        let escape = zero(word ^ (ONES * b'\\' as u64));
        let hits = (control | quote | escape) & HIGH;
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
        rest = after;
    }
    at + one_by_one(rest).0
}

/// Bytes before the first that ends, escapes or breaks a JSON string, and their kinds.
#[inline]
pub fn plain_run(bytes: &[u8]) -> (usize, Classes) {
    let mut seen = Classes::NONE;
    let mut at = 0;
    let mut rest = bytes;
    while let Some((block, after)) = rest.split_first_chunk() {
        let (plain, kinds) = judge(block);
        seen = seen.and(kinds);
        at += plain;
        if plain < block.len() {
            return (at, seen);
        }
        rest = after;
        // A run that was this long is text rather than a name: it pays to look further at once.
        if at == LONG_AFTER {
            let (longer, kinds) = long_run(rest);
            seen = seen.and(kinds);
            at += longer;
            rest = rest.get(longer..).unwrap_or_default();
        }
    }
    let (plain, kinds) = one_by_one(rest);
    (at + plain, seen.and(kinds))
}

/// Plain bytes after which [`plain_run`] goes on in steps of [`STRIDE`].
const LONG_AFTER: usize = 64;
/// Bytes judged together without looking for the place of a stop among them.
const STRIDE: usize = 128;

/// Strides without a stop at the front of `bytes`, and their kinds.
fn long_run(bytes: &[u8]) -> (usize, Classes) {
    let mut seen = Classes::NONE;
    let mut at = 0;
    let mut rest = bytes;
    while let Some((stride, after)) = rest.split_first_chunk::<STRIDE>() {
        // Lane by lane, so that the compiler keeps both in vector registers; a lane sums eight digits at most.
        let (mut kinds, mut digits) = ([0_u8; 16], [0_u8; 16]);
        for block in stride.chunks_exact(16) {
            for ((kind, digit), byte) in kinds.iter_mut().zip(&mut digits).zip(block) {
                let judged = bits(*byte);
                *kind |= judged;
                *digit += judged & Classes::DIGIT.kinds;
            }
        }
        let kinds = kinds.iter().fold(0, |all, kind| all | kind);
        if kinds & STOP != 0 {
            break;
        }
        let digits = digits.iter().map(|digit| u16::from(*digit)).sum();
        seen = seen.and(Classes { kinds, digits });
        at += STRIDE;
        rest = after;
    }
    (at, seen)
}

/// [`plain_run`] for the last bytes of the input.
fn one_by_one(bytes: &[u8]) -> (usize, Classes) {
    let mut seen = Classes::NONE;
    for (at, byte) in bytes.iter().enumerate() {
        if bits(*byte) & STOP != 0 {
            return (at, seen);
        }
        seen = seen.and(class(*byte));
    }
    (bytes.len(), seen)
}

/// Sixteen bytes at once: bytes before the first stop, and their kinds.
#[expect(
    clippy::inline_always,
    reason = "called for every sixteen bytes; a fifth of the walk's time when it is not"
)]
#[inline(always)]
fn judge(block: &[u8; 16]) -> (usize, Classes) {
    let mut kinds = [0; 16];
    for (kind, byte) in kinds.iter_mut().zip(block) {
        *kind = bits(*byte);
    }
    let half = |half: Option<&[u8; 8]>| half.map_or(0, |half| u64::from_le_bytes(*half));
    let (low, stop_low) = before_stop(half(kinds.first_chunk()));
    let (high, stop_high) = before_stop(half(kinds.last_chunk()));
    let (high, plain) = if stop_low < 8 {
        (0, stop_low)
    } else {
        (high, 8 + stop_high)
    };
    // At most sixteen digits: their sum fits the top byte of the product.
    let digits = ((low & ONES) + (high & ONES)).wrapping_mul(ONES) >> 56;
    let folded = low | high;
    let folded = folded | folded >> 32;
    let folded = folded | folded >> 16;
    let [kinds, ..] = (folded | folded >> 8).to_le_bytes();
    let [digits, ..] = digits.to_le_bytes();
    let seen = Classes {
        kinds,
        digits: u16::from(digits),
    };
    (plain as usize, seen)
}

/// Clears the first byte with [`STOP`] and all after it; gives how many bytes are before.
#[inline]
const fn before_stop(kinds: u64) -> (u64, u32) {
    let stops = kinds & (ONES << 7);
    let first = stops & stops.wrapping_neg();
    // Without a stop `first` is zero and the mask all ones.
    (kinds & (first >> 7).wrapping_sub(1), stops.trailing_zeros() / 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_run_ends_at_the_first_stop_and_knows_what_was_before() {
        let (length, seen) = plain_run(b"ab1\"X@");
        assert_eq!((length, seen.digits()), (3, 1));
        assert!(seen.has(Classes::DIGIT) && !seen.has(Classes::MARK.and(Classes::AT)));
        assert_eq!(plain_run(b"\n"), (0, Classes::NONE));
        assert!(!plain_run(b"ab\\@").1.has(Classes::AT));
    }

    proptest! {
        #[test]
        fn blocks_and_single_bytes_agree(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), 0x1e..0x62_u8, b'a'..=b'z', b'a'..=b'z', b'a'..=b'z'], 0..70)
        ) {
            prop_assert_eq!(plain_run(&bytes), one_by_one(&bytes));
            prop_assert_eq!(plain_length(&bytes), one_by_one(&bytes).0);
            let plain = bytes.iter().filter(|byte| bits(**byte) & STOP == 0);
            let each = plain.fold(Classes::NONE, |seen, byte| seen.and(class(*byte)));
            prop_assert_eq!(Classes::of(&bytes), each);
        }

        #[test]
        fn strides_and_single_bytes_agree(
            text in prop::collection::vec(prop_oneof![b'0'..=b'9', b'a'..=b'z', Just(b'@'), Just(0xc3)], 0..800),
            stops in prop::collection::vec((any::<prop::sample::Index>(), Just(b'"')), 0..3),
        ) {
            let mut bytes = text;
            for (place, stop) in stops {
                if !bytes.is_empty() {
                    let place = place.index(bytes.len());
                    bytes[place] = stop;
                }
            }
            prop_assert_eq!(plain_run(&bytes), one_by_one(&bytes));
        }
    }
}
