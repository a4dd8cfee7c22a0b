//! What a frame cannot say: the sensor's comments in a recording.
//!
//! Takes and gives [`Note`]s as text: `api-sensor key=value ...`. Never holds payload. Bounded by the length of an
//! option (64 KiB); unknown keys are ignored, so that later versions may add some.
//!
//! The first packet of a stream carries the process and the stream's name; a packet of its own carries a socket that
//! became known later, a gap with its reason, or how the stream ended. Every key is optional, a value without
//! meaning counts as absent.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use crate::capture::{
    CloseReason, Comm, Endpoint, Evidence, GapReason, ProcessKey, Role, SocketAddress, Source, StreamKey,
};

/// How every comment of the sensor starts.
pub(super) const PREFIX: &[u8] = b"api-sensor ";

/// Positions beyond this are a forgery: no stream carries 4 EiB, and sums of positions must not overflow.
const MAX_POSITION: u64 = 1 << 62;

/// One comment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Note {
    /// Names the stream; on its first packet.
    pub(super) stream: Option<StreamNote>,
    /// The socket, once known.
    pub(super) socket: Option<SocketNote>,
    /// Exact position of the packet's first byte, where 32 bits of sequence number cannot tell.
    pub(super) position: Option<u64>,
    /// The packet's bytes are TLS early data.
    pub(super) early: bool,
    /// Bytes that are missing from here.
    pub(super) gap: Option<(u64, GapReason)>,
    /// The stream ends here.
    pub(super) close: Option<CloseNote>,
}

/// How a stream ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CloseNote {
    /// How.
    pub(super) reason: CloseReason,
    /// Bytes read and written in all.
    pub(super) ends: Option<(u64, u64)>,
}

/// The stream a frame belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StreamNote {
    /// The stream.
    pub(super) key: StreamKey,
    /// The process's name; empty when unknown.
    pub(super) comm: Comm,
    /// Id of its cgroup.
    pub(super) cgroup: u64,
    /// The frame was sent by the watched process, not by its peer.
    pub(super) from_process: bool,
}

/// What is known of the stream's socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SocketNote {
    /// The socket.
    pub(super) address: SocketAddress,
    /// What this rests on.
    pub(super) evidence: Evidence,
    /// Two sockets were seen.
    pub(super) ambiguous: bool,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("api-sensor")?;
        if let Some(stream) = &self.stream {
            stream.fmt(f)?;
        }
        if let Some(socket) = &self.socket {
            socket.fmt(f)?;
        }
        if let Some(position) = self.position {
            write!(f, " position={position}")?;
        }
        if self.early {
            f.write_str(" early=true")?;
        }
        if let Some((missing, reason)) = self.gap {
            write!(f, " missing={missing} reason={}", name_of(GAPS, reason))?;
        }
        if let Some(CloseNote { reason, ends }) = self.close {
            write!(f, " close={}", name_of(CLOSES, reason))?;
            if let Some((read, written)) = ends {
                write!(f, " read={read} written={written}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for StreamNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StreamKey {
            process,
            source,
            id,
            generation,
        } = self.key;
        write!(f, " pid={} comm=", process.pid)?;
        write_escaped(f, &self.comm)?;
        write!(f, " tls={}", matches!(source, Source::Tls))?;
        write!(
            f,
            " start={} cgroup={} stream={id:#x} generation={generation}",
            process.start_ns, self.cgroup
        )?;
        f.write_str(if self.from_process {
            " from=process"
        } else {
            " from=peer"
        })
    }
}

impl fmt::Display for SocketNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SocketAddress {
            inode,
            local,
            remote,
            role,
        } = self.address;
        write!(
            f,
            " socket={inode} role={} evidence={}",
            name_of(ROLES, role),
            name_of(EVIDENCE, self.evidence)
        )?;
        for (key, end) in [("local", local), ("remote", remote)] {
            if let Some((address, port)) = end {
                write!(f, " {key}={}", SocketAddr::new(address, port))?;
            }
        }
        if self.ambiguous {
            f.write_str(" ambiguous=true")?;
        }
        Ok(())
    }
}

impl Note {
    /// Reads a comment; `None` when it is not the sensor's.
    pub(super) fn parse(comment: &[u8]) -> Option<Self> {
        let pairs = Pairs(std::str::from_utf8(comment.strip_prefix(PREFIX)?).ok()?);
        Some(Self {
            stream: StreamNote::parse(&pairs),
            socket: SocketNote::parse(&pairs),
            position: pairs.position("position"),
            early: pairs.value("early") == Some("true"),
            gap: pairs.position("missing").zip(pairs.named("reason", GAPS)),
            close: pairs.named("close", CLOSES).map(|reason| CloseNote {
                reason,
                ends: pairs.position("read").zip(pairs.position("written")),
            }),
        })
    }
}

