//! What to attach to: a file with the probe points chosen in it.
//!
//! Takes a process or a path; gives [`Target`]s, each holding its file open so that nothing can take its place
//! between choosing and attaching. Never attaches. Bounded by the table of stacks: some dozens of points per file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sensor_common::call::{CallKind, CallSpec};

use super::elf::{Elf, ElfError, Machine, Symbol};
use super::process::{self, MappedFile, open_regular};
use super::recognise::Recognised;
use super::rustls_state::Places;
use super::stacks::Stack;
use super::{Cache, FileIdentity};
use crate::capture::attach::site::ends::Around;
use crate::capture::attach::site::{self, ArgumentSet, ReturnSite, Returns, Site, Sites};

/// A file in which a covered TLS stack was found.
#[derive(Debug)]
pub struct Target {
    /// The file, to attach through `/proc/self/fd`.
    pub file: File,
    /// Its path, for messages: as the process sees it.
    pub path: PathBuf,
    /// Tells the file from others of that path.
    pub identity: FileIdentity,
    /// The stack, the first one when there are several.
    pub stack: &'static Stack,
    /// Where to probe, for every covered stack in the file.
    pub points: Vec<ProbePoint>,
}

/// One function to probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbePoint {
    /// Its symbol.
    pub symbol: &'static str,
    /// What its arguments are.
    pub spec: CallSpec,
    /// Offset of the function in the file.
    pub offset: u64,
    /// The instructions, relative to `offset`.
    pub sites: Sites,
    /// Why it cannot be probed.
    pub refused: Option<&'static str>,
}

/// Why a file has no target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It cannot be opened, or is no regular file.
    #[error("cannot open {}", process::printable(path))]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its content cannot be read.
    #[error("cannot read {}", process::printable(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ElfError,
    },
}

/// Targets among the files a process has mapped. Files that cannot be read are left out; the coverage report names
/// them.
pub fn targets_of(proc: &Path, pid: u32, returns: Returns, cache: &mut Cache) -> Vec<Target> {
    let files = process::mapped_files(proc, pid).unwrap_or_default();
    let target = |mapped: MappedFile| {
        let file = mapped.open(proc, pid).ok()?;
        target_of(file, mapped.path, returns, cache).ok()?
    };
    files.into_iter().filter_map(target).collect()
}

/// The target in a file, `None` when it carries no covered stack or is built for another machine.
pub fn target_of_file(
    path: &Path,
    returns: Returns,
    cache: &mut Cache,
) -> Result<Option<Target>, TargetError> {
    let file = open_regular(path).map_err(|source| TargetError::Open {
        path: path.to_owned(),
        source,
    })?;
    target_of(file, path.to_owned(), returns, cache)
}

pub(super) fn target_of(
    file: File,
    path: PathBuf,
    returns: Returns,
    cache: &mut Cache,
) -> Result<Option<Target>, TargetError> {
    let (identity, inspected) = match cache.inspect(&file) {
        Ok(known) => known,
        Err(source) => return Err(TargetError::Open { path, source }),
    };
    let covered: Vec<&Recognised> = inspected
        .stacks
        .iter()
        .filter(|recognised| recognised.is_covered())
        .collect();
    let whole = covered.iter().find(|recognised| recognised.stack.is_whole());
    let Some(stack) = whole.or(covered.first()).map(|recognised| recognised.stack) else {
        return Ok(None);
    };
    if inspected.machine != Some(Machine::native()) {
        return Ok(None);
    }
    match cache.points(identity, returns, || points(&file, &covered, returns)) {
        Ok(points) => Ok(Some(Target {
            file,
            path,
            identity,
            stack,
            points,
        })),
        Err(source) => Err(TargetError::Read { path, source }),
    }
}

/// Longest function that only jumps elsewhere: a few arguments set and the jump.
const MAX_JUMP_BYTES: u64 = 64;

