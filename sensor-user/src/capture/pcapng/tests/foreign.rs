use etherparse::PacketBuilder;

use super::*;
use crate::capture::CloseReason;
use crate::capture::pcapng::Skip;

const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 2], 50_000);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 8080);

#[derive(Clone, Copy, Default)]
struct Flags {
    syn: bool,
    ack: Option<u32>,
    fin: bool,
    rst: bool,
}

const SYN: Flags = Flags {
    syn: true,
    ack: None,
    fin: false,
    rst: false,
};

fn ack(number: u32) -> Flags {
    Flags {
        ack: Some(number),
        ..Flags::default()
    }
}

fn ip(from: ([u8; 4], u16), to: ([u8; 4], u16), seq: u32, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let mut tcp = PacketBuilder::ipv4(from.0, to.0, 64).tcp(from.1, to.1, seq, 1000);
    if flags.syn {
        tcp = tcp.syn();
    }
    if let Some(number) = flags.ack {
        tcp = tcp.ack(number);
    }
    if flags.fin {
        tcp = tcp.fin();
    }
    if flags.rst {
        tcp = tcp.rst();
    }
    let mut out = Vec::new();
    tcp.write(&mut out, payload).expect("a vector takes everything");
    out
}

/// A classic file, big-endian so that both orders are covered.
fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, link] {
        file.extend(u32::to_be_bytes(word));
    }
    for (second, packet) in (7_u32..).zip(packets) {
        let len = u32::try_from(packet.len()).expect("small");
        for word in [second, 250_000, len, len] {
            file.extend(word.to_be_bytes());
        }
        file.extend(packet);
    }
    file
}

fn raw(packets: &[Vec<u8>]) -> Vec<Record> {
    read_well(&pcap(101, packets))
}

/// Position and text of each data record of a direction.
fn texts(records: &[Record], direction: Direction) -> Vec<(u64, String)> {
    let of_record = |record: &Record| match record {
        Record::Data(data) if data.direction == direction => {
            Some((data.position, String::from_utf8_lossy(&data.bytes).into_owned()))
        }
        _ => None,
    };
    records.iter().filter_map(of_record).collect()
}

fn closes(records: &[Record]) -> Vec<CloseReason> {
    let of_record = |record: &Record| match record {
        Record::Close { reason, .. } => Some(*reason),
        _ => None,
    };
    records.iter().filter_map(of_record).collect()
}

#[test]
fn the_accepting_end_is_the_process() {
    let records = raw(&[
        ip(CLIENT, SERVER, 100, SYN, b""),
        ip(
            SERVER,
            CLIENT,
            900,
            Flags {
                syn: true,
                ..ack(101)
            },
            b"",
        ),
        ip(CLIENT, SERVER, 101, ack(901), b"request"),
        ip(SERVER, CLIENT, 901, ack(108), b"answer"),
    ]);
    let Some(Record::Open { origin, socket, .. }) = records.first() else {
        panic!("no open: {records:?}");
    };
    assert_eq!(socket.role, Role::Server);
    assert_eq!(socket.local, Some((SERVER.0.into(), SERVER.1)));
    assert_eq!(socket.remote, Some((CLIENT.0.into(), CLIENT.1)));
    assert_eq!(origin.time_ns, 7_250_000_000);
    assert_eq!(texts(&records, Direction::Read), [(0, "request".into())]);
    assert_eq!(texts(&records, Direction::Write), [(0, "answer".into())]);
}

#[test]
fn a_start_in_the_middle_begins_at_zero_with_the_lower_port_as_process() {
    let records = raw(&[
        ip(SERVER, CLIENT, 5_000, ack(70), b"answer"),
        ip(CLIENT, SERVER, 70, ack(5_006), b"request"),
        ip(SERVER, CLIENT, 4_990, ack(70), b"before all"),
        ip(SERVER, CLIENT, 4_998, ack(70), b"..ans"),
    ]);
    assert_eq!(
        texts(&records, Direction::Write),
        [(0, "answer".into()), (0, "ans".into())]
    );
    assert_eq!(texts(&records, Direction::Read), [(0, "request".into())]);
    let Some(Record::Open { socket, .. }) = records.first() else {
        panic!("no open: {records:?}");
    };
    assert_eq!(
        (socket.role, socket.local),
        (Role::Unknown, Some((SERVER.0.into(), SERVER.1)))
    );
}

