//! Recordings: what is written is what is read, and hostile files are refused politely.

mod foreign;
mod hostile;
mod round_trip;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::{Account, Reader, Writer};
use crate::capture::source::{CaptureError, Progress, RecordSource};
use crate::capture::{
    Data, Direction, Gap, GapReason, Origin, ProcessKey, Record, Role, SocketAddress, Source, StreamKey,
};

/// Bytes by position, and gaps: what one direction of a stream comes down to.
type Content = BTreeMap<(u64, u32, bool), (BTreeMap<u64, u8>, Vec<(u64, u64, GapReason)>)>;

fn file_of(records: &[Record]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), Path::new("test"), 0).expect("a vector takes everything");
    for record in records {
        writer.write(record).expect("a vector takes everything");
    }
    writer.finish().expect("a vector takes everything")
}

fn read(file: &[u8]) -> (Vec<Record>, Account, Option<CaptureError>) {
    let mut records = Vec::new();
    let mut reader = match Reader::new(file, Path::new("test")) {
        Ok(reader) => reader,
        Err(error) => return (records, Account::default(), Some(error)),
    };
    loop {
        match reader.next_batch(&mut records) {
            Ok(Progress::Ended) => return (records, *reader.account(), None),
            Ok(_) => {}
            Err(error) => return (records, *reader.account(), Some(error)),
        }
    }
}

fn read_well(file: &[u8]) -> Vec<Record> {
    let (records, _, error) = read(file);
    assert!(error.is_none(), "{error:?}");
    records
}

fn content(records: &[Record]) -> Content {
    let mut content = Content::new();
    for record in records {
        match record {
            Record::Data(data) => {
                let end = content.entry(side(data.stream, data.direction)).or_default();
                end.0.extend((data.position..).zip(data.bytes.iter().copied()));
            }
            Record::Gap(gap) => {
                let end = content.entry(side(gap.stream, gap.direction)).or_default();
                end.1.push((gap.position, gap.missing, gap.reason));
            }
            _ => {}
        }
    }
    content
}

fn side(stream: StreamKey, direction: Direction) -> (u64, u32, bool) {
    (stream.id, stream.generation, direction == Direction::Write)
}

fn stream(id: u64) -> StreamKey {
    StreamKey {
        process: ProcessKey { pid: 77, start_ns: 5 },
        source: Source::Socket,
        id,
        generation: 0,
    }
}

fn origin(stream: StreamKey) -> Origin {
    Origin {
        time_ns: 1_000,
        process: stream.process,
        tid: 77,
        cgroup: 9,
    }
}

fn data(stream: StreamKey, direction: Direction, position: u64, bytes: &[u8]) -> Record {
    let bytes = Bytes::copy_from_slice(bytes);
    Record::Data(Data {
        origin: origin(stream),
        stream,
        direction,
        position,
        socket: 0,
        early: false,
        bytes,
    })
}

fn gap(stream: StreamKey, direction: Direction, position: u64, missing: u64, reason: GapReason) -> Record {
    Record::Gap(Gap {
        origin: origin(stream),
        stream,
        direction,
        position,
        missing,
        reason,
    })
}

fn socket(role: Role, local: &str, remote: &str) -> SocketAddress {
    let end = |text: &str| {
        let address: std::net::SocketAddr = text.parse().expect("a valid address");
        Some((address.ip(), address.port()))
    };
    SocketAddress {
        inode: 4242,
        local: end(local),
        remote: end(remote),
        role,
    }
}
