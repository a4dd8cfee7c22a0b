//! Arguments of every command, as clap reads them. Help texts are short: each page fits a screen.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::Exit;

const WHOM: &str = "Whom to watch (repeatable; applied in the kernel; default: the whole host)";
const WHAT: &str = "What to show (repeatable)";
const OUTPUT: &str = "Output";
const CAPTURE: &str = "Capture";
const CHOICE: &str = "Which endpoints (default: all)";
const SETTINGS: &str = "Settings";

/// Watches the API traffic of this host from the kernel and reports what is wrong with it.
#[derive(Parser, Debug)]
#[command(name = "api-sensor", version, after_help = Exit::HELP, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Commands.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Watch live traffic until interrupted
    #[command(after_help = Exit::HELP)]
    Run(Run),
    /// Say what this kernel and these privileges allow, and which processes are covered
    #[command(after_help = Exit::HELP)]
    Doctor(Doctor),
    /// Run a recording through the same pipeline, without privileges
    #[command(after_help = Exit::HELP)]
    Replay(Replay),
    /// Write the plaintext of watched traffic to a file that Wireshark opens
    #[command(after_help = Exit::HELP)]
    Record(Record),
    /// List the rules, or explain one
    #[command(after_help = Exit::HELP)]
    Rules(Rules),
    /// Show the endpoints that were seen, and what is known of them
    #[command(after_help = Exit::HELP)]
    Inventory(Inventory),
    /// Write the endpoints that were seen as an OpenAPI 3.1 document
    #[command(after_help = Exit::HELP)]
    Openapi(Openapi),
    /// Report every mistake in a configuration
    #[command(after_help = Exit::HELP)]
    CheckConfig(CheckConfig),
}

/// Process filters.
#[derive(Args, Default, Debug)]
#[command(next_help_heading = WHOM)]
pub(super) struct Whom {
    /// Process and its descendants
    #[arg(long, value_name = "PID")]
    pub(super) pid: Vec<String>,
    /// Command name, as in /proc/PID/comm
    #[arg(long, value_name = "NAME")]
    pub(super) comm: Vec<String>,
    /// Executable
    #[arg(long, value_name = "PATH")]
    pub(super) exe: Vec<String>,
    /// Control group with its descendants, from the root of the hierarchy
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup: Vec<String>,
    /// Container, by the beginning of its id
    #[arg(long, value_name = "ID", hide = true)]
    pub(super) container: Vec<String>,
    /// Container, by a label
    #[arg(long, value_name = "KEY=VALUE", hide = true)]
    pub(super) label: Vec<String>,
    /// Container to leave alone, by a label
    #[arg(long, value_name = "KEY=VALUE", hide = true)]
    pub(super) exclude_label: Vec<String>,
    /// Leave alone, also -exe, -cgroup, -container, -label; --container and --label choose
    #[arg(long, value_name = "NAME")]
    pub(super) exclude_comm: Vec<String>,
    /// Executable to leave alone
    #[arg(long, value_name = "PATH", hide = true)]
    pub(super) exclude_exe: Vec<String>,
    /// Control group to leave alone
    #[arg(long, value_name = "PATH", hide = true)]
    pub(super) exclude_cgroup: Vec<String>,
    /// Container to leave alone, by the beginning of its id
    #[arg(long, value_name = "ID", hide = true)]
    pub(super) exclude_container: Vec<String>,
}

/// Output filters.
#[derive(Args, Default, Debug)]
#[command(next_help_heading = WHAT)]
pub(super) struct What {
    /// Connections with this port at either end
    #[arg(long, value_name = "PORT")]
    pub(super) port: Vec<String>,
    /// Endpoints whose path begins with these segments
    #[arg(long, value_name = "PATH")]
    pub(super) path: Vec<String>,
}

/// Where results go.
#[derive(Args, Default, Debug)]
#[command(next_help_heading = OUTPUT)]
pub(super) struct Outputs {
    /// Standard output: text, json or none [default: text]
    #[arg(long, value_name = "FORM")]
    pub(super) output: Option<String>,
    #[arg(
        long,
        value_name = "URL",
        help = "Send to this OTLP receiver, such as http://127.0.0.1:4317"
    )]
    pub(super) otlp_endpoint: Option<String>,
    /// grpc or http/protobuf [default: grpc]
    #[arg(long, value_name = "PROTOCOL")]
    pub(super) otlp_protocol: Option<String>,
    /// /metrics, /coverage, /healthz, or off [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) metrics_listen: Option<String>,
}

