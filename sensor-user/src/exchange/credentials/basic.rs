//! The user of Basic credentials.

use smallvec::SmallVec;

/// The decoded bytes before the first colon (RFC 7617, 2); of what is no base64, the bytes themselves.
pub(super) fn user(encoded: &[u8]) -> SmallVec<[u8; 64]> {
    let mut user = SmallVec::new();
    let (mut bits, mut held) = (0_u32, 0_u8);
    for byte in encoded.iter().take_while(|byte| **byte != b'=') {
        let Some(sextet) = sextet(*byte) else {
            return SmallVec::from_slice(encoded);
        };
        bits = (bits << 6 | u32::from(sextet)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            let [.., decoded] = (bits >> held).to_be_bytes();
            if decoded == b':' {
                return user;
            }
            user.push(decoded);
        }
    }
    user
}

/// Undoes base64url without padding (RFC 7515, 2) into `out`; `None` when it is none. The standard alphabet is read
/// too: some libraries mistake one for the other.
pub(super) fn undo(encoded: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    let (mut bits, mut held) = (0_u32, 0_u8);
    for byte in encoded.iter().take_while(|byte| **byte != b'=') {
        bits = (bits << 6 | u32::from(sextet(*byte)?)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            let [.., decoded] = (bits >> held).to_be_bytes();
            out.push(decoded);
        }
    }
    Some(())
}

/// Value of a base64 digit, of either alphabet (RFC 4648, 4 and 5).
const fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}
