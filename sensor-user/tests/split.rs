//! How the bytes of a connection are cut into records never changes the exchanges, and what is lost never puts an
//! answer to the wrong request.

#![expect(clippy::unwrap_used, reason = "a test stops on a mistake")]

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use sensor_user::capture::{Data, Direction, Origin, ProcessKey, Record, Source, StreamKey};
use sensor_user::exchange::secret::HashKey;
use sensor_user::exchange::{Body, Content, Exchange, Outcome};
use sensor_user::pipeline::{Settings, Shard};
use sensor_user::protocol::Anomaly;
use sensor_user::protocol::inflate::Ended;
use sensor_user::telemetry::{Counters, Metric};

/// Bytes that one side sends, in the order in which they are seen.
type Turn = (Direction, Vec<u8>);

/// What is sent at one place of a script: requests or responses, by number.
fn wire(direction: Direction, numbers: &[usize]) -> Turn {
    let message = if direction == Direction::Read {
        request
    } else {
        response
    };
    (
        direction,
        numbers.iter().flat_map(|number| message(*number)).collect(),
    )
}

/// Requests of every framing; the target names the number.
fn request(number: usize) -> Vec<u8> {
    let front = |method: &str| {
        format!("{method} /r/{number} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t{number}\r\n")
    };
    let text = match number % 5 {
        0 => format!("{}\r\n", front("GET")),
        1 => format!("{}Content-Length: 9\r\n\r\n{{\"a\": 1}}\n", front("POST")),
        2 => format!("{}\r\n", front("HEAD")),
        3 => format!(
            "{}Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2;x\r\nef\r\n0\r\n\r\n",
            front("PUT")
        ),
        _ => format!("{}\r\n", front("DELETE")),
    };
    text.into_bytes()
}

/// The answer to each; a field names the number.
fn response(number: usize) -> Vec<u8> {
    let front = |status: &str| format!("HTTP/1.1 {status}\r\nServer: b\r\nX-Answer: {number}\r\n");
    let text = match number % 5 {
        0 => format!("{}Content-Length: 12\r\n\r\n{{\"b\": [1,2]}}", front("200 OK")),
        1 => format!(
            "HTTP/1.1 100 Continue\r\n\r\n{}Content-Length: 0\r\n\r\n",
            front("201 Created")
        ),
        2 => format!("{}Content-Length: 12\r\n\r\n", front("200 OK")),
        3 => format!(
            "{}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: x\r\n\r\n",
            front("200 OK")
        ),
        _ => format!("{}\r\n", front("204 No Content")),
    };
    text.into_bytes()
}

const SERIAL: &[(Direction, &[usize])] = &[
    (Direction::Read, &[1]),
    (Direction::Write, &[1]),
    (Direction::Read, &[2]),
    (Direction::Write, &[2]),
    (Direction::Read, &[3]),
    (Direction::Write, &[3]),
    (Direction::Read, &[4]),
    (Direction::Write, &[4]),
    (Direction::Read, &[5]),
    (Direction::Write, &[5]),
    (Direction::Read, &[6]),
    (Direction::Write, &[6]),
    (Direction::Read, &[8]),
    (Direction::Write, &[8]),
];

const PIPELINED: &[(Direction, &[usize])] = &[
    (Direction::Read, &[1, 2, 3]),
    (Direction::Write, &[1, 2, 3]),
    (Direction::Read, &[4, 5]),
    (Direction::Read, &[6]),
    (Direction::Write, &[4]),
    (Direction::Read, &[7]),
    (Direction::Write, &[5, 6]),
    (Direction::Write, &[7]),
    (Direction::Read, &[8]),
    (Direction::Write, &[8]),
];

fn turns(script: &[(Direction, &[usize])]) -> Vec<Turn> {
    script
        .iter()
        .map(|(direction, numbers)| wire(*direction, numbers))
        .collect()
}

fn process() -> ProcessKey {
    ProcessKey { pid: 1, start_ns: 1 }
}

