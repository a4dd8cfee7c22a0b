//! Names of the sections of an ELF file. Takes bytes, gives a yes or no; a malformed file has no sections.

/// Whether a 64-bit little-endian ELF file has a section of that name.
pub(crate) fn has_section(file: &[u8], wanted: &str) -> bool {
    search(file, wanted).unwrap_or(false)
}

/// Offsets are those of `Elf64_Ehdr` and `Elf64_Shdr` (System V gABI, chapter 4).
fn search(file: &[u8], wanted: &str) -> Option<bool> {
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64_at(file, 0x28)?).ok()?;
    let entry = usize::from(u16_at(file, 0x3a)?);
    let count = usize::from(u16_at(file, 0x3c)?);
    let names_index = usize::from(u16_at(file, 0x3e)?);
    let header = |index: usize| file.get(table.checked_add(index.checked_mul(entry)?)?..);
    let names = usize::try_from(u64_at(header(names_index)?, 0x18)?).ok()?;
    for index in 0..count {
        let name = names.checked_add(u32_at(header(index)?, 0)? as usize)?;
        let bytes = file.get(name..)?.split(|byte| *byte == 0).next()?;
        if bytes == wanted.as_bytes() {
            return Some(true);
        }
    }
    Some(false)
}

fn u16_at(file: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(file.get(at..)?.first_chunk().copied()?))
}

fn u32_at(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(file.get(at..)?.first_chunk().copied()?))
}

fn u64_at(file: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(file.get(at..)?.first_chunk().copied()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_this_test_program_are_found_by_their_whole_name() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(has_section(&file, ".text"));
        assert!(!has_section(&file, ".tex"));
        assert!(!has_section(&file, ".BTF"));
    }

    #[test]
    fn every_front_part_of_a_file_is_refused_without_a_panic() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for end in 0..256 {
            assert!(!has_section(&file[..end], ".text"));
        }
        assert!(!has_section(b"not an object", ".BTF"));
    }
}
