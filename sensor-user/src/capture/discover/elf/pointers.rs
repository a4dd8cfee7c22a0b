//! Pointers in a file's data as they will be once the dynamic linker is done.
//!
//! Takes an address of the file; gives the words there, relocated as if the file were loaded at 0. Only relative
//! relocations: what is bound to another file's symbol reads as what the file holds. Bounded by the words asked for and
//! the file's relocation tables.

use object::LittleEndian;
use object::elf;

use super::{Elf, ElfError, Machine, entries};

/// Words read at most.
const MAX_WORDS: usize = 64;

impl Elf<'_> {
    /// Address of an offset in executable memory.
    pub(in crate::capture::discover) fn address_of(&self, offset: u64) -> Option<u64> {
        self.segments
            .iter()
            .filter(|segment| segment.executable)
            .find_map(|segment| {
                let into = offset.checked_sub(segment.offset)?;
                (into < segment.size).then(|| segment.address.checked_add(into))?
            })
    }

    /// Offset in the file of code at an address.
    pub(in crate::capture::discover) fn code_at(&self, address: u64) -> Option<u64> {
        self.text_offset(address).map(|(offset, _)| offset)
    }

    /// The words from an address on; fewer where the file has fewer.
    pub(in crate::capture::discover) fn words_at(
        &self,
        address: u64,
        count: usize,
    ) -> Result<Vec<u64>, ElfError> {
        let bytes = 8 * count.min(MAX_WORDS) as u64;
        let found = self.segments.iter().find_map(|segment| {
            let into = address.checked_sub(segment.address)?;
            let room = segment.size.checked_sub(into)?;
            Some((segment.offset.checked_add(into)?, room.min(bytes)))
        });
        let Some((offset, room)) = found else {
            return Ok(Vec::new());
        };
        let raw = self.read(offset, room, "data")?;
        let mut words: Vec<u64> = raw
            .chunks_exact(8)
            .map(|word| word.try_into().map_or(0, u64::from_le_bytes))
            .collect();
        self.relocate(address, &mut words)?;
        Ok(words)
    }

    fn relocate(&self, address: u64, words: &mut [u64]) -> Result<(), ElfError> {
        let relative = match self.machine {
            Machine::X86_64 => elf::R_X86_64_RELATIVE,
            Machine::Aarch64 => elf::R_AARCH64_RELATIVE,
        };
        for section in self
            .sections
            .iter()
            .filter(|section| section.kind == elf::SHT_RELA)
        {
            let table = self.read(section.offset, section.size, "relocations")?;
            for entry in entries::<elf::Rela64<LittleEndian>>(&table) {
                if entry.r_type(LittleEndian, false) != relative {
                    continue;
                }
                let into = entry.r_offset.get(LittleEndian).wrapping_sub(address);
                let word = usize::try_from(into / 8)
                    .ok()
                    .and_then(|index| words.get_mut(index));
                if let Some(word) = word.filter(|_| into.is_multiple_of(8)) {
                    *word = entry.r_addend.get(LittleEndian).cast_unsigned();
                }
            }
        }
        Ok(())
    }
}
