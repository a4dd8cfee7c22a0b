//! Connections of every protocol: exchange number 0, 1, 2 and so on, `/n/NUMBER` asked and `x-n: NUMBER` answered.

use crate::capture::Direction;

/// A connection, seen from the server.
#[derive(Debug)]
pub(super) struct Fixture {
    pub(super) name: &'static str,
    /// What happens, in one possible order.
    pub(super) steps: Vec<Step>,
    /// Exchanges it holds, all answered whole.
    pub(super) exchanges: usize,
    /// Later exchanges that may stay without answer when a chunk is missing, until one is found.
    pub(super) recovery: usize,
}

/// Bytes that travel one way.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) direction: Direction,
    pub(super) bytes: Vec<u8>,
    /// Steps of the other direction that caused it: so many, from the first, are complete when it begins.
    pub(super) after: usize,
    /// The exchange it belongs to.
    pub(super) exchange: usize,
}

/// All fixtures. A protocol adds a line.
pub(super) fn all() -> Vec<Fixture> {
    let mut all = Vec::new();
    all.extend(http1());
    all.push(http1_to_http2());
    all
}

/// A connection on which each request is sent when the answer before it is complete.
pub(super) fn in_turns(name: &'static str, exchanges: &[(Vec<u8>, Vec<u8>)], recovery: usize) -> Fixture {
    let mut steps = Vec::new();
    for (exchange, (request, response)) in exchanges.iter().enumerate() {
        steps.push(step(Direction::Read, request, exchange, exchange));
        steps.push(step(Direction::Write, response, exchange + 1, exchange));
    }
    Fixture {
        name,
        steps,
        exchanges: exchanges.len(),
        recovery,
    }
}

pub(super) fn step(direction: Direction, bytes: &[u8], after: usize, exchange: usize) -> Step {
    Step {
        direction,
        bytes: bytes.to_vec(),
        after,
        exchange,
    }
}

/// HTTP/1 in all its framings.
fn http1() -> Vec<Fixture> {
    let count = 8;
    let several = |each: fn(usize) -> (String, String)| {
        let bytes = (0..count)
            .map(each)
            .map(|(ask, answer)| (ask.into_bytes(), answer.into_bytes()));
        bytes.collect::<Vec<_>>()
    };
    vec![
        in_turns("http1 lengths", &several(lengths), 1),
        in_turns("http1 chunked", &several(chunked), 1),
        in_turns("http1 bodiless", &several(bodiless), 1),
        in_turns("http1 interim", &several(interim), 1),
        in_turns("http1 odd", &several(odd), 1),
        until_close(),
        pipelined(&several(lengths)),
    ]
}

fn lengths(n: usize) -> (String, String) {
    let (question, answer) = ("q".repeat(n * 7), "a".repeat(n * 11 + 1));
    (
        format!(
            "POST /n/{n} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{question}",
            question.len()
        ),
        format!(
            "HTTP/1.1 200 OK\r\nX-N: {n}\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        ),
    )
}

fn chunked(n: usize) -> (String, String) {
    let chunks = format!("5;a=\"{n}\"\r\nfirst\r\nA \r\n0123456789\r\n0\r\nX-T: {n}\r\n\r\n");
    (
        format!("PUT /n/{n} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        format!(
            "HTTP/1.1 201 Created\r\nX-N: {n}\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n{chunks}"
        ),
    )
}

fn bodiless(n: usize) -> (String, String) {
    let (method, head) = match n % 3 {
        0 => ("HEAD", "200 OK\r\nContent-Length: 4000"),
        1 => ("GET", "304 Not Modified\r\nContent-Length: 40"),
        _ => ("DELETE", "204 No Content"),
    };
    (
        format!("{method} /n/{n} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("HTTP/1.1 {head}\r\nX-N: {n}\r\n\r\n"),
    )
}

fn interim(n: usize) -> (String, String) {
    let (ask, answer) = lengths(n);
    let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    (ask, format!("{early}{answer}"))
}

/// Folded, spaced, ended by LF: read all the same, and marked.
fn odd(n: usize) -> (String, String) {
    (
        format!("POST /n/{n} HTTP/1.1\nHost : a\r\nX-A: b\r\n c\r\nContent-Length:\t3\r\n\r\nabc"),
        format!("HTTP/1.1 200 OK\r\nX-N:\r\n {n}\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\n0\r\n\n"),
    )
}

/// A body that the connection's end ends.
fn until_close() -> Fixture {
    let mut exchanges: Vec<_> = (0..3).map(lengths).collect();
    exchanges.push((
        "GET http://a.example/n/3 HTTP/1.1\r\nHost: a.example\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nX-N: 3\r\nConnection: close\r\n\r\nall\r\nthe rest".to_owned(),
    ));
    let bytes: Vec<_> = exchanges
        .into_iter()
        .map(|(ask, answer)| (ask.into_bytes(), answer.into_bytes()))
        .collect();
    in_turns("http1 until close", &bytes, 1)
}

/// Requests that wait for no answer. After a hole it is certain of none whose it is, so none is found again.
fn pipelined(exchanges: &[(Vec<u8>, Vec<u8>)]) -> Fixture {
    let mut steps = Vec::new();
    for (exchange, (request, _)) in exchanges.iter().enumerate() {
        steps.push(step(Direction::Read, request, 0, exchange));
    }
    for (exchange, (_, response)) in exchanges.iter().enumerate() {
        steps.push(step(Direction::Write, response, exchange + 1, exchange));
    }
    Fixture {
        name: "http1 pipelined",
        steps,
        exchanges: exchanges.len(),
        recovery: exchanges.len(),
    }
}

/// HTTP/1 that goes on in HTTP/2 (RFC 7540, 3.2).
fn http1_to_http2() -> Fixture {
    const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
    let frame = |kind: u8, flags: u8, exchange: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 2 * exchange + 1], payload].concat()
    };
    let request = |n: u8| frame(1, 5, n, &[&b"\x82\x86\x04\x04/n/"[..], &[b'0' + n]].concat());
    let response = |n: u8| {
        let head = frame(1, 4, n, &[&b"\x88\x00\x03x-n\x01"[..], &[b'0' + n]].concat());
        [head, frame(0, 1, n, &[b'a'; 20])].concat()
    };
    let ask = b"GET /n/0 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
        HTTP2-Settings: AAMAAABk\r\n\r\n";
    let agreed = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SETTINGS].concat();
    let mut steps = vec![
        step(Direction::Read, ask, 0, 0),
        step(Direction::Write, agreed, 1, 0),
        step(Direction::Read, &preface, 1, 0),
        step(Direction::Write, &[SETTINGS, &response(0)].concat(), 1, 0),
    ];
    for n in 1..8_u8 {
        let exchange = usize::from(n);
        steps.push(step(Direction::Read, &request(n), exchange + 1, exchange));
        steps.push(step(Direction::Write, &response(n), exchange + 2, exchange));
    }
    Fixture {
        name: "http1 to http2",
        steps,
        exchanges: 8,
        // Frames are found again where chunks begin with them, or where several are in one: cut small, perhaps never.
        recovery: 7,
    }
}
