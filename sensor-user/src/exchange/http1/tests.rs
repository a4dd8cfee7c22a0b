use std::fmt::Write as _;

use bytes::Bytes;

use crate::capture::{CloseReason, Direction, GapReason, ProcessKey, Source, StreamKey};
use crate::exchange::test_support::drive;
use crate::exchange::{Body, Exchange, Head, Outcome};
use crate::flow::{FlowEvent, Payload};

const STREAM: StreamKey = StreamKey {
    process: ProcessKey { pid: 9, start_ns: 3 },
    source: Source::Socket,
    id: 1,
    generation: 0,
};

#[derive(Clone, Debug)]
enum Step {
    ToServer(Vec<u8>),
    ToClient(Vec<u8>),
    Lost(Direction, u64),
}
use Step::{Lost, ToClient, ToServer};

fn ask(text: &str) -> Step {
    ToServer(text.as_bytes().to_vec())
}

fn answer(text: &str) -> Step {
    ToClient(text.as_bytes().to_vec())
}

fn event(time_ns: u64, step: Step) -> FlowEvent {
    let chunk = |direction, bytes: Vec<u8>| FlowEvent::Chunk {
        stream: STREAM,
        direction,
        time_ns,
        early: false,
        bytes: Payload(Bytes::from(bytes)),
    };
    match step {
        ToServer(bytes) => chunk(Direction::Read, bytes),
        ToClient(bytes) => chunk(Direction::Write, bytes),
        Lost(direction, missing) => FlowEvent::Gap {
            stream: STREAM,
            direction,
            time_ns,
            missing,
            reason: GapReason::Lost,
        },
    }
}

/// What comes of a connection, a line for each exchange; its accounts close at every step.
fn run(steps: &[Step]) -> Vec<String> {
    let close = FlowEvent::Closed {
        stream: STREAM,
        time_ns: 9_000,
        reason: CloseReason::Free,
    };
    let events = (1_u64..).zip(steps).map(|(at, step)| event(at, step.clone()));
    drive(STREAM, events.chain([close])).iter().map(show).collect()
}

/// The same, and that no split of a chunk, nor all in single bytes, gives anything else. Messages of a WebSocket are told
/// as they come, so the order may be another.
fn run_in_pieces(steps: &[Step]) -> Vec<String> {
    let told = run(steps);
    let sorted = |mut lines: Vec<String>| {
        lines.sort_unstable();
        lines
    };
    let whole = sorted(told.clone());
    let again = |step: &Step, bytes: &[u8]| match step {
        ToServer(_) => ToServer(bytes.to_vec()),
        ToClient(_) => ToClient(bytes.to_vec()),
        Lost(direction, missing) => Lost(*direction, *missing),
    };
    let mut single = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let (ToServer(bytes) | ToClient(bytes)) = step else {
            single.push(step.clone());
            continue;
        };
        single.extend(bytes.chunks(1).map(|byte| again(step, byte)));
        for at in 1..bytes.len() {
            let mut cut = steps.to_vec();
            cut[index] = again(step, &bytes[..at]);
            cut.insert(index + 1, again(step, &bytes[at..]));
            assert_eq!(sorted(run(&cut)), whole, "step {index} cut at {at}");
        }
    }
    assert_eq!(sorted(run(&single)), whole, "byte by byte");
    told
}

fn body(body: &Body) -> String {
    let bytes: Vec<u8> = body.pieces.iter().flat_map(|piece| piece.0.to_vec()).collect();
    format!("[{}] {:?}", bytes.escape_ascii(), body.state)
}

fn trailers(head: &Head) -> String {
    let mut line = String::new();
    for (name, value) in head.fields() {
        let value = value.expose().escape_ascii();
        write!(line, " {}={value}", name.escape_ascii()).unwrap();
    }
    line
}

