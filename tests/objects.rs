//! Is the kernel object for the other architecture there, whole and of the same programs?
//!
//! It cannot be run here: registers and the place of system call arguments differ, so there are two objects and the
//! compiler is what can be asked.
#![expect(clippy::unwrap_used, reason = "tests panic with context")]

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use aya_obj::{Object, ProgramSection};
use sensor_tests::programs;
use sensor_user::capture::load::OBJECT;

/// `e_machine` of BPF (`include/uapi/linux/elf-em.h`), at 18 of a little-endian ELF header.
const EM_BPF: [u8; 2] = 247_u16.to_le_bytes();

/// `BPF_JMP | BPF_CALL` and `BPF_FUNC_tail_call` (`include/uapi/linux/bpf.h`).
const CALL: u8 = 0x85;
const TAIL_CALL: i32 = 12;

fn built_for(arch: &str) -> Option<Vec<u8>> {
    let toolchain = match ebpf_build::find() {
        Ok(toolchain) => toolchain,
        Err(missing) => {
            programs::skipped(arch, &missing);
            return None;
        }
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ebpf");
    // `build` refuses an object without BTF.
    let path = ebpf_build::build(&toolchain, &root.join("sensor-ebpf"), &target, arch, None).unwrap();
    Some(std::fs::read(path).unwrap())
}

fn names(object: &Object) -> (BTreeSet<&str>, BTreeSet<&str>) {
    (
        object.programs.keys().map(String::as_str).collect(),
        object.maps.keys().map(String::as_str).collect(),
    )
}

#[test]
fn the_object_for_aarch64_has_the_programs_and_maps_of_the_one_for_x86_64() {
    let Some(bytes) = built_for("aarch64") else {
        return;
    };
    assert_eq!(bytes.get(18..20), Some(&EM_BPF[..]));
    let (other, own) = (Object::parse(&bytes).unwrap(), Object::parse(OBJECT).unwrap());
    assert!(other.btf.is_some(), "no types");
    assert_eq!(names(&other), names(&own));
    for (name, program) in &other.programs {
        let function = other.functions.get(&program.function_key()).unwrap();
        assert!(!function.instructions.is_empty(), "{name} is empty");
    }
    if cfg!(target_arch = "x86_64") {
        // Registers are read at other offsets: the same bytes would mean that the architecture was not heeded.
        let code = |object: &Object, name: &str| {
            let program = &object.programs[name];
            let function = &object.functions[&program.function_key()];
            function
                .instructions
                .iter()
                .map(|one| (one.code, one.off, one.imm))
                .collect::<Vec<_>>()
        };
        assert_ne!(code(&other, "tls_enter"), code(&own, "tls_enter"));
    }
}

/// What programs that are hit while they are preempted need on Linux 6.13 and later: see the kernel object's
/// `hooks/kernel_stack.rs`. The tail call may stand in a function that the entry point calls.
#[test]
fn every_program_of_a_uprobe_stays_on_the_kernels_stack() {
    let mut object = Object::parse(OBJECT).unwrap();
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_calls(&text).unwrap();
    let mut seen = 0;
    for (name, program) in &object.programs {
        if matches!(
            program.section,
            ProgramSection::UProbe { .. } | ProgramSection::URetProbe { .. }
        ) {
            seen += 1;
            let linked = &object.functions[&program.function_key()].instructions;
            let tail_calls = linked
                .iter()
                .filter(|one| (one.code, one.imm) == (CALL, TAIL_CALL));
            assert!(
                tail_calls.count() > 0,
                "{name} may be given a stack of the processor"
            );
        }
    }
    assert!(seen >= 7, "{seen} programs");
}
