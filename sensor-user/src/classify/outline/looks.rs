//! What values look like: a set of kinds and formats, small enough to be kept for each place.
//!
//! Takes a value. Gives one kind and one format of it. Never keeps it. Bounded: of a long text the first
//! [`LOOKED_AT`] bytes are looked at.

use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::classify::shape::Shape;

/// Bytes of a text that tell its format: no format below but a URI, a token or base64 is longer.
const LOOKED_AT: usize = 64;

/// Kinds and formats. Union is all that ever happens to it, so it can be merged in any order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Looks(pub u32);

macro_rules! looks {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $text:literal;)*) => {
        impl Looks {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// Names of what is in the set, kinds first.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$((Self::$name, $text)),*]
                    .into_iter()
                    .filter(move |(look, _)| self.has(*look))
                    .map(|(_, text)| text)
            }
        }
    };
}

looks! {
    /// `null`.
    NULL = 0, "null";
    /// `true` or `false`.
    BOOL = 1, "boolean";
    /// A number.
    NUMBER = 2, "number";
    /// A string.
    STRING = 3, "string";
    /// Named members.
    OBJECT = 4, "object";
    /// Values without names.
    ARRAY = 5, "array";
    /// Bytes that are no text.
    BYTES = 6, "bytes";
    /// An integer of 32 bits with sign.
    INT32 = 7, "int32";
    /// An integer of 64 bits with sign that is none of 32.
    INT64 = 8, "int64";
    /// A larger integer.
    BIG = 9, "big_integer";
    /// A number with a fraction or exponent.
    FRACTION = 10, "fraction";
    /// Text of no format below.
    TEXT = 11, "text";
    /// A word as an API's author chooses.
    WORD = 12, "word";
    /// Digits only.
    DIGITS = 13, "digits";
    /// Digits with a point.
    DECIMAL = 14, "decimal";
    /// UUID (RFC 9562).
    UUID = 15, "uuid";
    /// ULID: 26 characters of Crockford's base 32.
    ULID = 16, "ulid";
    /// `full-date` (RFC 3339, 5.6).
    DATE = 17, "date";
    /// `date-time` (RFC 3339, 5.6), or nearly.
    DATE_TIME = 18, "date_time";
    /// E-mail address.
    EMAIL = 19, "email";
    /// URI with an authority (RFC 3986, 3).
    URI = 20, "uri";
    /// IPv4 address in four parts.
    IPV4 = 21, "ipv4";
    /// IPv6 address (RFC 4291, 2.2).
    IPV6 = 22, "ipv6";
    /// Hexadecimal of eight or more, with a digit.
    HEX = 23, "hex";
    /// Base 64 with padding or its two marks (RFC 4648, 4).
    BASE64 = 24, "base64";
    /// JSON Web Token.
    JWT = 25, "jwt";
    /// `true`, `no`, `on` and their like as text.
    BOOL_TEXT = 26, "boolean_text";
    /// The empty string.
    EMPTY = 27, "empty";
    /// A word around digits: `ORD-2024-17`.
    CODE = 28, "code";
    /// Long and random.
    TOKEN = 29, "token";
    /// More distinct words than an enumeration has.
    MANY_WORDS = 30, "many_words";
    /// Part of the message was not seen: what is missing may have been there.
    CUT = 31, "cut";
}

impl Looks {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Every kind: what JSON calls a type.
    pub const KINDS: Self = Self(0x7f);
    /// Formats of strings that tell one thing from another.
    pub const IDENTIFYING: Self = Self(
        Self::DIGITS.0
            | Self::UUID.0
            | Self::ULID.0
            | Self::EMAIL.0
            | Self::HEX.0
            | Self::CODE.0
            | Self::TOKEN.0
            | Self::INT32.0
            | Self::INT64.0
            | Self::BIG.0,
    );

    /// Whether anything of `other` is in it.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both.
    #[inline]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in it and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Format of a string's text, without the kind.
    pub(crate) fn of_text(text: &[u8]) -> Self {
        let Some(first) = text.first() else {
            return Self::EMPTY;
        };
        let front = text.get(..LOOKED_AT).unwrap_or(text);
        let begins_number = first.is_ascii_digit() || *first == b'-';
        // Of what has a space, times alone are of a format, and these begin with a digit.
        if text.len() > PLAIN_WORD && !begins_number && memchr::memchr(b' ', front).is_some() {
            return Self::TEXT;
        }
        let seen = kinds(front);
        if front.len() < text.len() {
            return Self::of_long(text, seen);
        }
        match seen {
            DIGIT => Self::DIGITS,
            _ if seen & !(LETTER | HEX) == 0 && text.len() <= PLAIN_WORD => Self::of_letters(text),
            _ if is_hyphenated(text) && seen & !(DIGIT | HEX | MARK) == 0 => Self::UUID,
            _ if seen & AT != 0 => Self::of_address(text, seen),
            _ if begins_number => Self::numeric(text, seen),
            _ if seen & OTHER != 0 && seen & COLON != 0 && is_uri(text) => Self::URI,
            _ if seen & OTHER != 0 => Self::TEXT,
            _ if seen & (COLON | BASE) != 0 => Self::marked(text, seen),
            _ => Self::named(text, seen),
        }
    }

