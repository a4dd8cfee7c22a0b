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

/// Length by country.
fn length(country: &[u8]) -> Option<usize> {
    let country = std::str::from_utf8(country).ok()?;
    let row = LENGTHS
        .iter()
        .find(|(_, countries)| countries.split(' ').any(|known| known == country));
    row.map(|(length, _)| *length)
}

/// The IBAN registry, release 99.
const LENGTHS: [(usize, &str); 18] = [
    (15, "NO"),
    (16, "BE"),
    (18, "DK FI FK FO GL NL SD"),
    (19, "MK SI"),
    (20, "AT BA EE KZ LT LU MN XK"),
    (21, "CH HR LI LV"),
    (22, "BG BH CR DE GB GE IE ME RS VA"),
    (23, "AE GI IL IQ OM SO TL"),
    (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
    (25, "LY PT ST"),
    (26, "IS TR"),
    (27, "BI DJ FR GR IT MC MR SM"),
    (28, "AL AZ BY CY DO GT HU HN LB NI PL SV"),
    (29, "BR EG PS QA UA"),
    (30, "JO KW MU YE"),
    (31, "MT SC"),
    (32, "LC"),
    (33, "RU"),
];

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
