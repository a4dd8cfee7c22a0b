//! Which of the two compilers is here. Takes the environment, gives a [`Toolchain`] or what is [`Missing`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// LLVM of Debian 12's `rustc-web` when this was written; asked from the compiler as soon as there is one.
const DEBIAN_LLVM: &str = "22";
/// Version that is known to link the object.
const LINKER_VERSION: &str = "0.13.0";
/// The oldest LLVM that this version of `bpf-linker` has a feature for.
const OLDEST_LLVM: u32 = 21;
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// Where the compiler comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Route {
    /// A rustup toolchain of that name, a nightly with the component `rust-src`.
    Rustup(String),
    /// Debian's packages `rustc-web`, `cargo-web` and `rust-web-src`, with nightly features switched on.
    Debian,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rustup(name) => write!(f, "rustup's {name}"),
            Self::Debian => write!(f, "Debian's {DEBIAN_RUSTC}"),
        }
    }
}

/// A compiler for the kernel object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Toolchain {
    /// Where it comes from.
    pub route: Route,
    /// Its cargo, by full path.
    pub cargo: PathBuf,
    /// Its rustc, by full path.
    pub rustc: PathBuf,
    /// `bpf-linker`, by full path.
    pub linker: PathBuf,
}

/// One thing that is not here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lack {
    /// Neither a nightly with `rust-src` nor Debian's compiler with its source, or one too old to be linked.
    Compiler,
    /// No `bpf-linker` on PATH or in cargo's directory of programs.
    Linker,
}

/// What is not here. Its text ends with the commands that bring it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the kernel object cannot be built: {}\n{}", self.reasons(), commands())]
pub struct Missing {
    /// Each thing, at least one.
    pub lacks: Vec<Lack>,
}

impl Missing {
    fn reasons(&self) -> String {
        let reason = |lack: &Lack| match lack {
            Lack::Compiler => {
                "there is no nightly Rust with rust-src and no Debian rustc-web with rust-web-src that is new enough for bpf-linker"
            }
            Lack::Linker => "there is no bpf-linker on PATH or in cargo's bin directory",
        };
        self.lacks.iter().map(reason).collect::<Vec<_>>().join("; ")
    }
}

/// Looks for both routes; the first wins when both are here.
pub fn find() -> Result<Toolchain, Missing> {
    let compiler = rustup_nightly().or_else(debian);
    match (compiler, linker()) {
        (Some((route, cargo, rustc)), Some(linker)) => Ok(Toolchain {
            route,
            cargo,
            rustc,
            linker,
        }),
        (compiler, linker) => Err(Missing {
            lacks: [
                compiler.is_none().then_some(Lack::Compiler),
                linker.is_none().then_some(Lack::Linker),
            ]
            .into_iter()
            .flatten()
            .collect(),
        }),
    }
}

/// Both sets of commands, ready to be typed.
pub fn commands() -> String {
    let llvm = llvm_of_debian().unwrap_or_else(|| DEBIAN_LLVM.to_owned());
    format!(
        "either, with rustup:\n  \
         rustup toolchain install nightly --component rust-src\n  \
         cargo install bpf-linker\n\
         or, on Debian 12, as root:\n  \
         apt-get install -y --no-install-recommends {}\n  \
         {}\n\
         (`cargo xtask run`, as root, does the second by itself)",
        debian_packages(&llvm).join(" "),
        linker_command(&llvm).join(" "),
    )
}

/// Debian's packages for the second route: compiler, source of `core`, and what `bpf-linker` links.
pub fn debian_packages(llvm: &str) -> Vec<String> {
    [
        "rustc-web",
        "cargo-web",
        "rust-web-src",
        "g++",
        "zlib1g-dev",
        "libzstd-dev",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev")])
    .collect()
}

/// The command line that builds `bpf-linker` against Debian's LLVM, `env` first.
pub fn linker_command(llvm: &str) -> Vec<String> {
    let prefix = format!("LLVM_PREFIX=/usr/lib/llvm-{llvm}");
    let feature = format!("llvm-{llvm}");
    [
        "env",
        &prefix,
        "cargo",
        "install",
        "bpf-linker",
        "--version",
        LINKER_VERSION,
    ]
    .into_iter()
    .chain(["--no-default-features", "--features", &feature])
    .map(str::to_owned)
    .collect()
}

/// LLVM's major version of Debian's compiler, which moves with Debian's updates; none when the linker cannot use it.
pub fn llvm_of_debian() -> Option<String> {
    let major = llvm_major(&output(DEBIAN_RUSTC.as_ref(), &["-vV"])?)?;
    (major >= OLDEST_LLVM).then(|| major.to_string())
}

fn llvm_major(version: &str) -> Option<u32> {
    let line = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.trim().parse().ok()
}

/// A nightly that rustup has already, with `core`'s source. `run` would install a missing one, so the list is asked.
fn rustup_nightly() -> Option<(Route, PathBuf, PathBuf)> {
    let list = output("rustup".as_ref(), &["toolchain", "list"])?;
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| name.starts_with("nightly")).find_map(|name| {
        let sysroot = output("rustup".as_ref(), &["run", name, "rustc", "--print", "sysroot"])?;
        let sysroot = PathBuf::from(sysroot.trim());
        let (cargo, rustc) = (sysroot.join("bin/cargo"), sysroot.join("bin/rustc"));
        (has_core(&sysroot) && cargo.is_file()).then(|| (Route::Rustup(name.to_owned()), cargo, rustc))
    })
}

/// Debian's compiler by its full path: the one on PATH is rustup's on most machines.
fn debian() -> Option<(Route, PathBuf, PathBuf)> {
    llvm_of_debian()?;
    let sysroot = output(DEBIAN_RUSTC.as_ref(), &["--print", "sysroot"])?;
    let cargo = PathBuf::from(DEBIAN_CARGO);
    (has_core(Path::new(sysroot.trim())) && cargo.is_file())
        .then(|| (Route::Debian, cargo, DEBIAN_RUSTC.into()))
}

fn has_core(sysroot: &Path) -> bool {
    sysroot
        .join("lib/rustlib/src/rust/library/core/src/lib.rs")
        .is_file()
}

fn linker() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    on_path
        .unwrap_or_default()
        .into_iter()
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|directory| directory.join("bpf-linker"))
        .find(|path| path.is_file())
}

/// What a program prints, or nothing when it is absent or fails.
fn output(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        // Set by cargo for build scripts; it would answer for the wrong toolchain.
        .env_remove("RUSTUP_TOOLCHAIN")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_llvm_is_read_from_the_compiler() {
        let version = "rustc 1.96.0\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.8\n";
        assert_eq!(llvm_major(version), Some(22));
        assert_eq!(llvm_major("rustc 1.96.0\n"), None);
    }

    #[test]
    fn what_is_missing_is_named_and_both_sets_of_commands_follow() {
        let text = Missing {
            lacks: vec![Lack::Linker],
        }
        .to_string();
        assert!(text.contains("no bpf-linker") && !text.contains("no nightly"));
        assert!(text.contains("rustup toolchain install nightly --component rust-src"));
        assert!(text.contains("apt-get install -y --no-install-recommends rustc-web"));
        assert!(text.contains("cargo install bpf-linker --version 0.13.0"));
    }
}
