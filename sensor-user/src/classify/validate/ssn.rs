//! United States Social Security numbers (rules of the Social Security Administration since June 2011).

/// Whether area, group and serial could have been issued.
pub(in crate::classify) fn is_ssn(area: &[u8], group: &[u8], serial: &[u8]) -> bool {
    let never =
        area == b"000" || area == b"666" || area.starts_with(b"9") || group == b"00" || serial == b"0000";
    // Printed in advertisements and so void: Woolworth's wallet card, an agency's pamphlet, and a filler.
    let void = matches!(
        (area, group, serial),
        (b"078", b"05", b"1120") | (b"219", b"09", b"9999") | (b"123", b"12", b"1234")
    );
    area.len() == 3 && group.len() == 2 && serial.len() == 4 && !never && !void
}

/// Whether nine digits without separators could be one.
pub(in crate::classify) fn is_plain(digits: &[u8]) -> bool {
    let parts = digits.split_at_checked(3);
    let parts = parts.and_then(|(area, rest)| Some((area, rest.split_at_checked(2)?)));
    parts.is_some_and(|(area, (group, serial))| is_ssn(area, group, serial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issued_areas_fit() {
        assert!(is_ssn(b"536", b"22", b"8726"));
        assert!(is_plain(b"536228726"));
    }

    #[test]
    fn near_misses_are_none() {
        for (area, group, serial) in [
            ("000", "12", "3456"),
            ("666", "12", "3456"),
            ("912", "12", "3456"),
            ("536", "00", "3456"),
            ("536", "22", "0000"),
            ("078", "05", "1120"),
        ] {
            assert!(!is_ssn(area.as_bytes(), group.as_bytes(), serial.as_bytes()));
        }
        assert!(!is_plain(b"53622872"));
    }
}
