//! One function, decoded: its instructions, where control goes after each, and what each does to the stack.
//!
//! Takes the bytes of a function; gives facts about single instructions and the set of branch targets. Never
//! guesses: what does not decode completely is no function. Bounded by [`MAX_FUNCTION_BYTES`].

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};

/// Longest function analysed. The longest of OpenSSL's hooked ones has under 2 KiB.
pub(super) const MAX_FUNCTION_BYTES: usize = 16 << 10;

/// Where control goes after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    /// To the next instruction.
    Next,
    /// Into another function, and from there to the next instruction.
    Call,
    /// To another instruction of this function.
    Jump(usize),
    /// To another instruction of this function, or to the next.
    Branch(usize),
    /// Back to the caller.
    Return,
    /// Out of the function by a direct jump or branch, taken or not.
    Leave,
    /// To an address that is not in the code.
    Unknown,
    /// The processor stops here (`ud2`).
    Trap,
}

/// What an instruction does to the stack pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stack {
    /// Adds this many bytes; zero leaves it alone.
    Moves(i64),
    /// Sets it to something that only running the code would tell.
    Lost,
}

/// A decoded function. Invariant: instructions are contiguous from offset 0 to the end of the code.
pub(super) struct Function<'c> {
    code: &'c [u8],
    instructions: Vec<Instruction>,
    flows: Vec<Flow>,
    /// Indices of instructions that a branch or jump of this function names, sorted.
    targets: Vec<usize>,
}

impl<'c> Function<'c> {
    /// `None` when a byte does not decode, an instruction straddles the end, or a branch leads into the middle of
    /// an instruction: then nothing is known for sure.
    pub(super) fn decode(code: &'c [u8]) -> Option<Self> {
        if code.is_empty() || code.len() > MAX_FUNCTION_BYTES {
            return None;
        }
        let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
        let instructions: Vec<Instruction> = decoder.into_iter().collect();
        if instructions.iter().any(Instruction::is_invalid) {
            return None;
        }
        let flows = instructions
            .iter()
            .map(|instruction| flow(instruction, &instructions, code.len()))
            .collect::<Option<Vec<_>>>()?;
        let mut targets: Vec<usize> = flows
            .iter()
            .filter_map(|flow| match flow {
                Flow::Jump(target) | Flow::Branch(target) => Some(*target),
                _ => None,
            })
            .collect();
        targets.sort_unstable();
        targets.dedup();
        Some(Self {
            code,
            instructions,
            flows,
            targets,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.instructions.len()
    }

    pub(super) fn instruction(&self, index: usize) -> Option<&Instruction> {
        self.instructions.get(index)
    }

    /// Offset and bytes of an instruction.
    pub(super) fn bytes(&self, index: usize) -> Option<(usize, &'c [u8])> {
        let instruction = self.instructions.get(index)?;
        let start = usize::try_from(instruction.ip()).ok()?;
        Some((start, self.code.get(start..start + instruction.len())?))
    }

    /// The instruction that begins at an offset.
    pub(super) fn index_at(&self, offset: u64) -> Option<usize> {
        let found = self.instructions.binary_search_by_key(&offset, Instruction::ip);
        found.ok()
    }

    pub(super) fn flow(&self, index: usize) -> Option<Flow> {
        self.flows.get(index).copied()
    }

    pub(super) fn is_target(&self, index: usize) -> bool {
        self.targets.binary_search(&index).is_ok()
    }

    /// The first instruction that a branch of this function leads to.
    pub(super) fn first_target(&self) -> Option<usize> {
        self.targets.first().copied()
    }

    /// Whether control may go where the code does not say.
    pub(super) fn has_unknown_flow(&self) -> bool {
        self.flows.contains(&Flow::Unknown)
    }
}

/// The bytes of the first instruction, or all there are when they do not decode.
pub(super) fn first_instruction(code: &[u8]) -> &[u8] {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let instruction = decoder.decode();
    if instruction.is_invalid() {
        return code;
    }
    code.get(..instruction.len()).unwrap_or(code)
}

fn flow(instruction: &Instruction, all: &[Instruction], code_len: usize) -> Option<Flow> {
    let inside = |target: u64| -> Option<Option<usize>> {
        if target >= code_len as u64 {
            return Some(None);
        }
        let index = all.binary_search_by_key(&target, Instruction::ip).ok()?;
        Some(Some(index))
    };
    Some(match instruction.flow_control() {
        FlowControl::Next => Flow::Next,
        FlowControl::Call | FlowControl::IndirectCall => Flow::Call,
        FlowControl::Return => Flow::Return,
        FlowControl::Exception => Flow::Trap,
        FlowControl::UnconditionalBranch => {
            inside(instruction.near_branch_target())?.map_or(Flow::Leave, Flow::Jump)
        }
        FlowControl::ConditionalBranch => {
            inside(instruction.near_branch_target())?.map_or(Flow::Leave, Flow::Branch)
        }
        FlowControl::IndirectBranch | FlowControl::Interrupt | FlowControl::XbeginXabortXend => Flow::Unknown,
    })
}

/// Whether the kernel carries the instruction out itself instead of single-stepping a copy of it.
///
/// Linux 5.8 to 6.18, `branch_setup_xol_ops` and `push_setup_xol_ops` of `arch/x86/kernel/uprobes.c`: a one-byte
/// `nop`, relative jumps, conditional branches, relative calls, and `push` of a general register. Only forms without
/// prefixes are taken here (`66 90` cannot be probed at all before 6.1x; longer `nop`s are emulated only by the
/// newest), and no calls: an emulated call does not push onto a user shadow stack.
pub(super) fn is_emulated(bytes: &[u8]) -> bool {
    is_emulated_push_or_nop(bytes)
        || matches!(
            bytes,
            [0x70..=0x7f | 0xeb, _] | [0x0f, 0x80..=0x8f, _, _, _, _] | [0xe9, _, _, _, _]
        )
}

/// Whether the kernel lets the instruction be probed: not behind a prefix that names a segment other than FS and GS, or
/// `lock` (`is_prefix_bad` of `arch/x86/kernel/uprobes.c`). Compilers pad with such prefixes to keep branches off cache
/// lines. The kernel looks at the instruction when a process maps the file, so that attaching succeeds all the same and
/// the probe never fires.
pub(super) fn is_probeable(bytes: &[u8]) -> bool {
    let prefixes = bytes
        .iter()
        .take_while(|byte| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3));
    prefixes
        .into_iter()
        .all(|byte| !matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0xf0))
}

