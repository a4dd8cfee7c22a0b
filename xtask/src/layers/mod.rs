//! `cargo xtask layers`: who uses whom, read from the sources.
//!
//! Takes the text of `sensor-user/src` and the manifests. Gives one line per broken rule: file, line, rule.
//! Never understands types: it reads paths (`crate::a`, `super::b`, `std::c`), which is where a dependency starts.

mod manifest;
mod rules;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell;

/// A broken rule.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Breach {
    file: PathBuf,
    line: usize,
    rule: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.rule)
    }
}

/// Checks everything and prints what is broken.
pub(crate) fn layers() -> Result<()> {
    let root = shell::root();
    let mut breaches = manifest::check(&root)?;
    let sources = root.join("sensor-user/src");
    let mut files = Vec::new();
    collect(&sources, &mut files)?;
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let inside = file.strip_prefix(&sources).unwrap_or(file);
        breaches.extend(
            rules::check(inside, &text)
                .into_iter()
                .map(|(line, rule)| Breach {
                    file: file.strip_prefix(&root).unwrap_or(file).to_owned(),
                    line,
                    rule,
                }),
        );
    }
    for breach in &breaches {
        println!("{breach}");
    }
    if breaches.is_empty() {
        println!("layers: {} files keep the rules", files.len());
        return Ok(());
    }
    bail!("{} rules are broken", breaches.len())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
