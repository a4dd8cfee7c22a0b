//! Reads what the sensor needs from an ELF file that may be hostile.
//!
//! Takes an opened file; gives its machine, build id, sections and the functions asked for, each with its offset in
//! the file. Never maps the file (it may shrink under us), never trusts a size before comparing it with the file's,
//! never panics. Bounded by [`MAX_TABLE_BYTES`] per table and [`MAX_FOUND`] functions.

mod extent;
mod pointers;
pub mod region;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::memmem;
use object::elf;
use object::pod::{Pod, from_bytes, slice_from_bytes};
use object::{LittleEndian, U16};

/// Largest symbol or string table read: node's, one of the largest unstripped executables in common use, has 20 MiB.
pub const MAX_TABLE_BYTES: u64 = 256 << 20;
/// Functions returned at most: the table of TLS stacks asks for some dozens of names, each defined once or twice.
pub const MAX_FOUND: usize = 256;
/// A build id is a hash: 20 bytes of SHA-1, 32 at most from any linker in use.
const MAX_BUILD_ID_BYTES: u32 = 64;
/// Notes precede the text and are small.
const MAX_NOTES_BYTES: u64 = 64 << 10;
/// A search reads this much at a time, so that its memory does not grow with the file.
const SEARCH_BLOCK_BYTES: usize = 1 << 20;

/// Bytes searched at most for one needle, all sections together. The largest `.rodata` met (a JavaScript runtime's) has
/// 25 MiB, which takes 5 ms; a hostile file may name the same bytes in thousands of sections.
const MAX_SEARCHED_BYTES: u64 = 512 << 20;

/// Why a file was not read. The file's fault or the system's, never a bug here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// Not an ELF file at all.
    #[error("not an ELF file")]
    NotElf,
    /// ELF, but of a kind the sensor does not probe.
    #[error("only 64-bit little-endian ELF for x86-64 and aarch64 is supported")]
    Unsupported,
    /// A header points outside the file or contradicts another.
    #[error("malformed ELF: {0}")]
    Malformed(&'static str),
    /// A table exceeds [`MAX_TABLE_BYTES`].
    #[error("malformed or huge ELF: {0} has more than {MAX_TABLE_BYTES} bytes")]
    TooLarge(&'static str),
    /// Reading failed.
    #[error("cannot read the file")]
    Read(#[from] io::Error),
}

/// Instruction set of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Machine {
    /// AMD64.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Machine {
    /// The machine this sensor was built for, and so the only one whose processes it can meet.
    pub const fn native() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::Aarch64
        } else {
            Self::X86_64
        }
    }
}

/// Which of a file's two symbol tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// What the file offers to the dynamic linker; survives stripping.
    Dynamic,
    /// Everything the linker knew; gone when stripped.
    Static,
}

/// A function defined in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// The name asked for.
    pub name: &'static str,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Bytes of its code as the symbol says, cut to the segment that holds it.
    pub size: u64,
}

/// Names to look for, as they stand in the file's string table.
pub type Wanted = HashMap<&'static [u8], &'static str>;

struct Segment {
    executable: bool,
    writable: bool,
    address: u64,
    offset: u64,
    size: u64,
}

struct Section {
    name: Vec<u8>,
    kind: elf::SectionType,
    link: u32,
    address: u64,
    offset: u64,
    size: u64,
}

/// An ELF file whose headers have been read and checked.
pub struct Elf<'f> {
    file: &'f File,
    file_size: u64,
    machine: Machine,
    segments: Vec<Segment>,
    notes: Vec<(u64, u64)>,
    sections: Vec<Section>,
}

