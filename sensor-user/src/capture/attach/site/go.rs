//! Sites in methods of Go: the entry behind the check of the stack's size, and every return instruction.
//!
//! Takes a whole function. Gives sites, or why there are none. Never a trampoline: the runtime moves stacks, and with
//! them return addresses. Functions are swept from front to end, since Go's compiler puts no data between
//! instructions and `runtime.deferreturn` is reached by no jump.

use iced_x86::{MemorySize, Mnemonic, Register};
use sensor_common::call::NO_MARK;

use super::{ReturnSite, Site, Sites};
use crate::capture::attach::function::{Flow, Function, is_emulated, is_emulated_push_or_nop};

/// Return instructions at most. The longest of the methods has 12 in Go 1.19 and 20 in 1.27.
const MAX_RETURNS: usize = 64;

/// Chooses the entry and, if `with_returns`, the returns.
pub fn choose(code: &[u8], with_returns: bool) -> Result<Sites, &'static str> {
    let function = Function::decode(code).ok_or("its code does not decode to the end")?;
    let entry = entry(&function).ok_or("it does not begin with a check of the stack's size")?;
    let ret = if with_returns {
        ReturnSite::Instructions(returns(&function)?)
    } else {
        ReturnSite::None
    };
    Ok(Sites { entry, ret })
}

/// Where a connection counts its calls and notes that it was closed, in words of four bytes: what both methods compare
/// and exchange first (`activeCall` of `src/crypto/tls/conn.go`, since Go 1.8). Neither is asked alone, because either
/// may begin with another lock one day.
pub fn mark(write: &[u8], close: &[u8]) -> Option<u16> {
    let (write, close) = (Function::decode(write)?, Function::decode(close)?);
    let found = first_exchange(&write).filter(|found| first_exchange(&close) == Some(*found))?;
    let words = u16::try_from(found / 4).ok()?;
    (found % 4 == 0 && words < NO_MARK).then_some(words)
}

/// Displacement of the first `lock cmpxchg` of four bytes at a place in an object.
fn first_exchange(function: &Function<'_>) -> Option<u64> {
    let all = (0..function.len()).filter_map(|index| function.instruction(index));
    let first = all
        .into_iter()
        .find(|here| here.has_lock_prefix() && here.mnemonic() == Mnemonic::Cmpxchg)?;
    let in_object = first.memory_base().is_gpr64() && first.memory_index() == Register::None;
    (in_object && first.memory_size() == MemorySize::UInt32).then(|| first.memory_displacement64())
}

/// The prologue is `cmp`, perhaps with a `lea` before it, and `jbe` to a call of `runtime.morestack`, after which it
/// begins anew. Behind the branch each call passes once, with nothing changed but R12 and the flags; Go 1.21 and newer
/// push the frame pointer there, which the kernel emulates. Older ones do not, and the branch itself is taken: it may
/// run twice for one call, which the kernel object expects.
fn entry(function: &Function<'_>) -> Option<Site> {
    let branch = (1..=2).find(|index| matches!(function.flow(*index), Some(Flow::Branch(_))))?;
    let compares = function.instruction(branch.checked_sub(1)?)?.mnemonic() == Mnemonic::Cmp;
    let straight = branch == 1 || function.instruction(0)?.mnemonic() == Mnemonic::Lea;
    let (offset, bytes) = function.bytes(branch)?;
    if !compares || !straight || !is_emulated(bytes) || function.is_target(branch) {
        return None;
    }
    let (behind, next) = function.bytes(branch + 1)?;
    let chosen = if is_emulated_push_or_nop(next) && !function.is_target(branch + 1) {
        (behind, next)
    } else {
        (offset, bytes)
    };
    Some(Site::new(i64::try_from(chosen.0).ok()?, 0, chosen.1))
}

