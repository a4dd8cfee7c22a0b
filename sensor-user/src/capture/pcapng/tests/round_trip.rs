use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::capture::{CloseReason, Comm, Evidence, ProcessEvent};

#[derive(Clone, Debug)]
enum Step {
    Data(Vec<u8>),
    Skip(u64),
    Gap(u64, GapReason),
    Again,
}

fn step() -> impl Strategy<Value = Step> {
    let reason = prop_oneof![
        Just(GapReason::Limit),
        Just(GapReason::Fault),
        Just(GapReason::Iovecs),
        Just(GapReason::Unseen),
        Just(GapReason::Bypass),
        Just(GapReason::Lost)
    ];
    prop_oneof![
        4 => vec(any::<u8>(), 1..200).prop_map(Step::Data),
        1 => prop_oneof![1..100_000_u64, Just((1 << 31) - 1), Just(1 << 31), Just((5 << 32) + 3)].prop_map(Step::Skip),
        1 => (prop_oneof![1..100_000_u64, Just(1 << 33)], reason).prop_map(|(missing, reason)| Step::Gap(missing, reason)),
        1 => Just(Step::Again),
    ]
}

fn script(steps: Vec<(u64, bool, Step)>) -> Vec<Record> {
    let mut positions: BTreeMap<(u64, bool), u64> = BTreeMap::new();
    let mut records: Vec<Record> = Vec::new();
    for (id, write, step) in steps {
        let direction = if write { Direction::Write } else { Direction::Read };
        let position = positions.entry((id, write)).or_default();
        match step {
            Step::Data(bytes) => {
                records.push(data(stream(id), direction, *position, &bytes));
                *position += bytes.len() as u64;
            }
            Step::Skip(bytes) => *position += bytes,
            Step::Gap(missing, reason) => {
                records.push(gap(stream(id), direction, *position, missing, reason));
                *position += missing;
            }
            // An earlier record comes late: twice, and out of order.
            Step::Again => records.extend(records.get(records.len() / 2).cloned()),
        }
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_what_is_read(steps in vec((0..3_u64, any::<bool>(), step()), 0..40)) {
        let records = script(steps);
        prop_assert_eq!(content(&read_well(&file_of(&records))), content(&records));
    }
}

#[test]
fn a_large_record_is_split_and_joined() {
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let records = [data(stream(1), Direction::Read, 0, &bytes)];
    let back = read_well(&file_of(&records));
    assert_eq!(content(&back), content(&records));
    assert!(
        back.iter()
            .filter(|record| matches!(record, Record::Data(_)))
            .count()
            == 4
    );
}

#[test]
fn process_socket_and_end_are_restored() {
    let mut key = stream(0xffff_8000_1234_5678);
    key.source = Source::Tls;
    key.generation = 3;
    let comm = Comm(*b"my ser%er\xff\0\0\0\0\0\0");
    let records = [
        Record::Exec(ProcessEvent {
            origin: origin(key),
            comm,
        }),
        Record::Bind {
            origin: origin(key),
            stream: key,
            socket: socket(Role::Server, "10.0.0.1:443", "10.0.0.2:50000"),
            evidence: Evidence::Transport,
            ambiguous: true,
        },
        early(data(key, Direction::Read, 0, b"GET / HTTP/1.1\r\n\r\n")),
        Record::Close {
            origin: origin(key),
            stream: key,
            reason: CloseReason::Shutdown,
            ends: None,
        },
        Record::Close {
            origin: origin(key),
            stream: key,
            reason: CloseReason::Free,
            ends: Some((18, 1 << 40)),
        },
    ];
    let mut back = read_well(&file_of(&records));
    for record in &mut back {
        if let Record::Data(data) = record {
            assert_eq!(std::mem::take(&mut data.socket), 4242);
        }
    }
    assert_eq!(back, records);
}

fn early(mut record: Record) -> Record {
    if let Record::Data(data) = &mut record {
        data.early = true;
    }
    record
}

#[test]
fn a_socket_known_late_is_told_late() {
    let key = stream(8);
    let open = Record::Open {
        origin: origin(key),
        stream: key,
        socket: socket(Role::Client, "[2001:db8::9]:50000", "[::1]:80"),
    };
    let records = [
        data(key, Direction::Write, 0, b"one"),
        open.clone(),
        data(key, Direction::Write, 3, b"two"),
    ];
    let back = read_well(&file_of(&records));
    assert_eq!(back.get(1), Some(&open), "{back:?}");
    assert_eq!(content(&back), content(&records));
}

#[test]
fn both_ends_of_one_connection_stay_apart() {
    let (server, client) = (stream(1), stream(2));
    let open = |stream, role, local, remote| Record::Open {
        origin: origin(stream),
        stream,
        socket: socket(role, local, remote),
    };
    let records = [
        open(client, Role::Client, "127.0.0.1:40000", "127.0.0.1:80"),
        open(server, Role::Server, "127.0.0.1:80", "127.0.0.1:40000"),
        data(client, Direction::Write, 0, b"request"),
        data(server, Direction::Read, 0, b"request"),
        data(server, Direction::Write, 0, b"answer"),
        data(client, Direction::Read, 0, b"answer"),
    ];
    let back = read_well(&file_of(&records));
    assert_eq!(content(&back), content(&records));
    let opens = |records: &[Record]| {
        records
            .iter()
            .filter(|record| matches!(record, Record::Open { .. }))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(opens(&back), opens(&records));
}

#[test]
fn a_stream_without_bytes_leaves_no_packet() {
    let key = stream(1);
    let records = [
        Record::Open {
            origin: origin(key),
            stream: key,
            socket: socket(Role::Server, "127.0.0.1:80", "127.0.0.1:9"),
        },
        Record::Close {
            origin: origin(key),
            stream: key,
            reason: CloseReason::Socket,
            ends: None,
        },
    ];
    assert_eq!(read_well(&file_of(&records)), []);
}

#[test]
fn an_exit_closes_the_streams_of_the_process() {
    let key = stream(1);
    let exit = Record::Exit(ProcessEvent {
        origin: origin(key),
        comm: Comm::default(),
    });
    let back = read_well(&file_of(&[data(key, Direction::Read, 0, b"x"), exit]));
    assert!(
        matches!(
            back.last(),
            Some(Record::Close {
                reason: CloseReason::Socket,
                ..
            })
        ),
        "{back:?}"
    );
}

#[test]
fn a_recording_is_private_and_overwrites_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.pcapng");
    super::super::create(&path, 0)
        .expect("a new file")
        .finish()
        .expect("written");
    let mode = std::fs::metadata(&path).expect("it exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let refused = super::super::create(&path, 0).err().expect("it exists already");
    assert_eq!(refused.kind(), "write");
}
