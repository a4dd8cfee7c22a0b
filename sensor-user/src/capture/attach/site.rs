//! Which instruction of a function to probe.
//!
//! Takes a function's bytes and what the probes need; gives offsets with the bytes found there, for a second look at
//! attachment. Never returns an offset that is not the start of an instruction, one where a needed argument may be
//! gone, or a return trampoline where the stack pointer has moved. Bounded by one pass over the function.
//!
//! A trap costs under a microsecond where the kernel emulates the probed instruction and several (in a virtual
//! machine above ten) where it has to single-step a copy. So probes go to emulated instructions where that is safe,
//! and to the function's first byte when in doubt.
//!
//! Return sites are chosen so that every return of the function passes exactly one of them, errors included: a
//! forgotten slot would look like a call still running to the kernel's nesting logic.

pub mod ends;
pub mod go;

use iced_x86::{InstructionInfoFactory, Mnemonic, OpKind, Register};
use sensor_common::call::{CallSpec, NO_ARG};

use ends::{Alone, Around};

use super::function::{
    self, Flow, Function, Stack, first_instruction, is_emulated, is_emulated_push_or_nop, is_probeable,
    stack_effect, writes,
};
use crate::capture::discover::elf::Machine;

/// Longest x86 instruction.
const MAX_INSTRUCTION_BYTES: usize = 15;
/// Longest function looked into; a longer one is probed at its first byte.
pub const MAX_FUNCTION_BYTES: usize = function::MAX_FUNCTION_BYTES;
/// `%fs:0x28` holds the stack protector's canary (System V ABI for AMD64, thread control block of glibc and musl).
const CANARY: u64 = 0x28;
/// `nopl 0(%rax,%rax,1)`, what compilers leave room with at a function's entry (Intel SDM, NOP: recommended sequences).
const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
/// Return instructions probed at most: each is a probe to attach. OpenSSL's hooked functions have one to four.
const MAX_RETURN_SITES: usize = 8;

/// Arguments that must still be in their registers at the entry site.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ArgumentSet(u8);

impl ArgumentSet {
    /// The arguments that a call's specification names.
    pub const fn of(spec: CallSpec) -> Self {
        Self(0)
            .with(spec.handle)
            .with(spec.buffer)
            .with(spec.fd)
            .with(spec.out)
    }

    /// With one more argument, counted from 0; [`NO_ARG`] adds none.
    #[must_use]
    pub const fn with(self, argument: u8) -> Self {
        if argument >= NO_ARG || argument >= 8 {
            return self;
        }
        Self(self.0 | 1 << argument)
    }

    /// Whether the argument is in the set.
    pub const fn contains(self, argument: u8) -> bool {
        argument < 8 && self.0 & (1 << argument) != 0
    }
}

/// What the caller wants to know about the function's return.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Returns {
    /// Nothing.
    Unwanted,
    /// Every return, in the cheapest safe way.
    Cheapest,
    /// Every return, without the kernel's return trampoline: some kernels kill processes under seccomp that hit it,
    /// and a start-up test decides.
    WithoutTrampoline,
}

/// One instruction to probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Site {
    /// Offset from the function's first byte. Outside of the function where that ends in a jump to another one.
    pub offset: i64,
    /// Bytes the stack pointer is below its value at the function's first byte.
    pub stack_adjust: u32,
    /// Whether the kernel emulates the instruction (cheap) or single-steps it.
    pub emulated: bool,
    bytes: [u8; MAX_INSTRUCTION_BYTES],
    length: u8,
}

/// How returns are seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReturnSite {
    /// Not wanted.
    None,
    /// A return probe (uretprobe) attached here: the stack pointer still points at the return address.
    Trampoline(Site),
    /// Ordinary probes, of which every return passes exactly one, with the result in its register.
    Instructions(Vec<Site>),
    /// The same, but other calls pass them, too: which return it is, the stack pointer tells.
    Framed(Vec<Site>),
    /// Wanted without a trampoline, and the function offers no such way.
    Impossible,
}

/// Where to probe a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sites {
    /// Sees each call once, with the needed arguments.
    pub entry: Site,
    /// Sees each return once.
    pub ret: ReturnSite,
}

