//! Every connection of a shard.
//!
//! Takes flow events. Gives exchanges. Never keeps what the flow table forgot, so its bound is that table's.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::http1::{Context, Http1};
use super::secret::HashKey;
use super::{Connection, Exchange, Limits};
use crate::capture::{
    CloseReason, Comm, Container, Direction, Endpoint, Evidence, GapReason, ProcessKey, Role, SocketAddress,
    Source, StreamKey,
};
use crate::flow::FlowEvent;
use crate::protocol::detect::{Verdict, detect};
use crate::protocol::proxy;
use crate::telemetry::ledger::{Post, Tally as Books};
use crate::telemetry::{Counters, Metric};

/// Processes whose name is remembered. A host runs at most 32,768 processes by default (`kernel.pid_max`), of which
/// few talk.
const NAMES: usize = 8192;

/// Flow events to exchanges.
#[derive(Debug)]
pub struct Conversations {
    limits: Limits,
    key: HashKey,
    counters: Arc<Counters>,
    table: FxHashMap<StreamKey, Box<Conversation>>,
    names: FxHashMap<ProcessKey, Comm>,
    /// Bounded as the names are.
    containers: FxHashMap<ProcessKey, Arc<Container>>,
}

#[derive(Debug)]
struct Conversation {
    connection: Arc<Connection>,
    talk: Talk,
    /// The account of its process.
    books: Arc<Books>,
    /// Bytes of it that are counted there as waiting.
    waiting: usize,
    /// Bytes being parsed, which are counted nowhere yet.
    under_way: usize,
}

#[derive(Debug)]
enum Talk {
    /// No protocol was recognised so far. What might be the beginning of one is kept, by direction.
    Unrecognised(Prefixes),
    Http1(Box<Http1>),
    /// A protocol that is not read.
    Opaque,
}

#[derive(Default, Debug)]
struct Prefixes {
    read: Prefix,
    write: Prefix,
    /// A PROXY header that was just found.
    proxied: Option<Proxied>,
    /// Holes before anything was recognised: a message may have been in them, so pairing must know.
    holes: Holes,
}

/// Bytes of an application, which never print.
#[derive(Default)]
struct Prefix {
    bytes: BytesMut,
    /// Bytes were looked at that are no PROXY header, or behind one: none can come any more.
    begun: bool,
}

impl std::fmt::Debug for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.bytes.len())
    }
}

/// What a PROXY header said.
#[derive(Clone, Copy, Debug)]
struct Proxied {
    length: usize,
    client: Endpoint,
}

impl Conversations {
    /// No connections.
    pub fn new(limits: Limits, key: HashKey, counters: Arc<Counters>) -> Self {
        Self {
            limits,
            key,
            counters,
            table: FxHashMap::default(),
            names: FxHashMap::default(),
            containers: FxHashMap::default(),
        }
    }

    /// Takes one event; completed exchanges are appended to `out`.
    pub fn push(&mut self, event: FlowEvent, out: &mut Vec<Exchange>) {
        let from = out.len();
        match event {
            FlowEvent::Chunk {
                stream,
                direction,
                time_ns,
                early,
                bytes,
            } => {
                self.chunk(stream, (direction, early), time_ns, bytes.0, out);
                self.sign(&stream, out, from);
            }
            FlowEvent::Gap {
                stream,
                direction,
                missing,
                reason,
                ..
            } => {
                self.gap(stream, direction, missing, reason, out);
                self.sign(&stream, out, from);
            }
            FlowEvent::Bound {
                stream,
                socket,
                evidence,
                ambiguous,
            } => {
                self.conversation(stream).bind(&socket, evidence, ambiguous);
            }
            FlowEvent::Closed {
                stream,
                time_ns,
                reason: CloseReason::Shutdown,
            } => {
                self.half_closed(&stream, time_ns, out);
                self.sign(&stream, out, from);
            }
            FlowEvent::Closed { stream, time_ns, .. } | FlowEvent::Forgotten { stream, time_ns } => {
                self.closed(&stream, time_ns, out);
            }
            FlowEvent::ProcessStarted(event) => self.set_comm(event.origin.process, event.comm),
            FlowEvent::ProcessPlaced { process, container } => self.set_container(process, container),
            FlowEvent::ProcessEnded(event) => {
                self.names.remove(&event.origin.process);
                self.containers.remove(&event.origin.process);
            }
        }
    }

    /// What is known of a connection.
    pub fn connection(&self, stream: &StreamKey) -> Option<&Arc<Connection>> {
        self.table
            .get(stream)
            .map(|conversation| &conversation.connection)
    }

