//! Which socket carries a TLS stream that never calls it: programs that run TLS through memory (Node.js, Python's
//! asyncio) move the ciphertext themselves.
//!
//! Takes records in ring order. Gives the same records without [`Record::Io`], and a binding once the evidence
//! suffices. Never guesses: a call counts for a pair only when no other stream or socket of the process could be
//! meant, and evidence for two pairs that exclude each other counts for neither. Bounded by [`MAX_PENDING`] per
//! process, [`MAX_PROCESSES`] and [`MAX_SOCKETS`].
//!
//! The evidence is arithmetic: a TLS record is as long as the plaintext in it and what its cipher adds. A record read
//! from a socket waits for the read call of that length, and a write call waits for the socket write that holds a
//! record of its length. Programs do the two next to each other on one thread; a match that is also next to its
//! partner weighs more.

mod process;

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use self::process::{Process, Stream};
use super::{
    CloseReason, Data, Direction, Evidence, Io, Origin, ProcessKey, Record, SocketAddress, Source, StreamKey,
};

/// Records and calls of one process waiting for their counterpart; beyond it the process begins anew.
pub(super) const MAX_PENDING: usize = 4096;
/// Processes with such streams.
const MAX_PROCESSES: usize = 1024;
/// Sockets whose addresses are remembered, and streams that were bound.
const MAX_SOCKETS: usize = 65_536;
/// How often what waits too long is dropped, in nanoseconds.
const SWEEP_NS: u64 = 1_000_000_000;

/// A socket whose stream was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The socket's own stream.
    pub socket: StreamKey,
    /// The TLS stream it carries.
    pub stream: StreamKey,
}

/// What was concluded, for the accounts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Conclusions {
    /// Streams whose socket was found.
    pub inferred: u64,
    /// Streams given up, because the evidence contradicted itself.
    pub contradicted: u64,
}

/// Every unbound TLS stream of the capture.
#[derive(Debug, Default)]
pub struct Adjacency {
    processes: FxHashMap<ProcessKey, Process>,
    sockets: Sockets,
    /// Which stream a socket carries and the other way round, until one of them ends.
    carried: FxHashMap<(ProcessKey, u64), StreamKey>,
    carriers: FxHashMap<StreamKey, u64>,
    found: Vec<Found>,
    conclusions: Conclusions,
    swept_ns: u64,
}

/// Addresses of sockets, the oldest forgotten first. The kernel object tells one again when it is needed.
#[derive(Debug, Default)]
struct Sockets {
    known: FxHashMap<(ProcessKey, u64), SocketAddress>,
    order: VecDeque<(ProcessKey, u64)>,
}

impl Sockets {
    fn insert(&mut self, process: ProcessKey, socket: SocketAddress) {
        let key = (process, socket.inode);
        if self.known.insert(key, socket).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > MAX_SOCKETS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// What two pieces of evidence led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Belief {
    /// The stream is on this socket.
    Bound(u64),
    /// No socket can be believed.
    Ambiguous,
}

impl Adjacency {
    /// Uses up what is in `records` from index `from` on, and puts bindings before what they explain.
    pub fn push(&mut self, records: &mut Vec<Record>, from: usize) {
        let Some(first) = records.get(from) else { return };
        let begun_ns = first.origin().time_ns;
        let (mut binds, mut closes) = (Vec::new(), Vec::new());
        for record in records.iter().skip(from) {
            match record {
                Record::Data(data) if data.stream.source == Source::Tls && data.socket == 0 => {
                    self.data(data, &mut binds);
                }
                Record::Io(io) => self.io(io, &mut binds),
                Record::Open { stream, socket, .. } => self.sockets.insert(stream.process, *socket),
                Record::Bind { stream, .. } => self.known(stream),
                Record::Close {
                    origin,
                    stream,
                    reason,
                    ..
                } => {
                    closes.extend(self.closed(*origin, stream, *reason));
                }
                Record::Exit(event) => self.ended(&event.origin.process),
                _ => {}
            }
        }
        self.sweep(begun_ns);
        if binds.iter().chain(&closes).next().is_none() && self.processes.is_empty() {
            return;
        }
        let mut index = 0;
        records.retain(|record| {
            index += 1;
            index <= from || !matches!(record, Record::Io(_))
        });
        for bind in &mut binds {
            if let Record::Bind { origin, .. } = bind {
                origin.time_ns = begun_ns;
            }
        }
        records.splice(from..from, binds);
        records.extend(closes);
    }

    /// Sockets whose stream was found since the last call: the kernel object need not tell of them any more.
    pub fn take_found(&mut self) -> impl Iterator<Item = Found> {
        self.found.drain(..)
    }

    /// What was concluded since the last call.
    pub fn take_conclusions(&mut self) -> Conclusions {
        std::mem::take(&mut self.conclusions)
    }

