//! The evidence of one process.
//!
//! Takes the lengths of its calls and of the records on its sockets. Gives a pair once enough calls speak for it and
//! none for another. Never sees payload. Bounded: `MAX_PENDING` lengths a side, `MAX_THREADS`; streams and sockets go
//! with their close.

use rustc_hash::FxHashMap;
use sensor_common::record::IO_RECORDS;
use smallvec::SmallVec;

use super::{Belief, MAX_PENDING};
use crate::capture::{ProcessKey, Source, StreamKey};

/// What encryption adds to the plaintext of a record, beyond its header: TLS 1.3 one byte of type and 16 of tag
/// (RFC 8446, 5.2), TLS 1.2 with AES-GCM or CCM 8 of nonce and 16 of tag (RFC 5288, 3), with ChaCha20-Poly1305 the
/// tag alone (RFC 7905, 2).
const OVERHEADS: [u16; 3] = [17, 24, 16];
/// `application_data` (RFC 8446, 5.1): in TLS 1.3 every encrypted record is one by its header.
const APPLICATION_DATA: u8 = 23;
/// Weight of a match next to its partner on one thread, and of one that is not.
const NEXT: u8 = 2;
const APART: u8 = 1;
/// Weight that binds: both ways next to their partners, which one request and its answer give.
const ENOUGH: u8 = 4;
/// Times that the evidence for a stream may contradict itself before it is given up.
const CONTRADICTIONS: u8 = 3;
/// How long a record or a call waits for its counterpart, and how long one that might have had it already.
const WAIT_NS: u64 = 10_000_000_000;
const CLAIMED_WAIT_NS: u64 = 1_000_000_000;

/// A TLS stream of the process: address and generation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Stream {
    id: u64,
    generation: u32,
}

impl Stream {
    pub(super) const fn of(key: &StreamKey) -> Self {
        Self {
            id: key.id,
            generation: key.generation,
        }
    }

    pub(super) const fn key(self, process: ProcessKey) -> StreamKey {
        StreamKey {
            process,
            source: Source::Tls,
            id: self.id,
            generation: self.generation,
        }
    }
}

/// A record that was read, or a call that wrote, without its counterpart so far.
#[derive(Clone, Copy, Debug)]
struct Waiting<Of> {
    of: Of,
    time_ns: u64,
    /// Calls (or records) that may have been its counterpart.
    claims: u32,
}

impl<Of> Waiting<Of> {
    fn is_over(&self, now_ns: u64) -> bool {
        let wait = if self.claims > 0 { CLAIMED_WAIT_NS } else { WAIT_NS };
        self.time_ns.saturating_add(wait) < now_ns
    }
}

/// Those waiting, by length.
#[derive(Debug)]
struct Queue<Of> {
    by_length: FxHashMap<u16, Vec<Waiting<Of>>>,
    len: usize,
}

impl<Of> Default for Queue<Of> {
    fn default() -> Self {
        Self {
            by_length: FxHashMap::default(),
            len: 0,
        }
    }
}

/// Whom a length can be of.
enum Match<Of> {
    None,
    One(Of),
    Several,
}

impl<Of: Copy + PartialEq> Queue<Of> {
    fn push(&mut self, length: u16, of: Of, time_ns: u64) {
        if self.len >= MAX_PENDING {
            *self = Self::default();
        }
        self.len += 1;
        self.by_length.entry(length).or_default().push(Waiting {
            of,
            time_ns,
            claims: 0,
        });
    }

