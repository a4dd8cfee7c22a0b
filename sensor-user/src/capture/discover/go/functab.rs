//! The function table of Go's runtime (`runtime.pclntab`): names and addresses of every function, in stripped programs
//! too, because stack traces need them. Layouts: `src/runtime/symtab.go` and `src/debug/gosym/pclntab.go` of Go, 1.16,
//! 1.18 and 1.20.

use crate::capture::discover::elf::region::Region;
use crate::capture::discover::elf::{Elf, ElfError, Symbol, Wanted};

/// Largest table read. Kubernetes' programs, among the largest in use, have some 40 MiB.
pub(super) const MAX_BYTES: u64 = 128 << 20;
/// Data searched for the runtime's description of the module, per segment.
const MAX_DATA_BYTES: u64 = 64 << 20;
/// Functions of one name: one per calling convention.
const MAX_SAME_NAME: usize = 4;
/// A table starts at a multiple of this.
const ALIGNMENT: u64 = 8;
/// Where `runtime.moduledata` has the address of the text: after a pointer, six slices and three words.
const MODULE_TEXT: u64 = 176;

const NO_TABLE: ElfError = ElfError::Malformed("no Go function table");
const BROKEN: ElfError = ElfError::Malformed("Go function table");

/// How a table is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layout {
    /// Go 1.16 and 1.17: addresses as they are.
    Absolute,
    /// Go 1.18 on: addresses relative to the beginning of the text.
    Relative,
}

impl Layout {
    /// By the first eight bytes: magic number, two zeros, bytes of the smallest instruction, bytes of a pointer.
    fn of(head: &[u8]) -> Option<Self> {
        match head.get(..8)? {
            [0xfa, 0xff, 0xff, 0xff, 0, 0, 1 | 4, 8] => Some(Self::Absolute),
            [0xf0 | 0xf1, 0xff, 0xff, 0xff, 0, 0, 1 | 4, 8] => Some(Self::Relative),
            _ => None,
        }
    }
}

/// The functions of the given names.
pub(super) fn functions(elf: &Elf<'_>, wanted: &Wanted) -> Result<Vec<Symbol>, ElfError> {
    let (address, bytes) = read(elf)?.ok_or(NO_TABLE)?;
    let table = FunctionTable::parse(address, &bytes).ok_or(BROKEN)?;
    let found = table.find(wanted).ok_or(BROKEN)?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let text = table.text(elf)?;
    let symbols = found.iter().filter_map(|function| {
        elf.function_at(function.name, text.checked_add(function.entry)?, function.size)
    });
    // One name may stand for two functions, of which the one with the old calling convention is not wanted.
    let symbols: Vec<Symbol> = symbols
        .filter(|symbol| super::begins_as_go(elf, symbol))
        .collect();
    let is_there = |name: &str| symbols.iter().any(|symbol| symbol.name == name);
    if found.iter().any(|function| !is_there(function.name)) && elf.is_x86() {
        return Err(ElfError::Malformed(
            "addresses in the Go function table lead to other code",
        ));
    }
    Ok(symbols)
}

/// The table's address and bytes.
fn read(elf: &Elf<'_>) -> Result<Option<(u64, Vec<u8>)>, ElfError> {
    // External linkers put it among the relocated data, other tools drop the sections.
    let mut places = elf.sections_ending("gopclntab");
    places.extend(elf.sections_ending(".data.rel.ro"));
    places.extend(elf.data_segments(false));
    places.extend(elf.data_segments(true));
    for place in places {
        for magic in [
            [0xf1, 0xff, 0xff, 0xff],
            [0xf0, 0xff, 0xff, 0xff],
            [0xfa, 0xff, 0xff, 0xff],
        ] {
            let is_table = |address| {
                let head = elf
                    .at_address(address, 8, "Go function table")
                    .unwrap_or_default();
                Layout::of(&head).is_some()
            };
            if let Some(address) = elf.find_aligned(place, &magic, ALIGNMENT, is_table)? {
                let end = place.address.saturating_add(place.size);
                let size = end.saturating_sub(address).min(MAX_BYTES);
                return Ok(Some((
                    address,
                    elf.at_address(address, size, "Go function table")?,
                )));
            }
        }
    }
    Ok(None)
}

/// A wanted function, its entry relative to the text of a [`Layout::Relative`] table.
struct Function {
    name: &'static str,
    entry: u64,
    size: u64,
}

