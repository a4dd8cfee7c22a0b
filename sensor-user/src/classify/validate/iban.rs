//! IBAN: country, length and check digits (ISO 13616-1; the SWIFT registry's lengths).

/// Length of the IBAN at the front of `bytes`, in bytes, spaces between groups of four included.
pub(in crate::classify) fn at_front(bytes: &[u8]) -> Option<usize> {
    let wanted = length(bytes.get(..2)?)?;
    let mut text = [0; MAX_LENGTH];
    let mut taken = 0;
    let mut used = 0;
    while taken < wanted {
        let mut byte = *bytes.get(used)?;
        if byte == b' ' && taken > 0 && taken % 4 == 0 {
            used += 1;
            byte = *bytes.get(used)?;
        }
        if !(byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
            return None;
        }
        *text.get_mut(taken)? = byte;
        taken += 1;
        used += 1;
    }
    let ends = bytes.get(used).is_none_or(|next| !next.is_ascii_alphanumeric());
    let text = text.get(..wanted)?;
    (ends && mod_97(text) == Some(1)).then_some(used)
}

/// The longest entry of the registry (RU; the standard allows 34).
const MAX_LENGTH: usize = 33;

/// ISO 7064 MOD 97-10 over the text with its first four characters moved to the end.
fn mod_97(text: &[u8]) -> Option<u32> {
    let (front, rest) = text.split_at_checked(4)?;
    rest.iter().chain(front).try_fold(0, |remainder, byte| {
        let value = char::from(*byte).to_digit(36)?;
        Some(if value < 10 {
            (remainder * 10 + value) % 97
        } else {
            (remainder * 100 + value) % 97
        })
    })
}

/// Length by country, from the IBAN registry, release 99.
const fn length(country: &[u8]) -> Option<usize> {
    let [first, second] = country else {
        return None;
    };
    Some(match [*first, *second] {
        [b'N', b'O'] => 15,
        [b'B', b'E'] => 16,
        [b'D' | b'F', b'K'] | [b'F', b'I' | b'O'] | [b'G', b'L'] | [b'N', b'L'] | [b'S', b'D'] => 18,
        [b'M', b'K'] | [b'S', b'I'] => 19,
        [b'A', b'T']
        | [b'B', b'A']
        | [b'E', b'E']
        | [b'K', b'Z']
        | [b'L', b'T' | b'U']
        | [b'M', b'N']
        | [b'X', b'K'] => 20,
        [b'C', b'H'] | [b'H', b'R'] | [b'L', b'I' | b'V'] => 21,
        [b'B', b'G' | b'H']
        | [b'C', b'R']
        | [b'D', b'E']
        | [b'G', b'B' | b'E']
        | [b'I', b'E']
        | [b'M', b'E']
        | [b'R', b'S']
        | [b'V', b'A'] => 22,
        [b'A', b'E'] | [b'G', b'I'] | [b'I', b'L' | b'Q'] | [b'O', b'M'] | [b'S', b'O'] | [b'T', b'L'] => 23,
        [b'A', b'D']
        | [b'C', b'Z']
        | [b'E', b'S']
        | [b'M', b'D']
        | [b'P', b'K']
        | [b'R', b'O']
        | [b'S', b'A' | b'E' | b'K']
        | [b'T', b'N']
        | [b'V', b'G'] => 24,
        [b'L', b'Y'] | [b'P', b'T'] | [b'S', b'T'] => 25,
        [b'I', b'S'] | [b'T', b'R'] => 26,
        [b'B', b'I']
        | [b'D', b'J']
        | [b'F', b'R']
        | [b'G', b'R']
        | [b'I', b'T']
        | [b'M', b'C' | b'R']
        | [b'S', b'M'] => 27,
        [b'A', b'L' | b'Z']
        | [b'B', b'Y']
        | [b'C', b'Y']
        | [b'D', b'O']
        | [b'G', b'T']
        | [b'H', b'U' | b'N']
        | [b'L', b'B']
        | [b'N', b'I']
        | [b'P', b'L']
        | [b'S', b'V'] => 28,
        [b'B', b'R'] | [b'E', b'G'] | [b'P', b'S'] | [b'Q', b'A'] | [b'U', b'A'] => 29,
        [b'J', b'O'] | [b'K', b'W'] | [b'M', b'U'] | [b'Y', b'E'] => 30,
        [b'M', b'T'] | [b'S', b'C'] => 31,
        [b'L', b'C'] => 32,
        [b'R', b'U'] => 33,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_examples_are_found() {
        for (text, used) in [
            ("GB29NWBK60161331926819", 22),
            ("DE89 3704 0044 0532 0130 00", 27),
            ("NO9386011117947", 15),
            ("FR1420041010050500013M02606 and more", 27),
            ("MT84MALT011000012345MTLCAST001S", 31),
        ] {
            assert_eq!(at_front(text.as_bytes()), Some(used), "{text}");
        }
    }

    #[test]
    fn near_misses_are_none() {
        for text in [
            "GB29NWBK60161331926818",
            "GB29NWBK6016133192681",
            "GB29NWBK60161331926819X",
            "ZZ29NWBK60161331926819",
            "gb29nwbk60161331926819",
            "DE89-3704-0044-0532-0130-00",
        ] {
            assert_eq!(at_front(text.as_bytes()), None, "{text}");
        }
    }
}
