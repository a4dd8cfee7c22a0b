//! rustls in an executable: its functions by their demangled paths, and its version.
//!
//! Takes mangled symbols of either kind, and the panic messages of a stripped file. Gives the functions that carry
//! plaintext, under one name for every version of rustls and of the compiler. Never compares a whole symbol: they end
//! in a hash. Bounded by [`MAX_SYMBOL_BYTES`] per symbol.
//!
//! Which functions there are was read in rustls 0.20 to 0.23 and in release builds of 0.21, 0.22 and 0.23 with no, thin
//! and fat link-time optimisation.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use sensor_common::call::{CallKind, CallSpec, CountRule};

use super::elf::{Elf, ElfError, Symbol};
use super::stacks::{Function, Sign, bare};

/// Longest symbol demangled. Those of the functions wanted have under 128 bytes; generic ones of others have thousands.
const MAX_SYMBOL_BYTES: usize = 512;
/// Longest version: `0.23.46`, or one with a suffix such as `0.23.0-alpha.0`.
const MAX_VERSION_BYTES: usize = 24;

const SEND: &str = "rustls CommonState::send_some_plaintext";
const BUFFER: &str = "rustls CommonState::buffer_plaintext";
const RECEIVED: &str = "rustls CommonState::take_received_plaintext";
const READ: &str = "rustls Reader::read";
const FLUSH: &str = "rustls ChunkVecBuffer::write_to";
const STATE: &str = "rustls CommonState::current_io_state";
const START: &str = "rustls CommonState::start_outgoing_traffic";
const DROP: &str = "rustls CommonState, dropped";

/// One function for each direction: what capture needs. Link-time optimisation inlines `Reader::read` of rustls 0.22
/// and older into the application.
pub const BOTH_DIRECTIONS: Sign = Sign::OneOfEach(&[&[SEND, BUFFER], &[RECEIVED, READ]]);

/// Where rustls's source files are named in panic messages: as the registry lays crates out, as Bazel's rules do, or in
/// a checkout.
pub const SOURCES: Sign = Sign::AnyBytes(".rodata", &[REGISTRY, BAZEL, b"/rustls/src/"]);
const REGISTRY: &[u8] = b"/rustls-0.";
const BAZEL: &[u8] = b"__rustls-0.";

/// The functions, the same for every version that has them.
pub const FUNCTIONS: &[Function] = &[
    // 0.20 to 0.22: usize f(&mut CommonState, &[u8])
    moving(SEND, 112, CallKind::RustlsWrite, CountRule::Return),
    // 0.23: usize f(&mut CommonState, OutboundChunks, &mut ChunkVecBuffer)
    moving(BUFFER, 113, CallKind::RustlsWriteChunks, CountRule::Return),
    // 0.23: f(&mut CommonState, Payload); in older versions it is three instructions and always inlined
    moving(RECEIVED, 114, CallKind::RustlsReceived, CountRule::AtEntry),
    // io::Result<usize> f(&mut Reader, &mut [u8])
    moving(READ, 115, CallKind::RustlsRead, CountRule::SecondWhenOk),
    // io::Result<usize> f(&mut ChunkVecBuffer, &mut dyn Write)
    other(FLUSH, 116, CallKind::RustlsFlush, 0),
    // IoState f(&CommonState): three words, so the first argument is where the result goes
    other(STATE, 117, CallKind::RustlsState, 1),
    // f(&mut CommonState, ..), once for each connection, right before the last flight of the handshake is written
    other(START, 119, CallKind::RustlsState, 0),
    // f(&mut CommonState), which the compiler makes
    other(DROP, 118, CallKind::RustlsDrop, 0),
];

const fn moving(symbol: &'static str, function: u16, kind: CallKind, count: CountRule) -> Function {
    let spec = CallSpec {
        buffer: 1,
        count,
        ..bare(function, kind)
    };
    Function {
        symbol,
        spec,
        jumps_to: None,
    }
}

const fn other(symbol: &'static str, function: u16, kind: CallKind, handle: u8) -> Function {
    let spec = CallSpec {
        handle,
        ..bare(function, kind)
    };
    Function {
        symbol,
        spec,
        jumps_to: None,
    }
}

/// The name under which this module knows the function of a mangled symbol.
pub fn function(symbol: &[u8]) -> Option<&'static str> {
    static CRATE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("rustls"));
    if symbol.len() > MAX_SYMBOL_BYTES || CRATE.find(symbol).is_none() {
        return None;
    }
    let demangled = rustc_demangle::try_demangle(std::str::from_utf8(symbol).ok()?).ok()?;
    // `#` leaves the hash out.
    path(&format!("{demangled:#}"))
}