/// Cuts turns into records by `cut`, which says how long the next piece of so many bytes is.
fn records(turns: &[Turn], mut cut: impl FnMut(usize) -> usize) -> Vec<Record> {
    let (mut records, mut positions) = (Vec::new(), [0_u64; 2]);
    for (direction, bytes) in turns {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cut(rest.len()).clamp(1, rest.len()));
            let position = &mut positions[usize::from(*direction == Direction::Write)];
            records.push(record(*direction, *position, piece, records.len()));
            *position += piece.len() as u64;
            rest = after;
        }
    }
    records
}

fn record(direction: Direction, position: u64, bytes: &[u8], index: usize) -> Record {
    let process = process();
    Record::Data(Data {
        origin: Origin {
            time_ns: 1000 + index as u64,
            process,
            tid: 1,
            cgroup: 0,
        },
        stream: StreamKey {
            process,
            source: Source::Tls,
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

fn exchanges(records: impl IntoIterator<Item = Record>) -> (Vec<Exchange>, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let settings = Settings::new(HashKey::new([1; 32]), Arc::clone(&counters));
    let (mut shard, mut out) = (Shard::new(&settings), Vec::new());
    for record in records {
        shard.push(record, &mut out);
    }
    shard.finish(&mut out);
    (
        out.into_iter().map(|observed| observed.exchange).collect(),
        counters,
    )
}

/// Everything about an exchange that does not depend on cuts.
fn told(exchange: &Exchange) -> String {
    let head = |raw: &[u8], fields: usize| format!("{} [{fields}]", String::from_utf8_lossy(raw));
    let request = &exchange.request;
    let answer = match &exchange.outcome {
        Outcome::Answered(response) => format!(
            "{} {} {}",
            response.status,
            head(&response.head.raw, response.head.headers.len()),
            body(&response.body)
        ),
        Outcome::Unanswered => "unanswered".into(),
        Outcome::Lost => "lost".into(),
    };
    format!(
        "{} {} {:?} {:?} => {answer}",
        head(&request.head.raw, request.head.headers.len()),
        body(&request.body),
        exchange.caller,
        exchange.anomalies
    )
}

fn body(body: &Body) -> String {
    let bytes: Vec<u8> = body
        .pieces
        .iter()
        .flat_map(|piece| piece.0.iter().copied())
        .collect();
    format!(
        "{:?} {} {:?}",
        String::from_utf8_lossy(&bytes),
        body.total,
        body.state
    )
}

fn all_told(records: Vec<Record>) -> Vec<String> {
    exchanges(records).0.iter().map(told).collect()
}

/// The request's number and, if it was answered, the answer's.
fn numbers(exchange: &Exchange) -> (usize, Option<usize>) {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().parse().unwrap();
    let target = exchange.request.target().expose();
    let answer = exchange
        .outcome
        .response()
        .and_then(|response| response.head.header("x-answer"));
    (
        number(&target[b"/r/".len()..]),
        answer.map(|value| number(value.expose())),
    )
}

fn assert_attributed(exchanges: &[Exchange], context: &str) {
    for exchange in exchanges {
        let (request, answer) = numbers(exchange);
        assert!(
            answer.is_none_or(|answer| answer == request),
            "{request} got {answer:?} {context}"
        );
    }
}

#[test]
fn whole_messages_give_every_exchange_once() {
    for (script, count) in [(SERIAL, 7), (PIPELINED, 8)] {
        let (exchanges, counters) = exchanges(records(&turns(script), |len| len));
        assert_eq!(exchanges.len(), count);
        for exchange in &exchanges {
            let (request, answer) = numbers(exchange);
            assert_eq!(answer, Some(request));
            assert!(exchange.request.body.is_whole() && exchange.anomalies.is_empty());
        }
        let bytes: usize = turns(script).iter().map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(counters.value(Metric::BytesParsed), bytes as u64);
        assert_eq!(counters.value(Metric::ResponsesUnpaired), 0);
    }
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    for script in [SERIAL, PIPELINED] {
        let turns = turns(script);
        let whole = all_told(records(&turns, |len| len));
        assert_eq!(all_told(records(&turns, |_| 1)), whole, "byte by byte");
        for (index, (_, bytes)) in turns.iter().enumerate() {
            for at in 1..bytes.len() {
                let mut pieces = 0;
                let mut split = turns.clone();
                let tail = split[index].1.split_off(at);
                split.insert(index + 1, (split[index].0, tail));
                let cut = records(&split, |len| {
                    pieces += 1;
                    len
                });
                assert_eq!(pieces, turns.len() + 1);
                assert_eq!(all_told(cut), whole, "turn {index} at {at}");
            }
        }
    }
}

#[test]
fn a_lost_record_never_gives_an_answer_to_another() {
    for (script, size) in [
        (SERIAL, usize::MAX),
        (SERIAL, 40),
        (SERIAL, 7),
        (PIPELINED, usize::MAX),
        (PIPELINED, 40),
        (PIPELINED, 7),
    ] {
        let all = records(&turns(script), |_| size);
        for lost in 0..all.len() {
            let kept = all
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != lost)
                .map(|(_, record)| record.clone());
            let (exchanges, _) = exchanges(kept);
            assert_attributed(&exchanges, &format!("without record {lost} of {}", all.len()));
        }
    }
}

#[test]
fn a_lost_record_costs_at_most_two_exchanges_of_a_serial_connection() {
    for size in [usize::MAX, 40, 7] {
        let all = records(&turns(SERIAL), |_| size);
        for lost in 0..all.len() {
            let kept = all
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != lost)
                .map(|(_, record)| record.clone());
            let (exchanges, _) = exchanges(kept);
            let answered = exchanges
                .iter()
                .filter(|exchange| exchange.outcome.response().is_some())
                .count();
            assert!(
                answered >= 5,
                "{answered} of 7 without record {lost} of {} of {size}",
                all.len()
            );
        }
    }
}

#[test]
fn a_hole_inside_a_body_is_exact_and_marked() {
    let big = "x".repeat(5000);
    let request = format!("POST /r/1 HTTP/1.1\r\nContent-Length: 5000\r\n\r\n{big}");
    let answer = format!("HTTP/1.1 200 OK\r\nX-Answer: 1\r\nContent-Length: 5000\r\n\r\n{big}");
    let turns = [
        (Direction::Read, request.into_bytes()),
        (Direction::Write, answer.into_bytes()),
        wire(Direction::Read, &[5]),
        wire(Direction::Write, &[5]),
    ];
    let all = records(&turns, |_| 1000);
    for lost in [2, 3, 8, 9] {
        let kept = all
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != lost)
            .map(|(_, record)| record.clone());
        let (exchanges, counters) = exchanges(kept);
        assert_eq!(
            exchanges.iter().map(numbers).collect::<Vec<_>>(),
            [(1, Some(1)), (5, Some(5))]
        );
        let first = &exchanges[0];
        let bodies = [&first.request.body, &first.outcome.response().unwrap().body];
        assert_eq!(bodies.iter().filter(|body| body.is_whole()).count(), 1);
        assert!(bodies.iter().all(|body| body.total == 5000));
        assert_eq!(counters.value(Metric::BytesMissing), 1000);
    }
}

#[test]
fn a_body_beyond_the_limit_keeps_its_front_and_its_length() {
    let limit = sensor_user::exchange::Limits::default().body_bytes;
    for (len, whole) in [(limit, true), (limit + 1, false), (3 * limit, false)] {
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nX-Answer: 5\r\nContent-Length: {len}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + len, b'y');
        let turns = [wire(Direction::Read, &[5]), (Direction::Write, answer)];
        let (exchanges, _) = exchanges(records(&turns, |_| 16_000));
        let body = &exchanges[0].outcome.response().unwrap().body;
        assert_eq!((body.total, body.is_whole()), (len as u64, whole));
        assert_eq!(
            body.pieces.iter().map(|piece| piece.0.len()).sum::<usize>(),
            limit
        );
    }
}

