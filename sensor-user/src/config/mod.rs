//! Typed configuration: file, environment and flags become one [`Config`]; all mistakes are reported together.
//!
//! Takes a TOML text, environment variables and flags. Gives a checked [`Config`]. Never reads a secret: headers of
//! the OTLP endpoint are named by file or variable only. A leaf: uses nothing else of this crate.

mod check;
mod docs;
mod load;
pub mod network;
mod setting;
mod state;
mod suppress;
mod unit;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use check::{MAX_LABELS, Place, Problem, is_node_name};
pub use docs::{annotated_example, reference};
pub use load::{DEFAULT_FILE, File, Flag, Inputs, load};
pub use network::Network;
pub use setting::{Kind, Section, Setting};
pub use state::{StateDirectory, StateError, named_key, previous_key};
pub use suppress::Suppress;
pub use unit::{ByteSize, Interval, Listen};

use setting::put;

/// Makes a section's struct, its defaults and its rows of the table of settings.
macro_rules! section {
    ($(#[doc = $about:literal])+ $name:ident is $section:ident {
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr, $kind:ident, $flag:literal;)+
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[doc = $doc])+ pub $field: $type,)+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $name {
            /// Rows of the table of settings.
            pub const SECTION: Section = Section {
                name: stringify!($section),
                about: concat!($($about),+),
                settings: &[$(Setting {
                    name: stringify!($field),
                    about: concat!($($doc),+),
                    kind: Kind::$kind,
                    flag: $flag,
                    set: |config, value| put(&mut config.$section.$field, value),
                },)+],
            };
        }
    };
}

/// Everything that can be set.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is copied out of the kernel.
    pub capture: Capture,
    /// Whom and what to watch.
    pub watch: Watch,
    /// Pods.
    pub kubernetes: Kubernetes,
    /// How protocols are read.
    pub protocol: Protocols,
    /// The terminal.
    pub output: Output,
    /// OpenTelemetry.
    pub otlp: Otlp,
    /// Prometheus.
    pub metrics: Metrics,
    /// How much is told.
    pub alerts: Alerts,
    /// Who calls.
    pub identity: Identity,
    /// What outlives a restart.
    pub state: State,
    /// The inventory's file.
    pub store: Store,
    /// Bounds.
    pub limits: Limits,
    /// Findings that somebody decided not to be told of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suppress: Vec<Suppress>,
}

/// The table of settings.
pub const SECTIONS: &[Section] = &[
    Capture::SECTION,
    Watch::SECTION,
    Kubernetes::SECTION,
    Protocols::SECTION,
    Output::SECTION,
    Otlp::SECTION,
    Metrics::SECTION,
    Alerts::SECTION,
    Identity::SECTION,
    State::SECTION,
    Store::SECTION,
    Limits::SECTION,
];

section! {
    /// What the kernel object copies out, and how.
    Capture is capture {
        /// Bytes of the ring that carries payload: a power of two from 32KiB to 1GiB.
        ring_bytes: ByteSize = ByteSize(16 << 20), Text, "--ring-size";
        /// Bytes of the ring that carries life-cycle records: a power of two from 4KiB to 64MiB.
        control_ring_bytes: ByteSize = ByteSize(256 << 10), Text, "";
        /// Bytes of a message captured in each direction; what exceeds them is counted and marked as a gap.
        body_limit: ByteSize = ByteSize(64 << 10), Text, "--body-limit";
        /// Bytes captured of a single read or write call, 16KiB to 1MiB; kernels before 5.17 stop at 128KiB.
        call_limit: ByteSize = ByteSize(1 << 20), Text, "";
        /// Streams that the kernel object remembers.
        stream_entries: u32 = 65_536, Number, "";
        /// TLS libraries (absolute paths) to attach to before a process that uses them is seen.
        libraries: Vec<PathBuf> = Vec::new(), Texts, "--library";
        /// How probes are attached: `auto`, `multi` (one link for many, Linux 6.6) or `perf`.
        attach_backend: AttachBackend = AttachBackend::Auto, Text, "--attach-backend";
        /// Return probes of the kernel: `auto` (where a test at start shows that they do no harm) or `never`.
        return_probes: ReturnProbes = ReturnProbes::Auto, Text, "";
        /// Hooks inside the kernel's TCP, for what passes no system call (`io_uring`): `auto` (fentry, kprobes or a count of its bytes, whichever works) or `never`.
        tcp_hooks: TcpHooks = TcpHooks::Auto, Text, "";
    }
}

