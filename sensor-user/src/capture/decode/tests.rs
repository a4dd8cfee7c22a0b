use proptest::prelude::*;

use super::super::encode::encode;
use super::*;

fn origin_fixture() -> Origin {
    Origin {
        time_ns: 0x0102_0304_0506_0708,
        process: ProcessKey {
            pid: 42,
            start_ns: 7_000_000_009,
        },
        tid: 43,
        cgroup: 0xc0ff_ee00_dead_beef,
    }
}

fn stream_fixture(source: Source) -> StreamKey {
    StreamKey {
        process: origin_fixture().process,
        source,
        id: 0x7fff_1234_5678,
        generation: 3,
    }
}

fn socket_fixture(v6: bool) -> SocketAddress {
    let ip: IpAddr = if v6 {
        "2001:db8::7".parse().unwrap()
    } else {
        "192.0.2.7".parse().unwrap()
    };
    SocketAddress {
        inode: 991,
        local: Some((ip, 8443)),
        remote: Some((ip, 50_001)),
        role: Role::Server,
    }
}

fn io_fixture(origin: Origin) -> Record {
    let mut records = [(0, 0); IO_RECORDS];
    for (place, listed) in records.iter_mut().zip([(22, 122), (20, 1), (23, 16_401)]) {
        *place = listed;
    }
    Record::Io(Io {
        origin,
        stream: stream_fixture(Source::Socket),
        direction: Direction::Write,
        records,
    })
}

fn unseen_fixture(event: ProcessEvent) -> Record {
    Record::Unseen {
        event,
        reason: UnseenReason::IoUring,
        bytes: ProcessBytes {
            sent_all: 1,
            received_all: 2,
            sent_unseen: 3,
            received_unseen: 4,
        },
    }
}

fn every_record() -> Vec<Record> {
    let origin = origin_fixture();
    let stream = stream_fixture(Source::Tls);
    let event = ProcessEvent {
        origin,
        comm: Comm(*b"curl\0\0\0\0\0\0\0\0\0\0\0\0"),
    };
    vec![
        Record::Data(Data {
            origin,
            stream,
            direction: Direction::Write,
            position: 1 << 40,
            socket: 991,
            early: true,
            bytes: Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n"),
        }),
        Record::Gap(Gap {
            origin,
            stream,
            direction: Direction::Read,
            position: 17,
            missing: 70_000,
            reason: GapReason::Fault,
        }),
        Record::Bind {
            origin,
            stream,
            socket: socket_fixture(true),
            evidence: Evidence::NestedSyscall,
            ambiguous: true,
        },
        Record::Bind {
            origin,
            stream,
            socket: socket_fixture(false),
            evidence: Evidence::SetBio,
            ambiguous: false,
        },
        io_fixture(origin),
        Record::Open {
            origin,
            stream: stream_fixture(Source::Socket),
            socket: socket_fixture(false),
        },
        Record::Close {
            origin,
            stream,
            reason: CloseReason::Free,
            ends: Some((10, 20)),
        },
        Record::Exec(event),
        Record::Exit(event),
        Record::Map(event),
        Record::ClosedMany(event),
        unseen_fixture(event),
        Record::Unhooked(event),
        Record::Undecided(event),
    ]
}

fn encoded(record: &Record) -> Vec<u8> {
    let mut raw = Vec::new();
    encode(record, &mut raw).unwrap();
    raw
}

#[test]
fn every_kind_survives_the_ring() {
    for record in every_record() {
        let raw = encoded(&record);
        assert_eq!(decode(&raw, Bytes::copy_from_slice), Ok(record));
    }
}

#[test]
fn no_prefix_of_a_record_is_a_record() {
    for record in every_record() {
        let raw = encoded(&record);
        for len in 0..raw.len() {
            assert_eq!(
                decode(&raw[..len], Bytes::copy_from_slice),
                Err(DecodeError::Short),
                "{record:?} {len}"
            );
        }
    }
}

#[test]
fn what_rings_round_up_is_ignored() {
    for record in every_record() {
        let mut raw = encoded(&record);
        raw.extend_from_slice(&[0xff; 7]);
        assert_eq!(decode(&raw, Bytes::copy_from_slice), Ok(record));
    }
}

#[test]
fn a_foreign_record_is_refused_for_its_reason() {
    let raw = encoded(&every_record()[0]);
    let broken = |at: usize, byte: u8| {
        let mut raw = raw.clone();
        raw[at] = byte;
        decode(&raw, Bytes::copy_from_slice).unwrap_err()
    };
    assert_eq!(broken(0, 0), DecodeError::Magic);
    assert_eq!(broken(2, 9), DecodeError::Version(9));
    assert_eq!(broken(3, 0), DecodeError::Kind(0));
    assert_eq!(
        broken(offset_of!(StreamRecord, stream) + 12, 9),
        DecodeError::Enumerator(9)
    );
    assert_eq!(
        broken(offset_of!(StreamRecord, captured) + 2, 1),
        DecodeError::Length
    );
    let mut far = raw.clone();
    far[offset_of!(StreamRecord, position)..][..8].fill(0xff);
    assert_eq!(decode(&far, Bytes::copy_from_slice), Err(DecodeError::Length));
}

#[test]
fn unknown_reasons_are_refused() {
    for record in every_record() {
        let mut raw = encoded(&record);
        raw[offset_of!(Header, detail)] = 99;
        let refused = decode(&raw, Bytes::copy_from_slice) == Err(DecodeError::Detail(99));
        let has_detail = matches!(
            record,
            Record::Gap(_) | Record::Bind { .. } | Record::Close { .. } | Record::Unseen { .. }
        );
        assert_eq!(refused, has_detail, "{record:?}");
    }
}

#[test]
fn a_mapped_address_is_shown_as_ipv4() {
    let mapped: Ipv6Addr = "::ffff:192.0.2.9".parse().unwrap();
    let shown = endpoint(FAMILY_INET6, mapped.octets(), 1).unwrap();
    assert_eq!(shown, Some(("192.0.2.9".parse().unwrap(), 1)));
}

#[test]
fn what_the_kernel_never_says_has_no_form() {
    let gap = Gap {
        origin: origin_fixture(),
        stream: stream_fixture(Source::Tls),
        direction: Direction::Read,
        position: 0,
        missing: 1,
        reason: GapReason::Lost,
    };
    assert!(encode(&Record::Gap(gap), &mut Vec::new()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_decided(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes, Bytes::copy_from_slice).is_err() || bytes.len() >= FRONT);
    }

    #[test]
    fn any_record_with_flipped_bytes_is_decided(
        which in 0_usize..8,
        flips in proptest::collection::vec((0_usize..130, any::<u8>()), 1..6),
    ) {
        let mut raw = encoded(&every_record()[which]);
        for (at, byte) in flips {
            if let Some(place) = raw.get_mut(at) {
                *place = byte;
            }
        }
        if let Ok(Record::Data(data)) = decode(&raw, Bytes::copy_from_slice) {
            prop_assert!(data.position.checked_add(data.bytes.len() as u64).is_some());
        }
    }
}
