//! Observed programs that come from the Python and npm registries, below `target/testbed`.
//!
//! Takes the lists below. Gives directories, or the reason to skip. Installs only when [`install`] is called
//! (`cargo xtask test` does); tests look and never download. Every copy is private to this project by its place.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::programs::Program;

/// Packages for Debian's Python, pinned.
pub const PYTHON: &[&str] = &[
    "uvicorn==0.54.0",
    "aioquic==1.7.2",
    // BoringSSL linked in, with symbols.
    "curl_cffi==0.16.3",
    // s2n-tls linked in, with symbols.
    "awscrt==0.38.1",
];

/// Packages from npm, pinned. Install scripts do not run, so a program is named by the package that holds its binary.
pub const NODE: &[&str] = &["ws@8.23.0"];

/// Where everything is.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/testbed")
}

/// The directory for `PYTHONPATH`.
pub fn python() -> PathBuf {
    directory().join("python")
}

/// The directory for `NODE_PATH`.
pub fn node_modules() -> PathBuf {
    directory().join("node/node_modules")
}

/// Installs what is missing; gives what could not be had, with the reason.
pub fn install() -> Vec<(String, String)> {
    let mut absent = Vec::new();
    for (what, result) in [
        ("Python packages", once(&python(), PYTHON, install_python)),
        (
            "npm packages",
            once(&directory().join("node"), NODE, install_node),
        ),
    ] {
        if let Err(error) = result {
            absent.push((what.to_owned(), format!("{error:#}")));
        }
    }
    absent
}

/// Runs `install` unless a file beside the directory says that exactly these packages are in it.
fn once(into: &Path, packages: &[&str], install: fn(&Path, &[&str]) -> Result<()>) -> Result<()> {
    let list = into.with_extension("installed");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&list).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(into)?;
    // A download may fail for a reason that is gone the next moment.
    install(into, packages).or_else(|_first| install(into, packages))?;
    std::fs::write(&list, wanted).with_context(|| format!("cannot write {}", list.display()))
}

fn install_python(into: &Path, packages: &[&str]) -> Result<()> {
    let mut pip = Command::new(Program::Python.find()?);
    pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"]);
    run(pip.arg(into).args(packages))
}

fn install_node(into: &Path, packages: &[&str]) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--prefix",
    ]);
    run(npm.arg(into).args(packages))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{command:?} failed: {}",
            errors.lines().last().unwrap_or_default()
        );
    }
    Ok(())
}
