//! The writer: records in, packets out.
//!
//! Plaintext goes into this file as it is: whoever opens a [`Writer`] has asked for it with both switches.
//!
//! - A stream begins with its first bytes or gap; one that carried nothing is not written.
//! - The process is the server when it accepted the connection, the client when it connected; where the kernel saw
//!   neither, it is the server if it read first (requests arrive at servers).
//! - Addresses are those of the socket when it is known at the first packet and no other stream is using them (both
//!   ends of a connection may be watched), else documentation addresses (RFC 3849) that are stable per process. What
//!   is known of the socket stands in the comment in either case, and what becomes known later in a comment of its own.
//! - Ports stay as they are: Wireshark recognises HTTP on any port, 443 included.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::{Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, PcapError};

use super::note::{CloseNote, Note, SocketNote, StreamNote};
use super::wire::{Flag, Lane, Segment, Wire, frame, ordered};
use crate::capture::source::CaptureError;
use crate::capture::{
    CloseReason, Comm, Data, Direction, Evidence, Gap, Origin, ProcessKey, Record, Role, SocketAddress,
    StreamKey,
};

/// Payload per packet: what an IPv4 packet (65,535 bytes) holds beside two headers of 20 bytes.
const SEGMENT_BYTES: usize = 65_495;
/// Streams remembered at most; the quarter idle longest makes room and begins anew if it goes on.
const MAX_STREAMS: usize = 65_536;
/// Names of processes remembered at most; when full, they are forgotten and streams go without.
const MAX_PROCESSES: usize = 65_536;
/// From this distance on a packet says its position: a sequence number tells positions apart up to 2 GiB.
const FAR: u64 = 1 << 30;

/// Writes records as packets.
pub struct Writer<W: Write> {
    file: PcapNgWriter<W>,
    path: PathBuf,
    clock_offset_ns: u64,
    streams: HashMap<StreamKey, Stream>,
    names: HashMap<ProcessKey, Comm>,
    tuples: HashSet<(SocketAddr, SocketAddr)>,
    begun: u32,
    clock: u64,
    packet: Vec<u8>,
}

#[derive(Default)]
struct Stream {
    socket: Option<SocketNote>,
    wire: Option<Wire>,
    used: u64,
}

/// Creates a recording that only its owner can read. `clock_offset_ns` is added to the records' clock: the wall clock
/// when that was 0, so that the packets show the time of day.
pub fn create(path: &Path, clock_offset_ns: u64) -> Result<Writer<BufWriter<File>>, CaptureError> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| CaptureError::Write {
            path: path.into(),
            source,
        })?;
    Writer::new(BufWriter::new(file), path, clock_offset_ns)
}

