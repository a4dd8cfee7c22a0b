//! One connection: from its first bytes to the protocol that is read on it, and the accounts of its bytes.
//!
//! Takes bytes. Gives them to a [`Reader`], once it is known which. Never counts a byte twice, and none goes uncounted.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::http1::Http1;
use super::http2::Http2;
use super::prefix::{Holes, Prefixes, Protocol, Proxied, Seen};
use super::reader::{Chunk, Context, Next, Reader, ReaderTally, Turn};
use super::secret::HashKey;
use super::{Connection, Exchange, Limits};
use crate::capture::{Comm, Direction, Evidence, Role, SocketAddress, Source, StreamKey};
use crate::telemetry::ledger::{Post, Tally as Books};
use crate::telemetry::{Counters, Metric};

#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) connection: Arc<Connection>,
    pub(super) talk: Talk,
    /// The account of its process.
    books: Arc<Books>,
    /// Bytes of it that are counted there as waiting.
    waiting: usize,
    /// Bytes being parsed, which are counted nowhere yet.
    pub(super) under_way: usize,
    /// Memory of what waits, as it was counted last among that of the shard.
    pub(super) held: usize,
}

#[derive(Debug)]
pub(super) enum Talk {
    /// No protocol was recognised so far. What might be the beginning of one is kept, by direction.
    Unrecognised(Prefixes),
    /// A protocol that is read.
    Known(Box<dyn Reader>),
    /// A protocol that is not read.
    Opaque,
}

impl Conversation {
    pub(super) fn new(stream: StreamKey, counters: &Counters) -> Box<Self> {
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
            held: 0,
        })
    }

    /// Enters into the accounts what became of the bytes that came last.
    pub(super) fn enter(&mut self, counters: &Counters) {
        let waiting = match &mut self.talk {
            Talk::Known(reader) => {
                let ReaderTally { anomalies, unpaired } = reader.take_tally();
                if anomalies > 0 {
                    counters.add(Metric::Anomalies, anomalies);
                }
                if unpaired > 0 {
                    counters.add(Metric::ResponsesUnpaired, unpaired);
                }
                reader.take_fates(&self.books);
                reader.waiting_bytes()
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

    /// Memory of what waits.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.talk {
            Talk::Known(reader) => reader.held_bytes(),
            Talk::Unrecognised(_) => self.waiting,
            Talk::Opaque => 0,
        }
    }

    /// What waits will not be completed.
    pub(super) fn end(&mut self, counters: &Counters) {
        let left = self.waiting;
        self.waits(0);
        if matches!(self.talk, Talk::Unrecognised(_)) {
            self.unread(Post::UnrecognisedBytes, left as u64, counters);
        } else {
            self.books.add(Post::CutBytes, left as u64);
        }
    }

    /// Looks for a protocol at the beginning of a connection. Nothing while, or when, there is none that is read.
    pub(super) fn recognise(
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
        if let Seen::Nothing(len) = seen {
            prefixes.unread(direction, len);
        }
        // The other direction may have kept something.
        let (kept, holes) = match seen {
            Seen::Prefix | Seen::Nothing(_) => (0, Holes::new()),
            Seen::Opaque(_) | Seen::Known { .. } => (
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
            Seen::Known {
                protocol,
                requests_travel,
                bytes,
            } => {
                self.unread(Post::UnrecognisedBytes, kept, counters);
                self.accounted(kept);
                self.start(protocol, (requests_travel, direction), limits);
                return Some(Recognised { bytes, holes });
            }
        }
        None
    }

    /// Goes on in another protocol. Gives what came of it already.
    pub(super) fn turn(
        &mut self,
        turn: Turn,
        (limits, key): (&Limits, &HashKey),
        out: &mut Vec<Exchange>,
    ) -> SmallVec<[Chunk; 2]> {
        let Turn { next, holes, seen } = turn;
        self.talk = match next {
            Next::Recognise => Talk::Unrecognised(Prefixes::within(holes)),
            Next::Read(mut reader) => {
                let mut context = Context {
                    limits,
                    key,
                    connection: &self.connection,
                    out,
                };
                for (direction, missing, reason) in holes {
                    reader.gap(direction, missing, reason, &mut context);
                }
                Talk::Known(reader)
            }
        };
        seen
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
    pub(super) fn pass_over(&mut self, post: Post, len: u64, counters: &Counters) {
        self.unread(post, len, counters);
        self.enter(counters);
    }

    /// Bytes in which no protocol, or one that is not read, was recognised.
    pub(super) fn unread(&self, post: Post, len: u64, counters: &Counters) {
        counters.add(Metric::BytesUnrecognised, len);
        self.books.add(post, len);
    }

    pub(super) fn bind(&mut self, socket: &SocketAddress, evidence: Evidence, ambiguous: bool) {
        let connection = Arc::make_mut(&mut self.connection);
        connection.local = socket.local;
        connection.remote = socket.remote;
        connection.evidence = Some(evidence);
        connection.ambiguous = ambiguous;
        if socket.role != Role::Unknown {
            connection.role = socket.role;
        }
    }

    /// `requests_travel` one way, and the protocol was recognised in bytes that travelled `direction`.
    fn start(
        &mut self,
        protocol: Protocol,
        (requests_travel, direction): (Direction, Direction),
        limits: &Limits,
    ) {
        if self.connection.role == Role::Unknown {
            Arc::make_mut(&mut self.connection).role = match requests_travel {
                Direction::Read => Role::Server,
                Direction::Write => Role::Client,
            };
        }
        self.talk = Talk::Known(match protocol {
            Protocol::Http1 => Box::new(Http1::new(requests_travel, direction, limits)),
            Protocol::Http2(joined) => Box::new(Http2::new(requests_travel, joined, limits)),
        });
    }
}

impl Drop for Conversation {
    /// Dropped before its end by a fault, perhaps in the middle of a chunk: what was made of that is entered, and the
    /// rest was in the hands of the parser.
    fn drop(&mut self) {
        let mut left = (self.waiting + self.under_way) as u64;
        if let Talk::Known(reader) = &mut self.talk {
            left = left.saturating_sub(reader.take_fates(&self.books));
        }
        self.waits(0);
        self.books.add(Post::FaultedBytes, left);
    }
}

/// The first bytes of a protocol that is read, and what is missing before them.
pub(super) struct Recognised {
    pub(super) bytes: Bytes,
    pub(super) holes: Holes,
}
