//! A pcapng or pcap file to its packets.
//!
//! Takes a reader. Gives one packet after another with its link type, time and the sensor's note.
//! Never trusts a length: each is checked against its container before use. Bounded by [`MAX_BLOCK_BYTES`] of memory
//! and [`MAX_INTERFACES`]; the file is read as a stream.
//!
//! pcapng: draft-ietf-opsawg-pcapng. pcap: draft-ietf-opsawg-pcap.

use std::io::{self, Read};

use super::field::{Clock, Fields, Options, Order};
use super::note;

/// Largest block that is held. Wireshark refuses larger ones too (16 MiB, `MAX_BLOCK_SIZE`).
const MAX_BLOCK_BYTES: u32 = 16 * 1024 * 1024;
/// Largest packet of a classic file: libpcap's `MAXIMUM_SNAPLEN`.
const MAX_PACKET_BYTES: u32 = 256 * 1024;
/// Interfaces per section. Real files have one per network card.
const MAX_INTERFACES: usize = 4096;

/// Section header block; the same in both byte orders.
const SECTION_HEADER: u32 = 0x0A0D_0D0A;
/// Interface description block.
const INTERFACE: u32 = 1;
/// Packet block: obsolete, still written by old tools.
const OLD_PACKET: u32 = 2;
/// Simple packet block: without time, always of the first interface.
const SIMPLE_PACKET: u32 = 3;
/// Enhanced packet block.
const ENHANCED_PACKET: u32 = 6;

/// Options: comment, resolution of time stamps, seconds to add to them.
const OPT_COMMENT: u16 = 1;
const OPT_TSRESOL: u16 = 9;
const OPT_TSOFFSET: u16 = 14;

/// One captured packet.
pub(super) struct Packet<'a> {
    /// LINKTYPE number.
    pub(super) link: u32,
    /// Nanoseconds since the file's epoch.
    pub(super) time_ns: u64,
    /// The captured bytes.
    pub(super) bytes: &'a [u8],
    /// The sensor's comment on it.
    pub(super) comment: Option<&'a [u8]>,
}

/// Why the next packet cannot be had.
#[derive(Debug)]
pub(super) enum Fault {
    /// The system's reason.
    Io(io::Error),
    /// Neither pcapng nor pcap.
    NotACapture,
    /// The file ends within a block or packet.
    CutShort,
    /// What contradicts the format.
    Malformed(&'static str),
}

impl From<io::Error> for Fault {
    fn from(source: io::Error) -> Self {
        Self::Io(source)
    }
}

/// The packets of a file, in file order.
pub(super) struct Packets<R> {
    input: R,
    format: Format,
    buffer: Vec<u8>,
    number: u64,
    time_ns: u64,
}

enum Format {
    Classic {
        order: Order,
        nanos: bool,
        link: u32,
    },
    Sections {
        order: Order,
        interfaces: Vec<Interface>,
    },
}

#[derive(Clone, Copy)]
struct Interface {
    link: u32,
    snap: u32,
    clock: Clock,
}

/// What one block turned out to be: a packet's place in the buffer, or nothing of interest.
struct Found {
    interface: Interface,
    time_ns: u64,
    bytes: std::ops::Range<usize>,
    options: Option<usize>,
}

impl<R: Read> Packets<R> {
    /// Looks at the first bytes to tell the format.
    pub(super) fn new(input: R) -> Result<Self, Fault> {
        let mut packets = Self {
            input,
            format: Format::Sections {
                order: Order::Little,
                interfaces: Vec::new(),
            },
            buffer: Vec::new(),
            number: 0,
            time_ns: 0,
        };
        let magic = match packets.fill(4) {
            Ok(()) => Fields::new(&packets.buffer, Order::Big).array()?,
            Err(Fault::CutShort) => return Err(Fault::NotACapture),
            Err(fault) => return Err(fault),
        };
        if u32::from_be_bytes(magic) == SECTION_HEADER {
            packets.number = 1;
            packets.section()?;
        } else {
            packets.format = packets.classic(magic)?;
        }
        Ok(packets)
    }

    /// What [`Packets::number`] counts.
    pub(super) const fn unit(&self) -> &'static str {
        match self.format {
            Format::Classic { .. } => "packet",
            Format::Sections { .. } => "block",
        }
    }

