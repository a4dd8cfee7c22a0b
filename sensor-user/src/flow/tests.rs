use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::capture::{Comm, Data, Gap, Origin, ProcessKey, Record, Role, Source};
use crate::telemetry::{Counters, Metric};

const PROCESS: ProcessKey = ProcessKey { pid: 7, start_ns: 1 };

fn key(id: u64) -> StreamKey {
    StreamKey {
        process: PROCESS,
        source: Source::Tls,
        id,
        generation: 0,
    }
}

fn origin(time_ns: u64) -> Origin {
    Origin {
        time_ns,
        process: PROCESS,
        tid: 7,
        cgroup: 0,
    }
}

fn data(id: u64, direction: Direction, position: u64, bytes: &[u8], time_ns: u64) -> Record {
    Record::Data(Data {
        origin: origin(time_ns),
        stream: key(id),
        direction,
        position,
        socket: 0,
        early: false,
        bytes: Bytes::copy_from_slice(bytes),
    })
}

fn read(position: u64, bytes: &str) -> Record {
    data(1, Direction::Read, position, bytes.as_bytes(), 0)
}

fn write(position: u64, bytes: &str) -> Record {
    data(1, Direction::Write, position, bytes.as_bytes(), 0)
}

fn gap(position: u64, missing: u64) -> Record {
    Record::Gap(Gap {
        origin: origin(0),
        stream: key(1),
        direction: Direction::Read,
        position,
        missing,
        reason: GapReason::Limit,
    })
}

fn close(id: u64, reason: CloseReason, time_ns: u64) -> Record {
    Record::Close {
        origin: origin(time_ns),
        stream: key(id),
        reason,
        ends: None,
    }
}

struct Bench {
    table: FlowTable,
    counters: Arc<Counters>,
    seen: Vec<String>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let counters = Arc::new(Counters::default());
        Self {
            table: FlowTable::new(limits, Arc::clone(&counters)),
            counters,
            seen: Vec::new(),
        }
    }

    fn push(&mut self, record: Record) {
        self.table.push(record, &mut |event| self.seen.push(text(&event)));
    }

    fn tick(&mut self, now_ns: u64) {
        self.table.tick(now_ns, &mut |event| self.seen.push(text(&event)));
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.seen)
    }
}

fn text(event: &FlowEvent) -> String {
    match event {
        FlowEvent::Chunk { direction, bytes, .. } => {
            format!("{direction:?} {}", String::from_utf8_lossy(&bytes.0))
        }
        FlowEvent::Gap {
            direction,
            missing,
            reason,
            ..
        } => format!("{direction:?} -{missing} {reason:?}"),
        FlowEvent::Bound {
            stream,
            socket,
            evidence,
            ambiguous,
        } => {
            format!("bound {} {} {evidence:?} {ambiguous}", stream.id, socket.inode)
        }
        FlowEvent::Closed { stream, reason, .. } => format!("closed {} {reason:?}", stream.id),
        FlowEvent::Forgotten { stream, .. } => format!("forgotten {}", stream.id),
        FlowEvent::ProcessStarted(event) => format!("started {}", event.comm),
        FlowEvent::ProcessPlaced { process, container } => format!("placed {} {container:?}", process.pid),
        FlowEvent::ProcessEnded(event) => format!("ended {}", event.comm),
    }
}

fn seen(records: impl IntoIterator<Item = Record>) -> Vec<String> {
    let mut bench = Bench::new(Limits::default());
    records.into_iter().for_each(|record| bench.push(record));
    bench.take()
}

#[test]
fn bytes_in_order_pass_at_once() {
    assert_eq!(
        seen([read(0, "ab"), write(0, "x"), read(2, "c")]),
        ["Read ab", "Write x", "Read c"]
    );
}

#[test]
fn what_was_lost_before_the_first_record_is_told() {
    let mut bench = Bench::new(Limits::default());
    bench.push(read(500, "ab"));
    bench.tick(u64::MAX);
    assert_eq!(bench.take(), ["Read -500 Lost", "Read ab"]);
    assert_eq!(bench.counters.value(Metric::BytesMissing), 500);
}

#[test]
fn what_was_lost_at_the_very_end_is_told_before_the_end() {
    let mut bench = Bench::new(Limits::default());
    bench.push(read(0, "ab"));
    bench.push(Record::Close {
        origin: origin(1),
        stream: key(1),
        reason: CloseReason::Socket,
        ends: Some((10, 7)),
    });
    bench.tick(u64::MAX);
    assert_eq!(
        bench.take(),
        ["Read ab", "Read -8 Lost", "Write -7 Lost", "closed 1 Socket"]
    );
    assert_eq!(bench.counters.value(Metric::BytesMissing), 15);
}

