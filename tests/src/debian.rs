//! Packages of other suites of Debian (older and newer kernels, backports), unpacked and never installed.
//!
//! Takes the machine's own sources and the name of another suite. Gives a directory. Never touches the machine's
//! package lists: those of the other suite are kept below `target/testbed/apt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::testbed;

/// Where Debian 12 says what it installs from (deb822 form).
const SOURCES: &str = "/etc/apt/sources.list.d/debian.sources";

/// Debian's keys, of several releases.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Another suite, such as `bookworm-backports`, and which of the machine's URIs serves it.
#[derive(Debug)]
pub struct Suite {
    name: String,
    /// Holds apt's lists and beside them what describes them: apt removes what it does not know from the lists.
    directory: PathBuf,
}

impl Suite {
    /// Fetches the suite's package lists, once.
    pub fn open(name: &str) -> Result<Self> {
        let suite = Self {
            name: name.to_owned(),
            directory: testbed::directory().join("apt").join(name),
        };
        if !suite.directory.join("done").exists() {
            suite.update()?;
        }
        Ok(suite)
    }

    /// Fetches the lists: packages that were replaced since are gone from the archive.
    fn update(&self) -> Result<()> {
        fs::create_dir_all(self.directory.join("lists/partial"))?;
        fs::write(self.source(), source(&self.name)?)?;
        self.apt(&["update"])?;
        fs::write(self.directory.join("done"), "")?;
        Ok(())
    }

    fn source(&self) -> PathBuf {
        self.directory.join("suite.sources")
    }

    /// Names of packages that begin so, in the order of their versions as `sort -V` has it. `prefix` is a regular
    /// expression to apt, so its dots match anything; what does not begin with it is taken out.
    pub fn packages(&self, prefix: &str) -> Result<Vec<String>> {
        let listed = self.output("apt-cache", &["--names-only", "search", &format!("^{prefix}")])?;
        let mut names: Vec<String> = listed
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .collect();
        names.sort_by_key(|name| numbers(name));
        Ok(names)
    }

    /// Downloads a package and unpacks it into `into`, once.
    pub fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let mark = into.join(format!(".{package}.unpacked"));
        if mark.exists() {
            return Ok(());
        }
        fs::create_dir_all(into)?;
        let download = self.directory.join("download");
        fs::create_dir_all(&download)?;
        let fetch = || {
            self.command("apt-get", &["download", package])
                .current_dir(&download)
                .run()
        };
        // Of old lists the second attempt has new ones.
        fetch().or_else(|_first| self.update().and_then(|()| fetch()))?;
        let archive = fs::read_dir(&download)?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                name.starts_with(&format!("{package}_"))
            })
            .with_context(|| format!("{package} was not downloaded"))?;
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("-x").arg(&archive).arg(into);
        Step(dpkg).run()?;
        fs::remove_file(archive)?;
        fs::write(mark, "")?;
        Ok(())
    }

    fn apt(&self, arguments: &[&str]) -> Result<()> {
        // A download may fail for a reason that is gone the next moment.
        let try_once = || self.command("apt-get", arguments).run();
        try_once().or_else(|_first| try_once())
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Step {
        let mut command = Command::new(program);
        let directory = self.directory.display();
        for option in [
            format!("Dir::State::lists={directory}/lists"),
            format!("Dir::Etc::sourcelist={}", self.source().display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            // What is installed on this machine has no say in what the other suite has.
            "Dir::State::status=/dev/null".to_owned(),
            format!("Dir::Cache::pkgcache={directory}/pkgcache.bin"),
            format!("Dir::Cache::srcpkgcache={directory}/srcpkgcache.bin"),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command.args(arguments);
        Step(command)
    }

    fn output(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut step = self.command(program, arguments);
        let output = step.0.stdin(Stdio::null()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The digits of a name, as numbers: 6.12.9 comes before 6.12.10.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|byte: char| !byte.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// The machine's own archive with another suite: its security archive serves the suites that end so.
fn source(suite: &str) -> Result<String> {
    let known = fs::read_to_string(SOURCES).with_context(|| format!("cannot read {SOURCES}"))?;
    let uris = known
        .lines()
        .filter_map(|line| line.strip_prefix("URIs:"))
        .map(str::trim);
    let wants_security = suite.ends_with("-security");
    let uri = uris
        .into_iter()
        .find(|uri| uri.contains("security") == wants_security)
        .context("no URI of Debian's archive")?;
    Ok(format!(
        "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n"
    ))
}

struct Step(Command);

impl Step {
    fn current_dir(mut self, directory: &Path) -> Self {
        self.0.current_dir(directory);
        self
    }

    fn run(mut self) -> Result<()> {
        let output = self.0.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!(
                "{:?} failed: {}",
                self.0,
                errors.lines().last().unwrap_or_default()
            );
        }
        Ok(())
    }
}
