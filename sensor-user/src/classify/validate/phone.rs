//! Telephone numbers: international form (E.164), or a field that is named so and holds plausible digits.

/// Digits of the shortest international number in use, and of the longest (ITU-T E.164, 6.1).
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 8..=15;
/// Digits of a number dialled nationally.
const NATIONAL: std::ops::RangeInclusive<usize> = 7..=15;

/// Length of the number whose digits begin at the front of `bytes`, right after a `+`.
pub(in crate::classify) fn international(bytes: &[u8]) -> Option<usize> {
    let mut digits = [0; 15];
    let mut count = 0;
    let mut used = 0;
    let mut gap = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                *digits.get_mut(count)? = *byte;
                count += 1;
                used = at + 1;
                gap = 0;
            }
            b' ' | b'-' | b'.' | b'(' | b')' if gap < 2 => gap += 1,
            _ => break,
        }
    }
    let ends = bytes
        .get(used)
        .is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'_');
    let plausible = match digits {
        [b'0', ..] => false,
        // North American numbering plan: three digits of area and three of exchange, neither begins with 0 or 1.
        [b'1', area, _, _, exchange, ..] => count == 11 && area >= b'2' && exchange >= b'2',
        _ => true,
    };
    (ends && plausible && INTERNATIONAL.contains(&count)).then_some(used)
}

/// Whether the whole value is a number as people write it.
pub(in crate::classify) fn is_national(value: &[u8]) -> bool {
    let mut digits = 0;
    let mut first = 0;
    let mut varied = false;
    for byte in value {
        if byte.is_ascii_digit() {
            digits += 1;
            varied |= digits > 1 && *byte != first;
            first = *byte;
        } else if !matches!(byte, b' ' | b'-' | b'.' | b'(' | b')' | b'+' | b'/') {
            return false;
        }
    }
    varied && NATIONAL.contains(&digits) && value.len() <= 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn international_numbers_are_found() {
        assert_eq!(international(b"14155552671"), Some(11));
        assert_eq!(international(b"49 30 123456 call"), Some(12));
        assert_eq!(international(b"1 (415) 555-2671"), Some(16));
    }

    #[test]
    fn near_misses_are_none() {
        for text in [
            "0200",
            "1234",
            "11234567890",
            "1415555267",
            "4930123456x",
            "1234567890123456",
        ] {
            assert_eq!(international(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn national_numbers_need_digits_only() {
        assert!(is_national(b"(415) 555-2671"));
        assert!(is_national(b"030/1234567"));
        for text in ["555", "0000000000", "ext 12345678", "12345678901234567890"] {
            assert!(!is_national(text.as_bytes()), "{text}");
        }
    }
}