/// Brackets are the mangling's: `<rustls::conn::Reader as std::io::Read>::read`, `drop_in_place::<..>`. The words are
/// the same for both.
fn path(demangled: &str) -> Option<&'static str> {
    let words: Vec<&str> = demangled
        .split(|char: char| !char.is_alphanumeric() && char != '_')
        .filter(|word| !word.is_empty())
        .collect();
    match words.as_slice() {
        ["rustls", _, "CommonState", "send_some_plaintext"] => Some(SEND),
        ["rustls", _, "CommonState", "buffer_plaintext"] => Some(BUFFER),
        ["rustls", _, "CommonState", "take_received_plaintext"] => Some(RECEIVED),
        ["rustls", _, "CommonState", "current_io_state"] => Some(STATE),
        ["rustls", _, "CommonState", "start_outgoing_traffic"] => Some(START),
        ["rustls", "vecbuf", "ChunkVecBuffer", "write_to"] => Some(FLUSH),
        // `conn` became `conn::connection` in 0.23.
        ["rustls", "conn", .., "Reader", "as", _, "io", "Read", "read"] => Some(READ),
        // Renamed by compilers newer than 1.95.
        [
            "core",
            "ptr",
            "drop_in_place" | "drop_glue",
            "rustls",
            _,
            "CommonState",
        ] => Some(DROP),
        _ => None,
    }
}

/// Those to probe among the functions found: each byte is to pass one of them, once.
pub fn choose(found: &mut Vec<Symbol>) {
    if found.iter().any(|symbol| symbol.name == RECEIVED) {
        found.retain(|symbol| symbol.name != READ && symbol.name != STATE);
    }
}

/// The version, from the first path of a source file.
pub fn version(elf: &Elf<'_>) -> Result<Option<String>, ElfError> {
    for layout in [REGISTRY, BAZEL] {
        if let Some(behind) = elf.section_after(".rodata", layout, MAX_VERSION_BYTES)? {
            return Ok(version_in(&behind));
        }
    }
    Ok(None)
}

/// `23.46/src/..`, which followed the leading zero and its point.
fn version_in(behind: &[u8]) -> Option<String> {
    let end = behind.iter().position(|byte| *byte == b'/')?;
    let text = std::str::from_utf8(behind.get(..end)?).ok()?;
    let is_version = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-');
    (text.starts_with(|first: char| first.is_ascii_digit()) && text.chars().all(is_version))
        .then(|| format!("0.{text}"))
}

/// Whether the function ends a connection's state.
#[cfg(feature = "kernel")]
pub(super) fn is_drop(symbol: &Symbol) -> bool {
    symbol.name == DROP
}

/// Whether the function copies what was received to the application.
#[cfg(feature = "kernel")]
pub(super) fn is_read(symbol: &Symbol) -> bool {
    symbol.name == READ
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_both_manglings_and_of_every_version_are_found_by_their_paths() {
        let symbols = [
            // legacy, rustls 0.21, 0.22 and 0.23
            (
                "_ZN54_$LT$rustls..conn..Reader$u20$as$u20$std..io..Read$GT$4read17hf625c2b44071876bE",
                READ,
            ),
            (
                "_ZN6rustls12common_state11CommonState19send_some_plaintext17hdb7525370d7334f2E",
                SEND,
            ),
            (
                "_ZN6rustls12common_state11CommonState16buffer_plaintext17h38e8c89b977c48f3E.llvm.3603117044529068802",
                BUFFER,
            ),
            (
                "_ZN6rustls6vecbuf14ChunkVecBuffer8write_to17h18768818868d1716E",
                FLUSH,
            ),
            // v0
            (
                "_RNvMs1_NtCs1234_6rustls12common_stateNtB5_11CommonState23take_received_plaintext",
                RECEIVED,
            ),
            (
                "_RNvXs_NtNtCs1234_6rustls4conn10connectionNtB4_6ReaderNtNtCs5678_3std2io4Read4read",
                READ,
            ),
            (
                "_RINvNtCs5678_4core3ptr13drop_in_placeNtNtCs1234_6rustls12common_state11CommonStateECs9_3app",
                DROP,
            ),
            (
                "_RINvNtCs5678_4core3ptr9drop_glueNtNtCs1234_6rustls12common_state11CommonStateECs9_3app",
                DROP,
            ),
        ];
        for (symbol, expected) in symbols {
            assert_eq!(function(symbol.as_bytes()), Some(expected), "{symbol}");
        }
    }

    #[test]
    fn look_alikes_are_not_found() {
        for symbol in [
            "_ZN6rustls12common_state11CommonState19send_some_plaintext28_$u7b$$u7b$closure$u7d$$u7d$17hdb7525370d7334f2E",
            "_ZN12tokio_rustls6client19send_some_plaintext17hdb7525370d7334f2E",
            "rustls",
            "rustls_connection_read",
        ] {
            assert_eq!(function(symbol.as_bytes()), None, "{symbol}");
        }
    }

    #[test]
    fn a_version_is_what_stands_before_the_next_slash() {
        assert_eq!(version_in(b"23.46/src/conn.rs").as_deref(), Some("0.23.46"));
        assert_eq!(version_in(b"23.0-alpha.0/src").as_deref(), Some("0.23.0-alpha.0"));
        assert_eq!(version_in(b"23.46"), None);
        assert_eq!(version_in(b"/src"), None);
        assert_eq!(version_in(b"23 46/src"), None);
    }
}