impl<'f> Elf<'f> {
    /// Reads the headers.
    pub fn parse(file: &'f File) -> Result<Self, ElfError> {
        let file_size = file.metadata()?.len();
        let bytes = read_header(file, file_size)?;
        let (header, _) = from_bytes::<elf::FileHeader64<LittleEndian>>(&bytes)
            .map_err(|()| ElfError::Malformed("header"))?;
        let machine = match header.e_machine.get(LittleEndian) {
            elf::EM_X86_64 => Machine::X86_64,
            elf::EM_AARCH64 => Machine::Aarch64,
            _ => return Err(ElfError::Unsupported),
        };
        let mut parsed = Self {
            file,
            file_size,
            machine,
            segments: Vec::new(),
            notes: Vec::new(),
            sections: Vec::new(),
        };
        parsed.read_segments(header)?;
        parsed.read_sections(header)?;
        Ok(parsed)
    }

    /// Instruction set.
    pub const fn machine(&self) -> Machine {
        self.machine
    }

    /// Whether it is for AMD64.
    pub fn is_x86(&self) -> bool {
        self.machine == Machine::X86_64
    }

    /// Whether a section of this name exists.
    pub fn has_section(&self, name: &str) -> bool {
        self.section(name).is_some()
    }

    /// The linker's hash of the file, which names a build wherever the file lies.
    pub fn build_id(&self) -> Option<Vec<u8>> {
        self.notes.iter().find_map(|&(offset, size)| {
            let notes = self.read(offset, size.min(MAX_NOTES_BYTES), "notes").ok()?;
            build_id_note(&notes)
        })
    }

    /// Functions of the given names that the file defines, in the table's order and each offset once per name.
    pub fn functions(&self, table: Table, wanted: &Wanted) -> Result<Vec<Symbol>, ElfError> {
        self.functions_named(table, &|name| wanted.get(name).copied())
    }

    /// The same, for names that `known` knows by another.
    pub fn functions_named(
        &self,
        table: Table,
        known: &dyn Fn(&[u8]) -> Option<&'static str>,
    ) -> Result<Vec<Symbol>, ElfError> {
        let kind = match table {
            Table::Dynamic => elf::SHT_DYNSYM,
            Table::Static => elf::SHT_SYMTAB,
        };
        let Some(symbols) = self.sections.iter().find(|section| section.kind == kind) else {
            return Ok(Vec::new());
        };
        let strings = self
            .sections
            .get(symbols.link as usize)
            .filter(|section| section.kind == elf::SHT_STRTAB)
            .ok_or(ElfError::Malformed("symbol table without strings"))?;
        let strings = self.read(strings.offset, strings.size, "string table")?;
        let bytes = self.read(symbols.offset, symbols.size, "symbol table")?;
        let mut found = Vec::new();
        for symbol in entries::<elf::Sym64<LittleEndian>>(&bytes) {
            if let Some(symbol) = self.wanted_function(symbol, &strings, known)
                && !found.contains(&symbol)
                && found.len() < MAX_FOUND
            {
                found.push(symbol);
            }
        }
        Ok(found)
    }

    /// The function's code, at most `limit` bytes of it.
    pub fn code(&self, symbol: &Symbol, limit: u64) -> Result<Vec<u8>, ElfError> {
        self.read(symbol.offset, symbol.size.min(limit), "function")
    }

    /// Whether the bytes occur in a section whose name ends so (`gopclntab` has several full names).
    pub fn section_contains(&self, name_end: &str, needle: &[u8]) -> Result<bool, ElfError> {
        let finder = memmem::Finder::new(needle);
        let mut left = MAX_SEARCHED_BYTES;
        for section in self.searchable(name_end) {
            let size = section.size.min(left);
            if self.find_in(section.offset, size, &finder)?.is_some() {
                return Ok(true);
            }
            left -= size;
        }
        Ok(false)
    }

    /// Up to `count` bytes behind the first occurrence of `needle` in a section whose name ends so.
    pub fn section_after(
        &self,
        name_end: &str,
        needle: &[u8],
        count: usize,
    ) -> Result<Option<Vec<u8>>, ElfError> {
        let finder = memmem::Finder::new(needle);
        let mut left = MAX_SEARCHED_BYTES;
        for section in self.searchable(name_end) {
            let size = section.size.min(left);
            left -= size;
            if let Some(at) = self.find_in(section.offset, size, &finder)? {
                let from = at + needle.len() as u64;
                let left = (section.offset + section.size).saturating_sub(from);
                return self.read(from, left.min(count as u64), "section").map(Some);
            }
        }
        Ok(None)
    }