struct FunctionTable<'b> {
    address: u64,
    layout: Layout,
    /// Functions in it.
    count: u64,
    /// Where the text starts, 0 when the table does not say (Go 1.26 on).
    text_start: u64,
    /// Offset of the names in the table.
    names_at: u64,
    names: &'b [u8],
    /// Pairs of entry and offset of the function's description, in the order of the entries; descriptions follow.
    functions: &'b [u8],
}

impl<'b> FunctionTable<'b> {
    fn parse(address: u64, bytes: &'b [u8]) -> Option<Self> {
        let layout = Layout::of(bytes)?;
        let word = |index: usize| word(bytes, 8 + 8 * index);
        let (text_start, names_at, functions_at) = match layout {
            Layout::Absolute => (0, word(2)?, word(6)?),
            Layout::Relative => (word(2)?, word(3)?, word(7)?),
        };
        let from = |at: u64| bytes.get(usize::try_from(at).ok()?..);
        Some(Self {
            address,
            layout,
            count: word(0)?,
            text_start,
            names_at,
            names: from(names_at)?,
            functions: from(functions_at)?,
        })
    }

    /// `None` when the table contradicts itself.
    fn find(&self, wanted: &Wanted) -> Option<Vec<Function>> {
        // Each has an entry of eight bytes at least, so what does not fit was never meant.
        if self.count > self.functions.len() as u64 / 8 {
            return None;
        }
        let mut found: Vec<Function> = Vec::new();
        for index in 0..self.count {
            let (entry, description) = self.entry(index)?;
            let Some(name) = wanted.get(self.name(description)?) else {
                continue;
            };
            let (next, _) = self.entry(index + 1)?;
            let same = found.iter().filter(|function| function.name == *name).count();
            if same < MAX_SAME_NAME {
                found.push(Function {
                    name,
                    entry,
                    size: next.checked_sub(entry)?,
                });
            }
        }
        Some(found)
    }

    /// Entry of a function and offset of its description. The one behind the last has the end of the text.
    fn entry(&self, index: u64) -> Option<(u64, u64)> {
        let index = usize::try_from(index).ok()?;
        match self.layout {
            Layout::Absolute => {
                let at = index.checked_mul(16)?;
                // Behind the last entry there is no offset.
                Some((
                    word(self.functions, at)?,
                    word(self.functions, at.checked_add(8)?).unwrap_or(0),
                ))
            }
            Layout::Relative => {
                let at = index.checked_mul(8)?;
                Some((
                    u64::from(half(self.functions, at)?),
                    half(self.functions, at.checked_add(4)?).map_or(0, u64::from),
                ))
            }
        }
    }

    /// Name of a function by its description, which has it behind the entry.
    fn name(&self, description: u64) -> Option<&'b [u8]> {
        let entry_bytes = match self.layout {
            Layout::Absolute => 8,
            Layout::Relative => 4,
        };
        let at = usize::try_from(description).ok()?.checked_add(entry_bytes)?;
        let name = usize::try_from(half(self.functions, at)?).ok()?;
        let rest = self.names.get(name..)?;
        let end = memchr::memchr(0, rest)?;
        rest.get(..end)
    }

    /// Where the text starts, to which entries are relative.
    fn text(&self, elf: &Elf<'_>) -> Result<u64, ElfError> {
        if self.layout == Layout::Absolute {
            return Ok(0);
        }
        if self.text_start != 0 {
            return Ok(self.text_start);
        }
        // Not `.text`: what C brings along stands in front of Go's text. The runtime's own description of the module
        // begins with the address of this table and that of the names in it.
        let names = self.address.checked_add(self.names_at).ok_or(BROKEN)?;
        let needle = [self.address.to_le_bytes(), names.to_le_bytes()].concat();
        let mut places = elf.sections_ending(".go.module");
        places.extend(elf.data_segments(true));
        for place in places {
            let place = Region {
                size: place.size.min(MAX_DATA_BYTES),
                ..place
            };
            let module = elf.find_aligned(place, &needle, ALIGNMENT, |_address| true)?;
            let Some(text) = module.and_then(|module| module.checked_add(MODULE_TEXT)) else {
                continue;
            };
            return word(&elf.at_address(text, 8, "Go module")?, 0).ok_or(BROKEN);
        }
        Err(ElfError::Malformed(
            "the Go function table does not say where the text is, nor does the module",
        ))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}
