//! What is fuzzed: one function for each parser, and one for the whole stream pipeline.
//!
//! Takes any bytes. Panics when a law is broken: no panic, spans within the input, the same however split, and accounts
//! that close. libFuzzer (`any.rs`) and the bounded test `fuzz_smoke` run these same functions. A new parser is a line
//! in [`TARGETS`] and a function.

mod bodies;
mod connection;
mod host;
pub(crate) mod http2;

use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sensor_user::capture::source::{Progress, RecordSource};
use sensor_user::capture::{
    CloseReason, Data, Direction, Evidence, Gap, GapReason, Origin, ProcessKey, Record, Role, SocketAddress,
    Source, StreamKey, decode, pcapng,
};
use sensor_user::exchange;
use sensor_user::exchange::secret::HashKey;
use sensor_user::pipeline::{Settings, Shard};
use sensor_user::protocol::http1::{
    Limits, Message, Parser, RequestHead, RequestParser, ResponseHead, ResponseParser, Rest,
};
use sensor_user::protocol::json::Walker;
use sensor_user::protocol::walk::{Container, Scalar, Text, Visitor};
use sensor_user::protocol::{
    Resync, Span, Step, StreamParser, detect, form, grpc, protobuf, proxy, sse, websocket,
};
use sensor_user::telemetry::Counters;

/// Takes any bytes; panics when a law is broken.
pub(crate) type Target = fn(&[u8]);

/// Name and function of each target.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("grpc", grpc::fuzz),
    ("protobuf", protobuf::fuzz),
    ("http1_request", http1_request),
    ("http1_response", http1_response),
    ("json", json),
    ("form", form),
    ("proxy", proxy),
    ("detect", detect),
    ("pcapng", pcapng),
    ("ring_record", ring_record),
    ("websocket_frames", websocket::fuzz::frames),
    ("websocket_deflate", websocket::fuzz::deflate),
    ("websocket_handshake", websocket::fuzz::handshake),
    ("sse", sse::fuzz),
    ("http2_frames", http2::frames),
    ("http2_header_tables", http2::header_tables),
    ("http2_connection", http2::connection),
    ("http2_lawful", http2::lawful),
    ("documents", bodies::documents),
    ("xml", bodies::xml),
    ("soap", bodies::soap),
    ("graphql", bodies::graphql),
    ("envelope", bodies::envelope),
    ("multipart", bodies::multipart),
    ("decompress", bodies::decompress),
    ("inflate_flow", bodies::inflate_flow),
    ("caller", bodies::caller),
    ("message", bodies::message),
    ("elf", host::elf),
    ("btf", host::btf),
    ("probe_sites", host::probe_sites),
    ("tracepoint_format", host::tracepoint_format),
    ("process", host::process),
    ("config", host::config),
    ("pipeline", pipeline),
];

/// The first two bytes say where the rest is cut.
fn cut(input: &[u8]) -> (&[u8], usize) {
    match input {
        [a, b, rest @ ..] => (rest, usize::from(u16::from_le_bytes([*a, *b])) % (rest.len() + 1)),
        _ => (input, 0),
    }
}

fn http1_request(input: &[u8]) {
    let head = |head: &RequestHead, raw: &[u8]| {
        inside(raw, &[head.method, head.target]);
        (format!("{head:?}"), head.headers.clone(), head.rest)
    };
    http1(input, || RequestParser::new(HEAD), head);
}

fn http1_response(input: &[u8]) {
    let head = |head: &ResponseHead, _: &[u8]| (format!("{head:?}"), head.headers.clone(), head.rest);
    http1(input, || ResponseParser::new(HEAD), head);
}

const HEAD: Limits = Limits { head_bytes: 4096 };

fn inside(raw: &[u8], spans: &[Span]) {
    for span in spans {
        assert!(
            raw.get(span.range()).is_some(),
            "{span:?} is outside of {} bytes",
            raw.len()
        );
    }
}

/// A head that is described, its fields, and what follows it.
type Described = (String, Vec<(Span, Span)>, Rest);

/// Whole and split give the same, unless the place was lost; and a hole anywhere is survived.
fn http1<K, H>(input: &[u8], parser: impl Fn() -> Parser<K>, head: impl Fn(&H, &[u8]) -> Described)
where
    Parser<K>: StreamParser<Message = Message<H>>,
{
    let (wire, at) = cut(input);
    let (front, back) = wire.split_at(at);
    let (whole, searched) = http1_run(&mut parser(), &[wire], &head);
    let (split, _) = http1_run(&mut parser(), &[front, back], &head);
    assert!(
        searched || whole == split,
        "split at {at}: {whole:?} became {split:?}"
    );
    let mut holed = parser();
    http1_run(&mut holed, &[front], &head);
    let (Resync::Exact(_) | Resync::Searching(_)) = holed.on_gap(at as u64 / 3 + 1);
    http1_run(&mut holed, &[back], &head);
}

