//! The only wiring: configuration to threads, channels and the order in which they stop.
//!
//! ```text
//! ring thread --Vec<Record>--> shard threads --Vec<Observed>--> judge thread --Event--> one thread per output
//! ```
//!
//! Every channel is bounded and waits when full, so that pressure reaches the ring, where the kernel object counts
//! what it cannot place, byte by byte. Only the outputs drop, counted as `export_dropped`.

#[cfg(feature = "kernel")]
mod doctor;
#[cfg(feature = "kernel")]
mod live;
mod outputs;
mod replay;

#[cfg(feature = "kernel")]
pub use doctor::doctor;
#[cfg(feature = "kernel")]
pub use live::{record, run};
pub use replay::replay;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::capture::source::CaptureError;
use crate::config::{Config, StateDirectory, StateError};
use crate::exchange::secret::HashKey;
use crate::export::otlp::OtlpError;
use crate::pipeline::Settings;
use crate::telemetry::Counters;
use crate::{classify, exchange, flow, inventory};

/// Why the sensor stopped before it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The kernel source cannot start.
    #[cfg(feature = "kernel")]
    #[error("cannot capture on this host")]
    Kernel(#[from] crate::capture::kernel::KernelError),
    /// A recording cannot be read or written.
    #[error(transparent)]
    Recording(#[from] CaptureError),
    /// OTLP cannot be set up.
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    /// The address for metrics cannot be used.
    #[error("cannot listen on {address} for metrics; choose another with --metrics-listen, or off")]
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
    /// Whether more privileges would help.
    pub fn is_privilege(&self) -> bool {
        match self {
            Self::State(error) => error.is_privileges(),
            #[cfg(feature = "kernel")]
            Self::Kernel(error) => error.is_privilege(),
            _ => false,
        }
    }
}

/// Bounds and key of the stages, from the configuration.
fn settings(config: &Config, counters: &Arc<Counters>, key: HashKey) -> Settings {
    let body_bytes = usize::try_from(config.capture.body_limit.0).unwrap_or(usize::MAX);
    Settings {
        flow: flow::Limits { streams: config.limits.streams as usize, ..flow::Limits::default() },
        exchange: exchange::Limits { body_bytes, ..exchange::Limits::default() },
        classify: classify::Limits::default(),
        inventory: inventory::Limits::default(),
        key,
        counters: Arc::clone(counters),
    }
}

/// The installation's key: made on first use, kept in the state directory.
fn installation_key(config: &Config) -> Result<HashKey, Error> {
    let state = StateDirectory::open(&config.state.directory)?;
    Ok(HashKey::new(state.installation_key()?))
}