    fn of_letters(text: &[u8]) -> Self {
        if text.len() <= 5 && is_bool_text(text) {
            Self::BOOL_TEXT
        } else {
            Self::WORD
        }
    }

    /// Format of a number's text: the class bits of the walk say whether it has a fraction.
    pub(super) fn of_number(magnitude: u64, fraction: bool) -> Self {
        match magnitude {
            _ if fraction => Self::FRACTION,
            0..=0x7fff_ffff => Self::INT32,
            0x8000_0000..=0x7fff_ffff_ffff_ffff => Self::INT64,
            _ => Self::BIG,
        }
    }

    fn of_long(text: &[u8], seen: u8) -> Self {
        if text.starts_with(b"eyJ") && memchr::memchr_iter(b'.', text).take(3).count() >= 2 {
            Self::JWT
        } else if is_uri(text) {
            Self::URI
        } else if seen & (OTHER | AT | COLON) != 0 {
            Self::TEXT
        } else if seen & BASE != 0 {
            Self::BASE64
        } else {
            Self::TOKEN
        }
    }

    fn of_address(text: &[u8], seen: u8) -> Self {
        let at = memchr::memchr(b'@', text).unwrap_or(0);
        let domain = text.get(at + 1..).unwrap_or_default();
        let dotted = memchr::memchr(b'.', domain).is_some_and(|dot| dot > 0 && dot + 1 < domain.len());
        let plain = seen & (OTHER | COLON) == 0 && memchr::memchr(b'@', domain).is_none();
        if at > 0 && dotted && plain {
            Self::EMAIL
        } else if seen & COLON != 0 && is_uri(text) {
            Self::URI
        } else {
            Self::TEXT
        }
    }

    /// Begins with a digit or a minus.
    fn numeric(text: &[u8], seen: u8) -> Self {
        if let (Some(front), 10..) = (text.get(..10), text.len())
            && is_date(front)
        {
            return if text.len() == 10 {
                Self::DATE
            } else {
                Self::DATE_TIME
            };
        }
        if seen & !(DIGIT | MARK) == 0 {
            let rest = text.strip_prefix(b"-").unwrap_or(text);
            let only = rest.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
            let dots = memchr::memchr_iter(b'.', rest).count();
            match dots {
                0 if only && seen & DIGIT != 0 => return Self::DIGITS,
                1 if only && seen & DIGIT != 0 => return Self::DECIMAL,
                3 if only && is_ipv4(rest) => return Self::IPV4,
                _ => {}
            }
        }
        if seen & OTHER != 0 {
            return Self::TEXT;
        }
        if seen & (COLON | BASE) != 0 {
            return Self::marked(text, seen);
        }
        Self::named(text, seen)
    }

    /// Has `:`, `/`, `+` or `=`.
    fn marked(text: &[u8], seen: u8) -> Self {
        if is_uri(text) {
            return Self::URI;
        }
        if seen & COLON != 0 {
            let six = std::str::from_utf8(text).is_ok_and(|text| Ipv6Addr::from_str(text).is_ok());
            return if six { Self::IPV6 } else { Self::TEXT };
        }
        if text.len() >= 16 && text.len().is_multiple_of(4) && seen & MARK == 0 {
            Self::BASE64
        } else {
            Self::TEXT
        }
    }

    /// Letters, digits and the marks of names.
    fn named(text: &[u8], seen: u8) -> Self {
        if text.starts_with(b"eyJ") && memchr::memchr_iter(b'.', text).count() == 2 {
            return Self::JWT;
        }
        match Shape::of(text) {
            Shape::Word => Self::WORD,
            Shape::Number => Self::CODE,
            Shape::Uuid => Self::UUID,
            Shape::Ulid => Self::ULID,
            Shape::Hex => Self::HEX,
            Shape::Email => Self::EMAIL,
            Shape::Token if seen & !(DIGIT | HEX) == 0 && seen & DIGIT != 0 => Self::HEX,
            Shape::Token => Self::TOKEN,
            Shape::Date | Shape::Slug | Shape::Odd => Self::TEXT,
        }
    }
}

/// Letters alone up to here are a word, whatever their case ([`Shape`] asks that of longer ones).
const PLAIN_WORD: usize = 16;