#[test]
fn a_stream_seen_from_the_start_has_lost_what_a_late_direction_lacks() {
    let mut bench = Bench::new(Limits::default());
    bench.push(write(0, "answer"));
    bench.push(read(9, "next"));
    assert_eq!(bench.take(), ["Write answer"]);
    bench.tick(u64::MAX);
    assert_eq!(bench.take(), ["Read -9 Lost", "Read next"]);
    assert_eq!(bench.counters.value(Metric::BytesMissing), 9);
}

#[test]
fn pieces_out_of_order_are_put_in_order_and_hold_back_the_answer() {
    let late = [
        read(0, "a"),
        read(2, "c"),
        write(0, "answer"),
        read(3, "d"),
        read(1, "b"),
    ];
    assert_eq!(
        seen(late),
        ["Read a", "Read b", "Read c", "Write answer", "Read d"]
    );
}

#[test]
fn a_known_gap_is_told_in_its_place() {
    assert_eq!(
        seen([read(0, "a"), gap(1, 4), read(5, "b")]),
        ["Read a", "Read -4 Limit", "Read b"]
    );
    assert_eq!(
        seen([read(0, "a"), read(5, "b"), gap(1, 4)]),
        ["Read a", "Read -4 Limit", "Read b"]
    );
}

#[test]
fn bytes_that_came_before_are_dropped_and_counted() {
    let mut bench = Bench::new(Limits::default());
    for record in [read(0, "abc"), read(0, "abc"), read(2, "cde"), read(1, "b")] {
        bench.push(record);
    }
    assert_eq!(bench.take(), ["Read abc", "Read de"]);
    assert_eq!(bench.counters.value(Metric::BytesLate), 5);
}

#[test]
fn waiting_ends_by_count_by_bytes_and_by_time() {
    let limits = Limits {
        held_records: 2,
        held_bytes: 1000,
        held_ns: 50,
        ..Limits::default()
    };
    let mut bench = Bench::new(limits);
    for record in [read(0, "a"), read(2, "c"), read(3, "d"), read(4, "e")] {
        bench.push(record);
    }
    assert_eq!(
        bench.take(),
        ["Read a", "Read -1 Lost", "Read c", "Read d", "Read e"]
    );

    let mut bench = Bench::new(Limits {
        held_bytes: 2,
        ..limits
    });
    for record in [read(0, "a"), read(2, "cc"), read(4, "e")] {
        bench.push(record);
    }
    assert_eq!(bench.take(), ["Read a", "Read -1 Lost", "Read cc", "Read e"]);

    let mut bench = Bench::new(limits);
    bench.push(read(0, "a"));
    bench.push(data(1, Direction::Read, 2, b"c", 10));
    bench.tick(59);
    assert_eq!(bench.take(), ["Read a"]);
    bench.tick(60);
    assert_eq!(bench.take(), ["Read -1 Lost", "Read c"]);
    bench.push(read(1, "b"));
    assert_eq!(bench.take(), Vec::<String>::new());
    assert_eq!(bench.counters.value(Metric::BytesLate), 1);
}

#[test]
fn an_end_that_overtakes_payload_waits_for_it() {
    let mut bench = Bench::new(Limits {
        held_ns: 50,
        ..Limits::default()
    });
    bench.push(read(0, "a"));
    bench.push(close(1, CloseReason::Free, 10));
    bench.push(data(1, Direction::Read, 1, b"b", 9));
    bench.tick(60);
    bench.push(data(1, Direction::Read, 0, b"c", 61));
    assert_eq!(bench.take(), ["Read a", "Read b", "closed 1 Free", "Read c"]);
}

#[test]
fn a_shutdown_ends_one_side_only() {
    let mut bench = Bench::new(Limits {
        held_ns: 50,
        ..Limits::default()
    });
    bench.push(read(0, "a"));
    bench.push(close(1, CloseReason::Shutdown, 0));
    bench.tick(60);
    bench.push(data(1, Direction::Read, 3, b"d", 60));
    bench.tick(200);
    assert_eq!(
        bench.take(),
        ["Read a", "closed 1 Shutdown", "Read -2 Lost", "Read d"]
    );
}

#[test]
fn a_process_takes_its_streams_along() {
    let mut bench = Bench::new(Limits {
        held_ns: 50,
        ..Limits::default()
    });
    for id in 1..=3 {
        bench.push(data(id, Direction::Read, 0, b"a", 0));
    }
    bench.push(close(2, CloseReason::Free, 0));
    bench.tick(50);
    bench.take();
    let event = ProcessEvent {
        origin: origin(60),
        comm: Comm(*b"worker\0\0\0\0\0\0\0\0\0\0"),
    };
    bench.push(Record::Exit(event));
    bench.tick(110);
    assert_eq!(bench.take(), ["closed 3 Free", "closed 1 Free", "ended worker"]);
    assert!(bench.table.is_empty());
}

