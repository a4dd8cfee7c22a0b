//! How much memory is asked for to read one call of plain REST in which nothing is found.
//!
//! The law: nothing for a header field, a member of a document, or a kind of API that is not there. What is left is what
//! an exchange is made of and handed on in; a bound keeps it from growing unnoticed, and a test that fails says where
//! each one was made.

#![expect(unsafe_code, reason = "a counting allocator: the trait is unsafe")]
#![expect(clippy::unwrap_used, reason = "a test stops on a mistake")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sensor_user::callers::Callers;
use sensor_user::capture::{Data, Direction, Origin, ProcessKey, Record, Source, StreamKey};
use sensor_user::config;
use sensor_user::exchange::secret::HashKey;
use sensor_user::export::otlp::Otlp;
use sensor_user::export::{ClockOffset, Event, Exporter as _};
use sensor_user::pipeline::{Judge, Settings, Shard};
use sensor_user::telemetry::{Accounts, Counters};

/// Counts what this thread asks for, while it is told to.
struct Counting;

thread_local! {
    static COUNTED: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
    /// Whether backtraces are taken.
    static NAMED: Cell<bool> = const { Cell::new(false) };
    static PLACES: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

impl Counting {
    fn count(bytes: usize) {
        let Some((times, all)) = COUNTED.get() else { return };
        if NAMED.get() {
            COUNTED.set(None);
            let place = place(&Backtrace::force_capture().to_string());
            PLACES.with_borrow_mut(|places| *places.entry(place).or_default() += 1);
        }
        COUNTED.set(Some((times + 1, all + bytes as u64)));
    }
}

/// The innermost functions of ours in a backtrace.
fn place(trace: &str) -> String {
    let names = trace
        .lines()
        .filter_map(|line| line.split_once(": ").map(|(_, name)| name));
    let ours = names.filter(|name| name.contains("sensor_user::"));
    ours.take(3).collect::<Vec<_>>().join(" < ")
}

// SAFETY: every call goes on to the system's allocator unchanged; counting touches thread-local cells only, and a
// backtrace is taken with counting off, so that it does not count itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises; `at` is the system's.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size);
        // SAFETY: as the caller promises; `at` is the system's.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a call asks for: times and bytes, on its way to the judge and there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Asked {
    shard: (u64, u64),
    judge: (u64, u64),
}

fn counted<T>(work: impl FnOnce() -> T) -> (T, (u64, u64)) {
    COUNTED.set(Some((0, 0)));
    let done = work();
    let asked = COUNTED.replace(None).unwrap();
    (done, asked)
}

/// A call with so many fields in each head and members in its documents; nothing in it is sensitive.
fn call(method: &str, fields: usize, members: usize) -> [Vec<u8>; 2] {
    let head: Vec<String> = (b'a'..)
        .take(fields)
        .map(|letter| format!("X-Field-{}: plain words\r\n", char::from(letter)))
        .collect();
    let head = head.concat();
    let members: Vec<String> = (0..members)
        .map(|number| format!("{{\"id\":{number},\"state\":\"open\",\"note\":\"two words\"}}"))
        .collect();
    let document = format!("{{\"items\":[{}]}}", members.join(","));
    let message = |start: &str, document: &str| {
        let length = document.len();
        let media = "Content-Type: application/json\r\n";
        format!("{start}{media}Content-Length: {length}\r\n{head}\r\n{document}").into_bytes()
    };
    let sent = if method == "POST" { document.as_str() } else { "" };
    let request = message(
        &format!("{method} /orders/17 HTTP/1.1\r\nHost: api.example.com\r\n"),
        sent,
    );
    [request, message("HTTP/1.1 200 OK\r\n", &document)]
}

fn record(direction: Direction, position: u64, bytes: &[u8], time_ns: u64) -> Record {
    let process = ProcessKey { pid: 1, start_ns: 1 };
    Record::Data(Data {
        origin: Origin {
            time_ns,
            process,
            tid: 1,
            cgroup: 0,
        },
        stream: StreamKey {
            process,
            source: Source::Socket,
            id: 1,
            generation: 0,
        },
        direction,
        position,
        socket: 0,
        early: false,
        bytes: Bytes::copy_from_slice(bytes),
    })
}

fn settings() -> Settings {
    Settings::new(HashKey::new([1; 32]), Arc::new(Counters::default()))
}

/// What the hundredth of equal calls on one connection asks for.
fn asked(messages: &[Vec<u8>; 2]) -> Asked {
    let settings = settings();
    let (mut shard, mut judge) = (Shard::new(&settings), Judge::new(&settings));
    let (mut out, mut positions) = (Vec::new(), [0_u64; 2]);
    let mut last = None;
    for number in 0..100_u64 {
        // Later than any wait for the connection's socket, which nothing names here.
        let time_ns = 1_000 + number * 1_000_000_000;
        let [request, response] = messages;
        let records = [(Direction::Read, 0, request), (Direction::Write, 1, response)]
            .map(|(direction, side, bytes)| record(direction, positions[side], bytes, time_ns));
        positions[0] += request.len() as u64;
        positions[1] += response.len() as u64;
        let ((), in_shard) = counted(|| {
            for record in records {
                shard.push(record, &mut out);
            }
            shard.tick(time_ns + 500_000_000, &mut out);
        });
        let ((), in_judge) = counted(|| {
            for observed in out.drain(..) {
                assert!(observed.labels.found.is_empty() && observed.exchange.calls.is_empty());
                judge.judge(&observed, &mut |event| drop::<Event>(event));
                last = Some(number);
            }
        });
        if number == 99 {
            assert_eq!(last, Some(99), "the call was told");
            return Asked {
                shard: in_shard,
                judge: in_judge,
            };
        }
    }
    unreachable!()
}

