//! Hand-assembled functions, one per rule, and programs made at random that are walked to count what a probe sees.

mod listings;
mod programs;

use super::*;
use listings::{
    ARGUMENT, CLANGGUARD, EARLY, EARLYRET, GUARDED, LOOP, PLAINRET, PROLOGUECHECK, RAXLATER, REALIGN, SWITCH,
    TABLE, TAILJUMP, THUNK, THUNKKEEP, TWOGUARDS,
};

const SSL_READ: ArgumentSet = ArgumentSet(0b11);
const SSL_READ_EX: ArgumentSet = ArgumentSet(0b1011);

/// Reads a listing: offset, bytes, and the instruction for the reader. Offsets are checked.
fn assemble(listing: &str) -> Vec<u8> {
    let mut code = Vec::new();
    for line in listing.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let offset = usize::from_str_radix(words.next().unwrap(), 16).unwrap();
        assert_eq!(offset, code.len(), "{line}");
        let hex = words.next().unwrap();
        code.extend(
            (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()),
        );
    }
    code
}

fn chosen(listing: &str, needs: ArgumentSet, returns: Returns) -> Sites {
    choose(Machine::X86_64, &assemble(listing), needs, returns)
}

/// Memory around a function, as far as it is there.
struct Here(Vec<(i64, Vec<u8>)>);

