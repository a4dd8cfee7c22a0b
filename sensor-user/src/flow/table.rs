//! Every stream of a shard, and the clock that ends waiting.
//!
//! Takes records in the order of the ring. Gives [`FlowEvent`]s. Never looks at payload or at a clock: time is that
//! of the records. Bounded by [`Limits`]: streams by second-chance eviction, held bytes and ends by count.

use std::collections::VecDeque;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::bind::Binding;
use super::stream::{Content, Piece, Stream, Tally};
use super::{FlowEvent, Limits};
use crate::capture::{
    CloseReason, Direction, Evidence, GapReason, Origin, ProcessEvent, ProcessKey, Record, Source, StreamKey,
};
use crate::telemetry::{Counters, Metric};

/// Records to flow events, for a share of the streams.
#[derive(Debug)]
pub struct FlowTable {
    limits: Limits,
    pub(super) counters: Arc<Counters>,
    index: FxHashMap<StreamKey, u32>,
    pub(super) entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// Where the search for a stream to forget goes on.
    hand: usize,
    /// First stream of each process; the others follow by [`Entry::after`].
    processes: FxHashMap<ProcessKey, u32>,
    /// Which TLS stream a socket of a process carries.
    carriers: FxHashMap<(ProcessKey, u64), StreamKey>,
    held_bytes: usize,
    timers: VecDeque<Timer>,
    /// Time of the latest record.
    pub(super) now_ns: u64,
    /// Of the strain, as it was last looked at.
    pub(super) grade: u8,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) stream: Stream,
    /// Used since the hand last passed.
    touched: bool,
    /// When it was first heard of.
    since_ns: u64,
    /// Its end was announced.
    ending: bool,
    /// Nothing of it is handed on while the sensor is under strain.
    pub(super) left_out: bool,
    /// Neighbours in the list of its process.
    before: Option<u32>,
    after: Option<u32>,
}

/// Something that happens when records' time reaches `due_ns`. All delays are equal, so the queue is in order.
#[derive(Debug)]
struct Timer {
    due_ns: u64,
    due: Due,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    /// A held piece has waited long enough.
    Held(StreamKey),
    /// Ends travel in a ring of their own and may overtake payload, so they are believed late.
    End(StreamKey, u64, CloseReason),
    Exit(ProcessEvent),
}

pub(super) type Sink<'a> = &'a mut dyn FnMut(FlowEvent);

impl FlowTable {
    /// A table without streams.
    pub fn new(limits: Limits, counters: Arc<Counters>) -> Self {
        Self {
            limits,
            counters,
            index: FxHashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            hand: 0,
            processes: FxHashMap::default(),
            carriers: FxHashMap::default(),
            held_bytes: 0,
            timers: VecDeque::new(),
            now_ns: 0,
            grade: 0,
        }
    }

