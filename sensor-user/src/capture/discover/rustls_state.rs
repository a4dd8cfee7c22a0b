//! Where two things stand in a connection's state of rustls: what names the connection, and what was received for it.
//!
//! Takes the code that drops a `CommonState`, and that of `Reader::read`; gives places. Never guesses: a place is given
//! only when no copy of the code says otherwise. Bounded by [`LOOKED_AT`] instructions per copy.
//!
//! Fields are dropped in the order of their declaration (Rust reference, "Destructors"). In rustls 0.20 to 0.23 the first
//! that needs it is `record_layer.message_encrypter: Box<dyn MessageEncrypter>`: its address is the connection's own,
//! survives every move, and changes only with the key, at the end of the handshake and at a key update. The first queue
//! of chunks is `received_plaintext`.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use sensor_common::call::{CallKind, CallSpec, NO_ARG};

use super::elf::{Elf, ElfError, Machine, Symbol};
use super::rustls;

/// The first queue is reached within 110 instructions in every build looked at.
const LOOKED_AT: usize = 256;
/// Bytes of them at most; they have five on average.
const CODE_BYTES: u64 = 2048;
/// Instructions between the loads of a queue's four words: 4 to 7 in every build looked at.
const QUEUE_LOADS_WITHIN: usize = 12;

/// Places in the state, in words.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Places {
    /// The key's.
    key: Option<u8>,
    /// The buffer's that `Reader::read` is given.
    received: Option<u8>,
}

impl Places {
    /// Those in a file with these functions.
    pub(super) fn find(elf: &Elf<'_>, functions: &[Symbol]) -> Result<Self, ElfError> {
        let mut places = Self::default();
        if elf.machine() != Machine::X86_64 {
            return Ok(places);
        }
        let mut drops = Vec::new();
        let mut reads = Vec::new();
        for symbol in functions {
            if rustls::is_drop(symbol) {
                drops.push(decode(&elf.code(symbol, CODE_BYTES)?));
            } else if rustls::is_read(symbol) {
                reads.push(decode(&elf.code(symbol, CODE_BYTES)?));
            }
        }
        places.key = agreed(drops.iter().map(|code| words(first_box(code)?)));
        let inside = agreed(reads.iter().map(|code| queue_of_reader(code)));
        if let Some(inside) = inside {
            places.received = only_candidate(&drops, inside).and_then(words);
        }
        Ok(places)
    }

    /// The specification of one of rustls's functions, told the places.
    pub(super) const fn tell(self, spec: CallSpec) -> CallSpec {
        if (spec.kind as u8) < CallKind::RUSTLS || spec.kind as u8 > CallKind::RUSTLS_LAST {
            return spec;
        }
        let out = match self.key {
            Some(key) => key,
            None => spec.out,
        };
        let fd = match (spec.kind, self.received) {
            (CallKind::RustlsRead, Some(received)) => received,
            _ => spec.fd,
        };
        CallSpec { out, fd, ..spec }
    }
}

fn decode(code: &[u8]) -> Vec<Instruction> {
    let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    decoder.into_iter().take(LOOKED_AT).collect()
}

/// What the copies say, if none contradicts another. One that calls the drop code of a part says nothing.
fn agreed<T: PartialEq>(copies: impl Iterator<Item = Option<T>>) -> Option<T> {
    let mut said = copies.flatten();
    let first = said.next()?;
    said.all(|other| other == first).then_some(first)
}

