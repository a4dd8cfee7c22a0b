use proptest::prelude::*;

use crate::capture::{Direction, Source, StreamKey};
use crate::exchange::test_support::Step::{self, Lost, ToClient, ToServer};
use crate::exchange::test_support::{STREAM, closed, drive};
use crate::exchange::{Exchange, Outcome};

const ASK: &str = "GET /first HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
    HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
const REFUSED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno";
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";

fn stream(tls: bool) -> StreamKey {
    StreamKey {
        source: if tls { Source::Tls } else { Source::Socket },
        ..STREAM
    }
}

/// What comes of a connection, a line for each exchange; its accounts close at every step.
fn run_on(stream: StreamKey, steps: Vec<Step>) -> Vec<String> {
    let events = (1_u64..).zip(steps).map(|(at, step)| step.event(stream, at));
    let all = events.chain([closed(stream, 9_000)]);
    drive(stream, all).iter().map(show).collect()
}

fn run(steps: Vec<Step>) -> Vec<String> {
    run_on(stream(false), steps)
}

fn show(exchange: &Exchange) -> String {
    let request = &exchange.request;
    let answer = match &exchange.outcome {
        Outcome::Answered(response) => {
            let body: Vec<u8> = response
                .body
                .pieces
                .iter()
                .flat_map(|piece| piece.0.to_vec())
                .collect();
            format!("{} [{}]", response.status, body.escape_ascii())
        }
        other => format!("{other:?}"),
    };
    let mut line = format!(
        "{} {} {} {answer}",
        request.version,
        request.method().escape_ascii(),
        request.target().expose().escape_ascii()
    );
    if !exchange.anomalies.is_empty() {
        line = format!("{line} {:?}", exchange.anomalies);
    }
    line
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut wire = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    wire.extend([kind, flags]);
    wire.extend(stream.to_be_bytes());
    wire.extend(payload);
    wire
}

/// `200` with a body.
fn answer(stream: u32, body: &str) -> Vec<u8> {
    [frame(1, 4, stream, b"\x88"), frame(0, 1, stream, body.as_bytes())].concat()
}

/// `GET` for a path, on a stream.
fn get(stream: u32, path: &str) -> Vec<u8> {
    let length = [u8::try_from(path.len()).unwrap()];
    frame(
        1,
        5,
        stream,
        &[&b"\x82\x86\x04"[..], &length, path.as_bytes()].concat(),
    )
}

/// What both sides say behind the 101.
fn both_ways() -> (Vec<u8>, Vec<u8>) {
    let asked = [PREFACE, SETTINGS, &get(3, "/third")].concat();
    let answered = [SETTINGS, &answer(1, "one"), &answer(3, "three")].concat();
    (asked, answered)
}

fn upgrade(ask: &str) -> Vec<Step> {
    let (asked, answered) = both_ways();
    vec![
        ToServer(ask.into()),
        ToClient(AGREED.into()),
        ToServer(asked),
        ToClient(answered),
    ]
}

#[test]
fn the_request_that_asked_is_answered_on_stream_1() {
    assert_eq!(
        run(upgrade(ASK)),
        ["11 GET /first 200 [one]", "20 GET /third 200 [three]"]
    );
    let head = ASK.replace("GET", "HEAD");
    let (asked, _) = both_ways();
    let bare = frame(1, 5, 1, b"\x88\x0f\x0d\x015");
    let steps = vec![
        ToServer(head.into()),
        ToClient([AGREED.as_bytes(), SETTINGS, &bare, &answer(3, "three")].concat()),
        ToServer(asked),
    ];
    // The server's first frames came with the 101, and the client's later.
    assert_eq!(run(steps)[0], "11 HEAD /first 200 []");
}

#[test]
fn a_request_with_a_body_upgrades_when_it_is_whole() {
    let ask = ASK.replace("GET", "POST").replace(
        "Upgrade: h2c",
        "Upgrade: websocket, h2c\r\nContent-Length: 4\r\nX: y",
    );
    assert_eq!(
        run(upgrade(&format!("{ask}body"))),
        ["11 POST /first 200 [one]", "20 GET /third 200 [three]"]
    );
}

