//! TCP segments to records.
//!
//! Takes segments in file order with the sensor's notes. Gives `Open`/`Bind`, `Data`, `Gap` and `Close` records whose
//! positions count from the start of each direction; what comes twice or out of order keeps its position, which is
//! all that `flow` needs. Never reassembles. Bounded by [`MAX_CONNECTIONS`]; the quarter idle longest makes room.
//!
//! A capture of somebody else's names no process. Its streams belong to process 0, which is the accepting end: the
//! receiver of the SYN, or the lower port where the beginning was not captured.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use bytes::Bytes;

use super::account::{Account, Skip};
use super::frame::Segment;
use super::note::{CloseNote, Note, SocketNote, StreamNote};
use super::side::Side;
use crate::capture::{
    CloseReason, Comm, Data, Direction, Evidence, Gap, GapReason, Origin, ProcessEvent, ProcessKey, Record,
    Role, SocketAddress, Source, StreamKey,
};

/// Connections remembered at most: as many as the flow table holds streams by default.
const MAX_CONNECTIONS: usize = 65_536;
/// Processes whose name was told already. When full, names are told again.
const MAX_PROCESSES: usize = 65_536;

/// Two ends in order, so that both directions find the same connection.
type Tuple = (SocketAddr, SocketAddr);

/// The connections of a recording.
#[derive(Default)]
pub(super) struct Tracker {
    connections: HashMap<Tuple, Connection>,
    processes: HashSet<ProcessKey>,
    begun: u64,
    clock: u64,
    account: Account,
}

struct Connection {
    stream: StreamKey,
    cgroup: u64,
    inode: u64,
    /// The process is the first end of the tuple.
    process_first: bool,
    /// Written by the sensor: notes say what happens to the stream.
    noted: bool,
    first: Side,
    second: Side,
    phase: Phase,
    used: u64,
}

/// How far a stream has come. A closed one is remembered, so that stragglers do not begin a stream of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Shut,
    Closed,
}

impl Tracker {
    /// Takes one segment and appends what it means.
    pub(super) fn push(
        &mut self,
        segment: &Segment<'_>,
        time_ns: u64,
        note: Option<&Note>,
        out: &mut Vec<Record>,
    ) {
        self.account.segments += 1;
        self.clock += 1;
        let first_sent = segment.from <= segment.to;
        let tuple = if first_sent {
            (segment.from, segment.to)
        } else {
            (segment.to, segment.from)
        };
        let empty = Note::default();
        let note = note.unwrap_or(&empty);
        if self.must_begin(tuple, first_sent, segment, note) {
            self.begin(tuple, first_sent, segment, time_ns, note, out);
        }
        let Some(connection) = self.connections.get_mut(&tuple) else {
            return;
        };
        connection.used = self.clock;
        connection.take(first_sent, segment, time_ns, note, &mut self.account, out);
    }

    /// The file has ended: connections of which both ends said FIN are closed.
    pub(super) fn finish(&mut self, time_ns: u64, out: &mut Vec<Record>) {
        let mut ended: Vec<Connection> = self
            .connections
            .drain()
            .map(|(_, connection)| connection)
            .collect();
        // Maps have no order, outputs must.
        ended.sort_unstable_by_key(|connection| connection.used);
        for connection in &mut ended {
            if !connection.noted && connection.ends().is_some() {
                connection.close(CloseReason::Socket, connection.ends(), time_ns, out);
            }
        }
    }

    pub(super) const fn account(&self) -> &Account {
        &self.account
    }

    pub(super) const fn account_mut(&mut self) -> &mut Account {
        &mut self.account
    }

    /// Whether the segment starts a connection: by a note, by a SYN that is no repetition, or in the middle.
    fn must_begin(&self, tuple: Tuple, first_sent: bool, segment: &Segment<'_>, note: &Note) -> bool {
        let Some(known) = self.connections.get(&tuple) else {
            return note.stream.is_some() || segment.syn || (!segment.payload.is_empty() && !segment.rst);
        };
        if note.stream.is_some() {
            return true;
        }
        if !segment.syn {
            return false;
        }
        match known.side(first_sent).base {
            Some(base) => base != segment.seq,
            // The answer to a SYN that was seen, or a SYN where only the other direction was captured before.
            None => segment.ack.is_none() || known.phase == Phase::Closed,
        }
    }

