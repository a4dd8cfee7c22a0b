//! The functions behind OpenSSL's `BIO_f_ssl`: programs that read and write TLS through a chain of BIOs call them by
//! pointer, and they call nothing that the library exports.
//!
//! Takes a file that exports `BIO_f_ssl`; gives its two functions. No offsets by version: the exported function returns
//! the address of a table, and what stands in the table must look like one of OpenSSL since 1.1.1, where each of the
//! two functions is followed by a null pointer for its form of earlier days. LibreSSL and BoringSSL have another table,
//! and call `SSL_read` and `SSL_write` from it. x86-64 only. Bounded by the table's six words.

use super::elf::{Elf, ElfError, Machine, Symbol};
use super::stacks::{BIO_F_SSL, BIO_READ, BIO_WRITE};

/// `endbr64`, `lea rax, [rip + x]` and `ret` are 12 bytes.
const LONGEST: u64 = 16;

/// The functions that write and read, when the file has such a table.
pub(super) fn functions(elf: &Elf<'_>, symbols: &[Symbol]) -> Result<Vec<Symbol>, ElfError> {
    let Some(table) = table(elf, symbols)? else {
        return Ok(Vec::new());
    };
    // Type, name, write, its old form, read, its old form (`struct bio_method_st`).
    let [_, name, write, 0, read, 0] = *elf.words_at(table, 6)? else {
        return Ok(Vec::new());
    };
    let found = [(BIO_WRITE, write), (BIO_READ, read)].map(|(name, address)| {
        let offset = elf.code_at(address)?;
        // 0 where nothing says how long it is.
        let size = match elf.extent(address) {
            Some((start, size)) if start == address => size,
            _ => 0,
        };
        Some(Symbol { name, offset, size })
    });
    let [Some(write), Some(read)] = found else {
        return Ok(Vec::new());
    };
    Ok(if name == 0 { Vec::new() } else { vec![write, read] })
}

/// The address that the exported function returns.
fn table(elf: &Elf<'_>, symbols: &[Symbol]) -> Result<Option<u64>, ElfError> {
    let Some(symbol) = symbols.iter().find(|symbol| symbol.name == BIO_F_SSL) else {
        return Ok(None);
    };
    if elf.machine() != Machine::X86_64 || symbol.size > LONGEST {
        return Ok(None);
    }
    let code = elf.code(symbol, LONGEST)?;
    let body = code.strip_prefix(&[0xf3, 0x0f, 0x1e, 0xfa]).unwrap_or(&code);
    let &[0x48, 0x8d, 0x05, a, b, c, d, 0xc3] = body else {
        return Ok(None);
    };
    // Relative to the instruction behind `lea`, which is the last.
    let behind = symbol.offset + code.len() as u64 - 1;
    let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
    Ok(elf
        .address_of(behind)
        .map(|address| address.wrapping_add_signed(distance)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::process::open_regular;
    use super::super::recognise::recognise;
    use super::*;

    #[test]
    fn openssl_has_both_and_a_library_without_the_table_none() {
        let library = |name: &str| {
            let arch = std::env::consts::ARCH;
            open_regular(Path::new(&format!("/usr/lib/{arch}-linux-gnu/{name}"))).ok()
        };
        let (Some(ssl), Some(c)) = (library("libssl.so.3"), library("libc.so.6")) else {
            return;
        };
        let names = |file| -> Vec<&str> {
            let found = recognise(&Elf::parse(&file).unwrap()).unwrap();
            found
                .iter()
                .flat_map(|stack| &stack.functions)
                .map(|symbol| symbol.name)
                .collect()
        };
        let (of_ssl, of_c) = (names(ssl), names(c));
        let expected = cfg!(target_arch = "x86_64");
        assert_eq!(
            of_ssl.contains(&BIO_READ) && of_ssl.contains(&BIO_WRITE),
            expected
        );
        assert!(of_c.is_empty());
    }
}
