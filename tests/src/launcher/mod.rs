//! Starts a program as a systemd unit or a manifest of Kubernetes says, by a runtime of containers (crun).
//!
//! Takes the files of `deploy/`. Gives a command that applies them: user, capabilities, system calls, mounts, limits.
//! Never changes the machine: what is mounted is in a mount namespace that ends with the command, and directories of
//! state and configuration are the launch's own.

mod calls;
pub mod pod;
pub mod unit;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::guard;
use crate::programs::{self, Program};
use crate::wait::{DEADLINE, Deadline};
use pod::Pod;
use unit::Unit;

/// Programs without which nothing is launched.
pub const NEEDED: [Program; 3] = [Program::Crun, Program::Unshare, Program::SystemdAnalyze];

/// Where unit and image have the sensor.
pub const INSTALLED: &str = "/usr/bin/api-sensor";

/// The bundle is `$0`, crun `$1`, the container `$2`. crun of Debian 12 refuses machines with control groups of both
/// kinds, so that it sees a unified hierarchy alone.
const SCRIPT: &str = "{ umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; } 2>/dev/null; \
                      exec \"$1\" --root $0/run --cgroup-manager=cgroupfs run -b $0 \"$2\"";

/// A root directory over the machine's own. What a runtime makes for its mounts goes into memory.
const HOST: &str = "mount -t tmpfs none $0/over && mkdir $0/over/upper $0/over/work && \
                    mount -t overlay -o lowerdir=/,upperdir=$0/over/upper,workdir=$0/over/work overlay $0/root && ";

/// The same in a machine of the tests' own, whose kernel may have no overlays.
const GUEST: &str = "mount -o bind / $0/root && ";

/// A bundle of the OCI runtime specification, and the directories it needs. They go with this value.
#[derive(Debug)]
pub struct Launch {
    directory: TempDir,
    id: String,
    config: Value,
    /// Prepares the root directory.
    before: &'static str,
}

impl Launch {
    /// As the unit says, over this machine's files. `settings` are the files of its configuration directory.
    pub fn unit(unit: &Unit, sensor: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let directory = bundle(settings)?;
        let at = |name: &str| directory.path().join(name);
        let mut config = unit.config(&at("state"), &at("settings"))?;
        let mut mounts = machine()?;
        mounts.push(bind(sensor, INSTALLED, &["ro"]));
        config["root"]["path"] = json!(at("root"));
        let before = if programs::is_guest() { GUEST } else { HOST };
        Self::new(directory, config, mounts, before)
    }

