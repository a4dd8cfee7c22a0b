#![expect(clippy::cast_possible_truncation, reason = "numbers of tests are small")]

use std::fmt::Write as _;
use std::sync::Arc;

use super::super::secret::HashKey;
use super::super::{BodyState, Conversations, Method};
use super::*;
use crate::capture::Role;
use crate::exchange::test_support::{STREAM, chunk, closed, gap};
use crate::telemetry::Counters;
use crate::telemetry::ledger::Post;

mod inside;
mod laws;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
const GET: &[u8] = b"\x82\x87\x84";
const POST: &[u8] = b"\x83\x87\x84";
const OK: &[u8] = b"\x88";

/// The observed process is a server: requests are read.
struct Play {
    conversations: Conversations,
    counters: Arc<Counters>,
    out: Vec<Exchange>,
    sent: u64,
}

impl Play {
    fn new() -> Self {
        let counters: Arc<Counters> = Arc::default();
        let conversations =
            Conversations::new(Limits::default(), HashKey::new([0; 32]), Arc::clone(&counters));
        Self {
            conversations,
            counters,
            out: Vec::new(),
            sent: 0,
        }
    }

    fn begun() -> Self {
        let mut play = Self::new();
        play.request(PREFACE).request(SETTINGS).response(SETTINGS);
        play
    }

    fn push(&mut self, direction: Direction, bytes: &[u8]) -> &mut Self {
        if !bytes.is_empty() {
            self.sent += bytes.len() as u64;
            let event = chunk(STREAM, direction, self.sent, bytes);
            self.conversations.push(event, &mut self.out);
        }
        self
    }

    fn request(&mut self, bytes: &[u8]) -> &mut Self {
        self.push(Direction::Read, bytes)
    }

    fn response(&mut self, bytes: &[u8]) -> &mut Self {
        self.push(Direction::Write, bytes)
    }

    fn gap(&mut self, direction: Direction, missing: usize) -> &mut Self {
        let event = gap(STREAM, direction, self.sent, missing as u64);
        self.conversations.push(event, &mut self.out);
        self
    }

    /// Each exchange in one line, and the accounts must close.
    fn end(&mut self) -> Vec<String> {
        self.conversations.push(closed(STREAM, 0), &mut self.out);
        let accounts = self.counters.ledger().accounts();
        let entered: u64 = [
            Post::HeadBytes,
            Post::BodyBytes,
            Post::UnrecognisedBytes,
            Post::OpaqueBytes,
            Post::SkippedBytes,
            Post::RejectedBytes,
            Post::CutBytes,
            Post::WaitingBytes,
            Post::TunnelBytes,
        ]
        .iter()
        .map(|post| accounts.iter().map(|account| account.user(*post)).sum::<u64>())
        .sum();
        assert_eq!(entered, self.sent, "every byte is accounted for");
        self.out.iter().map(show).collect()
    }
}

fn text(body: &Body) -> String {
    let mut text: Vec<u8> = Vec::new();
    body.pieces
        .iter()
        .for_each(|piece| text.extend_from_slice(&piece.0));
    let mut text = String::from_utf8(text).unwrap();
    match body.state {
        BodyState::Empty | BodyState::Whole => {}
        state => write!(text, "<{state:?}>").unwrap(),
    }
    text
}

fn show(exchange: &Exchange) -> String {
    let request = &exchange.request;
    let fields = |head: &Head| -> String {
        let show = |(name, value): (&[u8], crate::exchange::Secret<'_>)| {
            format!(
                " {}={}",
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value.expose())
            )
        };
        head.fields().map(show).collect()
    };
    let mut line = format!(
        "{} {}{}[{}]",
        String::from_utf8_lossy(request.method()),
        String::from_utf8_lossy(request.target().expose()),
        fields(&request.head),
        text(&request.body)
    );
    line.push_str(&fields(&request.trailers));
    match &exchange.outcome {
        Outcome::Answered(response) => {
            write!(
                line,
                " {}{}[{}]",
                response.status,
                fields(&response.head),
                text(&response.body)
            )
            .unwrap();
            line.push_str(&fields(&response.trailers));
        }
        outcome => write!(line, " {outcome:?}").unwrap(),
    }
    if !exchange.anomalies.is_empty() {
        write!(line, " {:?}", exchange.anomalies).unwrap();
    }
    line
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut wire = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    wire.extend([kind, flags]);
    wire.extend(stream.to_be_bytes());
    wire.extend(payload);
    wire
}

fn headers(stream: u32, last: bool, block: &[u8]) -> Vec<u8> {
    frame(1, 4 | u8::from(last), stream, block)
}

fn data(stream: u32, last: bool, payload: &str) -> Vec<u8> {
    frame(0, u8::from(last), stream, payload.as_bytes())
}