impl Around for Here {
    fn code(&self, at: i64) -> Option<Vec<u8>> {
        self.0
            .iter()
            .find(|(start, _)| *start == at)
            .map(|(_, code)| code.clone())
    }
    fn numbers(&self, at: i64, count: u64) -> Option<Vec<i32>> {
        let numbers: Vec<i32> = self
            .code(at)?
            .chunks_exact(4)
            .map(|bytes| i32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        (numbers.len() as u64 == count).then_some(numbers)
    }
}

fn followed(listing: &str, around: &[(i64, &str)]) -> ReturnSite {
    let around = around.iter().map(|(at, listing)| (*at, assemble(listing)));
    let around = Here(around.collect());
    choose_among(
        Machine::X86_64,
        &assemble(listing),
        &around,
        SSL_READ,
        Returns::WithoutTrampoline,
    )
    .ret
}

fn framed(ret: &ReturnSite) -> Vec<i64> {
    match ret {
        ReturnSite::Framed(sites) => sites.iter().map(|site| site.offset).collect(),
        other => panic!("expected framed returns, found {other:?}"),
    }
}

/// Offset, stack adjustment and whether it is emulated.
fn place(site: &Site) -> (i64, u32, bool) {
    (site.offset, site.stack_adjust, site.emulated)
}

fn instructions(ret: &ReturnSite) -> Vec<(i64, u32, bool)> {
    match ret {
        ReturnSite::Instructions(sites) => sites.iter().map(place).collect(),
        other => panic!("expected instructions, found {other:?}"),
    }
}

#[test]
fn entry_and_return_share_one_trap_at_a_push_in_front() {
    let sites = chosen(
        "00 4154 push r12\n02 53 push rbx\n03 5b pop rbx\n04 415c pop r12\n06 c3 ret",
        SSL_READ,
        Returns::Cheapest,
    );
    assert_eq!(place(&sites.entry), (0, 0, true));
    assert_eq!(sites.ret, ReturnSite::Trampoline(sites.entry));
    assert_eq!(sites.entry.bytes(), [0x41, 0x54]);
}

/// The front and the end of `s2n_recv` as Amazon builds it, padded with prefixes that the kernel does not probe behind.
const PADDED: &str = "00 2e2e2e2e4154 push r12\n06 2e2e2e2e2e53 push rbx\n0c 4883ec08 sub rsp, 8\n10 4885ff test\n\
    13 7409 je 1e\n15 4883c408 add rsp, 8\n19 5b pop rbx\n1a 415c pop r12\n1c c3 ret\n1d 90 nop\n\
    1e 31c0 xor eax, eax\n20 ebf3 jmp 15";

#[test]
fn what_the_kernel_would_never_trap_at_is_not_chosen() {
    let sites = chosen(PADDED, SSL_READ, Returns::Cheapest);
    assert_eq!(place(&sites.entry), (0x13, 0x18, true));
    assert_eq!(instructions(&sites.ret), [(0x1c, 0, false)]);
    let sites = chosen(PADDED, SSL_READ, Returns::Unwanted);
    assert_eq!(place(&sites.entry), (0x13, 0x18, true));
    // Nothing emulated, and the first instruction is out of the question: the second is stepped.
    let stepped = "00 2e4889d1 mov rcx, rdx\n04 31c0 xor eax, eax\n06 c3 ret";
    let sites = chosen(stepped, SSL_READ, Returns::Cheapest);
    assert_eq!(place(&sites.entry), (4, 0, false));
    assert_eq!(instructions(&sites.ret), [(6, 0, false)]);
    let first = chosen("00 2ec3 ret", SSL_READ, Returns::Cheapest);
    assert_eq!(first.ret, ReturnSite::Impossible);
    let unknown = at_first_byte(Machine::X86_64, &[0x2e], Returns::Cheapest);
    assert_eq!(unknown.ret, ReturnSite::Impossible);
    // The same byte begins another instruction elsewhere.
    let arm = at_first_byte(Machine::Aarch64, &[0x2e, 0, 0, 0x91], Returns::Cheapest);
    assert!(matches!(arm.ret, ReturnSite::Trampoline(_)));
}

#[test]
fn endbr64_is_stepped_over() {
    let sites = chosen(
        "00 f30f1efa endbr64\n04 55 push rbp\n05 5d pop rbp\n06 c3 ret",
        SSL_READ,
        Returns::Cheapest,
    );
    assert_eq!(place(&sites.entry), (4, 0, true));
    assert_eq!(sites.ret, ReturnSite::Trampoline(sites.entry));
}

#[test]
fn the_stack_protector_gives_a_return_site_and_the_argument_check_an_entry() {
    let sites = chosen(GUARDED, SSL_READ, Returns::Cheapest);
    assert_eq!(place(&sites.entry), (0x16, 0x18, true));
    assert_eq!(instructions(&sites.ret), [(0x31, 0x18, true)]);
    let sites = chosen(CLANGGUARD, SSL_READ, Returns::Cheapest);
    assert_eq!(instructions(&sites.ret), [(0x29, 0x18, true)]);
}

#[test]
fn each_of_two_epilogues_has_its_own_guard() {
    let sites = chosen(TWOGUARDS, SSL_READ, Returns::Cheapest);
    assert_eq!(instructions(&sites.ret), [(0x27, 8, true), (0x40, 8, true)]);
}

#[test]
fn a_return_that_bypasses_the_guard_makes_it_useless() {
    let sites = chosen(EARLYRET, SSL_READ, Returns::Cheapest);
    assert_eq!(place(&sites.entry), (0, 0, false));
    assert_eq!(sites.ret, ReturnSite::Trampoline(sites.entry));
}

#[test]
fn a_tail_jump_leaves_only_the_trampoline() {
    let sites = chosen(TAILJUMP, SSL_READ, Returns::Cheapest);
    assert_eq!(sites.ret, ReturnSite::Trampoline(sites.entry));
    assert_eq!(
        chosen(TAILJUMP, SSL_READ, Returns::WithoutTrampoline).ret,
        ReturnSite::Impossible
    );
}

#[test]
fn a_tail_jump_is_followed_to_the_returns_of_the_other_function() {
    // `jmp elsewhere` of TAILJUMP leads to 0x300; that function returns, or goes on in front of the first.
    let there = "00 85ff test edi,edi\n02 7401 je 5\n04 c3 ret\n05 e9f6fcffff jmp 0";
    let before = "00 31c0 xor eax,eax\n02 f3c3 repz ret";
    let found = followed(TAILJUMP, &[(0x300, there), (0, TAILJUMP)]);
    assert_eq!(framed(&found), [0x1c, 0x304]);
    let there = there.replace("e9f6fcffff", "e9f6fbffff");
    let found = followed(TAILJUMP, &[(0x300, &there), (-0x100, before)]);
    assert_eq!(framed(&found), [-0xfe, 0x1c, 0x304]);
    // One that leads where nothing can be read, or through a pointer.
    assert_eq!(followed(TAILJUMP, &[(0x300, &there)]), ReturnSite::Impossible);
    let through = "00 ff6010 jmp [rax+0x10]";
    assert_eq!(followed(TAILJUMP, &[(0x300, through)]), ReturnSite::Impossible);
    // Return probes are as they were.
    let sites = chosen(TAILJUMP, SSL_READ, Returns::Cheapest);
    assert!(matches!(sites.ret, ReturnSite::Trampoline(_)));
}

#[test]
fn a_switch_is_followed_through_its_table_and_no_further() {
    let table = "00 e8feffff 18\n04 ebfeffff 1b\n08 e8feffff 18";
    assert_eq!(framed(&followed(TABLE, &[(0x130, table)])), [0x1a, 0x1d]);
    // A target outside of the function, one inside an instruction, no bound, another register, no table.
    for wrong in [
        table.replace("04 ebfeffff", "04 ebff0000"),
        table.replace("04 ebfeffff", "04 e9feffff"),
    ] {
        assert_eq!(followed(TABLE, &[(0x130, &wrong)]), ReturnSite::Impossible);
    }
    for (from, to) in [
        ("83fe02", "85f690"),
        ("7715", "7615"),
        ("4801d0", "4801d8"),
        ("ffe0", "ffe1"),
    ] {
        let other = TABLE.replace(from, to);
        assert_eq!(
            followed(&other, &[(0x130, table)]),
            ReturnSite::Impossible,
            "{from}"
        );
    }
    assert_eq!(followed(TABLE, &[]), ReturnSite::Impossible);
}

#[test]
fn a_result_set_after_the_guard_is_not_read_at_the_guard() {
    let sites = chosen(RAXLATER, SSL_READ, Returns::Cheapest);
    assert_eq!(sites.ret, ReturnSite::Trampoline(sites.entry));
    let sites = chosen(RAXLATER, SSL_READ, Returns::WithoutTrampoline);
    assert_eq!(instructions(&sites.ret), [(0x1e, 0, false)]);
}

#[test]
fn an_argument_check_behind_the_loading_of_the_canary_is_no_guard() {
    let sites = chosen(PROLOGUECHECK, SSL_READ, Returns::Cheapest);
    assert!(matches!(sites.ret, ReturnSite::Trampoline(_)), "{sites:?}");
}

#[test]
fn without_anything_emulated_both_probes_stand_on_the_first_byte() {
    let sites = chosen(PLAINRET, SSL_READ_EX, Returns::Cheapest);
    assert_eq!(place(&sites.entry), (0, 0, false));
    assert_eq!(sites.ret, ReturnSite::Trampoline(sites.entry));
    assert_eq!(sites.entry.bytes(), [0x48, 0x83, 0xec, 0x08]);
}

#[test]
fn without_a_trampoline_the_return_instructions_are_probed() {
    let sites = chosen(PLAINRET, SSL_READ_EX, Returns::WithoutTrampoline);
    assert_eq!(instructions(&sites.ret), [(0x14, 0, false)]);
    let sites = chosen(EARLYRET, SSL_READ, Returns::WithoutTrampoline);
    assert_eq!(place(&sites.entry), (6, 0x18, true));
    assert_eq!(instructions(&sites.ret), [(0x1c, 0, false), (0x21, 0, false)]);
}

#[test]
fn a_thunk_is_probed_at_its_jump_unless_an_argument_is_gone() {
    let sites = chosen(THUNKKEEP, SSL_READ_EX, Returns::Cheapest);
    assert_eq!(place(&sites.entry), (3, 0, true));
    assert_eq!(sites.ret, ReturnSite::Trampoline(sites.entry));
    let sites = chosen(THUNK, SSL_READ_EX, Returns::Cheapest);
    assert_eq!(place(&sites.entry), (0, 0, false));
}

#[test]
fn an_overwritten_argument_matters_only_when_it_is_needed() {
    assert_eq!(chosen(ARGUMENT, SSL_READ, Returns::Unwanted).entry.offset, 0);
    let handle_only = ArgumentSet::default().with(0);
    assert_eq!(
        place(&chosen(ARGUMENT, handle_only, Returns::Unwanted).entry),
        (0xb, 8, true)
    );
}

#[test]
fn an_instruction_that_a_loop_returns_to_would_see_a_call_twice() {
    assert_eq!(chosen(LOOP, SSL_READ, Returns::Unwanted).entry.offset, 0);
}

#[test]
fn a_jump_to_nowhere_known_forbids_all_but_prologues() {
    assert_eq!(chosen(SWITCH, SSL_READ, Returns::Unwanted).entry.offset, 0);
    let sites = chosen("00 53 push rbx\n01 ffe0 jmp rax", SSL_READ, Returns::Unwanted);
    assert_eq!(place(&sites.entry), (0, 0, true));
}

#[test]
fn a_branch_in_front_of_the_prologue_is_where_the_stack_has_not_moved() {
    let sites = chosen(EARLY, SSL_READ, Returns::Cheapest);
    assert_eq!(place(&sites.entry), (3, 0, true));
    assert_eq!(sites.ret, ReturnSite::Trampoline(sites.entry));
}

#[test]
fn a_realigned_stack_ends_the_search() {
    assert_eq!(chosen(REALIGN, SSL_READ, Returns::Unwanted).entry.offset, 0);
}

#[test]
fn a_code_that_does_not_decode_is_probed_at_its_first_byte() {
    // The last instruction is cut short.
    let sites = chosen("00 90 nop\n01 4883ec sub (cut)", SSL_READ, Returns::Cheapest);
    assert_eq!(place(&sites.entry), (0, 0, true));
    let sites = choose(Machine::X86_64, &[], SSL_READ, Returns::Cheapest);
    assert_eq!(
        (place(&sites.entry), sites.entry.bytes()),
        ((0, 0, false), &[][..])
    );
}

#[test]
fn aarch64_is_probed_at_its_first_instruction() {
    let code = [0x3f, 0x23, 0x03, 0xd5, 0xc0, 0x03, 0x5f, 0xd6];
    let sites = choose(Machine::Aarch64, &code, SSL_READ, Returns::Cheapest);
    assert_eq!(place(&sites.entry), (0, 0, false));
    assert_eq!(sites.entry.bytes(), &code[..4]);
    assert_eq!(sites.ret, ReturnSite::Trampoline(sites.entry));
}

#[test]
fn a_specification_names_the_arguments_it_needs() {
    use crate::capture::discover::stacks::{STACKS, Stack};
    let functions = || STACKS.iter().flat_map(Stack::functions);
    let needs = |symbol: &str| {
        let function = functions().find(|function| function.symbol == symbol).unwrap();
        ArgumentSet::of(function.spec)
    };
    assert_eq!(needs("SSL_read"), SSL_READ);
    assert_eq!(needs("SSL_read_ex"), SSL_READ_EX);
    assert_eq!(needs("SSL_set_fd"), ArgumentSet(0b11));
    assert_eq!(needs("SSL_free"), ArgumentSet(1));
}
