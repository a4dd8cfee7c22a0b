//! The binary `api-sensor` as a user starts it, its output in files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use sensor_tests::guard::SIGTERM;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::fixture;
use sensor_tests::wait::{self, DEADLINE, Deadline, STARTING};
use sensor_tests::{Guard, PrivateTls, guard};
use serde_json::Value as Json;
use tempfile::TempDir;

/// What the sensor prints once it watches.
const READY: &str = "api-sensor: watching";
/// The sensor's exit code for missing privileges or kernel features.
const UNSUPPORTED: i32 = 3;

/// A deadline for one step.
pub(crate) fn soon() -> Deadline {
    Deadline::after(DEADLINE)
}

/// The binary beside this test: `target/PROFILE/deps/live_privacy-...` and `target/PROFILE/api-sensor`.
pub(crate) fn binary() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let profile = test.parent().and_then(Path::parent)?;
    Some(profile.join("api-sensor")).filter(|path| path.is_file())
}

/// Its command line without the settings of whoever runs the tests; skips, aloud, when something is missing.
pub(crate) fn command(what: &str, needed: &[Program]) -> Option<Command> {
    if let Some(absent) = needed.iter().find_map(|program| program.find().err()) {
        programs::skipped(what, &absent);
        return None;
    }
    let Some(binary) = binary() else {
        programs::skipped(what, &"api-sensor is not built");
        return None;
    };
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("API_SENSOR_") {
            command.env_remove(name);
        }
    }
    Some(command)
}

/// As [`command`], where the test needs root.
pub(crate) fn root_command(what: &str, needed: &[Program]) -> Option<Command> {
    use std::os::unix::fs::MetadataExt as _;
    if fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0) {
        return command(what, needed);
    }
    programs::skipped(what, &"not root");
    None
}

/// A running sensor.
pub(crate) struct Sensor {
    guard: Guard,
    directory: TempDir,
}

impl Sensor {
    /// Adds what every run needs to `command`, starts it and waits until it watches; skips, aloud, where root may not
    /// use BPF.
    pub(crate) fn start(what: &str, command: Command, config: &str) -> Option<Self> {
        Self::start_with_state(what, command, config, None)
    }

    /// As [`Self::start`], with a state directory elsewhere.
    pub(crate) fn start_with_state(
        what: &str,
        mut command: Command,
        config: &str,
        state: Option<&Path>,
    ) -> Option<Self> {
        let directory = TempDir::with_prefix("api-sensor-privacy-").unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("config.toml"), config).unwrap();
        command.arg("--config").arg(path("config.toml"));
        command
            .arg("--state-dir")
            .arg(state.map_or_else(|| path("state"), Path::to_owned));
        command
            .stdin(Stdio::null())
            .stdout(File::create(path("stdout")).unwrap())
            .stderr(File::create(path("stderr")).unwrap());
        let guard = Guard::start(&mut command).unwrap();
        let mut sensor = Self { guard, directory };
        let ended = wait::until("the sensor's start", Deadline::after(STARTING), || {
            let ready = sensor.stderr().lines().any(|line| line.starts_with(READY));
            Ok(if ready {
                Some(None)
            } else {
                sensor.guard.ended()?.map(Some)
            })
        })
        .unwrap();
        match ended {
            None => Some(sensor),
            Some(status) if status.code() == Some(UNSUPPORTED) => {
                programs::skipped(what, &sensor.stderr().trim());
                None
            }
            Some(status) => panic!("{what}: the sensor ended with {status}: {}", sensor.stderr()),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// Standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.read("stderr")
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.directory.path().join(name)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its state directory.
    pub(crate) fn state_directory(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Every file of its state directory and of the directories in it (the spool), names included.
    pub(crate) fn state(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut directories = vec![self.state_directory()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                bytes.extend(path.to_string_lossy().as_bytes());
                bytes.push(b'\n');
                if path.is_dir() {
                    directories.push(path);
                } else {
                    bytes.extend(fs::read(&path).unwrap());
                }
            }
        }
        bytes
    }

    /// Waits until a text was printed so many times.
    pub(crate) fn wait_for(&self, text: &str, times: usize) {
        wait::until(text, soon(), || {
            Ok((self.stdout().matches(text).count() >= times).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", self.stdout(), self.stderr()));
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: i32) {
        self.guard.signal(signal).unwrap();
    }

    /// Asks it to end, and waits. Whatever the test is about, the accounts of every process must close.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(SIGTERM);
        let status = self.guard.wait(soon()).unwrap();
        let errors = self.stderr();
        assert!(!errors.contains("the accounts do not add up"), "{errors}");
        status
    }
}

/// What a page of the sensor says.
pub(crate) fn fetch(url: &str) -> String {
    let mut curl = Command::new(Program::Curl.find().unwrap());
    curl.args(["-q", "--silent", "--fail", "--noproxy", "*", url]);
    guard::run(&mut curl, soon()).unwrap()
}

/// Lines of JSON output, whole ones only.
pub(crate) fn lines(output: &str) -> Vec<Json> {
    let whole = output.rfind('\n').map_or("", |end| &output[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
        .collect()
}

/// Starts a Python script of the fixtures that says its port first; gives the port.
pub(crate) fn script(name: &str, arguments: &[&Path], tls: &PrivateTls) -> (Guard, u16) {
    let mut command = Command::new(Program::Python.find().unwrap());
    command.arg(fixture(name)).args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let mut guard = Guard::start(tls.apply(&mut command)).unwrap();
    let line = guard.first_line().unwrap();
    let port = line.trim().parse().unwrap();
    (guard, port)
}
