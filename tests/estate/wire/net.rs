//! Connections to the services' processes, and the records of what passes on them, in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use sensor_common::CHUNK_BYTES;
use sensor_user::capture::{
    CloseReason, Data, Direction, Evidence, Origin, ProcessKey, Record, Role, SocketAddress, Source,
    StreamKey,
};

use super::super::clock::{EPOCH_S, SECOND};
use super::super::services::Service;

/// A connection by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LineId(u32);

struct Line {
    stream: StreamKey,
    /// Bytes so far, read and written.
    positions: [u64; 2],
    /// Next stream of HTTP/2.
    next: u32,
}

/// Connections that are open, and records that are not yet due.
pub(crate) struct Net {
    lines: Vec<Option<Line>>,
    free: Vec<u32>,
    opened: u64,
    outbox: BinaryHeap<Reverse<Due>>,
    number: u64,
    /// Records lost on the way.
    pub(crate) lost: u64,
}

struct Due {
    at: (u64, u64),
    record: Record,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl Net {
    pub(crate) fn new() -> Self {
        Self {
            lines: Vec::new(),
            free: Vec::new(),
            opened: 0,
            outbox: BinaryHeap::new(),
            number: 0,
            lost: 0,
        }
    }

    /// A client connects. Cleartext goes to port 80.
    pub(crate) fn open(&mut self, now: u64, service: Service, remote: Ipv4Addr, clear: bool) -> LineId {
        self.opened += 1;
        let process = ProcessKey {
            pid: 1000 + service as u32,
            start_ns: 1_000_000 * (1 + service as u64),
        };
        let stream = StreamKey {
            process,
            source: if clear { Source::Socket } else { Source::Tls },
            id: 0x7f00_0000_0000 + self.opened * 0x40,
            generation: 0,
        };
        let port = 20_000 + (self.opened % 40_000) as u16;
        let socket = SocketAddress {
            inode: if clear { stream.id } else { 50_000 + self.opened },
            local: Some((IpAddr::V4(service.address()), if clear { 80 } else { 443 })),
            remote: Some((IpAddr::V4(remote), port)),
            role: Role::Server,
        };
        let origin = origin(now, process);
        let record = if clear {
            Record::Open {
                origin,
                stream,
                socket,
            }
        } else {
            let evidence = Evidence::SetFd;
            Record::Bind {
                origin,
                stream,
                socket,
                evidence,
                ambiguous: false,
            }
        };
        self.push(now, record);
        let line = Some(Line {
            stream,
            positions: [0; 2],
            next: 1,
        });
        if let Some(number) = self.free.pop() {
            self.lines[number as usize] = line;
            return LineId(number);
        }
        self.lines.push(line);
        LineId(self.lines.len() as u32 - 1)
    }

    /// The next stream of HTTP/2 there, and whether it is the first.
    pub(crate) fn stream(&mut self, id: LineId) -> (u32, bool) {
        let Some(line) = &mut self.lines[id.0 as usize] else {
            return (1, true);
        };
        line.next += 2;
        (line.next - 2, line.next == 3)
    }

    /// Bytes pass at that time. Some records never arrive.
    pub(crate) fn carry(&mut self, at: u64, id: LineId, direction: Direction, bytes: &[u8], lost: bool) {
        let Some(line) = &mut self.lines[id.0 as usize] else {
            return;
        };
        let (stream, position) = (
            line.stream,
            &mut line.positions[usize::from(direction == Direction::Write)],
        );
        let start = *position;
        *position += bytes.len() as u64;
        if lost {
            self.lost += 1;
            return;
        }
        for (number, piece) in bytes.chunks(CHUNK_BYTES).enumerate() {
            let data = Data {
                origin: origin(at, stream.process),
                stream,
                direction,
                position: start + (number * CHUNK_BYTES) as u64,
                socket: 0,
                early: false,
                bytes: Bytes::copy_from_slice(piece),
            };
            self.push(at, Record::Data(data));
        }
    }

    /// The connection ends, after everything that is under way on it.
    pub(crate) fn close(&mut self, at: u64, id: LineId) {
        let Some(line) = self.lines[id.0 as usize].take() else {
            return;
        };
        self.free.push(id.0);
        let (stream, [read, written]) = (line.stream, line.positions);
        let record = Record::Close {
            origin: origin(at, stream.process),
            stream,
            reason: CloseReason::Free,
            ends: Some((read, written)),
        };
        self.push(at, record);
    }

    fn push(&mut self, at: u64, record: Record) {
        self.number += 1;
        self.outbox.push(Reverse(Due {
            at: (at, self.number),
            record,
        }));
    }

    /// The next record that is due.
    pub(crate) fn next(&mut self, now: u64) -> Option<Record> {
        if self.outbox.peek()?.0.at.0 > now {
            return None;
        }
        self.outbox.pop().map(|due| due.0.record)
    }
}

/// Nanoseconds since 1970, as recordings have them.
pub(crate) const fn stamp(now: u64) -> u64 {
    EPOCH_S * SECOND + now
}

const fn origin(now: u64, process: ProcessKey) -> Origin {
    Origin {
        time_ns: stamp(now),
        process,
        tid: process.pid,
        cgroup: 1,
    }
}