    /// A call that moved plaintext.
    fn data(&mut self, data: &Data, binds: &mut Vec<Record>) {
        if self.carriers.contains_key(&data.stream) || data.bytes.is_empty() {
            return;
        }
        let Ok(length) = u16::try_from(data.bytes.len()) else {
            return;
        };
        let process = self.process(data.stream.process);
        let stream = Stream::of(&data.stream);
        let (time_ns, tid) = (data.origin.time_ns, data.origin.tid);
        let Some(belief) = (match data.direction {
            Direction::Read => process.read_call(stream, length, tid, time_ns),
            Direction::Write => process.write_call(stream, length, tid, time_ns),
        }) else {
            return;
        };
        binds.extend(self.conclude(data.origin, stream, belief));
    }

    /// A socket call that carried TLS records.
    fn io(&mut self, io: &Io, binds: &mut Vec<Record>) {
        let inode = io.stream.id;
        if self.carried.contains_key(&(io.stream.process, inode)) {
            return;
        }
        let process = self.process(io.stream.process);
        let (time_ns, tid) = (io.origin.time_ns, io.origin.tid);
        if io.direction == Direction::Read {
            return process.socket_read(inode, io.stream.generation, &io.records, tid, time_ns);
        }
        for (stream, belief) in process.socket_write(inode, io.stream.generation, &io.records, tid, time_ns) {
            binds.extend(self.conclude(io.origin, stream, belief));
        }
    }

    fn process(&mut self, key: ProcessKey) -> &mut Process {
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&key) {
            // Whichever comes first: its streams stay without a socket until new evidence comes.
            let first = self.processes.keys().next().copied();
            first.and_then(|first| self.processes.remove(&first));
        }
        self.processes.entry(key).or_default()
    }

    fn conclude(&mut self, origin: Origin, stream: Stream, belief: Belief) -> Option<Record> {
        let key = stream.key(origin.process);
        let (socket, ambiguous) = match belief {
            Belief::Bound(inode) => {
                let socket = *self.sockets.known.get(&(origin.process, inode))?;
                self.bound(origin.process, inode, key);
                (socket, false)
            }
            Belief::Ambiguous => {
                self.conclusions.contradicted += 1;
                (UNKNOWN, true)
            }
        };
        Some(Record::Bind {
            origin,
            stream: key,
            socket,
            evidence: Evidence::Adjacent,
            ambiguous,
        })
    }

    fn bound(&mut self, process: ProcessKey, inode: u64, stream: StreamKey) {
        self.conclusions.inferred += 1;
        if self.carried.len() >= MAX_SOCKETS {
            self.carried.clear();
            self.carriers.clear();
        }
        self.carried.insert((process, inode), stream);
        self.carriers.insert(stream, inode);
        let generation = self
            .processes
            .get_mut(&process)
            .map_or(0, |known| known.settled(Stream::of(&stream), inode));
        let socket = StreamKey {
            process,
            source: Source::Socket,
            id: inode,
            generation,
        };
        self.found.push(Found { socket, stream });
    }

    /// The kernel object knows the socket itself.
    fn known(&mut self, stream: &StreamKey) {
        if let Some(process) = self.processes.get_mut(&stream.process) {
            process.forget_stream(Stream::of(stream));
        }
    }

    /// The end of a socket ends the stream it carries, and the other way round. Gives the end of the stream.
    fn closed(&mut self, origin: Origin, key: &StreamKey, reason: CloseReason) -> Option<Record> {
        if reason == CloseReason::Shutdown {
            return None;
        }
        if key.source == Source::Tls {
            self.known(key);
            if let Some(inode) = self.carriers.remove(key) {
                self.carried.remove(&(key.process, inode));
            }
            return None;
        }
        self.sockets.known.remove(&(key.process, key.id));
        if let Some(process) = self.processes.get_mut(&key.process) {
            process.forget_socket(key.id);
        }
        let stream = self.carried.remove(&(key.process, key.id))?;
        self.carriers.remove(&stream);
        Some(Record::Close {
            origin,
            stream,
            reason,
            ends: None,
        })
    }

    fn ended(&mut self, process: &ProcessKey) {
        if self.processes.remove(process).is_some() {
            self.carried.retain(|(of, _), _| of != process);
            self.carriers.retain(|stream, _| stream.process != *process);
        }
    }

    fn sweep(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.swept_ns) < SWEEP_NS {
            return;
        }
        self.swept_ns = now_ns;
        for process in self.processes.values_mut() {
            process.expire(now_ns);
        }
        self.sockets
            .order
            .retain(|key| self.sockets.known.contains_key(key));
    }
}

/// What is said of the socket of an ambiguous stream: nothing.
const UNKNOWN: SocketAddress = SocketAddress {
    inode: 0,
    local: None,
    remote: None,
    role: super::Role::Unknown,
};

#[cfg(test)]
mod tests;
