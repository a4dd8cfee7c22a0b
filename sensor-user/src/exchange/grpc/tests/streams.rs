//! Calls as they pass, longer than what is kept of a body.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::capture::Direction;
use crate::exchange::secret::HashKey;
use crate::exchange::test_support::{STREAM, chunk, closed, gap};
use crate::exchange::{Conversations, Limits};
use crate::telemetry::Counters;

/// What happens on a connection of a server.
#[derive(Clone, Debug)]
enum Event {
    Bytes(Direction, Vec<u8>),
    Hole(Direction, usize),
}

fn play(events: &[Event]) -> Vec<Exchange> {
    let counters: Arc<Counters> = Arc::default();
    let mut conversations = Conversations::new(Limits::default(), HashKey::new([0; 32]), counters);
    let mut out = Vec::new();
    for (time_ns, event) in (1_u64..).zip(events) {
        let event = match event {
            Event::Bytes(direction, bytes) => chunk(STREAM, *direction, time_ns, bytes),
            Event::Hole(direction, missing) => gap(STREAM, *direction, time_ns, *missing as u64),
        };
        conversations.push(event, &mut out);
    }
    conversations.push(closed(STREAM, 1_000_000), &mut out);
    out
}

fn counted(exchanges: &[Exchange]) -> Messages {
    assert_eq!(exchanges.len(), 1);
    exchanges[0].calls[0].grpc().unwrap()
}

const fn exactly(seen: u32) -> Count {
    Count { seen, more: false }
}

const fn at_least(seen: u32) -> Count {
    Count { seen, more: true }
}

fn h2(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

/// A field without indexing (RFC 7541, 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// The body as one chunk for each DATA frame of `size` bytes.
fn data(direction: Direction, body: &[u8], size: usize) -> Vec<Event> {
    body.chunks(size)
        .map(|part| Event::Bytes(direction, h2(0, 0, part)))
        .collect()
}

/// A call over HTTP/2: the DATA frames of both sides, and what is before and behind.
fn over_h2(request: Vec<Event>, response: Vec<Event>) -> Vec<Event> {
    let media = field("content-type", "application/grpc");
    let head = [b"\x83\x86\x04\x09/shop.S/M\x01\x01a".to_vec(), media.clone()].concat();
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), h2(4, 0, b"")].concat();
    let mut events = vec![
        Event::Bytes(Direction::Read, preface),
        Event::Bytes(Direction::Write, h2(4, 0, b"")),
        Event::Bytes(Direction::Read, h2(1, 4, &head)),
        Event::Bytes(Direction::Write, h2(1, 4, &[b"\x88".to_vec(), media].concat())),
    ];
    // Both directions run beside each other.
    let (mut request, mut response) = (request.into_iter(), response.into_iter());
    loop {
        let next = [request.next(), response.next()];
        if next.iter().all(Option::is_none) {
            break;
        }
        events.extend(next.into_iter().flatten());
    }
    events.push(Event::Bytes(Direction::Read, h2(0, 1, b"")));
    let trailers = h2(1, 5, &field("grpc-status", "0"));
    events.push(Event::Bytes(Direction::Write, trailers));
    events
}

fn messages_of(count: usize, size: usize) -> Vec<u8> {
    frame(0, &vec![b'm'; size]).repeat(count)
}

#[test]
fn both_directions_are_counted_beyond_what_is_kept() {
    // 300 KB and 600 KB of messages, of which 64 KiB each are kept.
    let request = data(Direction::Read, &messages_of(3_000, 95), 1_000);
    let response = data(Direction::Write, &messages_of(200, 3_000), 16_384);
    let exchanges = play(&over_h2(request, response));
    let expected = Messages {
        to_server: exactly(3_000),
        to_client: exactly(200),
    };
    assert_eq!(counted(&exchanges), expected);
    assert_eq!(exchanges[0].request.body.state, BodyState::Limited);
    assert_eq!(exchanges[0].calls[0].outcome, CallOutcome::Success);
    assert_eq!(exchanges[0].anomalies.to_vec(), vec![]);
    assert!(exchanges[0].request.body.frames.is_none(), "it is let go");
}

#[test]
fn a_fault_behind_what_is_kept_is_seen() {
    let body = [messages_of(100, 1_000), frame(2, b"x"), frame(0, b"y")].concat();
    let exchanges = play(&over_h2(data(Direction::Read, &body, 1_024), vec![]));
    assert_eq!(counted(&exchanges).to_server, at_least(100));
    assert_eq!(exchanges[0].anomalies.to_vec(), vec![Anomaly::GrpcBadFrame]);
}

#[test]
fn a_hole_inside_a_message_hides_none() {
    // Behind the limit, one message of 50 KB, and the DATA frames in its middle are lost but for a head.
    let body = [
        messages_of(100, 1_000),
        messages_of(1, 50_000),
        messages_of(7, 10),
    ]
    .concat();
    let mut request = data(Direction::Read, &body, 10_000);
    let Event::Bytes(_, lost) = &mut request[12] else {
        unreachable!()
    };
    let missing = lost.split_off(9).len();
    request.insert(13, Event::Hole(Direction::Read, missing));
    let exchanges = play(&over_h2(request, vec![]));
    assert_eq!(counted(&exchanges).to_server, exactly(108));
    assert_eq!(exchanges[0].anomalies.to_vec(), vec![]);
}

