use bytes::Bytes;
use sensor_common::record::IO_RECORDS;

use super::*;
use crate::capture::{Comm, ProcessEvent, Role};

const PROCESS: ProcessKey = ProcessKey { pid: 7, start_ns: 1 };
/// What TLS 1.3 adds to the plaintext of a record.
const TLS13: u16 = 17;

/// A capture under test: everything happens on thread 1 unless said otherwise, a microsecond apart.
#[derive(Default)]
struct Bench {
    adjacency: Adjacency,
    now_ns: u64,
    tid: u32,
    /// The process that runs; 0 stands for [`PROCESS`].
    other: u32,
    said: Vec<Record>,
}

impl Bench {
    fn with_sockets(inodes: &[u64]) -> Self {
        let mut bench = Self {
            tid: 1,
            ..Self::default()
        };
        for inode in inodes {
            let (origin, stream) = (bench.origin(), socket(*inode));
            let address = address(*inode);
            bench.push(Record::Open {
                origin,
                stream,
                socket: address,
            });
        }
        bench.said.clear();
        bench
    }

    fn origin(&mut self) -> Origin {
        self.now_ns += 1000;
        Origin {
            time_ns: self.now_ns,
            process: self.process(),
            tid: self.tid,
            cgroup: 0,
        }
    }

    fn process(&self) -> ProcessKey {
        ProcessKey {
            pid: PROCESS.pid + self.other,
            ..PROCESS
        }
    }

    fn push(&mut self, record: Record) {
        let mut batch = vec![record];
        self.adjacency.push(&mut batch, 0);
        self.said.append(&mut batch);
    }

    fn io(&mut self, inode: u64, direction: Direction, lengths: &[u16]) {
        let mut records = [(0, 0); IO_RECORDS];
        for (record, length) in records.iter_mut().zip(lengths) {
            *record = (23, *length);
        }
        let origin = self.origin();
        self.push(Record::Io(Io {
            origin,
            stream: StreamKey {
                process: origin.process,
                ..socket(inode)
            },
            direction,
            records,
        }));
    }

    fn call(&mut self, stream: u64, direction: Direction, length: usize) {
        let origin = self.origin();
        self.push(Record::Data(Data {
            origin,
            stream: StreamKey {
                process: origin.process,
                ..tls(stream)
            },
            direction,
            position: 0,
            socket: 0,
            early: false,
            bytes: Bytes::from(vec![b'x'; length]),
        }));
    }

    /// The socket reads one record, and the stream its plaintext.
    fn receive(&mut self, inode: u64, stream: u64, length: u16) {
        self.io(inode, Direction::Read, &[length + TLS13]);
        self.call(stream, Direction::Read, usize::from(length));
    }

    /// The stream writes, and the socket the record of it.
    fn send(&mut self, inode: u64, stream: u64, length: u16) {
        self.call(stream, Direction::Write, usize::from(length));
        self.io(inode, Direction::Write, &[length + TLS13]);
    }

    /// Bindings said so far: stream, inode, ambiguous.
    fn bindings(&self) -> Vec<(u64, u64, bool)> {
        let binding = |record: &Record| match record {
            Record::Bind {
                stream,
                socket,
                ambiguous,
                evidence: Evidence::Adjacent,
                ..
            } => Some((stream.id, socket.inode, *ambiguous)),
            _ => None,
        };
        self.said.iter().filter_map(binding).collect()
    }
}

fn tls(id: u64) -> StreamKey {
    StreamKey {
        process: PROCESS,
        source: Source::Tls,
        id,
        generation: 3,
    }
}

fn socket(inode: u64) -> StreamKey {
    StreamKey {
        source: Source::Socket,
        generation: 5,
        ..tls(inode)
    }
}

fn address(inode: u64) -> SocketAddress {
    let port = u16::try_from(inode).unwrap();
    SocketAddress {
        inode,
        local: Some(([127, 0, 0, 1].into(), 443)),
        remote: Some(([127, 0, 0, 1].into(), port)),
        role: Role::Server,
    }
}

#[test]
fn a_request_and_its_answer_bind() {
    let mut bench = Bench::with_sockets(&[70]);
    bench.receive(70, 1, 155);
    assert_eq!(bench.bindings(), [], "one call proves nothing");
    bench.send(70, 1, 681);
    assert_eq!(bench.bindings(), [(1, 70, false)]);
    let found: Vec<_> = bench.adjacency.take_found().collect();
    assert_eq!(
        found,
        [Found {
            socket: socket(70),
            stream: tls(1)
        }]
    );
    assert!(!bench.said.iter().any(|record| matches!(record, Record::Io(_))));
}