fn points(file: &File, covered: &[&Recognised], returns: Returns) -> Result<Vec<ProbePoint>, ElfError> {
    let elf = Elf::parse(file)?;
    let mut points: Vec<ProbePoint> = Vec::new();
    for recognised in covered {
        let places = Places::find(&elf, &recognised.functions)?;
        let mark = go_mark(&elf, recognised)?;
        for symbol in &recognised.functions {
            let Some(row) = recognised
                .stack
                .functions()
                .iter()
                .find(|row| row.symbol == symbol.name)
            else {
                continue;
            };
            if let Some(to) = row.jumps_to
                && symbol.size <= MAX_JUMP_BYTES
                && recognised.functions.iter().any(|other| other.name == to)
                && site::is_jump_away(elf.machine(), &elf.code(symbol, MAX_JUMP_BYTES)?)
            {
                continue;
            }
            // Two names of one function would report each call twice.
            let is_alias =
                |point: &ProbePoint| point.offset == symbol.offset && point.spec.kind == row.spec.kind;
            if !points.iter().any(is_alias) {
                let spec = mark.map_or_else(|| places.tell(row.spec), |mark| row.spec.with_mark(mark));
                points.push(point(&elf, symbol, spec, returns)?);
            }
        }
    }
    Ok(points)
}

fn point(elf: &Elf<'_>, symbol: &Symbol, spec: CallSpec, returns: Returns) -> Result<ProbePoint, ElfError> {
    let returns = match spec.kind {
        kind if !needs_return(kind) => Returns::Unwanted,
        kind if unwinds(kind) => Returns::WithoutTrampoline,
        _ => returns,
    };
    // One byte beyond the limit, so that a longer function is recognised as such.
    let code = elf.code(symbol, site::MAX_FUNCTION_BYTES as u64 + 1)?;
    if spec.kind.is_go() {
        return Ok(go_point(symbol, spec, &code));
    }
    let sites = if symbol.size == 0 {
        let some = Symbol { size: 1, ..*symbol };
        site::at_first_byte(elf.machine(), &elf.code(&some, 1)?, returns)
    } else {
        let around = InFile::of(elf, symbol);
        site::choose_among(elf.machine(), &code, &around, ArgumentSet::of(spec), returns)
    };
    Ok(ProbePoint {
        symbol: symbol.name,
        spec,
        offset: symbol.offset,
        sites,
        refused: None,
    })
}

/// What a file holds around a function.
struct InFile<'e, 'f> {
    elf: &'e Elf<'f>,
    offset: u64,
    /// Address of the function; nothing is read where it has none.
    address: Option<u64>,
}

impl<'e, 'f> InFile<'e, 'f> {
    fn of(elf: &'e Elf<'f>, symbol: &Symbol) -> Self {
        Self {
            elf,
            offset: symbol.offset,
            address: elf.address_of(symbol.offset),
        }
    }

    fn at(&self, at: i64) -> Option<u64> {
        self.address?.checked_add_signed(at)
    }
}

impl Around for InFile<'_, '_> {
    fn code(&self, at: i64) -> Option<Vec<u8>> {
        let address = self.at(at)?;
        // Of the same segment: sites are told by their distance in the file.
        if self.elf.code_at(address) != self.offset.checked_add_signed(at) {
            return None;
        }
        let (start, size) = self.elf.extent(address)?;
        let left = size.checked_sub(address.checked_sub(start)?)?;
        // One byte beyond the limit, as above.
        let limit = site::MAX_FUNCTION_BYTES as u64 + 1;
        self.elf.at_address(address, left.min(limit), "function").ok()
    }

    fn numbers(&self, at: i64, count: u64) -> Option<Vec<i32>> {
        let bytes = self
            .elf
            .at_address(self.at(at)?, count.checked_mul(4)?, "jumps")
            .ok()?;
        let (numbers, _) = bytes.as_chunks();
        (numbers.len() as u64 == count).then(|| numbers.iter().copied().map(i32::from_le_bytes).collect())
    }
}

/// Where a connection of Go's says that it was closed, in words of four bytes.
fn go_mark(elf: &Elf<'_>, recognised: &Recognised) -> Result<Option<u16>, ElfError> {
    let code = |kind: CallKind| -> Result<Vec<u8>, ElfError> {
        let row = recognised
            .stack
            .functions()
            .iter()
            .find(|row| row.spec.kind == kind);
        let symbol = row.and_then(|row| {
            recognised
                .functions
                .iter()
                .find(|symbol| symbol.name == row.symbol)
        });
        match symbol {
            Some(symbol) => Ok(elf.code(symbol, site::MAX_FUNCTION_BYTES as u64)?),
            None => Ok(Vec::new()),
        }
    };
    Ok(site::go::mark(
        &code(CallKind::GoWrite)?,
        &code(CallKind::GoClose)?,
    ))
}