#[test]
fn a_hole_in_which_messages_may_begin_makes_a_least_count() {
    let mut request = data(Direction::Read, &messages_of(3_000, 95), 1_000);
    let Event::Bytes(_, lost) = &mut request[150] else {
        unreachable!()
    };
    let missing = lost.split_off(9).len();
    request.insert(151, Event::Hole(Direction::Read, missing));
    let exchanges = play(&over_h2(request, vec![]));
    // Ten messages begin in each DATA frame.
    assert_eq!(counted(&exchanges).to_server, at_least(1_500));
    // And one of which not even the DATA frames are known.
    let mut request = data(Direction::Read, &messages_of(3_000, 95), 1_000);
    request[150] = Event::Hole(Direction::Read, 1_009);
    let exchanges = play(&over_h2(request, vec![]));
    assert_eq!(counted(&exchanges).to_server, at_least(1_500));
}

#[test]
fn a_stream_that_does_not_end_has_a_least_count() {
    let mut events = over_h2(data(Direction::Read, &messages_of(900, 95), 1_000), vec![]);
    events.truncate(events.len() - 2);
    assert_eq!(counted(&play(&events)).to_server, at_least(900));
}

const WEB: &str = "application/grpc-web+proto";
const WEB_TEXT: &str = "application/grpc-web-text";

/// A call of gRPC-Web over HTTP/1 with that answer.
fn over_http1(media: &str, fields: &str, response: &[Event]) -> Vec<Event> {
    let total: usize = response
        .iter()
        .map(|event| match event {
            Event::Bytes(_, bytes) => bytes.len(),
            Event::Hole(_, missing) => *missing,
        })
        .sum();
    let request = format!("POST /shop.S/M HTTP/1.1\r\ncontent-type: {media}\r\ncontent-length: 0\r\n\r\n");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\n{fields}content-length: {total}\r\n\r\n");
    let heads = [
        Event::Bytes(Direction::Read, request.into_bytes()),
        Event::Bytes(Direction::Write, head.into_bytes()),
    ];
    heads.into_iter().chain(response.iter().cloned()).collect()
}

fn pieces(body: &[u8]) -> Vec<Event> {
    body.chunks(4_099)
        .map(|part| Event::Bytes(Direction::Write, part.to_vec()))
        .collect()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let bits = three
            .iter()
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte))
            << (8 * (3 - three.len()));
        let letter = |at: usize| {
            if at > three.len() {
                b'='
            } else {
                ALPHABET[bits >> (18 - 6 * at) & 63]
            }
        };
        (0..4).map(letter).collect::<Vec<u8>>()
    };
    bytes.chunks(3).flat_map(group).collect()
}

#[test]
fn grpc_web_is_followed_to_its_trailers() {
    let trailers = frame(0x80, b"grpc-status: 9\r\n");
    let body = [messages_of(2_000, 95), trailers].concat();
    // Of text, each message is padded by itself.
    let text: Vec<u8> = [messages_of(1, 95); 1]
        .iter()
        .flat_map(|message| base64(message).repeat(2_000))
        .chain(base64(&frame(0x80, b"grpc-status: 9\r\n")))
        .collect();
    for (media, body) in [(WEB, body), (WEB_TEXT, text)] {
        let exchanges = play(&over_http1(media, "", &pieces(&body)));
        let expected = Messages {
            to_server: exactly(0),
            to_client: exactly(2_000),
        };
        assert_eq!(counted(&exchanges), expected, "{media}");
        assert_eq!(exchanges[0].calls[0].outcome, CallOutcome::Failure(9), "{media}");
        assert_eq!(exchanges[0].anomalies.to_vec(), vec![], "{media}");
    }
}

#[test]
fn a_hole_in_grpc_web_is_stepped_over_inside_a_message_but_not_in_base64() {
    let body = [
        messages_of(1, 100_000),
        messages_of(3, 10),
        frame(0x80, b"grpc-status: 0\r\n"),
    ]
    .concat();
    let with_hole = |body: &[u8], from: usize, missing: usize| {
        let mut events = pieces(&body[..from]);
        events.push(Event::Hole(Direction::Write, missing));
        events.extend(pieces(&body[from + missing..]));
        events
    };
    let exchanges = play(&over_http1(WEB, "", &with_hole(&body, 80_000, 20_000)));
    assert_eq!(counted(&exchanges).to_client, exactly(4));
    assert_eq!(exchanges[0].calls[0].outcome, CallOutcome::Success);
    // One byte more hides where the next message begins.
    let exchanges = play(&over_http1(WEB, "", &with_hole(&body, 80_000, 20_006)));
    assert_eq!(counted(&exchanges).to_client, at_least(1));
    assert_eq!(exchanges[0].calls[0].outcome, CallOutcome::Unknown);
    // Half of the trailers say nothing.
    let exchanges = play(&over_http1(WEB, "", &with_hole(&body, body.len() - 4, 2)));
    assert_eq!(counted(&exchanges).to_client, exactly(4));
    assert_eq!(exchanges[0].calls[0].outcome, CallOutcome::Unknown);
    assert_eq!(exchanges[0].anomalies.to_vec(), vec![]);
    let text = base64(&body);
    let exchanges = play(&over_http1(WEB_TEXT, "", &with_hole(&text, 80_000, 4)));
    assert_eq!(counted(&exchanges).to_client, at_least(1));
}

