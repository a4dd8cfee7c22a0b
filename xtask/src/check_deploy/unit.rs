//! The systemd unit and its drop-in.
//!
//! Takes their directory. Gives what systemd-analyze says of them, and where their capabilities are not those measured.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::claims::{Capabilities, Set, other_than};

const ANALYZE: &str = "/usr/bin/systemd-analyze";
/// Its name.
pub(super) const UNIT: &str = "api-sensor.service";
/// The drop-in's.
pub(super) const DROP_IN: &str = "older-kernels.conf";
/// What the unit starts, until it is installed from somewhere else.
const PROGRAM: &str = "ExecStart=/usr/bin/api-sensor ";
/// Settings of capabilities; both must name the same.
const SETTINGS: [&str; 2] = ["AmbientCapabilities", "CapabilityBoundingSet"];

/// Where unit and drop-in ask for other capabilities than were measured.
pub(super) fn capabilities(directory: &Path, measured: &Capabilities) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (name, expected) in [(UNIT, &measured.usual), (DROP_IN, &measured.older)] {
        let text = read(&directory.join(name))?;
        for setting in SETTINGS {
            if let Some(problem) = other_than(&set(&text, setting), expected) {
                found.push(format!("deploy/systemd/{name}: {setting} has {problem}"));
            }
        }
    }
    Ok(found)
}

/// Capabilities of a setting, without `CAP_`. An empty value takes back what was said before (systemd.exec(5)).
fn set(text: &str, setting: &str) -> Set {
    let mut set = Set::new();
    for line in text.lines() {
        let Some(value) = line.strip_prefix(setting).and_then(|rest| rest.strip_prefix('=')) else {
            continue;
        };
        if value.is_empty() {
            set.clear();
        }
        set.extend(
            value
                .split_whitespace()
                .map(|name| name.trim_start_matches("CAP_").to_owned()),
        );
    }
    set
}

/// Where the unit tells the sensor other limits than its own.
pub(super) fn ceilings(directory: &Path) -> Result<Vec<String>> {
    let text = read(&directory.join(UNIT))?;
    let value = |front: &str| {
        let rest = text.split_once(front).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split_whitespace().next())
    };
    let pairs = [
        ("\nCPUQuota=", "%", "API_SENSOR_LIMITS_CPU_PERCENT=", ""),
        // What systemd calls G is 2^30.
        ("\nMemoryMax=", "G", "API_SENSOR_LIMITS_MEMORY_BYTES=", "GiB"),
    ];
    let mut found = Vec::new();
    for (limit, unit, variable, size) in pairs {
        let number = value(limit).and_then(|text| text.strip_suffix(unit));
        let told = value(variable).and_then(|text| text.strip_suffix(size));
        if number.is_none() || number != told {
            found.push(format!(
                "deploy/systemd/{UNIT}: {variable} is {told:?}, {} {number:?}",
                limit.trim()
            ));
        }
    }
    Ok(found)
}

/// What systemd-analyze says of the unit, without and with the drop-in, with another program in place of the installed
/// one; or why it cannot be asked.
pub(crate) fn verify(unit: &Path, drop_in: &Path, program: &Path) -> Result<Result<Vec<String>, String>> {
    if !Path::new(ANALYZE).is_file() {
        return Ok(Err(
            "systemd-analyze is not installed (apt-get install systemd)".to_owned()
        ));
    }
    let directory = tempfile::tempdir()?;
    let copy = directory.path().join(UNIT);
    let started = format!("ExecStart={} ", program.display());
    std::fs::write(&copy, read(unit)?.replacen(PROGRAM, &started, 1))?;
    let mut found = analyze(&copy, UNIT)?;
    let drop_ins = directory.path().join(format!("{UNIT}.d"));
    std::fs::create_dir(&drop_ins)?;
    std::fs::copy(drop_in, drop_ins.join(DROP_IN))?;
    found.extend(analyze(&copy, DROP_IN)?);
    Ok(Ok(found))
}

/// It warns of directives that it does not know, and succeeds.
fn analyze(unit: &Path, name: &str) -> Result<Vec<String>> {
    let output = Command::new(ANALYZE).arg("verify").arg(unit).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let mut found: Vec<String> = said
        .lines()
        .filter(|line| line.contains(UNIT) || line.contains(DROP_IN))
        .map(|line| format!("deploy/systemd/{name}: {line}"))
        .collect();
    if !output.status.success() && found.is_empty() {
        found.push(format!(
            "deploy/systemd/{name}: systemd-analyze verify refuses it: {}",
            said.trim()
        ));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_takes_back_what_was_said_before() {
        let text = "AmbientCapabilities=CAP_BPF\nAmbientCapabilities=\nAmbientCapabilities=CAP_SYS_ADMIN CAP_PERFMON\n\
                    CapabilityBoundingSet=CAP_BPF\n";
        let names = |names: &[&str]| -> Set { names.iter().map(|name| (*name).to_owned()).collect() };
        assert_eq!(set(text, "AmbientCapabilities"), names(&["PERFMON", "SYS_ADMIN"]));
        assert_eq!(set(text, "CapabilityBoundingSet"), names(&["BPF"]));
    }
}
