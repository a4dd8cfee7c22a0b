//! Every connection of a shard.
//!
//! Takes flow events. Gives exchanges. Never keeps what the flow table forgot, so its bound is that table's.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use super::calls::CallFinder;
use super::content::Decoder;
use super::conversation::{Conversation, Talk};
use super::prefix::Holes;
use super::reader::{Chunk, Context, Reader, Turn};
use super::secret::HashKey;
use super::{Connection, Exchange, Limits};
use crate::capture::{CloseReason, Comm, Container, Direction, GapReason, ProcessKey, StreamKey};
use crate::flow::FlowEvent;
use crate::telemetry::ledger::Post;
use crate::telemetry::{Counters, Metric};

/// Processes whose name is remembered. A host runs at most 32,768 processes by default (`kernel.pid_max`), of which
/// few talk.
const NAMES: usize = 8192;

/// Flow events to exchanges.
#[derive(Debug)]
pub struct Conversations {
    pub(super) limits: Limits,
    pub(super) key: HashKey,
    pub(super) counters: Arc<Counters>,
    pub(super) table: FxHashMap<StreamKey, Box<Conversation>>,
    names: FxHashMap<ProcessKey, Comm>,
    /// Bounded as the names are.
    containers: FxHashMap<ProcessKey, Arc<Container>>,
    decoder: Decoder,
    finder: CallFinder,
    /// Memory of what waits on all connections.
    pub(super) held: usize,
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
            decoder: Decoder::default(),
            finder: CallFinder::default(),
            held: 0,
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
                let chunk = Chunk {
                    direction,
                    time_ns,
                    early,
                    bytes: bytes.0,
                };
                self.chunk(stream, chunk, out);
                self.sign(&stream, out, from);
                self.weigh(&stream, time_ns, out);
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
        self.read(out, from);
    }

    /// Looks into completed exchanges: content codings are undone, then calls are found.
    fn read(&mut self, out: &mut [Exchange], from: usize) {
        for exchange in out.get_mut(from..).unwrap_or_default() {
            let decoded = self.decoder.decode(exchange);
            let before = exchange.anomalies.len();
            self.finder.look(exchange);
            let anomalies = decoded + (exchange.anomalies.len() - before) as u64;
            if anomalies > 0 {
                self.counters.add(Metric::Anomalies, anomalies);
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

    fn chunk(&mut self, stream: StreamKey, chunk: Chunk, out: &mut Vec<Exchange>) {
        let Self {
            table,
            counters,
            limits,
            key,
            ..
        } = self;
        let conversation = table
            .entry(stream)
            .or_insert_with(|| Conversation::new(stream, counters));
        // What a connection turned into reads what came of it already; each turn consumed a head.
        let mut left: SmallVec<[Chunk; 3]> = smallvec![chunk];
        while let Some(chunk) = left.pop() {
            let waiting: usize = left.iter().map(|chunk| chunk.bytes.len()).sum();
            conversation.under_way = waiting + chunk.bytes.len();
            let turn = step(conversation, chunk, (limits, key), counters, out);
            if let Some(turn) = turn {
                left.extend(conversation.turn(turn, (limits, key), out).into_iter().rev());
            }
        }
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
                match prefixes.holes.iter_mut().find(|(known, ..)| *known == direction) {
                    Some((_, length, _)) => *length = length.saturating_add(missing),
                    None => prefixes.holes.push((direction, missing, reason)),
                }
                let forgotten = prefixes.forget(direction);
                conversation.unread(Post::UnrecognisedBytes, forgotten, &self.counters);
            }
            Talk::Known(reader) => {
                let mut context = Context {
                    limits: &self.limits,
                    key: &self.key,
                    connection: &conversation.connection,
                    out,
                };
                reader.gap(direction, missing, reason, &mut context);
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
        if let Talk::Known(reader) = &mut conversation.talk {
            let mut context = Context {
                limits: &self.limits,
                key: &self.key,
                connection: &conversation.connection,
                out,
            };
            reader.end(Direction::Write, time_ns, &mut context);
        }
    }

    fn closed(&mut self, stream: &StreamKey, time_ns: u64, out: &mut Vec<Exchange>) {
        let from = out.len();
        if let Some(conversation) = self.table.get_mut(stream)
            && let Talk::Known(reader) = &mut conversation.talk
        {
            let mut context = Context {
                limits: &self.limits,
                key: &self.key,
                connection: &conversation.connection,
                out,
            };
            reader.finish(time_ns, &mut context);
        }
        self.sign(stream, out, from);
        if let Some(mut conversation) = self.table.remove(stream) {
            self.held = self.held.saturating_sub(conversation.held);
            conversation.enter(&self.counters);
            conversation.end(&self.counters);
        }
    }

    /// Gives completed exchanges the connection as it is known now.
    pub(super) fn sign(&mut self, stream: &StreamKey, out: &mut [Exchange], from: usize) {
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

/// Gives a conversation bytes; gives what it turned into.
fn step(
    conversation: &mut Conversation,
    mut chunk: Chunk,
    (limits, key): (&Limits, &HashKey),
    counters: &Counters,
    out: &mut Vec<Exchange>,
) -> Option<Turn> {
    let mut holes = Holes::new();
    match &conversation.talk {
        Talk::Unrecognised(_) => {
            let recognised = conversation.recognise(chunk.direction, chunk.bytes, limits, counters)?;
            holes = recognised.holes;
            chunk.bytes = recognised.bytes;
        }
        Talk::Known(_) => {}
        Talk::Opaque => {
            conversation.pass_over(Post::OpaqueBytes, chunk.bytes.len() as u64, counters);
            return None;
        }
    }
    let mut context = Context {
        limits,
        key,
        connection: &conversation.connection,
        out,
    };
    let mut turn = None;
    if let Talk::Known(reader) = &mut conversation.talk {
        for (direction, missing, reason) in holes {
            reader.gap(direction, missing, reason, &mut context);
        }
        turn = read(reader.as_mut(), chunk, &mut context, counters);
    }
    conversation.enter(counters);
    turn
}

/// Gives a reader bytes; counts them, and gives what the connection turned into.
fn read(
    reader: &mut dyn Reader,
    chunk: Chunk,
    context: &mut Context<'_>,
    counters: &Counters,
) -> Option<Turn> {
    let (direction, mut len) = (chunk.direction, chunk.bytes.len() as u64);
    let metric = if reader.chunk(chunk, context) {
        Metric::BytesParsed
    } else {
        Metric::BytesUnrecognised
    };
    let turn = reader.take_turn();
    // What is handed on is counted by whoever takes it.
    let handed = turn.iter().flat_map(|turn| &turn.seen);
    for chunk in handed.filter(|chunk| chunk.direction == direction) {
        len = len.saturating_sub(chunk.bytes.len() as u64);
    }
    counters.add(metric, len);
    turn
}

#[cfg(test)]
mod tests;