/// What was seen, pieces of a body joined, and whether a search was under way.
fn http1_run<K, H>(
    parser: &mut Parser<K>,
    pieces: &[&[u8]],
    describe: &impl Fn(&H, &[u8]) -> Described,
) -> (Vec<String>, bool)
where
    Parser<K>: StreamParser<Message = Message<H>>,
{
    let (mut seen, mut searched, mut body) = (Vec::new(), false, Vec::new());
    let (mut buffer, mut wanted): (Vec<u8>, _) = (Vec::new(), 0);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while buffer.len() >= wanted && !buffer.is_empty() {
            match parser.step(&buffer) {
                Step::Advance { consumed, message } => {
                    let raw: Vec<u8> = buffer.drain(..consumed.get()).collect();
                    wanted = 0;
                    match message {
                        None => {}
                        Some(Message::Body { piece, last }) => {
                            inside(&raw, &[piece]);
                            body.extend_from_slice(piece.of(&raw));
                            if last {
                                seen.push(format!("body {:?}", std::mem::take(&mut body)));
                            }
                        }
                        Some(Message::Head(head)) => {
                            let (text, headers, rest) = describe(&head, &raw);
                            for (name, value) in headers {
                                inside(&raw, &[name, value]);
                            }
                            searched |= rest == Rest::Cut;
                            seen.push(text);
                        }
                        Some(Message::Trailers(trailers)) => {
                            for (name, value) in &trailers.headers {
                                inside(&raw, &[*name, *value]);
                            }
                            seen.push(format!("body {:?} {trailers:?}", std::mem::take(&mut body)));
                        }
                        Some(Message::Odd { anomalies, last }) => seen.push(format!("{anomalies:?} {last}")),
                        Some(Message::End { lost }) => {
                            seen.push(format!("end {lost} {:?}", std::mem::take(&mut body)));
                        }
                        Some(Message::Cut) => seen.push("cut".to_owned()),
                    }
                }
                Step::NeedMore { at_least } => {
                    assert!(at_least.get() > buffer.len(), "no progress");
                    wanted = at_least.get();
                }
                Step::Reject(anomaly) => {
                    seen.push(format!("{anomaly:?}"));
                    return (seen, searched);
                }
            }
        }
    }
    (seen, searched)
}

/// Joins what a walk gives, so that how it was split does not show.
#[derive(Default, PartialEq, Debug)]
struct Walked {
    marks: Vec<u8>,
}

impl Visitor for Walked {
    fn open(&mut self, _container: Container) {
        self.marks.push(b'(');
    }

    fn close(&mut self) {
        self.marks.push(b')');
    }

    fn key(&mut self, _text: Text<'_>) {
        self.marks.push(b':');
    }

    fn scalar(&mut self, _kind: Scalar, _text: Text<'_>) {
        self.marks.push(b'.');
    }
}

fn json(input: &[u8]) {
    let (document, at) = cut(input);
    let (front, back) = document.split_at(at);
    let walk = |pieces: &[&[u8]]| {
        let (mut walker, mut walked) = (Walker::new(64), Walked::default());
        let refused = pieces
            .iter()
            .any(|piece| walker.feed(piece, &mut walked).is_err());
        (refused, walker.finish(&mut walked), walked)
    };
    assert_eq!(walk(&[document]), walk(&[front, back]), "split at {at}");
}

fn form(input: &[u8]) {
    let mut scratch = Vec::new();
    for (name, value) in form::pairs(input).chain(form::cookies(input)) {
        for part in [name, value] {
            for plus in [form::Plus::Space, form::Plus::Literal] {
                assert!(form::decode(part, plus, &mut scratch).len() <= part.len());
            }
        }
    }
}

fn proxy(input: &[u8]) {
    match proxy::front(input) {
        proxy::Front::Header { length, .. } => assert!(length.get() <= input.len()),
        proxy::Front::NeedMore(at_least) => assert!(at_least.get() > input.len()),
        proxy::Front::Other => {}
    }
}

fn detect(input: &[u8]) {
    if let detect::Verdict::NeedMore(at_least) = detect::detect(input) {
        assert!(at_least.get() > input.len());
    }
}

fn pcapng(input: &[u8]) {
    let Ok(mut reader) = pcapng::Reader::new(Cursor::new(input), Path::new("fuzz")) else {
        return;
    };
    let mut records = Vec::new();
    // Every batch takes bytes, so there are no more batches than bytes.
    for _ in 0..=input.len() {
        match reader.next_batch(&mut records) {
            Ok(Progress::Ended) | Err(_) => return,
            Ok(_) => records.clear(),
        }
    }
    panic!("the end of {} bytes does not come", input.len());
}