    /// The packet or block looked at last, from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The next packet, or `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Packet<'_>>, Fault> {
        match self.format {
            Format::Classic { order, nanos, link } => self.next_classic(order, nanos, link),
            Format::Sections { .. } => self.next_in_section(),
        }
    }

    /// The file header after its magic number; draft-ietf-opsawg-pcap, 4.
    fn classic(&mut self, magic: [u8; 4]) -> Result<Format, Fault> {
        let (order, nanos) = match u32::from_be_bytes(magic) {
            0xA1B2_C3D4 => (Order::Big, false),
            0xA1B2_3C4D => (Order::Big, true),
            0xD4C3_B2A1 => (Order::Little, false),
            0x4D3C_B2A1 => (Order::Little, true),
            _ => return Err(Fault::NotACapture),
        };
        self.fill(20)?;
        let mut fields = Fields::new(&self.buffer, order);
        fields.skip(16)?;
        // The upper half holds the length of the frame check sequence.
        let link = fields.u32()? & 0xffff;
        Ok(Format::Classic { order, nanos, link })
    }

    fn next_classic(&mut self, order: Order, nanos: bool, link: u32) -> Result<Option<Packet<'_>>, Fault> {
        self.number += 1;
        if !self.fill_or_end(16)? {
            return Ok(None);
        }
        let mut fields = Fields::new(&self.buffer, order);
        let (seconds, fraction) = (fields.u32()?, fields.u32()?);
        let captured = fields.u32()?;
        if captured > MAX_PACKET_BYTES {
            return Err(Fault::Malformed("the packet's length exceeds 256 KiB"));
        }
        self.fill(captured)?;
        let scale = if nanos { 1 } else { 1000 };
        let time_ns = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * scale;
        Ok(Some(Packet {
            link,
            time_ns,
            bytes: &self.buffer,
            comment: None,
        }))
    }

    fn next_in_section(&mut self) -> Result<Option<Packet<'_>>, Fault> {
        let (order, found) = loop {
            self.number += 1;
            if !self.fill_or_end(4)? {
                return Ok(None);
            }
            let kind = Fields::new(&self.buffer, Order::Big).array()?;
            if u32::from_be_bytes(kind) == SECTION_HEADER {
                self.section()?;
                continue;
            }
            let Format::Sections { order, .. } = self.format else {
                return Ok(None);
            };
            if let Some(found) = self.block(order, order.u32(kind))? {
                break (order, found);
            }
        };
        self.time_ns = found.time_ns;
        let comment = match found.options.and_then(|start| self.buffer.get(start..)) {
            Some(options) => sensor_comment(options, order)?,
            None => None,
        };
        Ok(Some(Packet {
            link: found.interface.link,
            time_ns: found.time_ns,
            bytes: self.buffer.get(found.bytes).unwrap_or_default(),
            comment,
        }))
    }

    /// Section header after its type: it tells the byte order and forgets earlier interfaces.
    fn section(&mut self) -> Result<(), Fault> {
        self.fill(8)?;
        let mut fields = Fields::new(&self.buffer, Order::Big);
        let total = fields.u32()?;
        let order = match fields.u32()? {
            0x1A2B_3C4D => Order::Big,
            0x4D3C_2B1A => Order::Little,
            _ if self.number == 1 => return Err(Fault::NotACapture),
            _ => return Err(Fault::Malformed("the section's byte order mark is unknown")),
        };
        let total = match order {
            Order::Big => total,
            Order::Little => total.swap_bytes(),
        };
        if !(28..=MAX_BLOCK_BYTES).contains(&total) || !total.is_multiple_of(4) {
            return Err(Fault::Malformed("the section header's length is impossible"));
        }
        self.fill(total - 12)?;
        if Fields::new(&self.buffer, order).u16()? != 1 {
            return Err(Fault::Malformed("the section's major version is not 1"));
        }
        self.check_trailer(order, total)?;
        self.format = Format::Sections {
            order,
            interfaces: Vec::new(),
        };
        Ok(())
    }

    /// A block after its type. Packets are left in the buffer.
    fn block(&mut self, order: Order, kind: u32) -> Result<Option<Found>, Fault> {
        self.fill(4)?;
        let total = Fields::new(&self.buffer, order).u32()?;
        if total < 12 || !total.is_multiple_of(4) {
            return Err(Fault::Malformed(
                "the block's length is below 12 or no multiple of 4",
            ));
        }
        if !matches!(kind, INTERFACE | OLD_PACKET | SIMPLE_PACKET | ENHANCED_PACKET) {
            self.skip(total - 12)?;
            self.fill(4)?;
            self.check_trailer(order, total)?;
            return Ok(None);
        }
        if total > MAX_BLOCK_BYTES {
            return Err(Fault::Malformed("the block's length exceeds 16 MiB"));
        }
        self.fill(total - 8)?;
        self.check_trailer(order, total)?;
        match kind {
            INTERFACE => self.interface(order).map(|()| None),
            SIMPLE_PACKET => self.simple_packet(order).map(Some),
            _ => self.packet(order, kind).map(Some),
        }
    }

    /// Interface description; draft-ietf-opsawg-pcapng, 4.2.
    fn interface(&mut self, order: Order) -> Result<(), Fault> {
        let mut fields = Fields::new(&self.buffer, order);
        let link = u32::from(fields.u16()?);
        fields.skip(2)?;
        let snap = fields.u32()?;
        // Without the option, time stamps are in microseconds.
        let mut clock = Clock {
            resolution: 6,
            offset_s: 0,
        };
        let mut options = Options(fields);
        while let Some((code, value)) = options.next()? {
            match (code, value) {
                (OPT_TSRESOL, [resolution, ..]) => clock.resolution = *resolution,
                (OPT_TSOFFSET, _) if value.len() == 8 => {
                    clock.offset_s = Fields::new(value, order).u64()?.cast_signed();
                }
                _ => {}
            }
        }
        let Format::Sections { interfaces, .. } = &mut self.format else {
            return Ok(());
        };
        if interfaces.len() >= MAX_INTERFACES {
            return Err(Fault::Malformed("the section has more than 4096 interfaces"));
        }
        interfaces.push(Interface { link, snap, clock });
        Ok(())
    }

    /// Enhanced packet block (draft-ietf-opsawg-pcapng, 4.3) and its obsolete forerunner (B.1).
    fn packet(&self, order: Order, kind: u32) -> Result<Found, Fault> {
        let mut fields = Fields::new(&self.buffer, order);
        let interface = if kind == ENHANCED_PACKET {
            fields.u32()?
        } else {
            let interface = u32::from(fields.u16()?);
            fields.skip(2)?;
            interface
        };
        let interface = self.interface_of(interface)?;
        let units = u64::from(fields.u32()?) << 32 | u64::from(fields.u32()?);
        let captured = fields.u32()? as usize;
        fields.skip(4)?;
        let start = self.buffer.len() - fields.rest.len();
        fields.skip(captured)?;
        fields.pad(captured)?;
        Ok(Found {
            interface,
            time_ns: interface.clock.nanoseconds(units),
            bytes: start..start + captured,
            options: Some(self.buffer.len() - fields.rest.len()),
        })
    }

    /// Simple packet block: the captured length is what fits; draft-ietf-opsawg-pcapng, 4.4.
    fn simple_packet(&self, order: Order) -> Result<Found, Fault> {
        let mut fields = Fields::new(&self.buffer, order);
        let interface = self.interface_of(0)?;
        let original = fields.u32()?;
        let limit = if interface.snap == 0 {
            u32::MAX
        } else {
            interface.snap
        };
        let captured = (original.min(limit) as usize).min(fields.rest.len());
        Ok(Found {
            interface,
            time_ns: self.time_ns,
            bytes: 4..4 + captured,
            options: None,
        })
    }

    fn interface_of(&self, index: u32) -> Result<Interface, Fault> {
        match &self.format {
            Format::Sections { interfaces, .. } => interfaces.get(index as usize).copied(),
            Format::Classic { .. } => None,
        }
        .ok_or(Fault::Malformed(
            "the packet names an interface that was not described",
        ))
    }

    /// The length is repeated at the end of a block, which is then cut off the buffer.
    fn check_trailer(&mut self, order: Order, total: u32) -> Result<(), Fault> {
        let Some((body, trailer)) = self.buffer.split_last_chunk::<4>() else {
            return Err(Fault::Malformed("the block has no room for its second length"));
        };
        if order.u32(*trailer) != total {
            return Err(Fault::Malformed("the block's two lengths differ"));
        }
        let body = body.len();
        self.buffer.truncate(body);
        Ok(())
    }

    /// Reads exactly `len` bytes into the buffer, which grows only as far as the file goes.
    fn fill(&mut self, len: u32) -> Result<(), Fault> {
        if self.fill_or_end(len)? || len == 0 {
            return Ok(());
        }
        Err(Fault::CutShort)
    }

    /// As [`Packets::fill`]; false at the end of the file.
    fn fill_or_end(&mut self, len: u32) -> Result<bool, Fault> {
        self.buffer.clear();
        let read = (&mut self.input)
            .take(u64::from(len))
            .read_to_end(&mut self.buffer)?;
        match read {
            0 => Ok(false),
            _ if read < len as usize => Err(Fault::CutShort),
            _ => Ok(true),
        }
    }

    fn skip(&mut self, len: u32) -> Result<(), Fault> {
        let skipped = io::copy(&mut (&mut self.input).take(u64::from(len)), &mut io::sink())?;
        if skipped < u64::from(len) {
            return Err(Fault::CutShort);
        }
        Ok(())
    }
}

/// The first comment that the sensor wrote, if any; files may be annotated by others too.
fn sensor_comment(options: &[u8], order: Order) -> Result<Option<&[u8]>, Fault> {
    let mut options = Options(Fields::new(options, order));
    while let Some((code, value)) = options.next()? {
        if code == OPT_COMMENT && value.starts_with(note::PREFIX) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}
