//! The only wiring: configuration to threads, channels and the order in which they stop.
//!
//! ```text
//! ring thread --Vec<Record>--> shard threads --Vec<Observed>--> judge thread --Event--> one thread per output
//! ```
//!
//! Every channel is bounded and waits when full, so that pressure reaches the ring, where the kernel object counts
//! what it cannot place, byte by byte. Only the outputs drop, counted as `export_dropped`.

#[cfg(feature = "kernel")]
mod announce;
#[cfg(feature = "kernel")]
mod books;
mod descriptors;
#[cfg(feature = "kernel")]
mod doctor;
#[cfg(feature = "kernel")]
mod governor;
#[cfg(any(feature = "kernel", test))]
mod judge;
#[cfg(feature = "kernel")]
mod live;
#[cfg(feature = "kernel")]
mod names;
mod outputs;
#[cfg(feature = "kernel")]
mod reload;
mod replay;
#[cfg(feature = "kernel")]
mod shard;
mod stored;

#[cfg(feature = "kernel")]
pub use doctor::doctor;
#[cfg(feature = "kernel")]
pub use live::{record, run};
#[cfg(not(feature = "kernel"))]
pub use no_kernel::{doctor, record, run};
pub use replay::replay;
pub use stored::{found, learnt, store_path};

/// Reads every layer of the configuration again.
pub type Reread<'a> = &'a dyn Fn() -> Result<Config, Vec<config::Problem>>;

/// The live commands of a build without the kernel source.
#[cfg(not(feature = "kernel"))]
mod no_kernel {
    use super::{Config, Error, Reread};
    use crate::config::Interval;
    use std::path::Path;

    /// Cannot.
    pub fn run(_config: &Config, _duration: Option<Interval>, _reread: Reread<'_>) -> Result<(), Error> {
        Err(Error::NoKernelSource)
    }

    /// Cannot.
    pub fn record(_config: &Config, _path: &Path, _duration: Option<Interval>) -> Result<(), Error> {
        Err(Error::NoKernelSource)
    }

    /// Cannot.
    pub fn doctor(_config: &Config, _json: bool, _watch: Option<Interval>) -> Result<(), Error> {
        Err(Error::NoKernelSource)
    }
}

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::capture::source::CaptureError;
use crate::cli::Exit;
use crate::config::{self, Config, StateDirectory, StateError};
use crate::detect::{RuleMeta, registry};
use crate::exchange::secret::HashKey;
use crate::export::ClockOffset;
use crate::export::otlp::OtlpError;
use crate::pipeline::Settings;
use crate::store::StoreError;
use crate::telemetry::Counters;
use crate::{callers, classify, exchange, flow, incident, inventory};

