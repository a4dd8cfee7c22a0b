//! The ways of starting the sensor, and the sensor so started.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sensor_tests::guard::{self, Guard, SIGTERM};
use sensor_tests::launcher::pod::Pod;
use sensor_tests::launcher::unit::{self, Unit};
use sensor_tests::launcher::{INSTALLED, Launch, NEEDED};
use sensor_tests::programs::{self, Program};
use sensor_tests::wait::{self, Deadline, STARTING};
use tempfile::TempDir;

pub(crate) const UNIT: &str = include_str!("../../deploy/systemd/api-sensor.service");
const OLDER_UNIT: &str = include_str!("../../deploy/systemd/older-kernels.conf");
const MANIFEST: &str = include_str!("../../deploy/kubernetes/daemonset.yaml");
const OLDER_VALUES: &str = include_str!("../../deploy/helm/api-sensor/older-kernels.yaml");
const PROFILE: &str = include_str!("../../deploy/seccomp.json");
/// What the sensor prints once it watches.
const READY: &str = "api-sensor: watching";
/// Name of the configuration in its directory.
const SETTINGS: &str = "api-sensor.toml";
const SERVICE: &str = "api-sensor.service";
/// Where systemd's own directories of units are.
const UNITS: &str = "/run/systemd/system";
/// Which perf events a user may open.
const PARANOIA: &str = "/proc/sys/kernel/perf_event_paranoid";
/// The kernel's own default, as an operator may set it.
const USUAL_PARANOIA: &str = "2";
/// How long the sensor may take to end: before Linux 6.6 each probe takes a tenth of a second.
const ENDING: Duration = Duration::from_mins(1);

/// Who starts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Root, with every privilege.
    Root,
    /// As the unit says.
    Unit,
    /// As the `DaemonSet` says.
    Pod,
    /// systemd itself, with the unit.
    Systemd,
}

impl Way {
    /// Those that are not plain root, on this machine.
    pub(crate) fn confined() -> Vec<Self> {
        let mut ways = vec![Self::Unit, Self::Pod];
        ways.extend(systemd_runs().then_some(Self::Systemd));
        ways
    }
}

/// Whether systemd runs a machine of the tests' own, as `sd_booted(3)` tells it. On a machine of others no unit is
/// installed.
pub(crate) fn systemd_runs() -> bool {
    programs::is_guest() && Path::new(UNITS).is_dir()
}

/// The binary, where everything that launches it is here; else skips, aloud.
pub(crate) fn sensor(what: &str, further: &[Program]) -> Option<PathBuf> {
    let mut needed = NEEDED.iter().chain(further);
    if let Some(absent) = needed.find_map(|program| program.find().err()) {
        programs::skipped(what, &absent);
        return None;
    }
    if !fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0) {
        programs::skipped(what, &"not root");
        return None;
    }
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let sensor = profile.join("api-sensor");
    if !sensor.is_file() {
        programs::skipped(what, &"api-sensor is not built");
        return None;
    }
    Some(sensor)
}

/// The unit, with the drop-in where that applies.
pub(crate) fn the_unit() -> Unit {
    let texts = if unit::is_older_kernel().unwrap() {
        vec![UNIT, OLDER_UNIT]
    } else {
        vec![UNIT]
    };
    Unit::read(&texts).unwrap()
}

/// The manifest, with the chart's values where those apply.
pub(crate) fn the_pod() -> Pod {
    if unit::is_older_kernel().unwrap() {
        older()
    } else {
        usual()
    }
}

/// The manifest as it is, with our list of system calls.
pub(crate) fn usual() -> Pod {
    Pod::read(MANIFEST, PROFILE).unwrap()
}

/// The manifest with the chart's values for older kernels.
pub(crate) fn older() -> Pod {
    usual().with_values(OLDER_VALUES).unwrap()
}

/// The sensor as a unit says.
pub(crate) fn by_unit(unit: &Unit, sensor: &Path, settings: &str) -> Launch {
    Launch::unit(unit, sensor, &[(SETTINGS, settings)]).unwrap()
}

/// The sensor as a manifest says, its state where the `ConfigMap` has it.
pub(crate) fn by_pod(pod: &Pod, sensor: &Path, settings: &str) -> Launch {
    let settings = format!("{settings}[state]\ndirectory = \"/var/lib/api-sensor/state\"\n");
    Launch::pod(pod, sensor, &[(SETTINGS, &settings)]).unwrap()
}

/// With the capabilities that apply here; in a machine of the tests' own where they are those of older kernels for
/// `kernel.perf_event_paranoid` alone, also with the usual ones.
pub(crate) fn with_each_set(test: impl Fn()) {
    test();
    if !programs::is_guest() || !unit::is_older_kernel().unwrap() {
        return;
    }
    let _found = Paranoia::set(USUAL_PARANOIA);
    if !unit::is_older_kernel().unwrap() {
        test();
    }
}

/// What was found there, and is again when this goes.
struct Paranoia(String);

impl Paranoia {
    fn set(value: &str) -> Self {
        let found = fs::read_to_string(PARANOIA).unwrap();
        fs::write(PARANOIA, value).unwrap();
        Self(found)
    }
}

impl Drop for Paranoia {
    fn drop(&mut self) {
        if let Err(error) = fs::write(PARANOIA, self.0.trim()) {
            programs::seen(&format_args!("{PARANOIA} is not as it was: {error}"));
        }
    }
}