/// Where the first buffer stands, as far as all copies allow; nothing when they leave a choice. A pair of equal drops is
/// of buffers or of the queues inside them, which one copy alone does not tell.
fn only_candidate(drops: &[Vec<Instruction>], inside: u64) -> Option<u64> {
    let candidates = |code: &Vec<Instruction>| -> Vec<u64> {
        match (first_pair(code), first_queue(code)) {
            (Some(pair), _) => [Some(pair), pair.checked_sub(inside)]
                .into_iter()
                .flatten()
                .collect(),
            (None, queue) => queue
                .and_then(|queue| queue.checked_sub(inside))
                .into_iter()
                .collect(),
        }
    };
    let mut sets = drops.iter().map(candidates).filter(|set| !set.is_empty());
    let mut left = sets.next()?;
    for set in sets {
        left.retain(|candidate| set.contains(candidate));
    }
    match left.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

/// A distance in words, when a cookie can carry it.
fn words(distance: u64) -> Option<u8> {
    let words = u8::try_from(distance / 8).ok()?;
    (distance.is_multiple_of(8) && words < NO_ARG).then_some(words)
}

/// `mov data, [rdi+X]; mov vtable, [rdi+X+8]; mov drop, [vtable]`: the two words of a box, and the first of its table.
fn first_box(code: &[Instruction]) -> Option<u64> {
    code.windows(3).find_map(|window| {
        let [data, table, drop] = window else { return None };
        let (_, base, place) = loaded(data)?;
        let (table, base_again, next) = loaded(table)?;
        let (_, from, at) = loaded(drop)?;
        let is_box = base == Register::RDI && base_again == Register::RDI && next == place.checked_add(8)?;
        (is_box && from == table && at == 0).then_some(place)
    })
}

/// `lea rdi, [state+X]; call drop; lea rdi, [state+Y]; call drop`: the first of two that one function drops.
fn first_pair(code: &[Instruction]) -> Option<u64> {
    code.windows(4).find_map(|window| {
        let [first, drop, second, again] = window else {
            return None;
        };
        let is_pair = [first, second].map(Instruction::mnemonic) == [Mnemonic::Lea; 2]
            && [first, second].map(Instruction::op0_register) == [Register::RDI; 2]
            && first.memory_base() == second.memory_base()
            && [drop, again].map(Instruction::flow_control) == [FlowControl::Call; 2]
            && drop.near_branch_target() == again.near_branch_target();
        is_pair.then(|| first.memory_displacement64())
    })
}

/// The first four neighbouring words of the state that are loaded without a call in between: capacity, address, head
/// and length of a `VecDeque`, in whatever order the compiler put them. Boxes have two words, vectors three.
fn first_queue(code: &[Instruction]) -> Option<u64> {
    let mut bases = vec![Register::RDI];
    let mut recent: Vec<(usize, u64)> = Vec::new();
    for (index, instruction) in code.iter().enumerate() {
        if instruction.flow_control() == FlowControl::IndirectCall
            || instruction.flow_control() == FlowControl::Call
        {
            recent.clear();
            bases.retain(|base| *base != Register::RDI);
        }
        if let Some((to, base, displacement)) = loaded(instruction) {
            if bases.contains(&base) {
                recent.push((index, displacement));
            }
            bases.retain(|known| *known != to);
        } else if let Some(copy) = copied(instruction, &bases) {
            bases.push(copy);
        }
        recent.retain(|(seen, _)| index - seen < QUEUE_LOADS_WITHIN);
        let has = |word: u64| recent.iter().any(|(_, displacement)| *displacement == word);
        let starts = recent.iter().map(|(_, start)| *start);
        if let Some(start) = starts
            .filter(|start| has(start + 8) && has(start + 16) && has(start + 24))
            .min()
        {
            return Some(start);
        }
    }
    None
}

/// Where the queue begins inside the buffer that a reader leads to: `mov buffer, [rdi]`, and then its nearest word.
fn queue_of_reader(code: &[Instruction]) -> Option<u64> {
    let (start, buffer) =
        code.iter()
            .enumerate()
            .find_map(|(index, instruction)| match loaded(instruction)? {
                (to, Register::RDI, 0) => Some((index, to)),
                _ => None,
            })?;
    let overwrites = |instruction: &&Instruction| {
        instruction.op0_kind() == OpKind::Register
            && instruction.op0_register().full_register() == buffer
            && !matches!(
                instruction.mnemonic(),
                Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push
            )
    };
    code.get(start + 1..)?
        .iter()
        .take_while(|instruction| !overwrites(instruction))
        .filter(|instruction| {
            instruction.memory_base() == buffer && instruction.memory_index() == Register::None
        })
        .map(Instruction::memory_displacement64)
        .min()
}

/// The register that now also holds the state's address.
fn copied(instruction: &Instruction, bases: &[Register]) -> Option<Register> {
    let is_copy = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && bases.contains(&instruction.op1_register());
    is_copy.then(|| instruction.op0_register())
}

/// Register, base and displacement of `mov register, [base + displacement]`.
fn loaded(instruction: &Instruction) -> Option<(Register, Register, u64)> {
    let is_load = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Memory
        && instruction.memory_index() == Register::None;
    is_load.then(|| {
        (
            instruction.op0_register(),
            instruction.memory_base(),
            instruction.memory_displacement64(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `push rbx; mov rbx, rdi`, then what is given.
    fn after_prologue(rest: &[u8]) -> Vec<u8> {
        let mut code = vec![0x53, 0x48, 0x89, 0xfb];
        code.extend(rest);
        code
    }

    #[test]
    fn the_two_words_of_the_first_box_are_its_place() {
        // mov r15, [rdi+10h]; mov r12, [rdi+18h]; mov rax, [r12]
        let code = after_prologue(&[
            0x4c, 0x8b, 0x7f, 0x10, 0x4c, 0x8b, 0x67, 0x18, 0x49, 0x8b, 0x04, 0x24,
        ]);
        assert_eq!(first_box(&decode(&code)), Some(0x10));
    }

    #[test]
    fn anything_else_names_nothing() {
        // mov r15, [rdi+10h]; mov r12, [rdi+20h]; mov rax, [r12]: not neighbours
        let apart = [
            0x4c, 0x8b, 0x7f, 0x10, 0x4c, 0x8b, 0x67, 0x20, 0x49, 0x8b, 0x04, 0x24,
        ];
        // mov r15, [rdi+10h]; mov r12, [rdi+18h]; mov rax, [r15]: the first word is no table
        let swapped = [0x4c, 0x8b, 0x7f, 0x10, 0x4c, 0x8b, 0x67, 0x18, 0x49, 0x8b, 0x07];
        for rest in [apart.as_slice(), &swapped, &[]] {
            assert_eq!(first_box(&decode(&after_prologue(rest))), None);
        }
    }
}