#[test]
fn the_stream_idle_longest_makes_room() {
    let mut bench = Bench::new(Limits {
        streams: 2,
        ..Limits::default()
    });
    bench.push(data(1, Direction::Read, 0, b"a", 0));
    bench.push(data(2, Direction::Read, 0, b"b", 0));
    bench.push(data(3, Direction::Read, 0, b"c", 0));
    bench.push(data(3, Direction::Read, 1, b"c", 0));
    bench.push(data(4, Direction::Read, 0, b"d", 0));
    let forgotten: Vec<_> = bench
        .take()
        .into_iter()
        .filter(|text| text.starts_with('f'))
        .collect();
    assert_eq!(forgotten, ["forgotten 1", "forgotten 2"]);
    assert_eq!(bench.counters.value(Metric::StreamsEvicted), 2);
}

fn bind(id: u64, inode: u64, evidence: Evidence) -> Record {
    let socket = SocketAddress {
        inode,
        local: None,
        remote: None,
        role: Role::Unknown,
    };
    Record::Bind {
        origin: origin(0),
        stream: key(id),
        socket,
        evidence,
        ambiguous: false,
    }
}

#[test]
fn contradicting_bindings_are_marked() {
    let one = [
        bind(1, 70, Evidence::NestedSyscall),
        bind(1, 70, Evidence::SetFd),
        bind(1, 71, Evidence::SetFd),
    ];
    assert_eq!(
        seen(one),
        [
            "bound 1 70 NestedSyscall false",
            "bound 1 70 SetFd false",
            "bound 1 70 SetFd true"
        ]
    );
    let two = [bind(1, 70, Evidence::SetFd), bind(2, 70, Evidence::NestedSyscall)];
    assert_eq!(
        seen(two),
        [
            "bound 1 70 SetFd false",
            "bound 2 70 NestedSyscall false",
            "bound 1 70 SetFd true",
            "bound 2 70 NestedSyscall true"
        ]
    );
}

#[test]
fn a_socket_may_carry_one_stream_after_another() {
    let mut bench = Bench::new(Limits {
        held_ns: 50,
        ..Limits::default()
    });
    bench.push(bind(1, 70, Evidence::SetFd));
    bench.push(close(1, CloseReason::Free, 0));
    bench.push(bind(2, 70, Evidence::SetFd));
    assert_eq!(bench.take(), ["bound 1 70 SetFd false", "bound 2 70 SetFd false"]);
}

#[test]
fn a_closed_socket_closes_the_stream_it_carries() {
    let mut bench = Bench::new(Limits {
        held_ns: 50,
        ..Limits::default()
    });
    bench.push(bind(1, 70, Evidence::SetFd));
    let socket = StreamKey {
        source: Source::Socket,
        ..key(70)
    };
    bench.push(Record::Close {
        origin: origin(0),
        stream: socket,
        reason: CloseReason::Socket,
        ends: None,
    });
    bench.tick(50);
    assert_eq!(bench.take(), ["bound 1 70 SetFd false", "closed 1 Socket"]);
}

#[test]
fn the_end_of_the_capture_ends_everything() {
    let mut bench = Bench::new(Limits::default());
    bench.push(read(0, "a"));
    bench.push(read(2, "c"));
    bench.table.finish(&mut |event| bench.seen.push(text(&event)));
    assert_eq!(bench.take(), ["Read a", "Read -1 Lost", "Read c", "forgotten 1"]);
    assert!(bench.table.is_empty());
}

proptest! {
    /// Whatever the order, every position of a direction is told exactly once, in order.
    #[test]
    fn positions_follow_each_other(
        pieces in proptest::collection::vec((0_u64..60, 1_usize..12, any::<bool>()), 1..40),
        held_records in 0_usize..8,
    ) {
        let counters = Arc::new(Counters::default());
        let limits = Limits { held_records, ..Limits::default() };
        let mut table = FlowTable::new(limits, Arc::clone(&counters));
        let mut told = [Vec::new(), Vec::new()];
        let mut sink = |event: FlowEvent| match event {
            FlowEvent::Chunk { direction, bytes, .. } => {
                told[usize::from(direction == Direction::Write)].extend(bytes.0.iter().map(|byte| Some(*byte)));
            }
            FlowEvent::Gap { direction, missing, .. } => {
                told[usize::from(direction == Direction::Write)].extend((0..missing).map(|_| None));
            }
            _ => {}
        };
        table.push(read(0, "\0"), &mut sink);
        for (position, len, is_write) in pieces {
            let bytes: Vec<u8> = (position..).take(len).map(|byte| u8::try_from(byte).unwrap()).collect();
            let direction = if is_write { Direction::Write } else { Direction::Read };
            table.push(data(1, direction, position, &bytes, 0), &mut sink);
        }
        table.finish(&mut sink);
        for direction in told {
            for (position, byte) in direction.iter().enumerate() {
                prop_assert!(byte.is_none_or(|byte| usize::from(byte) == position));
            }
        }
    }
}
