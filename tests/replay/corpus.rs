//! Captures of others (`../shared/corpora/pcap`, 43 files of odd HTTP): each is read, counted as tshark counts it, and
//! survives being recorded again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sensor_user::capture::{Direction, Record};

use super::source::{file_of, folder, records_of};
use super::wireshark::tshark;

fn captures() -> Vec<PathBuf> {
    let corpus = folder("../../shared/corpora/pcap");
    let Ok(entries) = std::fs::read_dir(&corpus) else {
        println!("SKIPPED the corpus of captures: {} is absent", corpus.display());
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "pcap" || end == "pcapng")
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{} holds no capture", corpus.display());
    println!("captures of others: {}", found.len());
    found
}

#[test]
fn captures_of_others_are_counted_as_tshark_counts_them() {
    for path in captures() {
        let (_, account) = records_of(&path);
        let Some(rows) = tshark(&path, "frame", &["tcp.stream", "tcp.len", "tcp.flags.syn"]) else {
            return;
        };
        let mut counted = Counted {
            packets: rows.len() as u64,
            ..Counted::default()
        };
        let mut streams = BTreeSet::new();
        for row in &rows {
            let [stream, len, syn] = row.as_slice() else {
                continue;
            };
            if stream.is_empty() {
                continue;
            }
            counted.segments += 1;
            let len: u64 = len.parse().unwrap_or_else(|error| panic!("{len}: {error}"));
            counted.bytes += len;
            // tshark numbers a connection of which only an acknowledgement or a reset was seen, too.
            if len > 0 || syn != "0" {
                streams.insert(stream.clone());
            }
        }
        counted.streams = streams.len() as u64;
        let ours = Counted {
            packets: account.packets,
            segments: account.segments,
            bytes: account.bytes,
            streams: account.streams,
        };
        assert_eq!(ours, counted, "{}: {account:?}", path.display());
    }
}

#[derive(PartialEq, Default, Debug)]
struct Counted {
    packets: u64,
    segments: u64,
    bytes: u64,
    streams: u64,
}

/// Bytes by position of each direction of each stream.
type Content = BTreeMap<(u64, u32, bool), BTreeMap<u64, u8>>;

fn content(records: &[Record]) -> Content {
    let mut content = Content::new();
    for record in records {
        if let Record::Data(data) = record {
            let key = (
                data.stream.id,
                data.stream.generation,
                data.direction == Direction::Write,
            );
            content
                .entry(key)
                .or_default()
                .extend((data.position..).zip(data.bytes.iter().copied()));
        }
    }
    content
}

#[test]
fn captures_of_others_survive_being_recorded_again() {
    for path in captures() {
        let (records, _) = records_of(&path);
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let again = scratch.path().join("again.pcapng");
        std::fs::write(&again, file_of(&records)).expect("written");
        assert!(
            content(&records_of(&again).0) == content(&records),
            "{} changed",
            path.display()
        );
    }
}