    /// As the manifest says, over an image of the sensor and what it is linked with.
    pub fn pod(pod: &Pod, sensor: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let directory = bundle(settings)?;
        let at = |name: &str| directory.path().join(name);
        let mut config = pod.config(&at("state"), &at("settings"))?;
        image(&at("root"), sensor)?;
        config["root"]["path"] = json!(at("root"));
        let mounts = vec![mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"])];
        Self::new(directory, config, mounts, "")
    }

    fn new(directory: TempDir, mut config: Value, mounts: Vec<Value>, before: &'static str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("api-sensor-test-{}-{number}", std::process::id());
        let mut all = vec![
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "mode=755"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        ];
        all.extend(mounts);
        all.extend(config["mounts"].as_array().cloned().unwrap_or_default());
        config["mounts"] = json!(all);
        config["ociVersion"] = json!("1.0.2");
        config["process"]["cwd"] = json!("/");
        config["linux"]["cgroupsPath"] = json!(format!("/{id}"));
        grantable(&mut config["process"]["rlimits"])?;
        Ok(Self {
            directory,
            id,
            config,
            before,
        })
    }

    /// Another program in place of the sensor, with this machine's programs and libraries.
    #[must_use]
    pub fn running(mut self, arguments: &[&str]) -> Self {
        self.config["process"]["args"] = json!(arguments);
        if let Some(mounts) = self.config["mounts"].as_array_mut() {
            // The image has none, and over the machine's own files the same is there anyway.
            mounts.push(bind(Path::new("/usr"), "/usr", &["ro"]));
        }
        self
    }

    /// The command that launches it, ends with it and hands signals on to it.
    pub fn command(&self) -> Result<Command> {
        let config = self.directory.path().join("config.json");
        fs::write(&config, self.config.to_string())
            .with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = Command::new(Program::Unshare.find()?);
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-c"]);
        command.arg(format!("{}{SCRIPT}", self.before));
        command.arg(self.directory.path());
        command.arg(Program::Crun.find()?).arg(&self.id);
        Ok(command)
    }
}

fn bundle(settings: &[(&str, &str)]) -> Result<TempDir> {
    let directory = TempDir::with_prefix("api-sensor-launch-")?;
    for name in ["over", "root", "run", "state", "settings"] {
        let path = directory.path().join(name);
        fs::create_dir(&path)?;
        // Whatever the umask of whoever runs the tests.
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    for (name, text) in settings {
        let path = directory.path().join("settings").join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    }
    Ok(directory)
}

/// Mounts of this machine below `/`, read-only, as `ProtectSystem=strict` leaves them. `/proc` and `/dev` are new ones.
fn machine() -> Result<Vec<Value>> {
    const OTHERS: [&str; 5] = ["/proc", "/dev", "/sys/fs/cgroup", "/tmp", "/var/tmp"];
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let places = table.lines().filter_map(|line| line.split_whitespace().nth(4));
    let places = places.filter(|place| {
        *place != "/"
            // A name with a space in it, written as octal digits.
            && !place.contains('\\')
            && !OTHERS.iter().any(|other| Path::new(place).starts_with(other))
    });
    let cgroup = "/sys/fs/cgroup";
    let places = places.chain([cgroup]);
    Ok(places
        .map(|place| bind(Path::new(place), place, &["ro"]))
        .collect())
}

/// A file system of the sensor, what it is linked with, and nothing else.
fn image(root: &Path, sensor: &Path) -> Result<()> {
    for directory in ["usr/bin", "usr/lib", "usr/lib64"] {
        fs::create_dir_all(root.join(directory))?;
    }
    for name in ["bin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    // What ldd does, which is a script that guests have no shell for.
    let mut loader = Command::new(sensor);
    let listed = guard::run(
        loader.env("LD_TRACE_LOADED_OBJECTS", "1"),
        Deadline::after(DEADLINE),
    )?;
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
    let libraries = libraries.map(|library| (Path::new(library), library));
    for (from, to) in libraries.chain([(sensor, INSTALLED)]) {
        let place = root.join(to.trim_start_matches('/'));
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from, &place).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

/// Limits beyond this process's own take a capability, which some machines withhold from root.
fn grantable(limits: &mut Value) -> Result<()> {
    const CAP_SYS_RESOURCE: u32 = 24;
    let status = fs::read_to_string("/proc/self/status")?;
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = u64::from_str_radix(held.context("no CapEff")?.trim(), 16)?;
    if held >> CAP_SYS_RESOURCE & 1 == 1 {
        return Ok(());
    }
    let table = fs::read_to_string("/proc/self/limits")?;
    let row = table.lines().find_map(|line| line.strip_prefix("Max open files"));
    let most = row.and_then(|row| row.split_whitespace().nth(1)?.parse::<u64>().ok());
    let most = most.context("no limit of open files")?;
    for limit in limits.as_array_mut().into_iter().flatten() {
        let wanted = limit["hard"].as_u64().unwrap_or(0);
        if limit["type"] == "RLIMIT_NOFILE" && wanted > most {
            programs::seen(&format_args!("this machine grants {most} open files of {wanted}"));
            limit["soft"] = json!(most);
            limit["hard"] = json!(most);
        }
    }
    Ok(())
}

/// Gives a directory to a user.
fn give(directory: &Path, user: u32, mode: u32) -> Result<()> {
    chown(directory, Some(user), Some(user))?;
    fs::set_permissions(directory, Permissions::from_mode(mode))?;
    Ok(())
}

fn bind(source: &Path, destination: &str, options: &[&str]) -> Value {
    let options: Vec<&str> = options.iter().copied().chain(["bind"]).collect();
    json!({ "destination": destination, "type": "bind", "source": source, "options": options })
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": kind, "options": options })
}

/// A directory for temporary files of its own.
fn temporary(destination: &str) -> Value {
    mount(destination, "tmpfs", &["nosuid", "nodev", "mode=1777"])
}