/// Kinds of bytes, one bit each.
const DIGIT: u8 = 1;
const HEX: u8 = 1 << 1;
const LETTER: u8 = 1 << 2;
/// `-`, `_`, `.`, `~`, `$`.
const MARK: u8 = 1 << 3;
/// `+`, `/` and `=`.
const BASE: u8 = 1 << 4;
const COLON: u8 = 1 << 5;
const AT: u8 = 1 << 6;
const OTHER: u8 = 1 << 7;

/// Kind of one byte. No branches, so that the compiler judges sixteen bytes with vector instructions.
#[inline]
const fn kind(byte: u8) -> u8 {
    let lower = byte | 0x20;
    let digit = (byte.wrapping_sub(b'0') < 10) as u8;
    let letter = (lower.wrapping_sub(b'a') < 26) as u8;
    let hex = (lower.wrapping_sub(b'a') < 6) as u8;
    let mark = (byte == b'-') as u8
        | (byte == b'_') as u8
        | (byte == b'.') as u8
        | (byte == b'~') as u8
        | (byte == b'$') as u8;
    let base = (byte == b'+') as u8 | (byte == b'/') as u8 | (byte == b'=') as u8;
    let colon = (byte == b':') as u8;
    let at = (byte == b'@') as u8;
    let known = digit | letter | mark | base | colon | at;
    digit | hex << 1 | (letter & !hex) << 2 | mark << 3 | base << 4 | colon << 5 | at << 6 | (known ^ 1) << 7
}

/// The same, for bytes that come alone.
const KINDS_OF: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            table[byte as usize] = kind(byte);
        }
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    table
};

/// Kinds of all bytes.
#[inline]
fn kinds(text: &[u8]) -> u8 {
    let of_block = |block: &[u8; 16]| block.iter().fold(0, |seen, byte| seen | kind(*byte));
    // The last block overlaps the one before: it does not matter how often a byte is looked at.
    if let Some(last) = text.last_chunk() {
        let (blocks, _) = text.as_chunks();
        return blocks
            .iter()
            .fold(of_block(last), |seen, block| seen | of_block(block));
    }
    text.iter().fold(0, |seen, byte| {
        seen | KINDS_OF.get(usize::from(*byte)).copied().unwrap_or(OTHER)
    })
}

/// Hyphens where a UUID has them.
fn is_hyphenated(text: &[u8]) -> bool {
    text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text.get(*at) == Some(&b'-'))
}

/// `scheme://` and something behind it.
fn is_uri(text: &[u8]) -> bool {
    let colon = memchr::memchr(b':', text).unwrap_or(0);
    let (scheme, rest) = text.split_at_checked(colon).unwrap_or_default();
    let scheme_like = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (2..=16).contains(&scheme.len())
        && scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(scheme_like)
        && rest.starts_with(b"://")
        && rest.len() > 3
        && !text.contains(&b' ')
}

/// `2024-05-01`.
fn is_date(text: &[u8]) -> bool {
    let fits = |(at, byte): (usize, &u8)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    let two = |at: usize| text.get(at..at + 2).and_then(|two| <[u8; 2]>::try_from(two).ok());
    let within = |at, most: [u8; 2]| two(at).is_some_and(|two| two > [b'0', b'0'] && two <= most);
    text.len() == 10 && text.iter().enumerate().all(fits) && within(5, *b"12") && within(8, *b"31")
}

fn is_ipv4(text: &[u8]) -> bool {
    let byte = |part: &[u8]| {
        (1..=3).contains(&part.len())
            && part
                .iter()
                .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
                < 256
    };
    text.split(|byte| *byte == b'.').all(byte)
}

fn is_bool_text(text: &[u8]) -> bool {
    ["true", "false", "yes", "no", "on", "off"]
        .iter()
        .any(|known| text.eq_ignore_ascii_case(known.as_bytes()))
}

/// Size of a number, rounded to three significant bits: exact up to 7, then in steps of an eighth to a quarter. Keeps
/// the order of numbers, and nothing that would be a value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Magnitude(pub i16);

impl Magnitude {
    /// Of a number's whole part.
    pub(super) fn of(negative: bool, whole: u64) -> Self {
        let bits = 64 - whole.leading_zeros();
        let code = if whole < 8 {
            whole
        } else {
            // Two bits behind the leading one, and which bit that is.
            u64::from(bits - 3) * 4 + 4 + (whole >> (bits - 3) & 3)
        };
        let code = i16::try_from(code).unwrap_or(i16::MAX);
        Self(if negative { -code } else { code })
    }

    /// Least and greatest whole number of that size.
    pub fn bounds(self) -> (i128, i128) {
        let code = i128::from(self.0.unsigned_abs());
        let (low, high) = if code < 8 {
            (code, code)
        } else {
            let (shift, front) = ((code - 4) / 4, (code - 4) % 4);
            let low = (4 + front) << shift.min(64);
            (low, low + (1 << shift.min(64)) - 1)
        };
        if self.0 < 0 { (-high, -low) } else { (low, high) }
    }
}