/// A sensor that was started.
pub(crate) struct Sensor {
    how: How,
    /// Its output, and what it was started from.
    directory: TempDir,
    _launch: Option<Launch>,
}

enum How {
    Process(Guard),
    Service,
}

impl Sensor {
    /// Starts it with these settings, beside those of a way's own.
    pub(crate) fn start(way: Way, sensor: &Path, settings: &str) -> Self {
        match way {
            Way::Root => {
                let directory = TempDir::with_prefix("api-sensor-launched-").unwrap();
                let config = directory.path().join(SETTINGS);
                fs::write(&config, settings).unwrap();
                let mut command = Command::new(sensor);
                command.arg("run").arg("--config").arg(config);
                command.arg("--state-dir").arg(directory.path().join("state"));
                Self::process(command, directory, None)
            }
            Way::Unit => Self::launch(by_unit(&the_unit(), sensor, settings)),
            Way::Pod => Self::launch(by_pod(&the_pod(), sensor, settings)),
            Way::Systemd => Self::service(sensor, &[(SETTINGS, settings)], ""),
        }
    }

    /// Starts what a launch describes.
    pub(crate) fn launch(launch: Launch) -> Self {
        let directory = TempDir::with_prefix("api-sensor-launched-").unwrap();
        Self::process(launch.command().unwrap(), directory, Some(launch))
    }

    fn process(mut command: Command, directory: TempDir, launch: Option<Launch>) -> Self {
        let path = |name: &str| directory.path().join(name);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("API_SENSOR_") {
                command.env_remove(name);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(File::create(path("stdout")).unwrap())
            .stderr(File::create(path("stderr")).unwrap());
        let guard = Guard::start(&mut command).unwrap();
        Self {
            how: How::Process(guard),
            directory,
            _launch: launch,
        }
    }

    /// Installs the unit, in a machine of the tests' own, and has systemd start it; `more` is a drop-in's text beside
    /// where its output goes.
    pub(crate) fn service(sensor: &Path, settings: &[(&str, &str)], more: &str) -> Self {
        let directory = TempDir::with_prefix("api-sensor-launched-").unwrap();
        // Nothing of an earlier run, such as findings that were told.
        fs::remove_dir_all("/var/lib/private/api-sensor").ok();
        fs::copy(sensor, INSTALLED).unwrap();
        fs::create_dir_all("/etc/api-sensor").unwrap();
        for (name, text) in settings {
            fs::write(Path::new("/etc/api-sensor").join(name), text).unwrap();
        }
        let drop_ins = Path::new(UNITS).join(format!("{SERVICE}.d"));
        fs::create_dir_all(&drop_ins).unwrap();
        fs::write(Path::new(UNITS).join(SERVICE), UNIT).unwrap();
        if unit::is_older_kernel().unwrap() {
            fs::write(drop_ins.join("older-kernels.conf"), OLDER_UNIT).unwrap();
        }
        let at = directory.path().display();
        // No journal runs in the guest, and a failure must stay one.
        let output = format!(
            "[Service]\nStandardOutput=truncate:{at}/stdout\nStandardError=truncate:{at}/stderr\nRestart=no\n{more}"
        );
        fs::write(drop_ins.join("test.conf"), output).unwrap();
        systemctl(&["daemon-reload"]);
        systemctl(&["start", SERVICE]);
        Self {
            how: How::Service,
            directory,
            _launch: None,
        }
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
        let bytes = fs::read(self.directory.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it watches.
    pub(crate) fn ready(mut self) -> Self {
        let ended = wait::until("the sensor's start", Deadline::after(STARTING), || {
            let ready = self.stderr().lines().any(|line| line.starts_with(READY));
            Ok(if ready { Some(None) } else { self.ended().map(Some) })
        });
        match ended {
            Ok(None) => self,
            other => panic!("{other:?}: {}", self.stderr()),
        }
    }

    /// What it said when it watched.
    pub(crate) fn announcement(&self) -> String {
        let said = self.stderr();
        let line = said.lines().find(|line| line.starts_with(READY));
        line.unwrap_or_default().to_owned()
    }

    /// Its exit code, if it has ended.
    fn ended(&mut self) -> Option<i32> {
        match &mut self.how {
            How::Process(guard) => Some(guard.ended().unwrap()?.code().unwrap_or(-1)),
            How::Service => {
                let shown = systemctl(&["show", "-p", "ActiveState,ExecMainStatus", SERVICE]);
                let ended = shown.contains("=inactive") || shown.contains("=failed");
                let code = shown
                    .lines()
                    .find_map(|line| line.strip_prefix("ExecMainStatus="));
                ended.then(|| code.and_then(|code| code.parse().ok()).unwrap_or(-1))
            }
        }
    }

    /// Waits for its end; gives the exit code.
    pub(crate) fn end(&mut self) -> i32 {
        let code = wait::until("the end", Deadline::after(ENDING), || Ok(self.ended()));
        code.unwrap_or_else(|error| panic!("{error:#}: {}", self.stderr()))
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(&mut self) -> i32 {
        match &self.how {
            How::Process(guard) => guard.signal(SIGTERM).unwrap(),
            How::Service => drop(systemctl(&["stop", SERVICE])),
        }
        self.end()
    }
}

fn systemctl(arguments: &[&str]) -> String {
    let mut command = Command::new(Program::Systemctl.find().unwrap());
    guard::run(command.args(arguments), Deadline::after(STARTING)).unwrap()
}
