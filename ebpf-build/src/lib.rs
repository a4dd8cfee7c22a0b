//! Finds a compiler for the kernel object and runs it.
//!
//! Takes the directory of the kernel crate and a target directory. Gives the path of an object that has `.BTF`.
//! Never installs or downloads. Bounded by two routes: a rustup nightly with `rust-src`, or Debian's own Rust.

mod elf;
mod find;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

pub use find::{
    Lack, Missing, Route, Toolchain, commands, debian_packages, find, linker_command, llvm_of_debian,
};

/// Target of the kernel object: little-endian BPF, as on `x86_64` and `aarch64`.
const TARGET: &str = "bpfel-unknown-none";

/// What cargo or a wrapper sets for build scripts and what would change the inner build: the first, set to nothing,
/// overrides `RUSTFLAGS`, and the object then has no `.BTF`.
const INHERITED: [&str; 9] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTUP_TOOLCHAIN",
    "RUSTDOC",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_RUSTFLAGS",
    "CLIPPY_ARGS",
];

/// Why there is no object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The compiler did not start.
    #[error("cannot start {}", program.display())]
    Start {
        /// What was started.
        program: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The compiler reported errors, which it printed itself.
    #[error("building the kernel object by {route} failed ({status}); its messages are above")]
    Compile {
        /// Which compiler.
        route: Route,
        /// How it ended.
        status: ExitStatus,
    },
    /// The object is not where the build should have put it, or cannot be read.
    #[error("cannot read the kernel object {}", path.display())]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The object would load without types: map and program names, globals and spin locks need them.
    #[error("{} has no .BTF section: it was not linked by `bpf-linker --btf` with `debuginfo=2`", path.display())]
    NoBtf {
        /// The object.
        path: PathBuf,
    },
}

/// Builds the kernel object in `ebpf_dir` for the machine architecture `arch` (`x86_64`, `aarch64`) and gives its
/// path below `target_dir`. Release for every profile of the caller: the verifier refuses unoptimised code. `feature`
/// is one of the kernel crate's own, built into a directory of its own.
pub fn build(
    toolchain: &Toolchain,
    ebpf_dir: &Path,
    target_dir: &Path,
    arch: &str,
    feature: Option<&str>,
) -> Result<PathBuf, Error> {
    let target_dir = match feature {
        Some(feature) => target_dir.join(format!("{arch}-{feature}")),
        None => target_dir.join(arch),
    };
    let mut cargo = cargo(toolchain, ebpf_dir, &target_dir, arch);
    cargo.arg("build").args(arguments());
    if let Some(feature) = feature {
        cargo.args(["--features", feature]);
    }
    run(toolchain, cargo)?;
    let object = target_dir.join(TARGET).join("release").join("sensor");
    check(&object)?;
    Ok(object)
}

/// Runs clippy over the kernel crate. Only the Debian route has a clippy that belongs to its compiler.
pub fn clippy(toolchain: &Toolchain, ebpf_dir: &Path, target_dir: &Path, arch: &str) -> Result<(), Error> {
    let driver = toolchain.cargo.with_file_name("cargo-clippy");
    let mut clippy = environment(
        Command::new(driver),
        toolchain,
        ebpf_dir,
        &target_dir.join(arch),
        arch,
    );
    clippy.env("CARGO", &toolchain.cargo);
    clippy
        .arg("clippy")
        .args(arguments())
        .args(["--", "-D", "warnings"]);
    run(toolchain, clippy)
}

/// Whether [`clippy`] can run.
pub fn has_clippy(toolchain: &Toolchain) -> bool {
    toolchain.cargo.with_file_name("cargo-clippy").is_file()
        && toolchain.cargo.with_file_name("clippy-driver").is_file()
}

/// Refuses an object without types.
pub fn check(object: &Path) -> Result<(), Error> {
    let bytes = std::fs::read(object).map_err(|source| Error::Unreadable {
        path: object.to_owned(),
        source,
    })?;
    if elf::has_section(&bytes, ".BTF") {
        Ok(())
    } else {
        Err(Error::NoBtf {
            path: object.to_owned(),
        })
    }
}

fn arguments() -> [&'static str; 5] {
    ["--release", "--target", TARGET, "-Z", "build-std=core"]
}

fn cargo(toolchain: &Toolchain, ebpf_dir: &Path, target_dir: &Path, arch: &str) -> Command {
    environment(
        Command::new(&toolchain.cargo),
        toolchain,
        ebpf_dir,
        target_dir,
        arch,
    )
}

fn environment(
    mut command: Command,
    toolchain: &Toolchain,
    ebpf_dir: &Path,
    target_dir: &Path,
    arch: &str,
) -> Command {
    for name in INHERITED {
        command.env_remove(name);
    }
    let flags = [
        "-C".to_owned(),
        format!("linker={}", toolchain.linker.display()),
        "-C".to_owned(),
        "link-arg=--btf".to_owned(),
        "-C".to_owned(),
        "debuginfo=2".to_owned(),
        "--cfg".to_owned(),
        format!("bpf_target_arch=\"{arch}\""),
    ];
    // The encoded form of RUSTFLAGS, so that a path may hold spaces.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    command.env("RUSTC", &toolchain.rustc);
    if toolchain.route == Route::Debian {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    command.env("CARGO_TARGET_DIR", target_dir);
    command.current_dir(ebpf_dir);
    command
}

fn run(toolchain: &Toolchain, mut command: Command) -> Result<(), Error> {
    let status = command.status().map_err(|source| Error::Start {
        program: command.get_program().into(),
        source,
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Compile {
            route: toolchain.route.clone(),
            status,
        })
    }
}