/// Sign, whole part (saturated) and whether there is a fraction or exponent, of a JSON number's text.
pub(super) fn number(text: &[u8]) -> (bool, u64, bool) {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let mut whole = 0_u64;
    for (at, byte) in digits.iter().enumerate() {
        if !byte.is_ascii_digit() {
            // Exponents are rare: what they make of the number is its size or one.
            let scaled = digits.iter().skip(at).any(|byte| matches!(byte, b'e' | b'E'));
            return (negative, if scaled { scale(text) } else { whole }, true);
        }
        whole = whole.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    }
    (negative, whole, false)
}

/// Whole part of a number with an exponent.
#[cold]
fn scale(text: &[u8]) -> u64 {
    let text = std::str::from_utf8(text).unwrap_or_default();
    saturated(text.parse::<f64>().unwrap_or_default().abs())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate, which is what is wanted"
)]
const fn saturated(float: f64) -> u64 {
    float as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formats_are_told_apart() {
        for (text, look) in [
            ("", Looks::EMPTY),
            ("shipped", Looks::WORD),
            ("IN_TRANSIT", Looks::WORD),
            ("true", Looks::BOOL_TEXT),
            ("Off", Looks::BOOL_TEXT),
            ("42", Looks::DIGITS),
            ("-17", Looks::DIGITS),
            ("20240501", Looks::DIGITS),
            ("12.50", Looks::DECIMAL),
            ("-0.5", Looks::DECIMAL),
            ("550e8400-e29b-41d4-a716-446655440000", Looks::UUID),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV", Looks::ULID),
            ("2024-05-01", Looks::DATE),
            ("2024-05-01T10:00:00Z", Looks::DATE_TIME),
            ("2024-05-01 10:00:00", Looks::DATE_TIME),
            ("2024-13-01", Looks::TEXT),
            ("alice@example.com", Looks::EMAIL),
            ("@handle", Looks::TEXT),
            ("https://example.com/a?b=c", Looks::URI),
            ("postgres://user@host/db", Looks::URI),
            ("192.168.0.1", Looks::IPV4),
            ("300.1.1.1", Looks::CODE),
            ("2001:db8::1", Looks::IPV6),
            ("::1", Looks::IPV6),
            ("10:30", Looks::TEXT),
            ("deadbee1", Looks::HEX),
            (
                "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                Looks::HEX,
            ),
            ("aGVsbG8gd29ybGQ+Pz8/", Looks::BASE64),
            ("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", Looks::JWT),
            ("ORD-2024-17", Looks::CODE),
            ("a1b2c3d4e5f6g7h8i9j0", Looks::TOKEN),
            ("Please leave the parcel", Looks::TEXT),
            ("caf\u{e9}", Looks::TEXT),
            ("my-first-post-about-rust", Looks::TEXT),
            ("a/b", Looks::TEXT),
        ] {
            let found = Looks::of_text(text.as_bytes());
            let names = |looks: Looks| looks.names().collect::<Vec<_>>();
            assert_eq!(names(found), names(look), "{text}");
        }
    }

    #[test]
    fn numbers_have_a_width_and_a_size() {
        for (text, negative, whole, fraction) in [
            ("0", false, 0, false),
            ("-1", true, 1, false),
            ("12.75", false, 12, true),
            ("1e3", false, 1000, true),
            ("99999999999999999999999", false, u64::MAX, false),
        ] {
            assert_eq!(number(text.as_bytes()), (negative, whole, fraction), "{text}");
        }
        assert_eq!(Looks::of_number(2_147_483_647, false), Looks::INT32);
        assert_eq!(Looks::of_number(2_147_483_648, false), Looks::INT64);
        assert_eq!(Looks::of_number(u64::MAX, false), Looks::BIG);
        for exact in 0..8 {
            assert_eq!(
                Magnitude::of(false, exact).bounds(),
                (i128::from(exact), i128::from(exact))
            );
        }
    }

    proptest! {
        #[test]
        fn sizes_keep_the_order(one: u64, other: u64, shift in 0..64_u32, negative: bool) {
            let (one, other) = (one >> shift, other >> (shift / 2));
            let size = |whole| Magnitude::of(negative, whole);
            let (low, high) = size(one).bounds();
            let value = if negative { -i128::from(one) } else { i128::from(one) };
            prop_assert!(low <= value && value <= high, "{low} {value} {high}");
            if one <= other && !negative {
                prop_assert!(size(one) <= size(other));
            }
            if one <= other && negative {
                prop_assert!(size(one) >= size(other));
            }
        }

        #[test]
        fn any_text_has_one_format(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Looks::of_text(&text).0.count_ones(), 1);
        }
    }
}