fn show(exchange: &Exchange) -> String {
    let request = &exchange.request;
    let answer = match &exchange.outcome {
        Outcome::Answered(response) => format!(
            "{} {}{}",
            response.status,
            body(&response.body),
            trailers(&response.trailers)
        ),
        other => format!("{other:?}"),
    };
    let mut line = format!(
        "{} {}{} -> {answer}",
        request.target().expose().escape_ascii(),
        body(&request.body),
        trailers(&request.trailers)
    );
    if !exchange.anomalies.is_empty() {
        line = format!("{line} {:?}", exchange.anomalies);
    }
    line
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn trailers_of_both_halves_are_kept() {
    let steps = [
        ask(
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\nX-B: c d\r\n\r\n",
        ),
        answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\nX-Took: 3\r\n\r\n"),
        // Without effect, yet seen.
        ask("POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\n\r\n"),
        answer(OK),
        ask("GET /c HTTP/1.1\r\n\r\n"),
        answer(OK),
    ];
    assert_eq!(
        run_in_pieces(&steps),
        [
            "/a [abc] Whole X-Sum=9 X-B=c d -> 200 [z] Whole X-Took=3",
            "/b [] Empty Content-Length=9 -> 200 [ok] Whole [ForbiddenTrailer]",
            "/c [] Empty -> 200 [ok] Whole",
        ]
    );
}

#[test]
fn trailers_may_come_behind_the_answer() {
    let steps = [
        ask("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        answer(OK),
        ask("0\r\nX-Sum: 9\r\n\r\nGET /b HTTP/1.1\r\n\r\n"),
        answer(OK),
    ];
    assert_eq!(
        run_in_pieces(&steps),
        [
            "/a [abc] Whole X-Sum=9 -> 200 [ok] Whole",
            "/b [] Empty -> 200 [ok] Whole",
        ]
    );
}

/// A request with a body of ten bytes that asks for leave to send it.
const EXPECTS: &str = "PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n";
const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
const NEXT: &str = "GET /b HTTP/1.1\r\n\r\n";

#[test]
fn an_early_refusal_leaves_the_body_where_it_is() {
    for front in ["", "012", "0123456789"] {
        let body = "0123456789";
        let head = format!("PUT /a HTTP/1.1\r\nContent-Length: 10\r\n\r\n{front}");
        let steps = [
            ask(&head),
            answer(REFUSED),
            ask(&format!("{}{NEXT}", &body[front.len()..])),
            answer(OK),
        ];
        assert_eq!(
            run_in_pieces(&steps),
            [
                "/a [0123456789] Whole -> 401 [] Empty",
                "/b [] Empty -> 200 [ok] Whole",
            ]
        );
    }
    // It ends in the middle of its body, as those do that read the refusal.
    assert_eq!(
        run(&[
            ask("PUT /a HTTP/1.1\r\nContent-Length: 10\r\n\r\n012"),
            answer(REFUSED)
        ]),
        ["/a [012] Cut -> 401 [] Empty"]
    );
}

#[test]
fn a_refused_body_is_sent_or_not_and_the_next_request_is_found() {
    let refused = [ask(EXPECTS), answer(REFUSED)];
    let next = [ask(NEXT), answer(OK)];
    let expected = "/b [] Empty -> 200 [ok] Whole";
    assert_eq!(
        run_in_pieces(&[&refused[..], &next].concat()),
        [
            "/a [] Empty -> 401 [] Empty",
            &format!("{expected} [BodyNotSent]")
        ]
    );
    assert_eq!(
        run_in_pieces(&[&refused[..], &[ask("0123456789")], &next].concat()),
        ["/a [0123456789] Whole -> 401 [] Empty", expected]
    );
    // Nothing follows.
    assert_eq!(run_in_pieces(&refused), ["/a [] Empty -> 401 [] Empty"]);
    // Chunks may follow, too.
    let chunked = "PUT /a HTTP/1.1\r\nexpect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    let refused = [ask(chunked), answer(REFUSED)];
    assert_eq!(
        run_in_pieces(&[&refused[..], &next].concat()),
        [
            "/a [] Empty -> 401 [] Empty",
            &format!("{expected} [BodyNotSent]")
        ]
    );
    assert_eq!(
        run_in_pieces(&[&refused[..], &[ask("A\r\n0123456789\r\n0\r\n\r\n")], &next].concat()),
        ["/a [0123456789] Whole -> 401 [] Empty", expected]
    );
}

#[test]
fn a_body_that_was_asked_for_or_has_begun_is_one_whatever_it_says() {
    let body = "GET /x HTTP/1.1\r\n\r\n";
    let head = |expects: &str| {
        format!(
            "PUT /a HTTP/1.1\r\n{expects}Content-Length: {}\r\n\r\n",
            body.len()
        )
    };
    let told = "/a [GET /x HTTP/1.1\\r\\n\\r\\n] Whole -> 401 [] Empty";
    let go_on = answer("HTTP/1.1 100 Continue\r\n\r\n");
    let expects = head("Expect: 100-continue\r\n");
    let asked = [ask(&expects), go_on, answer(REFUSED), ask(body)];
    let never_asked = [ask(&head("")), answer(REFUSED), ask(body)];
    let begun = [
        ask(&format!("{expects}GET ")),
        answer(REFUSED),
        ask(&body["GET ".len()..]),
    ];
    for steps in [&asked[..], &never_asked, &begun] {
        assert_eq!(run_in_pieces(steps), [told], "{steps:?}");
    }
}

#[test]
fn behind_a_hole_nobody_knows_whether_a_refused_body_was_sent() {
    let steps = [
        ask(EXPECTS),
        answer(REFUSED),
        Lost(Direction::Read, 10),
        ask("GET /c HTTP/1.1\r\n\r\n"),
        answer(OK),
    ];
    let told = run_in_pieces(&steps);
    assert_eq!(told[0], "/a [] Holed(Lost) -> 401 [] Empty");
    assert!(
        told[1].starts_with("/c [] Empty -> ") && told.len() == 2,
        "{told:?}"
    );
}

const TO_H2C: &str = "POST /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
    HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 10\r\n\r\n";
const H2C: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
/// The client's preface and settings; the server's settings and `200` without a body on stream 1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const ANSWERED: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x88";

#[test]
fn a_switch_waits_for_the_end_of_the_request() {
    let told = ["/a [0123456789] Whole -> 200 [] Empty"];
    let frames = ToClient([H2C.as_bytes(), ANSWERED].concat());
    let rest = ToServer([b"3456789", PREFACE].concat());
    let steps = [ask(&format!("{TO_H2C}012")), frames.clone(), rest];
    assert_eq!(run_in_pieces(&steps), told);
    // The server begins before any of the body, and says more behind it.
    let steps = [
        ask(TO_H2C),
        answer(H2C),
        ask("0123456789"),
        ToClient(ANSWERED.to_vec()),
        ToServer(PREFACE.to_vec()),
    ];
    assert_eq!(run_in_pieces(&steps), told);
    // It never ends.
    let steps = [ask(&format!("{TO_H2C}012")), frames];
    assert_eq!(run_in_pieces(&steps), ["/a [012] Cut -> 101 [] Empty"]);
}

#[test]
fn a_websocket_begins_behind_the_body_of_its_request() {
    let asked = "GET /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 4\r\n\r\nab";
    let agreed = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi";
    let steps = [
        ask(asked),
        ToClient(agreed.to_vec()),
        ToServer(b"cd\x81\x82\0\0\0\0yo".to_vec()),
    ];
    let told = run_in_pieces(&steps);
    let body = |text: &str| told.iter().any(|line| line.contains(&format!("[{text}] Whole")));
    assert!(
        told.len() == 3 && body("hi") && body("yo") && body("abcd"),
        "{told:?}"
    );
}

#[test]
fn what_is_kept_of_a_switch_is_bounded_and_holes_do_not_make_one_up() {
    let asked = ask(&format!("{TO_H2C}012"));
    let held = [
        asked.clone(),
        ToClient([H2C.as_bytes(), &vec![b'x'; 70_000]].concat()),
        ask("3456789"),
        answer(OK),
    ];
    assert_eq!(run(&held), ["/a [0123456789] Whole -> 101 [] Empty"]);
    // A hole that hides the end of the request, and one that does not.
    let lost = |missing| {
        let rest = PREFACE.to_vec();
        [
            asked.clone(),
            answer(H2C),
            Lost(Direction::Read, missing),
            ToServer(rest),
            ToClient(ANSWERED.to_vec()),
        ]
    };
    assert_eq!(run(&lost(9)), ["/a [012] Holed(Lost) -> 101 [] Empty"]);
    assert_eq!(run(&lost(7)), ["/a [012] Holed(Lost) -> 200 [] Empty"]);
    // A hole in what the server said.
    let steps = [
        asked,
        answer(&format!("{H2C}xxx")),
        Lost(Direction::Write, 9),
        ask("3456789"),
        ToServer(PREFACE.to_vec()),
        ToClient(ANSWERED.to_vec()),
    ];
    let told = run(&steps);
    assert!(
        told.len() == 1 && told[0].starts_with("/a [0123456789] Whole -> "),
        "{told:?}"
    );
}
