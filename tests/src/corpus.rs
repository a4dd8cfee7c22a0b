//! Real libraries to test with, fetched once by the machine's own package clients and kept below a cache directory.
//!
//! Takes names of packages; gives paths, or why there is none. Each command is tried twice and has a deadline. No
//! address stands here: hosts come from the machine's own configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Longest that one command may take; a package has a few megabytes.
const DEADLINE: &str = "120";

/// Which of the machine's Debian archives a suite is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Archive {
    /// The main one.
    Main,
    /// Security updates.
    Security,
}

/// A package of another Debian suite, unpacked; installs nothing and leaves the machine's own lists alone.
pub fn debian_package(cache: &Path, archive: Archive, suite: &str, package: &str) -> Result<PathBuf> {
    let place = cache.join(format!("{suite}-{package}"));
    cached(&place, || {
        let apt = Apt::prepare(&place, archive, suite)?;
        apt.run(&["update", "-qq"])?;
        apt.run(&["download", "-qq", package])?;
        let archive = only_file(&place, ".deb")?;
        run(Command::new("timeout")
            .args([DEADLINE, "dpkg", "-x"])
            .arg(archive)
            .arg(&place))
    })?;
    Ok(place)
}

/// Wheels that tests look into, pinned: the tests say what is in them.
const WHEELS: [(&str, &str); 3] = [
    ("awscrt", "0.38.1"),
    ("curl_cffi", "0.17.0"),
    ("psycopg2-binary", "2.9.13"),
];

/// The files of one of [`WHEELS`].
pub fn python_wheel(cache: &Path, package: &str) -> Result<PathBuf> {
    let pinned = WHEELS.iter().find(|(name, _)| *name == package);
    let (_, version) = pinned.with_context(|| format!("no wheel {package} is pinned"))?;
    let place = cache.join(format!("wheel-{package}-{version}"));
    cached(&place, || {
        let download = [
            "python3",
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary=:all:",
            "-d",
        ];
        twice(|| {
            run(Command::new("timeout")
                .arg(DEADLINE)
                .args(download)
                .arg(&place)
                .arg(format!("{package}=={version}")))
        })?;
        let wheel = only_file(&place, ".whl")?;
        let unpack = ["python3", "-m", "zipfile", "-e"];
        run(Command::new("timeout")
            .arg(DEADLINE)
            .args(unpack)
            .arg(wheel)
            .arg(&place))
    })?;
    Ok(place)
}

/// The first file below a directory whose name passes, in the order of names.
pub fn find(directory: &Path, accepts: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort_unstable();
    for path in paths {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            if let Some(found) = find(&path, accepts) {
                return Some(found);
            }
        } else if path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(accepts)
        {
            return Some(path);
        }
    }
    None
}

/// A program on the search path, links followed.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|directory| fs::canonicalize(directory.join(name)).ok())
}

struct Apt {
    place: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn prepare(place: &Path, archive: Archive, suite: &str) -> Result<Self> {
        let uri = archive_uri(archive)?;
        let sources = place.join("sources.list");
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        fs::write(
            &sources,
            format!("deb [signed-by={keyring}] {uri} {suite} main\n"),
        )?;
        fs::create_dir_all(place.join("lists/partial"))?;
        let status = place.join("status");
        fs::write(&status, "")?;
        let options = [
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", place.join("lists").display()),
            "Dir::Cache::pkgcache=".to_owned(),
            "Dir::Cache::srcpkgcache=".to_owned(),
            // Nothing is installed as far as this download is concerned: what the suite has is wanted, not the newest.
            format!("Dir::State::status={}", status.display()),
            // The package is written into our own directory, which apt's own user cannot enter.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self {
            place: place.to_owned(),
            options: options
                .into_iter()
                .flat_map(|option| ["-o".to_owned(), option])
                .collect(),
        })
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        twice(|| {
            run(Command::new("timeout")
                .args([DEADLINE, "apt-get"])
                .args(&self.options)
                .args(arguments)
                .current_dir(&self.place))
        })
    }
}

/// The archive's address in the machine's own configuration.
fn archive_uri(archive: Archive) -> Result<String> {
    let format = "$(REPO_URI) $(RELEASE)";
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", format, "Created-By: Packages"])
        .output()
        .context("no apt-get")?;
    let wanted = match archive {
        Archive::Main => "debian",
        Archive::Security => "debian-security",
    };
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(uri, _)| uri.trim_end_matches('/'))
        .find(|uri| uri.rsplit('/').next() == Some(wanted))
        .map(str::to_owned)
        .with_context(|| format!("apt knows no archive {wanted}"))
}

/// Fills a directory once; a marker says that it is complete.
fn cached(place: &Path, fill: impl FnOnce() -> Result<()>) -> Result<()> {
    let complete = place.join(".complete");
    if complete.exists() {
        return Ok(());
    }
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    fs::create_dir_all(place)?;
    fill()?;
    fs::write(complete, "")?;
    Ok(())
}

fn only_file(directory: &Path, end: &str) -> Result<PathBuf> {
    fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_str().is_some_and(|path| path.ends_with(end)))
        .with_context(|| format!("no {end} was fetched"))
}

fn twice(run: impl Fn() -> Result<()>) -> Result<()> {
    run().or_else(|_first_failure| run())
}

/// Output of the command is not shown: it names the machine's mirrors.
fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{} ended with {}", command.get_program().display(), output.status);
    }
    Ok(())
}
