//! The only wiring: threads, channels, shutdown order.

use std::path::Path;

use crate::cli::Exit;
use crate::config::{Config, Interval, StateError};
use crate::detect::RuleMeta;
use crate::export::otlp::OtlpError;

/// Why a command failed. Start-up only: a running sensor counts what goes wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command is not joined to the pipeline in this build.
    #[error("`{command}` is not part of this build")]
    NotInThisBuild {
        /// The command.
        command: &'static str,
    },
    /// The state directory is not usable.
    #[error("the installation's key is not available")]
    State(#[from] StateError),
    /// OTLP cannot start.
    #[error("cannot send to the OTLP receiver")]
    Otlp(#[from] OtlpError),
}

impl Error {
    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::NotInThisBuild { .. } => "use a build that has it".to_owned(),
            Self::State(error) => error.remedy(),
            Self::Otlp(_) => "correct the section [otlp], or leave out its endpoint".to_owned(),
        }
    }

    /// What the process tells its caller.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotInThisBuild { .. } => Exit::Failure,
            Self::State(error) if error.is_privileges() => Exit::Unsupported,
            Self::State(_) | Self::Otlp(_) => Exit::Usage,
        }
    }
}

/// Watches live traffic until interrupted, or for that long.
pub fn run(config: Config, duration: Option<Interval>) -> Result<(), Error> {
    drop((config, duration));
    Err(Error::NotInThisBuild { command: "run" })
}

/// Says what this kernel and these privileges allow, and which processes are covered.
pub fn doctor(config: Config, json: bool) -> Result<(), Error> {
    drop((config, json));
    Err(Error::NotInThisBuild { command: "doctor" })
}

/// Runs a recording through the pipeline.
pub fn replay(config: Config, file: &Path) -> Result<(), Error> {
    drop((config, file));
    Err(Error::NotInThisBuild { command: "replay" })
}

/// Records plaintext to a file.
pub fn record(config: Config, file: &Path, duration: Option<Interval>) -> Result<(), Error> {
    drop((config, file, duration));
    Err(Error::NotInThisBuild { command: "record" })
}

/// Every rule, in the order of ids.
pub fn rules() -> Vec<&'static RuleMeta> {
    Vec::new()
}
