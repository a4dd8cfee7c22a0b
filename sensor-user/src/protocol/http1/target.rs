//! Is this a request target? RFC 9112, 3.2.
//!
//! Takes the target as sent. Gives yes or no. Never decodes it. Bounded by the head that it stands in.

/// Whether a target has one of the four forms (RFC 9112, 3.2).
pub(super) fn is_target(target: &[u8], connect: bool) -> bool {
    if !is_graphic(target) {
        return false;
    }
    match target {
        // host ":" port
        _ if connect => target.contains(&b':') && !target.contains(&b'/'),
        [b'/', ..] | [b'*'] => true,
        // scheme "://" authority, of which the user's part is within one "@" (RFC 3986, 3.1 and 3.2)
        [first, ..] => {
            let is_scheme = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
            let scheme = target.iter().take_while(is_scheme).count();
            let authority = target.get(scheme..).and_then(|rest| rest.strip_prefix(b"://"));
            first.is_ascii_alphabetic()
                && authority.is_some_and(|rest| {
                    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
                    let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                    !authority.is_empty() && authority.split(|byte| *byte == b'@').nth(2).is_none()
                })
        }
        [] => false,
    }
}

/// Whether every byte is visible ASCII, eight at a time.
fn is_graphic(text: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const SPACES: u64 = u64::from_ne_bytes([b'!'; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, rest) = text.as_chunks::<8>();
    // The top bit of a byte is set when it is not ASCII, below `!`, or 0x7f. What a byte borrows of the next, or carries
    // to it, it does only when it is wrong itself.
    let wrong = words.iter().fold(0, |wrong, word| {
        let word = u64::from_ne_bytes(*word);
        wrong | word | word.wrapping_sub(SPACES) | word.wrapping_add(ONES)
    });
    wrong & TOPS == 0 && rest.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_at_a_time_are_as_one() {
        for byte in 0..=255_u8 {
            for length in [1_usize, 7, 8, 9, 20] {
                for at in 0..length {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    assert_eq!(
                        is_graphic(&text),
                        byte.is_ascii_graphic(),
                        "{byte} at {at} of {length}"
                    );
                    text[length - 1 - at] = 0;
                    assert!(!is_graphic(&text));
                }
            }
        }
        assert!(is_graphic(b""));
    }
}