#[test]
fn sequence_numbers_wrap_and_come_in_any_order() {
    let records = raw(&[
        ip(CLIENT, SERVER, u32::MAX - 3, SYN, b""),
        ip(CLIENT, SERVER, u32::MAX - 2, ack(1), b"abc"),
        ip(CLIENT, SERVER, 2, ack(1), b"fg"),
        ip(CLIENT, SERVER, 0, ack(1), b"de"),
        ip(CLIENT, SERVER, u32::MAX - 2, ack(1), b"abc"),
    ]);
    let expected = [(0, "abc"), (5, "fg"), (3, "de"), (0, "abc")].map(|(at, text)| (at, text.to_owned()));
    assert_eq!(texts(&records, Direction::Read), expected);
}

#[test]
fn a_port_used_again_is_the_next_generation() {
    let records = raw(&[
        ip(CLIENT, SERVER, 100, SYN, b""),
        ip(CLIENT, SERVER, 100, SYN, b""),
        ip(CLIENT, SERVER, 101, ack(1), b"one"),
        ip(
            SERVER,
            CLIENT,
            1,
            Flags {
                rst: true,
                ..ack(104)
            },
            b"reset text",
        ),
        ip(CLIENT, SERVER, 104, ack(1), b"straggler"),
        ip(CLIENT, SERVER, 9_000, SYN, b""),
        ip(CLIENT, SERVER, 9_001, ack(1), b"two"),
    ]);
    let streams: Vec<(u64, u32)> = records
        .iter()
        .filter_map(|record| match record {
            Record::Data(data) => Some((data.stream.id, data.stream.generation)),
            _ => None,
        })
        .collect();
    assert_eq!(streams, [(1, 0), (1, 1)]);
    assert_eq!(closes(&records), [CloseReason::Socket]);
}

#[test]
fn a_close_is_told_when_it_is_acknowledged() {
    let fin = |number| Flags {
        fin: true,
        ..ack(number)
    };
    let packets = [
        ip(CLIENT, SERVER, 100, SYN, b""),
        ip(
            SERVER,
            CLIENT,
            900,
            Flags {
                syn: true,
                ..ack(101)
            },
            b"",
        ),
        // The FIN overtakes the bytes before it.
        ip(SERVER, CLIENT, 905, fin(101), b""),
        ip(SERVER, CLIENT, 901, ack(101), b"late"),
        ip(CLIENT, SERVER, 101, ack(906), b""),
        ip(CLIENT, SERVER, 101, fin(906), b""),
        ip(SERVER, CLIENT, 906, ack(102), b""),
    ];
    let shown: Vec<&str> = raw(&packets)
        .iter()
        .map(|record| match record {
            Record::Open { .. } => "open",
            Record::Data(_) => "data",
            Record::Close {
                reason: CloseReason::Shutdown,
                ..
            } => "shutdown",
            Record::Close { .. } => "close",
            _ => "other",
        })
        .collect();
    assert_eq!(shown, ["open", "data", "shutdown", "close"]);
    let Some(Record::Close { ends, .. }) = raw(&packets).pop() else {
        panic!("no close");
    };
    assert_eq!(ends, Some((0, 4)), "what came late counts");
    assert_eq!(
        closes(&raw(&packets[..6])),
        [CloseReason::Shutdown, CloseReason::Socket],
        "both said so by the end"
    );
    assert_eq!(closes(&raw(&packets[..4])), []);
}

#[test]
fn every_link_type_is_read() {
    let packet = ip(CLIENT, SERVER, 1, ack(1), b"hello");
    let six = {
        let mut out = Vec::new();
        PacketBuilder::ipv6([1; 16], [2; 16], 64)
            .tcp(5, 6, 7, 8)
            .write(&mut out, b"hello")
            .expect("written");
        out
    };
    let ethernet = |kind: &[u8]| [&[2; 12], kind].concat();
    for (link, header, inner) in [
        (101, vec![], &packet),
        (101, vec![], &six),
        (228, vec![], &packet),
        (229, vec![], &six),
        (0, vec![2, 0, 0, 0], &packet),
        (108, vec![0, 0, 0, 24], &six),
        (1, ethernet(&[8, 0]), &packet),
        (1, ethernet(&[0x81, 0, 0, 5, 0x86, 0xdd]), &six),
        (1, ethernet(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0]), &packet),
        (113, [&[0; 14][..], &[8, 0]].concat(), &packet),
        (276, [&[0x86, 0xdd][..], &[0; 18]].concat(), &six),
    ] {
        // Short frames are padded, which is no payload.
        let padded = [header.as_slice(), inner, &[0; 6]].concat();
        let records = read_well(&pcap(link, &[padded]));
        let read = [
            texts(&records, Direction::Read),
            texts(&records, Direction::Write),
        ]
        .concat();
        assert_eq!(read, [(0, "hello".to_owned())], "link type {link}");
    }
}