    fn searchable(&self, name_end: &str) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |section| {
            section.kind != elf::SHT_NOBITS && section.name.ends_with(name_end.as_bytes())
        })
    }

    fn section(&self, name: &str) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| section.name == name.as_bytes())
    }

    fn read_segments(&mut self, header: &elf::FileHeader64<LittleEndian>) -> Result<(), ElfError> {
        let bytes = self.read_table::<elf::ProgramHeader64<LittleEndian>>(
            header.e_phoff.get(LittleEndian),
            header.e_phnum,
            header.e_phentsize,
            "program headers",
        )?;
        for segment in entries::<elf::ProgramHeader64<LittleEndian>>(&bytes) {
            let offset = segment.p_offset.get(LittleEndian);
            let size = segment.p_filesz.get(LittleEndian);
            match segment.p_type.get(LittleEndian) {
                elf::PT_LOAD => self.segments.push(Segment {
                    executable: segment.p_flags.get(LittleEndian).0 & elf::PF_X.0 != 0,
                    writable: segment.p_flags.get(LittleEndian).0 & elf::PF_W.0 != 0,
                    address: segment.p_vaddr.get(LittleEndian),
                    offset,
                    size,
                }),
                elf::PT_NOTE => self.notes.push((offset, size)),
                _ => {}
            }
        }
        Ok(())
    }

    fn read_sections(&mut self, header: &elf::FileHeader64<LittleEndian>) -> Result<(), ElfError> {
        let bytes = self.read_table::<elf::SectionHeader64<LittleEndian>>(
            header.e_shoff.get(LittleEndian),
            header.e_shnum,
            header.e_shentsize,
            "section headers",
        )?;
        let headers = entries::<elf::SectionHeader64<LittleEndian>>(&bytes);
        let names = match headers.get(usize::from(header.e_shstrndx.get(LittleEndian).0)) {
            Some(names) => self.read(
                names.sh_offset.get(LittleEndian),
                names.sh_size.get(LittleEndian),
                "section names",
            )?,
            None => Vec::new(),
        };
        self.sections = headers
            .iter()
            .map(|section| Section {
                name: string_at(&names, section.sh_name.get(LittleEndian)).to_vec(),
                kind: section.sh_type.get(LittleEndian),
                link: section.sh_link.get(LittleEndian),
                address: section.sh_addr.get(LittleEndian),
                offset: section.sh_offset.get(LittleEndian),
                size: section.sh_size.get(LittleEndian),
            })
            .collect();
        Ok(())
    }

    fn read_table<T: Pod>(
        &self,
        offset: u64,
        count: U16<LittleEndian>,
        entry_bytes: U16<LittleEndian>,
        what: &'static str,
    ) -> Result<Vec<u8>, ElfError> {
        let count = u64::from(count.get(LittleEndian));
        if count == 0 {
            return Ok(Vec::new());
        }
        if usize::from(entry_bytes.get(LittleEndian)) != size_of::<T>() {
            return Err(ElfError::Malformed(what));
        }
        self.read(offset, count * size_of::<T>() as u64, what)
    }

    fn wanted_function(
        &self,
        symbol: &elf::Sym64<LittleEndian>,
        strings: &[u8],
        known: &dyn Fn(&[u8]) -> Option<&'static str>,
    ) -> Option<Symbol> {
        let is_function = symbol.st_info.st_type() == elf::STT_FUNC;
        let is_defined = symbol.st_shndx.get(LittleEndian) != elf::SHN_UNDEF;
        if !is_function || !is_defined {
            return None;
        }
        let name = known(string_at(strings, symbol.st_name.get(LittleEndian)))?;
        let (offset, room) = self.text_offset(symbol.st_value.get(LittleEndian))?;
        let size = symbol.st_size.get(LittleEndian).min(room);
        Some(Symbol { name, offset, size })
    }

    /// Offset in the file of an address in executable memory, and the bytes from there to the segment's end.
    fn text_offset(&self, address: u64) -> Option<(u64, u64)> {
        self.segments.iter().find_map(|segment| {
            let into = address.checked_sub(segment.address)?;
            let room = segment.size.checked_sub(into).filter(|room| *room > 0)?;
            let offset = segment.offset.checked_add(into)?;
            (segment.executable && offset < self.file_size).then_some((offset, room))
        })
    }

    /// Offset in the file of the first occurrence.
    fn find_in(&self, offset: u64, size: u64, finder: &memmem::Finder<'_>) -> Result<Option<u64>, ElfError> {
        let overlap = finder.needle().len().saturating_sub(1) as u64;
        let end = offset
            .checked_add(size)
            .ok_or(ElfError::Malformed("section size"))?;
        let mut at = offset;
        while at < end {
            let block = (end - at).min(SEARCH_BLOCK_BYTES as u64);
            if let Some(found) = finder.find(&self.read(at, block, "section")?) {
                return Ok(Some(at + found as u64));
            }
            if block <= overlap || at + block == end {
                return Ok(None);
            }
            at += block - overlap;
        }
        Ok(None)
    }

    fn read(&self, offset: u64, size: u64, what: &'static str) -> Result<Vec<u8>, ElfError> {
        read_range(self.file, self.file_size, offset, size, what)
    }
}

