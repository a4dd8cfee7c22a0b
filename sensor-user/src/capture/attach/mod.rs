//! Putting probes into files: which instruction of a function is probed, one backend trait, two ways to do it, and a
//! choice between them made by trying.

#[cfg(feature = "kernel")]
pub mod copies;
mod function;
#[cfg(feature = "kernel")]
pub mod multi;
#[cfg(feature = "kernel")]
pub mod perf;
#[cfg(feature = "kernel")]
pub mod seccomp;
pub mod site;
#[cfg(feature = "kernel")]
pub mod trial;

use std::fmt;
use std::io;
use std::path::Path;

/// Which program runs at a point.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Hook {
    /// Entry: the arguments are still in their registers.
    Enter,
    /// The kernel's return probe.
    Return,
    /// An instruction that every return passes with the result in its register.
    ReturnSite,
    /// An instruction of a method of Go's `tls.Conn`; the cookie says which.
    Go,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 4] = [Self::Enter, Self::Return, Self::ReturnSite, Self::Go];
}

/// Names of the programs that run at hooks, in the order of [`Hook::ALL`].
pub type Programs = [&'static str; Hook::ALL.len()];

/// The program of a hook.
#[cfg(feature = "kernel")]
fn program_of(programs: Programs, hook: Hook) -> &'static str {
    let [enter, leave, site, go] = programs;
    match hook {
        Hook::Enter => enter,
        Hook::Return => leave,
        Hook::ReturnSite => site,
        Hook::Go => go,
    }
}

/// One probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    /// Program.
    pub hook: Hook,
    /// Offset of the instruction in the file.
    pub offset: u64,
    /// What the program is told.
    pub cookie: u64,
}

/// Probes of one file; dropping it takes them out.
pub trait Attachment: Send + fmt::Debug {
    /// Probes in place.
    fn points(&self) -> usize;
}

/// A way to attach.
pub trait AttachBackend: Send {
    /// Name in messages.
    fn name(&self) -> &'static str;

    /// Puts every point into the file, all or none.
    fn attach(&mut self, file: &Path, points: &[Point]) -> Result<Box<dyn Attachment>, AttachError>;
}

/// Which backend to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backend {
    /// The first that works on this kernel with these privileges: multi, then perf.
    #[default]
    Auto,
    /// `uprobe_multi` links (Linux 6.6).
    Multi,
    /// One perf event per probe; before Linux 5.15 as `Copies`.
    Perf,
    /// One perf event per probe and one program per function: needs no cookie.
    Copies,
}

/// Why probes could not be put in place.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The object lacks a program: a fault of the build.
    #[error("the kernel object has no program {0}")]
    NoProgram(&'static str),
    /// The kernel refused a program.
    #[error("the kernel refused program {program}: {log}")]
    Load {
        /// Program.
        program: &'static str,
        /// The verifier's last words.
        log: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Programs that need the cookie would take every function for the same.
    #[error("the kernel does not tell a probe its cookie (Linux 5.15)")]
    NoCookie,
    /// The file's content changed after the instructions were chosen.
    #[error("the file was changed while it was being looked at")]
    Changed,
    /// The kernel refused a link.
    #[error("cannot attach {program} to {file}")]
    Link {
        /// Program.
        program: &'static str,
        /// File.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}
