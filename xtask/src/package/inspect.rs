//! What a built package must hold, and that it works where it is unpacked.
//!
//! Takes a package. Gives lines of what was checked with every mistake. Never installs it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::check_deploy::unit;

/// A check, and what it found wrong; `Err` says why it could not be made.
pub(crate) type Checked = (&'static str, Result<Vec<String>, String>);

/// Files and their modes. The unit and man pages of all commands are there, and nothing starts by itself.
const FILES: &[(&str, &str)] = &[
    ("-rwxr-xr-x", "./usr/bin/api-sensor"),
    ("-rw-r--r--", "./etc/api-sensor/api-sensor.toml"),
    ("-rw-r--r--", "./usr/lib/systemd/system/api-sensor.service"),
    ("-rw-r--r--", "./usr/share/bash-completion/completions/api-sensor"),
    ("-rw-r--r--", "./usr/share/doc/api-sensor/README.md"),
    ("-rw-r--r--", "./usr/share/doc/api-sensor/changelog.Debian.gz"),
    ("-rw-r--r--", "./usr/share/doc/api-sensor/copyright"),
    ("-rw-r--r--", "./usr/share/doc/api-sensor/docs/CONFIG.md"),
    (
        "-rw-r--r--",
        "./usr/share/doc/api-sensor/examples/older-kernels.conf",
    ),
    (
        "-rw-r--r--",
        "./usr/share/fish/vendor_completions.d/api-sensor.fish",
    ),
    ("-rw-r--r--", "./usr/share/man/man1/api-sensor.1.gz"),
    ("-rw-r--r--", "./usr/share/man/man1/api-sensor-check-config.1.gz"),
    ("-rw-r--r--", "./usr/share/man/man1/api-sensor-doctor.1.gz"),
    ("-rw-r--r--", "./usr/share/man/man1/api-sensor-inventory.1.gz"),
    ("-rw-r--r--", "./usr/share/man/man1/api-sensor-openapi.1.gz"),
    ("-rw-r--r--", "./usr/share/man/man1/api-sensor-record.1.gz"),
    ("-rw-r--r--", "./usr/share/man/man1/api-sensor-replay.1.gz"),
    ("-rw-r--r--", "./usr/share/man/man1/api-sensor-rules.1.gz"),
    ("-rw-r--r--", "./usr/share/man/man1/api-sensor-run.1.gz"),
    ("-rw-r--r--", "./usr/share/zsh/vendor-completions/_api-sensor"),
];
const CONFIGURATION: &str = "etc/api-sensor/api-sensor.toml";

/// Runs every check.
pub(super) fn inspect(package: &Path) -> Result<Vec<Checked>> {
    let unpacked = tempfile::tempdir()?;
    said(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(package)
            .arg(unpacked.path()),
    )?;
    Ok(vec![
        ("its files, owners and modes", Ok(files(package)?)),
        ("its control data and scripts", Ok(control(package)?)),
        (
            "unpacked: the program starts and takes the configuration",
            Ok(program(unpacked.path())),
        ),
        ("unpacked: systemd-analyze verify", service(unpacked.path())?),
        ("lintian", lintian(package)?),
    ])
}

/// `dpkg-deb --contents`: mode, owner, size, date, time, name.
fn files(package: &Path) -> Result<Vec<String>> {
    let listed = said(Command::new("dpkg-deb").arg("--contents").arg(package))?;
    Ok(judge_files(&listed))
}

fn judge_files(listed: &str) -> Vec<String> {
    let rows: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let mut found = Vec::new();
    for (mode, name) in FILES {
        if !rows
            .iter()
            .any(|row| row.first() == Some(mode) && row.get(5) == Some(name))
        {
            found.push(format!("the package has no {name} with mode {mode}"));
        }
    }
    for row in rows {
        let [mode, owner, .., name] = row.as_slice() else {
            continue;
        };
        let is_open = mode.get(5..6) == Some("w") || mode.get(8..9) == Some("w");
        // By number: cargo-deb writes no names.
        if *owner != "0/0" || is_open || mode.contains('s') {
            found.push(format!(
                "{name} is {mode} of {owner}; root's, and writable by nobody else"
            ));
        }
    }
    found
}

fn control(package: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let field = |name: &str| said(Command::new("dpkg-deb").arg("--field").arg(package).arg(name));
    let version = format!("{}-1", env!("CARGO_PKG_VERSION"));
    for (name, wanted) in [("Package", "api-sensor"), ("Version", version.as_str())] {
        let value = field(name)?;
        if value.trim() != wanted {
            found.push(format!(
                "{name} is {}, not {wanted}: see deploy/debian/changelog, too",
                value.trim()
            ));
        }
    }
    let depends = field("Depends")?;
    for library in ["libc6", "libgcc-s1"] {
        if !depends.contains(library) {
            found.push(format!("Depends does not name {library}; is dpkg-dev installed?"));
        }
    }
    let part = |name: &str| said(Command::new("dpkg-deb").arg("--info").arg(package).arg(name));
    if part("conffiles")?.trim() != format!("/{CONFIGURATION}") {
        found.push("the configuration is no conffile: an upgrade would replace it".to_owned());
    }
    let after = part("postinst")?;
    if !after.contains("deb-systemd-invoke try-restart") || after.contains("deb-systemd-invoke start") {
        found.push("postinst must restart what runs and start nothing else".to_owned());
    }
    if !part("postrm")?.contains("rm -rf /var/lib/private/api-sensor") {
        found.push("a purge leaves the state directory".to_owned());
    }
    Ok(found)
}

fn program(root: &Path) -> Vec<String> {
    let program = root.join("usr/bin/api-sensor");
    let mut found = Vec::new();
    match said(Command::new(&program).arg("--version")) {
        Ok(version) if version.trim() == concat!("api-sensor ", env!("CARGO_PKG_VERSION")) => {}
        Ok(version) => found.push(format!("--version says {version}")),
        Err(error) => found.push(format!("{error:#}")),
    }
    let check = said(
        Command::new(&program)
            .arg("check-config")
            .arg(root.join(CONFIGURATION)),
    );
    found.extend(check.err().map(|error| format!("{error:#}")));
    found
}

fn service(root: &Path) -> Result<Result<Vec<String>, String>> {
    let unit = root.join("usr/lib/systemd/system/api-sensor.service");
    let drop_in = root.join("usr/share/doc/api-sensor/examples/older-kernels.conf");
    unit::verify(&unit, &drop_in, &root.join("usr/bin/api-sensor"))
}

/// Its errors fail; warnings are printed.
fn lintian(package: &Path) -> Result<Result<Vec<String>, String>> {
    if !Path::new("/usr/bin/lintian").is_file() {
        return Ok(Err("not installed (apt-get install lintian)".to_owned()));
    }
    let output = Command::new("/usr/bin/lintian")
        // It warns of running as root, and of a package that nobody signed off.
        .args(["--allow-root", "--no-tag-display-limit", "--fail-on", "none"])
        .arg(package)
        .output()
        .context("cannot start lintian")?;
    if !output.status.success() {
        bail!(
            "lintian failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().filter(|line| line.starts_with("W:")) {
        println!("       {line}");
    }
    let errors = text.lines().filter(|line| line.starts_with("E:"));
    Ok(Ok(errors.map(str::to_owned).collect()))
}

/// Standard output of a program that succeeds.
fn said(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> String {
        FILES
            .iter()
            .map(|(mode, name)| format!("{mode} 0/0 10 2026-11-23 12:00 {name}\n"))
            .collect::<Vec<_>>()
            .concat()
    }

    #[test]
    fn absent_and_open_files_are_found() {
        assert_eq!(judge_files(&listing()), Vec::<String>::new());
        let absent = listing().replace("./usr/bin/api-sensor\n", "./usr/bin/other\n");
        assert_eq!(judge_files(&absent).len(), 1);
        for (mode, owner) in [
            ("-rw-rw-r--", "0/0"),
            ("-rwsr-xr-x", "0/0"),
            ("-rw-r--r--", "1000/0"),
        ] {
            let odd = format!("{}{mode} {owner} 10 2026-11-23 12:00 ./usr/x\n", listing());
            assert_eq!(judge_files(&odd).len(), 1, "{mode} {owner}");
        }
    }
}
