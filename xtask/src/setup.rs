//! What building and testing need: found, or as root installed after saying what, or named with the commands.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use anyhow::{Result, bail};
use ebpf_build::{Lack, Missing, Toolchain};
use sensor_tests::programs::{self, Absent, Program};
use sensor_tests::testbed;

use crate::shell;

/// Makes sure that the kernel object can be built and says by which route.
pub(crate) fn toolchain() -> Result<Toolchain> {
    let found = match ebpf_build::find() {
        Ok(found) => found,
        Err(missing) if shell::is_root() && has_apt() => {
            install_toolchain(&missing)?;
            ebpf_build::find()?
        }
        Err(missing) => bail!(missing),
    };
    println!(
        "kernel object: built by {}, linked by {}",
        found.route,
        found.linker.display()
    );
    Ok(found)
}

/// A release build of the sensor, unless another one is given.
pub(crate) fn sensor(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    toolchain()?;
    shell::build_sensor()
}

/// Makes sure that the programs of the live tests are here; gives what is not, with the reason.
pub(crate) fn test_programs() -> Vec<(String, String)> {
    let mut absent = debian_programs();
    absent.extend(testbed::install());
    absent
}

/// What `cargo xtask vm` needs: a program of each package, and the package.
const EMULATOR: [(&str, &str); 4] = [
    ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"),
    ("/bin/busybox", "busybox-static"),
    ("/usr/bin/cpio", "cpio"),
    ("/usr/bin/strip", "binutils"),
];

/// Makes sure of programs (each with its package), or says what does not work without them.
pub(crate) fn packages(needed: &[(&str, &str)], otherwise: &str) -> Result<()> {
    let missing = needed.iter().filter(|(path, _)| !Path::new(path).exists());
    let packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    if !shell::is_root() || !has_apt() {
        bail!("{otherwise}; as root: {}", shell::line(&apt(&packages)));
    }
    apt_install(&packages)
}

/// Makes sure that packages can be judged, where that is possible; whoever asks lintian says that it is absent.
pub(crate) fn lintian() {
    if Path::new("/usr/bin/lintian").is_file() || !shell::is_root() || !has_apt() {
        return;
    }
    if let Err(error) = apt_install(&["lintian"]) {
        println!("{error:#}");
    }
}

/// Makes sure that other kernels can be booted, with these programs in their guests.
pub(crate) fn emulator(programs: &[Program]) -> Result<()> {
    let absent = programs.iter().filter_map(|program| program.find().err());
    // A path that is not there stands for a program that was not found.
    let absent = absent.map(|absent| ("", absent.0.package()));
    let needed: Vec<(&str, &str)> = EMULATOR.into_iter().chain(absent).collect();
    packages(&needed, "other kernels cannot be booted")
}

fn debian_programs() -> Vec<(String, String)> {
    let absent: Vec<Absent> = Program::ALL
        .iter()
        .filter_map(|program| program.find().err())
        .collect();
    let mut packages: Vec<&str> = absent.iter().map(|absent| absent.0.package()).collect();
    packages.extend(programs::missing_packages());
    if packages.is_empty() {
        return Vec::new();
    }
    let reason = if shell::is_root() && has_apt() {
        match apt_install(&packages) {
            Ok(()) => return Vec::new(),
            Err(error) => format!("{error:#}"),
        }
    } else {
        format!("not installed; as root: {}", shell::line(&apt(&packages)))
    };
    packages
        .iter()
        .map(|package| ((*package).to_owned(), reason.clone()))
        .collect()
}

fn install_toolchain(missing: &Missing) -> Result<()> {
    let mut llvm = ebpf_build::llvm_of_debian();
    if missing.lacks.contains(&Lack::Compiler) {
        apt_install(&["rustc-web", "cargo-web", "rust-web-src"])?;
        // The packages of LLVM must be those of the compiler that came just now.
        llvm = ebpf_build::llvm_of_debian();
        if llvm.is_none() {
            ebpf_build::find()?;
        }
    }
    if missing.lacks.contains(&Lack::Linker) {
        let Some(llvm) = llvm else {
            // Another distribution's compiler or rustup's nightly is here, so bpf-linker brings its own LLVM.
            return with_retry(&mut install("cargo", &["install", "bpf-linker"]));
        };
        let packages = ebpf_build::debian_packages(&llvm);
        apt_install(&packages.iter().map(String::as_str).collect::<Vec<_>>())?;
        let words = ebpf_build::linker_command(&llvm);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        if let [program, arguments @ ..] = words.as_slice() {
            with_retry(&mut install(program, arguments))?;
        }
    }
    Ok(())
}

fn has_apt() -> bool {
    Path::new("/usr/bin/apt-get").is_file()
}

fn apt(packages: &[&str]) -> Command {
    let mut apt = install("apt-get", &["install", "-y", "--no-install-recommends"]);
    // A server that is installed for tests must not start as a service: `invoke-rc.d` heeds the run level.
    apt.args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    apt
}

/// Installs packages, the first time from fresh lists: a new machine has none, or old ones that lead to packages which
/// are too old or gone.
fn apt_install(packages: &[&str]) -> Result<()> {
    static LISTS: Once = Once::new();
    LISTS.call_once(|| {
        if let Err(error) = with_retry(&mut install("apt-get", &["update"])) {
            println!("{error:#}; going on with the package lists that are here");
        }
    });
    with_retry(&mut apt(packages))
}

fn install(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/");
    command
}

/// A download may fail for a reason that is gone the next moment.
fn with_retry(command: &mut Command) -> Result<()> {
    println!("installing: {}", shell::line(command));
    shell::run(command).or_else(|error| {
        println!("{error:#}; trying once more");
        shell::run(command)
    })
}