#[test]
fn a_binding_comes_before_the_data_of_its_batch() {
    let mut bench = Bench::with_sockets(&[70]);
    let mut records = Vec::new();
    for _ in 0..2 {
        let origin = bench.origin();
        records.push(Record::Data(Data {
            origin,
            stream: tls(1),
            direction: Direction::Write,
            position: 0,
            socket: 0,
            early: false,
            bytes: Bytes::from_static(b"0123456789"),
        }));
        let mut list = [(0, 0); IO_RECORDS];
        list[0] = (23, 27);
        let origin = bench.origin();
        records.push(Record::Io(Io {
            origin,
            stream: socket(70),
            direction: Direction::Write,
            records: list,
        }));
    }
    bench.adjacency.push(&mut records, 0);
    let kinds: Vec<bool> = records
        .iter()
        .map(|record| matches!(record, Record::Bind { .. }))
        .collect();
    assert_eq!(kinds, [true, false, false]);
}

#[test]
fn ciphers_of_tls_1_2_count_too() {
    for overhead in [24, 16] {
        let mut bench = Bench::with_sockets(&[70]);
        for _ in 0..2 {
            bench.io(70, Direction::Read, &[100 + overhead]);
            bench.call(1, Direction::Read, 100);
        }
        assert_eq!(bench.bindings(), [(1, 70, false)], "{overhead}");
    }
}

#[test]
fn an_answer_coalesced_with_session_tickets_counts() {
    let mut bench = Bench::with_sockets(&[70]);
    bench.call(1, Direction::Write, 681);
    bench.io(70, Direction::Write, &[234, 234, 681 + TLS13]);
    bench.call(1, Direction::Write, 20_000);
    bench.io(70, Direction::Write, &[99]);
    assert_eq!(bench.bindings(), []);
    bench.receive(70, 1, 155);
    assert_eq!(bench.bindings(), [(1, 70, false)]);
}

#[test]
fn a_long_answer_counts_record_by_record() {
    let mut bench = Bench::with_sockets(&[70]);
    bench.call(1, Direction::Write, 16_384);
    bench.call(1, Direction::Write, 3_616);
    bench.io(70, Direction::Write, &[16_384 + TLS13, 3_616 + TLS13]);
    assert_eq!(bench.bindings(), [(1, 70, false)]);
}

#[test]
fn a_record_read_in_several_calls_counts() {
    let mut bench = Bench::with_sockets(&[70]);
    bench.io(70, Direction::Read, &[1000 + TLS13]);
    for _ in 0..4 {
        bench.call(1, Direction::Read, 250);
    }
    bench.receive(70, 1, 90);
    assert_eq!(bench.bindings(), [(1, 70, false)]);
}

/// LESSONS 1: under load client and server were swapped.
#[test]
fn interleaved_connections_of_equal_lengths_are_bound_right_or_not_at_all() {
    // Both are read from the sockets before either is decrypted, so lengths say nothing.
    let mut bench = Bench::with_sockets(&[70, 71]);
    for _ in 0..20 {
        bench.io(70, Direction::Read, &[100 + TLS13]);
        bench.io(71, Direction::Read, &[100 + TLS13]);
        bench.call(1, Direction::Read, 100);
        bench.call(2, Direction::Read, 100);
        bench.call(2, Direction::Write, 50);
        bench.call(1, Direction::Write, 50);
        bench.io(70, Direction::Write, &[50 + TLS13]);
        bench.io(71, Direction::Write, &[50 + TLS13]);
    }
    assert_eq!(bench.bindings(), []);
    // One exchange apart from the other is enough.
    bench.receive(71, 2, 101);
    bench.send(71, 2, 51);
    assert_eq!(bench.bindings(), [(2, 71, false)]);
}

#[test]
fn every_order_of_two_equal_connections_is_right_or_unknown() {
    // Each connection receives and sends twice; every interleaving of the four steps of both is tried.
    const STEPS: usize = 8;
    for pattern in 0_u32..1 << (2 * STEPS) {
        if pattern.count_ones() as usize != STEPS {
            continue;
        }
        let mut bench = Bench::with_sockets(&[70, 71]);
        let mut done = [0; 2];
        for step in 0..2 * STEPS {
            let which = usize::from(pattern & 1 << step != 0);
            let (inode, stream) = (70 + which as u64, 1 + which as u64);
            match done[which] % 4 {
                0 => bench.io(inode, Direction::Read, &[100 + TLS13]),
                1 => bench.call(stream, Direction::Read, 100),
                2 => bench.call(stream, Direction::Write, 50),
                _ => bench.io(inode, Direction::Write, &[50 + TLS13]),
            }
            done[which] += 1;
        }
        for (stream, inode, ambiguous) in bench.bindings() {
            assert!(
                ambiguous || inode == 69 + stream,
                "{pattern:#b}: {stream} on {inode}"
            );
        }
    }
}

