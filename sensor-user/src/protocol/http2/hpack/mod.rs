//! HPACK (RFC 7541): header blocks to fields.
//!
//! Takes whole blocks of one direction in order, and losses. Gives fields; those that refer to what was not seen are
//! marked unknown. Never gives a wrong field. Bounded by [`Limits`] for what comes of a block, and by [`MAX_TABLE`].

mod huffman;
mod table;

use super::Span;
pub use huffman::{NotHuffman, decode as decode_huffman};
pub use table::{DEFAULT_TABLE, MAX_TABLE};
use table::{Found, Table};

/// Bytes after the first of an integer (5.1): 28 bits are more than any length or index that a block of our bounds can
/// use, and zeros in front of a number have no use.
const INTEGER_BYTES: u32 = 4;

/// Bounds of what one block may unfold to: an index of one byte may stand for a field of 4 KiB.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of names and values.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

/// A block is not HPACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It ends within a field.
    Cut,
    /// An integer is too large.
    Integer,
    /// A string is not Huffman coded as it says.
    Huffman,
    /// An index points at nothing.
    Index,
    /// A change of the table's size after a field.
    LateResize,
}

/// One field of a block. What is `None` is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Name in [`Block::text`].
    pub name: Option<Span>,
    /// Value in [`Block::text`].
    pub value: Option<Span>,
    /// The sender asked every hop not to index it: it says itself that the value is secret (6.2.3).
    pub never_indexed: bool,
}

/// What a block says. Prints sizes only.
#[derive(Default)]
pub struct Block {
    /// Names and values.
    pub text: Vec<u8>,
    /// Fields in order.
    pub fields: Vec<Field>,
    /// There were more than the limits allow.
    pub overflowed: bool,
    /// The table was asked to become larger than allowed or followed.
    pub table_too_large: bool,
}

impl Block {
    /// The bytes of a part.
    pub fn bytes(&self, span: Span) -> &[u8] {
        span.of(&self.text)
    }

    /// Makes it empty.
    pub fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
        self.overflowed = false;
        self.table_too_large = false;
    }

    /// Gives back memory that one large block needed.
    pub(super) fn shrink(&mut self) {
        if self.text.capacity() > KEPT_BYTES {
            self.text = Vec::new();
        }
        if self.fields.capacity() > KEPT_FIELDS {
            self.fields = Vec::new();
        }
    }
}

/// What is kept for the next block: most are smaller.
const KEPT_BYTES: usize = 4096;
const KEPT_FIELDS: usize = 64;

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} fields, {} bytes]", self.fields.len(), self.text.len())
    }
}

/// The decoder of one direction of a connection.
pub struct Decoder {
    table: Table,
    limits: Limits,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[decoder]")
    }
}

impl Decoder {
    /// For a connection that is seen from its beginning.
    pub fn new(limits: Limits) -> Self {
        Self {
            table: Table::new(true),
            limits,
        }
    }

    /// For a connection that is joined later: its table is unknown.
    pub fn joined(limits: Limits) -> Self {
        Self {
            table: Table::new(false),
            limits,
        }
    }

    /// The reader of these blocks announced how large the table may become (`SETTINGS_HEADER_TABLE_SIZE`).
    pub fn allow_table(&mut self, size: u32) {
        self.table.allow(size);
    }

    /// A block, or part of one, was not seen: entries may have been added.
    pub fn lose(&mut self) {
        self.table.lose();
    }

    /// Reads a block into an empty `out`, which holds the fields before the fault when there is one; the table is then
    /// taken for lost.
    pub fn decode(&mut self, mut input: &[u8], out: &mut Block) -> Result<(), Fault> {
        let mut begun = false;
        while let Some((first, _)) = input.split_first() {
            // 6.3: a change of size, which stands before the fields.
            let step = if first & 0xe0 == 0x20 {
                if begun {
                    Err(Fault::LateResize)
                } else {
                    self.resize(&mut input, out)
                }
            } else {
                begun = true;
                self.field(*first, &mut input, out)
            };
            if let Err(fault) = step {
                self.table.lose();
                return Err(fault);
            }
        }
        Ok(())
    }

