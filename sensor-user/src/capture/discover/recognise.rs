//! Which TLS stacks a file carries, by its content.
//!
//! Takes an [`Elf`]; gives rows of the table with the functions found for them. Never looks at a file's name.
//! Bounded by the limits of `elf` and the length of the table.

use std::sync::LazyLock;

use super::bio;
use super::elf::{Elf, ElfError, Symbol, Table, Wanted};
use super::stacks::{BIO_F_SSL, STACKS, Sign, Stack};
use super::{go, rustls};

/// A stack found in a file.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// The row.
    pub stack: &'static Stack,
    /// The functions of a covered row that the file defines.
    pub functions: Vec<Symbol>,
    /// Version of the implementation, where the file says it.
    pub version: Option<String>,
    /// Why this file's plaintext is not captured although the row is covered.
    pub opaque: Option<Opaque>,
}

/// Why a file's plaintext is not captured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opaque {
    /// Why.
    pub reason: String,
    /// What the operator can do.
    pub remedy: &'static str,
}

impl Recognised {
    /// Whether its plaintext is captured.
    pub const fn is_covered(&self) -> bool {
        self.stack.is_covered() && self.opaque.is_none()
    }
}

/// Every stack in the file, in the table's order.
pub fn recognise(elf: &Elf<'_>) -> Result<Vec<Recognised>, ElfError> {
    let mut symbols = elf.functions_named(Table::Dynamic, &known)?;
    symbols.extend(bio::functions(elf, &symbols)?);
    let mut found = matching(elf, &symbols)?;
    // The static table may be large, so it is read only where the dynamic one did not lead to plaintext.
    if !found.iter().any(Recognised::is_covered) {
        let hidden = elf.functions_named(Table::Static, &known)?;
        if !hidden.is_empty() {
            symbols.extend(
                hidden
                    .into_iter()
                    .filter(|symbol| !symbols.contains(symbol))
                    .collect::<Vec<_>>(),
            );
            found = matching(elf, &symbols)?;
        }
    }
    found.extend(go::recognise(elf)?);
    Ok(found)
}

/// The name that a row of the table has for a symbol.
fn known(symbol: &[u8]) -> Option<&'static str> {
    WANTED.get(symbol).copied().or_else(|| rustls::function(symbol))
}

/// Names that any row asks for.
static WANTED: LazyLock<Wanted> = LazyLock::new(|| {
    let functions = STACKS
        .iter()
        .flat_map(Stack::functions)
        .map(|function| function.symbol);
    let signs = STACKS
        .iter()
        .flat_map(|stack| stack.signs.iter().chain(stack.unless));
    let signs = signs.filter_map(|sign| match sign {
        Sign::Function(symbol) => Some(*symbol),
        Sign::Section(_) | Sign::Bytes(..) | Sign::AnyBytes(..) | Sign::OneOfEach(_) => None,
    });
    functions
        .chain(signs)
        .chain([BIO_F_SSL])
        .map(|symbol| (symbol.as_bytes(), symbol))
        .collect()
});

fn matching(elf: &Elf<'_>, symbols: &[Symbol]) -> Result<Vec<Recognised>, ElfError> {
    let mut found = Vec::new();
    for stack in STACKS {
        if all_hold(elf, symbols, stack.signs)? && !any_holds(elf, symbols, stack.unless)? {
            let belongs = |symbol: &&Symbol| stack.functions().iter().any(|row| row.symbol == symbol.name);
            let mut functions: Vec<Symbol> = symbols.iter().filter(belongs).copied().collect();
            let mut version = None;
            if stack.name == "rustls" {
                rustls::choose(&mut functions);
                version = rustls::version(elf)?;
            }
            found.push(Recognised {
                stack,
                functions,
                version,
                opaque: None,
            });
        }
    }
    Ok(found)
}

fn all_hold(elf: &Elf<'_>, symbols: &[Symbol], signs: &[Sign]) -> Result<bool, ElfError> {
    for sign in signs {
        if !holds(elf, symbols, *sign)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any_holds(elf: &Elf<'_>, symbols: &[Symbol], signs: &[Sign]) -> Result<bool, ElfError> {
    for sign in signs {
        if holds(elf, symbols, *sign)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn holds(elf: &Elf<'_>, symbols: &[Symbol], sign: Sign) -> Result<bool, ElfError> {
    match sign {
        Sign::Function(name) => Ok(symbols.iter().any(|symbol| symbol.name == name)),
        Sign::Section(name) => Ok(elf.has_section(name)),
        Sign::Bytes(section, needle) => elf.section_contains(section, needle),
        Sign::AnyBytes(section, needles) => {
            for needle in needles {
                if elf.section_contains(section, needle)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Sign::OneOfEach(groups) => Ok(groups.iter().all(|group| {
            group
                .iter()
                .any(|name| symbols.iter().any(|symbol| symbol.name == *name))
        })),
    }
}