section! {
    /// Whom to watch and what to show. Without a process filter the whole host is watched.
    Watch is watch {
        /// Process ids; their descendants are watched too.
        pid: Vec<u32> = Vec::new(), Numbers, "--pid";
        /// Command names as in `/proc/PID/comm`, at most 15 bytes.
        comm: Vec<String> = Vec::new(), Texts, "--comm";
        /// Executables, by absolute path.
        exe: Vec<PathBuf> = Vec::new(), Texts, "--exe";
        /// Control groups, by path from the root of the unified hierarchy; descendants included, at most 8.
        cgroup: Vec<PathBuf> = Vec::new(), Texts, "--cgroup";
        /// Containers, by id or the beginning of it.
        container: Vec<String> = Vec::new(), Texts, "--container";
        /// Containers by label: `key=value`, or `key` for any value.
        label: Vec<String> = Vec::new(), Texts, "--label";
        /// Command names to leave alone. What is excluded wins over what is chosen.
        exclude_comm: Vec<String> = Vec::new(), Texts, "--exclude-comm";
        /// Executables to leave alone.
        exclude_exe: Vec<PathBuf> = Vec::new(), Texts, "--exclude-exe";
        /// Control groups to leave alone, descendants included, at most 8.
        exclude_cgroup: Vec<PathBuf> = Vec::new(), Texts, "--exclude-cgroup";
        /// Containers to leave alone, by id or the beginning of it.
        exclude_container: Vec<String> = Vec::new(), Texts, "--exclude-container";
        /// Containers to leave alone, by label.
        exclude_label: Vec<String> = Vec::new(), Texts, "--exclude-label";
        /// Show only connections with one of these ports at either end.
        port: Vec<u16> = Vec::new(), Numbers, "--port";
        /// Show only endpoints whose path template begins with one of these segments, such as `/users`.
        path: Vec<String> = Vec::new(), Texts, "--path";
    }
}

section! {
    /// The API server of Kubernetes: names of this node's pods, and which of them are watched. Without one everything else works.
    Kubernetes is kubernetes {
        /// `auto` (in a pod with a service account), `on` (it is asked, and its absence said) or `off`.
        mode: KubernetesMode = KubernetesMode::Auto, Text, "";
        /// Name of the node whose pods are asked for; without it that of the variable `NODE_NAME`, which the manifests set. Without either it is not asked.
        node: Option<String> = None, Text, "";
        /// Labels of pods that are shown as `k8s.pod.label.KEY`, at most 16.
        labels: Vec<String> = ["app.kubernetes.io/name", "app.kubernetes.io/version", "app.kubernetes.io/component", "app.kubernetes.io/part-of"].map(str::to_owned).to_vec(), Texts, "";
        /// Pods that are watched, by the annotation `api-sensor/watch` of the pod or else of its namespace: `all` but those with `"false"`, `annotated` (of pods, only those with `"true"`), or `regardless` of annotations: whoever may make pods may otherwise hide one.
        watch: WatchedPods = WatchedPods::All, Text, "";
    }
}

section! {
    /// How protocols are read.
    Protocols is protocol {
        /// Descriptor sets (`protoc --include_imports --descriptor_set_out`) that name the fields of gRPC messages; without them fields have numbers.
        grpc_descriptors: Vec<PathBuf> = Vec::new(), Texts, "";
    }
}

section! {
    /// What is written to standard output and to the log.
    Output is output {
        /// `text` to read, `json` for one object per line, or `none`.
        format: Format = Format::Text, Text, "--output";
        /// Level of the log on standard error: `error`, `warn`, `info`, `debug`, `trace`, or `module=level` pairs.
        log: String = "warn".to_owned(), Text, "--log";
    }
}