    fn begin(
        &mut self,
        tuple: Tuple,
        first_sent: bool,
        segment: &Segment<'_>,
        time_ns: u64,
        note: &Note,
        out: &mut Vec<Record>,
    ) {
        self.make_room();
        self.account.streams += 1;
        let earlier = self.connections.remove(&tuple);
        let mut connection = match (note.stream, &earlier) {
            (Some(stream), _) => Connection::noted(&stream, first_sent, note.socket.as_ref()),
            (
                None,
                Some(Connection {
                    noted: false, stream, ..
                }),
            ) => Connection::foreign(foreign_stream(stream.id, stream.generation.wrapping_add(1))),
            (None, _) => {
                self.begun += 1;
                Connection::foreign(foreign_stream(self.begun, 0))
            }
        };
        if !connection.noted {
            connection.process_first = is_server_first(tuple, first_sent, segment);
        }
        if let Some(mut earlier) = earlier
            && !earlier.noted
        {
            earlier.close(CloseReason::Socket, earlier.ends(), time_ns, out);
        }
        if let Some(stream) = note.stream {
            self.name_process(&stream, connection.origin(time_ns), out);
        } else {
            out.push(connection.open(tuple, segment.syn, time_ns));
        }
        self.connections.insert(tuple, connection);
    }

    /// A process's name comes before its first stream.
    fn name_process(&mut self, stream: &StreamNote, origin: Origin, out: &mut Vec<Record>) {
        if self.processes.len() >= MAX_PROCESSES {
            self.processes.clear();
        }
        if self.processes.insert(stream.key.process) && stream.comm != Comm::default() {
            out.push(Record::Exec(ProcessEvent {
                origin,
                comm: stream.comm,
            }));
        }
    }

    fn make_room(&mut self) {
        if self.connections.len() < MAX_CONNECTIONS {
            return;
        }
        let mut used: Vec<u64> = self
            .connections
            .values()
            .map(|connection| connection.used)
            .collect();
        let quarter = used.len() / 4;
        let (_, threshold, _) = used.select_nth_unstable(quarter);
        let threshold = *threshold;
        self.connections
            .retain(|_, connection| connection.used > threshold);
        self.account.evicted += (used.len() - self.connections.len()) as u64;
    }
}

impl Connection {
    const fn noted(note: &StreamNote, first_sent: bool, socket: Option<&SocketNote>) -> Self {
        let mut connection = Self::foreign(note.key);
        connection.noted = true;
        connection.process_first = note.from_process == first_sent;
        connection.cgroup = note.cgroup;
        connection.inode = match socket {
            Some(socket) => socket.address.inode,
            None => 0,
        };
        connection
    }

    const fn foreign(stream: StreamKey) -> Self {
        const UNSEEN: Side = Side {
            base: None,
            reach: 0,
            end: None,
            fin_acknowledged: false,
        };
        Self {
            stream,
            cgroup: 0,
            inode: stream.id,
            process_first: true,
            noted: false,
            first: UNSEEN,
            second: UNSEEN,
            phase: Phase::Open,
            used: 0,
        }
    }

    /// What the segment says, in the order in which it counts: socket, bytes, gap, end.
    fn take(
        &mut self,
        first_sent: bool,
        segment: &Segment<'_>,
        time_ns: u64,
        note: &Note,
        account: &mut Account,
        out: &mut Vec<Record>,
    ) {
        if self.phase == Phase::Closed {
            if !segment.payload.is_empty() {
                account.skip(Skip::AfterClose);
            }
            return;
        }
        if let Some(socket) = &note.socket {
            self.bind(socket, time_ns, out);
        }
        // The text that some systems put into a RST is no part of the stream (RFC 9293, 3.5.2).
        if !segment.rst {
            self.carry(first_sent, segment, time_ns, note, account, out);
        }
        if self.noted {
            if let Some(CloseNote { reason, ends }) = note.close {
                self.close(reason, ends, time_ns, out);
            }
            return;
        }
        if let Some(ack) = segment.ack {
            self.side_mut(!first_sent).acknowledge(ack);
        }
        self.end(segment.rst, time_ns, out);
    }

