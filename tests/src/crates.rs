//! Sources of crates, for the test data inside them; never built.
//!
//! Takes a name and a version. Gives the directory that cargo unpacked it to. Never asks for anything but that crate and
//! what it depends on. Bounded by one manifest a crate below `target/testbed`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::testbed;

/// The sources of a crate, fetched by cargo when they are not there yet.
pub fn crate_source(name: &str, version: &str) -> Result<PathBuf> {
    let place = testbed::directory().join("crates").join(name);
    fs::create_dir_all(place.join("src"))?;
    fs::write(place.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\n[dependencies]\n{name} = \"={version}\"\n[workspace]\n"
    );
    fs::write(place.join("Cargo.toml"), manifest)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata
        .args(["metadata", "--format-version", "1"])
        .current_dir(&place);
    let output = metadata.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo cannot fetch {name} {version}");
    }
    let text = String::from_utf8(output.stdout)?;
    // One field of a document whose form cargo promises: no parser is worth a dependency of this crate.
    let ending = format!("/{name}-{version}/Cargo.toml\"");
    let path = text
        .split("\"manifest_path\":\"")
        .filter_map(|rest| rest.split_inclusive('"').next())
        .find(|path| path.ends_with(&ending))
        .with_context(|| format!("cargo does not say where {name} {version} is"))?;
    let directory = path.strip_suffix("/Cargo.toml\"").map(PathBuf::from);
    directory.with_context(|| format!("no sources of {name} {version}"))
}
