//! What was found in a recording, and what was not looked at.
//!
//! Takes and gives counts. Never holds anything of a packet. Bounded: a closed set of reasons.

/// What was found in a recording.
#[derive(Clone, Copy, Default, Debug)]
pub struct Account {
    /// Packets read.
    pub packets: u64,
    /// TCP segments among them.
    pub segments: u64,
    /// Streams begun.
    pub streams: u64,
    /// Payload bytes given as records, repeated ones included.
    pub bytes: u64,
    /// Connections forgotten to make room.
    pub evicted: u64,
    skipped: [u64; Skip::ALL.len()],
}

impl Account {
    /// Packets that gave nothing, by reason.
    pub fn skipped(&self, reason: Skip) -> u64 {
        self.skipped.get(reason as usize).copied().unwrap_or(0)
    }

    pub(super) fn skip(&mut self, reason: Skip) {
        if let Some(slot) = self.skipped.get_mut(reason as usize) {
            *slot += 1;
        }
    }
}

/// Why a packet carries nothing for the sensor. A closed set: usable as a metric label.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(usize)]
pub enum Skip {
    /// A link type that is not read.
    LinkType,
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// IP, but not TCP.
    NotTcp,
    /// A fragment of an IP packet.
    Fragment,
    /// A header is cut or contradicts itself.
    BadHeader,
    /// TCP bytes before those at which the recording of the stream begins.
    BeforeStart,
    /// TCP bytes after the end of their connection.
    AfterClose,
}

impl Skip {
    /// Every reason, in index order.
    pub const ALL: &[Skip] = &[
        Skip::LinkType,
        Skip::NotIp,
        Skip::NotTcp,
        Skip::Fragment,
        Skip::BadHeader,
        Skip::BeforeStart,
        Skip::AfterClose,
    ];

    /// Name in outputs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkType => "link_type",
            Self::NotIp => "not_ip",
            Self::NotTcp => "not_tcp",
            Self::Fragment => "fragment",
            Self::BadHeader => "bad_header",
            Self::BeforeStart => "before_start",
            Self::AfterClose => "after_close",
        }
    }
}