/// A method of Go's `tls.Conn`, all of whose returns are probed or none. The end of a connection is worth having even
/// where only its beginning is known.
fn go_point(symbol: &Symbol, spec: CallSpec, code: &[u8]) -> ProbePoint {
    let closing = CallSpec {
        kind: CallKind::GoClosing,
        ..spec
    };
    let (chosen, spec) = match site::go::choose(code, true) {
        Ok(sites) if spec.kind == CallKind::GoClose => (Ok(sites), closing),
        Err(_) if spec.kind == CallKind::GoClose => (site::go::choose(code, false), spec),
        chosen => (chosen, spec),
    };
    let (sites, refused) = match chosen {
        Ok(sites) => (sites, None),
        Err(reason) => {
            let first = site::at_first_byte(Machine::native(), code, Returns::WithoutTrampoline);
            (first, Some(reason))
        }
    };
    ProbePoint {
        symbol: symbol.name,
        spec,
        offset: symbol.offset,
        sites,
        refused,
    }
}

/// Bytes and a new BIO are known on return, and a handshake's window of nested socket calls closes there;
/// the rest is done at entry.
const fn needs_return(kind: CallKind) -> bool {
    kind.moves_bytes()
        || matches!(
            kind,
            CallKind::Handshake | CallKind::Import | CallKind::NewSocketBio | CallKind::RustlsFlush
        )
}

/// Whether code of the application runs inside the call. Its panics unwind the stack by its return addresses; the
/// kernel's return trampoline has no unwind information, so the program would be aborted where it would have caught one.
/// Below the other functions of rustls there is only rustls and its cryptography, which do not panic.
const fn unwinds(kind: CallKind) -> bool {
    matches!(kind, CallKind::RustlsFlush)
}

impl Target {
    /// Whether each chosen instruction is still in the file as it was: files are changed in place, too.
    pub fn is_unchanged(&self) -> bool {
        FileIdentity::of(&self.file).is_ok_and(|identity| identity == self.identity)
            && self.points.iter().all(|point| {
                let returns = match &point.sites.ret {
                    ReturnSite::None | ReturnSite::Impossible => &[],
                    ReturnSite::Trampoline(site) => std::slice::from_ref(site),
                    ReturnSite::Instructions(sites) | ReturnSite::Framed(sites) => sites.as_slice(),
                };
                returns
                    .iter()
                    .chain([&point.sites.entry])
                    .all(|site| self.has_instruction(point, site))
            })
    }

    /// Functions that are left out because their returns cannot be seen in a safe way.
    pub fn unprobed(&self) -> Vec<&'static str> {
        self.left_out().map(|point| point.symbol).collect()
    }

    /// Those of them without which plaintext is not seen. Without the others, which run handshakes, sockets are found
    /// when bytes move.
    pub fn unseen(&self) -> Vec<&'static str> {
        let carries =
            |point: &&ProbePoint| point.spec.kind.moves_bytes() || point.spec.kind == CallKind::Import;
        self.left_out()
            .filter(carries)
            .map(|point| point.symbol)
            .collect()
    }

    fn left_out(&self) -> impl Iterator<Item = &ProbePoint> {
        self.points
            .iter()
            .filter(|point| point.sites.ret == ReturnSite::Impossible && point.refused.is_none())
    }

    fn has_instruction(&self, point: &ProbePoint, site: &Site) -> bool {
        let mut found = vec![0; site.bytes().len()];
        let read = point
            .file_offset(site)
            .is_some_and(|offset| self.file.read_exact_at(&mut found, offset).is_ok());
        read && found == site.bytes()
    }
}

impl ProbePoint {
    /// Offset of a site in the file, as the kernel wants it.
    pub const fn file_offset(&self, site: &Site) -> Option<u64> {
        self.offset.checked_add_signed(site.offset)
    }
}
