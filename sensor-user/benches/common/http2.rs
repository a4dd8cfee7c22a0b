//! Streams of HTTP/2 that benchmarks share, what reads them, and the floors: the decoders of `h2` and `httlib-hpack`.

use std::hint::black_box;
use std::io::Cursor;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream as _;
use sensor_user::capture::{Direction, ProcessKey, Source, StreamKey};
use sensor_user::exchange::secret::HashKey;
use sensor_user::exchange::{Conversations, Limits};
use sensor_user::flow::{FlowEvent, Payload};
use sensor_user::protocol::http2::hpack::{self, Block, Decoder};
use sensor_user::protocol::http2::{self, Message, Parser};
use sensor_user::protocol::{Step, StreamParser};
use sensor_user::telemetry::Counters;

/// Streams of one connection.
pub(crate) const STREAMS: u32 = 1000;

/// Fields as a browser-like client sends them: most repeat, three change.
pub(crate) fn request(nth: u32) -> Vec<(String, String)> {
    let fields = [
        (":method", "GET".to_owned()),
        (":scheme", "https".to_owned()),
        (":authority", "api.example.com".to_owned()),
        (":path", format!("/v1/orders/{nth}?expand=lines&page={}", nth % 7)),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)".to_owned(),
        ),
        ("accept", "application/json".to_owned()),
        ("accept-encoding", "gzip, deflate, br".to_owned()),
        (
            "authorization",
            "Bearer 4f7a1c2e9b8d4c6fa0e15d3b7c9f2a64".to_owned(),
        ),
        (
            "x-request-id",
            format!("550e8400-e29b-41d4-a716-44665544{:04}", nth % 10_000),
        ),
        (
            "traceparent",
            format!("00-0af7651916cd43dd8448eb211c80{nth:04x}-b7ad6b7169203331-01"),
        ),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

pub(crate) fn response(nth: u32) -> Vec<(String, String)> {
    let fields = [
        (":status", "200".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("server", "nginx/1.27.3".to_owned()),
        (
            "date",
            format!("Sun, 22 Nov 2026 15:{:02}:{:02} GMT", nth / 60 % 60, nth % 60),
        ),
        ("strict-transport-security", "max-age=31536000".to_owned()),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

pub(crate) fn blocks(fields: fn(u32) -> Vec<(String, String)>) -> Vec<Vec<u8>> {
    use httlib_hpack::Encoder;
    let flags =
        Encoder::BEST_FORMAT | Encoder::WITH_INDEXING | Encoder::HUFFMAN_NAME | Encoder::HUFFMAN_VALUE;
    let mut encoder = Encoder::with_dynamic_size(4096);
    let block = |nth| {
        let mut wire = Vec::new();
        for (name, value) in fields(nth) {
            encoder
                .encode((name.into_bytes(), value.into_bytes(), flags), &mut wire)
                .unwrap();
        }
        wire
    };
    (0..STREAMS).map(block).collect()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) fn ours(blocks: &[Vec<u8>], block: &mut Block) -> usize {
    let limits = hpack::Limits {
        bytes: 65_536,
        fields: 128,
    };
    let (mut decoder, mut fields) = (Decoder::new(limits), 0);
    for wire in blocks {
        block.clear();
        decoder.decode(wire, block).unwrap();
        fields += block.fields.len();
    }
    fields
}

pub(crate) fn httlib(blocks: &[Vec<u8>]) -> usize {
    let mut decoder = httlib_hpack::Decoder::with_dynamic_size(4096);
    let mut fields = 0;
    for wire in blocks {
        let (mut wire, mut out) = (wire.clone(), Vec::new());
        decoder.decode(&mut wire, &mut out).unwrap();
        fields += out.len();
    }
    fields
}

/// Frames to heads, ours.
pub(crate) fn parse(wire: &[u8]) -> usize {
    let mut parser = Parser::new(http2::Limits { head_bytes: 65_536 });
    let (mut rest, mut heads) = (wire, 0);
    while let Step::Advance { consumed, message } = parser.step(rest) {
        heads += usize::from(matches!(black_box(&message), Some(Message::Head { .. })));
        rest = &rest[consumed.get()..];
        if rest.is_empty() {
            break;
        }
    }
    heads
}

/// Frames to heads by `h2`.
pub(crate) fn floor(wire: &[u8]) -> usize {
    let mut codec: h2::Codec<_, Bytes> = h2::Codec::new(Cursor::new(wire.to_vec()));
    let mut context = Context::from_waker(Waker::noop());
    let mut heads = 0;
    while let Poll::Ready(Some(frame)) = Pin::new(&mut codec).poll_next(&mut context) {
        heads += usize::from(matches!(black_box(frame.unwrap()), h2::frame::Frame::Headers(_)));
    }
    heads
}

fn event(direction: Direction, bytes: &Bytes) -> FlowEvent {
    let process = ProcessKey { pid: 1, start_ns: 1 };
    let stream = StreamKey {
        process,
        source: Source::Tls,
        id: 1,
        generation: 0,
    };
    FlowEvent::Chunk {
        stream,
        direction,
        time_ns: 1,
        early: false,
        bytes: Payload(bytes.clone()),
    }
}

/// Whole streams: ten requests in one call, then their answers.
pub(crate) fn connection() -> Vec<(Direction, Bytes)> {
    let (requests, responses) = (blocks(request), blocks(response));
    let mut calls = vec![(
        Direction::Read,
        Bytes::from([http2::PREFACE.as_slice(), &frame(4, 0, 0, b"")].concat()),
    )];
    calls.push((Direction::Write, frame(4, 0, 0, b"").into()));
    let body = [b'x'; 1024];
    for (nth, (asked, answered)) in requests.chunks(10).zip(responses.chunks(10)).enumerate() {
        let stream = |at: usize| u32::try_from(20 * nth + 2 * at + 1).unwrap();
        let ask = asked
            .iter()
            .enumerate()
            .flat_map(|(at, block)| frame(1, 5, stream(at), block));
        calls.push((Direction::Read, ask.collect()));
        let answer = answered.iter().enumerate();
        let answer = answer.flat_map(|(at, block)| {
            [frame(1, 4, stream(at), block), frame(0, 1, stream(at), &body)].concat()
        });
        calls.push((Direction::Write, answer.collect()));
    }
    calls
}

/// A shard's connections before the first.
pub(crate) fn conversations() -> Conversations {
    Conversations::new(
        Limits::default(),
        HashKey::new([7; 32]),
        Arc::new(Counters::default()),
    )
}

/// Exchanges of a connection.
pub(crate) fn exchanges(conversations: &mut Conversations, calls: &[(Direction, Bytes)]) -> usize {
    let mut out = Vec::new();
    for (direction, bytes) in calls {
        conversations.push(event(*direction, bytes), &mut out);
    }
    assert_eq!(out.len(), STREAMS as usize);
    out.len()
}

/// The requests of a connection in frames, behind settings.
pub(crate) fn wire(blocks: &[Vec<u8>]) -> Vec<u8> {
    let frames = (1_u32..)
        .step_by(2)
        .zip(blocks)
        .flat_map(|(stream, block)| frame(1, 5, stream, block));
    frame(4, 0, 0, b"").into_iter().chain(frames).collect()
}
