//! A systemd unit's `[Service]`, as a configuration of the OCI runtime specification.
//!
//! Takes the unit's text and those of its drop-ins. Gives what a process of that service may do and see. A directive
//! that is not known here is an error: nothing is left out in silence.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::calls::{self, Calls, Restriction};
use super::{bind, temporary};

/// The first user of those that `DynamicUser=` takes (systemd.exec(5)).
const DYNAMIC_USER: u32 = 61184;

/// Directives without effect on what one process may do or see.
const WITHOUT_EFFECT: [&str; 11] = [
    // When it counts as started, what it is sent, and what becomes of it when it ends.
    "Type",
    "ExecReload",
    "Restart",
    "RestartSec",
    "RestartPreventExitStatus",
    "TimeoutStopSec",
    // How much it may use: nothing is refused by these, and a machine of tests may lack the controllers.
    "MemoryMax",
    "CPUQuota",
    "TasksMax",
    // Runtimes always give a session keyring of its own.
    "KeyringMode",
    // The filter is for the machine's own calls alone.
    "SystemCallArchitectures",
];

/// Directives that must say just this, which is what is without them.
const AS_WITHOUT: [(&str, &str); 4] = [
    ("ProtectProc", "default"),
    ("ProcSubset", "all"),
    ("PrivateUsers", "no"),
    ("PrivateNetwork", "no"),
];

/// What `ProtectKernelTunables=` makes read-only and hides (systemd's list).
const TUNABLES: [&str; 12] = [
    "/proc/acpi",
    "/proc/apm",
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/latency_stats",
    "/proc/mtrr",
    "/proc/scsi",
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/timer_stats",
];
const HIDDEN_TUNABLES: [&str; 2] = ["/proc/kallsyms", "/proc/kcore"];

/// The service's `[Service]` section.
#[derive(Clone, Debug)]
pub struct Unit {
    lines: Vec<(String, String)>,
}

impl Unit {
    /// Reads a unit and its drop-ins, in order.
    pub fn read(texts: &[&str]) -> Result<Self> {
        let mut lines = Vec::new();
        for text in texts {
            let mut section = "";
            for line in text.lines().map(str::trim) {
                if line.is_empty() || line.starts_with(['#', ';']) {
                    continue;
                }
                ensure!(!line.ends_with('\\'), "continued lines are not read: {line}");
                if line.starts_with('[') {
                    section = line;
                } else if section == "[Service]" {
                    let (key, value) = line
                        .split_once('=')
                        .with_context(|| format!("no directive: {line}"))?;
                    lines.push((key.to_owned(), value.to_owned()));
                }
            }
        }
        Ok(Self { lines })
    }

    /// The same without a capability.
    #[must_use]
    pub fn without(mut self, capability: &str) -> Self {
        for (key, value) in &mut self.lines {
            if matches!(key.as_str(), "AmbientCapabilities" | "CapabilityBoundingSet") {
                let left: Vec<&str> = value
                    .split_whitespace()
                    .filter(|name| *name != capability)
                    .collect();
                *value = left.join(" ");
            }
        }
        self
    }

    /// The configuration. `state` and `settings` are the directories that its state and configuration directories are.
    pub(super) fn config(&self, state: &Path, settings: &Path) -> Result<Value> {
        let mut service = Service::new(state, settings);
        for (key, value) in &self.lines {
            let known = service
                .process(key, value)
                .and_then(|known| Ok(known || service.files(key, value)?))
                .and_then(|known| Ok(known || service.calls(key, value)?))
                .with_context(|| format!("{key}={value}"))?;
            ensure!(
                known || WITHOUT_EFFECT.contains(&key.as_str()) || AS_WITHOUT.contains(&(key, value)),
                "{key}={value} is not known here"
            );
        }
        service.config()
    }
}

/// What is gathered of the directives.
struct Service<'a> {
    state: &'a Path,
    settings: &'a Path,
    arguments: Vec<String>,
    environment: Vec<String>,
    user: Option<u32>,
    umask: u32,
    ambient: BTreeSet<String>,
    bounding: BTreeSet<String>,
    /// Capabilities that a protection takes away.
    dropped: Vec<&'static str>,
    no_new_privileges: bool,
    limits: Vec<Value>,
    state_mode: u32,
    state_directory: Option<String>,
    read_only: bool,
    mounts: Vec<Value>,
    hidden: Vec<&'static str>,
    fixed: Vec<&'static str>,
    namespaces: Vec<&'static str>,
    filter: Calls,
}

impl<'a> Service<'a> {
    fn new(state: &'a Path, settings: &'a Path) -> Self {
        Self {
            state,
            settings,
            arguments: Vec::new(),
            environment: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin".to_owned()],
            user: None,
            umask: 0o022,
            ambient: BTreeSet::new(),
            bounding: BTreeSet::new(),
            dropped: Vec::new(),
            no_new_privileges: false,
            limits: Vec::new(),
            state_mode: 0o755,
            state_directory: None,
            read_only: false,
            mounts: Vec::new(),
            hidden: Vec::new(),
            fixed: Vec::new(),
            namespaces: vec!["mount"],
            filter: Calls::new(),
        }
    }