#[test]
fn a_table_that_the_request_allowed_may_be_used() {
    // SETTINGS_HEADER_TABLE_SIZE of 8192, which the server takes up at once.
    let ask = ASK.replace("AAMAAABkAAQAAP__", "AAEAACAA");
    let grown = [frame(1, 4, 1, b"\x3f\xe1\x3f\x88"), frame(0, 1, 1, b"x")].concat();
    let steps = |ask: &str| {
        vec![
            ToServer(ask.into()),
            ToClient([AGREED.as_bytes(), SETTINGS, &grown].concat()),
            ToServer(PREFACE.into()),
        ]
    };
    assert_eq!(run(steps(&ask)), ["11 GET /first 200 [x]"]);
    assert_eq!(
        run(steps(ASK)),
        ["11 GET /first 200 [x] [Http2TableTooLarge]"],
        "it was not allowed"
    );
}

#[test]
fn an_upgrade_that_may_not_be_is_read_and_marked() {
    let bad = [
        ASK.replace("HTTP2-Settings: AAMAAABkAAQAAP__\r\n", ""),
        ASK.replace("HTTP2-Settings: ", "HTTP2-Settings: AAMAAABk\r\nHTTP2-Settings: "),
        ASK.replace("AAMAAABkAAQAAP__", "AAMAAABkAA"),
        ASK.replace("AAMAAABkAAQAAP__", "AAMAAABkAAQAAP//"),
        ASK.replace("AAMAAABkAAQAAP__", &"AAMAAABk".repeat(33)),
        ASK.replace("Upgrade, HTTP2-Settings", "Upgrade"),
        ASK.replace("Upgrade, HTTP2-Settings", "HTTP2-Settings"),
        ASK.replace("HTTP/1.1", "HTTP/1.0"),
    ];
    for ask in bad {
        let seen = run(upgrade(&ask));
        assert!(
            seen[0].ends_with("GET /first 200 [one] [Http2Upgrade]"),
            "{ask}: {seen:?}"
        );
        assert_eq!(seen[1], "20 GET /third 200 [three]");
    }
    let seen = run_on(stream(true), upgrade(ASK));
    assert_eq!(seen[0], "11 GET /first 200 [one] [Http2Upgrade]", "inside TLS");
}

#[test]
fn a_server_that_refuses_goes_on_in_http_1() {
    let steps = vec![
        ToServer(ASK.into()),
        ToClient(REFUSED.into()),
        ToServer(NEXT.into()),
        ToClient(REFUSED.into()),
    ];
    let expected = ["11 GET /first 200 [no]", "11 GET /next 200 [no]"];
    assert_eq!(run(steps), expected);
    // And what it did not agree to is no HTTP/2.
    let steps = vec![
        ToServer(ASK.into()),
        ToClient(AGREED.replace("h2c", "websocket").into()),
        ToServer([PREFACE, SETTINGS].concat()),
    ];
    assert_eq!(run(steps), ["11 GET /first 101 []"]);
    let steps = vec![
        ToServer(NEXT.into()),
        ToClient(AGREED.into()),
        ToServer([PREFACE, SETTINGS].concat()),
    ];
    assert_eq!(run(steps), ["11 GET /next 101 []"]);
}

#[test]
fn a_101_in_a_hole_is_known_by_what_the_client_sends() {
    let (asked, answered) = both_ways();
    let lost = || Lost(Direction::Write, AGREED.len() as u64);
    let expected = ["11 GET /first 200 [one]", "20 GET /third 200 [three]"];
    // The client's preface first, then the server's settings first, then the preface in pieces.
    let steps = vec![
        ToServer(ASK.into()),
        lost(),
        ToServer(asked.clone()),
        ToClient(answered.clone()),
    ];
    assert_eq!(run(steps), expected);
    let (settings, rest) = answered.split_at(SETTINGS.len());
    let steps = vec![
        ToServer(ASK.into()),
        lost(),
        ToClient(settings.to_vec()),
        ToServer(asked.clone()),
        ToClient(rest.to_vec()),
    ];
    assert_eq!(run(steps), expected);
    let steps = vec![
        ToServer(ASK.into()),
        lost(),
        ToServer(asked[..7].to_vec()),
        ToServer(asked[7..].to_vec()),
        ToClient(answered.clone()),
    ];
    assert_eq!(run(steps), expected);
    // The answer was in the hole, too.
    let steps = vec![
        ToServer(ASK.into()),
        Lost(Direction::Write, 500),
        ToServer(asked),
        ToClient(answer(3, "three")),
    ];
    assert_eq!(run(steps), ["20 GET /third 200 [three]", "11 GET /first Lost"]);
}