#[test]
fn what_the_capture_cut_off_is_a_gap() {
    let mut packet = ip(CLIENT, SERVER, 1, ack(1), b"0123456789");
    packet.truncate(packet.len() - 4);
    let records = raw(&[packet, ip(CLIENT, SERVER, 11, ack(1), b"next")]);
    assert_eq!(
        texts(&records, Direction::Read),
        [(0, "012345".into()), (10, "next".into())]
    );
    let gaps = content(&records);
    assert_eq!(
        gaps.get(&(1, 0, false)).map(|content| content.1.clone()),
        Some(vec![(6, 4, GapReason::Lost)])
    );
}

#[test]
fn foreign_packets_are_counted_by_reason() {
    let mut udp = Vec::new();
    PacketBuilder::ipv4([1; 4], [2; 4], 9)
        .udp(1, 2)
        .write(&mut udp, b"x")
        .expect("written");
    let mut fragment = ip(CLIENT, SERVER, 1, ack(1), b"hello");
    fragment[6] = 0x20;
    let mut cut = ip(CLIENT, SERVER, 1, ack(1), b"");
    cut.truncate(30);
    let ethernet = |kind: [u8; 2], inner: &[u8]| [&[2; 12][..], &kind, inner].concat();
    let file = pcap(
        1,
        &[
            ethernet([8, 0], &udp),
            ethernet([8, 0], &fragment),
            ethernet([8, 0], &cut),
            ethernet([0x88, 0xcc], b"lldp"),
            vec![1, 2, 3],
        ],
    );
    let (records, account, error) = read(&file);
    assert!(error.is_none() && records.is_empty());
    let skipped: Vec<u64> = Skip::ALL.iter().map(|reason| account.skipped(*reason)).collect();
    // link type, not IP, not TCP, fragment, bad header, before start, after close
    assert_eq!(skipped, [0, 1, 1, 1, 2, 0, 0]);
    assert_eq!(account.packets, 5);
    let (_, account, _) = read(&pcap(147, &[vec![0; 60]]));
    assert_eq!(account.skipped(Skip::LinkType), 1);
}

#[test]
fn a_flood_of_connections_makes_room() {
    let packets: Vec<Vec<u8>> = (0..70_000_u32)
        .map(|n| {
            let [_, high, low, port] = n.to_be_bytes();
            ip(([10, high, low, port], 4_000), SERVER, 1, SYN, b"")
        })
        .collect();
    let (_, account, error) = read(&pcap(101, &packets));
    assert!(error.is_none());
    assert_eq!(account.streams, 70_000);
    assert!(account.evicted > 0);
}

/// One block with its two lengths.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 12).expect("small");
    [
        &kind.to_le_bytes()[..],
        &len.to_le_bytes(),
        body,
        &len.to_le_bytes(),
    ]
    .concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn what_other_writers_do_is_understood() {
    let mut packet = ip(CLIENT, SERVER, 1, ack(1), b"hello");
    packet.extend([0; 3]);
    let len = u32::try_from(packet.len()).expect("small");
    let section = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    // Time zone and resolution 2^-10 as options, without an end mark.
    let interface = block(1, &words(&[101, 0, 0x0004_000a, 3_600, 0x0001_0009, 0x8a]));
    let enhanced = block(6, &[words(&[0, 0, 3 * 1024, len, len]), packet.clone()].concat());
    let simple = block(3, &[words(&[len]), packet.clone()].concat());
    let old = block(2, &[words(&[0, 0, 4 * 1024, len, len]), packet].concat());
    let custom = block(0xbad, &words(&[1, 2, 3]));
    let file = [section.clone(), interface, custom, enhanced, simple, old, section].concat();
    let (records, account, error) = read(&file);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(account.packets, 3);
    let times: Vec<u64> = records
        .iter()
        .filter_map(|record| match record {
            Record::Data(data) => Some(data.origin.time_ns),
            _ => None,
        })
        .collect();
    assert_eq!(times, [3_000_000_000, 3_000_000_000, 4_000_000_000]);
}
