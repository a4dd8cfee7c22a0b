//! What the process tells its caller.

use std::process::ExitCode;

/// Exit codes. Permanent: scripts and units rely on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Success = 0,
    /// It failed while it ran.
    Failure = 1,
    /// Wrong arguments or configuration: nothing was started.
    Usage = 2,
    /// Missing privileges, or a kernel without what is needed: `api-sensor doctor` says which.
    Unsupported = 3,
    /// A recording that cannot be read.
    Input = 4,
}

impl Exit {
    /// Shown below every `--help` and in the documentation.
    pub const HELP: &str = "Exit codes: 0 success, 1 failure while running, 2 wrong arguments or configuration,\n\
                            3 missing privileges or kernel feature, 4 unreadable recording";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
