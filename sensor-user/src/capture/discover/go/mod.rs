//! Go programs: their version, and the methods of `crypto/tls.Conn` that carry plaintext.
//!
//! Takes an [`Elf`]; gives a [`Recognised`] with the functions, or with the reason why they cannot be probed. Names
//! come from the symbol table, or, when a program is stripped of it, from the function table of Go's runtime, which
//! it cannot run without. Never trusts an address that does not lead to the beginning of a Go function. Bounded by
//! [`functab::MAX_BYTES`].

mod buildinfo;
mod functab;

use super::elf::{Elf, ElfError, Machine, Symbol, Table, Wanted};
use super::recognise::{Opaque, Recognised};
use super::stacks;
use buildinfo::Version;

/// First version whose functions take their arguments in registers (Go 1.17 release notes, "Compiler").
const FIRST_WITH_REGISTERS: u32 = 17;

/// The Go row of the table, if the file is a Go program that contains `crypto/tls`.
pub fn recognise(elf: &Elf<'_>) -> Result<Option<Recognised>, ElfError> {
    let version = match buildinfo::version(elf) {
        Ok(Some(version)) => version,
        Err(error @ ElfError::Read(_)) => return Err(error),
        // Not a Go program, or one that the kernel would not run either.
        Ok(None) | Err(_) => return Ok(None),
    };
    let wanted = wanted();
    let symbols = elf.functions(Table::Static, &wanted)?;
    let from = if symbols.is_empty() {
        functab::functions(elf, &wanted)
    } else {
        Ok(symbols)
    };
    Ok(match from {
        Ok(functions) if functions.is_empty() => None,
        Ok(functions) => Some(judged(elf, &version, functions)),
        Err(error) => Some(found(
            &version,
            Vec::new(),
            Some(Opaque {
                reason: format!("this Go program's function table cannot be used: {error}"),
                remedy: "use a build that keeps its symbol table (no -ldflags=-s)",
            }),
        )),
    })
}

fn wanted() -> Wanted {
    let functions = stacks::GO.functions().iter();
    functions
        .map(|function| (function.symbol.as_bytes(), function.symbol))
        .collect()
}

fn found(version: &Version, functions: Vec<Symbol>, opaque: Option<Opaque>) -> Recognised {
    Recognised {
        stack: &stacks::GO,
        functions,
        version: version.shown(),
        opaque,
    }
}

fn judged(elf: &Elf<'_>, version: &Version, functions: Vec<Symbol>) -> Recognised {
    let reason = obstacle(elf, version, &functions);
    let functions = if reason.is_some() { Vec::new() } else { functions };
    let opaque = reason.map(|(reason, remedy)| Opaque { reason, remedy });
    found(version, functions, opaque)
}

/// Why the functions cannot be probed, and what helps.
fn obstacle(elf: &Elf<'_>, version: &Version, functions: &[Symbol]) -> Option<(String, &'static str)> {
    if !version.has_register_calls() {
        let reason = format!(
            "{} passes arguments on the stack, which is not read; Go 1.{FIRST_WITH_REGISTERS} and newer do not",
            version.shown().as_deref().unwrap_or("this version of Go")
        );
        return Some((
            reason,
            "build the program with a Go version that is still supported",
        ));
    }
    if elf.machine() == Machine::Aarch64 {
        let reason =
            "the return instructions of Go functions are not looked for in arm64 code yet".to_owned();
        return Some((
            reason,
            "observe the other end of the connection, or the plain side of a proxy",
        ));
    }
    let is_strange = |symbol: &&Symbol| !begins_as_go(elf, symbol);
    functions.iter().find(is_strange).map(|symbol| {
        let reason = format!("{} does not begin as Go functions do", symbol.name);
        (reason, "use a build of the standard Go compiler")
    })
}

/// Whether the code begins with the check of the goroutine's stack that every function with a frame has on amd64:
/// `cmp 16(%r14), %rsp`, or `lea -N(%rsp), %r12` in front of it where the frame is large (cmd/internal/obj/x86,
/// `stacksplit`). Tells functions of the register ABI from wrappers of the old one, whose names are the same, and a
/// right address from a wrong one.
fn begins_as_go(elf: &Elf<'_>, symbol: &Symbol) -> bool {
    elf.code(symbol, 4).is_ok_and(|code| {
        matches!(
            code.as_slice(),
            [0x49, 0x3b, 0x66, 0x10] | [0x4c, 0x8d, 0x64 | 0xa4, 0x24]
        )
    })
}

#[cfg(test)]
mod tests;