section! {
    /// OpenTelemetry: findings as log events, exchanges as spans and metrics, the sensor's accounts as metrics. Off without an endpoint.
    Otlp is otlp {
        /// Receiver of all signals, such as `http://127.0.0.1:4317` or `https://collector.example:4317`. `http/protobuf` adds `/v1/logs`, `/v1/traces` and `/v1/metrics`.
        endpoint: Option<String> = None, Text, "--otlp-endpoint";
        /// Receiver of findings and incidents alone; with `http/protobuf` the whole address.
        logs_endpoint: Option<String> = None, Text, "";
        /// Receiver of spans alone.
        traces_endpoint: Option<String> = None, Text, "";
        /// Receiver of metrics alone.
        metrics_endpoint: Option<String> = None, Text, "";
        /// What is sent: `logs`, `traces`, `metrics`.
        signals: Vec<Signal> = Signal::ALL.to_vec(), Texts, "";
        /// `grpc` or `http/protobuf`.
        protocol: Protocol = Protocol::Grpc, Text, "--otlp-protocol";
        /// `gzip` or `none`.
        compression: Compression = Compression::Gzip, Text, "";
        /// Headers sent along, each read from a file or a variable: `authorization = { file = "/path" }`. A file is read for each request, so that what it holds may be replaced.
        headers: BTreeMap<String, HeaderSource> = BTreeMap::new(), FileOnly, "";
        /// Time that one request may take, 100ms to 10m.
        timeout: Interval = Interval(std::time::Duration::from_secs(10)), Text, "";
        /// PEM file of the authorities that receivers are trusted by, instead of the system's.
        ca_file: Option<PathBuf> = None, Text, "";
        /// PEM file of the certificates that the sensor shows (mTLS), its own first; needs `client_key_file`.
        client_certificate_file: Option<PathBuf> = None, Text, "";
        /// PEM file of their key.
        client_key_file: Option<PathBuf> = None, Text, "";
        /// Which exchanges become spans, by OpenTelemetry's names: `always_on`, `always_off`, `traceidratio`, or one of these behind `parentbased_`, which does as the `traceparent` of a request says. An exchange with a finding always does.
        sampler: Sampler = Sampler::ParentbasedTraceidratio, Text, "";
        /// Share of traces that `traceidratio` keeps, 0 to 1.
        sampler_ratio: f64 = 0.01, Number, "";
        /// Spans in a second, at most, those of findings excepted: anybody can send a `traceparent` that asks for spans.
        spans_per_second: u32 = 100, Number, "";
        /// Bytes of records that wait in memory, 1MiB to 1GiB.
        queue_bytes: ByteSize = ByteSize(16 << 20), Text, "";
        /// Bytes of the spool in the state directory, where records wait while the receiver takes none, also over a restart; up to 64GiB. `0` for none: what does not fit into memory is lost, and counted.
        spool_bytes: ByteSize = ByteSize(256 << 20), Text, "";
        /// Time between two batches of metrics, 100ms to 1h.
        interval: Interval = Interval(std::time::Duration::from_secs(10)), Text, "";
        /// `service.name` of the sensor itself.
        service_name: String = "api-sensor".to_owned(), Text, "";
        /// Further resource attributes.
        resource: BTreeMap<String, String> = BTreeMap::new(), Pairs, "";
    }
}

section! {
    /// Metrics and health for Prometheus, without authentication: keep it on loopback.
    Metrics is metrics {
        /// Address and port of `/metrics`, `/coverage`, `/healthz` (the sensor lives) and `/readyz` (it sees), or `off`.
        listen: Listen = Listen::At(std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464)), Text, "--metrics-listen";
    }
}

section! {
    /// How much is told in an hour of findings and incidents. The worst have room first; what is held back is counted, and said at the end of the hour.
    Alerts is alerts {
        /// Findings and incidents that are not critical, at most: information and low ones up to half of it, medium ones up to three quarters.
        per_hour: u32 = 200, Number, "";
        /// Critical ones, at most.
        critical_per_hour: u32 = 1_000, Number, "";
    }
}

section! {
    /// Who calls.
    Identity is identity {
        /// Proxies that are believed when they say who sent a request (`X-Forwarded-For`, `Forwarded`, `X-Real-IP`, PROXY protocol): networks such as `10.0.0.0/8`, or addresses. Nobody is without being named here.
        trusted_proxies: Vec<Network> = Vec::new(), Texts, "";
    }
}

section! {
    /// What outlives a restart.
    State is state {
        /// Directory of the installation's key and of the store, created with mode 0700.
        directory: PathBuf = PathBuf::from("/var/lib/api-sensor"), Text, "--state-dir";
        /// File of 32 random bytes that hashes are keyed with, instead of the one in the directory. Made the first time when it does not exist, in a directory that nobody else can write to.
        key_file: Option<PathBuf> = None, Text, "";
        /// File of the key before it, while keys are being changed: hashes under it are recognised, and replaced as their values are seen again.
        previous_key_file: Option<PathBuf> = None, Text, "";
    }
}

section! {
    /// The inventory's file, `store.sqlite3` in the state directory: docs/OUTPUT.md has its tables.
    Store is store {
        /// `on`, or `off`: nothing is kept, and each run begins with nothing.
        mode: StoreMode = StoreMode::On, Text, "";
        /// Time between two transactions, 100ms to 1h: what a kill or a power cut costs.
        interval: Interval = Interval(std::time::Duration::from_secs(10)), Text, "";
        /// Days after which what was not seen again is deleted, at most 3650; 0 keeps it.
        retention_days: u32 = 90, Number, "";
        /// Bytes of the file, 1MiB to 64GiB; beyond them what was seen longest ago and least goes first.
        max_bytes: ByteSize = ByteSize(256 << 20), Text, "";
    }
}

