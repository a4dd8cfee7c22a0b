//! What an account must fulfil, and what is said where it does not.

use std::fmt;

use super::Key;

/// What must be equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Equation {
    /// Calls fired = whole + in part + filtered.
    Calls,
    /// Bytes fired = submitted + filtered + lost by reason.
    Bytes,
    /// Bytes submitted to the ring = bytes received from it.
    Ring,
    /// Bytes received = in order + late + held.
    Order,
    /// Bytes in order = parsed + not parsed by reason.
    Parsing,
    /// Bytes found missing = bytes known to be lost, at most.
    Missing,
}

impl Equation {
    /// Every equation, in the order of the stages.
    pub const ALL: [Self; 6] = [
        Self::Calls,
        Self::Bytes,
        Self::Ring,
        Self::Order,
        Self::Parsing,
        Self::Missing,
    ];

    /// Name in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Bytes => "bytes",
            Self::Ring => "ring",
            Self::Order => "order",
            Self::Parsing => "parsing",
            Self::Missing => "missing",
        }
    }
}

/// An equation that does not hold: bytes or calls are nowhere, or counted twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Imbalance {
    /// Whose.
    pub process: Key,
    /// Which.
    pub equation: Equation,
    /// What came in.
    pub left: u64,
    /// What is accounted for.
    pub right: u64,
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pid, name) = (self.process.pid, self.equation.name());
        write!(
            f,
            "process {pid}, {name}: {} came in, {} accounted for",
            self.left, self.right
        )
    }
}
