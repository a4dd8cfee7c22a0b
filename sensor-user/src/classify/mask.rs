//! Masking: what may be shown of a value.

use super::{DataKind, Masked};

/// Longest sample; the length of a longer value is not told.
const MAX_SAMPLE: usize = 24;
/// Passwords and keys show not even their length.
const HIDDEN: &str = "********";

/// Keeps at most the first and last two characters and never more than a quarter of the value; only letters and
/// digits are kept.
pub(super) fn mask(kind: DataKind, value: &[u8]) -> Masked {
    if matches!(kind, DataKind::Password | DataKind::PrivateKey) {
        return Masked(HIDDEN.into());
    }
    let shown = value.len().min(MAX_SAMPLE);
    let keep = (value.len() / 8).min(2);
    let mut sample = [b'*'; MAX_SAMPLE];
    let Some(sample) = sample.get_mut(..shown) else {
        return Masked(HIDDEN.into());
    };
    let show = |slot: &mut u8, byte: &u8| {
        if byte.is_ascii_alphanumeric() {
            *slot = *byte;
        }
    };
    let fronts = sample.iter_mut().zip(value);
    fronts.take(keep).for_each(|(slot, byte)| show(slot, byte));
    let backs = sample.iter_mut().rev().zip(value.iter().rev());
    backs.take(keep).for_each(|(slot, byte)| show(slot, byte));
    Masked(std::str::from_utf8(sample).unwrap_or(HIDDEN).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn little_is_kept() {
        assert_eq!(
            &*mask(DataKind::PaymentCard, b"4111111111111111").0,
            "41************11"
        );
        assert_eq!(&*mask(DataKind::SecretField, b"hunter2").0, "*******");
        assert_eq!(&*mask(DataKind::UsSsn, b"536-22-8726").0, "5*********6");
        assert_eq!(
            &*mask(DataKind::Email, b"(alice@example.com)").0,
            "*a***************m*"
        );
        assert_eq!(&*mask(DataKind::Password, b"x").0, "********");
    }

    proptest! {
        #[test]
        fn never_more_than_a_quarter(value in "[a-z0-9]{0,60}") {
            let masked = mask(DataKind::CloudToken, value.as_bytes());
            let kept = masked.0.chars().filter(|shown| *shown != '*').count();
            prop_assert!(kept <= 4 && kept * 4 <= value.len());
            prop_assert!(masked.0.len() <= 24);
        }
    }
}
