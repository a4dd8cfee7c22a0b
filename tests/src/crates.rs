//! Sources of crates whose own test data is a suite here, as cargo keeps them.
//!
//! Takes the list below. Gives directories, or the reason to skip. Fetches only when [`install`] is called
//! (`cargo xtask conformance` does); tests look and never download. What is kept below `target/testbed` is a manifest that
//! names each crate, pinned, and where cargo put it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::testbed;

/// Crates, pinned: a suite's number of cases is that of its version.
pub const CRATES: &[(&str, &str)] = &[
    ("apollo-parser", "0.8.7"),
    ("async-graphql-parser", "7.2.1"),
    ("graphql-parser", "0.4.1"),
];

/// The directory of a crate's source.
pub fn source(name: &str) -> Result<PathBuf> {
    let note = place(name)?.join("source");
    let path = std::fs::read_to_string(&note).unwrap_or_default();
    let directory = PathBuf::from(path.trim());
    if path.is_empty() || !directory.is_dir() {
        bail!("no source of crate {name}; cargo xtask conformance fetches it");
    }
    Ok(directory)
}

/// Fetches what is missing; gives what could not be had, with the reason.
pub fn install() -> Vec<(String, String)> {
    let missing = CRATES.iter().filter(|(name, _)| source(name).is_err());
    missing
        .filter_map(|(name, version)| {
            let error = fetch(name, version).err()?;
            Some((format!("crate {name}"), format!("{error:#}")))
        })
        .collect()
}

fn place(name: &str) -> Result<PathBuf> {
    let version = CRATES.iter().find(|(known, _)| *known == name);
    let (_, version) = version.with_context(|| format!("crate {name} is not in the list"))?;
    Ok(testbed::directory()
        .join("crates")
        .join(format!("{name}-{version}")))
}

/// A package that depends on nothing else makes cargo fetch, and say where.
fn fetch(name: &str, version: &str) -> Result<()> {
    let package = place(name)?;
    std::fs::create_dir_all(&package)?;
    let manifest = format!(
        "[package]\nname = \"fetch\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[dependencies]\n{name} = \"={version}\"\n[workspace]\n"
    );
    std::fs::write(package.join("Cargo.toml"), manifest)?;
    std::fs::write(package.join("lib.rs"), "")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--format-version", "1", "--quiet"]);
    let output = cargo
        .current_dir(&package)
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("cargo: {}", errors.lines().last().unwrap_or_default());
    }
    let text = String::from_utf8(output.stdout)?;
    let directory = directory_in(&text, name).context("cargo does not say where it is")?;
    std::fs::write(package.join("source"), directory.as_os_str().as_encoded_bytes())?;
    Ok(())
}

/// The directory of the manifest that `cargo metadata` gives for a package.
fn directory_in(metadata: &str, name: &str) -> Option<PathBuf> {
    let mark = format!("/{name}-");
    let manifests = metadata.split("\"manifest_path\":\"").skip(1);
    let paths = manifests.filter_map(|rest| Some(Path::new(rest.split('"').next()?)));
    let mut directories = paths.filter_map(Path::parent);
    directories
        .find(|directory| {
            let path = directory.to_string_lossy();
            path.rsplit_once(&mark).is_some_and(|(_, version)| {
                version.starts_with(|first: char| first.is_ascii_digit()) && !version.contains('/')
            }) && directory.join("src").is_dir()
                && !path.contains("/testbed/")
        })
        .map(Path::to_path_buf)
}