section! {
    /// Bounds in user space. What does not fit is counted.
    Limits is limits {
        /// Threads that parse; 0 leaves the choice to the number of processors.
        shards: u16 = 0, Number, "";
        /// Streams remembered by each of them.
        streams: u32 = 65_536, Number, "";
        /// Events waiting for one output.
        queue: u32 = 8_192, Number, "";
        /// Percent of one processor beyond which connections are left out, those that repeat what is known first
        /// (`docs/OPERATIONS.md`, Under strain); 0 for no ceiling.
        cpu_percent: u32 = 0, Number, "";
        /// Bytes in memory beyond which connections are left out in the same way, 128MiB or more; 0 for no ceiling.
        memory_bytes: ByteSize = ByteSize(0), Text, "";
    }
}

impl Config {
    /// Keys of the settings in which two differ, in order; `suppress` is one.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        // Whatever was read can be written.
        let [one, two] = [self, other].map(|config| toml::Table::try_from(config).unwrap_or_default());
        let mut keys = std::collections::BTreeSet::new();
        for (section, value) in one.iter().chain(&two) {
            let (one, two) = (one.get(section), two.get(section));
            match value {
                toml::Value::Table(settings) => {
                    let of = |table: Option<&toml::Value>, name: &str| table?.get(name).cloned();
                    let differ = settings.keys().filter(|name| of(one, name) != of(two, name));
                    keys.extend(differ.map(|name| format!("{section}.{name}")));
                }
                _ if one != two => {
                    keys.insert(section.clone());
                }
                _ => {}
            }
        }
        keys.into_iter().collect()
    }
}

/// How probes are attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttachBackend {
    /// The best that works, found by trying.
    Auto,
    /// Multi-uprobe links.
    Multi,
    /// Perf events.
    Perf,
}

/// Whether the kernel's return probes are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReturnProbes {
    /// Where a test at start shows that they do no harm.
    Auto,
    /// Not at all; functions of which the returns cannot be seen otherwise are left out and reported.
    Never,
}

/// Whether there are hooks inside the kernel's TCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TcpHooks {
    /// The best that the kernel has.
    Auto,
    /// Not at all: what `io_uring` moves is neither seen nor counted.
    Never,
}

/// Whether the API server of Kubernetes is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KubernetesMode {
    /// In a pod with a service account.
    Auto,
    /// Yes, and its absence is said.
    On,
    /// No.
    Off,
}

/// Which pods are watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchedPods {
    /// All but those whose annotation forbids it.
    All,
    /// Those whose annotation asks for it.
    Annotated,
    /// All, whatever annotations say.
    Regardless,
}

/// Whether there is a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreMode {
    /// Yes.
    On,
    /// No.
    Off,
}

/// Form of standard output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// JSON lines.
    Json,
    /// Nothing.
    None,
}

/// Transport of OTLP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Protocol {
    /// OTLP/gRPC.
    #[serde(rename = "grpc")]
    Grpc,
    /// OTLP/HTTP with protobuf bodies.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// A signal of OpenTelemetry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Findings, incidents and what was held back.
    Logs,
    /// Exchanges.
    Traces,
    /// Sums and histograms.
    Metrics,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Traces, Self::Metrics];

    /// Its name, as in paths of OTLP/HTTP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

impl Otlp {
    /// Whether anything is sent.
    pub fn has_receiver(&self) -> bool {
        let each = [&self.logs_endpoint, &self.traces_endpoint, &self.metrics_endpoint];
        !self.signals.is_empty() && (self.endpoint.is_some() || each.into_iter().any(Option::is_some))
    }
}

/// How what is sent is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
}

/// Which exchanges become spans: values of `OTEL_TRACES_SAMPLER`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// A share of the traces.
    Traceidratio,
    /// As the parent; all without one.
    ParentbasedAlwaysOn,
    /// As the parent; none without one.
    ParentbasedAlwaysOff,
    /// As the parent; a share without one.
    ParentbasedTraceidratio,
}

/// Where the value of a header is. Never the value itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderSource {
    /// Name of an environment variable.
    Env(String),
    /// A file; white space around its content is cut off.
    File(PathBuf),
}

#[cfg(test)]
mod tests;
