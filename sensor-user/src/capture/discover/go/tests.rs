use std::fs::File;
use std::io::Write;

use proptest::prelude::*;

use super::*;

const TEXT: u64 = 0x40_1000;
const TABLE: u64 = 0x40_2000;
const DATA: u64 = 0x40_3000;
const FILE_BYTES: usize = 0x3400;

/// `cmp 16(%r14), %rsp; jbe`, then what does not matter.
const PROLOGUE: &[u8] = &[0x49, 0x3b, 0x66, 0x10, 0x76, 0x10, 0x55];
/// A wrapper for the old calling convention loads the goroutine first.
const WRAPPER: &[u8] = &[0x64, 0x4c, 0x8b, 0x34, 0x25, 0xf8, 0xff, 0xff, 0xff];

/// A Go program in small: text at file offset 0x1000, function table at 0x2000, data at 0x3000.
#[derive(Clone, Copy, Debug)]
struct Program {
    version: &'static str,
    /// First byte of the function table.
    magic: u8,
    /// The table says where the text is; otherwise the description of the module does.
    says_text: bool,
    /// The version stands behind the header; otherwise the header points to it.
    inline: bool,
    sections: bool,
    /// What stands between the beginning of the segment and Go's text.
    before: u64,
}

const NEW: Program = Program {
    version: "go1.27.3",
    magic: 0xf1,
    says_text: false,
    inline: true,
    sections: true,
    before: 0,
};

