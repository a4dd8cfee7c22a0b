//! Connections of every protocol: exchange number 0, 1, 2 and so on, `/n/NUMBER` asked and `x-n: NUMBER` answered.

mod http1;
mod http2;
pub(super) mod websocket;

use crate::capture::Direction;

/// A connection, seen from the server.
#[derive(Debug)]
pub(super) struct Fixture {
    pub(super) name: &'static str,
    /// What happens, in one possible order.
    pub(super) steps: Vec<Step>,
    /// Exchanges it holds, all answered whole.
    pub(super) exchanges: usize,
    /// Later exchanges that may be missing or without answer when a chunk is missing, until one is found.
    pub(super) recovery: usize,
    /// Bytes behind the hole, of its direction, up to the beginning of that exchange, at most.
    pub(super) recovery_bytes: usize,
    /// Of a hundred holes behind so many the next exchange is found at least.
    pub(super) at_once: usize,
    /// The exchange without which nothing later can be read.
    pub(super) opening: Option<usize>,
}

/// Bytes that travel one way.
#[derive(Clone, Debug)]
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
    all.extend(http1::all());
    all.extend(http2::all());
    all.extend(websocket::all());
    all.push(http1_to_http2());
    all
}

/// Connections much longer than what is searched behind a hole.
pub(super) fn long() -> Vec<Fixture> {
    let mut all = http2::long();
    all.extend(websocket::long());
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
        recovery_bytes: usize::MAX,
        at_once: 98,
        opening: None,
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

/// A connection on which so many requests are out at once.
pub(super) fn window(name: &'static str, size: usize, exchanges: &[(Vec<u8>, Vec<u8>)]) -> Fixture {
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
    let left = (exchanges.len() + 1).saturating_sub(size);
    for (answered, (_, response)) in exchanges.iter().enumerate().skip(left) {
        steps.push(step(Direction::Write, response, answered + 1, answered));
    }
    Fixture {
        name,
        steps,
        exchanges: exchanges.len(),
        recovery: exchanges.len(),
        recovery_bytes: usize::MAX,
        at_once: 0,
        opening: None,
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
        // As long as the search of HTTP/2 waits.
        recovery: 8,
        recovery_bytes: usize::MAX,
        at_once: 0,
        opening: None,
    }
}
