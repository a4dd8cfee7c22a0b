//! What is wrong with a configuration, where, and what to do: everything at once.
//!
//! Takes a configuration and where each value came from. Gives every problem with its place and remedy. Never stops at
//! the first, nor shows a secret. Bounded by the number of settings.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ByteSize, Config, HeaderSource};

/// Twice what the sensor takes without traffic: a ceiling below would leave everything out for ever.
const LEAST_MEMORY: u64 = 128 << 20;

/// Where a setting came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// File and line.
    File(PathBuf, usize),
    /// Environment variable.
    Variable(String),
    /// Flag of the command line.
    Flag(&'static str),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    pub(super) fn new(place: Place, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            place,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.place, self.what, self.remedy)
    }
}

/// Rules that a type cannot express.
pub(super) fn check(config: &Config, origins: &BTreeMap<String, Place>) -> Vec<Problem> {
    let mut checker = Checker {
        origins,
        problems: Vec::new(),
    };
    checker.capture(config);
    checker.watch(config);
    checker.kubernetes(config);
    checker.otlp(config);
    checker.otlp_rest(config);
    checker.rest(config);
    checker.problems
}

/// Labels of a pod that are shown at most.
pub const MAX_LABELS: usize = 16;

/// Whether a text may be a node's name: an RFC 1123 subdomain. Nothing else may stand in a field selector.
pub fn is_node_name(name: &str) -> bool {
    let right = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'.');
    (1..=253).contains(&name.len()) && name.bytes().all(right)
}

/// Whether a text may be a label's key: a name, with a prefix or without.
fn is_label_key(key: &str) -> bool {
    let right = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b'/');
    (1..=317).contains(&key.len()) && key.bytes().all(right)
}

