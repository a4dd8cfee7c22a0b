//! The version that Go's linker leaves in a program (`debug/buildinfo` of Go describes the format).

use crate::capture::discover::elf::region::Region;
use crate::capture::discover::elf::{Elf, ElfError};

/// `buildInfoMagic` of Go's debug/buildinfo.
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The blob begins at a multiple of this (`buildInfoAlign`).
const ALIGNMENT: u64 = 16;
/// Without a section of its own it is in the first bytes of the data segment (`buildInfoSize` of Go 1.18: 64 KiB).
const SEARCHED_BYTES: u64 = 64 << 10;
/// `buildInfoHeaderSize`.
const HEADER_BYTES: u64 = 32;
/// Longest version text believed: development versions name a commit, a date and experiments.
const MAX_VERSION_BYTES: u64 = 256;
/// Longest version text shown.
const SHOWN_BYTES: usize = 64;

/// A version of Go, as the program says it: `go1.27.3`, `devel go1.28-0123456789`, `go1.18 X:noregabiargs`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Version(pub(super) String);

impl Version {
    /// As shown to people; none when the program does not say.
    pub(super) fn shown(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.chars().take(SHOWN_BYTES).collect())
    }

    /// The second number of 1.N.
    pub(super) fn minor(&self) -> Option<u32> {
        let (_, after) = self.0.split_once("go1.")?;
        let digits = after.split(|byte: char| !byte.is_ascii_digit()).next()?;
        digits.parse().ok()
    }

    /// Whether arguments are in registers. A version that is not understood is newer than this, most likely; the code
    /// itself is looked at before it is probed.
    pub(super) fn has_register_calls(&self) -> bool {
        let new = self
            .minor()
            .is_none_or(|minor| minor >= super::FIRST_WITH_REGISTERS);
        new && !self.0.contains("noregabi")
    }
}

/// The version; `None` when the file is no Go program.
pub(super) fn version(elf: &Elf<'_>) -> Result<Option<Version>, ElfError> {
    let Some(address) = find(elf)? else {
        return Ok(None);
    };
    Ok(Some(read(elf, address).unwrap_or(Version(String::new()))))
}

/// Address of the blob.
fn find(elf: &Elf<'_>) -> Result<Option<u64>, ElfError> {
    let mut places = elf.sections_ending(".go.buildinfo");
    if places.is_empty() {
        places.extend(elf.data_segments(true).first().copied());
    }
    for place in places {
        let place = Region {
            size: place.size.min(SEARCHED_BYTES),
            ..place
        };
        let found = elf.find_aligned(place, MAGIC, ALIGNMENT, |_address| true)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn read(elf: &Elf<'_>, address: u64) -> Option<Version> {
    let what = "Go build information";
    let header = elf.at_address(address, HEADER_BYTES, what).ok()?;
    let (pointer_bytes, flags) = (*header.get(14)?, *header.get(15)?);
    let text = if flags & 2 != 0 {
        // Go 1.18: the text itself, its length in front as a varint.
        let inline = address.checked_add(HEADER_BYTES)?;
        let bytes = elf.at_address(inline, MAX_VERSION_BYTES + 2, what).ok()?;
        let (length, text) = varint(&bytes)?;
        text.get(..usize::try_from(length.min(MAX_VERSION_BYTES)).ok()?)?
            .to_vec()
    } else if flags & 1 == 0 && pointer_bytes == 8 {
        // Before: a pointer to a string header, which is a pointer and a length.
        let string = word(&header, 16)?;
        let string = elf.at_address(string, 16, what).ok()?;
        let (text, length) = (word(&string, 0)?, word(&string, 8)?);
        elf.at_address(text, length.min(MAX_VERSION_BYTES), what).ok()?
    } else {
        return None;
    };
    let is_shown = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    Some(Version(
        text.iter()
            .filter(|byte| is_shown(byte))
            .map(|byte| char::from(*byte))
            .collect(),
    ))
}

/// A number in groups of seven bits, the lowest first, as Go's encoding/binary writes it; and what follows.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}