/// Every return; an error when the function can be left in another way.
fn returns(function: &Function<'_>) -> Result<Vec<Site>, &'static str> {
    let mut sites = Vec::new();
    for index in 0..function.len() {
        let is_padding = || {
            function
                .instruction(index)
                .is_some_and(|here| here.mnemonic() == Mnemonic::Int3)
        };
        match function.flow(index) {
            Some(Flow::Return) => {
                let (offset, bytes) = function
                    .bytes(index)
                    .ok_or("its code does not decode to the end")?;
                let offset = i64::try_from(offset).map_err(|_too_large| "it is too long")?;
                sites.push(Site::new(offset, 0, bytes));
            }
            Some(Flow::Leave) => return Err("it jumps into another function, whose return would be missed"),
            Some(Flow::Unknown) if !is_padding() => {
                return Err("it jumps to an address that the code does not tell");
            }
            _ => {}
        }
    }
    match sites.len() {
        0 => Err("it never returns"),
        1..=MAX_RETURNS => Ok(sites),
        _ => Err("it returns in too many places"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cmp 16(%r14), %rsp; jbe +0x0e; sub $8, %rsp; call; add $8, %rsp; ret; call morestack; jmp 0`.
    const OLD: &[u8] = &[
        0x49, 0x3b, 0x66, 0x10, 0x76, 0x0e, 0x48, 0x83, 0xec, 0x08, 0xe8, 0, 1, 0, 0, 0x48, 0x83, 0xc4, 0x08,
        0xc3, 0xe8, 0, 1, 0, 0, 0xeb, 0xe5, 0xcc, 0xcc,
    ];
    /// `lea -0x88(%rsp), %r12; cmp 16(%r14), %r12; jbe; push %rbp; mov; test; je; pop; ret; pop; ret; call; jmp 0`.
    const NEW: &[u8] = &[
        0x4c, 0x8d, 0xa4, 0x24, 0x78, 0xff, 0xff, 0xff, 0x4d, 0x3b, 0x66, 0x10, 0x76, 0x0d, 0x55, 0x48, 0x89,
        0xe5, 0x48, 0x85, 0xc0, 0x74, 0x02, 0x5d, 0xc3, 0x5d, 0xc3, 0xe8, 0, 1, 0, 0, 0xeb, 0xde,
    ];

    fn offsets(sites: &Sites) -> (i64, Vec<i64>) {
        let ReturnSite::Instructions(returns) = &sites.ret else {
            panic!("{sites:?}");
        };
        (
            sites.entry.offset,
            returns.iter().map(|site| site.offset).collect(),
        )
    }

    #[test]
    fn go_returns_are_probed_at_instructions_never_by_trampolines() {
        assert_eq!(offsets(&choose(OLD, true).unwrap()), (4, vec![19]));
        assert_eq!(offsets(&choose(NEW, true).unwrap()), (14, vec![24, 26]));
        assert!(choose(NEW, true).unwrap().entry.emulated);
        assert_eq!(choose(NEW, false).unwrap().ret, ReturnSite::None);
    }

    #[test]
    fn the_mark_is_what_write_and_close_both_exchange_first() {
        // lock cmpxchg [rbx+0x3f4], ecx; then the same of another place; then of eight bytes.
        let here = &[0xf0, 0x0f, 0xb1, 0x8b, 0xf4, 3, 0, 0, 0xf0, 0x0f, 0xb1, 0x0a];
        let there = &[0xf0, 0x0f, 0xb1, 0x8a, 0xf8, 3, 0, 0];
        let wide = &[0xf0, 0x48, 0x0f, 0xb1, 0x8b, 0xf4, 3, 0, 0];
        assert_eq!(mark(here, here), Some(0x3f4 / 4));
        assert_eq!(mark(here, there), None);
        assert_eq!(mark(wide, wide), None);
        assert_eq!(mark(here, &[0xc3]), None);
        assert_eq!(mark(&[], here), None);
    }

    #[test]
    fn a_function_that_may_be_left_without_a_return_is_refused() {
        // The last jump leads beyond the end; then through a register.
        let mut tail = OLD.to_vec();
        tail[26] = 0x20;
        assert!(choose(&tail, true).is_err());
        tail.splice(25..27, [0xff, 0xe0]);
        assert!(choose(&tail, true).is_err());
        // No stack check; no return; a cut instruction.
        assert!(choose(&OLD[6..], true).is_err());
        let mut never = OLD.to_vec();
        never[19] = 0x90;
        assert!(choose(&never, true).is_err());
        assert!(choose(&NEW[..NEW.len() - 1], true).is_err());
        assert!(choose(&[], true).is_err());
    }
}