    /// Who it is and what it may.
    fn process(&mut self, key: &str, value: &str) -> Result<bool> {
        match key {
            "ExecStart" => self.arguments = value.split_whitespace().map(str::to_owned).collect(),
            "DynamicUser" => {
                yes(value)?;
                self.user = Some(DYNAMIC_USER);
                // These come with it (systemd.exec(5)).
                self.no_new_privileges = true;
                self.filter.restrict(Restriction::SetIds);
            }
            "AmbientCapabilities" => extend(&mut self.ambient, value),
            "CapabilityBoundingSet" => extend(&mut self.bounding, value),
            "NoNewPrivileges" => {
                yes(value)?;
                self.no_new_privileges = true;
            }
            "UMask" => self.umask = octal(value)?,
            "Environment" => {
                ensure!(
                    !value.contains(['"', '\'', '\\', '%']),
                    "only plain words are known here"
                );
                self.environment
                    .extend(value.split_whitespace().map(str::to_owned));
            }
            "LimitNOFILE" => self.limit("RLIMIT_NOFILE", value)?,
            "LimitCORE" => self.limit("RLIMIT_CORE", value)?,
            "PrivateIPC" => {
                yes(value)?;
                self.namespaces.push("ipc");
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn limit(&mut self, name: &str, value: &str) -> Result<()> {
        let number: u64 = value.parse()?;
        self.limits
            .push(json!({ "type": name, "soft": number, "hard": number }));
        Ok(())
    }

    /// What it sees.
    fn files(&mut self, key: &str, value: &str) -> Result<bool> {
        match key {
            "StateDirectory" => {
                self.state_directory = Some(format!("/var/lib/{value}"));
                self.environment.push(format!("STATE_DIRECTORY=/var/lib/{value}"));
            }
            "StateDirectoryMode" => self.state_mode = octal(value)?,
            "ConfigurationDirectory" => {
                self.mounts
                    .push(bind(self.settings, &format!("/etc/{value}"), &["ro"]));
                self.environment
                    .push(format!("CONFIGURATION_DIRECTORY=/etc/{value}"));
            }
            "ProtectSystem" => {
                ensure!(value == "strict", "only `strict` is known here");
                self.read_only = true;
            }
            "ProtectHome" => {
                yes(value)?;
                self.hidden.extend(["/home", "/root", "/run/user"]);
            }
            "PrivateTmp" => {
                yes(value)?;
                self.mounts.extend(["/tmp", "/var/tmp"].map(temporary));
            }
            "ProtectKernelTunables" => {
                yes(value)?;
                self.fixed.extend(TUNABLES);
                self.hidden.extend(HIDDEN_TUNABLES);
            }
            // Every mount of /sys is read-only here.
            "ProtectControlGroups" => yes(value)?,
            // A runtime's /dev has the devices that this leaves.
            "PrivateDevices" => {
                yes(value)?;
                self.dropped.extend(["CAP_MKNOD", "CAP_SYS_RAWIO"]);
                self.filter.refuse("@raw-io")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What it may ask of the kernel.
    fn calls(&mut self, key: &str, value: &str) -> Result<bool> {
        let filter = &mut self.filter;
        match key {
            "SystemCallFilter" => filter.filter(value)?,
            "SystemCallErrorNumber" => {
                ensure!(value == "EPERM", "only `EPERM` is known here");
                filter.errno = calls::EPERM;
            }
            "RestrictAddressFamilies" => {
                for name in value.split_whitespace() {
                    filter.families.push(calls::family(name)?);
                }
            }
            _ => {
                match key {
                    "RestrictNamespaces" => filter.restrict(Restriction::Namespaces),
                    "RestrictRealtime" => filter.restrict(Restriction::RealTime),
                    "RestrictSUIDSGID" => filter.restrict(Restriction::SetIds),
                    "MemoryDenyWriteExecute" => filter.restrict(Restriction::WriteAndExecute),
                    "LockPersonality" => filter.refuse("personality")?,
                    "ProtectClock" => {
                        self.dropped.extend(["CAP_SYS_TIME", "CAP_WAKE_ALARM"]);
                        filter.refuse("@clock")?;
                    }
                    "ProtectHostname" => {
                        self.namespaces.push("uts");
                        filter.refuse("sethostname")?;
                        filter.refuse("setdomainname")?;
                    }
                    "ProtectKernelLogs" => {
                        self.hidden.extend(["/proc/kmsg", "/dev/kmsg"]);
                        self.dropped.push("CAP_SYSLOG");
                        filter.refuse("syslog")?;
                    }
                    "ProtectKernelModules" => {
                        self.hidden.extend(["/usr/lib/modules", "/lib/modules"]);
                        self.dropped.push("CAP_SYS_MODULE");
                        filter.refuse("@module")?;
                    }
                    _ => return Ok(false),
                }
                yes(value)?;
            }
        }
        Ok(true)
    }

    fn config(mut self) -> Result<Value> {
        let user = self.user.context("the unit runs as root")?;
        ensure!(self.read_only, "ProtectSystem=strict is missing");
        for name in self.dropped {
            self.bounding.remove(name);
            self.ambient.remove(name);
        }
        if let Some(place) = &self.state_directory {
            super::give(self.state, user, self.state_mode)?;
            self.mounts.push(bind(self.state, place, &["rw"]));
        }
        let namespaces: Vec<Value> = self
            .namespaces
            .iter()
            .map(|kind| json!({ "type": kind }))
            .collect();
        Ok(json!({
            "process": {
                "user": { "uid": user, "gid": user, "umask": self.umask },
                "args": self.arguments,
                "env": self.environment,
                "noNewPrivileges": self.no_new_privileges,
                "rlimits": self.limits,
                "capabilities": {
                    "bounding": self.bounding,
                    "permitted": self.ambient,
                    "effective": self.ambient,
                    "inheritable": self.ambient,
                    "ambient": self.ambient,
                },
            },
            "root": { "readonly": true },
            "mounts": self.mounts,
            "linux": {
                "namespaces": namespaces,
                "seccomp": self.filter.config()?,
                "maskedPaths": self.hidden,
                "readonlyPaths": self.fixed,
            },
        }))
    }
}

/// An empty value takes back what was said before (systemd.exec(5)).
fn extend(set: &mut BTreeSet<String>, value: &str) {
    if value.is_empty() {
        set.clear();
    }
    set.extend(value.split_whitespace().map(str::to_owned));
}

fn octal(value: &str) -> Result<u32> {
    Ok(u32::from_str_radix(value, 8)?)
}

fn yes(value: &str) -> Result<()> {
    if value != "yes" {
        bail!("only `yes` is known here");
    }
    Ok(())
}

/// Whether the drop-in for older kernels is what applies, by the rule that it states itself.
pub fn is_older_kernel() -> Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let paranoia: i32 = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")?
        .trim()
        .parse()?;
    Ok(version < (6, 6) || paranoia > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "[Unit]\nDescription=x\n[Service]\nExecStart=/usr/bin/x run\nDynamicUser=yes\nUMask=0077\n\
                        AmbientCapabilities=CAP_BPF CAP_SYSLOG\nCapabilityBoundingSet=CAP_BPF CAP_SYSLOG\n\
                        LimitCORE=0\nEnvironment=A=1 B=2\nProtectSystem=strict\nProtectKernelLogs=yes\nPrivateUsers=no\n\
                        SystemCallFilter=read syslog\n[Install]\nWantedBy=y\n";

    fn config(texts: &[&str]) -> Result<Value> {
        Unit::read(texts)?.config(Path::new("/state"), Path::new("/settings"))
    }

    #[test]
    fn directives_become_what_a_runtime_applies() {
        let config = config(&[UNIT]).unwrap();
        let process = &config["process"];
        assert_eq!(process["args"], json!(["/usr/bin/x", "run"]));
        assert_eq!(process["user"]["uid"], DYNAMIC_USER);
        assert_eq!(process["user"]["umask"], 0o077);
        let environment = process["env"].as_array().unwrap();
        assert!(
            environment.ends_with(&[json!("A=1"), json!("B=2")]),
            "{environment:?}"
        );
        assert_eq!(process["noNewPrivileges"], true);
        // CAP_SYSLOG and the call are taken away by ProtectKernelLogs.
        assert_eq!(process["capabilities"]["ambient"], json!(["CAP_BPF"]));
        assert_eq!(process["capabilities"]["bounding"], json!(["CAP_BPF"]));
        assert_eq!(
            config["linux"]["seccomp"]["syscalls"][0]["names"],
            json!(["read"])
        );
        assert_eq!(
            process["rlimits"],
            json!([{ "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }])
        );
    }

    #[test]
    fn a_drop_in_takes_back_and_a_capability_can_be_left_out() {
        let drop_in = "[Service]\nAmbientCapabilities=\nAmbientCapabilities=CAP_SYS_ADMIN CAP_SYS_PTRACE\n";
        let unit = Unit::read(&[UNIT, drop_in]).unwrap();
        let ambient = |unit: &Unit| {
            let config = unit.config(Path::new("/state"), Path::new("/settings")).unwrap();
            config["process"]["capabilities"]["ambient"].clone()
        };
        assert_eq!(ambient(&unit), json!(["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]));
        assert_eq!(ambient(&unit.without("CAP_SYS_PTRACE")), json!(["CAP_SYS_ADMIN"]));
    }

    #[test]
    fn what_is_not_known_here_is_refused() {
        for line in [
            "PrivateMounts=yes",
            "PrivateUsers=yes",
            "ProtectHome=read-only",
            "UMask=x",
            "Environment=A=\"1 2\"",
        ] {
            let error = config(&[&UNIT.replace("UMask=0077", line)]).unwrap_err();
            let key = line.split('=').next().unwrap();
            assert!(format!("{error:#}").contains(key), "{error:#}");
        }
    }
}