impl Site {
    /// The instruction as it was when chosen; empty when the file ended there.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The function's first byte, for when nothing better is known; behind a patchable entry's `nop` of five bytes,
    /// which Linux 6.18 replaces by a system call that a seccomp filter may not know.
    fn first(code: &[u8]) -> Self {
        match code.split_at_checked(NOP5.len()) {
            Some((nop, rest)) if nop == NOP5 && !rest.is_empty() => Self::new(5, 0, first_instruction(rest)),
            _ => Self::new(0, 0, first_instruction(code)),
        }
    }

    fn new(offset: i64, stack_adjust: u32, instruction: &[u8]) -> Self {
        let mut bytes = [0; MAX_INSTRUCTION_BYTES];
        let length = instruction.len().min(MAX_INSTRUCTION_BYTES);
        for (to, from) in bytes.iter_mut().zip(instruction) {
            *to = *from;
        }
        Self {
            offset,
            stack_adjust,
            emulated: is_emulated(instruction),
            bytes,
            length: u8::try_from(length).unwrap_or(0),
        }
    }
}

/// Chooses. `code` is the whole function, from its first byte to its last.
pub fn choose(machine: Machine, code: &[u8], needs: ArgumentSet, returns: Returns) -> Sites {
    choose_among(machine, code, &Alone, needs, returns)
}

/// The same, where the function can be followed out of its code.
pub fn choose_among(
    machine: Machine,
    code: &[u8],
    around: &dyn Around,
    needs: ArgumentSet,
    returns: Returns,
) -> Sites {
    let mut sites = match (machine, Function::decode(code)) {
        (Machine::X86_64, Some(function)) => Choice::new(&function).sites(code, needs, returns),
        _ => at_first_byte(machine, code, returns),
    };
    if machine == Machine::X86_64
        && sites.ret == ReturnSite::Impossible
        && is_probeable(sites.entry.bytes())
        // As much as the kernel object is told.
        && u16::try_from(sites.entry.stack_adjust).is_ok()
        && let Some(returns) = ends::all(code, around)
    {
        sites.ret = ReturnSite::Framed(returns);
    }
    sites
}

/// Whether the function does nothing but set up arguments and jump to another one, which then is as good a place.
pub fn is_jump_away(machine: Machine, code: &[u8]) -> bool {
    let Some(function) = (machine == Machine::X86_64)
        .then(|| Function::decode(code))
        .flatten()
    else {
        return false;
    };
    let mut flows = (0..function.len()).map_while(|index| function.flow(index));
    flows.find(|flow| *flow != Flow::Next) == Some(Flow::Leave)
}

/// For functions of which the length is unknown; `code` is as much as there is.
pub fn at_first_byte(machine: Machine, code: &[u8], returns: Returns) -> Sites {
    match machine {
        Machine::X86_64 => both_at_first(Site::first(code), returns),
        Machine::Aarch64 => {
            // Every A64 instruction has four bytes; which of them the kernel simulates is not used.
            let mut first = Site::new(0, 0, code.get(..4).unwrap_or(code));
            first.emulated = false;
            both_at(first, returns)
        }
    }
}

/// As [`both_at`], where the kernel takes a probe there at all.
fn both_at_first(site: Site, returns: Returns) -> Sites {
    if is_probeable(site.bytes()) {
        return both_at(site, returns);
    }
    Sites {
        entry: site,
        ret: ReturnSite::Impossible,
    }
}

/// One trap serves both probes: a return probe is armed by a trap at the same instruction.
fn both_at(site: Site, returns: Returns) -> Sites {
    let ret = match returns {
        Returns::Unwanted => ReturnSite::None,
        Returns::Cheapest => ReturnSite::Trampoline(site),
        Returns::WithoutTrampoline => ReturnSite::Impossible,
    };
    Sites { entry: site, ret }
}

struct Entry {
    site: Site,
    /// The stack pointer has not moved, not even there and back: what it points at is the return address.
    is_stack_untouched: bool,
}

struct Choice<'f, 'c> {
    function: &'f Function<'c>,
    registers: InstructionInfoFactory,
}

impl<'f, 'c> Choice<'f, 'c> {
    fn new(function: &'f Function<'c>) -> Self {
        Self {
            function,
            registers: InstructionInfoFactory::new(),
        }
    }

