//! What is sent at once: the records of one signal, encoded.

use bytes::Bytes;

/// A signal of OpenTelemetry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Signal {
    /// Findings, incidents and what was held back.
    Logs,
    /// Exchanges.
    Traces,
    /// Sums and histograms.
    Metrics,
}

impl Signal {
    /// Every signal.
    pub(super) const ALL: [Self; 3] = [Self::Logs, Self::Traces, Self::Metrics];

    /// Its number in files.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Logs => 1,
            Self::Traces => 2,
            Self::Metrics => 3,
        }
    }

    /// The signal of a number.
    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.number() == number)
    }
}

/// One request to the receiver: an encoded `Export…ServiceRequest` (opentelemetry-proto 1.x).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Batch {
    pub(super) signal: Signal,
    /// Records inside: what is lost when it is.
    pub(super) records: u32,
    pub(super) bytes: Bytes,
}