/// A block of a request for `/number`.
fn get(number: u32) -> Vec<u8> {
    let path = format!("/{number}");
    [&b"\x82\x87\x04"[..], &[path.len() as u8], path.as_bytes()].concat()
}

#[test]
fn interleaved_streams_become_exchanges_each_when_it_is_done() {
    let mut play = Play::begun();
    play.request(&headers(1, false, b"\x83\x87\x84\x41\x01h\x0f\x0d\x012"))
        .request(&[headers(3, true, GET), data(1, false, "a")].concat())
        .response(&headers(3, false, b"\x88\x40\x01n\x01v"))
        .response(&headers(1, false, b"\x08\x03103"))
        .response(
            &[
                headers(1, false, b"\x08\x03201\xbe"),
                data(3, false, "x"),
                data(1, false, "no"),
            ]
            .concat(),
        )
        .request(&data(1, true, "b"))
        .response(&[data(3, true, "y"), headers(1, true, b"\x40\x0bgrpc-status\x010")].concat());
    assert_eq!(play.out.len(), 2);
    assert_eq!(play.out[0].request.version, 20);
    assert_eq!(play.out[0].connection.role, Role::Server);
    let lines = play.end();
    assert_eq!(
        lines,
        [
            "GET /[] 200 n=v[xy]",
            "POST / host=h content-length=2[ab] 201 n=v[no] grpc-status=0"
        ]
    );
}

#[test]
fn what_ends_a_stream_early_is_told() {
    let mut play = Play::begun();
    for stream in [1, 3, 5, 7, 9] {
        play.request(&headers(stream, true, GET));
    }
    play.response(&[headers(1, false, OK), data(1, false, "a")].concat())
        .request(&frame(3, 0, 1, &[0, 0, 0, 8]))
        .response(&frame(3, 0, 3, &[0, 0, 0, 2]))
        .response(&frame(7, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0]))
        .response(&headers(5, true, OK))
        .request(&headers(11, false, POST));
    let expected = [
        "GET /[] 200[a<Cut>]",
        "GET /[] Unanswered",
        "GET /[] Unanswered",
        "GET /[] Unanswered",
        "GET /[] 200[]",
        "POST /[<Cut>] Unanswered",
    ];
    assert_eq!(play.end(), expected);
}

#[test]
fn a_length_that_is_not_that_of_the_body_is_an_anomaly() {
    let mut play = Play::begun();
    play.request(
        &[
            headers(1, false, b"\x83\x87\x84\x0f\x0d\x015"),
            data(1, true, "abc"),
        ]
        .concat(),
    )
    .response(&headers(1, true, OK))
    // Of HEAD it is another response's.
    .request(&headers(3, true, b"\x02\x04HEAD\x87\x84"))
    .response(&headers(3, true, b"\x88\x0f\x0d\x015"));
    assert_eq!(
        play.end(),
        [
            "POST / content-length=5[abc] 200[] [Http2BadLength]",
            "HEAD /[] 200 content-length=5[]"
        ]
    );
}

#[test]
fn a_server_that_speaks_first_is_recognised() {
    let mut play = Play::new();
    play.response(SETTINGS)
        .request(&[PREFACE, SETTINGS, &headers(1, true, GET)].concat())
        .response(&headers(1, true, OK));
    assert_eq!(play.end(), ["GET /[] 200[]"]);
}

#[test]
fn a_client_taken_for_a_server_is_read_on_behind_what_shows_it() {
    let mut play = Play::new();
    // SETTINGS in the middle of a connection look like a server's beginning.
    let asks = [headers(1, true, &get(1)), headers(3, true, &get(3))].concat();
    play.request(&[SETTINGS, &asks].concat())
        .response(&[headers(1, true, OK), headers(3, true, OK)].concat());
    assert_eq!(play.end().len(), 2);
    assert!(
        play.out
            .iter()
            .all(|exchange| exchange.outcome.response().is_some())
    );
}

#[test]
fn a_server_that_asks_is_still_the_server() {
    let mut play = Play::begun();
    play.response(&headers(7, true, &get(7)))
        .request(&headers(1, true, &get(1)))
        .response(&headers(1, true, OK));
    assert_eq!(play.end().len(), 1);
    assert!(
        play.out
            .iter()
            .all(|exchange| exchange.outcome.response().is_some())
    );
}

#[test]
fn a_promised_stream_is_answered() {
    let mut play = Play::begun();
    play.request(&headers(1, true, GET))
        .response(&frame(5, 4, 1, &[&[0, 0, 0, 2], &get(7)[..]].concat()))
        .response(&[headers(1, true, OK), headers(2, true, OK)].concat());
    assert_eq!(play.end(), ["GET /[] 200[]", "GET /7[] 200[]"]);
}

