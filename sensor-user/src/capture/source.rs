//! What the live kernel source and a recording have in common.
//!
//! Takes nothing. Gives [`RecordSource`] and [`CaptureError`]. Never holds records back: a source hands over what it
//! has and says how to go on. Bounded by the batch of each source.

use std::io;
use std::path::PathBuf;

use super::Record;

/// Where records come from: the kernel or a file.
pub trait RecordSource {
    /// Appends the next records to `out`, in the order in which they happened. Those appended before an error are
    /// as good as any; after an error the source has ended.
    fn next_batch(&mut self, out: &mut Vec<Record>) -> Result<Progress, CaptureError>;
}

/// How to go on after a batch.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Ask again at once: there may be more.
    Ready,
    /// Nothing is left for now; a live source waits for its ring.
    Idle,
    /// There will be no more records.
    Ended,
}

/// Why a source or a recording cannot be used. A running live source counts its losses instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be opened.
    #[error("cannot open recording {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Reading failed in the middle.
    #[error("cannot read recording {} at {unit} {number}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is counted: block or packet.
        unit: &'static str,
        /// Which one, from 1.
        number: u64,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Neither pcapng nor pcap.
    #[error(
        "{} is not a capture file: it starts like neither pcapng nor pcap; decompress it or convert it with \
         `editcap -F pcapng`",
        path.display()
    )]
    NotACapture {
        /// The file.
        path: PathBuf,
    },
    /// The file ends in the middle of a block or packet.
    #[error(
        "recording {} is cut short in {unit} {number}; what came before it was read, the rest is missing from the \
         file",
        path.display()
    )]
    CutShort {
        /// The file.
        path: PathBuf,
        /// What is counted: block or packet.
        unit: &'static str,
        /// Which one, from 1.
        number: u64,
    },
    /// A length or field contradicts the format.
    #[error(
        "recording {} is damaged at {unit} {number}: {what}; what came before it was read, `editcap` may save more",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is counted: block or packet.
        unit: &'static str,
        /// Which one, from 1.
        number: u64,
        /// What contradicts the format.
        what: &'static str,
    },
    /// The file cannot be created or written.
    #[error("cannot write recording {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl CaptureError {
    /// Bounded label for metrics; free text stays in `Display`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Read { .. } => "read",
            Self::NotACapture { .. } => "not_a_capture",
            Self::CutShort { .. } => "cut_short",
            Self::Malformed { .. } => "malformed",
            Self::Write { .. } => "write",
        }
    }
}