    fn resize(&mut self, input: &mut &[u8], out: &mut Block) -> Result<(), Fault> {
        let size = integer(input, 5)?;
        out.table_too_large |= !self.table.resize(size);
        Ok(())
    }

    fn field(&mut self, first: u8, input: &mut &[u8], out: &mut Block) -> Result<(), Fault> {
        let mark = out.text.len();
        let (field, insert) = if first & 0x80 != 0 {
            // 6.1: indexed.
            let index = integer(input, 7)?;
            (self.indexed(index, out)?, false)
        } else {
            // 6.2.1: with indexing; 6.2.2 and 6.2.3: without.
            let insert = first & 0x40 != 0;
            let index = integer(input, if insert { 6 } else { 4 })?;
            let name = if index == 0 {
                Some(string(input, out)?)
            } else {
                self.name(index, out)?
            };
            let value = Some(string(input, out)?);
            (
                Field {
                    name,
                    value,
                    never_indexed: first & 0xf0 == 0x10,
                },
                insert,
            )
        };
        if insert {
            let name = field.name.map(|name| name.of(&out.text));
            self.table
                .insert(name, field.value.unwrap_or_default().of(&out.text));
        }
        if out.text.len() > self.limits.bytes || out.fields.len() >= self.limits.fields {
            out.overflowed = true;
            out.text.truncate(mark);
        } else {
            out.fields.push(field);
        }
        Ok(())
    }

    fn indexed(&self, index: u32, out: &mut Block) -> Result<Field, Fault> {
        let (name, value) = match self.table.find(index) {
            Found::Entry { name, value } => (
                name.map(|name| keep(name, &mut out.text)),
                Some(keep(value, &mut out.text)),
            ),
            Found::Unknown => (None, None),
            Found::Nothing => return Err(Fault::Index),
        };
        Ok(Field {
            name,
            value,
            never_indexed: false,
        })
    }

    fn name(&self, index: u32, out: &mut Block) -> Result<Option<Span>, Fault> {
        match self.table.find(index) {
            Found::Entry { name, .. } => Ok(name.map(|name| keep(name, &mut out.text))),
            Found::Unknown => Ok(None),
            Found::Nothing => Err(Fault::Index),
        }
    }
}

fn keep(bytes: &[u8], text: &mut Vec<u8>) -> Span {
    let start = text.len();
    text.extend_from_slice(bytes);
    span(start, text.len())
}

/// Lengths here are bounded by those of a block and by [`MAX_TABLE`].
fn span(start: usize, end: usize) -> Span {
    let start = u32::try_from(start).unwrap_or(u32::MAX);
    Span {
        start,
        len: u32::try_from(end).unwrap_or(u32::MAX).saturating_sub(start),
    }
}

/// An integer whose first byte has `prefix` bits for it (5.1).
fn integer(input: &mut &[u8], prefix: u32) -> Result<u32, Fault> {
    let (first, mut rest) = input.split_first().ok_or(Fault::Cut)?;
    let most = (1_u32 << prefix) - 1;
    let mut value = u32::from(*first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (byte, behind) = rest.split_first().ok_or(Fault::Cut)?;
            rest = behind;
            if shift >= 7 * INTEGER_BYTES {
                return Err(Fault::Integer);
            }
            value += u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *input = rest;
    Ok(value)
}

/// A string (5.2), kept in the block's text.
fn string(input: &mut &[u8], out: &mut Block) -> Result<Span, Fault> {
    let huffman = input.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(input, 7)?;
    let (string, rest) = input.split_at_checked(length as usize).ok_or(Fault::Cut)?;
    *input = rest;
    let start = out.text.len();
    if huffman {
        decode_huffman(string, &mut out.text).map_err(|NotHuffman| Fault::Huffman)?;
    } else {
        out.text.extend_from_slice(string);
    }
    Ok(span(start, out.text.len()))
}

#[cfg(test)]
mod tests;
