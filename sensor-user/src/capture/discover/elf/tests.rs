use std::io::Write;

use proptest::prelude::*;

use super::*;

const TEXT_ADDRESS: u64 = 0x40_0000;
const TEXT: u64 = 0x400;
const FILE_BYTES: usize = 0x800;

/// A small shared library: one executable segment at file offset 0x400, two dynamic symbols, a build id.
fn library() -> Vec<u8> {
    let mut bytes = vec![0; FILE_BYTES];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &3_u16.to_le_bytes());
    put(18, &62_u16.to_le_bytes());
    put(32, &0x40_u64.to_le_bytes());
    put(40, &0x100_u64.to_le_bytes());
    for (at, value) in [(52, 64_u16), (54, 56), (56, 2), (58, 64), (60, 5), (62, 4)] {
        put(at, &value.to_le_bytes());
    }
    // Program headers: type, flags, offset, address, physical address, size in file, in memory, alignment.
    put(
        0x40,
        &words(&[
            1 | 5 << 32,
            TEXT,
            TEXT_ADDRESS,
            TEXT_ADDRESS,
            0x100,
            0x100,
            0x1000,
        ]),
    );
    put(0x78, &words(&[4 | 4 << 32, 0x300, 0, 0, 36, 36, 4]));
    // Section headers: name | type, flags, address, offset, size, link | info, alignment, entry size.
    put(0x140, &words(&[1 | 11 << 32, 0, 0, 0x500, 72, 2, 8, 24]));
    put(0x180, &words(&[9 | 3 << 32, 0, 0, 0x580, 32, 0, 1, 0]));
    put(0x1c0, &words(&[0x11 | 1 << 32, 0, 0, 0x600, 64, 0, 1, 0]));
    put(0x200, &words(&[0x19 | 3 << 32, 0, 0, 0x700, 40, 0, 1, 0]));
    put(0x300, b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0abcdefghijklmnopqrst");
    put(0x400, &[0x55, 0x5d, 0xc3]);
    // Symbols: name, type and binding, visibility, section, address, size. The third is not defined here.
    put(0x518, &words(&[1 | 0x12 << 32 | 1 << 48, TEXT_ADDRESS, 3]));
    put(0x530, &words(&[0xa | 0x12 << 32, 0, 0]));
    put(0x580, b"\0SSL_read\0SSL_write\0");
    put(0x600, b"something /rustls-0.23.1/src/conn.rs");
    put(0x700, b"\0.dynsym\0.dynstr\0.rodata\0.shstrtab\0");
    bytes
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn wanted() -> Wanted {
    ["SSL_read", "SSL_write"]
        .map(|name| (name.as_bytes(), name))
        .into_iter()
        .collect()
}

fn error(bytes: &[u8]) -> String {
    match Elf::parse(&file(bytes)) {
        Ok(_) => panic!("parsed"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn defined_functions_are_found_at_their_offset_in_the_file() {
    let file = file(&library());
    let elf = Elf::parse(&file).unwrap();
    let found = elf.functions(Table::Dynamic, &wanted()).unwrap();
    let expected = Symbol {
        name: "SSL_read",
        offset: TEXT,
        size: 3,
    };
    assert_eq!(found, [expected]);
    assert_eq!(elf.code(&expected, 100).unwrap(), [0x55, 0x5d, 0xc3]);
    assert_eq!(elf.code(&expected, 1).unwrap(), [0x55]);
    assert_eq!(elf.functions(Table::Static, &wanted()).unwrap(), []);
}

#[test]
fn sections_and_build_id_are_read() {
    let file = file(&library());
    let elf = Elf::parse(&file).unwrap();
    assert_eq!(elf.machine(), Machine::X86_64);
    assert_eq!(elf.build_id().unwrap(), b"abcdefghijklmnopqrst");
    assert!(elf.has_section(".rodata") && !elf.has_section(".go.buildinfo"));
    assert!(elf.section_contains("rodata", b"/rustls-0.").unwrap());
    assert!(!elf.section_contains("rodata", b"/rustls-1.").unwrap());
    assert!(!elf.section_contains("gopclntab", b"something").unwrap());
}

#[test]
fn bytes_across_two_blocks_of_a_search_are_found() {
    let mut bytes = library();
    bytes.resize(0x800 + 2 * SEARCH_BLOCK_BYTES, 0);
    let at = 0x800 + SEARCH_BLOCK_BYTES - 3;
    bytes[at..at + 6].copy_from_slice(b"needle");
    bytes[0x1c0 + 24..0x1c0 + 40].copy_from_slice(&words(&[0x800, 2 * SEARCH_BLOCK_BYTES as u64]));
    let file = file(&bytes);
    let elf = Elf::parse(&file).unwrap();
    assert!(elf.section_contains("rodata", b"needle").unwrap());
    assert!(!elf.section_contains("rodata", b"needles").unwrap());
}

#[test]
fn a_symbol_is_cut_to_its_segment_and_one_outside_any_is_left_out() {
    let mut bytes = library();
    bytes[0x528..0x530].copy_from_slice(&u64::MAX.to_le_bytes());
    let huge = file(&bytes);
    let found = Elf::parse(&huge)
        .unwrap()
        .functions(Table::Dynamic, &wanted())
        .unwrap();
    assert_eq!(found[0].size, 0x100);
    bytes[0x520..0x528].copy_from_slice(&(TEXT_ADDRESS + 0x100).to_le_bytes());
    let outside = file(&bytes);
    assert_eq!(
        Elf::parse(&outside)
            .unwrap()
            .functions(Table::Dynamic, &wanted())
            .unwrap(),
        []
    );
}

#[test]
fn what_is_not_a_64_bit_little_endian_elf_is_named() {
    assert_eq!(error(b"#!/bin/sh\n"), "not an ELF file");
    assert_eq!(error(b""), "not an ELF file");
    let unsupported = "only 64-bit little-endian ELF for x86-64 and aarch64 is supported";
    for (at, value) in [(4, 1), (5, 2), (18, 3)] {
        let mut bytes = library();
        bytes[at] = value;
        assert_eq!(error(&bytes), unsupported);
    }
    assert_eq!(error(&library()[..0x90]), "malformed ELF: program headers");
}

#[test]
fn a_table_that_claims_more_than_the_file_has_is_refused_before_any_allocation() {
    let mut bytes = library();
    bytes[0x160..0x168].copy_from_slice(&(1_u64 << 62).to_le_bytes());
    let file = file(&bytes);
    let refused = Elf::parse(&file).unwrap().functions(Table::Dynamic, &wanted());
    assert_eq!(refused.unwrap_err().to_string(), "malformed ELF: symbol table");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_never_panics_nor_leads_outside_the_file(
        damage in prop::collection::vec((0..0x720_usize, any::<u8>()), 1..12),
        length in 0..=FILE_BYTES,
    ) {
        let mut bytes = library();
        for (at, value) in damage {
            bytes[at] = value;
        }
        bytes.truncate(length);
        let file = file(&bytes);
        if let Ok(elf) = Elf::parse(&file) {
            elf.build_id();
            elf.section_contains("rodata", b"/rustls-0.").ok();
            for symbol in elf.functions(Table::Dynamic, &wanted()).unwrap_or_default() {
                prop_assert!(symbol.offset < length as u64);
            }
        }
    }
}
