//! Checked reads of a block's fields.
//!
//! Takes slices of a block. Gives numbers, options and times. Never reads beyond a slice and never allocates.
//! Bounded by the slice.

use super::block::Fault;

/// Code that ends a list of options.
const OPT_END: u16 = 0;

/// Byte order of a file or section.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Big,
    Little,
}

/// How time stamps of an interface count.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    /// `if_tsresol`: a negative power of ten, of two when the top bit is set.
    pub(super) resolution: u8,
    /// `if_tsoffset`: seconds.
    pub(super) offset_s: i64,
}

impl Order {
    pub(super) const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Big => u16::from_be_bytes(bytes),
            Self::Little => u16::from_le_bytes(bytes),
        }
    }

    pub(super) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Big => u32::from_be_bytes(bytes),
            Self::Little => u32::from_le_bytes(bytes),
        }
    }

    pub(super) const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Big => u64::from_be_bytes(bytes),
            Self::Little => u64::from_le_bytes(bytes),
        }
    }
}

impl Clock {
    /// Time stamps before the epoch or beyond 2554 are clamped.
    pub(super) fn nanoseconds(self, units: u64) -> u64 {
        const NANOS: u128 = 1_000_000_000;
        let (units, power) = (u128::from(units), u32::from(self.resolution & 0x7f));
        let nanoseconds = if self.resolution & 0x80 != 0 {
            (units * NANOS) >> power
        } else {
            10_u128
                .checked_pow(power)
                .map_or(0, |per_second| units * NANOS / per_second)
        };
        let offset = i128::from(self.offset_s) * NANOS.cast_signed();
        let shifted = nanoseconds.cast_signed().saturating_add(offset);
        u64::try_from(shifted.max(0)).unwrap_or(u64::MAX)
    }
}

/// Options of a block. The end mark may be absent, as it is in many files.
pub(super) struct Options<'a>(pub(super) Fields<'a>);

impl<'a> Options<'a> {
    pub(super) fn next(&mut self) -> Result<Option<(u16, &'a [u8])>, Fault> {
        if self.0.rest.is_empty() {
            return Ok(None);
        }
        let (code, len) = (self.0.u16()?, usize::from(self.0.u16()?));
        if code == OPT_END {
            return Ok(None);
        }
        let value = self.0.take(len)?;
        self.0.pad(len)?;
        Ok(Some((code, value)))
    }
}

/// Checked reads from the front of a slice.
pub(super) struct Fields<'a> {
    /// What was not read yet.
    pub(super) rest: &'a [u8],
    order: Order,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(rest: &'a [u8], order: Order) -> Self {
        Self { rest, order }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (front, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Fault::Malformed("a field ends beyond its block"))?;
        self.rest = rest;
        Ok(*front)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        Ok(self.order.u16(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(self.order.u32(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        Ok(self.order.u64(self.array()?))
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (front, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(Fault::Malformed("a length reaches beyond its block"))?;
        self.rest = rest;
        Ok(front)
    }

    pub(super) fn skip(&mut self, len: usize) -> Result<(), Fault> {
        self.take(len).map(|_| ())
    }

    /// Skips padding to 32 bits after `len` bytes.
    pub(super) fn pad(&mut self, len: usize) -> Result<(), Fault> {
        self.skip(len.next_multiple_of(4) - len)
    }
}