    /// Names a process: from an exec record, or from `/proc` for one that ran before.
    pub fn set_comm(&mut self, process: ProcessKey, comm: Comm) {
        if self.names.len() >= NAMES && !self.names.contains_key(&process) {
            // Whichever comes first: a process that is still there has to be named again.
            let first = self.names.keys().next().copied();
            first.and_then(|first| self.names.remove(&first));
        }
        self.names.insert(process, comm);
    }

    /// Says which container a process runs in.
    fn set_container(&mut self, process: ProcessKey, container: Option<Arc<Container>>) {
        let Some(container) = container else {
            self.containers.remove(&process);
            return;
        };
        if self.containers.len() >= NAMES && !self.containers.contains_key(&process) {
            let first = self.containers.keys().next().copied();
            first.and_then(|first| self.containers.remove(&first));
        }
        self.containers.insert(process, container);
    }

    fn conversation(&mut self, stream: StreamKey) -> &mut Conversation {
        self.table
            .entry(stream)
            .or_insert_with(|| Conversation::new(stream, &self.counters))
    }

    fn chunk(
        &mut self,
        stream: StreamKey,
        (direction, early): (Direction, bool),
        time_ns: u64,
        bytes: Bytes,
        out: &mut Vec<Exchange>,
    ) {
        let len = bytes.len() as u64;
        let conversation = self
            .table
            .entry(stream)
            .or_insert_with(|| Conversation::new(stream, &self.counters));
        conversation.under_way = bytes.len();
        let mut holes = Holes::new();
        let bytes = match &conversation.talk {
            Talk::Unrecognised(_) => {
                match conversation.recognise(direction, bytes, &self.limits, &self.counters) {
                    Some(recognised) => {
                        holes = recognised.holes;
                        recognised.bytes
                    }
                    None => return,
                }
            }
            Talk::Http1(_) => bytes,
            Talk::Opaque => {
                return conversation.pass_over(Post::OpaqueBytes, len, &self.counters);
            }
        };
        let len = bytes.len() as u64;
        let Talk::Http1(http1) = &mut conversation.talk else {
            return;
        };
        let mut context = Context {
            limits: &self.limits,
            key: &self.key,
            connection: &conversation.connection,
            out,
        };
        for (direction, missing, reason) in holes {
            http1.gap(direction, missing, reason, &mut context);
        }
        http1.mark_early(direction, early);
        let parsed = http1.chunk(direction, bytes, time_ns, &mut context);
        let metric = if parsed {
            Metric::BytesParsed
        } else {
            Metric::BytesUnrecognised
        };
        self.counters.add(metric, len);
        conversation.enter(&self.counters);
    }

    fn gap(
        &mut self,
        stream: StreamKey,
        direction: Direction,
        missing: u64,
        reason: GapReason,
        out: &mut Vec<Exchange>,
    ) {
        let conversation = self
            .table
            .entry(stream)
            .or_insert_with(|| Conversation::new(stream, &self.counters));
        match &mut conversation.talk {
            Talk::Unrecognised(prefixes) => {
                let forgotten = prefixes.forget(direction);
                match prefixes.holes.iter_mut().find(|(known, ..)| *known == direction) {
                    Some((_, length, _)) => *length = length.saturating_add(missing),
                    None => prefixes.holes.push((direction, missing, reason)),
                }
                conversation.unread(Post::UnrecognisedBytes, forgotten, &self.counters);
            }
            Talk::Http1(http1) => {
                let mut context = Context {
                    limits: &self.limits,
                    key: &self.key,
                    connection: &conversation.connection,
                    out,
                };
                http1.gap(direction, missing, reason, &mut context);
            }
            Talk::Opaque => {}
        }
        conversation.enter(&self.counters);
    }

    /// This side sends no more.
    fn half_closed(&mut self, stream: &StreamKey, time_ns: u64, out: &mut Vec<Exchange>) {
        let Some(conversation) = self.table.get_mut(stream) else {
            return;
        };
        if let Talk::Http1(http1) = &mut conversation.talk {
            let mut context = Context {
                limits: &self.limits,
                key: &self.key,
                connection: &conversation.connection,
                out,
            };
            http1.end(Direction::Write, time_ns, &mut context);
        }
    }

    fn closed(&mut self, stream: &StreamKey, time_ns: u64, out: &mut Vec<Exchange>) {
        let from = out.len();
        if let Some(conversation) = self.table.get_mut(stream)
            && let Talk::Http1(http1) = &mut conversation.talk
        {
            let mut context = Context {
                limits: &self.limits,
                key: &self.key,
                connection: &conversation.connection,
                out,
            };
            http1.finish(time_ns, &mut context);
        }
        self.sign(stream, out, from);
        if let Some(mut conversation) = self.table.remove(stream) {
            conversation.enter(&self.counters);
            conversation.end(&self.counters);
        }
    }