struct Checker<'a> {
    origins: &'a BTreeMap<String, Place>,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn require(&mut self, right: bool, key: &str, what: impl Into<String>, remedy: &str) {
        if !right {
            let place = self.origins.get(key).cloned().unwrap_or(Place::Default);
            self.problems
                .push(Problem::new(place, format!("{key}: {}", what.into()), remedy));
        }
    }

    fn size(&mut self, key: &str, size: ByteSize, (least, most): (u64, u64), remedy: &str) {
        let right = (least..=most).contains(&size.0);
        self.require(
            right,
            key,
            format!("{size} is outside {} to {}", ByteSize(least), ByteSize(most)),
            remedy,
        );
    }

    fn ring(&mut self, key: &str, size: ByteSize, bounds: (u64, u64)) {
        self.size(key, size, bounds, "choose a power of two between them");
        if !(bounds.0..=bounds.1).contains(&size.0) {
            return;
        }
        // The kernel refuses any other size of a ring (kernel/bpf/ringbuf.c).
        let what = format!("{size} is not a power of two");
        self.require(
            size.0.is_power_of_two(),
            key,
            what,
            "choose a power of two, such as 16MiB",
        );
    }

    fn capture(&mut self, config: &Config) {
        let capture = &config.capture;
        // A data record is up to 16 KiB and must fit beside another one; above 1 GiB the kernel's 32-bit positions end.
        self.ring("capture.ring_bytes", capture.ring_bytes, (32 << 10, 1 << 30));
        self.ring(
            "capture.control_ring_bytes",
            capture.control_ring_bytes,
            (4 << 10, 64 << 20),
        );
        self.size(
            "capture.body_limit",
            capture.body_limit,
            (1, 1 << 30),
            "64KiB suits most APIs",
        );
        self.size(
            "capture.call_limit",
            capture.call_limit,
            (16 << 10, 1 << 20),
            "leave it at 1MiB",
        );
        let entries = (64..=16_777_216).contains(&capture.stream_entries);
        self.require(
            entries,
            "capture.stream_entries",
            "outside 64 to 16777216",
            "65536 suits most hosts",
        );
        for library in &capture.libraries {
            self.absolute("capture.libraries", library);
        }
    }

    fn absolute(&mut self, key: &str, path: &Path) {
        let what = format!("`{}` is not an absolute path", path.display());
        self.require(path.is_absolute(), key, what, "begin it with /");
    }

    fn watch(&mut self, config: &Config) {
        let watch = &config.watch;
        let pids = watch.pid.iter().all(|pid| *pid != 0);
        self.require(
            pids,
            "watch.pid",
            "no process has id 0",
            "remove it; without a filter everybody is watched",
        );
        for (key, comms) in [
            ("watch.comm", &watch.comm),
            ("watch.exclude_comm", &watch.exclude_comm),
        ] {
            self.comms(key, comms);
        }
        for exe in &watch.exe {
            self.absolute("watch.exe", exe);
        }
        for exe in &watch.exclude_exe {
            self.absolute("watch.exclude_exe", exe);
        }
        for (key, cgroups) in [
            ("watch.cgroup", &watch.cgroup),
            ("watch.exclude_cgroup", &watch.exclude_cgroup),
        ] {
            self.cgroups(key, cgroups);
        }
        for (key, containers) in [
            ("watch.container", &watch.container),
            ("watch.exclude_container", &watch.exclude_container),
        ] {
            self.containers(key, containers);
        }
        for (key, labels) in [
            ("watch.label", &watch.label),
            ("watch.exclude_label", &watch.exclude_label),
        ] {
            let right = labels
                .iter()
                .all(|label| !label.is_empty() && !label.starts_with('='));
            self.require(right, key, "a label has no key", "write it like tier=db, or tier");
        }
        self.require(
            !watch.port.contains(&0),
            "watch.port",
            "there is no port 0",
            "name a port from 1 to 65535",
        );
        let paths = watch.path.iter().all(|path| path.starts_with('/'));
        self.require(
            paths,
            "watch.path",
            "a path begins with /",
            "write it like /users",
        );
    }

    fn kubernetes(&mut self, config: &Config) {
        let settings = &config.kubernetes;
        self.require(
            settings.node.as_deref().is_none_or(is_node_name),
            "kubernetes.node",
            "not the name of a node",
            "use lower-case letters, digits, - and ., as `kubectl get nodes` shows it",
        );
        let labels = &settings.labels;
        let right = labels.len() <= MAX_LABELS && labels.iter().all(|label| is_label_key(label));
        self.require(
            right,
            "kubernetes.labels",
            "not at most 16 keys of labels",
            "write them like app.kubernetes.io/name or tier",
        );
    }

    fn comms(&mut self, key: &str, comms: &[String]) {
        for comm in comms {
            // TASK_COMM_LEN is 16 with the final zero (include/linux/sched.h).
            let right = (1..16).contains(&comm.len());
            let remedy = "use the name in /proc/PID/comm, at most 15 bytes";
            self.require(right, key, format!("`{comm}` is no command name"), remedy);
        }
    }

    fn cgroups(&mut self, key: &str, cgroups: &[PathBuf]) {
        for cgroup in cgroups {
            self.absolute(key, cgroup);
        }
        let most = sensor_common::policy::MAX_CGROUP_FILTERS as usize;
        let right = cgroups.len() <= most;
        self.require(
            right,
            key,
            format!("more than {most}"),
            "name a common ancestor instead",
        );
    }

    fn containers(&mut self, key: &str, containers: &[String]) {
        for container in containers {
            // Six digits tell a container from every other of a host; fewer would choose by chance.
            let right =
                (6..=64).contains(&container.len()) && container.bytes().all(|byte| byte.is_ascii_hexdigit());
            let remedy =
                "give the id, or at least its first six digits, as `docker ps` or `crictl ps` shows it";
            self.require(right, key, format!("`{container}` is no container id"), remedy);
        }
    }

    fn otlp(&mut self, config: &Config) {
        let otlp = &config.otlp;
        let endpoints = [
            ("otlp.endpoint", &otlp.endpoint),
            ("otlp.logs_endpoint", &otlp.logs_endpoint),
            ("otlp.traces_endpoint", &otlp.traces_endpoint),
            ("otlp.metrics_endpoint", &otlp.metrics_endpoint),
        ];
        for (key, endpoint) in endpoints {
            if let Some(endpoint) = endpoint {
                self.endpoint(key, endpoint);
            }
        }
        for (name, source) in &otlp.headers {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let right = !name.is_empty() && name.bytes().all(token);
            self.require(
                right,
                "otlp.headers",
                "a name is no header name",
                "use letters, digits, `-`, `_` and `.`",
            );
            if let HeaderSource::File(path) = source {
                self.absolute("otlp.headers", path);
            }
        }
        let right = (Duration::from_millis(100)..=Duration::from_hours(1)).contains(&otlp.interval.0);
        self.require(
            right,
            "otlp.interval",
            format!("{} is outside 100ms to 1h", otlp.interval),
            "10s suits most",
        );
    }

    fn endpoint(&mut self, key: &str, endpoint: &str) {
        let rest = endpoint
            .strip_prefix("http://")
            .or_else(|| endpoint.strip_prefix("https://"));
        let right = rest.is_some_and(|rest| {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
            let path = rest
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
            !authority.is_empty() && authority.bytes().all(plain) && path
        });
        // The value is not repeated: somebody may have put credentials into it.
        let remedy = "write it like http://127.0.0.1:4317 or https://collector.example:4317, credentials as otlp.headers";
        self.require(right, key, "not an http:// or https:// address", remedy);
    }

    fn otlp_rest(&mut self, config: &Config) {
        let otlp = &config.otlp;
        let right = (Duration::from_millis(100)..=Duration::from_mins(10)).contains(&otlp.timeout.0);
        let what = format!("{} is outside 100ms to 10m", otlp.timeout);
        self.require(right, "otlp.timeout", what, "10s suits most");
        let what = format!("{} is outside 0 to 1", otlp.sampler_ratio);
        let right = (0.0..=1.0).contains(&otlp.sampler_ratio);
        self.require(
            right,
            "otlp.sampler_ratio",
            what,
            "0.01 keeps one trace in a hundred",
        );
        let memory = (1 << 20, 1 << 30);
        self.size("otlp.queue_bytes", otlp.queue_bytes, memory, "16MiB suits most");
        if otlp.spool_bytes.0 != 0 {
            let spool = (1 << 20, 64 << 30);
            self.size(
                "otlp.spool_bytes",
                otlp.spool_bytes,
                spool,
                "256MiB suits most, 0 is none",
            );
        }
        let (certificate, key) = ("otlp.client_certificate_file", "otlp.client_key_file");
        let named = (
            otlp.client_certificate_file.is_some(),
            otlp.client_key_file.is_some(),
        );
        self.require(
            named != (true, false),
            certificate,
            "a certificate without its key",
            "name both files",
        );
        self.require(
            named != (false, true),
            key,
            "a key without its certificate",
            "name both files",
        );
        let files = [
            ("otlp.ca_file", &otlp.ca_file),
            (certificate, &otlp.client_certificate_file),
            (key, &otlp.client_key_file),
        ];
        for (key, file) in files {
            if let Some(file) = file {
                self.absolute(key, file);
            }
        }
    }

    fn store(&mut self, config: &Config) {
        let store = &config.store;
        let right = (Duration::from_millis(100)..=Duration::from_hours(1)).contains(&store.interval.0);
        let what = format!("{} is outside 100ms to 1h", store.interval);
        self.require(right, "store.interval", what, "10s suits most");
        let right = store.retention_days <= 3650;
        self.require(
            right,
            "store.retention_days",
            "more than ten years",
            "0 keeps everything",
        );
        let bounds = (1 << 20, 64 << 30);
        self.size(
            "store.max_bytes",
            store.max_bytes,
            bounds,
            "256MiB suits most hosts",
        );
    }

    fn rest(&mut self, config: &Config) {
        for set in &config.protocol.grpc_descriptors {
            self.absolute("protocol.grpc_descriptors", set);
        }
        self.absolute("state.directory", &config.state.directory);
        for (key, file) in [
            ("state.key_file", &config.state.key_file),
            ("state.previous_key_file", &config.state.previous_key_file),
        ] {
            if let Some(file) = file {
                self.absolute(key, file);
            }
        }
        self.store(config);
        let level = tracing_subscriber::EnvFilter::try_new(&config.output.log).is_ok();
        self.require(
            level,
            "output.log",
            "not a log level",
            "use error, warn, info, debug or trace",
        );
        for (key, most) in [
            ("alerts.per_hour", config.alerts.per_hour),
            ("alerts.critical_per_hour", config.alerts.critical_per_hour),
        ] {
            self.require(most > 0, key, "nothing would be told", "give 1 or more");
        }
        let limits = &config.limits;
        self.require(
            limits.shards <= 256,
            "limits.shards",
            "more than 256",
            "0 lets the sensor choose",
        );
        self.require(
            limits.streams >= 64,
            "limits.streams",
            "fewer than 64",
            "65536 suits most hosts",
        );
        let right = (16..=1_048_576).contains(&limits.queue);
        self.require(
            right,
            "limits.queue",
            "outside 16 to 1048576",
            "8192 suits most hosts",
        );
        self.require(
            limits.cpu_percent <= 100_000,
            "limits.cpu_percent",
            "more than a thousand processors",
            "give what the sensor's quota is, 100 for one processor",
        );
        self.require(
            limits.memory_bytes.0 == 0 || limits.memory_bytes.0 >= LEAST_MEMORY,
            "limits.memory_bytes",
            "less than what the sensor takes without traffic",
            "give what the sensor's limit is, 128MiB or more",
        );
    }
}
