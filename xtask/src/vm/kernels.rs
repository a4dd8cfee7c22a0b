//! The kernels of `kernels.toml`, fetched once into `target/testbed/kernels`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sensor_tests::debian::Suite;
use sensor_tests::testbed;
use serde::Deserialize;

use crate::shell;

/// One row of the file.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    /// What it is called here.
    pub(crate) name: String,
    suite: String,
    package: String,
    image: String,
    /// Whether `.ci/run` boots it.
    pub(crate) ci: bool,
}

/// A test program, and what of it is run.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tests {
    /// The program.
    pub(crate) program: String,
    /// Parts of the names of its tests; every test without.
    pub(crate) names: Vec<String>,
    /// What `.ci/run` has the time for; nothing without.
    pub(crate) ci: Option<Vec<String>>,
    /// Whether systemd runs the guest.
    #[serde(default)]
    pub(crate) systemd: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// What every kernel runs.
    pub(crate) tests: Vec<Tests>,
    /// Oldest first.
    pub(crate) kernel: Vec<Kernel>,
}

/// The file's content.
pub(crate) fn file() -> Result<File> {
    let path = shell::root().join("xtask/kernels.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is not as it should be", path.display()))
}

fn parse(text: &str) -> Result<File> {
    let file: File = toml::from_str(text)?;
    for kernel in &file.kernel {
        for pattern in [&kernel.package, &kernel.image] {
            if pattern.matches('*').count() != 1 {
                bail!("{pattern:?} has not exactly one *");
            }
        }
    }
    Ok(file)
}

impl Kernel {
    /// The kernel's image, fetched when it is not here.
    pub(crate) fn fetch(&self) -> Result<PathBuf> {
        let into = testbed::directory().join("kernels").join(&self.name);
        if let Some(image) = newest_file(&into, &self.image) {
            return Ok(image);
        }
        let suite = Suite::open(&self.suite)?;
        let (prefix, suffix) = split(&self.package);
        let named = suite.packages(prefix)?;
        let package = named.iter().rfind(|name| name.ends_with(suffix));
        let package = package.with_context(|| format!("{} has no {}", self.suite, self.package))?;
        suite.unpack(package, &into)?;
        newest_file(&into, &self.image).with_context(|| format!("{package} has no {}", self.image))
    }
}

/// What stands before and after the one `*`.
fn split(pattern: &str) -> (&str, &str) {
    pattern.split_once('*').unwrap_or((pattern, ""))
}

/// The newest file that a pattern names below a directory; the `*` stands for a part of one name in the path.
fn newest_file(below: &Path, pattern: &str) -> Option<PathBuf> {
    let (before, after) = split(pattern);
    let (directory, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let (suffix, rest) = after.split_once('/').unwrap_or((after, ""));
    let mut found: Vec<PathBuf> = fs::read_dir(below.join(directory))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(prefix) && name.ends_with(suffix)
        })
        .map(|path| if rest.is_empty() { path } else { path.join(rest) })
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_each_kernel_once_and_says_what_ci_boots() {
        let kernels = file().unwrap().kernel;
        let mut names: Vec<_> = kernels.iter().map(|kernel| &kernel.name).collect();
        names.dedup();
        assert_eq!(names.len(), kernels.len());
        assert!(kernels.iter().any(|kernel| kernel.ci));
        assert!(file().unwrap().tests.iter().any(|tests| tests.ci.is_some()));
    }

    #[test]
    fn the_star_stands_for_a_part_of_one_name() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path();
        fs::create_dir_all(below.join("modules/7.3.4-cloud")).unwrap();
        fs::create_dir_all(below.join("boot")).unwrap();
        fs::write(below.join("modules/7.3.4-cloud/vmlinuz"), "").unwrap();
        fs::write(below.join("boot/vmlinuz-1"), "").unwrap();
        fs::write(below.join("boot/config-1"), "").unwrap();
        let found = |pattern| newest_file(below, pattern);
        assert_eq!(
            found("modules/*/vmlinuz"),
            Some(below.join("modules/7.3.4-cloud/vmlinuz"))
        );
        assert_eq!(found("boot/vmlinuz-*"), Some(below.join("boot/vmlinuz-1")));
        assert_eq!(found("boot/initrd-*"), None);
    }

    #[test]
    fn a_pattern_without_its_star_is_refused() {
        let text = "[[tests]]\nprogram='a'\nnames=[]\n[[kernel]]\nname='1'\nsuite='a'\npackage='b'\nimage='c*'\nci=true\n";
        assert!(parse(text).is_err());
        assert!(parse(&text.replace("'b'", "'b*'")).is_ok());
    }
}