/// The forms of [`is_emulated`] that stand in prologues: they run once per call whatever the flow.
pub(super) fn is_emulated_push_or_nop(bytes: &[u8]) -> bool {
    matches!(bytes, [0x90 | 0x50..=0x57] | [0x41, 0x50..=0x57])
}

/// What the instruction does to the stack pointer.
pub(super) fn stack_effect(instruction: &Instruction, registers: &mut InstructionInfoFactory) -> Stack {
    let by_immediate = instruction.op_count() == 2
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register() == Register::RSP
        && matches!(
            instruction.op1_kind(),
            OpKind::Immediate8to64 | OpKind::Immediate32to64
        );
    match instruction.mnemonic() {
        Mnemonic::Sub if by_immediate => Stack::Moves(immediate(instruction).wrapping_neg()),
        Mnemonic::Add if by_immediate => Stack::Moves(immediate(instruction)),
        Mnemonic::Push | Mnemonic::Pop
            if !is_written(instruction, Register::RSP, registers, Implicit::Ignored) =>
        {
            Stack::Moves(i64::from(instruction.stack_pointer_increment()))
        }
        _ if is_written(instruction, Register::RSP, registers, Implicit::Counted) => Stack::Lost,
        _ => Stack::Moves(0),
    }
}

/// Whether the instruction writes the register or a part of it, conditionally or not.
pub(super) fn writes(
    instruction: &Instruction,
    register: Register,
    registers: &mut InstructionInfoFactory,
) -> bool {
    is_written(instruction, register, registers, Implicit::Counted)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Implicit {
    Counted,
    Ignored,
}

fn is_written(
    instruction: &Instruction,
    register: Register,
    registers: &mut InstructionInfoFactory,
    implicit: Implicit,
) -> bool {
    if implicit == Implicit::Ignored {
        return instruction.op0_kind() == OpKind::Register
            && instruction.op0_register().full_register() == register;
    }
    registers.info(instruction).used_registers().iter().any(|used| {
        used.register().full_register() == register
            && matches!(
                used.access(),
                OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            )
    })
}

#[expect(
    clippy::cast_possible_wrap,
    reason = "the immediate was sign-extended to 64 bits by the decoder"
)]
fn immediate(instruction: &Instruction) -> i64 {
    instruction.immediate(1) as i64
}