#[test]
fn a_refusal_in_a_hole_mismatches_nothing() {
    for protocol in ["h2c", "websocket"] {
        let ask = ASK.replace("h2c", protocol);
        let numbered = |n: u8| REFUSED.replace("no", &format!("n{n}"));
        let mut steps = vec![ToServer(ask.into()), Lost(Direction::Write, REFUSED.len() as u64)];
        for n in 2..6 {
            steps.push(ToServer(NEXT.replace("next", &n.to_string()).into()));
            steps.push(ToClient(numbered(n).into()));
        }
        let expected: Vec<String> = (2..6).map(|n| format!("11 GET /{n} 200 [n{n}]")).collect();
        let seen = run(steps);
        assert_eq!(seen[0], "11 GET /first Lost", "{protocol}");
        assert_eq!(seen[1..], expected, "{protocol}");
    }
}

#[test]
fn a_preface_in_a_hole_and_a_request_in_a_hole_leave_the_rest() {
    let (asked, answered) = both_ways();
    let steps = vec![
        ToServer(ASK.into()),
        ToClient(AGREED.into()),
        Lost(Direction::Read, (PREFACE.len() + SETTINGS.len()) as u64),
        ToServer(asked[PREFACE.len() + SETTINGS.len()..].to_vec()),
        ToClient(answered.clone()),
    ];
    assert_eq!(
        run(steps),
        ["11 GET /first 200 [one]", "20 GET /third 200 [three]"]
    );
    // On a connection that is known for HTTP/1; stream 1 answers nobody known.
    let steps = vec![
        ToServer(NEXT.into()),
        ToClient(REFUSED.into()),
        Lost(Direction::Read, ASK.len() as u64),
        ToClient(AGREED.into()),
        ToServer(asked),
        ToClient(answered),
    ];
    assert_eq!(run(steps), ["11 GET /next 200 [no]", "20 GET /third 200 [three]"]);
}

proptest! {
    /// However it is cut.
    #[test]
    fn any_split_gives_the_same(cuts in prop::collection::vec((0_usize..4, 0_usize..400), 0..12)) {
        let whole = upgrade(ASK);
        let mut pieces = Vec::new();
        for (index, step) in whole.iter().enumerate() {
            let (bytes, to_server) = match step {
                ToServer(bytes) => (bytes, true),
                ToClient(bytes) => (bytes, false),
                Lost(..) => unreachable!(),
            };
            let mut at: Vec<usize> = cuts.iter().filter(|(of, _)| *of == index).map(|(_, at)| at % bytes.len()).collect();
            at.sort_unstable();
            let mut from = 0;
            for to in at.into_iter().chain([bytes.len()]) {
                let piece = bytes[from..to].to_vec();
                from = to;
                if !piece.is_empty() {
                    pieces.push(if to_server { ToServer(piece) } else { ToClient(piece) });
                }
            }
        }
        prop_assert_eq!(run(pieces), run(whole));
    }

    /// Without any one piece nothing panics, no answer goes to another's request, and the accounts close.
    #[test]
    fn without_a_piece_no_answer_goes_to_another(size in 1_usize..60, missing in 0_usize..100, refused: bool) {
        let whole = if refused {
            vec![ToServer(ASK.into()), ToClient(REFUSED.replace("no", "one").replace('2', "3").replace("300", "200").into()), ToServer(NEXT.into()), ToClient(REFUSED.into())]
        } else {
            upgrade(ASK)
        };
        let mut pieces: Vec<Step> = whole.iter().flat_map(|step| match step {
            ToServer(bytes) => bytes.chunks(size).map(|piece| ToServer(piece.to_vec())).collect::<Vec<_>>(),
            ToClient(bytes) => bytes.chunks(size).map(|piece| ToClient(piece.to_vec())).collect(),
            Lost(..) => unreachable!(),
        }).collect();
        let at = missing % pieces.len();
        pieces[at] = match &pieces[at] {
            ToServer(bytes) => Lost(Direction::Read, bytes.len() as u64),
            ToClient(bytes) => Lost(Direction::Write, bytes.len() as u64),
            Lost(..) => unreachable!(),
        };
        for line in run(pieces) {
            let wrong = (line.contains("/first") && (line.contains("[three]") || line.contains("[no]")))
                || (line.contains("/third") && line.contains("[one]"))
                || (line.contains("/next") && line.contains("[one]"));
            prop_assert!(!wrong, "{}", line);
        }
    }
}
