//! Base64 of gRPC-Web text bodies (RFC 4648, 4): parts of a stream may each be padded (PROTOCOL-WEB.md).
//!
//! Takes pieces, however divided. Gives bytes into the buffer handed in. Bounded by the input.

/// Undoes base64 across pieces.
#[derive(Clone, Copy, Default, Debug)]
pub struct Decoder {
    /// Bits of the group of four characters under way.
    bits: u32,
    /// Characters of it, padding included.
    have: u8,
    /// Padding characters among them.
    padding: u8,
}

/// A character outside of the alphabet, padding in the wrong place, or an end within a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadBase64;

impl Decoder {
    /// Takes the next piece; what is decoded is appended to `out`.
    pub fn feed(&mut self, piece: &[u8], out: &mut impl Extend<u8>) -> Result<(), BadBase64> {
        for byte in piece {
            match value(*byte) {
                Some(value) if self.padding == 0 => self.bits = self.bits << 6 | value,
                None if *byte == b'=' && self.have >= 2 => {
                    self.bits <<= 6;
                    self.padding += 1;
                }
                Some(_) | None => return Err(BadBase64),
            }
            self.have += 1;
            if self.have == 4 {
                let [_, bytes @ ..] = self.bits.to_be_bytes();
                out.extend(bytes.into_iter().take(3 - usize::from(self.padding.min(2))));
                *self = Self::default();
            }
        }
        Ok(())
    }

    /// Whether the input may end here: between groups.
    pub const fn finish(self) -> Result<(), BadBase64> {
        if self.have == 0 { Ok(()) } else { Err(BadBase64) }
    }
}

fn value(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}
