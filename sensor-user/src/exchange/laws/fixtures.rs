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
    /// Nothing moved for a while before it.
    pub(super) idle: bool,
}

/// All fixtures. A protocol adds a line.
pub(super) fn all() -> Vec<Fixture> {
    let mut all = Vec::new();
    all.extend(http1());
    all
}

/// A connection on which each request is sent when the answer before it is complete; in the middle and before the last
/// one there is a pause.
pub(super) fn in_turns(name: &'static str, exchanges: &[(Vec<u8>, Vec<u8>)], recovery: usize) -> Fixture {
    let mut steps = Vec::new();
    for (exchange, (request, response)) in exchanges.iter().enumerate() {
        let mut asked = step(Direction::Read, request, exchange, exchange);
        asked.idle = exchange == exchanges.len() / 2 || exchange + 1 == exchanges.len();
        steps.push(asked);
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
        idle: false,
    }
}

/// HTTP/1 in all its framings.
fn http1() -> Vec<Fixture> {
    let count = 12;
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
        window("http1 pipelined", count, &several(lengths)),
        window("http1 window of 2", 2, &several(lengths)),
        window("http1 window of 4", 4, &several(chunked)),
        bursts(&several(lengths)),
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

/// Requests of which so many are out at once. After a hole it is certain of none whose it is until nothing moved for a
/// while.
fn window(name: &'static str, size: usize, exchanges: &[(Vec<u8>, Vec<u8>)]) -> Fixture {
    let mut steps = Vec::new();
    for (exchange, (request, _)) in exchanges.iter().enumerate() {
        steps.push(step(
            Direction::Read,
            request,
            (exchange + 1).saturating_sub(size),
            exchange,
        ));
        if let Some(answered) = (exchange + 1).checked_sub(size) {
            steps.push(step(
                Direction::Write,
                &exchanges[answered].1,
                answered + 1,
                answered,
            ));
        }
    }
    for answered in (exchanges.len() + 1).saturating_sub(size)..exchanges.len() {
        steps.push(step(
            Direction::Write,
            &exchanges[answered].1,
            answered + 1,
            answered,
        ));
    }
    Fixture {
        name,
        steps,
        exchanges: exchanges.len(),
        recovery: exchanges.len(),
    }
}

/// Bursts of three requests with pauses in between.
fn bursts(exchanges: &[(Vec<u8>, Vec<u8>)]) -> Fixture {
    let mut steps: Vec<Step> = Vec::new();
    for (number, burst) in exchanges.chunks(3).enumerate() {
        let first = number * 3;
        for (at, (request, _)) in burst.iter().enumerate() {
            let mut asked = step(Direction::Read, request, first, first + at);
            asked.idle = at == 0 && number > 0;
            steps.push(asked);
        }
        for (at, (_, response)) in burst.iter().enumerate() {
            steps.push(step(Direction::Write, response, first + at + 1, first + at));
        }
    }
    Fixture {
        name: "http1 bursts",
        steps,
        exchanges: exchanges.len(),
        // The rest of the burst; the whole next one, when only its first answer shows that the last one is missing.
        recovery: 3,
    }
}