#[test]
fn an_answer_that_the_end_ends_is_whole() {
    let turns = [
        wire(Direction::Read, &[5]),
        (
            Direction::Write,
            b"HTTP/1.0 200 OK\r\nX-Answer: 5\r\n\r\nall of it".to_vec(),
        ),
    ];
    let told = all_told(records(&turns, |_| 11));
    assert!(told[0].ends_with("\"all of it\" 9 Whole"), "{told:?}");
}

#[test]
fn an_early_answer_is_paired_when_the_request_is_done() {
    let turns = [
        (
            Direction::Read,
            b"POST /r/1 HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc".to_vec(),
        ),
        (
            Direction::Write,
            b"HTTP/1.1 413 Too Large\r\nX-Answer: 1\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
        (Direction::Read, b"def".to_vec()),
        wire(Direction::Read, &[5]),
        wire(Direction::Write, &[5]),
    ];
    let (whole, _) = exchanges(records(&turns, |len| len));
    assert_eq!(
        whole.iter().map(numbers).collect::<Vec<_>>(),
        [(1, Some(1)), (5, Some(5))]
    );
    assert!(whole[0].request.body.is_whole());
    let (cut, _) = exchanges(records(&turns[..2], |len| len));
    assert_eq!(numbers(&cut[0]), (1, Some(1)));
    assert_eq!(cut[0].request.body.state, sensor_user::exchange::BodyState::Cut);
}

#[test]
fn a_tunnel_is_opaque_and_a_refused_one_is_not() {
    let upgrade = b"GET /r/1 HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec();
    let accepted = [
        (Direction::Read, upgrade.clone()),
        (
            Direction::Write,
            b"HTTP/1.1 101 Switching Protocols\r\nX-Answer: 1\r\n\r\n\x81\x02hi".to_vec(),
        ),
        (Direction::Read, b"GET /r/2 HTTP/1.1\r\n\r\n".to_vec()),
    ];
    let (tunnelled, counters) = exchanges(records(&accepted, |_| 9));
    assert_eq!(tunnelled.iter().map(numbers).collect::<Vec<_>>(), [(1, Some(1))]);
    assert!(counters.value(Metric::BytesUnrecognised) > 0);
    assert_eq!(counters.value(Metric::Anomalies), 0);
    let refused = [
        (Direction::Read, [upgrade, request(5)].concat()),
        (
            Direction::Write,
            b"HTTP/1.1 404 No\r\nX-Answer: 1\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
        wire(Direction::Write, &[5]),
    ];
    let (both, _) = exchanges(records(&refused, |_| 9));
    assert_eq!(
        both.iter().map(numbers).collect::<Vec<_>>(),
        [(1, Some(1)), (5, Some(5))]
    );
}

#[test]
fn a_connection_joined_in_the_middle_is_found() {
    let turns = turns(SERIAL);
    let all = records(&turns, |len| len);
    for skipped in 1..all.len() {
        let (exchanges, _) = exchanges(all[skipped..].to_vec());
        assert_attributed(&exchanges, &format!("joined at {skipped}"));
        assert!(
            exchanges.len() + 1 >= (all.len() - skipped).div_ceil(2),
            "joined at {skipped}"
        );
    }
}

#[test]
fn what_is_no_http_gives_nothing_and_is_counted() {
    let turns = [
        (Direction::Read, b"\x16\x03\x01\x02\x00\x01\x00".to_vec()),
        (Direction::Write, b"\x16\x03\x03\x00\x7a".to_vec()),
    ];
    let (exchanges, counters) = exchanges(records(&turns, |len| len));
    assert!(exchanges.is_empty());
    assert_eq!(counters.value(Metric::BytesUnrecognised), 12);
}

#[test]
fn a_broken_message_is_an_anomaly_and_the_next_is_read() {
    let turns = [
        wire(Direction::Read, &[5]),
        wire(Direction::Write, &[5]),
        (
            Direction::Read,
            b"GET /r/6 HTTP/1.1\r\nbad header\r\n\r\n".to_vec(),
        ),
        (
            Direction::Write,
            b"HTTP/1.1 400 Bad Request\r\nX-Answer: 6\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
        wire(Direction::Read, &[10]),
        wire(Direction::Write, &[10]),
    ];
    let (exchanges, counters) = exchanges(records(&turns, |len| len));
    assert_eq!(
        exchanges.iter().map(numbers).collect::<Vec<_>>(),
        [(5, Some(5)), (6, Some(6)), (10, Some(10))]
    );
    let odd: Vec<bool> = exchanges.iter().map(|one| !one.anomalies.is_empty()).collect();
    assert_eq!(odd, [false, true, false]);
    assert_eq!(counters.value(Metric::Anomalies), 1);
    assert_eq!(counters.value(Metric::ResponsesUnpaired), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_into_records_gives_the_same_exchanges(cuts in proptest::collection::vec(1_usize..60, 1..200), pipelined: bool) {
        let turns = turns(if pipelined { PIPELINED } else { SERIAL });
        let mut cut = cuts.iter().cycle();
        let split = records(&turns, |_| *cut.next().unwrap());
        prop_assert_eq!(all_told(split), all_told(records(&turns, |len| len)));
    }

    #[test]
    fn records_that_change_places_give_the_same_exchanges(size in 5_usize..50, swaps in proptest::collection::vec(any::<usize>(), 0..4)) {
        let turns = turns(SERIAL);
        let mut split = records(&turns, |_| size);
        for at in swaps {
            let at = at % (split.len() - 1);
            // Neighbours of one direction, as two threads of one connection might emit them.
            let same = matches!((&split[at], &split[at + 1]), (Record::Data(a), Record::Data(b)) if a.direction == b.direction);
            if same && at > 0 {
                split.swap(at, at + 1);
            }
        }
        prop_assert_eq!(all_told(split), all_told(records(&turns, |len| len)));
    }

    #[test]
    fn any_one_lost_record_keeps_answers_in_place(cuts in proptest::collection::vec(1_usize..120, 1..60), lost: usize, pipelined: bool) {
        let turns = turns(if pipelined { PIPELINED } else { SERIAL });
        let mut cut = cuts.iter().cycle();
        let mut split = records(&turns, |_| *cut.next().unwrap());
        let lost = lost % split.len();
        split.remove(lost);
        let (exchanges, _) = exchanges(split);
        assert_attributed(&exchanges, &format!("without record {lost}"));
    }

    #[test]
    fn any_window_of_loss_keeps_answers_of_a_serial_connection_in_place(size in 5_usize..300, from: usize, count in 1_usize..12) {
        let mut split = records(&turns(SERIAL), |_| size);
        let from = from % split.len();
        let to = (from + count).min(split.len());
        split.drain(from..to);
        let (exchanges, _) = exchanges(split);
        assert_attributed(&exchanges, &format!("without {from}..{to}"));
    }
}

/// A body says what is odd about it, and its content coding is undone, once the exchange is complete.
#[test]
fn bodies_are_decoded_and_their_anomalies_are_the_exchanges() {
    use std::io::Write as _;
    let body = "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    packed.write_all(body.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let front = |start: &str| {
        let length = packed.len();
        let fields = "Content-Type: text/xml\r\nContent-Encoding: gzip";
        format!("{start}\r\nHost: a\r\n{fields}\r\nContent-Length: {length}\r\n\r\n").into_bytes()
    };
    let turns = [
        (
            Direction::Read,
            [front("POST /r/1 HTTP/1.1"), packed.clone()].concat(),
        ),
        (
            Direction::Write,
            [front("HTTP/1.1 200 OK"), packed.clone()].concat(),
        ),
    ];
    for size in [usize::MAX, 7] {
        let (exchanges, counters) = exchanges(records(&turns, |_| size));
        let [exchange] = exchanges.as_slice() else {
            panic!("{} exchanges", exchanges.len());
        };
        let response = exchange.outcome.response().unwrap();
        for body in [&exchange.request.body, &response.body] {
            let forgotten = matches!(body.content, Content::Forgotten { ended: Ended::Whole });
            assert!(forgotten && body.is_content_whole() && body.content().is_empty());
        }
        let expected = [
            Anomaly::XmlDoctype,
            Anomaly::XmlEntityDeclared,
            Anomaly::XmlEntityUsed,
        ];
        assert_eq!(exchange.anomalies.as_slice(), expected);
        assert_eq!(counters.value(Metric::Anomalies), 3);
    }
}