    /// Finds whose one of these lengths can be, and takes it. With several candidates each may have been it: after as
    /// many calls as there are candidates, all of them have had their counterpart.
    fn take(&mut self, lengths: &[u16], now_ns: u64) -> Match<Of> {
        let mut candidates: SmallVec<[(u16, usize, Of); 4]> = SmallVec::new();
        for length in lengths {
            let Some(waiting) = self.by_length.get_mut(length) else {
                continue;
            };
            let before = waiting.len();
            waiting.retain(|one| !one.is_over(now_ns));
            self.len -= before - waiting.len();
            for (index, one) in waiting.iter().enumerate() {
                if !candidates.iter().any(|(_, _, of)| *of == one.of) {
                    candidates.push((*length, index, one.of));
                }
            }
        }
        match candidates.as_slice() {
            [] => Match::None,
            [(length, index, of)] => {
                let (length, index, of) = (*length, *index, *of);
                let certain = self.at(length, index).is_some_and(|one| one.claims == 0);
                self.remove(length, index);
                if certain { Match::One(of) } else { Match::Several }
            }
            several => {
                let all = u32::try_from(several.len()).unwrap_or(u32::MAX);
                // From behind, so that removing one does not move another of the same length.
                for (length, index, _) in several.iter().rev().copied() {
                    let claims = self.at(length, index).map_or(0, |one| {
                        one.claims += 1;
                        one.claims
                    });
                    if claims >= all {
                        self.remove(length, index);
                    }
                }
                Match::Several
            }
        }
    }

    fn at(&mut self, length: u16, index: usize) -> Option<&mut Waiting<Of>> {
        self.by_length.get_mut(&length)?.get_mut(index)
    }

    fn remove(&mut self, length: u16, index: usize) {
        let Some(waiting) = self.by_length.get_mut(&length) else {
            return;
        };
        if index < waiting.len() {
            waiting.remove(index);
            self.len -= 1;
        }
        if waiting.is_empty() {
            self.by_length.remove(&length);
        }
    }

    fn retain(&mut self, mut keep: impl FnMut(&Waiting<Of>) -> bool) {
        self.by_length.retain(|_, waiting| {
            waiting.retain(&mut keep);
            !waiting.is_empty()
        });
        self.len = self.by_length.values().map(Vec::len).sum();
    }
}

/// What speaks for a pair.
#[derive(Clone, Copy, Default, Debug)]
struct Case {
    /// The socket it speaks for.
    inode: u64,
    weight: u8,
    contradictions: u8,
    given_up: bool,
    /// Plaintext read since the last record was complete: a record may be read in several calls.
    partly: u16,
}

/// The last call of a thread that can be next to another.
#[derive(Clone, Copy, Default, Debug)]
struct Last {
    /// Socket read last.
    read: u64,
    /// Stream written last.
    written: Option<Stream>,
}

/// Unbound streams and sockets of one process.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// Records read from sockets.
    arrived: Queue<u64>,
    /// Calls that wrote.
    departing: Queue<Stream>,
    cases: FxHashMap<Stream, Case>,
    /// Which stream a socket is spoken for by.
    claimed: FxHashMap<u64, Stream>,
    generations: FxHashMap<u64, u32>,
    threads: FxHashMap<u32, Last>,
}

/// Threads remembered: a thread pool of a large server.
const MAX_THREADS: usize = 1024;

impl Process {
    /// A socket read these records.
    pub(super) fn socket_read(
        &mut self,
        inode: u64,
        generation: u32,
        records: &[(u8, u16); IO_RECORDS],
        tid: u32,
        time_ns: u64,
    ) {
        self.generations.insert(inode, generation);
        for (kind, length) in records {
            if *kind == APPLICATION_DATA {
                self.arrived.push(*length, inode, time_ns);
            }
        }
        self.thread(tid).read = inode;
    }

    /// A call read `length` bytes of plaintext.
    pub(super) fn read_call(
        &mut self,
        stream: Stream,
        length: u16,
        tid: u32,
        time_ns: u64,
    ) -> Option<Belief> {
        let partly = self.case(stream).partly;
        let mut matched = self.arrived.take(&encrypted(length), time_ns);
        let whole = partly.saturating_add(length);
        if partly > 0 && matches!(matched, Match::None) {
            matched = self.arrived.take(&encrypted(whole), time_ns);
        }
        self.case(stream).partly = match matched {
            Match::None if whole < 1 << 14 => whole,
            _ => 0,
        };
        let Match::One(inode) = matched else { return None };
        let next = self.thread(tid).read == inode;
        self.speak(stream, inode, next)
    }

    /// A call wrote `length` bytes of plaintext.
    pub(super) fn write_call(
        &mut self,
        stream: Stream,
        length: u16,
        tid: u32,
        time_ns: u64,
    ) -> Option<Belief> {
        self.case(stream);
        self.departing.push(length, stream, time_ns);
        self.thread(tid).written = Some(stream);
        None
    }