    /// Gives completed exchanges the connection as it is known now.
    fn sign(&mut self, stream: &StreamKey, out: &mut [Exchange], from: usize) {
        let Some(done) = out.get_mut(from..).filter(|done| !done.is_empty()) else {
            return;
        };
        let Some(conversation) = self.table.get_mut(stream) else {
            return;
        };
        let connection = &mut conversation.connection;
        if let Some(comm) = self
            .names
            .get(&stream.process)
            .filter(|comm| **comm != connection.comm)
        {
            Arc::make_mut(connection).comm = *comm;
        }
        let container = self.containers.get(&stream.process);
        if connection.container.as_ref() != container {
            Arc::make_mut(connection).container = container.map(Arc::clone);
        }
        for exchange in done {
            if !Arc::ptr_eq(&exchange.connection, connection) {
                exchange.connection = Arc::clone(connection);
            }
        }
    }
}

fn account(http1: &mut Http1, counters: &Counters) {
    let anomalies = std::mem::take(&mut http1.anomalies);
    if anomalies > 0 {
        counters.add(Metric::Anomalies, anomalies);
    }
    let unpaired = http1.take_unpaired();
    if unpaired > 0 {
        counters.add(Metric::ResponsesUnpaired, unpaired);
    }
}

impl Conversation {
    fn new(stream: StreamKey, counters: &Counters) -> Box<Self> {
        let connection = Connection {
            stream,
            process: stream.process,
            comm: Comm::default(),
            container: None,
            role: Role::Unknown,
            local: None,
            remote: None,
            evidence: None,
            ambiguous: false,
            proxied_for: None,
            tls: stream.source == Source::Tls,
        };
        Box::new(Self {
            connection: Arc::new(connection),
            talk: Talk::Unrecognised(Prefixes::default()),
            books: counters.ledger().tally(stream.process.into()),
            waiting: 0,
            under_way: 0,
        })
    }

    /// Enters into the accounts what became of the bytes that came last.
    fn enter(&mut self, counters: &Counters) {
        let waiting = match &mut self.talk {
            Talk::Http1(http1) => {
                account(http1, counters);
                http1.take_fates(&self.books);
                http1.waiting_bytes()
            }
            Talk::Unrecognised(prefixes) => prefixes.waiting_bytes(),
            Talk::Opaque => 0,
        };
        self.waits(waiting);
        self.under_way = 0;
    }

    fn waits(&mut self, waiting: usize) {
        self.books.shift(Post::WaitingBytes, self.waiting, waiting);
        self.waiting = waiting;
    }

    /// What waits will not be completed.
    fn end(&mut self, counters: &Counters) {
        let left = self.waiting;
        self.waits(0);
        if matches!(self.talk, Talk::Unrecognised(_)) {
            self.unread(Post::UnrecognisedBytes, left as u64, counters);
        } else {
            self.books.add(Post::CutBytes, left as u64);
        }
    }

    /// Looks for a protocol at the beginning of a connection. Nothing while, or when, there is none that is read.
    fn recognise(
        &mut self,
        direction: Direction,
        bytes: Bytes,
        limits: &Limits,
        counters: &Counters,
    ) -> Option<Recognised> {
        let Talk::Unrecognised(prefixes) = &mut self.talk else {
            return None;
        };
        let seen = prefixes.recognise(direction, bytes);
        let proxied = prefixes.proxied.take();
        // The other direction may have kept something.
        let (kept, holes) = match seen {
            Seen::Prefix | Seen::Nothing(_) => (0, Holes::new()),
            Seen::Opaque(_) | Seen::Http1 { .. } => (
                prefixes.forget(direction.opposite()),
                std::mem::take(&mut prefixes.holes),
            ),
        };
        if let Some(header) = proxied {
            self.proxied(header, counters);
        }
        match seen {
            Seen::Prefix => self.enter(counters),
            Seen::Nothing(len) => self.pass_over(Post::UnrecognisedBytes, len, counters),
            Seen::Opaque(len) => {
                self.talk = Talk::Opaque;
                self.pass_over(Post::OpaqueBytes, len + kept, counters);
            }
            Seen::Http1 {
                requests_travel,
                bytes,
            } => {
                self.unread(Post::UnrecognisedBytes, kept, counters);
                self.accounted(kept);
                self.start(requests_travel, direction, limits);
                return Some(Recognised { bytes, holes });
            }
        }
        None
    }

    /// A PROXY header was read: bytes of the connection's head.
    fn proxied(&mut self, header: Proxied, counters: &Counters) {
        counters.add(Metric::BytesParsed, header.length as u64);
        self.books.add(Post::HeadBytes, header.length as u64);
        self.accounted(header.length as u64);
        if header.client.is_some() {
            Arc::make_mut(&mut self.connection).proxied_for = header.client;
        }
    }

