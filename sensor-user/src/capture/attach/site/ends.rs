//! Every return instruction that a function may end with, also where it ends in a jump to another function or goes
//! through a table of jumps: what is left when return probes are ruled out.
//!
//! Takes a function and a way to read around it. Gives the instructions, or nothing when one way out cannot be
//! followed (a jump through a pointer). Such an instruction may serve other callers and other calls, too: only the
//! frame tells whose return it is, so a caller must compare the stack pointer. Bounded by [`MAX_PIECES`] pieces of code
//! and [`MAX_SITES`] returns.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::{Site, is_guard};
use crate::capture::attach::function::{Flow, Function, is_probeable};

/// Pieces of code followed at most. GnuTLS's `gnutls_record_recv` needs two.
const MAX_PIECES: usize = 12;
/// Return instructions at most; each is a probe.
const MAX_SITES: usize = 32;
/// Jumps in a table at most. The switches over states in TLS libraries have under 50.
const MAX_JUMPS: u64 = 256;
/// Instructions between the parts of a jump through a table at most.
const FAR: usize = 12;

/// What can be read around a function. Offsets count from its first byte.
pub trait Around {
    /// The code from there to the end of the function it is in.
    fn code(&self, at: i64) -> Option<Vec<u8>>;
    /// So many numbers of four bytes.
    fn numbers(&self, at: i64, count: u64) -> Option<Vec<i32>>;
}

/// Nothing can be read.
#[derive(Debug)]
pub struct Alone;

impl Around for Alone {
    fn code(&self, _at: i64) -> Option<Vec<u8>> {
        None
    }
    fn numbers(&self, _at: i64, _count: u64) -> Option<Vec<i32>> {
        None
    }
}

/// Every return that the function's first byte leads to, in the function and out of it.
pub(super) fn all(code: &[u8], around: &dyn Around) -> Option<Vec<Site>> {
    let mut walk = Walk {
        around,
        begun: vec![0],
        sites: Vec::new(),
    };
    walk.piece(0, code)?;
    let mut next = 1;
    while let Some(at) = walk.begun.get(next).copied() {
        walk.piece(at, &around.code(at)?)?;
        next += 1;
    }
    walk.sites.sort_by_key(|site| site.offset);
    (!walk.sites.is_empty()).then_some(walk.sites)
}

struct Walk<'a> {
    around: &'a dyn Around,
    /// Where pieces of code begin that are followed, in the order they were met.
    begun: Vec<i64>,
    sites: Vec<Site>,
}

