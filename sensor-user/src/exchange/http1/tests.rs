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

/// The same, and that no split of a chunk, nor all in single bytes, gives anything else.
fn run_in_pieces(steps: &[Step]) -> Vec<String> {
    let whole = run(steps);
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
            assert_eq!(run(&cut), whole, "step {index} cut at {at}");
        }
    }
    assert_eq!(run(&single), whole, "byte by byte");
    whole
}

fn body(body: &Body) -> String {
    let bytes: Vec<u8> = body.pieces.iter().flat_map(|piece| piece.0.to_vec()).collect();
    format!("[{}] {:?}", bytes.escape_ascii(), body.state)
}

fn trailers(head: &Head) -> String {
    head.fields()
        .map(|(name, value)| format!(" {}={}", name.escape_ascii(), value.expose().escape_ascii()))
        .collect()
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