/// `grpc-status: 5` and a message as gzip(1) has them.
fn gzipped() -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder
        .write_all(b"grpc-status: 5\r\ngrpc-message: gone\r\n")
        .unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_trailers_are_inflated() {
    let packed = gzipped();
    let answer = |fields: &str, packed: &[u8]| {
        let body = [frame(0, b"one"), frame(0x81, packed)].concat();
        let exchange = play(&over_http1(WEB, fields, &pieces(&body))).remove(0);
        (exchange.calls[0].outcome, exchange.anomalies.to_vec())
    };
    let gzip = "grpc-encoding: gzip\r\n";
    assert_eq!(answer(gzip, &packed), (CallOutcome::Failure(5), vec![]));
    // Nobody said how they are compressed.
    assert_eq!(
        answer("", &packed),
        (CallOutcome::Unknown, vec![Anomaly::GrpcNoEncoding])
    );
    assert_eq!(
        answer("grpc-encoding: snappy\r\n", &packed),
        (CallOutcome::Unknown, vec![])
    );
    let mut broken = packed.clone();
    broken[12] ^= 0xff;
    assert_eq!(
        answer(gzip, &broken),
        (CallOutcome::Unknown, vec![Anomaly::BadContentCoding])
    );
    assert_eq!(
        answer(gzip, &packed[..packed.len() - 9]),
        (CallOutcome::Unknown, vec![])
    );
}

#[test]
fn what_is_kept_of_trailers_is_bounded() {
    let mut trailers = b"x: y\r\n".repeat(10_000);
    trailers.extend_from_slice(b"grpc-status: 0\r\n");
    let body = frame(0x80, &trailers);
    let head = |media: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\n\r\n");
    let exchange = Builder::post("/shop.S/M").answer_pieces(WEB, &[]).build();
    let response = exchange.outcome.response().unwrap();
    for (sender, kept) in [(Sender::Server, grpc::MAX_TRAILERS), (Sender::Client, 0)] {
        let mut frames = Frames::of(&response.head, sender).unwrap();
        body.chunks(1_000).for_each(|piece| frames.feed(piece));
        assert_eq!(frames.bytes(), kept);
    }
    let exchange = play(&over_http1(WEB, "", &pieces(&body))).remove(0);
    assert_eq!(exchange.calls[0].outcome, CallOutcome::Unknown);
    assert_eq!(exchange.anomalies.to_vec(), vec![], "{}", head(WEB).len());
}

proptest! {
    /// However messages are divided and whatever one chunk is missing: an exact count is right, any other not too high.
    #[test]
    fn an_exact_count_is_the_count(
        sizes in (prop::collection::vec(0_usize..3_000, 0..80), prop::collection::vec(0_usize..3_000, 0..80)),
        steps in (1_usize..5_000, 1_usize..5_000),
        lost in prop::option::of(any::<prop::sample::Index>()),
        from in 0_usize..20,
    ) {
        let body = |sizes: &[usize]| sizes.iter().flat_map(|size| frame(0, &vec![0; *size])).collect::<Vec<u8>>();
        let request = data(Direction::Read, &body(&sizes.0), steps.0);
        let response = data(Direction::Write, &body(&sizes.1), steps.1);
        let pieces = request.len() + response.len();
        let mut events = over_h2(request, response);
        if let (Some(lost), true) = (lost, pieces > 0) {
            let at = 4 + lost.index(pieces);
            let Event::Bytes(direction, bytes) = &mut events[at] else { unreachable!() };
            let direction = *direction;
            let missing = bytes.split_off(from.min(bytes.len() - 1)).len();
            if bytes.is_empty() {
                events[at] = Event::Hole(direction, missing);
            } else {
                events.insert(at + 1, Event::Hole(direction, missing));
            }
        }
        for exchange in play(&events) {
            let counted = exchange.calls[0].grpc().unwrap();
            for (count, sizes) in [(counted.to_server, &sizes.0), (counted.to_client, &sizes.1)] {
                let there = u32::try_from(sizes.len()).unwrap();
                prop_assert!(count.seen <= there && (count.more || count.seen == there), "{count:?} of {there}");
                prop_assert!(lost.is_some() || !count.more);
            }
            prop_assert!(!exchange.anomalies.contains(&Anomaly::GrpcBadFrame));
        }
    }
}
