//! Random programs of a small machine language, and random walks through them. The walk knows nothing of how sites
//! are chosen: it only counts which instructions run.

use proptest::prelude::*;

use super::super::*;
use super::SSL_READ;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Op {
    Push,
    Nop,
    LowerStack,
    RaiseStack,
    ClobberRdi,
    ClobberRsi,
    SetResult,
    Test,
    CompareCanary,
    Call,
    Trap,
    Return,
    JumpRegister,
    JumpOut,
    Js(usize),
    Jne(usize),
    Jump(usize),
}

impl Op {
    fn template(self) -> &'static [u8] {
        match self {
            Self::Push => &[0x41, 0x55],
            Self::Nop => &[0x90],
            Self::LowerStack => &[0x48, 0x83, 0xec, 0x08],
            Self::RaiseStack => &[0x48, 0x83, 0xc4, 0x08],
            Self::ClobberRdi => &[0x31, 0xff],
            Self::ClobberRsi => &[0x40, 0xb6, 0x01],
            Self::SetResult => &[0xb8, 1, 0, 0, 0],
            Self::Test => &[0x85, 0xd2],
            Self::CompareCanary => &[0x64, 0x48, 0x2b, 0x14, 0x25, 0x28, 0, 0, 0],
            Self::Call => &[0xe8, 0, 0, 0, 0],
            Self::Trap => &[0x0f, 0x0b],
            Self::Return => &[0xc3],
            Self::JumpRegister => &[0xff, 0xe0],
            Self::JumpOut => &[0xe9, 0, 0, 1, 0],
            Self::Js(_) => &[0x0f, 0x88, 0, 0, 0, 0],
            Self::Jne(_) => &[0x0f, 0x85, 0, 0, 0, 0],
            Self::Jump(_) => &[0xe9, 0, 0, 0, 0],
        }
    }

    fn target(self) -> Option<usize> {
        match self {
            Self::Js(target) | Self::Jne(target) | Self::Jump(target) => Some(target),
            _ => None,
        }
    }
}

/// Code, and the offset of each operation.
fn encode(program: &[Op]) -> (Vec<u8>, Vec<usize>) {
    let mut offsets = Vec::new();
    let mut code = Vec::new();
    for op in program {
        offsets.push(code.len());
        code.extend_from_slice(op.template());
    }
    for (op, start) in program.iter().zip(&offsets) {
        if let Some(target) = op.target() {
            let end = start + op.template().len();
            let distance = i32::try_from(offsets[target]).unwrap() - i32::try_from(end).unwrap();
            code[end - 4..end].copy_from_slice(&distance.to_le_bytes());
        }
    }
    (code, offsets)
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let target = 0..24_usize;
    let op = prop_oneof![
        2 => Just(Op::Push), 2 => Just(Op::Nop), 4 => Just(Op::LowerStack), 2 => Just(Op::RaiseStack),
        1 => Just(Op::ClobberRdi), 1 => Just(Op::ClobberRsi), 2 => Just(Op::SetResult), 4 => Just(Op::Test),
        2 => Just(Op::CompareCanary), 2 => Just(Op::Call), 1 => Just(Op::Trap), 3 => Just(Op::Return),
        1 => Just(Op::JumpRegister), 1 => Just(Op::JumpOut),
        2 => target.clone().prop_map(Op::Js), 2 => target.clone().prop_map(Op::Jne), 1 => target.prop_map(Op::Jump),
    ];
    // An epilogue as compilers write it, so that guards are not a matter of luck.
    let epilogue = (0..24_usize).prop_map(|target| {
        vec![
            Op::CompareCanary,
            Op::Jne(target),
            Op::RaiseStack,
            Op::Return,
            Op::Call,
        ]
    });
    let part = prop_oneof![6 => op.prop_map(|op| vec![op]), 1 => epilogue];
    prop::collection::vec(part, 1..14).prop_map(|parts| {
        let mut program: Vec<Op> = parts.concat();
        let length = program.len();
        for op in &mut program {
            if let Op::Js(target) | Op::Jne(target) | Op::Jump(target) = op {
                *target %= length;
            }
        }
        program
    })
}

#[derive(Default)]
struct Walk {
    path: Vec<usize>,
    returned: bool,
}

/// Follows the program; each branch takes the next decision.
fn walk(program: &[Op], decisions: &[bool]) -> Walk {
    let mut walk = Walk::default();
    let mut decisions = decisions.iter();
    let mut at = 0;
    while at < program.len() && walk.path.len() < 200 {
        walk.path.push(at);
        at = match program[at] {
            Op::Return => {
                walk.returned = true;
                break;
            }
            Op::Trap | Op::JumpRegister | Op::JumpOut => break,
            Op::Jump(target) => target,
            Op::Js(target) | Op::Jne(target) => match decisions.next() {
                // A canary that differs ends the program at the call that follows.
                Some(true) if is_smashed(program, at, target) => break,
                Some(true) => target,
                Some(false) => at + 1,
                None => break,
            },
            _ => at + 1,
        };
    }
    walk
}

