//! Payment card numbers: network prefix, length and check digit (ISO/IEC 7812-1).

/// Digits of the longest card number (ISO/IEC 7812-1 allows 19).
pub(in crate::classify) const MAX_DIGITS: usize = 19;

/// Whether these ASCII digits are a card number that a network could have issued.
pub(in crate::classify) fn is_card(digits: &[u8]) -> bool {
    let Some(front) = digits.get(..6).map(number) else {
        return false;
    };
    network_allows(front, digits.len()) && luhn(digits)
}

/// Prefix ranges and lengths as the networks publish them.
const fn network_allows(front: u64, length: usize) -> bool {
    let (two, three, four) = (front / 10_000, front / 1_000, front / 100);
    match length {
        // Visa issued 13 digits until the 1990s; such cards are gone, timestamps of 13 digits are not.
        14 => is_diners(two, three, four),
        15 => matches!(two, 34 | 37),
        16 => {
            two / 10 == 4
                || matches!(two, 51..=55 | 65 | 62 | 81)
                || matches!(four, 2221..=2720 | 2200..=2204 | 6011 | 3528..=3589)
                || matches!(three, 644..=649)
                || is_maestro(four)
                || is_diners(two, three, four)
        }
        17..=18 => matches!(two, 62) || matches!(four, 3528..=3589) || is_maestro(four),
        MAX_DIGITS => {
            two / 10 == 4 || matches!(two, 62) || matches!(four, 6011 | 3528..=3589) || is_maestro(four)
        }
        _ => false,
    }
}

const fn is_diners(two: u64, three: u64, four: u64) -> bool {
    matches!(two, 36 | 38 | 39) || matches!(three, 300..=305) || four == 3095
}

const fn is_maestro(four: u64) -> bool {
    matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761 | 6762 | 6763)
}

/// Luhn's check digit (ISO/IEC 7812-1, annex B).
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit.wrapping_sub(b'0'));
            match (place % 2, value * 2) {
                (0, _) => value,
                (_, double) if double > 9 => double - 9,
                (_, double) => double,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Digits as a number; at most 19 of them fit.
fn number(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + u64::from(digit.wrapping_sub(b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_is_known() {
        for card in [
            "4111111111111111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "6011111111111117",
            "3530111333300000",
            "30569309025904",
            "6200000000000005",
            "6304000000000000",
        ] {
            assert!(is_card(card.as_bytes()), "{card}");
        }
    }

    #[test]
    fn near_misses_are_none() {
        for card in [
            "4111111111111112",
            "1700000000000000",
            "4222222222222",
            "0000000000000000",
            "9999999999999995",
            "41111111111111111",
            "5111",
        ] {
            assert!(!is_card(card.as_bytes()), "{card}");
        }
    }
}