#[test]
fn evidence_that_contradicts_itself_makes_ambiguous() {
    let mut bench = Bench::with_sockets(&[70, 71]);
    for _ in 0..4 {
        bench.receive(70, 1, 100);
        bench.receive(71, 1, 100);
    }
    assert_eq!(bench.bindings(), [(1, 0, true)]);
    assert_eq!(bench.adjacency.take_conclusions().contradicted, 1);
}

#[test]
fn a_thread_that_decrypts_what_another_read_needs_more_evidence() {
    let mut bench = Bench::with_sockets(&[70]);
    for round in 1..=4 {
        assert_eq!(bench.bindings(), [], "before round {round}");
        bench.tid = 1;
        bench.io(70, Direction::Read, &[100 + TLS13]);
        bench.tid = 2;
        bench.call(1, Direction::Read, 100);
    }
    assert_eq!(bench.bindings(), [(1, 70, false)]);
}

#[test]
fn the_end_of_the_socket_ends_the_stream_and_nothing_carries_over() {
    let mut bench = Bench::with_sockets(&[70]);
    bench.receive(70, 1, 155);
    bench.send(70, 1, 681);
    let origin = bench.origin();
    bench.push(Record::Close {
        origin,
        stream: socket(70),
        reason: CloseReason::Socket,
        ends: None,
    });
    let ended = bench.said.iter().any(
        |record| matches!(record, Record::Close { stream, reason: CloseReason::Socket, .. } if *stream == tls(1)),
    );
    assert!(ended);
    // The same address again, on another socket.
    bench.push(Record::Open {
        origin,
        stream: socket(71),
        socket: address(71),
    });
    bench.receive(71, 1, 155);
    bench.send(71, 1, 681);
    assert_eq!(bench.bindings(), [(1, 70, false), (1, 71, false)]);
}

#[test]
fn half_the_evidence_does_not_outlive_its_socket() {
    let mut bench = Bench::with_sockets(&[70, 71]);
    bench.receive(70, 1, 155);
    let origin = bench.origin();
    bench.push(Record::Close {
        origin,
        stream: socket(70),
        reason: CloseReason::Socket,
        ends: None,
    });
    bench.receive(71, 1, 155);
    bench.send(71, 1, 155);
    assert!(
        bench
            .bindings()
            .iter()
            .all(|(_, inode, ambiguous)| *inode == 71 || *ambiguous)
    );
}

#[test]
fn what_the_kernel_object_knows_is_not_inferred() {
    let mut bench = Bench::with_sockets(&[70]);
    bench.receive(70, 1, 155);
    let origin = bench.origin();
    bench.push(Record::Bind {
        origin,
        stream: tls(1),
        socket: address(70),
        evidence: Evidence::SetFd,
        ambiguous: false,
    });
    bench.said.clear();
    bench.send(70, 1, 681);
    assert_eq!(bench.bindings(), []);
}

/// LESSONS 9: with a library shared by two pods, one pod's data was shown as the other's.
#[test]
fn processes_with_equal_addresses_and_lengths_are_kept_apart() {
    let mut bench = Bench::with_sockets(&[70]);
    bench.other = 1;
    let origin = bench.origin();
    let stream = StreamKey {
        process: origin.process,
        ..socket(71)
    };
    bench.push(Record::Open {
        origin,
        stream,
        socket: address(71),
    });
    bench.said.clear();
    for direction in [Direction::Read, Direction::Read] {
        for (other, inode) in [(0, 70), (1, 71)] {
            bench.other = other;
            bench.io(inode, direction, &[100 + TLS13]);
        }
        for other in [0, 1] {
            bench.other = other;
            bench.call(1, direction, 100);
        }
    }
    assert_eq!(bench.bindings(), [(1, 70, false), (1, 71, false)]);
    let processes: Vec<_> = bench
        .adjacency
        .take_found()
        .map(|found| found.stream.process.pid)
        .collect();
    assert_eq!(processes, [PROCESS.pid, PROCESS.pid + 1]);
}

#[test]
fn a_process_that_ended_leaves_nothing() {
    let mut bench = Bench::with_sockets(&[70]);
    bench.receive(70, 1, 155);
    let origin = bench.origin();
    bench.push(Record::Exit(ProcessEvent {
        origin,
        comm: Comm::default(),
    }));
    assert!(bench.adjacency.processes.is_empty());
}

#[test]
fn a_flood_of_unmatched_records_is_bounded() {
    let mut bench = Bench::with_sockets(&[70]);
    for _ in 0..MAX_PENDING {
        bench.io(70, Direction::Read, &[90, 91, 92]);
        bench.call(1, Direction::Write, 500);
    }
    bench.receive(70, 1, 155);
    bench.send(70, 1, 681);
    assert_eq!(bench.bindings(), [(1, 70, false)]);
}