impl Walk<'_> {
    fn piece(&mut self, start: i64, code: &[u8]) -> Option<()> {
        let function = Function::decode(code)?;
        let mut seen = vec![false; function.len()];
        let mut pending = vec![0];
        while let Some(index) = pending.pop() {
            let Some(visited) = seen.get_mut(index) else {
                // Past the last instruction: only a call that never returns may stand there.
                continue;
            };
            if !std::mem::replace(visited, true) {
                self.step(start, &function, index, &mut pending)?;
            }
        }
        Some(())
    }

    fn step(
        &mut self,
        start: i64,
        function: &Function<'_>,
        index: usize,
        pending: &mut Vec<usize>,
    ) -> Option<()> {
        let next = index + 1;
        let has_next = next < function.len();
        match function.flow(index)? {
            Flow::Trap => {}
            Flow::Return => self.found(start, function, index)?,
            Flow::Call => pending.push(next),
            Flow::Next if has_next => pending.push(next),
            Flow::Jump(target) => pending.push(target),
            // Its branch leads to `__stack_chk_fail`, which does not return.
            Flow::Branch(_) if has_next && is_guard(function, index) => pending.push(next),
            Flow::Branch(target) if has_next => pending.extend([target, next]),
            Flow::Leave => {
                let jump = function.instruction(index)?;
                self.leave(start, jump)?;
                if jump.mnemonic() != Mnemonic::Jmp {
                    pending.push(has_next.then_some(next)?);
                }
            }
            Flow::Unknown => pending.extend(self.table(start, function, index)?),
            Flow::Next | Flow::Branch(_) => return None,
        }
        Some(())
    }

    fn found(&mut self, start: i64, function: &Function<'_>, index: usize) -> Option<()> {
        let (offset, bytes) = function.bytes(index)?;
        let offset = start.checked_add(i64::try_from(offset).ok()?)?;
        if !is_probeable(bytes) || self.sites.len() >= MAX_SITES {
            return None;
        }
        if self.sites.iter().all(|site| site.offset != offset) {
            self.sites.push(Site::new(offset, 0, bytes));
        }
        Some(())
    }

    /// A jump to code outside of the piece, which is followed later.
    fn leave(&mut self, start: i64, jump: &Instruction) -> Option<()> {
        // Decoded as if the piece began at address 0, so that what lies before it wraps around.
        let to = start.checked_add(jump.near_branch_target().cast_signed())?;
        if !self.begun.contains(&to) {
            if self.begun.len() >= MAX_PIECES {
                return None;
            }
            self.begun.push(to);
        }
        Some(())
    }

    /// Where a jump through a table leads, as compilers write a `switch`: `cmp` with the last case, `ja`; then the
    /// table's address by `lea`, a distance from it by `movsxd`, their sum by `add`, and the jump. Every target must be
    /// an instruction of this piece, so that another thing that looks like this is not believed.
    fn table(&self, start: i64, function: &Function<'_>, index: usize) -> Option<Vec<usize>> {
        let jump = function.instruction(index)?;
        if jump.op0_kind() != OpKind::Register {
            return None;
        }
        let into = jump.op0_register();
        let (at_add, add) = before(function, index, |here| here.op0_register() == into)?;
        if add.mnemonic() != Mnemonic::Add || add.op1_kind() != OpKind::Register {
            return None;
        }
        let other = add.op1_register();
        let (at_load, load) = before(function, at_add, |here| {
            [into, other].contains(&here.op0_register()) && here.mnemonic() == Mnemonic::Movsxd
        })?;
        let base = load.memory_base();
        let is_table = load.op1_kind() == OpKind::Memory
            && load.memory_index_scale() == 4
            && load.memory_displacement64() == 0
            && [into, other].contains(&base)
            && (base != load.op0_register() || into == other);
        let (at_lea, lea) = before(function, at_load, |here| here.op0_register() == base)?;
        if !is_table || lea.mnemonic() != Mnemonic::Lea || lea.memory_base() != Register::RIP {
            return None;
        }
        let cases = cases(function, at_lea)?;
        let table = start.checked_add(lea.memory_displacement64().cast_signed())?;
        let places = self.around.numbers(table, cases)?;
        let targets = places.into_iter().map(|place| {
            let target = table.checked_add(i64::from(place))?.checked_sub(start)?;
            function.index_at(u64::try_from(target).ok()?)
        });
        targets.collect()
    }
}

/// The nearest instruction before one for which the test holds, with nothing but straight code between.
fn before<'f>(
    function: &'f Function<'_>,
    index: usize,
    wanted: impl Fn(&Instruction) -> bool,
) -> Option<(usize, &'f Instruction)> {
    let first = index.saturating_sub(FAR);
    for at in (first..index).rev() {
        if function.flow(at)? != Flow::Next {
            return None;
        }
        let here = function.instruction(at)?;
        if here.op0_kind() == OpKind::Register && wanted(here) {
            return Some((at, here));
        }
    }
    None
}

/// How many cases the branch before the table's address lets through.
fn cases(function: &Function<'_>, index: usize) -> Option<u64> {
    let first = index.saturating_sub(FAR);
    let branch = (first..index)
        .rev()
        .find(|at| function.flow(*at) != Some(Flow::Next))?;
    let compare = function.instruction(branch.checked_sub(1)?)?;
    let is_bound = function.instruction(branch)?.mnemonic() == Mnemonic::Ja
        && compare.mnemonic() == Mnemonic::Cmp
        && compare.op1_kind() != OpKind::Register
        && compare.op1_kind() != OpKind::Memory;
    let cases = is_bound.then(|| compare.immediate(1))?.checked_add(1)?;
    (cases <= MAX_JUMPS).then_some(cases)
}