    /// Whether no stream is remembered.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty() && self.processes.is_empty() && self.carriers.is_empty()
    }

    /// Takes one record.
    pub fn push(&mut self, record: Record, sink: Sink<'_>) {
        let now_ns = record.origin().time_ns;
        self.now_ns = now_ns;
        self.tick(now_ns, sink);
        match record {
            Record::Data(data) => self.piece(data.stream, Piece::of_data(data), sink),
            Record::Gap(gap) => self.piece(gap.stream, Piece::of_gap(&gap), sink),
            Record::Bind {
                stream,
                socket,
                evidence,
                ambiguous,
                ..
            } => {
                let binding = Binding {
                    socket,
                    evidence,
                    ambiguous,
                };
                self.bind(stream, binding, now_ns, sink);
            }
            Record::Open { stream, socket, .. } => {
                let binding = Binding {
                    socket,
                    evidence: Evidence::Direct,
                    ambiguous: false,
                };
                self.bind(stream, binding, now_ns, sink);
            }
            Record::Close {
                stream, reason, ends, ..
            } => self.close(stream, reason, ends, sink),
            Record::Exec(event) => sink(FlowEvent::ProcessStarted(event)),
            Record::Exit(event) => self.later(now_ns, Due::Exit(event), sink),
            Record::Sockets { origin, open } => self.keep_only(&origin, &open, sink),
            Record::Place { origin, container } => sink(FlowEvent::ProcessPlaced {
                process: origin.process,
                container,
            }),
            Record::Map(_)
            | Record::Notice(..)
            | Record::Unhooked(_)
            | Record::Undecided(_)
            | Record::ClosedMany(_)
            | Record::Unseen { .. }
            | Record::Io(_) => {}
        }
    }

    /// Lets time pass: what was held too long is declared, ends are believed.
    pub fn tick(&mut self, now_ns: u64, sink: Sink<'_>) {
        let grade = self.counters.strain().grade();
        if std::mem::replace(&mut self.grade, grade) < grade {
            self.leave_out(sink);
        }
        while self.timers.front().is_some_and(|timer| timer.due_ns <= now_ns) {
            if let Some(timer) = self.timers.pop_front() {
                self.fire(timer.due, now_ns, sink);
            }
        }
    }

    /// Ends every stream: the capture is over.
    pub fn finish(&mut self, sink: Sink<'_>) {
        self.tick(u64::MAX, sink);
        for slot in 0..self.entries.len() {
            let Some(Some(entry)) = self.entries.get_mut(slot) else {
                continue;
            };
            let (key, mut tally) = (entry.stream.key, Tally::default());
            entry.stream.flush(sink, &mut tally);
            self.account(tally);
            self.remove(&key);
            sink(FlowEvent::Forgotten {
                stream: key,
                time_ns: self.now_ns,
            });
        }
    }

    fn close(&mut self, key: StreamKey, reason: CloseReason, ends: Option<(u64, u64)>, sink: Sink<'_>) {
        let now_ns = self.now_ns;
        if let Some(entry) = self.entry(&key) {
            entry.ending |= reason != CloseReason::Shutdown;
            if let Some((read, written)) = ends {
                self.mark_end(key, Direction::Read, read, now_ns, sink);
                self.mark_end(key, Direction::Write, written, now_ns, sink);
            }
        }
        self.later(now_ns, Due::End(key, now_ns, reason), sink);
    }

    /// An empty piece where a direction ends: what is missing before it is declared like any other hole.
    fn mark_end(&mut self, key: StreamKey, direction: Direction, end: u64, time_ns: u64, sink: Sink<'_>) {
        let content = Content::Missing(0, GapReason::Lost);
        self.piece(
            key,
            Piece {
                direction,
                position: end,
                time_ns,
                content,
            },
            sink,
        );
    }

    fn piece(&mut self, key: StreamKey, piece: Piece, sink: Sink<'_>) {
        let (time_ns, mut tally) = (piece.time_ns, Tally::default());
        let max_held = self.limits.held_records;
        let crowded = self.held_bytes.saturating_add(piece.weight()) > self.limits.held_bytes;
        let is_kept = self.keeps(&key);
        let Some(slot) = self.slot_or_new(key, time_ns, sink) else {
            return;
        };
        if self.at(Some(slot)).is_some_and(|entry| entry.left_out == is_kept) {
            self.turn(slot, is_kept, sink);
        }
        let Some(entry) = self.at(Some(slot)) else { return };
        entry.touched = true;
        let stream = &mut entry.stream;
        if !is_kept {
            stream.pass_over(&piece);
            return self.counters.add(Metric::BytesLeftOut, piece.weight() as u64);
        }
        let held_before = stream.held();
        stream.push(piece, sink, &mut tally);
        while stream.held() > max_held || (crowded && stream.held() > 0) {
            stream.declare_lost(sink, &mut tally);
        }
        let waits = held_before == 0 && stream.held() > 0;
        self.account(tally);
        if waits {
            self.later(time_ns, Due::Held(key), sink);
        }
    }

    fn bind(&mut self, key: StreamKey, binding: Binding, time_ns: u64, sink: Sink<'_>) {
        let slot = self.slot_or_new(key, time_ns, sink);
        let Some(entry) = self.at(slot) else { return };
        entry.touched = true;
        let changed = match &mut entry.stream.binding {
            Some(known) => known.merge(binding),
            unknown @ None => {
                *unknown = Some(binding);
                true
            }
        };
        if changed && !entry.left_out {
            announce(&entry.stream, sink);
        }
        let believed = entry.stream.binding.map_or(0, |binding| binding.socket.inode);
        if key.source == Source::Tls && believed != 0 {
            self.carry(key, believed, sink);
        }
    }

    /// Notes which TLS stream a socket carries. Two that live at once contradict each other.
    fn carry(&mut self, key: StreamKey, inode: u64, sink: Sink<'_>) {
        let other = match self.carriers.entry((key.process, inode)) {
            Slot::Vacant(vacant) => {
                vacant.insert(key);
                return;
            }
            Slot::Occupied(occupied) if *occupied.get() == key => return,
            Slot::Occupied(mut occupied) => occupied.insert(key),
        };
        if self.entry(&other).is_none_or(|entry| entry.ending) {
            return;
        }
        for key in [other, key] {
            let Some(entry) = self.entry(&key) else { continue };
            if let Some(binding) = entry.stream.binding.as_mut().filter(|binding| !binding.ambiguous) {
                binding.ambiguous = true;
                announce(&entry.stream, sink);
            }
        }
    }

    /// Does something once what is under way has arrived.
    fn later(&mut self, time_ns: u64, due: Due, sink: Sink<'_>) {
        // A burst without progress of time must not grow the queue: the oldest then happens early.
        if self.timers.len() >= self.limits.streams.max(1)
            && let Some(timer) = self.timers.pop_front()
        {
            self.fire(timer.due, u64::MAX, sink);
        }
        let due_ns = time_ns.saturating_add(self.limits.held_ns);
        self.timers.push_back(Timer { due_ns, due });
    }

    fn fire(&mut self, due: Due, now_ns: u64, sink: Sink<'_>) {
        match due {
            Due::Held(key) => self.give_up_waiting(key, now_ns, sink),
            Due::End(key, time_ns, reason) => self.end(key, time_ns, reason, sink),
            Due::Exit(event) => {
                while let Some(key) = self.first_of(&event.origin.process) {
                    self.end(key, event.origin.time_ns, CloseReason::Free, sink);
                }
                sink(FlowEvent::ProcessEnded(event));
            }
        }
    }

    fn give_up_waiting(&mut self, key: StreamKey, now_ns: u64, sink: Sink<'_>) {
        let held_ns = self.limits.held_ns;
        let mut tally = Tally::default();
        let Some(entry) = self.entry(&key) else { return };
        let stream = &mut entry.stream;
        while let Some(since) = stream
            .held_since()
            .filter(|since| since.saturating_add(held_ns) <= now_ns)
        {
            debug_assert!(since <= now_ns);
            stream.declare_lost(sink, &mut tally);
        }
        let since = stream.held_since();
        self.account(tally);
        if let Some(since) = since {
            self.later(since, Due::Held(key), sink);
        }
    }

    fn end(&mut self, key: StreamKey, time_ns: u64, reason: CloseReason, sink: Sink<'_>) {
        if let Some(entry) = self.entry(&key) {
            let mut tally = Tally::default();
            entry.stream.flush(sink, &mut tally);
            self.account(tally);
            sink(FlowEvent::Closed {
                stream: key,
                time_ns,
                reason,
            });
            if reason != CloseReason::Shutdown {
                if let Some(entry) = self.entry(&key) {
                    entry.stream.ended = true;
                }
                self.remove(&key);
            }
        }
        // A closed socket takes the TLS stream on it along.
        if key.source == Source::Socket
            && let Some(carried) = self.carriers.get(&(key.process, key.id)).copied()
        {
            self.end(carried, time_ns, reason, sink);
        }
    }

    /// A process has only these sockets left: streams of it that began before are over unless they are on one of them.
    /// Streams through a TLS library end with their socket.
    fn keep_only(&mut self, origin: &Origin, open: &[u64], sink: Sink<'_>) {
        let mut over = Vec::new();
        let mut next = self.processes.get(&origin.process).copied();
        while let Some(entry) = self.at(next) {
            let key = entry.stream.key;
            if key.source == Source::Socket && entry.since_ns < origin.time_ns && !open.contains(&key.id) {
                over.push(key);
            }
            next = entry.after;
        }
        for key in over {
            self.end(key, origin.time_ns, CloseReason::Socket, sink);
        }
    }

    pub(super) fn account(&mut self, tally: Tally) {
        if tally == Tally::default() {
            return;
        }
        self.held_bytes = self.held_bytes.saturating_add_signed(tally.held);
        self.counters.add(Metric::BytesLate, tally.late);
        self.counters.add(Metric::BytesMissing, tally.missing);
    }

    fn entry(&mut self, key: &StreamKey) -> Option<&mut Entry> {
        let slot = *self.index.get(key)?;
        self.entries.get_mut(slot as usize)?.as_mut()
    }

    fn slot_or_new(&mut self, key: StreamKey, time_ns: u64, sink: Sink<'_>) -> Option<u32> {
        match self.index.get(&key) {
            Some(slot) => Some(*slot),
            None => self.insert(key, time_ns, sink),
        }
    }

    fn insert(&mut self, key: StreamKey, time_ns: u64, sink: Sink<'_>) -> Option<u32> {
        if self.index.len() >= self.limits.streams.max(1) {
            self.forget_one(time_ns, sink);
        }
        let slot = self.free.pop().or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).ok()
        })?;
        let after = self.processes.insert(key.process, slot);
        if let Some(next) = self.at(after) {
            next.before = Some(slot);
        }
        let entry = Entry {
            stream: Stream::new(key, self.counters.ledger().tally(key.process.into())),
            touched: true,
            since_ns: time_ns,
            ending: false,
            left_out: false,
            before: None,
            after,
        };
        *self.entries.get_mut(slot as usize)? = Some(entry);
        self.index.insert(key, slot);
        Some(slot)
    }

    /// Makes room: the first stream that was not used since the hand last passed goes.
    fn forget_one(&mut self, time_ns: u64, sink: Sink<'_>) {
        // Two rounds suffice: the first clears every mark.
        for _ in 0..=self.entries.len().saturating_mul(2) {
            self.hand = if self.hand >= self.entries.len() {
                0
            } else {
                self.hand
            };
            let Some(slot) = self.entries.get_mut(self.hand) else {
                return;
            };
            self.hand += 1;
            let Some(entry) = slot else { continue };
            if std::mem::take(&mut entry.touched) {
                continue;
            }
            let (key, mut tally) = (entry.stream.key, Tally::default());
            entry.stream.flush(sink, &mut tally);
            self.account(tally);
            self.remove(&key);
            self.counters.add(Metric::StreamsEvicted, 1);
            return sink(FlowEvent::Forgotten { stream: key, time_ns });
        }
    }

    fn remove(&mut self, key: &StreamKey) {
        let Some(slot) = self.index.remove(key) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        self.free.push(slot);
        if let Some(next) = self.at(entry.after) {
            next.before = entry.before;
        }
        if let Some(previous) = self.at(entry.before) {
            previous.after = entry.after;
        } else if let Some(next) = entry.after {
            self.processes.insert(key.process, next);
        } else {
            self.processes.remove(&key.process);
        }
        let Some(binding) = entry.stream.binding else {
            return;
        };
        if let Slot::Occupied(carrier) = self.carriers.entry((key.process, binding.socket.inode))
            && carrier.get() == key
        {
            carrier.remove();
        }
    }

    pub(super) fn at(&mut self, slot: Option<u32>) -> Option<&mut Entry> {
        self.entries.get_mut(slot? as usize)?.as_mut()
    }

    fn first_of(&self, process: &ProcessKey) -> Option<StreamKey> {
        let slot = *self.processes.get(process)?;
        self.entries
            .get(slot as usize)?
            .as_ref()
            .map(|entry| entry.stream.key)
    }
}

pub(super) fn announce(stream: &Stream, sink: Sink<'_>) {
    if let Some(binding) = stream.binding {
        sink(FlowEvent::Bound {
            stream: stream.key,
            socket: binding.socket,
            evidence: binding.evidence,
            ambiguous: binding.ambiguous,
        });
    }
}
