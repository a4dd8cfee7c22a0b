//! Reading by address and by section: what programs that describe themselves (Go's runtime) are read with.

use memchr::memmem;
use object::elf;

use super::{Elf, ElfError, SEARCH_BLOCK_BYTES, Symbol};

/// Places looked at more closely in one search: a hostile file may repeat what is searched for.
const MAX_CANDIDATES: usize = 1024;
/// Bytes searched in one region: the data of the largest programs in use is some 100 MiB.
const MAX_SEARCHED: u64 = 512 << 20;

/// Bytes of the file that are loaded at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// Address of its first byte.
    pub address: u64,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub size: u64,
}

impl Elf<'_> {
    /// Sections with content whose name ends so.
    pub fn sections_ending(&self, name_end: &str) -> Vec<Region> {
        let here = self
            .sections
            .iter()
            .filter(|section| section.kind != elf::SHT_NOBITS && section.name.ends_with(name_end.as_bytes()));
        here.map(|section| Region {
            address: section.address,
            offset: section.offset,
            size: section.size,
        })
        .collect()
    }

    /// Loaded segments: those that may be written to, or those that are neither written nor run.
    pub fn data_segments(&self, writable: bool) -> Vec<Region> {
        let here = self
            .segments
            .iter()
            .filter(|segment| segment.writable == writable && (writable || !segment.executable));
        here.map(|segment| Region {
            address: segment.address,
            offset: segment.offset,
            size: segment.size,
        })
        .collect()
    }

    /// A region's bytes, `limit` at most, refused when the file does not hold them.
    pub fn region(&self, region: Region, limit: u64, what: &'static str) -> Result<Vec<u8>, ElfError> {
        self.read(region.offset, region.size.min(limit), what)
    }

    /// Bytes at an address, fewer where the segment ends.
    pub fn at_address(&self, address: u64, size: u64, what: &'static str) -> Result<Vec<u8>, ElfError> {
        let found = self.segments.iter().find_map(|segment| {
            let into = address.checked_sub(segment.address)?;
            let room = segment.size.checked_sub(into).filter(|room| *room > 0)?;
            Some((segment.offset.checked_add(into)?, room))
        });
        let (offset, room) = found.ok_or(ElfError::Malformed(what))?;
        self.read(offset, size.min(room), what)
    }

    /// A function at an address that something other than a symbol table told; `None` outside of executable memory.
    pub fn function_at(&self, name: &'static str, address: u64, size: u64) -> Option<Symbol> {
        let (offset, room) = self.text_offset(address)?;
        Some(Symbol {
            name,
            offset,
            size: size.min(room),
        })
    }

    /// Address of the first place in a region, at a multiple of `alignment`, that begins with these bytes.
    pub fn find_aligned(
        &self,
        region: Region,
        needle: &[u8],
        alignment: u64,
        mut accept: impl FnMut(u64) -> bool,
    ) -> Result<Option<u64>, ElfError> {
        let finder = memmem::Finder::new(needle);
        let overlap = needle.len().saturating_sub(1) as u64;
        let (mut at, mut candidates) = (0, 0);
        let size = region.size.min(MAX_SEARCHED);
        while at < size {
            let block = (size - at).min(SEARCH_BLOCK_BYTES as u64);
            let offset = region.offset.checked_add(at);
            let bytes = self.read(
                offset.ok_or(ElfError::Malformed("section size"))?,
                block,
                "section",
            )?;
            for found in finder.find_iter(&bytes) {
                let address = region.address.checked_add(at + found as u64);
                let Some(address) = address.filter(|address| address % alignment == 0) else {
                    continue;
                };
                if accept(address) {
                    return Ok(Some(address));
                }
                candidates += 1;
                if candidates > MAX_CANDIDATES {
                    return Ok(None);
                }
            }
            if block <= overlap || at + block == size {
                return Ok(None);
            }
            at += block - overlap;
        }
        Ok(None)
    }
}