    /// A socket wrote these records.
    pub(super) fn socket_write(
        &mut self,
        inode: u64,
        generation: u32,
        records: &[(u8, u16); IO_RECORDS],
        tid: u32,
        time_ns: u64,
    ) -> SmallVec<[(Stream, Belief); 1]> {
        self.generations.insert(inode, generation);
        let mut beliefs = SmallVec::new();
        for (kind, length) in records {
            if *kind != APPLICATION_DATA {
                continue;
            }
            let Match::One(stream) = self.departing.take(&plain(*length), time_ns) else {
                continue;
            };
            let next = self.thread(tid).written == Some(stream);
            if let Some(belief) = self.speak(stream, inode, next) {
                beliefs.push((stream, belief));
                break;
            }
        }
        beliefs
    }

    /// One more call speaks for the pair.
    fn speak(&mut self, stream: Stream, inode: u64, next: bool) -> Option<Belief> {
        let rival = *self.claimed.entry(inode).or_insert(stream);
        let case = self.cases.get_mut(&stream)?;
        let contradicts = case.weight > 0 && case.inode != inode;
        if contradicts || rival != stream {
            return self.contradict(stream, rival);
        }
        case.inode = inode;
        case.weight = case.weight.saturating_add(if next { NEXT } else { APART });
        (case.weight >= ENOUGH && !case.given_up).then_some(Belief::Bound(inode))
    }

    /// Two pairs cannot both be: neither keeps what spoke for it.
    fn contradict(&mut self, stream: Stream, rival: Stream) -> Option<Belief> {
        self.claimed.retain(|_, by| *by != stream && *by != rival);
        if let Some(case) = self.cases.get_mut(&rival) {
            case.weight = 0;
        }
        let case = self.cases.get_mut(&stream)?;
        case.weight = 0;
        case.contradictions = case.contradictions.saturating_add(1);
        if case.contradictions < CONTRADICTIONS || case.given_up {
            return None;
        }
        case.given_up = true;
        Some(Belief::Ambiguous)
    }

    /// The pair is certain. Gives the socket's generation.
    pub(super) fn settled(&mut self, stream: Stream, inode: u64) -> u32 {
        let generation = self.generations.get(&inode).copied().unwrap_or(0);
        self.forget_stream(stream);
        self.forget_socket(inode);
        generation
    }

    pub(super) fn forget_stream(&mut self, stream: Stream) {
        if self.cases.remove(&stream).is_some() {
            self.departing.retain(|one| one.of != stream);
            self.claimed.retain(|_, by| *by != stream);
        }
    }

    pub(super) fn forget_socket(&mut self, inode: u64) {
        if self.generations.remove(&inode).is_some() {
            self.arrived.retain(|one| one.of != inode);
            self.claimed.remove(&inode);
        }
    }

    /// Drops what waited too long.
    pub(super) fn expire(&mut self, now_ns: u64) {
        self.arrived.retain(|one| !one.is_over(now_ns));
        self.departing.retain(|one| !one.is_over(now_ns));
    }

    fn case(&mut self, stream: Stream) -> &mut Case {
        if self.cases.len() >= MAX_PENDING && !self.cases.contains_key(&stream) {
            self.cases.clear();
            self.claimed.clear();
        }
        self.cases.entry(stream).or_default()
    }

    fn thread(&mut self, tid: u32) -> &mut Last {
        if self.threads.len() >= MAX_THREADS && !self.threads.contains_key(&tid) {
            self.threads.clear();
        }
        self.threads.entry(tid).or_default()
    }
}

/// Lengths of records that can hold so much plaintext.
fn encrypted(length: u16) -> [u16; 3] {
    OVERHEADS.map(|overhead| length.saturating_add(overhead))
}

/// Lengths of plaintext that a record can hold; one that is impossible matches nothing, because no call moves zero
/// bytes.
fn plain(length: u16) -> [u16; 3] {
    OVERHEADS.map(|overhead| length.saturating_sub(overhead))
}
