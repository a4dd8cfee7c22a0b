//! Applications of `tests/apps`: Python on `FastAPI` and uvicorn.
//!
//! Takes a module's name. Gives its command line, or what is missing for it. Starts nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::programs::Program;
use crate::testbed;

/// Where they are.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("apps")
}

/// A module of `tests/apps`.
pub fn python(module: &str) -> Result<Command> {
    let mut command = Command::new(Program::Python.find()?);
    let path = [
        directory(),
        testbed::python_shop(),
        testbed::python_peers(),
        testbed::python(),
    ];
    command
        .args(["-m", module])
        .current_dir(directory())
        .env("PYTHONPATH", std::env::join_paths(path)?)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

/// What they need and is not here.
pub fn missing() -> Option<String> {
    if let Some(absent) = [Program::Python, Program::Openssl]
        .iter()
        .find_map(|program| program.find().err())
    {
        return Some(absent.to_string());
    }
    let packages = [
        testbed::python_shop().join("fastapi"),
        testbed::python_peers().join("httpx"),
        testbed::python().join("uvicorn"),
    ];
    let absent = packages.iter().find(|package| !package.is_dir())?;
    let name = absent.file_name().unwrap_or_default().to_string_lossy();
    Some(format!("no {name}; cargo xtask test installs it"))
}