fn ring_record(input: &[u8]) {
    if let Ok(Record::Data(data)) = decode::decode(input, Bytes::copy_from_slice) {
        assert!(data.bytes.len() <= input.len());
        assert!(data.position.checked_add(data.bytes.len() as u64).is_some());
    }
}

/// Connections of a script.
const CONNECTIONS: usize = 4;

/// A script of records over some connections, see [`Script`]; at its end every byte has its place in the accounts.
fn pipeline(input: &[u8]) {
    let counters = Arc::new(Counters::default());
    let mut shard = Shard::new(&Settings {
        exchange: exchange::Limits {
            body_bytes: 512,
            head_bytes: 2048,
            pending: 4,
            // Scripts are short; so is this, that connections are shed in them.
            waiting_bytes: 2048,
        },
        ..Settings::new(HashKey::new([7; 32]), Arc::clone(&counters))
    });
    let (mut script, mut out) = (Script::new(input), Vec::new());
    while let Some(record) = script.next_record() {
        shard.push(record, &mut out);
        out.clear();
    }
    shard.finish(&mut out);
    assert_eq!(counters.ledger().unbalanced(), None);
}

/// Operations of two bytes: the first names connection (bits 0 and 1), direction (bit 2), what happens (bits 3 to 6)
/// and whether time passes (bit 7); the second is a length. Bytes carried follow.
struct Script<'a> {
    rest: &'a [u8],
    now_ns: u64,
    positions: [[u64; 2]; CONNECTIONS],
}

impl<'a> Script<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self {
            rest,
            now_ns: 1_000_000_000,
            positions: [[0; 2]; CONNECTIONS],
        }
    }

    fn next_record(&mut self) -> Option<Record> {
        let [operation, length, rest @ ..] = self.rest else {
            return None;
        };
        self.rest = rest;
        self.now_ns += if operation & 0x80 == 0 { 1_000 } else { 400_000_000 };
        let connection = usize::from(operation & 3);
        let direction = if operation & 4 == 0 {
            Direction::Read
        } else {
            Direction::Write
        };
        let process = ProcessKey { pid: 7, start_ns: 1 };
        let origin = Origin {
            time_ns: self.now_ns,
            process,
            tid: 7,
            cgroup: 0,
        };
        let stream = StreamKey {
            process,
            source: if connection == 0 {
                Source::Socket
            } else {
                Source::Tls
            },
            id: connection as u64 + 1,
            generation: 0,
        };
        let length = u64::from(*length);
        match (operation >> 3) & 15 {
            // Shown at the next record of this direction.
            1 => {
                *self.position(connection, direction)? += length;
                self.next_record()
            }
            2 => Some(close(origin, stream, length)),
            3 => Some(bind(origin, stream, length)),
            kind => self.moved((origin, stream, direction), connection, kind, length),
        }
    }

    fn position(&mut self, connection: usize, direction: Direction) -> Option<&mut u64> {
        let ways = self.positions.get_mut(connection)?;
        ways.get_mut(usize::from(direction == Direction::Write))
    }

    /// Bytes, or a hole.
    fn moved(
        &mut self,
        (origin, stream, direction): (Origin, StreamKey, Direction),
        connection: usize,
        kind: u8,
        length: u64,
    ) -> Option<Record> {
        let before = *self.position(connection, direction)?;
        if kind == 0 {
            let missing = length + 1;
            *self.position(connection, direction)? += missing;
            return Some(Record::Gap(Gap {
                origin,
                stream,
                direction,
                position: before,
                missing,
                reason: GapReason::Fault,
            }));
        }
        // Now and then the bytes of an earlier place come again, or later ones first.
        let back = if kind == 4 { length / 2 } else { 0 };
        let (bytes, rest) = self
            .rest
            .split_at(usize::try_from(length).ok()?.min(self.rest.len()));
        self.rest = rest;
        let position = before.saturating_sub(back);
        *self.position(connection, direction)? = position + bytes.len() as u64;
        Some(Record::Data(Data {
            origin,
            stream,
            direction,
            position,
            socket: 0,
            early: kind == 5,
            bytes: Bytes::copy_from_slice(bytes),
        }))
    }
}

fn close(origin: Origin, stream: StreamKey, number: u64) -> Record {
    Record::Close {
        origin,
        stream,
        reason: match number % 3 {
            0 => CloseReason::Socket,
            1 => CloseReason::Shutdown,
            _ => CloseReason::Free,
        },
        ends: None,
    }
}

fn bind(origin: Origin, stream: StreamKey, number: u64) -> Record {
    Record::Bind {
        origin,
        stream,
        socket: SocketAddress {
            inode: number,
            local: Some((IpAddr::V4(Ipv4Addr::LOCALHOST), 80)),
            remote: Some((IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000)),
            role: Role::Unknown,
        },
        evidence: Evidence::SetFd,
        ambiguous: number > 200,
    }
}