#[test]
fn lesson_13_joining_in_the_middle_goes_on() {
    let mut play = Play::new();
    // A body of which the front was not seen, in both directions, then whole streams with fields of an old table.
    play.request(b"...of an upload")
        .response(b"...of a download")
        .request(&headers(21, true, &[&get(1)[..], b"\xbe\x40\x01n\x01v"].concat()))
        .response(&[headers(21, false, b"\x88\xc0"), data(21, true, "{}")].concat())
        .request(&headers(23, true, &[&get(2)[..], b"\xbe"].concat()))
        .response(&headers(23, true, OK));
    assert_eq!(
        play.end(),
        ["GET /1 n=v[] 200[{}] [Http2UnknownFields]", "GET /2 n=v[] 200[]"]
    );
    assert_eq!(play.out[0].caller, Caller::Unseen);
    assert_eq!(play.out[1].caller, Caller::Anonymous);
}

#[test]
fn a_request_of_unknown_path_or_status_is_not_made_up() {
    let mut play = Play::new();
    play.request(&headers(21, true, b"\x82\x87\xbe"))
        .request(&headers(23, true, &get(1)))
        .response(&[headers(21, true, OK), headers(23, true, b"\xbe\x58\x01a")].concat())
        .response(&[headers(25, false, OK), data(25, true, "x")].concat());
    assert_eq!(play.end(), ["GET /1[] Lost [Http2UnknownFields]"]);
}

#[test]
fn lesson_13_one_lost_chunk_does_not_end_an_http2_connection() {
    let mut play = Play::begun();
    play.request(&headers(1, true, &[&get(1)[..], b"\x40\x01a\x01b"].concat()))
        .response(&headers(1, true, OK))
        .request(&headers(3, true, &get(3)));
    // Whole frames are missing in both directions.
    play.gap(Direction::Read, 300).gap(Direction::Write, 500);
    for stream in (9..29).step_by(2) {
        play.request(&headers(stream, true, &[&get(stream)[..], b"\xbe"].concat()))
            .response(&[headers(stream, false, OK), data(stream, true, "x")].concat());
    }
    let lines = play.end();
    assert_eq!(lines[0], "GET /1 a=b[] 200[]");
    let expected: Vec<String> = (9..29)
        .step_by(2)
        .map(|stream| format!("GET /{stream}[] 200[x] [Http2UnknownFields]"))
        .collect();
    assert_eq!(lines[1..=10], expected);
    assert_eq!(lines[11..], ["GET /3[] Lost"]);
}

#[test]
fn a_hole_within_data_spoils_that_body_only() {
    let mut play = Play::begun();
    play.request(&[headers(1, true, &get(1)), headers(3, true, &get(3))].concat());
    let frames = [
        headers(1, false, OK),
        data(1, true, "0123456789"),
        headers(3, true, OK),
    ]
    .concat();
    let at = frames.len() - 10 - 7;
    play.response(&frames[..at])
        .gap(Direction::Write, 4)
        .response(&frames[at + 4..]);
    assert_eq!(play.end(), ["GET /1[] 200[012<Holed(Lost)>]", "GET /3[] 200[]"]);
    assert_eq!(play.out[0].outcome.response().unwrap().body.total, 10);
}

#[test]
fn streams_that_a_hole_may_have_ended_are_given_up() {
    let mut play = Play::begun();
    play.request(&headers(1, true, &get(1)))
        .gap(Direction::Write, 100);
    for stream in (3..1003).step_by(2) {
        play.request(&headers(stream, true, GET));
        play.response(&[headers(stream, false, OK), data(stream, true, "")].concat());
    }
    assert_eq!(show(&play.out[256]), "GET /1[] Lost");
    assert_eq!(play.end().len(), 501);
}

#[test]
fn what_streams_keep_is_bounded() {
    let mut play = Play::begun();
    let piece = "x".repeat(16_000);
    for stream in (1..6001).step_by(2) {
        play.request(&[headers(stream, false, POST), data(stream, false, &piece)].concat());
    }
    // The oldest were given up, and of the youngest there was no room for the bodies.
    assert_eq!(play.out.len(), 3000 - 1024);
    let kept: usize = play
        .out
        .iter()
        .flat_map(|exchange| &exchange.request.body.pieces)
        .map(|piece| piece.0.len())
        .sum();
    assert!(kept > 0);
    assert!(
        play.out
            .iter()
            .all(|exchange| exchange.anomalies.contains(&Anomaly::Http2TooManyStreams))
    );
    assert_eq!(play.end().len(), 3000);
}

#[test]
fn methods_are_mapped() {
    let mut play = Play::begun();
    play.request(&headers(1, true, GET));
    play.end();
    assert_eq!(Method::of(play.out[0].request.method()), Method::Get);
}