    fn carry(
        &mut self,
        first_sent: bool,
        segment: &Segment<'_>,
        time_ns: u64,
        note: &Note,
        account: &mut Account,
        out: &mut Vec<Record>,
    ) {
        let direction = if first_sent == self.process_first {
            Direction::Write
        } else {
            Direction::Read
        };
        let (origin, stream, socket) = (self.origin(time_ns), self.stream, self.inode);
        let captured = segment.payload.len() as u64;
        let len = captured + u64::from(segment.cut);
        let side = self.side_mut(first_sent);
        let carries = segment.syn || segment.fin || len > 0 || note.gap.is_some();
        if !carries && side.base.is_none() {
            return;
        }
        let Some((position, early)) = side.place(segment.seq, len, note.position) else {
            if captured > 0 {
                account.skip(Skip::BeforeStart);
            }
            return;
        };
        let bytes = segment.payload.get(early..).unwrap_or_default();
        let mut next = position;
        if !bytes.is_empty() {
            next = position.saturating_add(bytes.len() as u64);
            account.bytes += bytes.len() as u64;
            out.push(Record::Data(Data {
                origin,
                stream,
                direction,
                position,
                socket,
                early: note.early,
                bytes: Bytes::copy_from_slice(bytes),
            }));
        }
        let cut = position.saturating_add(len.saturating_sub(early as u64)) - next;
        let cut = (cut > 0).then_some((cut, GapReason::Lost));
        for (missing, reason) in note.gap.into_iter().chain(cut) {
            out.push(Record::Gap(Gap {
                origin,
                stream,
                direction,
                position: next,
                missing,
                reason,
            }));
            next = next.saturating_add(missing);
        }
        side.reached(next);
        if segment.fin {
            side.end = Some(next);
        }
    }

    fn bind(&mut self, note: &SocketNote, time_ns: u64, out: &mut Vec<Record>) {
        self.inode = note.address.inode;
        let (origin, stream, socket) = (self.origin(time_ns), self.stream, note.address);
        out.push(
            if note.evidence == Evidence::Direct && stream.source == Source::Socket {
                Record::Open {
                    origin,
                    stream,
                    socket,
                }
            } else {
                Record::Bind {
                    origin,
                    stream,
                    socket,
                    evidence: note.evidence,
                    ambiguous: note.ambiguous,
                }
            },
        );
    }

    /// Ends are told when they are acknowledged: only then has every byte before them been seen by the receiver.
    fn end(&mut self, reset: bool, time_ns: u64, out: &mut Vec<Record>) {
        let process = self.side(self.process_first).fin_acknowledged;
        let peer = self.side(!self.process_first).fin_acknowledged;
        if reset || (process && peer) {
            self.close(CloseReason::Socket, self.ends(), time_ns, out);
        } else if process && self.phase == Phase::Open {
            self.close(CloseReason::Shutdown, None, time_ns, out);
        }
    }

    fn close(&mut self, reason: CloseReason, ends: Option<(u64, u64)>, time_ns: u64, out: &mut Vec<Record>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = match reason {
            CloseReason::Shutdown => Phase::Shut,
            CloseReason::Socket | CloseReason::Free => Phase::Closed,
        };
        out.push(Record::Close {
            origin: self.origin(time_ns),
            stream: self.stream,
            reason,
            ends,
        });
    }

    /// Bytes read and written in all, once both ends said FIN.
    fn ends(&self) -> Option<(u64, u64)> {
        let (written, read) = (
            self.side(self.process_first).end,
            self.side(!self.process_first).end,
        );
        read.zip(written)
    }

    fn open(&self, tuple: Tuple, from_start: bool, time_ns: u64) -> Record {
        let (local, remote) = if self.process_first {
            tuple
        } else {
            (tuple.1, tuple.0)
        };
        Record::Open {
            origin: self.origin(time_ns),
            stream: self.stream,
            socket: SocketAddress {
                inode: self.inode,
                local: Some((local.ip(), local.port())),
                remote: Some((remote.ip(), remote.port())),
                role: if from_start { Role::Server } else { Role::Unknown },
            },
        }
    }

    const fn origin(&self, time_ns: u64) -> Origin {
        let process = self.stream.process;
        Origin {
            time_ns,
            process,
            tid: process.pid,
            cgroup: self.cgroup,
        }
    }

    const fn side(&self, first: bool) -> &Side {
        if first { &self.first } else { &self.second }
    }

    const fn side_mut(&mut self, first: bool) -> &mut Side {
        if first { &mut self.first } else { &mut self.second }
    }
}

/// Streams of somebody else's capture are numbered; a port that is used again is the next generation.
const fn foreign_stream(id: u64, generation: u32) -> StreamKey {
    StreamKey {
        process: ProcessKey { pid: 0, start_ns: 0 },
        source: Source::Socket,
        id,
        generation,
    }
}

/// Whether the accepting end is the first of the tuple.
fn is_server_first(tuple: Tuple, first_sent: bool, segment: &Segment<'_>) -> bool {
    match (segment.syn, segment.ack) {
        (true, None) => !first_sent,
        (true, Some(_)) => first_sent,
        (false, _) if tuple.0.port() == tuple.1.port() => !first_sent,
        (false, _) => tuple.0.port() < tuple.1.port(),
    }
}
