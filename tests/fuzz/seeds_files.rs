//! Program files and kernel types, made by hand and as small as they can be.

/// Where the file is mapped.
const BASE: u64 = 0x40_0000;
/// Bytes before what the sections hold.
const FRONT: usize = 0x400;
/// Bytes of each section's place.
const PLACE: usize = 0x200;

/// A section: name, type, bytes.
type Section<'a> = (&'a str, u32, Vec<u8>);

/// A library, a Go program, and one that carries rustls.
pub(crate) fn programs() -> Vec<Vec<u8>> {
    let code = BASE + FRONT as u64;
    let symbols = |names: [u32; 2]| {
        let symbol = |name: u32, at: u64| words(&[u64::from(name) | 0x12 << 32 | 1 << 48, code + at, 32]);
        [words(&[0; 3]), symbol(names[0], 0), symbol(names[1], 32)].concat()
    };
    let text = || (".text", 1, vec![0x55, 0x48, 0x89, 0xe5, 0x90, 0x5d, 0xc3]);
    let strings = |text: &[u8]| (".dynstr", 3, text.to_vec());
    let library = file(&[
        text(),
        (".dynsym", 11, symbols([1, 10])),
        strings(b"\0SSL_read\0SSL_write\0"),
        (
            ".rodata",
            1,
            b"OpenSSL 3.0.2 and /rustls-0.23.1/src/conn.rs".to_vec(),
        ),
    ]);
    let tables = (".gopclntab", 1, functions(code));
    let mut version = b"\xff Go buildinf:\x08\x02".to_vec();
    version.resize(32, 0);
    version.extend(b"\x08go1.27.3");
    let go = file(&[text(), tables, (".go.buildinfo", 1, version)]);
    let rust = file(&[
        text(),
        (".symtab", 2, symbols([1, 70])),
        strings(
            b"\0_ZN6rustls4conn10connection6Reader4read17h0123456789abcdefE\0_RNvXs_6rustls6Writer5write\0",
        ),
    ]);
    vec![library, go, rust]
}

/// Go 1.20's table of two functions, at the addresses of the code.
fn functions(code: u64) -> Vec<u8> {
    let mut table = vec![0; 0x1c0];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = table.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, b"\xf1\xff\xff\xff\0\0\x01\x08");
    put(8, &words(&[2, 0, code, 0x80, 0, 0, 0, 0x100]));
    put(0x80, b"crypto/tls.(*Conn).Read\0crypto/tls.(*Conn).Write\0");
    let halves =
        |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|number| number.to_le_bytes()).collect() };
    put(0x100, &halves(&[0, 0x80, 0x40, 0x88, 0x80]));
    put(0x180, &halves(&[0, 0, 0x40, 24]));
    table
}

/// Sections one after the other, all in one segment.
fn file(sections: &[Section<'_>]) -> Vec<u8> {
    let mut bytes = vec![0; FRONT];
    let mut names = b"\0.shstrtab\0".to_vec();
    let mut headers = words(&[0; 8]);
    for (nth, (name, kind, content)) in sections.iter().enumerate() {
        let (at, name_at) = (bytes.len() as u64, names.len() as u64);
        names.extend(name.bytes().chain([0]));
        // The strings of a symbol table come behind it.
        let link = nth as u64 + 2;
        let size = content.len() as u64;
        headers.extend(words(&[
            name_at | u64::from(*kind) << 32,
            6,
            BASE + at,
            at,
            size,
            link,
            8,
            24,
        ]));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(PLACE), 0);
    }
    let at = bytes.len() as u64;
    headers.extend(words(&[1 | 3 << 32, 0, 0, at, names.len() as u64, 0, 1, 0]));
    bytes.extend(names);
    let size = bytes.len() as u64;
    let count = u16::try_from(sections.len() + 2).unwrap_or_default();
    let mut front = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    front.extend(words(&[0, 0x40, 0x80]));
    front.extend([0; 4]);
    front.extend(
        [64, 56, 1, 64, count, count - 1]
            .into_iter()
            .flat_map(u16::to_le_bytes),
    );
    // One segment with all rights, of the whole file.
    front.extend(words(&[1 | 7 << 32, 0, BASE, BASE, size, size, 0x1000]));
    front.resize(0x80, 0);
    front.extend(headers);
    for (to, from) in bytes.iter_mut().zip(front) {
        *to = from;
    }
    bytes
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Functions of x86-64 behind the choice and the length that the target asks for: pushes and pops, a guarded return, a
/// jump through a table, a method of Go.
pub(crate) fn functions_of_x86() -> Vec<Vec<u8>> {
    const CODE: [&[u8]; 5] = [
        // push r12; push rbx; pop rbx; pop r12; ret
        b"\x41\x54\x53\x5b\x41\x5c\xc3",
        // endbr64; sub rsp, 0x18; mov rax, fs:0x28; mov [rsp+8], rax; mov rax, [rsp+8]; sub rax, fs:0x28; jne; add; ret; call
        b"\xf3\x0f\x1e\xfa\x48\x83\xec\x18\x64\x48\x8b\x04\x25\x28\0\0\0\x48\x89\x44\x24\x08\x31\xc0\x48\x8b\x44\x24\
          \x08\x64\x48\x2b\x04\x25\x28\0\0\0\x75\x05\x48\x83\xc4\x18\xc3\xe8\0\0\0\0\x0f\x0b",
        // cmp edi, 2; ja; lea rdx, [rip+7]; movsxd rax, [rdx+rdi*4]; add rax, rdx; notrack jmp rax; ret
        b"\x83\xff\x02\x77\x11\x48\x8d\x15\x10\0\0\0\x48\x63\x04\xba\x48\x01\xd0\x3e\xff\xe0\xc3\x90\0\0\0\0\
          \xfa\xff\xff\xff\xfa\xff\xff\xff\xfa\xff\xff\xff",
        // cmp rsp, [r14+16]; jbe; push rbp; mov rbp, rsp; lock cmpxchg [rax+0x30], ecx; pop rbp; ret; call; jmp
        b"\x49\x3b\x66\x10\x76\x0b\x55\x48\x89\xe5\xf0\x0f\xb1\x48\x30\x5d\xc3\xe8\0\0\0\0\xeb\xe8",
        // test rdi, rdi; je; jmp out of the function; ret
        b"\x48\x85\xff\x74\x05\xe9\x10\0\0\0\xc3\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x31\xc0\xc3",
    ];
    let seed = |code: &&[u8]| {
        let length = u16::try_from(code.len()).unwrap_or_default();
        [&[3][..], &length.to_le_bytes(), code].concat()
    };
    CODE.iter().map(seed).collect()
}

/// `struct sock { int a; struct { int member; }; }`, `enum { VALUE = 3 }` and `function(int)`.
pub(crate) fn types() -> Vec<u8> {
    let strings = b"\0sock\0a\0member\0VALUE\0function\0";
    let kind = |kind: u32, count: u32| kind << 24 | count;
    let words: Vec<u32> = [
        vec![0, kind(1, 0), 4, 32],
        vec![0, kind(4, 1), 4, 8, 1, 0],
        vec![0, kind(10, 0), 2],
        vec![1, kind(4, 2), 8, 6, 1, 0, 0, 3, 32],
        vec![0, kind(6, 1), 4, 15, 3],
        vec![0, kind(13, 1), 1, 0, 1],
        vec![21, kind(12, 0), 6],
    ]
    .concat();
    let types: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or_default();
    let mut out = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, length(&types), length(&types), length(strings)] {
        out.extend(word.to_le_bytes());
    }
    [out, types, strings.to_vec()].concat()
}
