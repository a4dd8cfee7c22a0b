//! libFuzzer on one of the targets of `targets.rs`, which `TARGET` names; the same that `fuzz_smoke` runs.
//!
//! Without cargo-fuzz, from this directory:
//! `RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
//! -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1"
//! cargo build --release --target x86_64-unknown-linux-gnu`, then `TARGET=json target/*/release/any CORPUS_DIR`.
//! With `SEEDS=DIR` it writes the target's seeds there first: name the same directory as a second corpus.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

#[path = "seeds.rs"]
mod seeds;
#[path = "targets.rs"]
mod targets;

static RUN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("TARGET").unwrap_or_default();
    let known = targets::TARGETS.iter().find(|(name, _)| *name == wanted);
    known
        .unwrap_or_else(|| panic!("TARGET names none of the targets of targets.rs"))
        .1
});

libfuzzer_sys::fuzz_target!(
    init: write_seeds(),
    |input: &[u8]| RUN(input)
);

fn write_seeds() {
    let (Ok(target), Some(folder)) = (std::env::var("TARGET"), std::env::var_os("SEEDS")) else {
        return;
    };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (number, seed) in seeds::of(&target, &tests).iter().enumerate() {
        std::fs::write(Path::new(&folder).join(format!("{number}")), seed)
            .expect("SEEDS is a writable folder");
    }
}
