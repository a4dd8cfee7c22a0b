//! Source packages of Debian, for the test data inside them; unpacked, never built or installed.
//!
//! Takes the machine's own sources and the name of a package. Gives the directory of its sources below
//! `target/testbed/source`. Never touches the machine's package lists. Safe to call from several tests and processes at
//! once: one fetches, the others wait.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::testbed;

/// Where Debian 12 says what it installs from (deb822 form).
const SOURCES: &str = "/etc/apt/sources.list.d/debian.sources";

/// Longest that one command may take, in seconds; the biggest package of use has 45 MB.
const DEADLINE: &str = "300";

/// The unpacked sources of a package, its Debian patches applied; fetched once.
///
/// The directory's own name does not hold the version: what is in the archive now is what is tested with. Needs
/// `dpkg-source` (package `dpkg-dev`).
pub fn debian_source(package: &str) -> Result<PathBuf> {
    let root = testbed::directory().join("source");
    let place = root.join(package);
    if place.is_dir() {
        return Ok(place);
    }
    fs::create_dir_all(&root)?;
    let lock = File::create(root.join(".lock"))?;
    lock.lock().context("cannot lock the directory of sources")?;
    // Another may have fetched it meanwhile.
    if !place.is_dir() {
        let archive = Archive::open(&root)?;
        archive
            .fetch(package, &place)
            .with_context(|| format!("no sources of {package}"))?;
    }
    Ok(place)
}

/// The machine's own archive, as a list of sources beside which apt keeps what it needs.
struct Archive(PathBuf);

impl Archive {
    /// Fetches the lists, once.
    fn open(root: &Path) -> Result<Self> {
        let archive = Self(root.join(".apt"));
        if !archive.0.join("done").exists() {
            archive.update()?;
        }
        Ok(archive)
    }

    fn update(&self) -> Result<()> {
        fs::create_dir_all(self.0.join("lists/partial"))?;
        let known = fs::read_to_string(SOURCES).with_context(|| format!("cannot read {SOURCES}"))?;
        let sources: String = known
            .lines()
            .map(|line| match line.strip_prefix("Types:") {
                Some(_) => "Types: deb-src\n".to_owned(),
                None => format!("{line}\n"),
            })
            .collect();
        fs::write(self.list(), sources)?;
        let try_once = || run(self.apt(&["update", "-qq"]));
        // A download may fail for a reason that is gone the next moment.
        try_once().or_else(|_first| try_once())?;
        fs::write(self.0.join("done"), "")?;
        Ok(())
    }

    fn list(&self) -> PathBuf {
        self.0.join("source.sources")
    }

    /// Downloads and unpacks into `place`, which is there only when it is complete.
    fn fetch(&self, package: &str, place: &Path) -> Result<()> {
        let work = self.0.join("work");
        let fetch = || {
            if work.exists() {
                fs::remove_dir_all(&work)?;
            }
            fs::create_dir_all(&work)?;
            let mut apt = self.apt(&["source", "-qq", "--only-source", package]);
            apt.current_dir(&work);
            run(apt)
        };
        // Of old lists the second attempt has new ones.
        fetch().or_else(|_first| self.update().and_then(|()| fetch()))?;
        let unpacked = fs::read_dir(&work)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.is_dir())
            .context("nothing was unpacked")?;
        fs::rename(unpacked, place)?;
        fs::remove_dir_all(&work)?;
        Ok(())
    }

    fn apt(&self, arguments: &[&str]) -> Command {
        let place = self.0.display();
        let mut command = Command::new("timeout");
        command.args([DEADLINE, "apt-get"]);
        for option in [
            format!("Dir::State::lists={place}/lists"),
            format!("Dir::Etc::sourcelist={}", self.list().display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            "Dir::State::status=/dev/null".to_owned(),
            format!("Dir::Cache::pkgcache={place}/pkgcache.bin"),
            format!("Dir::Cache::srcpkgcache={place}/srcpkgcache.bin"),
            // apt's own user cannot enter this directory.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command.args(arguments);
        command
    }
}

/// The command's words are not shown whole: they name the machine's mirrors.
fn run(mut command: Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors
            .lines()
            .rfind(|line| !line.contains("://"))
            .unwrap_or_default();
        bail!("apt-get ended with {}: {last}", output.status);
    }
    Ok(())
}