    /// Bytes that waited, or came last, are in the accounts.
    fn accounted(&mut self, len: u64) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let waited = len.min(self.waiting);
        self.under_way = self.under_way.saturating_sub(len - waited);
        self.waits(self.waiting - waited);
    }

    /// A chunk that is not read.
    fn pass_over(&mut self, post: Post, len: u64, counters: &Counters) {
        self.unread(post, len, counters);
        self.enter(counters);
    }

    /// Bytes in which no protocol, or one that is not read, was recognised.
    fn unread(&self, post: Post, len: u64, counters: &Counters) {
        counters.add(Metric::BytesUnrecognised, len);
        self.books.add(post, len);
    }

    fn bind(&mut self, socket: &SocketAddress, evidence: Evidence, ambiguous: bool) {
        let connection = Arc::make_mut(&mut self.connection);
        connection.local = socket.local;
        connection.remote = socket.remote;
        connection.evidence = Some(evidence);
        connection.ambiguous = ambiguous;
        if socket.role != Role::Unknown {
            connection.role = socket.role;
        }
    }

    fn start(&mut self, requests_travel: Direction, direction: Direction, limits: &Limits) {
        if self.connection.role == Role::Unknown {
            Arc::make_mut(&mut self.connection).role = match requests_travel {
                Direction::Read => Role::Server,
                Direction::Write => Role::Client,
            };
        }
        self.talk = Talk::Http1(Box::new(Http1::new(requests_travel, direction, limits)));
    }
}

impl Drop for Conversation {
    /// Dropped before its end by a fault, perhaps in the middle of a chunk: what was made of that is entered, and the
    /// rest was in the hands of the parser.
    fn drop(&mut self) {
        let mut left = (self.waiting + self.under_way) as u64;
        if let Talk::Http1(http1) = &mut self.talk {
            left = left.saturating_sub(http1.take_fates(&self.books));
        }
        self.waits(0);
        self.books.add(Post::FaultedBytes, left);
    }
}

/// What is missing before the first bytes of a protocol: so many of a direction, and why.
type Holes = SmallVec<[(Direction, u64, GapReason); 2]>;

/// The first bytes of a protocol that is read, and what is missing before them.
struct Recognised {
    bytes: Bytes,
    holes: Holes,
}

/// What the bytes of a connection without protocol turn out to be.
enum Seen {
    /// The beginning of something.
    Prefix,
    /// So many bytes of nothing known.
    Nothing(u64),
    /// A protocol that is not read, and so many bytes of it.
    Opaque(u64),
    Http1 {
        requests_travel: Direction,
        bytes: Bytes,
    },
}

impl Prefixes {
    fn recognise(&mut self, direction: Direction, bytes: Bytes) -> Seen {
        let kept = self.of(direction);
        let mut bytes = if kept.bytes.is_empty() {
            bytes
        } else {
            kept.bytes.extend_from_slice(&bytes);
            std::mem::take(&mut kept.bytes).freeze()
        };
        let mut proxied = None;
        if !kept.begun {
            match proxy::front(&bytes) {
                proxy::Front::Header { length, client } => {
                    let length = length.get().min(bytes.len());
                    bytes.advance(length);
                    proxied = Some(Proxied { length, client });
                }
                proxy::Front::NeedMore(_) if !bytes.is_empty() => {
                    kept.bytes.extend_from_slice(&bytes);
                    return Seen::Prefix;
                }
                proxy::Front::NeedMore(_) | proxy::Front::Other => {}
            }
            kept.begun = true;
        }
        self.proxied = proxied;
        let kept = self.of(direction);
        match detect(&bytes) {
            Verdict::NeedMore(_) => {
                kept.bytes.extend_from_slice(&bytes);
                Seen::Prefix
            }
            Verdict::Http1Request => Seen::Http1 {
                requests_travel: direction,
                bytes,
            },
            Verdict::Http1Response => Seen::Http1 {
                requests_travel: direction.opposite(),
                bytes,
            },
            Verdict::Http2 => Seen::Opaque(bytes.len() as u64),
            // Only a handshake's beginning tells: in the middle of a body any three bytes may look like a record.
            Verdict::Tls if matches!(*bytes, [0x16, _, _, _, _, 1 | 2, ..]) => {
                Seen::Opaque(bytes.len() as u64)
            }
            Verdict::Tls | Verdict::Unknown => Seen::Nothing(bytes.len() as u64),
        }
    }

    fn forget(&mut self, direction: Direction) -> u64 {
        let kept = self.of(direction);
        kept.begun = true;
        std::mem::take(&mut kept.bytes).len() as u64
    }

    fn waiting_bytes(&self) -> usize {
        self.read.bytes.len() + self.write.bytes.len()
    }

    fn of(&mut self, direction: Direction) -> &mut Prefix {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}

#[cfg(test)]
mod tests;