/// How traffic is captured.
#[derive(Args, Default, Debug)]
#[command(next_help_heading = CAPTURE)]
pub(super) struct Capture {
    /// TLS library to attach to in advance (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(super) library: Vec<String>,
    /// Ring between kernel and sensor, a power of two [default: 16MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) ring_size: Option<String>,
    /// Bytes captured of each message direction [default: 64KiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) body_limit: Option<String>,
    /// auto, multi or perf [default: auto]
    #[arg(long, value_name = "NAME")]
    pub(super) attach_backend: Option<String>,
    /// Stop after this time, such as 30s
    #[arg(long, value_name = "TIME")]
    pub(super) duration: Option<String>,
}

/// Where settings come from.
#[derive(Args, Default, Debug)]
#[command(next_help_heading = SETTINGS)]
pub(super) struct Settings {
    /// Configuration file [default: /etc/api-sensor/api-sensor.toml]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Directory of key and store [default: /var/lib/api-sensor]
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<String>,
    /// error, warn, info, debug or trace, on standard error [default: warn]
    #[arg(long, value_name = "LEVEL")]
    pub(super) log: Option<String>,
}

/// `run`.
#[derive(Args, Default, Debug)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) whom: Whom,
    #[command(flatten)]
    pub(super) what: What,
    #[command(flatten)]
    pub(super) outputs: Outputs,
    #[command(flatten)]
    pub(super) capture: Capture,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// `doctor`.
#[derive(Args, Debug)]
pub(super) struct Doctor {
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// Also attach for this time, such as 30s, and say what of each process was seen
    #[arg(long, value_name = "TIME")]
    pub(super) watch: Option<String>,
    #[command(flatten)]
    pub(super) whom: Whom,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// `replay`.
#[derive(Args, Debug)]
pub(super) struct Replay {
    /// Recording
    #[arg(value_name = "FILE.pcapng")]
    pub(super) file: PathBuf,
    /// Keep what is learnt in this store, made if absent [default: nothing is kept]
    #[arg(long, value_name = "PATH")]
    pub(super) store: Option<PathBuf>,
    #[command(flatten)]
    pub(super) what: What,
    #[command(flatten)]
    pub(super) outputs: Outputs,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// `record`.
#[derive(Args, Debug)]
pub(super) struct Record {
    /// File to write; it must not exist
    #[arg(value_name = "FILE.pcapng")]
    pub(super) file: PathBuf,
    /// Record decrypted bytes
    #[arg(long, required = true)]
    pub(super) plaintext: bool,
    /// I will protect the file: it holds passwords, tokens and personal data
    #[arg(long, required = true)]
    pub(super) i_understand_this_file_holds_secrets: bool,
    #[command(flatten)]
    pub(super) whom: Whom,
    #[command(flatten)]
    pub(super) capture: Capture,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// `rules`.
#[derive(Args, Debug)]
pub(super) struct Rules {
    /// Explain this rule, such as API3-001
    #[arg(value_name = "ID")]
    pub(super) id: Option<String>,
    /// Print one JSON array
    #[arg(long)]
    pub(super) json: bool,
}

/// Which endpoints of the store.
#[derive(Args, Default, Debug)]
#[command(next_help_heading = CHOICE)]
pub(super) struct Choice {
    /// Store [default: store.sqlite3 in the state directory]
    #[arg(long, value_name = "PATH")]
    pub(super) store: Option<PathBuf>,
    /// Host; * stands for anything
    #[arg(long, value_name = "HOST")]
    pub(super) host: Option<String>,
    /// Method
    #[arg(long, value_name = "METHOD")]
    pub(super) method: Option<String>,
    /// First segments of the path, such as /users
    #[arg(long, value_name = "PATH")]
    pub(super) path: Option<String>,
    /// Kind of sensitive data found there, such as iban
    #[arg(long, value_name = "KIND")]
    pub(super) data: Option<String>,
    /// Seen within this time, such as 24h, or since this one, such as 2026-05-31 or 2026-05-31T14:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
}

/// `inventory`.
#[derive(Args, Debug)]
pub(super) struct Inventory {
    #[command(flatten)]
    pub(super) choice: Choice,
    /// Print one JSON object per endpoint
    #[arg(long)]
    pub(super) json: bool,
    /// Endpoints at most
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// `openapi`.
#[derive(Args, Debug)]
pub(super) struct Openapi {
    #[command(flatten)]
    pub(super) choice: Choice,
    /// File to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// `check-config`.
#[derive(Args, Debug)]
pub(super) struct CheckConfig {
    /// File to check instead of the usual one
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}