fn read_header(file: &File, file_size: u64) -> Result<Vec<u8>, ElfError> {
    let bytes = read_range(
        file,
        file_size,
        0,
        size_of::<elf::FileHeader64<LittleEndian>>() as u64,
        "header",
    )
    .map_err(|error| match error {
        ElfError::Malformed(_) => ElfError::NotElf,
        other => other,
    })?;
    match bytes.get(..6) {
        Some([0x7f, b'E', b'L', b'F', class, data]) => {
            if *class == elf::ELFCLASS64.0 && *data == elf::ELFDATA2LSB.0 {
                Ok(bytes)
            } else {
                Err(ElfError::Unsupported)
            }
        }
        _ => Err(ElfError::NotElf),
    }
}

/// The only place that reads: the size is compared with the file's before anything is allocated.
fn read_range(
    file: &File,
    file_size: u64,
    offset: u64,
    size: u64,
    what: &'static str,
) -> Result<Vec<u8>, ElfError> {
    let end = offset.checked_add(size).ok_or(ElfError::Malformed(what))?;
    if end > file_size {
        return Err(ElfError::Malformed(what));
    }
    if size > MAX_TABLE_BYTES {
        return Err(ElfError::TooLarge(what));
    }
    let length = usize::try_from(size).map_err(|_too_large| ElfError::TooLarge(what))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Whole entries of a table; a partial one at the end is left out.
fn entries<T: Pod>(bytes: &[u8]) -> &[T] {
    slice_from_bytes(bytes, bytes.len() / size_of::<T>()).map_or(&[], |(entries, _)| entries)
}

fn string_at(strings: &[u8], offset: u32) -> &[u8] {
    let rest = strings.get(offset as usize..).unwrap_or_default();
    rest.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Walks notes: name size, description size and type of four bytes each, then both, padded to four bytes.
fn build_id_note(mut notes: &[u8]) -> Option<Vec<u8>> {
    loop {
        let (header, rest) = notes.split_first_chunk::<12>()?;
        let word = |at: usize| {
            let bytes = header.get(at..at + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let (name_bytes, id_bytes, kind) = (word(0)?, word(4)?, word(8)?);
        let id_start = (name_bytes as usize).checked_next_multiple_of(4)?;
        let id_end = id_start.checked_add(id_bytes as usize)?;
        let name = rest.get(..name_bytes as usize)?;
        let id = rest.get(id_start..id_end)?;
        if name == b"GNU\0" && kind == elf::NT_GNU_BUILD_ID.0 && id_bytes <= MAX_BUILD_ID_BYTES {
            return Some(id.to_vec());
        }
        notes = rest.get(id_end.checked_next_multiple_of(4)?..)?;
    }
}

#[cfg(test)]
mod tests;
