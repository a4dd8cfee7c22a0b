//! Which kinds of characters a value has: one table look-up per byte, so that most values need no further look.
//!
//! Takes bytes. Gives [`Classes`]. Never allocates. Bounded by the input.

/// Set of character kinds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Classes(u16);

impl Classes {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// `a` to `z`.
    pub const LOWER: Self = Self(1);
    /// `A` to `Z`.
    pub const UPPER: Self = Self(1 << 1);
    /// `0` to `9`.
    pub const DIGIT: Self = Self(1 << 2);
    /// Space.
    pub const SPACE: Self = Self(1 << 3);
    /// `@`.
    pub const AT: Self = Self(1 << 4);
    /// `.`.
    pub const DOT: Self = Self(1 << 5);
    /// `-` and `_`.
    pub const JOINER: Self = Self(1 << 6);
    /// `+`.
    pub const PLUS: Self = Self(1 << 7);
    /// `%`.
    pub const PERCENT: Self = Self(1 << 8);
    /// Other printable ASCII, and DEL.
    pub const OTHER: Self = Self(1 << 9);
    /// Bytes from 0x80.
    pub const HIGH: Self = Self(1 << 10);
    /// Bytes below 0x20, `"` and `\`: where a JSON string ends, escapes or breaks (RFC 8259, 7).
    pub const STOP: Self = Self(1 << 11);
    /// A JSON escape was in the value.
    pub const ESCAPE: Self = Self(1 << 12);

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing beyond `other` is in this set.
    pub const fn only(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Kinds of all bytes of a value.
    pub fn of(bytes: &[u8]) -> Self {
        let mut seen = 0;
        for byte in bytes {
            seen |= class(*byte).0;
        }
        Self(seen)
    }
}

/// Kind of one byte.
#[inline]
pub fn class(byte: u8) -> Classes {
    TABLE.get(byte as usize).copied().unwrap_or(Classes::OTHER)
}

/// Bytes before the first of [`Classes::STOP`], and their kinds.
#[inline]
pub fn plain_run(bytes: &[u8]) -> (usize, Classes) {
    let mut seen = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let class = class(*byte);
        if class.has(Classes::STOP) {
            return (at, Classes(seen));
        }
        seen |= class.0;
    }
    (bytes.len(), Classes(seen))
}

const fn classify(byte: u8) -> Classes {
    match byte {
        b'a'..=b'z' => Classes::LOWER,
        b'A'..=b'Z' => Classes::UPPER,
        b'0'..=b'9' => Classes::DIGIT,
        b' ' => Classes::SPACE,
        b'@' => Classes::AT,
        b'.' => Classes::DOT,
        b'-' | b'_' => Classes::JOINER,
        b'+' => Classes::PLUS,
        b'%' => Classes::PERCENT,
        0..0x20 | b'"' | b'\\' => Classes::STOP,
        0x80.. => Classes::HIGH,
        _ => Classes::OTHER,
    }
}

static TABLE: [Classes; 256] = {
    let mut table = [Classes::NONE; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 256")]
        {
            table[byte] = classify(byte as u8);
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_at_the_first_stop_and_knows_what_was_before() {
        assert_eq!(plain_run(b"ab1\"X"), (3, Classes::LOWER.and(Classes::DIGIT)));
        assert_eq!(plain_run(b"AB"), (2, Classes::UPPER));
        assert_eq!(plain_run(b"\n"), (0, Classes::NONE));
        assert!(!plain_run(b"ab\\@").1.has(Classes::AT));
    }

    #[test]
    fn every_byte_has_exactly_one_kind() {
        for byte in 0..=u8::MAX {
            assert_eq!(class(byte).0.count_ones(), 1, "{byte}");
        }
    }
}
