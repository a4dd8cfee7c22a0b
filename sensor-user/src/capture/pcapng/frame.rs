//! A captured packet to its TCP segment.
//!
//! Takes bytes and a link type. Gives a [`Segment`] that borrows them, or why there is none. Never copies payload and
//! checks no checksums (network cards fill them in after the capture). Bounded by the packet.

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};

use super::account::Skip;

/// LINKTYPE numbers of the registry at tcpdump.org: a 4-byte address family in the writer's or network byte order,
const NULL: u32 = 0;
const LOOP: u32 = 108;
/// Ethernet II with or without VLAN tags,
const ETHERNET: u32 = 1;
/// IP without a link header (12 and 14 are what some systems wrote for it),
pub(super) const RAW: u32 = 101;
const RAW_OPENBSD: u32 = 14;
const RAW_BSD: u32 = 12;
const IPV4: u32 = 228;
const IPV6: u32 = 229;
/// and Linux "cooked" captures of all interfaces.
const LINUX_SLL: u32 = 113;
const LINUX_SLL2: u32 = 276;

/// One TCP segment.
pub(super) struct Segment<'a> {
    /// Sender.
    pub(super) from: SocketAddr,
    /// Receiver.
    pub(super) to: SocketAddr,
    /// Sequence number of the first byte of `payload`: a SYN in front of it is already counted.
    pub(super) seq: u32,
    /// Acknowledgement, when the flag is set.
    pub(super) ack: Option<u32>,
    /// Flag.
    pub(super) syn: bool,
    /// Flag.
    pub(super) fin: bool,
    /// Flag.
    pub(super) rst: bool,
    /// The captured bytes.
    pub(super) payload: &'a [u8],
    /// Bytes that followed on the wire and were not captured.
    pub(super) cut: u32,
}

/// Takes a packet apart.
pub(super) fn segment(link: u32, bytes: &[u8]) -> Result<Segment<'_>, Skip> {
    let packet = match link {
        ETHERNET => LaxSlicedPacket::from_ethernet(bytes).map_err(|_short| Skip::BadHeader)?,
        RAW | RAW_OPENBSD | RAW_BSD | IPV4 | IPV6 => from_ip(bytes)?,
        NULL | LOOP => from_ip(bytes.get(4..).ok_or(Skip::BadHeader)?)?,
        // Protocol type in the last two of 16 bytes.
        LINUX_SLL => from_ether_type(bytes.get(14..16), bytes.get(16..))?,
        // Protocol type in the first two of 20 bytes.
        LINUX_SLL2 => from_ether_type(bytes.get(..2), bytes.get(20..))?,
        _ => return Err(Skip::LinkType),
    };
    let ip_len = packet
        .ether_payload()
        .map_or_else(|| ip_only_len(link, bytes), |ip| ip.payload.len());
    of_packet(&packet, ip_len)
}

fn from_ip(bytes: &[u8]) -> Result<LaxSlicedPacket<'_>, Skip> {
    LaxSlicedPacket::from_ip(bytes).map_err(|_not_ip| Skip::BadHeader)
}

fn from_ether_type<'a>(kind: Option<&[u8]>, rest: Option<&'a [u8]>) -> Result<LaxSlicedPacket<'a>, Skip> {
    let (Some([high, low]), Some(rest)) = (kind, rest) else {
        return Err(Skip::BadHeader);
    };
    Ok(LaxSlicedPacket::from_ether_type(
        EtherType(u16::from_be_bytes([*high, *low])),
        rest,
    ))
}

fn ip_only_len(link: u32, bytes: &[u8]) -> usize {
    if matches!(link, NULL | LOOP) {
        bytes.len().saturating_sub(4)
    } else {
        bytes.len()
    }
}

/// `ip_len` is what was captured from the IP header on, link padding included.
fn of_packet<'a>(packet: &LaxSlicedPacket<'a>, ip_len: usize) -> Result<Segment<'a>, Skip> {
    let (from, to, declared, fragment): (IpAddr, IpAddr, usize, bool) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
            usize::from(ip.header().total_len()),
            ip.is_payload_fragmented(),
        ),
        Some(LaxNetSlice::Ipv6(ip)) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
            // The fixed header is 40 bytes (RFC 8200, 3).
            40 + usize::from(ip.header().payload_length()),
            ip.is_payload_fragmented(),
        ),
        None if packet.stop_err.is_some() => return Err(Skip::BadHeader),
        Some(LaxNetSlice::Arp(_)) | None => return Err(Skip::NotIp),
    };
    if fragment {
        return Err(Skip::Fragment);
    }
    let tcp = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => tcp,
        None if packet.stop_err.is_some() => return Err(Skip::BadHeader),
        Some(_) | None => return Err(Skip::NotTcp),
    };
    Ok(Segment {
        from: SocketAddr::new(from, tcp.source_port()),
        to: SocketAddr::new(to, tcp.destination_port()),
        // A SYN takes one sequence number (RFC 9293, 3.4).
        seq: tcp.sequence_number().wrapping_add(u32::from(tcp.syn())),
        ack: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload: tcp.payload(),
        cut: u32::try_from(declared.saturating_sub(ip_len)).unwrap_or(0),
    })
}