impl Program {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; FILE_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, b"\x7fELF\x02\x01\x01");
        put(16, &[2, 0, 62, 0]);
        put(32, &words(&[0x40, 0x100]));
        let sections = if self.sections { 4_u16 } else { 0 };
        for (at, value) in [(52, 64_u16), (54, 56), (56, 3), (58, 64), (60, sections), (62, 3)] {
            put(at, &value.to_le_bytes());
        }
        for (index, (flags, address)) in [(5, TEXT), (4, TABLE), (6, DATA)].into_iter().enumerate() {
            let offset = address - 0x40_0000;
            let segment = [1 | flags << 32, offset, address, address, 0x400, 0x400, 0x1000];
            put(0x40 + 56 * index, &words(&segment));
        }
        // Name | type, flags, address, offset, size.
        for (index, section) in [
            [1 | 1 << 32, 0, TABLE, 0x2000, 0x400],
            [0xc | 1 << 32, 0, DATA, 0x3000, 0x100],
            [0x1a | 3 << 32, 0, 0, 0x300, 64],
        ]
        .into_iter()
        .enumerate()
        {
            put(0x140 + 64 * index, &words(&section));
        }
        put(0x300, b"\0.gopclntab\0.go.buildinfo\0.shstrtab\0");
        for (at, code) in [
            (0, PROLOGUE),
            (0x40, PROLOGUE),
            (0x80, PROLOGUE),
            (0xc0, WRAPPER),
            (0x100, PROLOGUE),
        ] {
            put(0x1000 + usize::try_from(self.before).unwrap() + at, code);
        }
        put(0x2000, &self.table());
        put(0x3000, &self.build_information());
        let module = [TABLE, TABLE + 0x80];
        put(0x3200, &words(&module));
        put(0x3200 + 176, &words(&[TEXT + self.before]));
        bytes
    }

    /// Names at 0x80, functions at 0x100: main, Close, Read, a wrapper of Write, Write.
    fn table(self) -> Vec<u8> {
        let mut table = vec![0; 0x300];
        let mut put = |at: usize, value: &[u8]| table[at..at + value.len()].copy_from_slice(value);
        put(0, &[self.magic, 0xff, 0xff, 0xff, 0, 0, 1, 8]);
        put(
            0x80,
            b"main.main\0crypto/tls.(*Conn).Close\0crypto/tls.(*Conn).Read\0crypto/tls.(*Conn).Write\0",
        );
        let names = [0_u32, 10, 35, 59, 59];
        let text = TEXT + self.before;
        if self.magic == 0xfa {
            put(8, &words(&[5, 0, 0x80, 0, 0, 0, 0x100]));
            for (index, name) in (0_u64..).zip(names) {
                let at = usize::try_from(index).unwrap();
                put(0x100 + 16 * at, &words(&[text + 0x40 * index, 0x80 + 16 * index]));
                put(0x180 + 16 * at, &words(&[text + 0x40 * index, u64::from(name)]));
            }
            put(0x150, &words(&[text + 0x140]));
            return table;
        }
        let start = if self.says_text { text } else { 0 };
        put(8, &words(&[5, 0, start, 0x80, 0, 0, 0, 0x100]));
        for (index, name) in (0_u32..).zip(names) {
            let at = usize::try_from(index).unwrap();
            put(0x100 + 8 * at, &halves(&[0x40 * index, 0x80 + 8 * index]));
            put(0x180 + 8 * at, &halves(&[0x40 * index, name]));
        }
        put(0x128, &halves(&[0x140]));
        table
    }

    fn build_information(self) -> Vec<u8> {
        let mut blob = b"\xff Go buildinf:\x08".to_vec();
        blob.push(if self.inline { 2 } else { 0 });
        if self.inline {
            blob.resize(32, 0);
            blob.push(u8::try_from(self.version.len()).unwrap());
            blob.extend(self.version.bytes());
        } else {
            blob.extend(words(&[DATA + 0x40, 0]));
            blob.resize(0x40, 0);
            blob.extend(words(&[DATA + 0x80, self.version.len() as u64]));
            blob.resize(0x80, 0);
            blob.extend(self.version.bytes());
        }
        blob
    }
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn halves(halves: &[u32]) -> Vec<u8> {
    halves.iter().flat_map(|half| half.to_le_bytes()).collect()
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn look(bytes: &[u8]) -> Option<Recognised> {
    let file = file(bytes);
    recognise(&Elf::parse(&file).unwrap()).unwrap()
}

fn assert_found(program: Program) {
    let found = look(&program.bytes()).unwrap_or_else(|| panic!("not seen: {program:?}"));
    assert_eq!(found.opaque, None, "{program:?}");
    assert_eq!(found.version.as_deref(), Some(program.version), "{program:?}");
    let at: Vec<_> = found
        .functions
        .iter()
        .map(|symbol| {
            (
                symbol.name.rsplit('.').next().unwrap(),
                symbol.offset - 0x1000 - program.before,
            )
        })
        .collect();
    assert_eq!(
        at,
        [("Close", 0x40), ("Read", 0x80), ("Write", 0x100)],
        "{program:?}"
    );
    assert!(
        found.functions.iter().all(|symbol| symbol.size == 0x40),
        "{program:?}"
    );
}

#[test]
fn functions_are_found_in_every_layout_of_the_table() {
    for (version, magic, says_text) in [
        ("go1.17.13", 0xfa, false),
        ("go1.18.10", 0xf0, true),
        ("go1.20.1", 0xf1, true),
        ("go1.27.3", 0xf1, false),
        ("devel go1.28-0123456789 Mon Nov 2 2026", 0xf1, false),
    ] {
        for (inline, sections, before) in [
            (true, true, 0),
            (false, true, 0x90),
            (true, false, 0x40),
            (false, false, 0),
        ] {
            let program = Program {
                version,
                magic,
                says_text,
                inline,
                sections,
                before,
            };
            assert_found(program);
        }
    }
}

fn reason(program: Program) -> String {
    let found = look(&program.bytes()).unwrap();
    assert!(found.functions.is_empty() && !found.is_covered());
    found.opaque.unwrap().reason
}

#[test]
fn what_cannot_be_probed_says_why() {
    let old = Program {
        version: "go1.16.15",
        magic: 0xfa,
        ..NEW
    };
    assert!(reason(old).contains("go1.16.15 passes arguments on the stack"));
    let experiment = Program {
        version: "go1.18 X:noregabiargs",
        magic: 0xf0,
        says_text: true,
        ..NEW
    };
    assert!(reason(experiment).contains("passes arguments on the stack"));
    let unknown = Program { magic: 0xf5, ..NEW };
    assert!(reason(unknown).contains("no Go function table"));
    let mut arm = NEW.bytes();
    arm[18] = 183;
    assert!(look(&arm).unwrap().opaque.unwrap().reason.contains("arm64"));
}

/// LESSONS.md 7: a wrong address is worse than none.
#[test]
fn a_layout_that_leads_to_other_code_is_refused() {
    let mut moved = Program {
        says_text: true,
        ..NEW
    }
    .bytes();
    moved[0x2018..0x2020].copy_from_slice(&(TEXT + 8).to_le_bytes());
    let found = look(&moved).unwrap();
    assert!(found.functions.is_empty());
    assert!(found.opaque.unwrap().reason.contains("lead to other code"));
    let mut silent = NEW.bytes();
    silent[0x3200..0x3208].fill(0);
    assert!(
        look(&silent)
            .unwrap()
            .opaque
            .unwrap()
            .reason
            .contains("nor does the module")
    );
}

#[test]
fn a_program_without_tls_and_a_file_that_is_no_go_program_have_no_row() {
    let mut without = NEW.bytes();
    without[0x2080 + 10..0x2080 + 83].fill(b'x');
    assert!(look(&without).is_none());
    let mut other = NEW.bytes();
    other[0x3000..0x3010].fill(0);
    assert!(look(&other).is_none());
}

#[test]
fn a_version_is_shown_without_what_a_terminal_would_obey() {
    let mut strange = NEW.bytes();
    strange[0x3020..0x3029].copy_from_slice(b"\x08go1.27\x1b[");
    assert_eq!(look(&strange).unwrap().version.as_deref(), Some("go1.27["));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_never_panics_nor_leads_outside_the_file(
        damage in prop::collection::vec(
            (prop_oneof![0..0x220_usize, 0x2000..0x2200_usize, 0x3000..0x32c0_usize], any::<u8>()),
            1..16,
        ),
        length in prop_oneof![Just(FILE_BYTES), 0..=FILE_BYTES],
        old in any::<bool>(),
        sections in any::<bool>(),
    ) {
        let magic = if old { 0xfa } else { 0xf1 };
        let mut bytes = Program { magic, sections, inline: !old, ..NEW }.bytes();
        for (at, value) in damage {
            bytes[at] = value;
        }
        bytes.truncate(length);
        let file = file(&bytes);
        if let Ok(elf) = Elf::parse(&file)
            && let Ok(Some(found)) = recognise(&elf)
        {
            for symbol in &found.functions {
                prop_assert!(symbol.offset < length as u64);
            }
        }
    }
}
