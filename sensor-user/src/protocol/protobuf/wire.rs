//! The wire format: tags, varints, lengths.
//!
//! Takes bytes. Gives one [`Field`] after another. Never copies. Bounded by the input.

/// A varint of 64 bits has at most ten bytes of seven bits.
const MAX_VARINT: usize = 10;
/// Field numbers have 29 bits.
const MAX_NUMBER: u64 = (1 << 29) - 1;

/// Reads from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// A varint was longer than it needs to be, which no encoder writes but a decoder accepts.
    pub(super) padded: bool,
}

/// One field as it is on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) value: Value<'a>,
}

/// By wire type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Value<'a> {
    /// 0.
    Varint(u64),
    /// 1.
    Fixed64([u8; 8]),
    /// 2. `missing`: so many bytes of it are not in the input.
    Bytes { bytes: &'a [u8], missing: u64 },
    /// 3.
    StartGroup,
    /// 4.
    EndGroup,
    /// 5.
    Fixed32([u8; 4]),
}

impl Value<'_> {
    /// The wire type, but one for both ends of a group.
    pub(super) const fn kind(&self) -> u8 {
        match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Bytes { .. } => 2,
            Self::StartGroup | Self::EndGroup => 3,
            Self::Fixed32(_) => 5,
        }
    }
}

/// Why there is no further field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// The input ends within the field.
    Cut,
    /// Not protobuf.
    Malformed,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            padded: false,
        }
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field.
    pub(super) fn field(&mut self) -> Result<Field<'a>, Stop> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > MAX_NUMBER {
            return Err(Stop::Malformed);
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed()?),
            2 => self.delimited()?,
            3 => Value::StartGroup,
            4 => Value::EndGroup,
            5 => Value::Fixed32(self.fixed()?),
            _ => return Err(Stop::Malformed),
        };
        let number = u32::try_from(number).map_err(|_too_large| Stop::Malformed)?;
        Ok(Field { number, value })
    }

    pub(super) fn varint(&mut self) -> Result<u64, Stop> {
        let mut value = 0_u64;
        for (at, byte) in self.rest.iter().take(MAX_VARINT).enumerate() {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte holds the last bit.
            if at == MAX_VARINT - 1 && bits > 1 {
                return Err(Stop::Malformed);
            }
            value |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.padded |= at > 0 && *byte == 0;
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(if self.rest.len() < MAX_VARINT {
            Stop::Cut
        } else {
            Stop::Malformed
        })
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (value, rest) = self.rest.split_first_chunk().ok_or(Stop::Cut)?;
        self.rest = rest;
        Ok(*value)
    }

    fn delimited(&mut self) -> Result<Value<'a>, Stop> {
        let length = self.varint()?;
        let here = usize::try_from(length).map_or(self.rest.len(), |length| length.min(self.rest.len()));
        let (bytes, rest) = self.rest.split_at_checked(here).ok_or(Stop::Cut)?;
        self.rest = rest;
        Ok(Value::Bytes {
            bytes,
            missing: length.saturating_sub(here as u64),
        })
    }
}
