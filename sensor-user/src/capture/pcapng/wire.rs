//! A stream as packets: addresses, sequence numbers, frames.
//!
//! Takes positions. Gives IP packets without a link layer. Never keeps payload. Bounded by one packet.

use std::io;
use std::net::{IpAddr, SocketAddr};

use etherparse::PacketBuilder;

use crate::capture::Direction;

/// How a stream that was begun looks in the file.
#[derive(Clone, Copy)]
pub(super) struct Wire {
    /// The watched process's end.
    pub(super) process: SocketAddr,
    /// The other end.
    pub(super) peer: SocketAddr,
    /// What the process wrote.
    pub(super) written: Lane,
    /// What it read.
    pub(super) read: Lane,
}

/// One direction.
#[derive(Clone, Copy, Default)]
pub(super) struct Lane {
    /// Sequence number of position 0.
    pub(super) base: u32,
    /// Position after the last byte so far.
    pub(super) end: u64,
    /// FIN was sent.
    pub(super) fin: bool,
}

/// Flags of a packet beside ACK.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    Syn,
    SynAck,
    Ack,
    Push,
    Fin,
    Reset,
}

/// One packet of a stream.
pub(super) struct Segment<'a> {
    /// Seen from the process.
    pub(super) direction: Direction,
    /// Of the first byte of the payload.
    pub(super) position: u64,
    /// What it does.
    pub(super) flag: Flag,
    /// What it carries.
    pub(super) payload: &'a [u8],
}

impl Segment<'_> {
    /// A packet without payload.
    pub(super) const fn empty(direction: Direction, position: u64, flag: Flag) -> Self {
        Self {
            direction,
            position,
            flag,
            payload: &[],
        }
    }
}

impl Wire {
    pub(super) const fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.written,
        }
    }

    pub(super) const fn lane_mut(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.written,
        }
    }

    pub(super) fn tuple(&self) -> (SocketAddr, SocketAddr) {
        ordered(self.process, self.peer)
    }
}

impl Lane {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "sequence numbers are positions modulo 2^32 (RFC 9293, 3.4)"
    )]
    pub(super) const fn seq(&self, position: u64) -> u32 {
        self.base.wrapping_add(position as u32)
    }

    /// What the other side acknowledges: everything, for a recording shows what was received.
    pub(super) fn ack(&self) -> u32 {
        self.seq(self.end).wrapping_add(u32::from(self.fin))
    }
}

/// Two ends, the same whichever comes first.
pub(super) fn ordered(one: SocketAddr, other: SocketAddr) -> (SocketAddr, SocketAddr) {
    if one <= other { (one, other) } else { (other, one) }
}

/// One IP packet with a TCP segment.
pub(super) fn frame(wire: &Wire, segment: &Segment<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    let (from, to) = match segment.direction {
        Direction::Write => (wire.process, wire.peer),
        Direction::Read => (wire.peer, wire.process),
    };
    let ip = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), HOPS),
        (from, to) => PacketBuilder::ipv6(mapped(from), mapped(to), HOPS),
    };
    let seq = wire.lane(segment.direction).seq(segment.position);
    let ack = wire.lane(segment.direction.opposite()).ack();
    let tcp = match segment.flag {
        // A SYN takes the number before position 0.
        Flag::Syn => ip.tcp(from.port(), to.port(), seq.wrapping_sub(1), WINDOW).syn(),
        Flag::SynAck => ip
            .tcp(from.port(), to.port(), seq.wrapping_sub(1), WINDOW)
            .syn()
            .ack(ack),
        Flag::Ack => ip.tcp(from.port(), to.port(), seq, WINDOW).ack(ack),
        Flag::Push => ip.tcp(from.port(), to.port(), seq, WINDOW).ack(ack).psh(),
        Flag::Fin => ip.tcp(from.port(), to.port(), seq, WINDOW).ack(ack).fin(),
        Flag::Reset => ip.tcp(from.port(), to.port(), seq, WINDOW).ack(ack).rst(),
    };
    tcp.write(out, segment.payload).map_err(io::Error::other)
}

/// Hop limit and window of made-up packets: the common defaults; nothing depends on them.
const HOPS: u8 = 64;
const WINDOW: u16 = 65_535;

const fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