impl<W: Write> Writer<W> {
    /// Starts a recording in `out`; `path` names it in errors.
    pub fn new(out: W, path: &Path, clock_offset_ns: u64) -> Result<Self, CaptureError> {
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName("api-sensor".into()),
                // Nanoseconds.
                InterfaceDescriptionOption::IfTsResol(9),
            ],
        };
        let file = PcapNgWriter::new(out).and_then(|mut file| {
            file.write_block(&interface.into_block())?;
            Ok(file)
        });
        Ok(Self {
            file: file.map_err(|fault| write_error(path, fault))?,
            path: path.into(),
            clock_offset_ns,
            streams: HashMap::new(),
            names: HashMap::new(),
            tuples: HashSet::new(),
            begun: 0,
            clock: 0,
            packet: Vec::new(),
        })
    }

    /// Writes what the record adds to the recording.
    pub fn write(&mut self, record: &Record) -> Result<(), CaptureError> {
        match record {
            Record::Data(data) => self.data(data),
            Record::Gap(gap) => self.gap(gap),
            Record::Bind {
                origin,
                stream,
                socket,
                evidence,
                ambiguous,
            } => {
                let socket = SocketNote {
                    address: *socket,
                    evidence: *evidence,
                    ambiguous: *ambiguous,
                };
                self.socket(origin, *stream, socket)
            }
            Record::Open {
                origin,
                stream,
                socket,
            } => {
                let socket = SocketNote {
                    address: *socket,
                    evidence: Evidence::Direct,
                    ambiguous: false,
                };
                self.socket(origin, *stream, socket)
            }
            Record::Close {
                origin,
                stream,
                reason,
                ends,
            } => self.close(
                origin,
                *stream,
                CloseNote {
                    reason: *reason,
                    ends: *ends,
                },
            ),
            Record::Exec(event)
            | Record::Map(event)
            | Record::Unhooked(event)
            | Record::Undecided(event)
            | Record::ClosedMany(event)
            | Record::Unseen { event, .. } => {
                self.name(event.origin.process, event.comm);
                Ok(())
            }
            Record::Exit(event) => self.exit(&event.origin),
            // A recording says who, not where; what a socket told was used up by the source; why something is not in
            // it the sensor's log says.
            Record::Place { .. } | Record::Sockets { .. } | Record::Io(_) | Record::Notice(..) => Ok(()),
        }
    }

    /// Hands everything to the file and gives it back.
    pub fn finish(self) -> Result<W, CaptureError> {
        let Self { file, path, .. } = self;
        let mut out = file.into_inner();
        out.flush()
            .map_err(|source| CaptureError::Write { path, source })?;
        Ok(out)
    }

    fn data(&mut self, data: &Data) -> Result<(), CaptureError> {
        let mut wire = self.wire(&data.origin, data.stream, data.direction)?;
        let mut position = data.position;
        for payload in data.bytes.chunks(SEGMENT_BYTES) {
            let far = position.abs_diff(wire.lane(data.direction).end) >= FAR;
            let note = Note {
                position: far.then_some(position),
                early: data.early,
                ..Note::default()
            };
            let segment = Segment {
                direction: data.direction,
                position,
                flag: Flag::Push,
                payload,
            };
            self.packet(&wire, &segment, &note, data.origin.time_ns)?;
            position = position.saturating_add(payload.len() as u64);
            let lane = wire.lane_mut(data.direction);
            lane.end = lane.end.max(position);
        }
        self.keep(data.stream, wire);
        Ok(())
    }

    /// A packet without payload says why bytes are missing; the next sequence number shows how many.
    fn gap(&mut self, gap: &Gap) -> Result<(), CaptureError> {
        let mut wire = self.wire(&gap.origin, gap.stream, gap.direction)?;
        let note = Note {
            position: Some(gap.position),
            gap: Some((gap.missing, gap.reason)),
            ..Note::default()
        };
        self.packet(
            &wire,
            &Segment::empty(gap.direction, gap.position, Flag::Ack),
            &note,
            gap.origin.time_ns,
        )?;
        let lane = wire.lane_mut(gap.direction);
        lane.end = lane.end.max(gap.position.saturating_add(gap.missing));
        self.keep(gap.stream, wire);
        Ok(())
    }

    fn socket(&mut self, origin: &Origin, key: StreamKey, socket: SocketNote) -> Result<(), CaptureError> {
        let stream = self.stream(key);
        if stream.socket == Some(socket) {
            return Ok(());
        }
        stream.socket = Some(socket);
        let Some(wire) = stream.wire else { return Ok(()) };
        let note = Note {
            socket: Some(socket),
            ..Note::default()
        };
        // The packet passes for the acknowledgement of what was written last.
        let direction = if wire.written.end > 0 {
            Direction::Read
        } else {
            Direction::Write
        };
        self.packet(
            &wire,
            &Segment::empty(direction, wire.lane(direction).end, Flag::Ack),
            &note,
            origin.time_ns,
        )
    }

    fn close(&mut self, origin: &Origin, key: StreamKey, close: CloseNote) -> Result<(), CaptureError> {
        let Some(stream) = self.streams.get_mut(&key) else {
            return Ok(());
        };
        let wire = stream.wire;
        let lives = close.reason == CloseReason::Shutdown;
        if let Some(wire) = stream.wire.as_mut().filter(|_| lives) {
            wire.written.fin = true;
        }
        if !lives {
            self.streams.remove(&key);
        }
        let Some(mut wire) = wire else { return Ok(()) };
        if !lives {
            self.tuples.remove(&wire.tuple());
        }
        if let Some((read, written)) = close.ends {
            wire.read.end = wire.read.end.max(read);
            wire.written.end = wire.written.end.max(written);
        }
        let note = Note {
            close: Some(close),
            ..Note::default()
        };
        match close.reason {
            CloseReason::Shutdown => self.end(&wire, Direction::Write, Flag::Fin, &note, origin),
            CloseReason::Free => self.end(&wire, Direction::Write, Flag::Reset, &note, origin),
            CloseReason::Socket => {
                if !wire.written.fin {
                    self.end(&wire, Direction::Write, Flag::Fin, &Note::default(), origin)?;
                    wire.written.fin = true;
                }
                self.end(&wire, Direction::Read, Flag::Fin, &note, origin)
            }
        }
    }

    fn end(
        &mut self,
        wire: &Wire,
        direction: Direction,
        flag: Flag,
        note: &Note,
        origin: &Origin,
    ) -> Result<(), CaptureError> {
        self.packet(
            wire,
            &Segment::empty(direction, wire.lane(direction).end, flag),
            note,
            origin.time_ns,
        )
    }

    /// The process took its streams with it.
    fn exit(&mut self, origin: &Origin) -> Result<(), CaptureError> {
        self.names.remove(&origin.process);
        let mut gone: Vec<StreamKey> = self
            .streams
            .keys()
            .filter(|key| key.process == origin.process)
            .copied()
            .collect();
        // Maps have no order, files must.
        gone.sort_unstable_by_key(|key| (key.id, key.generation));
        let close = CloseNote {
            reason: CloseReason::Socket,
            ends: None,
        };
        gone.into_iter()
            .try_for_each(|key| self.close(origin, key, close))
    }

    fn name(&mut self, process: ProcessKey, comm: Comm) {
        if self.names.len() >= MAX_PROCESSES {
            self.names.clear();
        }
        self.names.insert(process, comm);
    }

    fn stream(&mut self, key: StreamKey) -> &mut Stream {
        self.clock += 1;
        if self.streams.len() >= MAX_STREAMS && !self.streams.contains_key(&key) {
            self.make_room();
        }
        let stream = self.streams.entry(key).or_default();
        stream.used = self.clock;
        stream
    }

    fn make_room(&mut self) {
        let mut used: Vec<u64> = self.streams.values().map(|stream| stream.used).collect();
        let quarter = used.len() / 4;
        let threshold = *used.select_nth_unstable(quarter).1;
        let tuples = &mut self.tuples;
        self.streams.retain(|_, stream| {
            let keep = stream.used > threshold;
            if let Some(wire) = stream.wire.filter(|_| !keep) {
                tuples.remove(&wire.tuple());
            }
            keep
        });
    }

    fn keep(&mut self, key: StreamKey, wire: Wire) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.wire = Some(wire);
        }
    }

    /// The stream's wire; the first time, its handshake is written.
    fn wire(&mut self, origin: &Origin, key: StreamKey, first: Direction) -> Result<Wire, CaptureError> {
        let stream = self.stream(key);
        if let Some(wire) = stream.wire {
            return Ok(wire);
        }
        let socket = stream.socket;
        let role = socket.map_or(Role::Unknown, |socket| socket.address.role);
        let server = match role {
            Role::Server => true,
            Role::Client => false,
            Role::Unknown => first == Direction::Read,
        };
        let (process, peer) = self.ends(key, socket.as_ref(), server);
        self.begun = self.begun.wrapping_add(1);
        // Spread, so that a port that is used again does not continue its forerunner's sequence (2^32 / golden ratio).
        let base = self.begun.wrapping_mul(0x9E37_79B1);
        let lane = |base| Lane {
            base,
            ..Lane::default()
        };
        let wire = Wire {
            process,
            peer,
            written: lane(base),
            read: lane(!base),
        };
        let opener = if server { Direction::Read } else { Direction::Write };
        let named = StreamNote {
            key,
            comm: self.names.get(&key.process).copied().unwrap_or_default(),
            cgroup: origin.cgroup,
            from_process: !server,
        };
        let note = Note {
            stream: Some(named),
            socket,
            ..Note::default()
        };
        let quiet = Note::default();
        let handshake = [
            (opener, Flag::Syn, &note),
            (opener.opposite(), Flag::SynAck, &quiet),
            (opener, Flag::Ack, &quiet),
        ];
        for (direction, flag, note) in handshake {
            self.packet(&wire, &Segment::empty(direction, 0, flag), note, origin.time_ns)?;
        }
        self.keep(key, wire);
        Ok(wire)
    }

    /// Addresses for the frames of a stream: process, peer.
    fn ends(
        &mut self,
        key: StreamKey,
        socket: Option<&SocketNote>,
        server: bool,
    ) -> (SocketAddr, SocketAddr) {
        if let Some((process, peer)) = socket.and_then(|socket| real_ends(&socket.address))
            && self.tuples.insert(ordered(process, peer))
        {
            return (process, peer);
        }
        let process = Ipv6Addr::from_bits(DOCUMENTATION | u128::from(key.process.pid));
        let peer = Ipv6Addr::from_bits(DOCUMENTATION | PEERS | u128::from(self.begun));
        let (process_port, peer_port) = if server { (80, 49_152) } else { (49_152, 80) };
        let (process, peer) = (
            SocketAddr::new(process.into(), process_port),
            SocketAddr::new(peer.into(), peer_port),
        );
        self.tuples.insert(ordered(process, peer));
        (process, peer)
    }

    fn packet(
        &mut self,
        wire: &Wire,
        segment: &Segment<'_>,
        note: &Note,
        time_ns: u64,
    ) -> Result<(), CaptureError> {
        self.packet.clear();
        frame(wire, segment, &mut self.packet).map_err(|source| CaptureError::Write {
            path: self.path.clone(),
            source,
        })?;
        let options = if *note == Note::default() {
            Vec::new()
        } else {
            vec![EnhancedPacketOption::Comment(note.to_string().into())]
        };
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(time_ns.saturating_add(self.clock_offset_ns)),
            original_len: u32::try_from(self.packet.len()).unwrap_or(u32::MAX),
            data: self.packet.as_slice().into(),
            options,
        };
        match self.file.write_block(&block.into_block()) {
            Ok(_) => Ok(()),
            Err(fault) => Err(write_error(&self.path, fault)),
        }
    }
}

/// `2001:db8::/32`, the prefix for documentation (RFC 3849).
const DOCUMENTATION: u128 = 0x2001_0db8 << 96;
/// `2001:db8:1::/48` holds the peers, `2001:db8::/48` the processes by id.
const PEERS: u128 = 1 << 80;

fn real_ends(socket: &SocketAddress) -> Option<(SocketAddr, SocketAddr)> {
    let (local, remote) = socket.local.zip(socket.remote)?;
    Some((SocketAddr::from(local), SocketAddr::from(remote)))
}

fn write_error(path: &Path, fault: PcapError) -> CaptureError {
    let source = match fault {
        PcapError::IoError(source) => source,
        other => io::Error::other(other),
    };
    CaptureError::Write {
        path: path.into(),
        source,
    }
}