impl StreamNote {
    fn parse(pairs: &Pairs<'_>) -> Option<Self> {
        let id = pairs.value("stream")?.strip_prefix("0x")?;
        let process = ProcessKey {
            pid: u32::try_from(pairs.number("pid")?).ok()?,
            start_ns: pairs.number("start").unwrap_or(0),
        };
        let source = if pairs.value("tls") == Some("true") {
            Source::Tls
        } else {
            Source::Socket
        };
        let key = StreamKey {
            process,
            source,
            id: u64::from_str_radix(id, 16).ok()?,
            generation: pairs
                .number("generation")
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or(0),
        };
        Some(Self {
            key,
            comm: unescaped(pairs.value("comm").unwrap_or_default()),
            cgroup: pairs.number("cgroup").unwrap_or(0),
            from_process: pairs.value("from")? == "process",
        })
    }
}

impl SocketNote {
    fn parse(pairs: &Pairs<'_>) -> Option<Self> {
        Some(Self {
            address: SocketAddress {
                inode: pairs.number("socket")?,
                local: pairs.endpoint("local"),
                remote: pairs.endpoint("remote"),
                role: pairs.named("role", ROLES).unwrap_or_default(),
            },
            evidence: pairs.named("evidence", EVIDENCE).unwrap_or(Evidence::Recorded),
            ambiguous: pairs.value("ambiguous") == Some("true"),
        })
    }
}

/// The `key=value` words of a comment.
struct Pairs<'a>(&'a str);

impl<'a> Pairs<'a> {
    fn value(&self, wanted: &str) -> Option<&'a str> {
        self.0
            .split(' ')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == wanted)
            .map(|pair| pair.1)
    }

    fn number(&self, wanted: &str) -> Option<u64> {
        self.value(wanted)?.parse().ok()
    }

    fn position(&self, wanted: &str) -> Option<u64> {
        self.number(wanted).filter(|position| *position < MAX_POSITION)
    }

    fn endpoint(&self, wanted: &str) -> Endpoint {
        let end: SocketAddr = self.value(wanted)?.parse().ok()?;
        Some((end.ip(), end.port()))
    }

    fn named<T: Copy>(&self, wanted: &str, names: &[(&str, T)]) -> Option<T> {
        let value = self.value(wanted)?;
        names
            .iter()
            .find(|(name, _)| *name == value)
            .map(|(_, named)| *named)
    }
}

fn name_of<T: PartialEq + Copy>(names: &[(&'static str, T)], wanted: T) -> &'static str {
    names
        .iter()
        .find(|(_, named)| *named == wanted)
        .map_or("unknown", |(name, _)| name)
}

/// A process may name itself anything: what is not a plain character becomes `%XX`.
fn write_escaped(f: &mut fmt::Formatter<'_>, comm: &Comm) -> fmt::Result {
    for byte in comm.0.iter().take_while(|byte| **byte != 0) {
        if byte.is_ascii_graphic() && *byte != b'%' {
            f.write_char(char::from(*byte))?;
        } else {
            write!(f, "%{byte:02x}")?;
        }
    }
    Ok(())
}

fn unescaped(text: &str) -> Comm {
    let mut comm = Comm::default();
    let mut rest = text.as_bytes();
    for slot in &mut comm.0 {
        let Some((first, after)) = rest.split_first() else {
            break;
        };
        (*slot, rest) = match (first, after.split_at_checked(2)) {
            (b'%', Some((hex, after_hex))) => (hex_byte(hex), after_hex),
            _ => (*first, after),
        };
    }
    comm
}

fn hex_byte(hex: &[u8]) -> u8 {
    std::str::from_utf8(hex)
        .ok()
        .and_then(|hex| u8::from_str_radix(hex, 16).ok())
        .unwrap_or(b'?')
}

const ROLES: &[(&str, Role)] = &[
    ("unknown", Role::Unknown),
    ("server", Role::Server),
    ("client", Role::Client),
];

const EVIDENCE: &[(&str, Evidence)] = &[
    (Evidence::SetFd.name(), Evidence::SetFd),
    (Evidence::NestedSyscall.name(), Evidence::NestedSyscall),
    (Evidence::RuntimeConn.name(), Evidence::RuntimeConn),
    // Not by its name in outputs, which is that of `SetFd`.
    ("transport", Evidence::Transport),
    (Evidence::SetBio.name(), Evidence::SetBio),
    (Evidence::Adjacent.name(), Evidence::Adjacent),
    (Evidence::Direct.name(), Evidence::Direct),
    (Evidence::Recorded.name(), Evidence::Recorded),
];

const GAPS: &[(&str, GapReason)] = &[
    ("limit", GapReason::Limit),
    ("fault", GapReason::Fault),
    ("iovecs", GapReason::Iovecs),
    ("unseen", GapReason::Unseen),
    ("bypass", GapReason::Bypass),
    ("lost", GapReason::Lost),
];

const CLOSES: &[(&str, CloseReason)] = &[
    ("socket", CloseReason::Socket),
    ("shutdown", CloseReason::Shutdown),
    ("free", CloseReason::Free),
];