    fn sites(&mut self, code: &[u8], needs: ArgumentSet, returns: Returns) -> Sites {
        let first = Site::first(code);
        let (entry, is_stack_untouched) = match self.entry(needs, is_emulated) {
            Some(found) => (found.site, found.is_stack_untouched),
            None if is_probeable(first.bytes()) => (first, true),
            None => match self.entry(needs, is_probeable) {
                Some(found) => (found.site, found.is_stack_untouched),
                None => return both_at_first(first, returns),
            },
        };
        match returns {
            Returns::Unwanted => both_at(entry, returns),
            // The trampoline is armed by the entry's own trap, as long as the stack pointer has not moved.
            Returns::Cheapest if entry.emulated && is_stack_untouched => both_at(entry, returns),
            Returns::Cheapest => match self.guarded_returns() {
                Some(sites) => Sites {
                    entry,
                    ret: ReturnSite::Instructions(sites),
                },
                None if is_probeable(first.bytes()) => both_at(first, returns),
                None => Sites {
                    entry,
                    ret: self
                        .return_instructions()
                        .map_or(ReturnSite::Impossible, ReturnSite::Instructions),
                },
            },
            Returns::WithoutTrampoline => Sites {
                entry,
                ret: self
                    .guarded_returns()
                    .or_else(|| self.return_instructions())
                    .map_or(ReturnSite::Impossible, ReturnSite::Instructions),
            },
        }
    }

    /// The first instruction that will do and that every call reaches straight from the first byte, once, with the
    /// needed arguments intact.
    fn entry(&mut self, needs: ArgumentSet, will_do: fn(&[u8]) -> bool) -> Option<Entry> {
        let mut adjust = 0_i64;
        let mut is_stack_untouched = true;
        for index in 0..self.function.len() {
            let (offset, bytes) = self.function.bytes(index)?;
            if will_do(bytes) {
                let site = Self::site(offset, adjust, bytes)?;
                return self.runs_once(index, bytes).then_some(Entry {
                    site,
                    is_stack_untouched,
                });
            }
            if self.function.flow(index)? != Flow::Next || self.loses_argument(index, needs)? {
                return None;
            }
            match stack_effect(self.function.instruction(index)?, &mut self.registers) {
                Stack::Moves(0) => {}
                Stack::Moves(bytes) => {
                    adjust = adjust.checked_sub(bytes)?;
                    is_stack_untouched = false;
                }
                Stack::Lost => return None,
            }
        }
        None
    }

    /// Whether no jump leads back to the instruction or in front of it.
    fn runs_once(&self, index: usize, bytes: &[u8]) -> bool {
        let no_known_jump = self.function.first_target().is_none_or(|target| target > index);
        let no_unknown_jump = !self.function.has_unknown_flow() || is_emulated_push_or_nop(bytes);
        no_known_jump && no_unknown_jump
    }

    fn loses_argument(&mut self, index: usize, needs: ArgumentSet) -> Option<bool> {
        let instruction = self.function.instruction(index)?;
        Some((0..).zip(ARGUMENTS).any(|(number, register)| {
            needs.contains(number) && writes(instruction, register, &mut self.registers)
        }))
    }

    fn site(offset: usize, adjust: i64, bytes: &[u8]) -> Option<Site> {
        Some(Site::new(
            i64::try_from(offset).ok()?,
            u32::try_from(adjust).ok()?,
            bytes,
        ))
    }

    /// The stack protector's last check before each return, if every return has one.
    fn guarded_returns(&mut self) -> Option<Vec<Site>> {
        let returns = self.reachable_returns()?;
        let sites = returns
            .into_iter()
            .map(|index| self.guard_of(index))
            .collect::<Option<Vec<_>>>()?;
        (sites.len() <= MAX_RETURN_SITES).then_some(sites)
    }

    /// The return instructions themselves; not emulated, but harmless.
    fn return_instructions(&mut self) -> Option<Vec<Site>> {
        let returns = self.reachable_returns()?;
        if returns.len() > MAX_RETURN_SITES {
            return None;
        }
        returns
            .into_iter()
            .map(|index| {
                let (offset, bytes) = self.function.bytes(index)?;
                is_probeable(bytes)
                    .then(|| Self::site(offset, 0, bytes))
                    .flatten()
            })
            .collect()
    }