/// Why the sensor stopped before it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The kernel source cannot start.
    #[cfg(feature = "kernel")]
    #[error("{}", if .0.is_usage() { "cannot watch what was named" } else { "cannot capture on this host" })]
    Kernel(#[from] crate::capture::kernel::KernelError),
    /// Built for replay only.
    #[error("this build has no kernel source")]
    NoKernelSource,
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A descriptor set cannot be used.
    #[error("cannot use the descriptor set {}", path.display())]
    Descriptors {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A recording cannot be read or written.
    #[error(transparent)]
    Recording(#[from] CaptureError),
    /// OTLP cannot be set up.
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    /// The address for metrics cannot be used.
    #[error("cannot listen on {address} for metrics")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system refused a thread or a runtime.
    #[error("cannot start {what}")]
    Start {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A fault of the sensor: a thread of the data path ended by panic. What it said is on standard error.
    #[error("a thread of the sensor failed; what it held was lost")]
    Panicked,
    /// `/proc` cannot be read.
    #[error("cannot read {}", path.display())]
    Proc {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::State(error) => error.remedy(),
            Self::Store(error) => error.remedy(),
            #[cfg(feature = "kernel")]
            Self::Kernel(error) if error.is_privilege() => {
                // When every capability is there, something else forbids it.
                error.advice().unwrap_or_else(|| {
                    "`api-sensor doctor` says what is refused; a container's seccomp or AppArmor profile may forbid \
                     bpf(2) and perf_event_open(2)"
                        .to_owned()
                })
            }
            #[cfg(feature = "kernel")]
            Self::Kernel(error) if error.is_usage() => {
                "name a process, file or control group that is there; a process may have ended".to_owned()
            }
            #[cfg(feature = "kernel")]
            Self::Kernel(_) => "`api-sensor doctor` says what this kernel offers".to_owned(),
            Self::NoKernelSource => "build with the feature `kernel`, which is on by default".to_owned(),
            Self::Recording(CaptureError::Write { .. }) => {
                "name a file that does not exist yet, in a directory with room that can be written".to_owned()
            }
            Self::Recording(_) => "name a pcapng or pcap file that can be read to its end".to_owned(),
            Self::Descriptors { .. } => {
                "write it with `protoc --include_imports --descriptor_set_out`, or leave it out of \
                 protocol.grpc_descriptors"
                    .to_owned()
            }
            Self::Otlp(_) => "correct the section [otlp], or leave out its endpoint".to_owned(),
            Self::Listen { .. } => "choose another address with --metrics-listen, or off".to_owned(),
            Self::Start { .. } => "raise the limits on threads and descriptors of this process".to_owned(),
            Self::Panicked => "restart the sensor, and report the message above".to_owned(),
            Self::Proc { .. } => "mount /proc, with hidepid off or with CAP_SYS_PTRACE".to_owned(),
        }
    }

    /// What the process tells its caller.
    pub fn exit(&self) -> Exit {
        match self {
            Self::State(error) if error.is_privileges() => Exit::Unsupported,
            Self::State(_) | Self::Store(_) | Self::Otlp(_) | Self::Descriptors { .. } => Exit::Usage,
            #[cfg(feature = "kernel")]
            Self::Kernel(error) => {
                if error.is_usage() {
                    Exit::Usage
                } else {
                    Exit::Unsupported
                }
            }
            Self::NoKernelSource => Exit::Unsupported,
            Self::Recording(_) => Exit::Input,
            Self::Listen { .. } | Self::Start { .. } | Self::Proc { .. } | Self::Panicked => Exit::Failure,
        }
    }
}

/// Every rule, in the order of ids.
pub fn rules() -> Vec<&'static RuleMeta> {
    registry::RULES.iter().map(|rule| rule.meta()).collect()
}

/// Bounds and key of the stages, from the configuration.
fn settings(
    config: &Config,
    counters: &Arc<Counters>,
    key: HashKey,
    clock: ClockOffset,
) -> Result<Settings, Error> {
    say_expired(config);
    let body_bytes = usize::try_from(config.capture.body_limit.0).unwrap_or(usize::MAX);
    Ok(Settings {
        flow: flow::Limits {
            streams: config.limits.streams as usize,
            ..flow::Limits::default()
        },
        exchange: exchange::Limits {
            body_bytes,
            ..exchange::Limits::default()
        },
        classify: classify::Limits::default(),
        callers: callers::Limits::default(),
        inventory: inventory::Limits::default(),
        alerts: alerts(config),
        clock,
        pods: None,
        trusted_proxies: config.identity.trusted_proxies.clone(),
        schema: Arc::new(classify::Types::new(descriptors::load(
            &config.protocol.grpc_descriptors,
        )?)),
        key,
        counters: Arc::clone(counters),
    })
}

/// What is told, and what is not.
fn alerts(config: &Config) -> incident::Settings {
    incident::Settings {
        budget: incident::budget::Limits {
            each_hour: config.alerts.per_hour,
            critical_each_hour: config.alerts.critical_per_hour,
        },
        suppressions: config.suppress.iter().map(suppression).collect(),
        ..incident::Settings::default()
    }
}

fn suppression(one: &config::Suppress) -> incident::suppress::Suppression {
    incident::suppress::Suppression {
        rule: one.rule.clone(),
        endpoint: one.endpoint.clone(),
        caller: one.caller.clone(),
        until_ns: one.ends_unix_ns(),
    }
}

/// Says which suppressions do nothing any more.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever starts the sensor is told by the calendar; what is told of traffic goes by the traffic's clock"
)]
fn say_expired(config: &Config) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ns = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
    for one in config.suppress.iter().filter(|one| one.ends_unix_ns() <= now_ns) {
        let (rule, until, reason) = (&one.rule, &one.until, &one.reason);
        tracing::warn!(
            rule,
            until,
            reason,
            "a suppression has expired and does nothing; remove it or renew it"
        );
    }
}

/// The installation's key: made on first use, kept in the state directory.
fn installation_key(config: &Config) -> Result<HashKey, Error> {
    let state = &config.state;
    let key = match &state.key_file {
        Some(file) => config::named_key(file)?,
        None => StateDirectory::open(&state.directory)?.installation_key()?,
    };
    Ok(match &state.previous_key_file {
        Some(file) => HashKey::rotated(key, config::previous_key(file)?),
        None => HashKey::new(key),
    })
}
