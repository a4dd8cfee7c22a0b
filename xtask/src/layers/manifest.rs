//! Rules on manifests: every member inherits the lints, and the contract crate depends on nothing.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Breach;

/// Checks the workspace's members and the kernel crate.
pub(super) fn check(root: &Path) -> Result<Vec<Breach>> {
    let workspace = read(&root.join("Cargo.toml"))?;
    let mut breaches = Vec::new();
    for member in members(&workspace) {
        let text = read(&root.join(&member).join("Cargo.toml"))?;
        breaches.extend(member_rules(&member, &text));
    }
    let kernel = read(&root.join("sensor-ebpf/Cargo.toml"))?;
    breaches.extend(only(
        "sensor-ebpf",
        &kernel,
        &["aya-ebpf", "aya-log-ebpf", "sensor-common"],
    ));
    Ok(breaches)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What one member's manifest breaks.
pub(super) fn member_rules(member: &str, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if !section(text, "lints").any(|(_, line)| line.replace(' ', "") == "workspace=true") {
        breaches.push(breach(
            member,
            1,
            "does not inherit the workspace's lints".to_owned(),
        ));
    }
    if member == "sensor-common" {
        breaches.extend(only(member, text, &[]));
    }
    breaches
}

fn only(member: &str, text: &str, allowed: &[&str]) -> Vec<Breach> {
    let name = |line: &str| line.split(['.', '=', ' ']).next().unwrap_or_default().to_owned();
    section(text, "dependencies")
        .filter(|(_, line)| !allowed.contains(&name(line).as_str()))
        .map(|(number, line)| breach(member, number, format!("{member} depends on {}", name(line))))
        .collect()
}

fn breach(member: &str, line: usize, rule: String) -> Breach {
    Breach {
        file: Path::new(member).join("Cargo.toml"),
        line,
        rule,
    }
}

/// Lines of a table, with their numbers, without comments.
fn section<'t>(text: &'t str, name: &str) -> impl Iterator<Item = (usize, &'t str)> {
    let header = format!("[{name}]");
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with('[') {
            inside = line == header;
            return None;
        }
        (inside && !line.is_empty()).then_some((index + 1, line))
    })
}

/// The workspace's members: a list on one line.
fn members(workspace: &str) -> Vec<String> {
    let list = section(workspace, "workspace")
        .find_map(|(_, line)| line.strip_prefix("members"))
        .unwrap_or("");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}
