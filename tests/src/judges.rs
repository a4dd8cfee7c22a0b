//! Programs of others that say whether a text is a document of `OpenAPI`, or lines that a JSON Schema describes.
//!
//! Takes a document. Gives nothing, or what is wrong with it. Bounded by [`DEADLINE`].

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::programs::Program;
use crate::wait::Deadline;
use crate::{guard, testbed};

/// How long a judge may take; Node.js starts within seconds on a busy machine.
const DEADLINE: Duration = Duration::from_mins(2);

/// A program that reads the file which is its last argument.
#[derive(Debug)]
pub struct Judge {
    command: Command,
}

impl Judge {
    /// Lets it read a document; fails with what it says.
    pub fn reads(mut self, document: &str) -> Result<()> {
        let scratch = tempfile::tempdir()?;
        let path = scratch.path().join("openapi.json");
        std::fs::write(&path, document)?;
        self.command.current_dir(scratch.path()).arg(&path);
        let output = guard::finish(&mut self.command, Deadline::after(DEADLINE))?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("{:?}: {}", self.command, String::from_utf8_lossy(&said));
        }
        Ok(())
    }
}

/// openapi-spec-validator, or why it cannot be asked.
pub fn openapi_spec_validator() -> Result<Judge, String> {
    let packages = testbed::openapi_python();
    is_here(&packages)?;
    let mut command = Command::new(Program::Python.find().map_err(|absent| absent.to_string())?);
    command
        .args(["-m", "openapi_spec_validator", "--schema", "3.1"])
        .env("PYTHONPATH", packages);
    Ok(Judge { command })
}

/// Reads a schema and lines of JSON; says what is wrong with which line.
const JSON_SCHEMA: &str = "\
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
judge = jsonschema.Draft202012Validator(schema)
wrong = [(line, e.message) for line in open(sys.argv[2]) for e in judge.iter_errors(json.loads(line))]
sys.exit(str(wrong) if wrong else 0)";

/// Python's jsonschema with a schema, or why it cannot be asked. openapi-spec-validator brings it.
pub fn json_schema(schema: &Path) -> Result<Judge, String> {
    let packages = testbed::openapi_python();
    is_here(&packages)?;
    let mut command = Command::new(Program::Python.find().map_err(|absent| absent.to_string())?);
    command
        .args(["-c", JSON_SCHEMA])
        .arg(schema)
        .env("PYTHONPATH", packages);
    Ok(Judge { command })
}

/// Redocly, or why it cannot be asked.
pub fn redocly() -> Result<Judge, String> {
    let script = testbed::redocly();
    is_here(&script)?;
    let node = Program::Node.find().map_err(|absent| absent.to_string())?;
    let output = Command::new(&node)
        .arg("--version")
        .output()
        .map_err(|error| error.to_string())?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next();
    if major
        .and_then(|major| major.parse().ok())
        .is_some_and(|major: u32| major < 20)
    {
        return Err(format!(
            "Redocly's package asks for Node.js 20.19, this is {version}"
        ));
    }
    let mut command = Command::new(node);
    command
        .arg(script)
        .args(["lint", "--extends=spec", "--format=stylish"])
        .env("REDOCLY_TELEMETRY", "off")
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    Ok(Judge { command })
}

fn is_here(what: &Path) -> Result<(), String> {
    if what.exists() {
        return Ok(());
    }
    Err(format!(
        "{} is absent; cargo xtask test installs it",
        what.display()
    ))
}
