//! Connections as the ring tells them, and bytes of HTTP/1, HTTP/2 and WebSocket.

use std::sync::Arc;

use bytes::Bytes;
use sensor_user::capture::{Data, Direction, Origin, ProcessKey, Record, Source, StreamKey};
use sensor_user::exchange::secret::HashKey;
use sensor_user::pipeline::{Observed, Settings, Shard};
use sensor_user::telemetry::Counters;

/// A shard, and how far each of its connections is.
pub(crate) struct Sensor {
    shard: Shard,
    positions: Vec<[u64; 2]>,
    out: Vec<Observed>,
    time_ns: u64,
    /// Exchanges told so far.
    pub(crate) told: usize,
    /// Of those, departures.
    pub(crate) anomalies: usize,
}

impl Sensor {
    pub(crate) fn new() -> Self {
        let settings = Settings::new(HashKey::new([7; 32]), Arc::new(Counters::default()));
        Self {
            shard: Shard::new(&settings),
            positions: Vec::new(),
            out: Vec::new(),
            time_ns: 1_000_000,
            told: 0,
            anomalies: 0,
        }
    }

    /// Room for so many connections, so that it is not taken for theirs.
    pub(crate) fn expect(&mut self, connections: usize) {
        self.positions.resize(connections, [0; 2]);
        self.out.reserve(2048);
    }

    /// What one call moved, in records as large as the kernel object makes them; each has an allocation of its own.
    pub(crate) fn send(&mut self, connection: usize, direction: Direction, bytes: &[u8]) {
        let process = ProcessKey {
            pid: 4242,
            start_ns: 77,
        };
        for piece in bytes.chunks(sensor_common::CHUNK_BYTES) {
            let at = usize::from(direction == Direction::Write);
            let position = self.positions[connection][at];
            self.positions[connection][at] += piece.len() as u64;
            self.time_ns += 1000;
            let record = Record::Data(Data {
                origin: Origin {
                    time_ns: self.time_ns,
                    process,
                    tid: 1,
                    cgroup: 1,
                },
                stream: StreamKey {
                    process,
                    source: Source::Socket,
                    id: 0x7f00_0000_0000 + connection as u64 * 0x1b40,
                    generation: 0,
                },
                direction,
                position,
                socket: 0,
                early: false,
                bytes: Bytes::copy_from_slice(piece),
            });
            self.shard.push(record, &mut self.out);
            self.told += self.out.len();
            for observed in self.out.drain(..) {
                self.anomalies += observed.exchange.anomalies.len();
            }
        }
    }

    /// From the client of a server that is watched.
    pub(crate) fn ask(&mut self, connection: usize, bytes: &[u8]) {
        self.send(connection, Direction::Read, bytes);
    }

    pub(crate) fn answer(&mut self, connection: usize, bytes: &[u8]) {
        self.send(connection, Direction::Write, bytes);
    }
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A literal field, indexed or not (RFC 7541, 6.2).
pub(crate) fn field(name: &str, value: &str, indexed: bool) -> Vec<u8> {
    let mut field = vec![if indexed { 0x40 } else { 0 }];
    for text in [name, value] {
        length(text.len(), &mut field);
        field.extend(text.as_bytes());
    }
    field
}

/// A length with a prefix of seven bits (RFC 7541, 5.1).
fn length(length: usize, out: &mut Vec<u8>) {
    let Some(mut rest) = length.checked_sub(127) else {
        out.push(u8::try_from(length).unwrap());
        return;
    };
    out.push(127);
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap());
}

/// Preface and settings of a client.
pub(crate) fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, b"")].concat()
}

/// `GET https: /`, and whatever comes behind.
pub(crate) fn get(fields: &[u8]) -> Vec<u8> {
    [&[0x82, 0x87, 0x84][..], fields].concat()
}

/// A frame of WebSocket from a client (RFC 6455, 5.2), masked with zeros.
pub(crate) fn message(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    // 126: a length of two bytes follows.
    [&[first, 0xfe][..], &length, &[0; 4], payload].concat()
}
