//! Heads of frames (RFC 6455, 5.2).
//!
//! Takes the front of a direction's bytes. Gives one head, or how many bytes it needs. Never judges beyond what the
//! head itself says. A head has at most 14 bytes: two, a length of eight, a masking key of four.

/// Most payload of a control frame (RFC 6455, 5.5).
pub const MAX_CONTROL: u64 = 125;

/// What a frame is for (RFC 6455, 11.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// The next part of a message.
    Continuation,
    /// A message of text begins.
    Text,
    /// A message of bytes begins.
    Binary,
    /// The connection ends.
    Close,
    /// Are you there?
    Ping,
    /// Yes.
    Pong,
    /// No meaning yet (3 to 7 and 11 to 15).
    Reserved,
}

impl Opcode {
    const fn of(byte: u8) -> Self {
        match byte & 0x0f {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => Self::Reserved,
        }
    }

    /// Whether it may come between the frames of a message.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Its own length.
    pub(super) len: usize,
    pub(super) bits: Bits,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<[u8; 4]>,
    /// Of the payload.
    pub(super) length: u64,
    /// The length was written in more bytes than it needs.
    pub(super) padded: bool,
}

/// The four bits in front of the opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bits(u8);

impl Bits {
    /// The last frame of its message.
    pub(super) const fn fin(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// RSV1, for compression (RFC 7692, 6).
    pub(super) const fn rsv1(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// RSV2 or RSV3.
    pub(super) const fn rsv23(self) -> bool {
        self.0 & 0x30 != 0
    }
}

pub(super) enum Decoded {
    Head(Head),
    NeedMore(usize),
    /// A length of 64 bits whose first is set.
    TooLong,
}

pub(super) fn decode(input: &[u8]) -> Decoded {
    let (Some(first), Some(second)) = (input.first(), input.get(1)) else {
        return Decoded::NeedMore(2);
    };
    let short = second & 0x7f;
    let wide = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let masked = second & 0x80 != 0;
    let len = 2 + wide + if masked { 4 } else { 0 };
    let (Some(length), Some(_)) = (input.get(2..2 + wide), input.get(..len)) else {
        return Decoded::NeedMore(len);
    };
    let length = match wide {
        0 => u64::from(short),
        _ => length
            .iter()
            .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte)),
    };
    if length >> 63 != 0 {
        return Decoded::TooLong;
    }
    let mask = input
        .get(2 + wide..len)
        .and_then(|key| <[u8; 4]>::try_from(key).ok());
    Decoded::Head(Head {
        len,
        bits: Bits(*first),
        opcode: Opcode::of(*first),
        mask,
        length,
        padded: (wide == 2 && length < 126) || (wide == 8 && length < 1 << 16),
    })
}

/// Appends `payload` without its mask. `key` begins at the payload's first byte.
pub fn unmask(payload: &[u8], key: [u8; 4], out: &mut impl Extend<u8>) {
    let key = key.iter().copied().cycle();
    out.extend(payload.iter().zip(key).map(|(byte, key)| byte ^ key));
}

/// The key for the byte that comes `by` bytes later.
pub(super) fn rotate(mut key: [u8; 4], by: u64) -> [u8; 4] {
    key.rotate_left(usize::try_from(by % 4).unwrap_or(0));
    key
}