/// Where the allocations of every call are made.
fn places(messages: &[Vec<u8>; 2]) -> String {
    NAMED.set(true);
    asked(messages);
    NAMED.set(false);
    let places = PLACES.take();
    let shown: Vec<String> = places
        .iter()
        .filter(|(_, times)| **times >= 100)
        .map(|(place, times)| format!("{times:>6} in 100 calls: {place}\n"))
        .collect();
    shown.concat()
}

/// On its way through flow, parsing, pairing and classification: the boxes of the exchange and of the response, the places
/// of the fields of both heads (moving them inline cost more: `docs/decisions/pipeline-cost.md`), for each body the count of
/// who refers to the record that its head came in as well, and the outline of it all.
const SHARD: [(&str, u64); 2] = [("GET", 6), ("POST", 7)];
/// Naming its endpoint, judging it and telling of it.
const JUDGE: u64 = 0;

#[test]
fn a_call_in_which_nothing_is_found_asks_for_little() {
    for (method, most) in SHARD {
        let messages = call(method, 4, 4);
        let small = asked(&messages);
        let is_little = small.shard.0 <= most && small.judge.0 == JUDGE;
        assert!(is_little, "{method} {small:?}\n{}", places(&messages));
    }
}

#[test]
fn nothing_is_asked_for_by_field_or_member() {
    for (method, _) in SHARD {
        // Both so large that the head is little of its record, and copied (`Half::keep`).
        let (small, large) = (call(method, 4, 400), call(method, 10, 800));
        let (of_small, of_large) = (asked(&small), asked(&large));
        assert_eq!(
            (of_large.shard.0, of_large.judge.0),
            (of_small.shard.0, of_small.judge.0),
            "{method}\n{}",
            places(&large)
        );
    }
}

/// Making a record for OTLP of an exchange or a finding, whose names are written and not copied.
const SPAN: u64 = 10;
const FINDING: u64 = 22;

/// Nobody takes what is made.
fn exporter() -> Otlp {
    let otlp = config::Otlp {
        endpoint: Some("http://127.0.0.1:9".to_owned()),
        sampler: config::Sampler::AlwaysOn,
        spans_per_second: u32::MAX,
        ..config::Otlp::default()
    };
    let accounts = Accounts::default();
    Otlp::start(&otlp, None, &accounts, ClockOffset::RECORDED, &|_name| None).unwrap()
}

/// What a hundred exports of an event ask for each, the growth of batches included.
fn exported(exporter: &mut Otlp, event: &Arc<Event>) -> (u64, u64) {
    let mut all = (0, 0);
    for number in 0..200 {
        let (done, asked) = counted(|| exporter.export(event));
        done.unwrap();
        if number >= 100 {
            all = (all.0 + asked.0, all.1 + asked.1);
        }
    }
    (all.0.div_ceil(100), all.1.div_ceil(100))
}

#[test]
fn what_is_exported_asks_for_little() {
    let settings = settings();
    let (mut shard, mut judge) = (Shard::new(&settings), Judge::new(&settings));
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 33\r\n\r\n\
                  {\"iban\":\"DE89370400440532013000\"}";
    for (direction, message) in [
        (
            Direction::Read,
            "GET /orders/17 HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        ),
        (Direction::Write, answer),
    ] {
        shard.push(record(direction, 0, message.as_bytes(), 1_000), &mut out);
    }
    shard.tick(1_000_000_000, &mut out);
    for observed in out.drain(..) {
        judge.judge(&observed, &mut |event| told.push(Arc::new(event)));
    }
    let mut exporter = exporter();
    for event in &told {
        let most = match **event {
            Event::Exchange(_) => SPAN,
            Event::Finding(_) => FINDING,
            _ => continue,
        };
        let asked = exported(&mut exporter, event);
        assert!(asked.0 <= most, "{asked:?} {event:?}");
    }
    let is_there = |kind: fn(&Event) -> bool| told.iter().any(|event| kind(event));
    assert!(is_there(|event| matches!(event, Event::Exchange(_))));
    assert!(is_there(|event| matches!(event, Event::Finding(_))));
}

/// Callers known to the judge, by what they send.
const KNOWN: [&str; 4] = [
    "Authorization: Bearer q8W2e7R4t9Y1u3I5o0P6\r\n",
    "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJpIiwic3ViIjoiYSIsInJvbGVzIjpbImFkbWluIl19.c2ln\r\n",
    "Authorization: Basic dXNlcjpwYXNz\r\n",
    "X-Api-Key: q8W2e7R4t9Y1u3I5o0P6\r\nCookie: sid=q8W2e7R4t9Y1u3I5\r\n",
];

#[test]
fn naming_a_known_caller_asks_for_nothing() {
    for fields in KNOWN {
        let settings = settings();
        let (mut shard, mut out) = (Shard::new(&settings), Vec::new());
        let request = format!("GET /orders HTTP/1.1\r\nHost: api.example.com\r\n{fields}\r\n");
        let answer = "HTTP/1.1 204 No Content\r\n\r\n";
        shard.push(record(Direction::Read, 0, request.as_bytes(), 1_000), &mut out);
        shard.push(record(Direction::Write, 0, answer.as_bytes(), 2_000), &mut out);
        shard.tick(1_000_000_000, &mut out);
        let observed = out.pop().unwrap();
        let mut callers = Callers::new(settings.callers);
        let first = callers.observe(&observed.exchange);
        assert!(first.is_known(), "{fields}");
        let (again, asked) = counted(|| callers.observe(&observed.exchange));
        assert_eq!(again.id, first.id);
        assert_eq!(asked, (0, 0), "{fields}");
    }
}