    /// Walks back from a return over instructions that leave the result alone, to the guard in front of them.
    fn guard_of(&mut self, return_index: usize) -> Option<Site> {
        let mut adjust = 0_i64;
        let mut index = return_index;
        loop {
            // Somebody jumps between the guard and the return: that path does not pass the guard.
            if self.function.is_target(index) {
                return None;
            }
            index = index.checked_sub(1)?;
            if is_guard(self.function, index) {
                let (offset, bytes) = self.function.bytes(index)?;
                return is_probeable(bytes)
                    .then(|| Self::site(offset, adjust, bytes))
                    .flatten();
            }
            let instruction = self.function.instruction(index)?;
            if self.function.flow(index)? != Flow::Next
                || writes(instruction, Register::RAX, &mut self.registers)
            {
                return None;
            }
            match stack_effect(instruction, &mut self.registers) {
                Stack::Moves(bytes) => adjust = adjust.checked_add(bytes)?,
                Stack::Lost => return None,
            }
        }
    }

    /// Every return that the first byte leads to; `None` when the function can be left in another way that ends up
    /// with its caller.
    fn reachable_returns(&self) -> Option<Vec<usize>> {
        let mut seen = vec![false; self.function.len()];
        let mut pending = vec![0];
        let mut returns = Vec::new();
        while let Some(index) = pending.pop() {
            let Some(visited) = seen.get_mut(index) else {
                // Past the last instruction: only a call that never returns may stand there.
                continue;
            };
            if std::mem::replace(visited, true) {
                continue;
            }
            if self.function.flow(index)? == Flow::Return {
                returns.push(index);
            } else {
                pending.extend(self.successors(index)?);
            }
        }
        returns.sort_unstable();
        (!returns.is_empty()).then_some(returns)
    }

    /// Where control goes from here within the function; `None` when it may leave it.
    fn successors(&self, index: usize) -> Option<Vec<usize>> {
        let next = index + 1;
        let has_next = next < self.function.len();
        match self.function.flow(index)? {
            Flow::Call => Some(vec![next]),
            Flow::Next if has_next => Some(vec![next]),
            Flow::Jump(target) => Some(vec![target]),
            // Its branch leads to `__stack_chk_fail`, which does not return.
            Flow::Branch(_) if has_next && is_guard(self.function, index) => Some(vec![next]),
            Flow::Branch(target) if has_next => Some(vec![target, next]),
            Flow::Return | Flow::Trap => Some(Vec::new()),
            Flow::Next | Flow::Branch(_) | Flow::Leave | Flow::Unknown => None,
        }
    }
}

/// Registers of the first six arguments (System V ABI for AMD64, 3.2.3).
const ARGUMENTS: [Register; 6] = [
    Register::RDI,
    Register::RSI,
    Register::RDX,
    Register::RCX,
    Register::R8,
    Register::R9,
];

/// Whether the instruction is the stack protector's branch: `jne` to a call, right behind a comparison with the
/// canary. Compilers write `sub`/`xor`/`cmp %fs:0x28, reg`, or load the canary and compare it with the stack.
///
/// The pattern is narrow on purpose: a prologue also loads the canary, and an argument check with an error call may
/// follow it closely.
fn is_guard(function: &Function<'_>, index: usize) -> bool {
    let Some(Flow::Branch(target)) = function.flow(index) else {
        return false;
    };
    let is_jne = function
        .instruction(index)
        .is_some_and(|branch| branch.mnemonic() == Mnemonic::Jne);
    if !is_jne || function.flow(target) != Some(Flow::Call) || function.is_target(index) {
        return false;
    }
    let before = |back: usize| {
        index
            .checked_sub(back)
            .and_then(|index| function.instruction(index))
    };
    let Some(comparison) = before(1) else {
        return false;
    };
    if !matches!(
        comparison.mnemonic(),
        Mnemonic::Sub | Mnemonic::Xor | Mnemonic::Cmp
    ) {
        return false;
    }
    if reads_canary(comparison) {
        return true;
    }
    before(2).is_some_and(|load| {
        load.mnemonic() == Mnemonic::Mov
            && reads_canary(load)
            && load.op0_register() == comparison.op0_register()
            && comparison.op1_kind() == OpKind::Memory
    }) && !function.is_target(index - 1)
}

fn reads_canary(instruction: &iced_x86::Instruction) -> bool {
    instruction.memory_segment() == Register::FS
        && instruction.memory_base() == Register::None
        && instruction.memory_index() == Register::None
        && instruction.memory_displacement64() == CANARY
        && instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Memory
}

#[cfg(test)]
mod tests;