fn is_smashed(program: &[Op], at: usize, target: usize) -> bool {
    matches!(program[at], Op::Jne(_))
        && at > 0
        && program[at - 1] == Op::CompareCanary
        && program[target] == Op::Call
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_call_passes_the_entry_once_and_each_return_one_return_site(
        program in ops(),
        decisions in prop::collection::vec(any::<bool>(), 12),
        trampoline in any::<bool>(),
    ) {
        let (code, offsets) = encode(&program);
        let returns = if trampoline { Returns::Cheapest } else { Returns::WithoutTrampoline };
        let sites = choose(Machine::X86_64, &code, SSL_READ, returns);
        let index = |site: &Site| offsets.iter().position(|offset| usize::try_from(site.offset) == Ok(*offset));

        let entry = index(&sites.entry);
        prop_assert!(entry.is_some(), "the entry is not at an instruction");
        let entry = entry.unwrap();
        let walked = walk(&program, &decisions);
        let path = &walked.path;
        if entry > 0 {
            let passes = path.iter().filter(|at| **at == entry).count();
            prop_assert_eq!(passes, 1, "entry passed {} times", passes);
        }
        let lowered = |upto: &[usize]| upto.iter().map(|at| match program[*at] {
            Op::Push | Op::LowerStack => 8,
            Op::RaiseStack => -8,
            _ => 0,
        }).sum::<i64>();
        let before: Vec<usize> = (0..entry).collect();
        prop_assert!(before.iter().all(|at| !matches!(program[*at], Op::ClobberRdi | Op::ClobberRsi | Op::Call)));
        prop_assert_eq!(lowered(&before), i64::from(sites.entry.stack_adjust));

        match &sites.ret {
            ReturnSite::Trampoline(site) => {
                prop_assert_eq!(index(site), Some(entry));
                prop_assert!(before.iter().all(|at| !matches!(program[*at], Op::Push | Op::LowerStack | Op::RaiseStack)));
            }
            ReturnSite::Instructions(sites) | ReturnSite::Framed(sites) if walked.returned => {
                let sites: Vec<usize> = sites.iter().map(|site| index(site).unwrap()).collect();
                let passes: Vec<usize> = (0..path.len()).filter(|step| sites.contains(&path[*step])).collect();
                prop_assert_eq!(passes.len(), 1, "returned past {:?} of {:?}", &passes, &sites);
                let after = &path[passes[0]..];
                prop_assert!(after.iter().all(|at| !matches!(program[*at], Op::SetResult | Op::Call)));
            }
            ReturnSite::Instructions(sites) | ReturnSite::Framed(sites) => {
                // A path that does not return (it traps, or has not ended) must not report a return.
                let passed = sites.iter().filter(|site| path.contains(&index(site).unwrap()));
                let unfinished = path.last().is_some_and(|at| program[*at] == Op::CompareCanary || program[*at].target().is_some());
                prop_assert!(unfinished || passed.count() == 0);
            }
            ReturnSite::None | ReturnSite::Impossible => prop_assert!(!trampoline),
        }
    }

    #[test]
    fn any_bytes_are_survived(code in prop::collection::vec(any::<u8>(), 0..80)) {
        for returns in [Returns::Unwanted, Returns::Cheapest, Returns::WithoutTrampoline] {
            let sites = choose(Machine::X86_64, &code, SSL_READ, returns);
            let start = usize::try_from(sites.entry.offset).unwrap();
            prop_assert_eq!(code.get(start..start + sites.entry.bytes().len()), Some(sites.entry.bytes()));
        }
    }
}

#[test]
fn the_programs_reach_every_kind_of_choice() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut moved, mut guarded, mut trampolines) = (0, 0, 0);
    for _ in 0..3000 {
        let program = ops().new_tree(&mut runner).unwrap().current();
        let sites = choose(Machine::X86_64, &encode(&program).0, SSL_READ, Returns::Cheapest);
        moved += usize::from(sites.entry.offset > 0);
        guarded += usize::from(matches!(sites.ret, ReturnSite::Instructions(_)));
        trampolines += usize::from(matches!(sites.ret, ReturnSite::Trampoline(_)));
    }
    assert!(
        moved > 100 && guarded > 10 && trampolines > 100,
        "{moved} {guarded} {trampolines}"
    );
}
