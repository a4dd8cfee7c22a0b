//! How far a function without a symbol reaches, by what the file says for unwinding.
//!
//! Takes an address; gives the first byte and the length of the code that one entry of `.eh_frame` describes, found by
//! the table of `.eh_frame_hdr`. Only the encodings that linkers of 64-bit files write (LSB Core, 10.5 to 10.6): all
//! else is as good as no entry. Bounded by one search of the table.

use super::Elf;

/// `DW_EH_PE_datarel | DW_EH_PE_sdata4`: relative to the table's header.
const TABLE: u8 = 0x3b;
/// `DW_EH_PE_udata4`.
const COUNT: u8 = 0x03;
/// `DW_EH_PE_pcrel | DW_EH_PE_sdata4`, of the pointer to `.eh_frame`.
const POINTER: u8 = 0x1b;
/// Version, three encodings, that pointer and the count.
const HEADER_BYTES: u64 = 12;
const ENTRY_BYTES: u64 = 8;

impl Elf<'_> {
    /// First address and length of the piece of code that an address is in.
    pub fn extent(&self, address: u64) -> Option<(u64, u64)> {
        let header = *self.sections_ending(".eh_frame_hdr").first()?;
        let head = self
            .at_address(header.address, HEADER_BYTES, "unwind table")
            .ok()?;
        let &[1, POINTER, COUNT, TABLE, _, _, _, _, a, b, c, d] = head.as_slice() else {
            return None;
        };
        let count = u64::from(u32::from_le_bytes([a, b, c, d]));
        if count > header.size / ENTRY_BYTES {
            return None;
        }
        let entry = |index: u64| -> Option<(u64, u64)> {
            let at = header.address.checked_add(HEADER_BYTES + index * ENTRY_BYTES)?;
            let [start, described] = self.numbers(at)?;
            let absolute = |relative: i32| header.address.checked_add_signed(i64::from(relative));
            Some((absolute(start)?, absolute(described)?))
        };
        // The last entry that begins at or before the address.
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = u64::midpoint(low, high);
            if entry(middle)?.0 <= address {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let (start, described) = entry(low.checked_sub(1)?)?;
        let size = self.described(start, described)?;
        (address - start < size).then_some((start, size))
    }

    /// Length of the code from `start` on. The entry: its length, where its common part is, `start` relative to that
    /// very field, and the length. That `start` comes out tells that the encoding is the expected one.
    fn described(&self, start: u64, entry: u64) -> Option<u64> {
        let [length, _] = self.numbers(entry)?;
        let field = entry.checked_add(8)?;
        let [relative, size] = self.numbers(field)?;
        // Smaller ones cannot be; -1 introduces a length of eight bytes.
        (length >= 12 && field.checked_add_signed(i64::from(relative)) == Some(start))
            .then(|| u64::from(size.cast_unsigned()))
    }

    fn numbers(&self, address: u64) -> Option<[i32; 2]> {
        let bytes = self.at_address(address, 8, "unwind table").ok()?;
        let (&[first, second], []) = bytes.as_chunks::<4>() else {
            return None;
        };
        Some([i32::from_le_bytes(first), i32::from_le_bytes(second)])
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Table, Wanted};
    use super::*;
    use crate::capture::discover::process::open_regular;

    #[test]
    fn functions_reach_as_far_as_their_symbols_say() {
        let path = format!("/usr/lib/{}-linux-gnu/libssl.so.3", std::env::consts::ARCH);
        let Ok(file) = open_regular(Path::new(&path)) else {
            return;
        };
        let elf = Elf::parse(&file).unwrap();
        let names: &[&'static str] = &["SSL_read", "SSL_write", "SSL_do_handshake", "SSL_connect"];
        let wanted: Wanted = names.iter().map(|name| (name.as_bytes(), *name)).collect();
        let found = elf.functions(Table::Dynamic, &wanted).unwrap();
        assert_eq!(found.len(), names.len());
        for symbol in found {
            let address = elf.address_of(symbol.offset).unwrap();
            assert_eq!(elf.extent(address), Some((address, symbol.size)));
            assert_eq!(elf.extent(address + 3), Some((address, symbol.size)));
        }
        assert_eq!(elf.extent(0), None);
        assert_eq!(elf.extent(u64::MAX), None);
    }
}
